//! Messages to people, and how they are worded, on the wire.

use async_graphql::{Context, Enum, ID, InputObject, Json, Object, Result, SimpleObject};
use chrono::{DateTime, Utc};
use entity::{
    ChannelId, MessageId, MessageTemplateId, OrderId, message, message_attempt, message_template,
};
use sea_orm::{ColumnTrait, Condition, EntityTrait, Order as Direction, QueryFilter};
use serde::Serialize;
use serde_json::json;

use super::catalogue::channels::Channel;
use super::catalogue::{confined, for_seen_channels, seen_channel_if_any, sees};
use super::command::{payloads, run};
use super::errors::{UserError, fault, outcome};
use super::ids::{from_global, from_optional, to_global};
use super::loaders::{AttemptsOf, load};
use super::once::once;
use super::orders::{Order, order_of};
use super::pagination::{Rows, Sort, cost, page};
use super::stock::done_once;
use super::{Allowed, actor, app, principal};
use crate::access::Scope;
use crate::failure::{Code, Failure, Problem};
use crate::notifications::templates::render::Wording;
use crate::notifications::{self, Resend, templates};

/// What a message is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(remote = "entity::message::Kind")]
pub enum MessageKind {
    /// A shipment was handed to its carrier.
    ShipmentDispatched,
    /// The tracking number of a dispatched shipment was wrong; this is the right one.
    TrackingCorrected,
    /// A shipment was paid for; its invoice is attached.
    InvoiceIssued,
    /// An invoice was corrected; the credit note is attached.
    CreditNoteIssued,
}

/// Where a message stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(remote = "entity::message::State")]
pub enum MessageState {
    /// It waits to be sent, or to be tried again. No mail server has taken it.
    Queued,
    /// It is being handed to the mail server.
    Sending,
    /// The mail server has taken it.
    Sent,
    /// It is not tried again. No mail server has taken it.
    Failed,
    /// There is no address to send it to.
    Undeliverable,
    /// The mail server may have taken it: a try had no definite answer. It is tried once more, under
    /// the same Message-ID, if it has a `nextAttemptAt`; else it is for a person to decide.
    Unknown,
}

/// Why a message, or one try, did not come to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(remote = "entity::message::Reason")]
pub enum MessageReason {
    /// There is no address, or one that is none.
    NoAddress,
    /// No mail server could be spoken to, or it went away before it had the message.
    Unreachable,
    /// The mail server asked for another try later.
    Deferred,
    /// The mail server refused for good.
    Rejected,
    /// The mail server had the message and gave no answer.
    Unanswered,
    /// No template could be filled in.
    Unrendered,
}

/// A message that is owed to somebody.
pub struct Message(message::Model);

impl From<message::Model> for Message {
    fn from(row: message::Model) -> Self {
        Message(row)
    }
}

/// A message that is owed to somebody: once, whoever asks for it how often. A mail server that is
/// away is tried again for a day, one that asks for patience as well; one that refuses is not.
#[Object]
impl Message {
    /// Its identifier.
    pub async fn id(&self) -> ID {
        to_global(self.0.id)
    }

    /// What it is about.
    async fn kind(&self) -> MessageKind {
        self.0.kind.into()
    }

    /// The order that it is about.
    async fn order(&self, ctx: &Context<'_>) -> Result<Option<Order>> {
        Ok(order_of(ctx, self.0.order_id).await?.map(Order))
    }

    /// Where it goes; null if there is no address, or without the scope PERSONAL_DATA_READ.
    async fn recipient(&self, ctx: &Context<'_>) -> Result<Option<&str>> {
        self.personal(ctx, self.0.recipient.as_deref())
    }

    /// The language that it was asked for in: `de-AT`, `en` …
    async fn language(&self) -> &str {
        &self.0.language
    }

    /// Where it stands.
    async fn state(&self) -> MessageState {
        self.0.state.into()
    }

    /// Why the last try came to nothing.
    async fn reason(&self) -> Option<MessageReason> {
        self.0.reason.map(Into::into)
    }

    /// When it is tried next, or, while it is SENDING, given up for lost; null if it is not.
    async fn next_attempt_at(&self) -> Option<DateTime<Utc>> {
        self.0.next_attempt_at
    }

    /// Its subject; null before the first try, or without the scope PERSONAL_DATA_READ.
    async fn subject(&self, ctx: &Context<'_>) -> Result<Option<&str>> {
        self.personal(ctx, self.0.subject.as_deref())
    }

    /// Its text; null before the first try, or without the scope PERSONAL_DATA_READ.
    async fn text(&self, ctx: &Context<'_>) -> Result<Option<&str>> {
        self.personal(ctx, self.0.text_body.as_deref())
    }

    /// The same as HTML; null before the first try, or without the scope PERSONAL_DATA_READ.
    async fn html(&self, ctx: &Context<'_>) -> Result<Option<&str>> {
        self.personal(ctx, self.0.html_body.as_deref())
    }

    /// The message that it repeats.
    async fn resend_of(&self) -> Option<ID> {
        self.0.resend_of.map(to_global)
    }

    /// The tries to send it, oldest first.
    async fn attempts(&self, ctx: &Context<'_>) -> Result<Vec<MessageAttempt>> {
        let rows = load(ctx, AttemptsOf(self.0.id)).await?.unwrap_or_default();
        Ok(rows.into_iter().map(MessageAttempt).collect())
    }

    /// When it was owed.
    async fn created_at(&self) -> DateTime<Utc> {
        self.0.created_at
    }

    /// When the mail server took it.
    async fn sent_at(&self) -> Option<DateTime<Utc>> {
        self.0.sent_at
    }
}

impl Message {
    /// What only those see who may see people's data.
    fn personal<'a>(&self, ctx: &Context<'_>, text: Option<&'a str>) -> Result<Option<&'a str>> {
        let may = principal(ctx)?.may(Scope::PersonalDataRead);
        Ok(text.filter(|_| may))
    }
}

/// A try to send a message.
pub struct MessageAttempt(message_attempt::Model);

/// A try to send a message.
#[Object]
impl MessageAttempt {
    /// 1 for the first try.
    async fn number(&self) -> i32 {
        self.0.number
    }

    /// When the message was taken up.
    async fn started_at(&self) -> DateTime<Utc> {
        self.0.started_at
    }

    /// When the outcome was written down; null while it is under way.
    async fn ended_at(&self) -> Option<DateTime<Utc>> {
        self.0.ended_at
    }

    /// Why it came to nothing; null while it is under way, or if the mail server took the message.
    async fn reason(&self) -> Option<MessageReason> {
        self.0.reason.map(Into::into)
    }

    /// What the mail server said, or what went wrong; null without the scope PERSONAL_DATA_READ, as
    /// servers like to repeat addresses.
    async fn answer(&self, ctx: &Context<'_>) -> Result<Option<&str>> {
        let may = principal(ctx)?.may(Scope::PersonalDataRead);
        Ok(self.0.answer.as_deref().filter(|_| may))
    }
}

/// The merchant's own wording of messages, in the program's stead.
pub struct MessageTemplate(message_template::Model);

impl From<message_template::Model> for MessageTemplate {
    fn from(row: message_template::Model) -> Self {
        MessageTemplate(row)
    }
}

/// The merchant's own wording of messages, in the program's stead. For a message, the narrowest
/// language wins (`de-AT`, then `de`, then `en`), in it the channel's own over that for all
/// channels, and that over the program's.
#[Object]
impl MessageTemplate {
    /// Its identifier.
    pub async fn id(&self) -> ID {
        to_global(self.0.id)
    }

    /// The messages that it is for.
    async fn kind(&self) -> MessageKind {
        self.0.kind.into()
    }

    /// The language that it is in: `de-AT`, `en` …
    async fn language(&self) -> &str {
        &self.0.language
    }

    /// The one channel whose messages it is for; null = all.
    async fn channel(&self, ctx: &Context<'_>) -> Result<Option<Channel>> {
        match self.0.channel_id {
            Some(id) => Ok(load(ctx, id).await?.map(Channel)),
            None => Ok(None),
        }
    }

    /// The template of the subject.
    async fn subject(&self) -> &str {
        &self.0.subject
    }

    /// The template of the text.
    async fn text(&self) -> &str {
        &self.0.text_body
    }

    /// The template of the HTML.
    async fn html(&self) -> &str {
        &self.0.html_body
    }

    /// +1 with every change; give it back as `expectedVersion`.
    async fn version(&self) -> i64 {
        self.0.version
    }

    /// When it was made.
    async fn created_at(&self) -> DateTime<Utc> {
        self.0.created_at
    }

    /// When it last changed.
    async fn updated_at(&self) -> DateTime<Utc> {
        self.0.updated_at
    }
}

/// The parts of a message, as templates or filled in.
#[derive(SimpleObject)]
pub struct MessageWording {
    /// The subject.
    subject: String,
    /// The text.
    text: String,
    /// The same as HTML.
    html: String,
}

impl From<Wording> for MessageWording {
    fn from(wording: Wording) -> Self {
        MessageWording {
            subject: wording.subject,
            text: wording.text,
            html: wording.html,
        }
    }
}

/// Which messages.
#[derive(Clone, Debug, Default, InputObject)]
pub struct MessageWhere {
    /// Of this order.
    pub order_id: Option<ID>,
    /// Of this channel.
    pub channel_id: Option<ID>,
    /// In one of these states.
    pub state: Option<Vec<MessageState>>,
    /// Of one of these kinds.
    pub kind: Option<Vec<MessageKind>>,
}

impl MessageWhere {
    /// None if it names what does not exist.
    fn condition(self) -> std::result::Result<Condition, Problem> {
        use message::Column;
        let order = from_optional::<OrderId>(self.order_id.as_ref(), "where.orderId")?;
        let channel = from_optional::<ChannelId>(self.channel_id.as_ref(), "where.channelId")?;
        let states = self.state.map(|states| {
            let states = states.into_iter().map(message::State::from);
            Column::State.is_in(states)
        });
        let kinds = self.kind.map(|kinds| {
            let kinds = kinds.into_iter().map(message::Kind::from);
            Column::Kind.is_in(kinds)
        });
        Ok(Condition::all()
            .add_option(order.map(|order| Column::OrderId.eq(order)))
            .add_option(channel.map(|channel| Column::ChannelId.eq(channel)))
            .add_option(states)
            .add_option(kinds))
    }
}

/// What is previewed.
#[derive(Clone, Debug, InputObject)]
pub struct MessagePreviewInput {
    /// What the message is about.
    pub kind: MessageKind,
    /// Its language: `de`, `de-AT` … (INVALID_INPUT).
    pub language: String,
    /// The channel that it is sent for (NOT_FOUND); none if not given.
    pub channel_id: Option<ID>,
    /// A draft of the subject; the template in use if not given.
    pub subject: Option<String>,
    /// A draft of the text; the template in use if not given.
    pub text: Option<String>,
    /// A draft of the HTML; the template in use if not given.
    pub html: Option<String>,
}

/// What `messagePreview` came to.
#[derive(Default, SimpleObject)]
pub struct MessagePreviewPayload {
    /// The message, filled in with the sample facts; null if it was refused.
    message: Option<MessageWording>,
    /// The templates that are in use for such a message, to begin a change with.
    template: Option<MessageWording>,
    /// The language that these are in.
    language: Option<String>,
    /// Whether these are the program's own.
    built_in: Option<bool>,
    /// The sample facts: every one that the templates may name.
    facts: Option<Json<serde_json::Value>>,
    /// Why it cannot be filled in; empty if it can.
    user_errors: Vec<UserError>,
}

async fn find(ctx: &Context<'_>, id: &ID) -> Result<Option<message::Model>> {
    let Ok(id) = from_global::<MessageId>(id, "id") else {
        return Ok(None);
    };
    let row = load(ctx, id).await?;
    Ok(row.filter(|row| sees(ctx, Some(row.channel_id))))
}

/// Reads of messages.
#[derive(Default)]
pub struct MessageQuery;

/// Reads of messages.
#[Object]
impl MessageQuery {
    /// The messages that people are owed or were sent, for the channels that you see, the newest
    /// first. Needs the scope ORDERS_READ.
    #[graphql(
        guard = "Allowed(Scope::OrdersRead)",
        complexity = "cost(first, child_complexity)"
    )]
    async fn messages(
        &self,
        ctx: &Context<'_>,
        #[graphql(name = "where", desc = "Which; all if not given.")] which: Option<MessageWhere>,
        #[graphql(desc = "How many, 50 unless told, at most 250.")] first: Option<i32>,
        #[graphql(desc = "The cursor to go on behind.")] after: Option<String>,
    ) -> Result<Rows<Message>> {
        let mine = confined(ctx)?
            .map(|channels| message::Column::ChannelId.is_in(channels.iter().copied()));
        // What is named and is not there has no messages.
        let nothing = |_| Condition::all().add(message::Column::Id.is_null());
        let asked = which.unwrap_or_default().condition();
        let rows = message::Entity::find()
            .filter(Condition::all().add_option(mine))
            .filter(asked.unwrap_or_else(nothing));
        let sort = Sort {
            column: message::Column::CreatedAt,
            id: message::Column::Id,
            order: Direction::Desc,
            key: |row: &message::Model| (row.created_at, row.id.0),
        };
        page(app(ctx), rows, sort, first, after, Message).await
    }

    /// A message; null if there is none that you may see. Needs the scope ORDERS_READ.
    #[graphql(guard = "Allowed(Scope::OrdersRead)")]
    async fn message(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which message.")] id: ID,
    ) -> Result<Option<Message>> {
        Ok(find(ctx, &id).await?.map(Message))
    }

    /// The merchant's own templates, for the channels that you see, by language. What the program
    /// brings is not among them: see `messagePreview`. Needs the scope CATALOGUE_READ.
    #[graphql(
        guard = "Allowed(Scope::CatalogueRead)",
        complexity = "cost(first, child_complexity)"
    )]
    async fn message_templates(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "How many, 50 unless told, at most 250.")] first: Option<i32>,
        #[graphql(desc = "The cursor to go on behind.")] after: Option<String>,
    ) -> Result<Rows<MessageTemplate>> {
        let rows = message_template::Entity::find()
            .filter(for_seen_channels(ctx, message_template::Column::ChannelId)?);
        let sort = Sort {
            column: message_template::Column::Language,
            id: message_template::Column::Id,
            order: Direction::Asc,
            key: |row: &message_template::Model| (row.language.clone(), row.id.0),
        };
        page(app(ctx), rows, sort, first, after, MessageTemplate).await
    }

    /// How a message would look: the templates in use, or a draft of some parts, filled in with
    /// sample facts. Nothing is written or sent.
    ///
    /// A template is text with tags: `{{ order }}` prints a fact, `{% if carrier %} … {% else %} …
    /// {% endif %}` asks whether there is one, `{% for line in lines %} … {% endfor %}` goes through
    /// a list, `{# … #}` is a remark. There is no more to it. Facts are escaped in HTML. Refusals:
    /// INVALID_INPUT, NOT_FOUND, TEMPLATE_INVALID. Needs the scope CATALOGUE_READ.
    #[graphql(guard = "Allowed(Scope::CatalogueRead)")]
    async fn message_preview(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which message, and drafts of its templates.")] input: MessagePreviewInput,
    ) -> Result<MessagePreviewPayload> {
        let asked = templates::checked_language(&input.language).and_then(|language| {
            let field = "input.channelId";
            let channel = seen_channel_if_any(ctx, input.channel_id.as_ref(), field)?;
            Ok((language, channel))
        });
        let (asked, user_errors) = outcome(asked.map_err(Failure::from))?;
        let Some((language, channel)) = asked else {
            return Ok(MessagePreviewPayload {
                user_errors,
                ..Default::default()
            });
        };
        let kind = input.kind.into();
        let db = &app(ctx).db.read;
        let fitting = templates::fitting(db, kind, &language, channel).await;
        let found = fitting.map_err(fault)?.into_iter().next().ok_or_else(|| {
            fault(Failure::Internal(
                "a kind of message without words".to_owned(),
            ))
        })?;
        let draft = Wording {
            subject: input.subject.unwrap_or(found.wording.subject.clone()),
            text: input.text.unwrap_or(found.wording.text.clone()),
            html: input.html.unwrap_or(found.wording.html.clone()),
        };
        let filled = templates::preview(kind, &language, &draft).map_err(Failure::from);
        let (message, user_errors) = outcome(filled)?;
        Ok(MessagePreviewPayload {
            message: message.map(Into::into),
            template: Some(found.wording.into()),
            language: Some(found.language),
            built_in: Some(found.template_id.is_none()),
            facts: Some(Json(templates::sample(kind, &language))),
            user_errors,
        })
    }
}

/// What `messageTemplateSave` needs.
#[derive(Clone, Debug, InputObject)]
pub struct MessageTemplateSaveInput {
    /// The messages that it is for.
    pub kind: MessageKind,
    /// The language that it is in: `de`, `de-AT` … (INVALID_INPUT).
    pub language: String,
    /// The one channel whose messages it is for; all if not given (NOT_FOUND).
    pub channel_id: Option<ID>,
    /// The template of the subject; at most 200 characters come of it.
    pub subject: String,
    /// The template of the text; at most 64 KiB come of it.
    pub text: String,
    /// The template of the HTML; at most 64 KiB come of it.
    pub html: String,
    /// The version that you decided on, 0 if there was none (STALE_VERSION).
    pub expected_version: Option<i64>,
}

/// What `messageTemplateDelete` needs.
#[derive(Clone, Debug, InputObject)]
pub struct MessageTemplateDeleteInput {
    /// Which template (NOT_FOUND).
    pub id: ID,
    /// The version that you decided on (STALE_VERSION).
    pub expected_version: Option<i64>,
}

/// Sends a message again.
#[derive(Serialize, InputObject)]
pub struct MessageResendInput {
    /// The message.
    pub id: ID,
    /// Where it goes (EMAIL_INVALID); if not given, to the order's address as it is now, or else
    /// where it went.
    pub recipient: Option<String>,
    /// Makes a repetition have the effect of one; or give the header `Idempotency-Key`. Kept 72
    /// hours. 1 to 255 visible ASCII characters.
    #[serde(skip)]
    pub idempotency_key: Option<String>,
}

/// What `messageResend` came to.
#[derive(Default, SimpleObject)]
pub struct MessageResendPayload {
    /// The new message; null if it was refused.
    message: Option<Message>,
    /// Why nothing is sent; empty if it is.
    user_errors: Vec<UserError>,
    /// Whether this is the answer to an earlier request with the same key.
    replayed: bool,
}

payloads! {
    /// What `messageTemplateSave` came to.
    MessageTemplateSavePayload {
        /// The template as it is now; null if it was refused.
        message_template: MessageTemplate
    }
    /// What `messageTemplateDelete` came to.
    MessageTemplateDeletePayload {
        /// The template as it was; null if it was refused.
        message_template: MessageTemplate
    }
}

/// Whoever sees only some channels has a say in the wording of these only.
fn own(
    ctx: &Context<'_>,
    channel: Option<ChannelId>,
    field: &str,
) -> std::result::Result<(), Problem> {
    let sees_all = confined(ctx).is_ok_and(|channels| channels.is_none());
    if sees_all || channel.is_some() {
        return Ok(());
    }
    let message = "your key sees some channels only: it has no say in the wording for all";
    Err(Problem::new(Code::InvalidInput, message).at(field))
}

/// Changes of messages.
#[derive(Default)]
pub struct MessageMutation;

/// Changes of messages.
#[Object]
impl MessageMutation {
    /// Keeps your wording of a kind of message in the program's stead, or changes it. It holds for
    /// messages that are first tried from now on. It is refused if it cannot be filled in: see
    /// `messagePreview`. Refusals: TEMPLATE_INVALID, INVALID_INPUT, NOT_FOUND, STALE_VERSION. Needs
    /// the scope CATALOGUE_MANAGE.
    #[graphql(guard = "Allowed(Scope::CatalogueManage)")]
    async fn message_template_save(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The wording, and what it is for.")] input: MessageTemplateSaveInput,
    ) -> Result<MessageTemplateSavePayload> {
        let field = "input.channelId";
        let channel = seen_channel_if_any(ctx, input.channel_id.as_ref(), field);
        let channel = channel.and_then(|channel| own(ctx, channel, field).map(|()| channel));
        let cmd = channel.map(|channel_id| templates::Save {
            kind: input.kind.into(),
            language: input.language,
            channel_id,
            wording: Wording {
                subject: input.subject,
                text: input.text,
                html: input.html,
            },
            expected_version: input.expected_version,
        });
        Ok(run(ctx, cmd, templates::save).await?.into())
    }

    /// Deletes your wording of a kind of message: what it stood in for holds again. Refusals:
    /// NOT_FOUND, STALE_VERSION, INVALID_INPUT. Needs the scope CATALOGUE_MANAGE.
    #[graphql(guard = "Allowed(Scope::CatalogueManage)")]
    async fn message_template_delete(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which template.")] input: MessageTemplateDeleteInput,
    ) -> Result<MessageTemplateDeletePayload> {
        let missing = Problem::not_found("MessageTemplate").at("input.id");
        let cmd = match from_global::<MessageTemplateId>(&input.id, "input.id") {
            Err(problem) => Err(problem),
            Ok(id) => load(ctx, id)
                .await?
                .filter(|row| sees(ctx, row.channel_id))
                .ok_or(missing)
                .and_then(|row| own(ctx, row.channel_id, "input.id").map(|()| row.id)),
        };
        let cmd = cmd.map(|id| templates::Delete {
            id,
            expected_version: input.expected_version,
        });
        Ok(run(ctx, cmd, templates::delete).await?.into())
    }

    /// Sends a message again, as a new one with the same words. One that is on its way, or will be
    /// tried again by itself, is refused (MESSAGE_PENDING). Refusals: NOT_FOUND, MESSAGE_PENDING,
    /// EMAIL_INVALID, INVALID_INPUT. Needs the scope ORDERS_MANAGE.
    #[graphql(guard = "Allowed(Scope::OrdersManage)")]
    async fn message_resend(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which message, and where it goes.")] input: MessageResendInput,
    ) -> Result<MessageResendPayload> {
        let refused = |problem: Problem| MessageResendPayload {
            user_errors: vec![problem.into()],
            ..Default::default()
        };
        let Some(row) = find(ctx, &input.id).await? else {
            return Ok(refused(Problem::not_found("Message").at("input.id")));
        };
        let key = input.idempotency_key.as_deref();
        let once = match once(ctx, "messageResend", &input, key) {
            Ok(once) => once,
            Err(problem) => return Ok(refused(problem)),
        };
        let cmd = &Resend {
            id: row.id,
            recipient: input.recipient.clone(),
        };
        let result = app(ctx)
            .write_once(&actor(ctx)?, once.as_ref(), move |tx| async move {
                let id = notifications::resend(&tx, cmd).await?;
                Ok(json!({ "message": id }))
            })
            .await;
        let (answered, user_errors) = done_once(ctx, result)?;
        let message = match &answered {
            Some(answered) => {
                let id: MessageId = serde_json::from_value(answered.answer["message"].clone())
                    .map_err(|_| Failure::Internal("a saved answer without its message".to_owned()))
                    .map_err(fault)?;
                load(ctx, id).await?
            }
            None => None,
        };
        Ok(MessageResendPayload {
            message: message.map(Message),
            user_errors,
            replayed: answered.is_some_and(|answered| answered.replayed),
        })
    }
}
