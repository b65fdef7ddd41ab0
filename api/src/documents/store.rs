//! Documents as they were printed. The bytes are written once, beside their hash; afterwards a
//! document can only be voided, which leaves it readable.

use entity::document::{Column, Entity, Kind, Model};
use entity::{ChannelId, DocumentId, OrderId, document, document_content};
use sea_orm::sea_query::{Expr, ExprTrait, OnConflict};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter, Set, TryInsertResult,
};

use super::Rendered;
use crate::events::{Entry, Event};
use crate::failure::{Code, Failure, Problem};
use crate::signatures;
use crate::tx::Tx;

/// The longest name of a file, without its ending, in characters.
const LONGEST_NAME: usize = 120;

/// A document that is to be kept.
#[derive(Clone, Debug)]
pub struct NewDocument {
    /// What it is.
    pub kind: Kind,
    /// What it was printed for, such as `package:<uuid>`. Of one kind and format, one document for
    /// it is in force.
    pub subject: String,
    /// The order that it is about, with its channel; none = it is for staff alone.
    pub order: Option<(OrderId, ChannelId)>,
    /// What people call it, and its file: `Packing slip 1042-1`.
    pub name: String,
    /// What was printed.
    pub rendered: Rendered,
}

/// Keeps a document. If one of its kind and format is in force for the subject, that one is the
/// answer and nothing is written: what was printed first stays what it is until it is voided.
pub async fn store(tx: &Tx, new: NewDocument) -> Result<Model, Failure> {
    let NewDocument {
        kind,
        subject,
        order,
        name,
        rendered,
    } = new;
    let row = Model {
        id: tx.id(),
        kind,
        format: rendered.format,
        content_type: rendered.format.content_type().to_owned(),
        file_name: file_name(&name, rendered.format),
        sha256: signatures::sha256(&rendered.bytes),
        size: rendered.bytes.len() as i64,
        order_id: order.map(|(order, _)| order),
        channel_id: order.map(|(_, channel)| channel),
        subject,
        version: 1,
        created_at: tx.now,
        created_by: tx.actor.name.clone(),
        voided_at: None,
    };
    // Waits for whoever stores the same just now.
    let insert: document::ActiveModel = row.clone().into();
    let inserted = Entity::insert(insert)
        .on_conflict(OnConflict::new().do_nothing().to_owned())
        .try_insert()
        .exec_without_returning(tx.db())
        .await?;
    if !matches!(inserted, TryInsertResult::Inserted(1..)) {
        return in_force(tx.db(), &row.subject, row.kind, row.format)
            .await?
            .ok_or_else(|| Failure::Internal("a document was voided while it was stored".into()));
    }
    let content = document_content::ActiveModel {
        document_id: Set(row.id),
        bytes: Set(rendered.bytes),
    };
    document_content::Entity::insert(content)
        .exec_without_returning(tx.db())
        .await?;
    let event = Event::DocumentCreated {
        kind,
        format: row.format,
        subject: row.subject.clone(),
        size: row.size,
    };
    record(tx, &row, event);
    Ok(row)
}

/// The document that is in force for a subject, if there is one.
pub async fn in_force(
    db: &impl ConnectionTrait,
    subject: &str,
    kind: Kind,
    format: document::Format,
) -> Result<Option<Model>, DbErr> {
    Entity::find()
        .filter(Column::Subject.eq(subject))
        .filter(Column::Kind.eq(kind))
        .filter(Column::Format.eq(format))
        .filter(Column::VoidedAt.is_null())
        .one(db)
        .await
}

/// Says that a document is no longer in force; saying it twice changes nothing. Another may be
/// stored in its place.
pub async fn void(tx: &Tx, id: DocumentId) -> Result<Model, Failure> {
    let voided = Entity::update_many()
        .col_expr(Column::VoidedAt, Expr::value(tx.now))
        .col_expr(Column::Version, Expr::col(Column::Version).add(1))
        .filter(Column::Id.eq(id))
        .filter(Column::VoidedAt.is_null())
        .exec_with_returning(tx.db())
        .await?;
    let Some(row) = voided.into_iter().next() else {
        return found(tx, id).await;
    };
    let event = Event::DocumentVoided {
        kind: row.kind,
        subject: row.subject.clone(),
    };
    record(tx, &row, event);
    Ok(row)
}

/// Writes down that a document is printed again. One that is void is refused.
pub async fn reprint(tx: &Tx, id: DocumentId) -> Result<Model, Failure> {
    let printed = Entity::update_many()
        .col_expr(Column::Version, Expr::col(Column::Version).add(1))
        .filter(Column::Id.eq(id))
        .filter(Column::VoidedAt.is_null())
        .exec_with_returning(tx.db())
        .await?;
    let Some(row) = printed.into_iter().next() else {
        found(tx, id).await?;
        let message = "the document is void; print the one that is in force";
        return Err(Problem::new(Code::DocumentVoided, message)
            .at("input.id")
            .into());
    };
    let event = Event::DocumentReprinted {
        kind: row.kind,
        subject: row.subject.clone(),
    };
    record(tx, &row, event);
    Ok(row)
}

/// A document with its bytes.
pub async fn content(
    db: &impl ConnectionTrait,
    id: DocumentId,
) -> Result<Option<(Model, Vec<u8>)>, DbErr> {
    let Some(row) = Entity::find_by_id(id).one(db).await? else {
        return Ok(None);
    };
    let content = document_content::Entity::find_by_id(id).one(db).await?;
    Ok(content.map(|content| (row, content.bytes)))
}

async fn found(tx: &Tx, id: DocumentId) -> Result<Model, Failure> {
    let row = Entity::find_by_id(id).one(tx.db()).await?;
    Ok(row.ok_or_else(|| Problem::not_found("Document").at("input.id"))?)
}

fn record(tx: &Tx, row: &Model, event: Event) {
    tx.emit(Entry {
        aggregate_type: "document",
        aggregate_id: row.id.to_string(),
        version: row.version,
        channel_id: row.channel_id,
        order_id: row.order_id,
        moved: None,
        event,
    });
}

/// A name as every file system takes it.
fn file_name(name: &str, format: document::Format) -> String {
    let safe = |char: char| match char {
        '/' | '\\' | ':' | '*' | '?' | '"' | '<' | '>' | '|' => '-',
        char if char.is_control() || char.is_whitespace() => ' ',
        char => char,
    };
    let name: String = name.chars().map(safe).take(LONGEST_NAME).collect();
    let words: Vec<_> = name.split(' ').filter(|word| !word.is_empty()).collect();
    let name = words.join(" ");
    let name = match name.trim_matches('.') {
        "" => "document",
        name => name,
    };
    format!("{name}.{}", format.ending())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_called_what_every_file_system_takes() {
        let name = |name: &str| file_name(name, document::Format::Pdf);
        assert_eq!(name("Packing slip 1042-1"), "Packing slip 1042-1.pdf");
        assert_eq!(name("../../etc/passwd\n"), "-..-etc-passwd.pdf");
        assert_eq!(name("Żółty \"A\"\r\nB"), "Żółty -A- B.pdf");
        assert_eq!(name(" .. "), "document.pdf");
        assert_eq!(name(&"x".repeat(999)).len(), LONGEST_NAME + 4);
    }
}
