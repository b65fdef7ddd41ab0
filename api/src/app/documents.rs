//! Addresses under which documents can be read for a while.

use entity::{DocumentId, document};

use super::App;
use crate::documents;
use crate::documents::links::{self, Linked, Links, NotOpened};
use crate::failure::Failure;
use crate::tx::Actor;

/// What a signed address opened.
pub struct OpenedDocument {
    /// The document.
    pub row: document::Model,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// For how many seconds more the address can be used.
    pub remaining_secs: i64,
}

impl App {
    /// The address of a document on this server, signed at this moment.
    pub async fn document_path(&self, id: DocumentId) -> Result<String, Failure> {
        Ok(self
            .links()
            .await?
            .path(Linked::Document, id.0, self.clock.now()))
    }

    /// What an address opens: the document, none if it is not there, or why it opens nothing.
    pub async fn open_document(
        &self,
        id: &str,
        expires: &str,
        signature: &str,
    ) -> Result<Result<Option<OpenedDocument>, NotOpened>, Failure> {
        let links = self.links().await?;
        let opened = match links.open(Linked::Document, id, expires, signature, self.clock.now()) {
            Ok(opened) => opened,
            Err(reason) => return Ok(Err(reason)),
        };
        let found = documents::content(&self.db.read, DocumentId(opened.id)).await?;
        Ok(Ok(found.map(|(row, bytes)| OpenedDocument {
            row,
            bytes,
            remaining_secs: opened.remaining_secs,
        })))
    }

    pub(super) async fn links(&self) -> Result<&Links, Failure> {
        self.links.get_or_try_init(|| self.find_links()).await
    }

    async fn find_links(&self) -> Result<Links, Failure> {
        let config = &self.config.documents;
        if !config.url_secret.is_empty() {
            return Ok(Links::new(config.url_secret.as_bytes(), config.url_secs));
        }
        let secret = match links::shared_secret(&self.db.read).await? {
            Some(secret) => secret,
            None => {
                self.write(&Actor::worker("documents"), |tx| async move {
                    links::make_shared_secret(&tx).await
                })
                .await?
            }
        };
        Ok(Links::new(secret, config.url_secs))
    }
}
