//! Signed addresses: whoever has one may read one document for a while, without a key. Nothing of
//! them is stored, and no other address can be made from one.

use chrono::{DateTime, TimeDelta, Utc};
use entity::{DocumentId, document_secret};
use sea_orm::{ConnectionTrait, DbErr, EntityTrait, Set};
use uuid::Uuid;

use crate::failure::Failure;
use crate::signatures;
use crate::tx::Tx;

/// What the database's secret is for.
const NAME: &str = "url";

/// Makes addresses and recognises them.
pub struct Links {
    secret: Vec<u8>,
    lasting: TimeDelta,
}

/// An address that was signed by us, and until when it can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opened {
    /// The document.
    pub id: DocumentId,
    /// For how many seconds more.
    pub remaining_secs: i64,
}

/// Why an address opens nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotOpened {
    /// It was not made by us as it stands.
    Forged,
    /// It was, but can no longer be used.
    Expired,
}

impl Links {
    /// Addresses under a secret, each for so many seconds.
    pub fn new(secret: impl Into<Vec<u8>>, secs: u32) -> Links {
        Links {
            secret: secret.into(),
            lasting: TimeDelta::seconds(secs.into()),
        }
    }

    /// The address of a document on this server.
    pub fn path(&self, id: DocumentId, now: DateTime<Utc>) -> String {
        let expires = (now + self.lasting).timestamp();
        let signature = signatures::sign(&self.secret, &[&signed(id, expires)]);
        format!("/documents/{id}?expires={expires}&signature={signature}")
    }

    /// Judges the parts of an address: the signature first, in constant time, so that nothing is
    /// told of one that is not ours.
    pub fn open(
        &self,
        id: &str,
        expires: &str,
        signature: &str,
        now: DateTime<Utc>,
    ) -> Result<Opened, NotOpened> {
        let parts = (|| {
            let id = DocumentId(id.parse::<Uuid>().ok()?);
            Some((id, expires.parse::<i64>().ok()?))
        })();
        let (id, expires) = parts.ok_or(NotOpened::Forged)?;
        if !signatures::is_signed(&self.secret, &[&signed(id, expires)], signature) {
            return Err(NotOpened::Forged);
        }
        let remaining_secs = expires - now.timestamp();
        match remaining_secs > 0 {
            true => Ok(Opened { id, remaining_secs }),
            false => Err(NotOpened::Expired),
        }
    }
}

/// What is signed: nothing else that we sign begins alike.
fn signed(id: DocumentId, expires: i64) -> Vec<u8> {
    format!("oms document\n{id}\n{expires}").into_bytes()
}

/// The secret that the nodes share, if one was made.
pub async fn shared_secret(db: &impl ConnectionTrait) -> Result<Option<Vec<u8>>, DbErr> {
    let row = document_secret::Entity::find_by_id(NAME.to_owned()).one(db);
    Ok(row.await?.map(|row| row.value))
}

/// Makes the secret that the nodes share, unless another node was first; the answer is the one
/// that holds.
#[allow(
    clippy::disallowed_methods,
    reason = "a secret is 244 random bits and no identifier"
)]
pub async fn make_shared_secret(tx: &Tx) -> Result<Vec<u8>, Failure> {
    let random = [Uuid::new_v4().into_bytes(), Uuid::new_v4().into_bytes()];
    let row = document_secret::ActiveModel {
        name: Set(NAME.to_owned()),
        value: Set(random.concat()),
        created_at: Set(tx.now),
    };
    document_secret::Entity::insert(row)
        .on_conflict_do_nothing()
        .exec_without_returning(tx.db())
        .await?;
    let secret = shared_secret(tx.db()).await?;
    secret.ok_or_else(|| Failure::Internal("the secret of addresses is not there".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::days(20_000)
    }

    /// The parts of an address.
    fn parts(path: &str) -> (String, String, String) {
        let rest = path.strip_prefix("/documents/").unwrap();
        let (id, rest) = rest.split_once("?expires=").unwrap();
        let (expires, signature) = rest.split_once("&signature=").unwrap();
        (id.to_owned(), expires.to_owned(), signature.to_owned())
    }

    #[test]
    fn an_address_opens_its_own_document_while_it_lasts() {
        let links = Links::new("a secret of some length", 900);
        let id = DocumentId(Uuid::from_u128(7));
        let (text, expires, signature) = parts(&links.path(id, now()));
        let open = |after: i64| {
            links.open(
                &text,
                &expires,
                &signature,
                now() + TimeDelta::seconds(after),
            )
        };
        let remaining_secs = 1;
        assert_eq!(open(899), Ok(Opened { id, remaining_secs }));
        assert_eq!(open(900), Err(NotOpened::Expired));
    }

    #[test]
    fn no_part_of_an_address_can_be_changed() {
        let links = Links::new("a secret of some length", 900);
        let id = DocumentId(Uuid::from_u128(7));
        let (text, expires, signature) = parts(&links.path(id, now()));
        let later = (expires.parse::<i64>().unwrap() + 1).to_string();
        let other = Uuid::from_u128(8).to_string();
        let mut turned = signature.clone();
        turned.replace_range(..1, if turned.starts_with('0') { "1" } else { "0" });
        for (id, expires, signature) in [
            (&other, &expires, signature.as_str()),
            (&text, &later, &signature),
            (&text, &expires, &turned),
            (&text, &expires, &signature[..62]),
            (&text, &expires, &signature[..63]),
            (&text, &expires, ""),
            (&text, &String::new(), &signature),
            (&"x".to_owned(), &expires, &signature),
        ] {
            let opened = links.open(id, expires, signature, now());
            assert_eq!(opened, Err(NotOpened::Forged), "{id} {expires} {signature}");
        }
        let others = Links::new("another secret of length", 900);
        let opened = others.open(&text, &expires, &signature, now());
        assert_eq!(opened, Err(NotOpened::Forged));
    }
}
