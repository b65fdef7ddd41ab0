//! A mailer that leaves messages in a folder, for whoever picks them up.

use std::path::PathBuf;

use async_trait::async_trait;
use entity::message::Reason;
use lettre::Address;

use super::{Answer, Mail, Mailer, compose};

/// Writes each message as `<its id>.eml`. A message that is sent again has the same name, so it is
/// there once.
pub struct Folder {
    folder: PathBuf,
    from: Address,
}

impl Folder {
    /// A mailer into a folder, which is made when it is needed.
    pub fn new(folder: &str, from: Address) -> Folder {
        Folder {
            folder: folder.into(),
            from,
        }
    }

    async fn write(&self, mail: &Mail, bytes: &[u8]) -> std::io::Result<PathBuf> {
        tokio::fs::create_dir_all(&self.folder).await?;
        // Whoever picks messages up sees whole ones only.
        let part = self.folder.join(format!("{}.part", mail.id));
        let whole = self.folder.join(format!("{}.eml", mail.id));
        tokio::fs::write(&part, bytes).await?;
        tokio::fs::rename(&part, &whole).await?;
        Ok(whole)
    }
}

#[async_trait]
impl Mailer for Folder {
    async fn send(&self, mail: &Mail) -> Answer {
        let message = match compose(mail, &self.from) {
            Ok(message) => message,
            Err(error) => return Answer::failed(Reason::Rejected, &error),
        };
        match self.write(mail, &message.formatted()).await {
            Ok(file) => Answer::accepted(&file.display().to_string()),
            Err(error) => Answer::failed(Reason::Unreachable, &error.to_string()),
        }
    }
}
