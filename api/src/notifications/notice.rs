//! What somebody is to be told: typed on the way in, and made harmless there. What a customer or a
//! carrier wrote is one line of text from here on.

use chrono::NaiveDate;
use entity::message::Kind;
use entity::{ChannelId, DocumentId, InvoiceId, Money, OrderId, ShipmentId, invoice, order};
use serde_json::{Value as Json, json};

use super::language;
use super::templates::render::one_line;

/// How many characters a fact may have.
const LONGEST_FACT: usize = 300;

/// How many characters a web address may have.
const LONGEST_URL: usize = 2_000;

/// How many lines, and how many parcels, of a shipment are named.
const MOST_NAMED: usize = 200;

/// A message that is owed to the customer of an order.
#[derive(Clone, Debug)]
pub struct Notice {
    pub(super) key: String,
    pub(super) kind: Kind,
    pub(super) order_id: OrderId,
    pub(super) channel_id: ChannelId,
    pub(super) recipient: Option<String>,
    pub(super) language: String,
    pub(super) facts: Json,
}

/// A shipment that is on its way.
#[derive(Clone, Debug, Default)]
pub struct Shipped {
    /// The carrier's name.
    pub carrier: Option<String>,
    /// The parcels that can be followed.
    pub parcels: Vec<Parcel>,
    /// The day by which it was promised, where the customer lives.
    pub promised: Option<NaiveDate>,
    /// What is in it: titles and quantities.
    pub lines: Vec<(String, i64)>,
}

/// An invoice or a credit note that is told of.
#[derive(Clone, Debug)]
pub struct Billed {
    /// What it is.
    pub kind: invoice::Kind,
    /// What people call it.
    pub number: String,
    /// What it comes to.
    pub total: Money,
    /// The invoice that a credit note corrects.
    pub corrects: Option<String>,
    /// The last day to pay it, if it is to be paid.
    pub due_on: Option<NaiveDate>,
    /// What is in it: titles and quantities.
    pub lines: Vec<(String, i64)>,
}

/// A parcel that can be followed.
#[derive(Clone, Debug)]
pub struct Parcel {
    /// What the carrier calls it.
    pub tracking_number: String,
    /// Where it can be followed; what is no web address is left out.
    pub tracking_url: Option<String>,
}

impl Notice {
    /// A shipment was handed to its carrier: told once for each shipment, whatever becomes of its
    /// tracking number.
    pub fn shipment_dispatched(
        order: &order::Model,
        shipment: ShipmentId,
        language: &str,
        shipped: &Shipped,
    ) -> Notice {
        let facts = facts(order, language, shipped);
        let key = format!("shipment.dispatched:{shipment}");
        of(order, Kind::ShipmentDispatched, key, language, facts)
    }

    /// A tracking number of a dispatched shipment was corrected: told once for each correction.
    /// Which correction it is must be said, such as by the order's version after it: a number that
    /// is taken back is told of again.
    pub fn tracking_corrected(
        order: &order::Model,
        shipment: ShipmentId,
        correction: i64,
        language: &str,
        shipped: &Shipped,
        wrong_number: Option<&str>,
    ) -> Notice {
        let mut facts = facts(order, language, shipped);
        facts["wrong_number"] = fact(wrong_number);
        let key = format!("tracking.corrected:{shipment}:{correction}");
        of(order, Kind::TrackingCorrected, key, language, facts)
    }

    /// An invoice or a credit note was issued: told once for each, with its documents attached.
    pub fn billed(
        order: &order::Model,
        id: InvoiceId,
        in_language: &str,
        billed: &Billed,
        documents: &[DocumentId],
    ) -> Notice {
        let kind = match billed.kind {
            invoice::Kind::Invoice => Kind::InvoiceIssued,
            invoice::Kind::CreditNote => Kind::CreditNoteIssued,
        };
        let facts = json!({
            "order": one_line(&order.number, LONGEST_FACT),
            "customer": one_line(&order.customer_name, LONGEST_FACT),
            "number": one_line(&billed.number, LONGEST_FACT),
            "total": billed.total.to_string(),
            "corrects": fact(billed.corrects.as_deref()),
            "due": billed.due_on.map(|date| language::day(date, in_language)),
            "lines": titled(&billed.lines),
            "attachments": documents,
        });
        of(
            order,
            kind,
            format!("invoice.issued:{id}"),
            in_language,
            facts,
        )
    }
}

fn of(order: &order::Model, kind: Kind, key: String, language: &str, facts: Json) -> Notice {
    Notice {
        key,
        kind,
        order_id: order.id,
        channel_id: order.channel_id,
        recipient: order.email.clone(),
        language: language::named(language).unwrap_or_else(|| language::FALLBACK.to_owned()),
        facts,
    }
}

/// What the templates about shipments may say, but for the shop's name: that is known when the
/// message is written.
fn facts(order: &order::Model, in_language: &str, shipped: &Shipped) -> Json {
    let parcels = shipped.parcels.iter().take(MOST_NAMED).map(|parcel| {
        json!({
            "tracking_number": one_line(&parcel.tracking_number, LONGEST_FACT),
            "tracking_url": parcel.tracking_url.as_deref().filter(|url| is_web(url)),
        })
    });
    json!({
        "order": one_line(&order.number, LONGEST_FACT),
        "customer": one_line(&order.customer_name, LONGEST_FACT),
        "carrier": fact(shipped.carrier.as_deref()),
        "parcels": parcels.collect::<Vec<_>>(),
        "promised": shipped.promised.map(|date| language::day(date, in_language)),
        "lines": titled(&shipped.lines),
    })
}

/// Lines as templates name them.
fn titled(lines: &[(String, i64)]) -> Vec<Json> {
    let lines = lines.iter().take(MOST_NAMED);
    let lines = lines.map(
        |(title, quantity)| json!({ "title": one_line(title, LONGEST_FACT), "quantity": quantity }),
    );
    lines.collect()
}

/// Whether a text is a web address, and nothing besides.
fn is_web(url: &str) -> bool {
    let web = url.starts_with("https://") || url.starts_with("http://");
    web && url.len() <= LONGEST_URL && url.bytes().all(|b| b.is_ascii_graphic())
}

fn fact(text: Option<&str>) -> Json {
    let text = text.map(|text| one_line(text, LONGEST_FACT));
    text.filter(|text| !text.is_empty()).into()
}
