//! A second handle on a client's connection, to cut it.
//!
//! A client that stops reading leaves the server with bytes that it cannot send. actix waits for
//! that write, and a socket's close frame waits behind it: for ever, if the client keeps its side
//! open. Only shutting the connection down ends it.

use std::any::Any;
use std::net::{Shutdown, TcpStream};
use std::os::fd::AsFd;
use std::sync::Arc;

use actix_web::dev::Extensions;
use actix_web::rt::net::TcpStream as ServerStream;

/// The connection of a client. Costs one file descriptor for as long as the connection lives.
#[derive(Clone, Debug)]
pub struct Wire(Arc<TcpStream>);

impl Wire {
    /// Ends the connection at once, with whatever is still unsent.
    pub(super) fn cut(&self) {
        // It may be gone already, which is as good.
        let _ = self.0.shutdown(Shutdown::Both);
    }
}

/// For `HttpServer::on_connect`: keeps a handle on each plain TCP connection, without which a
/// socket that stops reading is closed but its connection is held until the client lets go.
pub fn keep(connection: &dyn Any, data: &mut Extensions) {
    let Some(stream) = connection.downcast_ref::<ServerStream>() else {
        return;
    };
    match stream.as_fd().try_clone_to_owned() {
        Ok(handle) => {
            data.insert(Wire(Arc::new(TcpStream::from(handle))));
        }
        Err(error) => tracing::warn!(%error, "no second handle on a connection"),
    }
}
