//! API keys, and who the caller is.

use std::collections::BTreeSet;

use async_graphql::{Context, Enum, Guard, ID, InputObject, Object, Result, SimpleObject};
use chrono::{DateTime, Utc};
use entity::{ChannelId, api_key};
use sea_orm::{EntityTrait, Order};

use super::catalogue::channels::Channel;
use super::command::{Outcome, payloads};
use super::errors::{UserError, fault, forbidden, outcome};
use super::ids::{from_global, from_globals, to_global};
use super::loaders::load_all;
use super::pagination::{Rows, Sort, cost, page};
use super::{Allowed, actor, app, principal};
use crate::access::{self, CreateKey, Principal, Scope};
use crate::catalogue::Reference;
use crate::checks::Checks;
use crate::failure::{Code, Failure, Problem};

/// What a key may do; each role is a set of scopes. Values may be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(remote = "api_key::Role")]
pub enum Role {
    /// Everything.
    Admin,
    /// Orders, exceptions, stock and catalogue.
    Operations,
    /// Stock and fulfilment of its warehouses.
    Warehouse,
    /// Orders and customers, without stock.
    Support,
    /// Payments and figures.
    Finance,
    /// Its own channels: submit and follow orders.
    Partner,
    /// Reads, without personal data.
    Viewer,
}

/// Lets a field be resolved only for callers that are confined to no channels: others could make
/// themselves a key that sees more than they do, or read what is no channel's. They lack the scope.
pub struct Unconfined(pub Scope);

impl Guard for Unconfined {
    async fn check(&self, ctx: &Context<'_>) -> Result<()> {
        match principal(ctx)?.channels {
            None => Ok(()),
            Some(_) => Err(forbidden(self.0)),
        }
    }
}

/// The channels by their ids, by code.
async fn channels_of(ctx: &Context<'_>, ids: BTreeSet<ChannelId>) -> Result<Vec<Channel>> {
    let mut found = load_all(ctx, ids).await?;
    found.sort_by(|a, b| a.code.cmp(&b.code));
    Ok(found.into_iter().map(Channel).collect())
}

/// A key of a program or of a person's tool. The key itself is shown once, when it is made.
pub struct ApiKey(pub api_key::Model);

impl From<api_key::Model> for ApiKey {
    fn from(row: api_key::Model) -> Self {
        ApiKey(row)
    }
}

/// A key of a program or of a person's tool. The key itself is shown once, when it is made.
#[Object]
impl ApiKey {
    /// Its global identifier.
    pub async fn id(&self) -> ID {
        to_global(self.0.id)
    }

    /// What it is for.
    async fn name(&self) -> &str {
        &self.0.name
    }

    /// What it may do.
    async fn role(&self) -> Role {
        self.0.role.into()
    }

    /// The channels that it is confined to; null = all.
    #[graphql(complexity = "1 + 5 * child_complexity")]
    async fn channels(&self, ctx: &Context<'_>) -> Result<Option<Vec<Channel>>> {
        let Some(ids) = self.0.channels.clone() else {
            return Ok(None);
        };
        let ids = serde_json::from_value(ids).unwrap_or_default();
        Ok(Some(channels_of(ctx, ids).await?))
    }

    /// The first moment that it is refused; null = never.
    async fn expires_at(&self) -> Option<DateTime<Utc>> {
        self.0.expires_at
    }

    /// When it was revoked; null if it was not.
    async fn revoked_at(&self) -> Option<DateTime<Utc>> {
        self.0.revoked_at
    }

    /// When it was made.
    async fn created_at(&self) -> DateTime<Utc> {
        self.0.created_at
    }
}

/// Who you are, and what you may do.
pub struct Viewer(Principal);

/// Who you are, and what you may do.
#[Object]
impl Viewer {
    /// The name of your key.
    async fn name(&self, ctx: &Context<'_>) -> Result<String> {
        let Some(id) = self.0.key_id else {
            return Ok(self.0.actor.name.clone());
        };
        let row = api_key::Entity::find_by_id(id)
            .one(&app(ctx).db.read)
            .await
            .map_err(fault)?;
        Ok(row.map_or_else(|| self.0.actor.name.clone(), |row| row.name))
    }

    /// How you are called in the log: `key:…`.
    async fn actor(&self) -> &str {
        &self.0.actor.name
    }

    /// Your role.
    async fn role(&self) -> Role {
        self.0.role.into()
    }

    /// What your role may do.
    async fn scopes(&self) -> &[Scope] {
        access::scopes(self.0.role)
    }

    /// The channels that you are confined to; null = you see all.
    #[graphql(complexity = "1 + 5 * child_complexity")]
    async fn channels(&self, ctx: &Context<'_>) -> Result<Option<Vec<Channel>>> {
        match self.0.channels.clone() {
            None => Ok(None),
            Some(ids) => Ok(Some(channels_of(ctx, ids).await?)),
        }
    }
}

/// Reads of keys.
#[derive(Default)]
pub struct KeyQuery;

/// Reads of keys.
#[Object]
impl KeyQuery {
    /// Who you are, and what you may do. Needs no scope.
    async fn viewer(&self, ctx: &Context<'_>) -> Result<Viewer> {
        Ok(Viewer(principal(ctx)?.clone()))
    }

    /// The API keys, newest first; revoked and expired ones too. Not for keys that are confined to
    /// channels. Needs the scope KEYS_MANAGE.
    #[graphql(
        guard = "Allowed(Scope::KeysManage).and(Unconfined(Scope::KeysManage))",
        complexity = "cost(first, child_complexity)"
    )]
    async fn api_keys(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "How many, 50 unless told, at most 250.")] first: Option<i32>,
        #[graphql(desc = "The cursor to go on behind.")] after: Option<String>,
    ) -> Result<Rows<ApiKey>> {
        let sort = Sort {
            column: api_key::Column::CreatedAt,
            id: api_key::Column::Id,
            order: Order::Desc,
            key: |row: &api_key::Model| (row.created_at, row.id.0),
        };
        let rows = api_key::Entity::find();
        page(app(ctx), rows, sort, first, after, ApiKey).await
    }
}

/// What `apiKeyCreate` needs.
#[derive(Clone, Debug, InputObject)]
pub struct ApiKeyCreateInput {
    /// What it is for, 1 to 300 characters.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// The channels that it is confined to (NOT_FOUND); all if not given. Required for PARTNER.
    #[graphql(validator(max_items = 250))]
    pub channel_ids: Option<Vec<ID>>,
    /// The first moment that it is refused, in the future; never if not given.
    pub expires_at: Option<DateTime<Utc>>,
}

impl ApiKeyCreateInput {
    fn command(self, reference: &Reference, now: DateTime<Utc>) -> Result<CreateKey, Failure> {
        let mut checks = Checks::new();
        let channels = match self.channel_ids {
            None => None,
            Some(ids) => Some(from_globals::<ChannelId>(&ids, "input.channelIds")?),
        };
        for (place, id) in channels.iter().flatten().enumerate() {
            if reference.channel(*id).is_none() {
                let field = format!("input.channelIds.{place}");
                checks.refuse(Problem::not_found("Channel").at(&field));
            }
        }
        checks.hold(
            self.expires_at.is_none_or(|until| until > now),
            Code::InvalidInput,
            "input.expiresAt",
            "it must expire in the future",
        );
        let name = checks.name("input.name", &self.name);
        checks.done()?;
        Ok(CreateKey {
            name,
            role: self.role.into(),
            channels: channels.map(|ids| ids.into_iter().collect()),
            expires_at: self.expires_at,
        })
    }
}

/// What `apiKeyRevoke` needs.
#[derive(Clone, Debug, InputObject)]
pub struct ApiKeyRevokeInput {
    /// Which key (NOT_FOUND).
    pub id: ID,
}

/// What `apiKeyCreate` came to.
#[derive(SimpleObject)]
pub struct ApiKeyCreatePayload {
    /// The new key's row; null if it was refused.
    pub api_key: Option<ApiKey>,
    /// The key itself, for `Authorization: Bearer`. It is shown only now.
    pub key: Option<String>,
    /// Why nothing was done; empty if it was.
    pub user_errors: Vec<UserError>,
}

payloads! {
    /// What `apiKeyRevoke` came to.
    ApiKeyRevokePayload {
        /// The key after the change; null if it was refused.
        api_key: ApiKey
    }
}

/// Changes of keys.
#[derive(Default)]
pub struct KeyMutation;

/// Changes of keys.
#[Object]
impl KeyMutation {
    /// Makes an API key and shows it, once. Not for keys that are confined to channels. Refusals:
    /// NOT_FOUND, NAME_INVALID, INVALID_INPUT (a partner's key without channels).
    /// Needs the scope KEYS_MANAGE.
    #[graphql(guard = "Allowed(Scope::KeysManage).and(Unconfined(Scope::KeysManage))")]
    async fn api_key_create(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What the key is to be.")] input: ApiKeyCreateInput,
    ) -> Result<ApiKeyCreatePayload> {
        let app = app(ctx);
        let reference = app.reference().await.map_err(fault)?;
        let settings = &app.config.access;
        let made = match &input.command(&reference, app.clock.now()) {
            Err(failure) => Err(failure.clone()),
            Ok(cmd) => {
                let case = move |tx: std::sync::Arc<crate::tx::Tx>| async move {
                    access::create_key(&tx, &settings.pepper, &settings.environment, cmd).await
                };
                app.write(&actor(ctx)?, case).await
            }
        };
        let (made, user_errors) = outcome(made)?;
        let (row, key) = made.map(|made| (made.row, made.key)).unzip();
        Ok(ApiKeyCreatePayload {
            api_key: row.map(ApiKey),
            key,
            user_errors,
        })
    }

    /// Revokes an API key: at once where you ask, within seconds everywhere. Doing it twice
    /// changes nothing. Not for keys that are confined to channels. Refusals: NOT_FOUND.
    /// Needs the scope KEYS_MANAGE.
    #[graphql(guard = "Allowed(Scope::KeysManage).and(Unconfined(Scope::KeysManage))")]
    async fn api_key_revoke(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which key.")] input: ApiKeyRevokeInput,
    ) -> Result<ApiKeyRevokePayload> {
        let revoked: Outcome<_> = match from_global(&input.id, "input.id") {
            Err(problem) => outcome(Err(problem.into()))?,
            Ok(id) => {
                let case = move |tx: std::sync::Arc<crate::tx::Tx>| async move {
                    access::revoke_key(&tx, id).await
                };
                outcome(app(ctx).write(&actor(ctx)?, case).await)?
            }
        };
        app(ctx).forget_keys();
        Ok(revoked.into())
    }
}
