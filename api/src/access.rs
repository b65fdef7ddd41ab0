//! Who may do what: roles as sets of scopes, channels that a key is confined to, and API keys.
//!
//! A key is `oms_<environment>_<lookup>_<secret>`; only the secret's HMAC under the server's
//! pepper is stored. What a caller may not see answers exactly as what is not there.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use entity::api_key::{self, Role};
use entity::{ApiKeyId, ChannelId};
use sea_orm::{ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter, Set};
use subtle::ConstantTimeEq;
use uuid::Uuid;

use crate::failure::{Code, Failure, Problem};
use crate::signatures;
use crate::tx::{Actor, Tx};

/// One thing that a caller may be allowed to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, async_graphql::Enum)]
#[graphql(rename_items = "SCREAMING_SNAKE_CASE")]
pub enum Scope {
    /// Read orders and follow them.
    OrdersRead,
    /// Submit orders, cancel them and write notes on them.
    OrdersSubmit,
    /// Hold, release, reject orders and settle their exceptions.
    OrdersManage,
    /// Read names, addresses and contacts.
    PersonalDataRead,
    /// Read customers and their terms.
    CustomersRead,
    /// Make and change customers and their terms.
    CustomersManage,
    /// Forget who a customer was.
    CustomersErase,
    /// Read products, prices and channels.
    CatalogueRead,
    /// Make and change products, prices and channels.
    CatalogueManage,
    /// Read the rules that make exceptions, and what they saw in an order.
    RulesRead,
    /// Make, change and delete the rules that make exceptions.
    RulesManage,
    /// Read stock.
    StockRead,
    /// Receive and correct stock.
    StockManage,
    /// Read the warehouses' work: waves, pick lists, shipments.
    FulfillmentRead,
    /// Plan the warehouses' work: route, put waves together, release, dispatch.
    FulfillmentManage,
    /// Do the warehouses' work: pick, scan, pack.
    FulfillmentWork,
    /// Read payments.
    PaymentsRead,
    /// Read invoices, credit notes and the ledger.
    FinanceRead,
    /// Say who sells, and issue credit notes.
    FinanceManage,
    /// Make and revoke API keys.
    KeysManage,
    /// Read the figures of the integrity report.
    IntegrityRead,
    /// Read who changed what, and from where.
    AuditRead,
}

/// What a role may do.
pub fn scopes(role: Role) -> &'static [Scope] {
    use Scope::*;
    match role {
        Role::Admin => &[
            OrdersRead,
            OrdersSubmit,
            OrdersManage,
            PersonalDataRead,
            CustomersRead,
            CustomersManage,
            CustomersErase,
            CatalogueRead,
            CatalogueManage,
            RulesRead,
            RulesManage,
            StockRead,
            StockManage,
            FulfillmentRead,
            FulfillmentManage,
            FulfillmentWork,
            PaymentsRead,
            FinanceRead,
            FinanceManage,
            KeysManage,
            IntegrityRead,
            AuditRead,
        ],
        Role::Operations => &[
            OrdersRead,
            OrdersSubmit,
            OrdersManage,
            PersonalDataRead,
            CustomersRead,
            CustomersManage,
            CatalogueRead,
            CatalogueManage,
            RulesRead,
            RulesManage,
            StockRead,
            StockManage,
            FulfillmentRead,
            FulfillmentManage,
            FulfillmentWork,
            PaymentsRead,
            FinanceRead,
            IntegrityRead,
        ],
        Role::Warehouse => &[
            OrdersRead,
            PersonalDataRead,
            CatalogueRead,
            StockRead,
            StockManage,
            FulfillmentRead,
            FulfillmentManage,
            FulfillmentWork,
        ],
        Role::Support => &[
            OrdersRead,
            OrdersSubmit,
            OrdersManage,
            PersonalDataRead,
            CustomersRead,
            CustomersManage,
            CatalogueRead,
            RulesRead,
            PaymentsRead,
            FinanceRead,
            FulfillmentRead,
        ],
        Role::Finance => &[
            OrdersRead,
            CustomersRead,
            PersonalDataRead,
            CatalogueRead,
            PaymentsRead,
            FinanceRead,
            FinanceManage,
            IntegrityRead,
        ],
        Role::Partner => &[OrdersRead, OrdersSubmit, PersonalDataRead, CatalogueRead],
        Role::Viewer => &[OrdersRead, CatalogueRead, StockRead, FulfillmentRead],
    }
}

/// A caller whose key was checked.
#[derive(Clone, Debug)]
pub struct Principal {
    /// Whose name goes into the log.
    pub actor: Actor,
    /// What the caller may do.
    pub role: Role,
    /// The channels that the caller sees; none = all.
    pub channels: Option<BTreeSet<ChannelId>>,
    /// The key, unless the caller is the program itself.
    pub key_id: Option<ApiKeyId>,
}

impl Principal {
    /// The program itself, at the command line.
    pub fn operator(name: &str) -> Principal {
        Principal {
            actor: Actor {
                name: format!("cli:{name}"),
                correlation_id: String::new(),
                origin: None,
            },
            role: Role::Admin,
            channels: None,
            key_id: None,
        }
    }

    /// Whoever looks at the demo on the machine that serves it.
    pub fn visitor() -> Principal {
        Principal {
            actor: Actor {
                name: "demo".to_owned(),
                correlation_id: String::new(),
                origin: None,
            },
            role: Role::Admin,
            channels: None,
            key_id: None,
        }
    }

    /// Whether the caller may do something.
    pub fn may(&self, scope: Scope) -> bool {
        scopes(self.role).contains(&scope)
    }

    /// Whether the caller sees what belongs to a channel.
    pub fn sees(&self, channel: ChannelId) -> bool {
        self.channels
            .as_ref()
            .is_none_or(|channels| channels.contains(&channel))
    }
}

/// A key as it is handed out, once.
pub struct NewKey {
    /// Its row.
    pub row: api_key::Model,
    /// The whole key.
    pub key: String,
}

/// What a new key is to be.
#[derive(Clone, Debug)]
pub struct CreateKey {
    /// What it is for.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// The channels that it is confined to; none = all.
    pub channels: Option<BTreeSet<ChannelId>>,
    /// The first moment that it is refused.
    pub expires_at: Option<DateTime<Utc>>,
}

/// Makes a key.
pub async fn create_key(
    tx: &Tx,
    pepper: &str,
    environment: &str,
    cmd: &CreateKey,
) -> Result<NewKey, Failure> {
    if cmd.role == Role::Partner && cmd.channels.is_none() {
        return Err(
            Problem::new(Code::InvalidInput, "a partner's key needs its channels")
                .at("input.channelIds")
                .into(),
        );
    }
    let id: ApiKeyId = tx.id();
    let lookup = id.0.simple().to_string();
    let secret = secret();
    let row = api_key::Model {
        id,
        lookup: lookup.clone(),
        secret_hash: signatures::sign(pepper.as_bytes(), &[secret.as_bytes()]),
        name: cmd.name.clone(),
        role: cmd.role,
        channels: cmd
            .channels
            .as_ref()
            .map(|channels| serde_json::json!(channels)),
        expires_at: cmd.expires_at,
        revoked_at: None,
        created_at: tx.now,
    };
    let insert: api_key::ActiveModel = row.clone().into();
    api_key::Entity::insert(insert)
        .exec_without_returning(tx.db())
        .await?;
    Ok(NewKey {
        row,
        key: format!("oms_{environment}_{lookup}_{secret}"),
    })
}

/// Revokes a key from this moment on; revoking it twice changes nothing.
pub async fn revoke_key(tx: &Tx, id: ApiKeyId) -> Result<api_key::Model, Failure> {
    let row = api_key::Entity::find_by_id(id)
        .one(tx.db())
        .await?
        .ok_or_else(|| Problem::not_found("API key").at("input.id"))?;
    if row.revoked_at.is_some() {
        return Ok(row);
    }
    let update = api_key::ActiveModel {
        id: Set(id),
        revoked_at: Set(Some(tx.now)),
        ..Default::default()
    };
    Ok(api_key::Entity::update(update).exec(tx.db()).await?)
}

/// Finds the caller behind a key; none if it is unknown, revoked or expired.
pub async fn authenticate(
    db: &impl ConnectionTrait,
    pepper: &str,
    key: &str,
    now: DateTime<Utc>,
) -> Result<Option<Principal>, DbErr> {
    let mut parts = key.split('_');
    let (Some("oms"), Some(_), Some(lookup), Some(secret), None) = (
        parts.next(),
        parts.next(),
        parts.next(),
        parts.next(),
        parts.next(),
    ) else {
        return Ok(None);
    };
    let Some(row) = api_key::Entity::find()
        .filter(api_key::Column::Lookup.eq(lookup))
        .one(db)
        .await?
    else {
        return Ok(None);
    };
    let secret = [secret.as_bytes()];
    let matches = signatures::is_signed(pepper.as_bytes(), &secret, &row.secret_hash);
    let alive = row.revoked_at.is_none() && row.expires_at.is_none_or(|until| now < until);
    if !matches || !alive {
        return Ok(None);
    }
    let channels = row
        .channels
        .map(|channels| serde_json::from_value(channels).unwrap_or_default());
    Ok(Some(Principal {
        actor: Actor {
            name: format!("key:{}", row.id),
            correlation_id: String::new(),
            origin: None,
        },
        role: row.role,
        channels,
        key_id: Some(row.id),
    }))
}

/// Whether any key has been made yet.
pub async fn any_key(db: &impl ConnectionTrait) -> Result<bool, DbErr> {
    Ok(api_key::Entity::find().one(db).await?.is_some())
}

/// A key that stands in no table: whoever makes it knows it.
pub fn visitor_key() -> String {
    format!("oms_demo_{}", secret())
}

/// Whether two keys are the same, told in a time that says nothing about where they differ.
pub fn is_same(one: &str, other: &str) -> bool {
    one.as_bytes().ct_eq(other.as_bytes()).into()
}

/// 244 random bits in hexadecimal.
#[allow(
    clippy::disallowed_methods,
    reason = "secrets are made here and nowhere else"
)]
fn secret() -> String {
    format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple())
}
