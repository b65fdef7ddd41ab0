//! What is known about a submission before it is judged. A handful of reads, however many lines.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use entity::order::Status;
use entity::{ChannelId, CustomerId, OrderId, customer, order, promotion};
use sea_orm::sea_query::{Asterisk, Expr, ExprTrait, Func, Query, SelectStatement, UnionType};
use sea_orm::{ColumnTrait, Condition, ConnectionTrait, DbErr, EntityTrait, QueryFilter};

use super::Submission;
use super::address::{self, PostalAddress};
use super::contact::Email;
use crate::catalogue::{self, ChannelPolicy, Offered, Reference};
use crate::exceptions::rules::{Count, History, RuleSet};

/// What is known about a submission.
pub struct Facts {
    /// The order that already has its reference.
    pub existing: Option<order::Model>,
    /// The customer, if it names one that there is.
    pub customer: Option<customer::Model>,
    /// The variants behind its SKUs, by `catalogue::code_key`.
    pub offered: BTreeMap<String, Offered>,
    /// The promotions behind its codes, and the automatic ones.
    pub promotions: Vec<promotion::Model>,
    /// What the reference table knows of where it goes.
    pub shipping_place: address::Reference,
    /// What the reference table knows of where the bill goes.
    pub billing_place: address::Reference,
    /// What its customer ordered before; nothing unless a rule asks.
    pub history: History,
}

/// Reads what is known about a submission, and what the rules ask about its customer.
#[allow(
    clippy::too_many_arguments,
    reason = "each is one place where something is known"
)]
pub async fn gather(
    db: &impl ConnectionTrait,
    reference: &Reference,
    rules: &RuleSet,
    channel: &ChannelPolicy,
    submission: &Submission,
    shipping: Option<&PostalAddress>,
    billing: Option<&PostalAddress>,
    now: DateTime<Utc>,
) -> Result<Facts, DbErr> {
    let existing = match &submission.external_reference {
        Some(reference) => find_by_reference(db, channel.row.id, reference).await?,
        None => None,
    };
    let customer = catalogue::find_customer(db, None, submission.customer.code.as_deref()).await?;
    let keys: BTreeSet<String> = submission
        .lines
        .iter()
        .map(|line| catalogue::code_key(&line.sku))
        .collect();
    let offered = catalogue::find_offered(db, channel.row.id, &keys).await?;
    let mut promotions = reference.automatic_promotions().to_vec();
    let codes: BTreeSet<String> = submission
        .promotion_codes
        .iter()
        .map(|code| code.trim().to_uppercase())
        .filter(|code| !code.is_empty())
        .collect();
    let limited = reference.has_limited_promotions();
    if limited || !codes.is_empty() {
        let by_code = promotion::Column::Code.is_in(codes);
        let automatic = Condition::all()
            .add(promotion::Column::Code.is_null())
            .add(promotion::Column::Active.eq(true))
            .add(promotion::Column::UsageLimit.is_not_null());
        let wanted = Condition::any()
            .add(by_code)
            .add_option(limited.then_some(automatic));
        promotions.extend(promotion::Entity::find().filter(wanted).all(db).await?);
    }
    let guest = || Email::parse(submission.customer.email.as_deref()?).ok();
    let earlier = Earlier {
        who: match &customer {
            Some(customer) => Some(Who::Customer(customer.id)),
            None => guest().map(|email| Who::Guest(email.to_string())),
        },
        than: now,
        except: None,
        channels: None,
    };
    let histories = histories(db, &rules.history(channel.row.id), &[earlier]).await?;
    Ok(Facts {
        existing,
        customer,
        offered,
        promotions,
        shipping_place: place(db, reference, shipping).await,
        billing_place: place(db, reference, billing).await,
        history: histories.into_iter().next().unwrap_or_default(),
    })
}

/// Whose orders they are.
pub enum Who {
    /// Those of a customer.
    Customer(CustomerId),
    /// Those that guests placed under an e-mail address.
    Guest(String),
}

/// Whose earlier orders are counted.
pub struct Earlier {
    /// Whose; none = nobody is known, who ordered nothing.
    pub who: Option<Who>,
    /// Up to this moment.
    pub than: DateTime<Utc>,
    /// But for this order.
    pub except: Option<OrderId>,
    /// In these channels; none = in all.
    pub channels: Option<BTreeSet<ChannelId>>,
}

/// What several customers ordered before, in one statement. Each count is over an index and stops
/// at its most.
pub async fn histories(
    db: &impl ConnectionTrait,
    counts: &BTreeSet<Count>,
    asked: &[Earlier],
) -> Result<Vec<History>, DbErr> {
    let mut histories = vec![History::new(); asked.len()];
    let Some(counting) = counting(counts, asked) else {
        return Ok(histories);
    };
    let counts: Vec<Count> = counts.iter().copied().collect();
    for row in db.query_all(&counting).await? {
        let at = |column| {
            let place: i64 = row.try_get("", column)?;
            usize::try_from(place).map_err(|error| DbErr::Type(error.to_string()))
        };
        let counted: i64 = row.try_get("", "counted")?;
        histories[at("place")?].insert(counts[at("number")?], counted);
    }
    Ok(histories)
}

/// A row for each count of each customer; none if there is nothing to count.
fn counting(counts: &BTreeSet<Count>, asked: &[Earlier]) -> Option<SelectStatement> {
    let mut all: Option<SelectStatement> = None;
    for (place, earlier) in (0_i64..).zip(asked) {
        let Some(who) = &earlier.who else { continue };
        for (number, count) in (0_i64..).zip(counts) {
            let one = Query::select()
                .expr_as(Expr::val(place), "place")
                .expr_as(Expr::val(number), "number")
                .expr_as(Expr::col(Asterisk).count(), "counted")
                .from_subquery(earlier_orders(*count, who, earlier), "earlier")
                .take();
            match &mut all {
                None => all = Some(one),
                Some(all) => drop(all.union(UnionType::All, one)),
            }
        }
    }
    all
}

/// Somebody's earlier orders that a count is of, as many as it goes to.
fn earlier_orders(count: Count, who: &Who, earlier: &Earlier) -> SelectStatement {
    use order::Column;
    let mut orders = Query::select();
    orders
        .expr(Expr::val(1))
        .from(order::Entity)
        .and_where(Column::ReceivedAt.lte(earlier.than))
        .limit(count.most());
    let since = |hours| Column::ReceivedAt.gte(earlier.than - TimeDelta::hours(hours));
    orders.and_where(match count {
        Count::Any | Count::Orders => {
            Column::Status.is_not_in([Status::Cancelled, Status::Rejected, Status::Expired])
        }
        Count::Last24Hours => since(24),
        Count::LastHour => since(1),
    });
    match who {
        Who::Customer(id) => orders.and_where(Column::CustomerId.eq(*id)),
        Who::Guest(email) => orders
            .and_where(Column::CustomerId.is_null())
            .and_where(Expr::expr(Func::lower(Expr::col(Column::Email))).eq(email.to_lowercase())),
    };
    if let Some(id) = earlier.except {
        orders.and_where(Column::Id.ne(id));
    }
    if let Some(channels) = &earlier.channels {
        orders.and_where(Column::ChannelId.is_in(channels.iter().copied()));
    }
    orders
}

/// The order of a channel that has this reference.
pub async fn find_by_reference(
    db: &impl ConnectionTrait,
    channel: entity::ChannelId,
    reference: &str,
) -> Result<Option<order::Model>, DbErr> {
    order::Entity::find()
        .filter(order::Column::ChannelId.eq(channel))
        .filter(order::Column::ExternalReference.eq(reference.trim()))
        .one(db)
        .await
}

async fn place(
    db: &impl ConnectionTrait,
    reference: &Reference,
    address: Option<&PostalAddress>,
) -> address::Reference {
    match address {
        Some(address) => {
            let covered = reference.covers(address.country.code());
            address::store::look_up(db, covered, address).await
        }
        None => address::Reference::NotCovered,
    }
}

#[cfg(test)]
mod tests {
    use migration::{Migrator, MigratorTrait};
    use sea_orm::{Database, Statement};
    use uuid::Uuid;

    use super::*;

    #[tokio::test]
    async fn t1_earlier_orders_are_counted_over_an_index() {
        let db = Database::connect("sqlite::memory:").await.unwrap();
        Migrator::up(&db, None).await.unwrap();
        let counts = [
            Count::Any,
            Count::Orders,
            Count::Last24Hours,
            Count::LastHour,
        ];
        for (who, index) in [
            (Who::Customer(CustomerId(Uuid::nil())), "order_customer"),
            (Who::Guest("bo@mail.example".to_owned()), "order_guest"),
        ] {
            let earlier = Earlier {
                who: Some(who),
                than: DateTime::UNIX_EPOCH,
                except: None,
                channels: None,
            };
            let counting = counting(&BTreeSet::from(counts), &[earlier]).unwrap();
            let Statement { sql, values, .. } = db.get_database_backend().build(&counting);
            let plan = Statement {
                sql: format!("EXPLAIN QUERY PLAN {sql}"),
                values,
                db_backend: db.get_database_backend(),
            };
            let plan = db.query_all_raw(plan).await.unwrap();
            let plan: Vec<String> = plan
                .iter()
                .map(|row| row.try_get("", "detail").unwrap())
                .collect();
            let searched = plan
                .iter()
                .filter(|step| step.contains(&format!("INDEX {index} ")));
            assert_eq!(searched.count(), counts.len(), "{plan:#?}");
        }
    }
}
