//! TLS to those who are asked over HTTP: one provider of cryptography for the whole program, and who
//! is trusted.
//!
//! The database's client, the mailer and this use `ring`; a second provider would be a second library
//! of C and assembler. `reqwest` brings none of its own, and wants to be told which there is.

use std::sync::Arc;

use reqwest::{Client, ClientBuilder};
use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

/// Says which provider there is, to whoever asks. Once is enough, and more is no harm.
pub fn install() {
    // Refused if there is one already, and there is only one.
    let _ = ring::default_provider().install_default();
}

/// Why nobody can be trusted.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The file of certificates cannot be read.
    #[error("{file}: {reason}")]
    CaFile {
        /// Which file.
        file: String,
        /// Why.
        reason: String,
    },
    /// The provider cannot do what is wanted.
    #[error(transparent)]
    Provider(#[from] rustls::Error),
}

/// Whom we trust: the authorities that Mozilla does, and those of a file, unless it has no name.
pub fn client_config(ca_file: &str) -> Result<ClientConfig, TlsError> {
    let mut roots = RootCertStore {
        roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
    };
    if !ca_file.is_empty() {
        let failed = |reason: String| TlsError::CaFile {
            file: ca_file.to_owned(),
            reason,
        };
        let certificates =
            CertificateDer::pem_file_iter(ca_file).map_err(|error| failed(error.to_string()))?;
        let mut known = 0;
        for certificate in certificates {
            let certificate = certificate.map_err(|error| failed(error.to_string()))?;
            roots
                .add(certificate)
                .map_err(|error| failed(error.to_string()))?;
            known += 1;
        }
        if known == 0 {
            return Err(failed("there is no certificate in it".to_owned()));
        }
    }
    let provider = Arc::new(ring::default_provider());
    Ok(ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth())
}

/// A client of HTTP that trusts them.
pub fn client(ca_file: &str) -> Result<ClientBuilder, TlsError> {
    install();
    Ok(Client::builder().tls_backend_preconfigured(client_config(ca_file)?))
}

/// A client of HTTP without TLS, which needs to trust nobody.
pub fn plain() -> ClientBuilder {
    install();
    Client::builder().tls_certs_only([])
}
