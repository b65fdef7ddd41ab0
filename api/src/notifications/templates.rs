//! How messages are worded: the program's own templates, and the merchant's in their stead.
//!
//! Of all that fit, the narrowest language wins, in it the channel's own over the merchant's, and
//! that over the program's; see [`language::fallbacks`].

use chrono::NaiveDate;
use entity::message::Kind;
use entity::{ChannelId, MessageTemplateId, channel, message_template};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, Condition, ConnectionTrait, DbErr, EntityTrait, IntoActiveModel,
    Iterable, QueryFilter, QuerySelect, Set,
};
use serde_json::{Value as Json, json};

use super::language;
use crate::checks::expect_version;
use crate::events::{Entry, Event};
use crate::failure::{Code, Failure, Problem};
use crate::tx::Tx;

pub mod render;

use render::{Flaw, Wording};

macro_rules! built_in {
    ($kind:literal, $language:literal) => {
        [
            include_str!(concat!("templates/", $kind, "/", $language, ".subject")),
            include_str!(concat!("templates/", $kind, "/", $language, ".txt")),
            include_str!(concat!("templates/", $kind, "/", $language, ".html")),
        ]
    };
}

/// The program's own wording, if it has some in a language.
fn built_in(kind: Kind, language: &str) -> Option<Wording> {
    let [subject, text, html] = match (kind, language) {
        (Kind::ShipmentDispatched, "en") => built_in!("shipment_dispatched", "en"),
        (Kind::ShipmentDispatched, "de") => built_in!("shipment_dispatched", "de"),
        (Kind::TrackingCorrected, "en") => built_in!("tracking_corrected", "en"),
        (Kind::TrackingCorrected, "de") => built_in!("tracking_corrected", "de"),
        (Kind::InvoiceIssued, "en") => built_in!("invoice_issued", "en"),
        (Kind::InvoiceIssued, "de") => built_in!("invoice_issued", "de"),
        (Kind::CreditNoteIssued, "en") => built_in!("credit_note_issued", "en"),
        (Kind::CreditNoteIssued, "de") => built_in!("credit_note_issued", "de"),
        _ => return None,
    };
    Some(Wording {
        subject: subject.to_owned(),
        text: text.to_owned(),
        html: html.to_owned(),
    })
}

/// The facts of a kind of message as they might be; every one that its templates may name.
pub fn sample(kind: Kind, in_language: &str) -> Json {
    let promised = NaiveDate::from_ymd_opt(2026, 12, 24).unwrap_or_default();
    let mut facts = json!({
        "shop": "Northwind",
        "order": "10042",
        "customer": "Anna Leitner",
        "carrier": "Post",
        "parcels": [
            { "tracking_number": "1Z 999 AA1 01",
                "tracking_url": "https://tracking.example/1Z999AA101" },
            { "tracking_number": "1Z 999 AA1 02", "tracking_url": null },
        ],
        "promised": language::day(promised, in_language),
        "lines": [
            { "title": "Mug, white", "quantity": 2 },
            { "title": "Plate <large>", "quantity": 1 },
        ],
    });
    match kind {
        Kind::ShipmentDispatched => {}
        Kind::TrackingCorrected => facts["wrong_number"] = "1Z 999 AA1 00".into(),
        Kind::InvoiceIssued | Kind::CreditNoteIssued => {
            facts["number"] = "R-2026-000317".into();
            facts["total"] = "128.90 EUR".into();
            facts["due"] = language::day(promised, in_language).into();
            facts["corrects"] = "R-2026-000299".into();
        }
    }
    facts
}

/// The same with as little as there may be.
fn sparse(kind: Kind, language: &str) -> Json {
    let mut facts = sample(kind, language);
    for (name, fact) in facts.as_object_mut().into_iter().flatten() {
        match name.as_str() {
            "shop" | "order" | "customer" | "number" | "total" => {}
            "lines" | "parcels" => *fact = json!([]),
            _ => *fact = Json::Null,
        }
    }
    facts
}

/// Wording, and whose it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The templates.
    pub wording: Wording,
    /// The language that they are in.
    pub language: String,
    /// The merchant's row; none = it is the program's own.
    pub template_id: Option<MessageTemplateId>,
}

/// The wording for messages of a kind, the best first. The last is always the program's own.
pub async fn fitting(
    db: &impl ConnectionTrait,
    kind: Kind,
    language: &str,
    channel: Option<ChannelId>,
) -> Result<Vec<Found>, DbErr> {
    use message_template::{Column, Entity};
    let languages = language::fallbacks(language);
    let rows = Entity::find()
        .filter(Column::Kind.eq(kind))
        .filter(Column::Language.is_in(languages.iter().map(String::as_str)))
        .filter(
            Condition::any()
                .add(Column::ChannelId.is_null())
                .add_option(channel.map(|channel| Column::ChannelId.eq(channel))),
        )
        .all(db)
        .await?;
    let mut found = Vec::new();
    for language in languages {
        let mut own: Vec<_> = rows.iter().filter(|row| row.language == language).collect();
        own.sort_by_key(|row| row.channel_id.is_none());
        found.extend(own.into_iter().map(|row| Found {
            wording: Wording {
                subject: row.subject.clone(),
                text: row.text_body.clone(),
                html: row.html_body.clone(),
            },
            language: row.language.clone(),
            template_id: Some(row.id),
        }));
        found.extend(built_in(kind, &language).map(|wording| Found {
            wording,
            language,
            template_id: None,
        }));
    }
    Ok(found)
}

/// Fills wording in with the sample of its kind.
pub fn preview(kind: Kind, language: &str, wording: &Wording) -> Result<Wording, Problem> {
    render::render(wording, &sample(kind, language)).map_err(|flaw| refusal(&flaw))
}

fn refusal(flaw: &Flaw) -> Problem {
    Problem::new(Code::TemplateInvalid, format!("{}, {flaw}", flaw.part))
        .at(&format!("input.{}", flaw.part))
        .with(json!({ "line": flaw.line, "reason": flaw.reason }))
}

/// The language that somebody names.
pub fn checked_language(name: &str) -> Result<String, Problem> {
    language::named(name).ok_or_else(|| {
        let message = "a language is de, de-AT …";
        Problem::new(Code::InvalidInput, message).at("input.language")
    })
}

/// What [`save`] needs.
#[derive(Clone, Debug)]
pub struct Save {
    /// The messages that it is for.
    pub kind: Kind,
    /// The language that it is in.
    pub language: String,
    /// The one channel whose messages it is for; none = all.
    pub channel_id: Option<ChannelId>,
    /// The templates.
    pub wording: Wording,
    /// The version that the caller decided on; 0 = there was none.
    pub expected_version: Option<i64>,
}

/// Keeps the merchant's wording in the program's stead, provided that it can be filled in.
pub async fn save(tx: &Tx, cmd: Save) -> Result<message_template::Model, Failure> {
    use message_template::{Column, Entity};
    let language = checked_language(&cmd.language)?;
    preview(cmd.kind, &language, &cmd.wording)?;
    render::render(&cmd.wording, &sparse(cmd.kind, &language)).map_err(|flaw| refusal(&flaw))?;
    if let Some(channel) = cmd.channel_id
        && channel::Entity::find_by_id(channel)
            .one(tx.db())
            .await?
            .is_none()
    {
        return Err(Problem::not_found("Channel").at("input.channelId").into());
    }
    let mut rows = Entity::find()
        .filter(Column::Kind.eq(cmd.kind))
        .filter(Column::Language.eq(&language))
        .filter(match cmd.channel_id {
            Some(channel) => Column::ChannelId.eq(channel),
            None => Column::ChannelId.is_null(),
        });
    if tx.locks_rows() {
        rows = rows.lock_exclusive();
    }
    let before = rows.one(tx.db()).await?;
    let version = before.as_ref().map_or(0, |row| row.version);
    expect_version("template", version, cmd.expected_version)?;
    let row = message_template::Model {
        id: before.as_ref().map_or_else(|| tx.id(), |row| row.id),
        kind: cmd.kind,
        language,
        channel_id: cmd.channel_id,
        subject: cmd.wording.subject,
        text_body: cmd.wording.text,
        html_body: cmd.wording.html,
        version: version + 1,
        created_at: before.as_ref().map_or(tx.now, |row| row.created_at),
        updated_at: tx.now,
    };
    match before {
        None => {
            let inserted = Entity::insert(row.clone().into_active_model())
                .exec_without_returning(tx.db())
                .await;
            inserted.map_err(|error| taken(error.into()))?;
        }
        Some(_) => {
            let mut changed = row.clone().into_active_model();
            changed.subject = Set(row.subject.clone());
            changed.text_body = Set(row.text_body.clone());
            changed.html_body = Set(row.html_body.clone());
            changed.version = Set(row.version);
            changed.updated_at = Set(row.updated_at);
            changed.update(tx.db()).await?;
        }
    }
    let event = Event::MessageTemplateSaved {
        kind: row.kind,
        language: row.language.clone(),
    };
    record(tx, &row, row.version, event);
    Ok(row)
}

/// Two who made the first template of a kind at once: the second has not seen the first's.
fn taken(failure: Failure) -> Failure {
    match failure.unique_violation() {
        Some(_) => Problem::new(Code::StaleVersion, "somebody has just made this template")
            .at("input.expectedVersion")
            .into(),
        None => failure,
    }
}

/// What [`delete`] needs.
#[derive(Clone, Debug)]
pub struct Delete {
    /// Which template.
    pub id: MessageTemplateId,
    /// The version that the caller decided on.
    pub expected_version: Option<i64>,
}

/// Goes back to what the template stood in for.
pub async fn delete(tx: &Tx, cmd: Delete) -> Result<message_template::Model, Failure> {
    let mut rows = message_template::Entity::find_by_id(cmd.id);
    if tx.locks_rows() {
        rows = rows.lock_exclusive();
    }
    let row = rows
        .one(tx.db())
        .await?
        .ok_or_else(|| Problem::not_found("MessageTemplate").at("input.id"))?;
    expect_version("template", row.version, cmd.expected_version)?;
    message_template::Entity::delete_by_id(row.id)
        .exec(tx.db())
        .await?;
    let event = Event::MessageTemplateDeleted {
        kind: row.kind,
        language: row.language.clone(),
    };
    record(tx, &row, row.version + 1, event);
    Ok(row)
}

fn record(tx: &Tx, row: &message_template::Model, version: i64, event: Event) {
    tx.emit(Entry {
        aggregate_type: "message_template",
        aggregate_id: row.id.to_string(),
        version,
        channel_id: row.channel_id,
        order_id: None,
        moved: None,
        event,
    });
}

/// Every kind of message.
pub fn kinds() -> impl Iterator<Item = Kind> {
    Kind::iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_wording_of_every_kind_can_be_filled_in_with_much_and_with_little() {
        for kind in kinds() {
            for language in ["en", "de"] {
                let wording = built_in(kind, language).expect("wording");
                for facts in [sample(kind, language), sparse(kind, language)] {
                    let filled = render::render(&wording, &facts)
                        .unwrap_or_else(|flaw| panic!("{kind:?} {language} {}: {flaw}", flaw.part));
                    assert!(filled.subject.contains("10042"), "{}", filled.subject);
                    assert!(filled.text.contains("Anna Leitner"), "{}", filled.text);
                    assert!(filled.html.contains("Northwind"), "{}", filled.html);
                    assert!(!filled.text.contains("none"), "{}", filled.text);
                }
                let filled = preview(kind, language, &wording).expect("a preview");
                assert!(filled.html.contains("Plate &lt;large&gt;"));
                assert!(filled.text.contains("Plate <large>"));
            }
        }
    }
}
