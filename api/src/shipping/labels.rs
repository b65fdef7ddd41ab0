//! Labels: what is asked of a carrier, and what its answer changes. See the room.

use chrono::{DateTime, Duration, Utc};
use entity::carrier::Adapter;
use entity::label::{self, Column, Entity, Format, State};
use entity::{
    AddressId, LabelId, Money, OrderId, PackageId, WarehouseId, address, counter, package,
    shipment, warehouse,
};
use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
    UpdateMany,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use super::choice::Parcel;
use super::port::{Answer, Party, Returned, Route, Sold};
use super::tariffs::Tariffs;
use crate::failure::{Code, Failure, Problem};
use crate::tx::Tx;

/// When to ask again without a definite answer, in seconds after the last try.
const CHECKS_SECS: [i64; 6] = [5, 15, 60, 300, 900, 3600];

/// How long a call may keep others from making it: longer than a carrier may take for all that it
/// is asked at once.
const CLAIM_SECS: i64 = 60;

/// How many purchases are looked at in a round.
const ROUND: u64 = 100;

/// Purchases without a definite answer.
const OPEN: [State; 3] = [State::Ready, State::Sent, State::Unknown];

/// Purchases that keep another one from being made for their package.
const LIVE: [State; 5] = [
    State::Ready,
    State::Sent,
    State::Unknown,
    State::Succeeded,
    State::Voiding,
];

/// What a carrier has got ready: the one thing that is ever bought for a purchase.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// The carrier's name for it.
    pub name: String,
    /// The carrier's name for the rate at which it sells, if it has one.
    pub rate: Option<String>,
}

/// What a purchase is of: what a carrier is told, but for the addresses, which are read where they are kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Request {
    /// Who receives.
    pub address_id: AddressId,
    /// Who sends.
    pub warehouse_id: WarehouseId,
    /// The parcel.
    pub parcel: Parcel,
    /// What the carrier's numbers begin with, where we give them.
    pub tracking_prefix: String,
    /// Where customers follow the carrier's parcels, with `{number}` in it.
    pub tracking_url: Option<String>,
    /// Why this carrier; the carrier is not told.
    pub choice: Json,
    /// When the customer should have it.
    pub promised_at: Option<DateTime<Utc>>,
}

/// A label that is asked for.
#[derive(Clone, Debug)]
pub struct Purchase {
    /// Its row, and the idempotency key at the carrier.
    pub id: LabelId,
    /// The parcel.
    pub package_id: PackageId,
    /// The order.
    pub order_id: OrderId,
    /// The carrier's code.
    pub carrier: String,
    /// The service's code.
    pub service: String,
    /// Who is asked.
    pub adapter: Adapter,
    /// Its place in the series that our own numbers are made of.
    pub serial: i64,
    /// What the carrier is told.
    pub request: Request,
    /// What the carrier has got ready, once it has.
    pub offer: Option<Offer>,
    /// What is known.
    pub state: State,
    /// The parcel's name at the carrier, once it is bought.
    pub tracking_number: Option<String>,
    /// Where the label that the carrier made waits to be fetched.
    pub document_url: Option<String>,
    /// How often the carrier has been called for it, this time included.
    pub attempts: i32,
}

impl Purchase {
    /// A purchase from its row.
    pub fn from_row(row: &label::Model) -> Result<Purchase, Failure> {
        let request = serde_json::from_value(row.request.clone())
            .map_err(|error| Failure::Internal(format!("the label {}: {error}", row.id)))?;
        Ok(Purchase {
            id: row.id,
            package_id: row.package_id,
            order_id: row.order_id,
            carrier: row.carrier.clone(),
            service: row.service.clone(),
            adapter: row.adapter,
            serial: row.serial,
            request,
            offer: row.offer.clone().map(|name| Offer {
                name,
                rate: row.offer_rate.clone(),
            }),
            state: row.state,
            tracking_number: row.tracking_number.clone(),
            document_url: row.document_url.clone().filter(|_| row.document.is_none()),
            attempts: row.attempts,
        })
    }
}

/// What [`intend`] needs.
#[derive(Clone, Debug)]
pub struct Buy {
    /// The parcel.
    pub package_id: PackageId,
    /// The order.
    pub order_id: OrderId,
    /// The carrier's code.
    pub carrier: String,
    /// The service's code.
    pub service: String,
    /// What it is expected to cost.
    pub cost: Money,
    /// Who receives.
    pub address_id: AddressId,
    /// Who sends.
    pub warehouse_id: WarehouseId,
    /// The parcel's weight and size.
    pub parcel: Parcel,
    /// Why this carrier.
    pub choice: Json,
    /// When the customer should have it.
    pub promised_at: Option<DateTime<Utc>>,
}

/// Intends a purchase: writes its row as sent, since the call follows at once. Refuses while
/// another label of the package is live. The caller has locked the order.
pub async fn intend(tx: &Tx, tariffs: &Tariffs, cmd: Buy) -> Result<Purchase, Failure> {
    let Some(tariff) = tariffs.carrier(&cmd.carrier) else {
        return Err(Problem::not_found("carrier").into());
    };
    if tariff.service(&cmd.service).is_none() {
        return Err(Problem::not_found("carrier service").into());
    }
    if let Some(live) = live(tx.db(), cmd.package_id).await? {
        return Err(Problem::new(Code::LabelExists, "the package has a label")
            .with(json!({ "state": live.state, "trackingNumber": live.tracking_number }))
            .into());
    }
    let request = Request {
        address_id: cmd.address_id,
        warehouse_id: cmd.warehouse_id,
        parcel: cmd.parcel,
        tracking_prefix: tariff.carrier.tracking_prefix.clone(),
        tracking_url: tariff.carrier.tracking_url.clone(),
        choice: cmd.choice,
        promised_at: cmd.promised_at,
    };
    let row = label::Model {
        id: tx.id(),
        package_id: cmd.package_id,
        order_id: cmd.order_id,
        carrier: cmd.carrier,
        service: cmd.service,
        adapter: tariff.carrier.adapter,
        request: json!(request),
        serial: next_serial(tx).await?,
        state: State::Sent,
        offer: None,
        offer_rate: None,
        cost_minor: cmd.cost.minor,
        currency: cmd.cost.currency,
        tracking_number: None,
        tracking_url: None,
        document_url: None,
        document_format: None,
        document: None,
        reason: None,
        attempts: 1,
        first_sent_at: Some(tx.now),
        next_check_at: Some(tx.now + Duration::seconds(CLAIM_SECS)),
        created_at: tx.now,
        updated_at: tx.now,
    };
    let purchase = Purchase::from_row(&row)?;
    let row: label::ActiveModel = row.into();
    tx.defer_rows(vec![row], |insert| insert);
    Ok(purchase)
}

/// The next number of our series. Numbers of transactions that are taken back are lost.
async fn next_serial(tx: &Tx) -> Result<i64, DbErr> {
    let drawn = counter::Entity::update_many()
        .col_expr(
            counter::Column::Value,
            Expr::col(counter::Column::Value).add(1_i64),
        )
        .filter(counter::Column::Name.eq("label_serial"))
        .exec_with_returning(tx.db())
        .await?;
    let drawn = drawn.first().map(|row| row.value);
    drawn.ok_or_else(|| DbErr::RecordNotFound("the counter of labels".to_owned()))
}

/// The live label of a package, whatever is known of it.
pub async fn live(
    db: &impl ConnectionTrait,
    package: PackageId,
) -> Result<Option<label::Model>, DbErr> {
    Entity::find()
        .filter(Column::PackageId.eq(package))
        .filter(Column::State.is_in(LIVE))
        .one(db)
        .await
}

/// Both ends of a purchase's way; none if one of them is gone.
pub async fn route(db: &impl ConnectionTrait, purchase: &Purchase) -> Result<Option<Route>, DbErr> {
    let request = &purchase.request;
    let to = address::Entity::find_by_id(request.address_id)
        .one(db)
        .await?;
    let from = warehouse::Entity::find_by_id(request.warehouse_id)
        .one(db)
        .await?;
    Ok(to.zip(from).map(|(to, from)| Route {
        from: Party::from(&from),
        to: Party::from(&to),
    }))
}

/// Writes down what the carrier has got ready, before it is bought. The first to be written down
/// is the one that is bought, by whoever buys it.
pub async fn offered(tx: &Tx, id: LabelId, offer: &Offer) -> Result<Option<Offer>, DbErr> {
    Entity::update_many()
        .col_expr(Column::Offer, Expr::value(offer.name.clone()))
        .col_expr(Column::OfferRate, Expr::value(offer.rate.clone()))
        .col_expr(Column::UpdatedAt, Expr::value(tx.now))
        .filter(Column::Id.eq(id))
        .filter(Column::Offer.is_null())
        .filter(Column::State.is_in(OPEN))
        .exec(tx.db())
        .await?;
    let row = Entity::find_by_id(id).one(tx.db()).await?;
    let open = row.filter(|row| OPEN.contains(&row.state));
    Ok(open.and_then(|row| {
        Some(Offer {
            name: row.offer?,
            rate: row.offer_rate,
        })
    }))
}

/// What recording an answer changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settled {
    /// The answer was already known: nothing changed.
    Nothing,
    /// The label is bought.
    Bought {
        /// The parcel's name at the carrier.
        tracking_number: String,
        /// Where the customer can follow it.
        tracking_url: Option<String>,
    },
    /// The carrier refused.
    Declined {
        /// Its reason.
        code: String,
    },
    /// The carrier never sold it, and is no longer asked to.
    NotExecuted,
    /// Still no definite answer; it will be asked about again.
    Unknown {
        /// Whether that is news.
        first: bool,
    },
    /// The label was given back.
    Voided,
    /// The carrier does not take it back; it stays bought.
    NotVoided {
        /// Its reason.
        code: String,
    },
}

/// Records a carrier's answer. The call's answer and the reconciler both end here, and one
/// compare-and-set decides between them.
pub async fn settle(tx: &Tx, purchase: &Purchase, answer: &Answer) -> Result<Settled, DbErr> {
    let (changed, settled) = match answer {
        Answer::Succeeded(sold) => (bought(tx, purchase, sold).await?, {
            Settled::Bought {
                tracking_number: sold.tracking_number.clone(),
                tracking_url: sold.tracking_url.clone(),
            }
        }),
        Answer::Declined { code } => {
            let update = ended(tx, purchase, State::Declined, None)
                .col_expr(Column::Reason, Expr::value(code.clone()));
            let code = code.clone();
            (run(tx, update).await?, Settled::Declined { code })
        }
        Answer::NotExecuted => {
            let update = ended(tx, purchase, State::NotExecuted, None);
            (run(tx, update).await?, Settled::NotExecuted)
        }
        Answer::Unknown => {
            let first = purchase.state != State::Unknown;
            let update = open(tx, purchase)
                .col_expr(Column::State, Expr::value(State::Unknown))
                .col_expr(Column::NextCheckAt, Expr::value(again(tx, purchase)));
            (run(tx, update).await?, Settled::Unknown { first })
        }
    };
    Ok(if changed { settled } else { Settled::Nothing })
}

/// A change of a purchase that has no definite answer.
fn open(tx: &Tx, purchase: &Purchase) -> UpdateMany<Entity> {
    Entity::update_many()
        .col_expr(Column::UpdatedAt, Expr::value(tx.now))
        .filter(Column::Id.eq(purchase.id))
        .filter(Column::State.is_in(OPEN))
}

/// The same, that ends it; `due` is when it is looked at again.
fn ended(
    tx: &Tx,
    purchase: &Purchase,
    state: State,
    due: Option<DateTime<Utc>>,
) -> UpdateMany<Entity> {
    open(tx, purchase)
        .col_expr(Column::State, Expr::value(state))
        .col_expr(Column::NextCheckAt, Expr::value(due))
}

async fn run(tx: &Tx, update: UpdateMany<Entity>) -> Result<bool, DbErr> {
    Ok(update.exec(tx.db()).await?.rows_affected > 0)
}

async fn bought(tx: &Tx, purchase: &Purchase, sold: &Sold) -> Result<bool, DbErr> {
    let (url, format) = sold.document.clone().unzip();
    // What the carrier made is fetched next.
    let due = url.as_ref().map(|_| tx.now);
    let mut update = ended(tx, purchase, State::Succeeded, due)
        .col_expr(
            Column::TrackingNumber,
            Expr::value(sold.tracking_number.clone()),
        )
        .col_expr(Column::TrackingUrl, Expr::value(sold.tracking_url.clone()))
        .col_expr(Column::DocumentUrl, Expr::value(url))
        .col_expr(Column::DocumentFormat, Expr::value(format));
    if let Some(cost) = sold.cost {
        update = update
            .col_expr(Column::CostMinor, Expr::value(cost.minor))
            .col_expr(Column::Currency, Expr::value(cost.currency));
    }
    run(tx, update).await
}

/// When to try again.
fn again(tx: &Tx, purchase: &Purchase) -> Option<DateTime<Utc>> {
    let tries = usize::try_from(purchase.attempts - 1).unwrap_or(0);
    let wait = CHECKS_SECS[std::cmp::min(tries, CHECKS_SECS.len() - 1)];
    Some(tx.now + Duration::seconds(wait))
}

/// The purchases of which something is due, oldest first: to ask again, to fetch the label, to
/// give it back.
pub async fn due(db: &impl ConnectionTrait, now: DateTime<Utc>) -> Result<Vec<LabelId>, DbErr> {
    Entity::find()
        .select_only()
        .column(Column::Id)
        .filter(Column::NextCheckAt.lte(now))
        .order_by_asc(Column::NextCheckAt)
        .order_by_asc(Column::Id)
        .limit(ROUND)
        .into_tuple()
        .all(db)
        .await
}

/// Takes on what is due of a purchase, so that nobody else does meanwhile, with whether its label
/// is still wanted: nobody wants that of a package or a shipment which was given up. None if
/// somebody else took it on.
pub async fn claim(tx: &Tx, id: LabelId) -> Result<Option<(Purchase, bool)>, Failure> {
    let claimed = Entity::update_many()
        .col_expr(Column::Attempts, Expr::col(Column::Attempts).add(1))
        .col_expr(
            Column::NextCheckAt,
            Expr::value(Some(tx.now + Duration::seconds(CLAIM_SECS))),
        )
        .filter(Column::Id.eq(id))
        .filter(Column::NextCheckAt.lte(tx.now))
        .exec_with_returning(tx.db())
        .await?;
    let Some(row) = claimed.first() else {
        return Ok(None);
    };
    let package = package::Entity::find_by_id(row.package_id)
        .filter(package::Column::Status.ne(package::Status::Cancelled))
        .one(tx.db())
        .await?;
    let wanted = match package {
        None => false,
        Some(package) => shipment::Entity::find_by_id(package.shipment_id)
            .filter(shipment::Column::Status.ne(shipment::Status::Cancelled))
            .one(tx.db())
            .await?
            .is_some(),
    };
    Ok(Some((Purchase::from_row(row)?, wanted)))
}

/// Keeps the label that the carrier made.
pub async fn keep_document(tx: &Tx, id: LabelId, document: Vec<u8>) -> Result<(), DbErr> {
    Entity::update_many()
        .col_expr(Column::Document, Expr::value(document))
        .col_expr(Column::NextCheckAt, Expr::value(None::<DateTime<Utc>>))
        .col_expr(Column::UpdatedAt, Expr::value(tx.now))
        .filter(Column::Id.eq(id))
        .filter(Column::State.eq(State::Succeeded))
        .exec(tx.db())
        .await?;
    Ok(())
}

/// Fetches the label later.
pub async fn fetch_later(tx: &Tx, purchase: &Purchase) -> Result<(), DbErr> {
    Entity::update_many()
        .col_expr(Column::NextCheckAt, Expr::value(again(tx, purchase)))
        .filter(Column::Id.eq(purchase.id))
        .filter(Column::State.eq(State::Succeeded))
        .exec(tx.db())
        .await?;
    Ok(())
}

/// Gives a label back: the carrier is asked right after the commit. Whether it may be, after
/// dispatch for one, is the caller's to know. The caller has locked the order.
pub async fn void(tx: &Tx, id: LabelId) -> Result<Purchase, Failure> {
    let changed = Entity::update_many()
        .col_expr(Column::State, Expr::value(State::Voiding))
        .col_expr(Column::Attempts, Expr::value(1))
        .col_expr(
            Column::NextCheckAt,
            Expr::value(Some(tx.now + Duration::seconds(CLAIM_SECS))),
        )
        .col_expr(Column::UpdatedAt, Expr::value(tx.now))
        .filter(Column::Id.eq(id))
        .filter(Column::State.eq(State::Succeeded))
        .exec_with_returning(tx.db())
        .await?;
    match changed.first() {
        Some(row) => Purchase::from_row(row),
        None => Err(Problem::new(
            Code::LabelNotVoidable,
            "only a label that is bought can be given back",
        )
        .into()),
    }
}

/// Records whether a label was taken back.
pub async fn settle_void(
    tx: &Tx,
    purchase: &Purchase,
    returned: &Returned,
) -> Result<Settled, DbErr> {
    let update = Entity::update_many()
        .col_expr(Column::UpdatedAt, Expr::value(tx.now))
        .filter(Column::Id.eq(purchase.id))
        .filter(Column::State.eq(State::Voiding));
    let never = Expr::value(None::<DateTime<Utc>>);
    let (update, settled) = match returned {
        Returned::Voided => (
            update
                .col_expr(Column::State, Expr::value(State::Voided))
                .col_expr(Column::NextCheckAt, never),
            Settled::Voided,
        ),
        Returned::Refused { code } => (
            update
                .col_expr(Column::State, Expr::value(State::Succeeded))
                .col_expr(Column::Reason, Expr::value(code.clone()))
                .col_expr(Column::NextCheckAt, never),
            Settled::NotVoided { code: code.clone() },
        ),
        Returned::Unknown => (
            update.col_expr(Column::NextCheckAt, Expr::value(again(tx, purchase))),
            Settled::Unknown {
                first: purchase.attempts <= 1,
            },
        ),
    };
    let changed = run(tx, update).await?;
    Ok(if changed { settled } else { Settled::Nothing })
}

/// The label that a carrier made for a package, with what it is; none = we make it, or it has not
/// come yet.
pub async fn document(
    db: &impl ConnectionTrait,
    package: PackageId,
) -> Result<Option<(Format, Vec<u8>)>, DbErr> {
    let row = live(db, package).await?;
    Ok(row.and_then(|row| row.document_format.zip(row.document)))
}
