//! Documents as they were printed: what there is, and the addresses under which it is read.

use async_graphql::{Context, Enum, ID, InputObject, Object, Result};
use chrono::{DateTime, Utc};
use entity::{DocumentId, OrderId, document};
use sea_orm::{ColumnTrait, Condition, EntityTrait, Order as Direction, QueryFilter};

use super::catalogue::confined;
use super::command::{payloads, run};
use super::errors::{bad_input, fault};
use super::ids::{from_global, to_global};
use super::loaders::load;
use super::orders::{Order, order_of};
use super::pagination::{Rows, Sort, cost, page};
use super::{Allowed, app, principal};
use crate::access::Scope;
use crate::documents;
use crate::failure::Problem;
use crate::fulfillment::paper;

/// What a document is. More may be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(remote = "entity::document::Kind")]
pub enum DocumentKind {
    /// What a carrier reads on a parcel.
    Label,
    /// What lies in a parcel.
    PackingSlip,
    /// What is fetched from the shelves.
    PickList,
    /// What a carrier takes along at the end of a day.
    Manifest,
    /// What is owed.
    Invoice,
    /// What is no longer owed.
    CreditNote,
}

/// What the bytes of a document are. More may be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(remote = "entity::document::Format")]
pub enum DocumentFormat {
    /// For people and for any printer.
    Pdf,
    /// ZPL II, for label printers.
    Zpl,
    /// UBL 2.1 by EN 16931, for the programs of others.
    Xml,
}

/// A document.
pub struct Document(document::Model);

impl From<document::Model> for Document {
    fn from(row: document::Model) -> Self {
        Document(row)
    }
}

/// A document as it was printed. It never changes; one that is wrong is voided, and another takes
/// its place.
#[Object]
impl Document {
    /// Its identifier.
    pub async fn id(&self) -> ID {
        to_global(self.0.id)
    }

    /// What it is.
    async fn kind(&self) -> DocumentKind {
        self.0.kind.into()
    }

    /// What its bytes are.
    async fn format(&self) -> DocumentFormat {
        self.0.format.into()
    }

    /// The media type of its bytes: `application/pdf`, `application/zpl`, `application/xml`.
    async fn content_type(&self) -> &str {
        &self.0.content_type
    }

    /// What a file of it is called.
    async fn file_name(&self) -> &str {
        &self.0.file_name
    }

    /// How many bytes it has.
    async fn size(&self) -> i64 {
        self.0.size
    }

    /// The SHA-256 of its bytes, in hexadecimal.
    async fn sha256(&self) -> &str {
        &self.0.sha256
    }

    /// What it was printed for: `package:<uuid>` … Of each kind and format, one document for it is
    /// in force.
    async fn subject(&self) -> &str {
        &self.0.subject
    }

    /// The order that it is about; null if it is about none.
    async fn order(&self, ctx: &Context<'_>) -> Result<Option<Order>> {
        match self.0.order_id {
            None => Ok(None),
            Some(id) => Ok(order_of(ctx, id).await?.map(Order::from)),
        }
    }

    /// How often it, or its state, changed: stored, printed again, voided.
    async fn version(&self) -> i64 {
        self.0.version
    }

    /// When it was stored.
    async fn created_at(&self) -> DateTime<Utc> {
        self.0.created_at
    }

    /// By whom: `key:…`, `worker:…`, `cli:…`.
    async fn created_by(&self) -> &str {
        &self.0.created_by
    }

    /// Since when it is no longer in force; null while it is. It can still be read.
    async fn voided_at(&self) -> Option<DateTime<Utc>> {
        self.0.voided_at
    }

    /// Where it is read with GET, without a key, for a quarter of an hour unless the server is set
    /// up otherwise: a path on this server, signed at this moment. Whoever has it can read the
    /// document. Null without the scope PERSONAL_DATA_READ: names and addresses stand in documents.
    async fn url(&self, ctx: &Context<'_>) -> Result<Option<String>> {
        if !principal(ctx)?.may(Scope::PersonalDataRead) {
            return Ok(None);
        }
        let path = app(ctx).document_path(self.0.id).await;
        path.map(Some).map_err(fault)
    }
}

/// Whether the caller sees a document: one of its channels, or any if it is confined to none.
pub(super) fn sees(ctx: &Context<'_>, row: &document::Model) -> bool {
    principal(ctx).is_ok_and(|caller| match row.channel_id {
        Some(channel) => caller.sees(channel),
        None => caller.channels.is_none(),
    })
}

/// A document that the caller names. One that it does not see is not there.
async fn named(ctx: &Context<'_>, id: &ID) -> Result<std::result::Result<DocumentId, Problem>> {
    let id: DocumentId = match from_global(id, "input.id") {
        Ok(id) => id,
        Err(problem) => return Ok(Err(problem)),
    };
    let row = load(ctx, id).await?.filter(|row| sees(ctx, row));
    Ok(match row {
        Some(row) => Ok(row.id),
        None => Err(Problem::not_found("Document").at("input.id")),
    })
}

/// Reading documents.
#[derive(Default)]
pub struct DocumentQuery;

/// Reading documents.
#[Object]
impl DocumentQuery {
    /// A document; null if it is not there or of a channel that is not yours. Needs the scope
    /// FULFILLMENT_READ.
    #[graphql(guard = "Allowed(Scope::FulfillmentRead)")]
    async fn document(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which document.")] id: ID,
    ) -> Result<Option<Document>> {
        let Ok(id) = from_global::<DocumentId>(&id, "id") else {
            return Ok(None);
        };
        let row = load(ctx, id).await?.filter(|row| sees(ctx, row));
        Ok(row.map(Document))
    }

    /// Documents, the newest first, void ones among them. Those that are about no order are not
    /// shown to keys that are confined to channels. Needs the scope FULFILLMENT_READ.
    #[graphql(
        guard = "Allowed(Scope::FulfillmentRead)",
        complexity = "cost(first, child_complexity)"
    )]
    #[allow(
        clippy::too_many_arguments,
        reason = "each is an argument of the field"
    )]
    async fn documents(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Only those about this order.")] order_id: Option<ID>,
        #[graphql(desc = "Only those that were printed for this: `package:<uuid>` …")]
        subject: Option<String>,
        #[graphql(desc = "Only those of this kind.")] kind: Option<DocumentKind>,
        #[graphql(desc = "How many; at most 250, 50 if not given.")] first: Option<i32>,
        #[graphql(desc = "The cursor behind which the page begins.")] after: Option<String>,
    ) -> Result<Rows<Document>> {
        use document::Column;
        let mut wanted = Condition::all();
        if let Some(id) = order_id {
            let id: OrderId = from_global(&id, "orderId")
                .map_err(|_| bad_input("orderId is no identifier of an order"))?;
            wanted = wanted.add(Column::OrderId.eq(id));
        }
        let mine = confined(ctx)?.map(|channels| Column::ChannelId.is_in(channels.iter().copied()));
        let wanted = wanted
            .add_option(subject.map(|subject| Column::Subject.eq(subject)))
            .add_option(kind.map(|kind| Column::Kind.eq(document::Kind::from(kind))))
            .add_option(mine);
        let sort = Sort {
            column: Column::CreatedAt,
            id: Column::Id,
            order: Direction::Desc,
            key: |row: &document::Model| (row.created_at, row.id.0),
        };
        let rows = document::Entity::find().filter(wanted);
        page(app(ctx), rows, sort, first, after, Document).await
    }
}

/// Which document is voided.
#[derive(InputObject)]
pub struct DocumentVoidInput {
    /// Which document.
    id: ID,
}

/// Which document is printed again.
#[derive(InputObject)]
pub struct DocumentReprintInput {
    /// Which document.
    id: ID,
}

payloads! {
    /// The outcome of `documentVoid`.
    DocumentVoidPayload {
        /// The document, which is no longer in force.
        document: Document
    }
    /// The outcome of `documentReprint`.
    DocumentReprintPayload {
        /// The document, with an address that was signed at this moment.
        document: Document
    }
}

/// What can be done to documents.
#[derive(Default)]
pub struct DocumentMutation;

/// What can be done to documents.
#[Object]
impl DocumentMutation {
    /// Says that a document is no longer in force, so that another can be printed in its place; it
    /// can still be read. Nothing is said to a carrier. Voiding it twice changes nothing. Refusals:
    /// NOT_FOUND, FULFILLMENT_STATE_INVALID (what was printed for a parcel that has left),
    /// INVOICE_FINAL (an invoice, which a credit note corrects).
    /// Needs the scope FULFILLMENT_MANAGE.
    #[graphql(guard = "Allowed(Scope::FulfillmentManage)")]
    async fn document_void(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which document.")] input: DocumentVoidInput,
    ) -> Result<DocumentVoidPayload> {
        let id = named(ctx, &input.id).await?;
        Ok(run(ctx, id, async |tx, id| paper::void_one(tx, id).await)
            .await?
            .into())
    }

    /// Gives a document to be printed again, as it was printed first, and writes down that it was.
    /// Refusals: NOT_FOUND, DOCUMENT_VOIDED. Needs the scope FULFILLMENT_WORK.
    #[graphql(guard = "Allowed(Scope::FulfillmentWork)")]
    async fn document_reprint(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which document.")] input: DocumentReprintInput,
    ) -> Result<DocumentReprintPayload> {
        let id = named(ctx, &input.id).await?;
        Ok(
            run(ctx, id, async |tx, id| documents::reprint(tx, id).await)
                .await?
                .into(),
        )
    }
}
