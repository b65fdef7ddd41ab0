//! What a customer ordered before, for the rules that ask.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use entity::order::Status;
use entity::{ChannelId, CustomerId, OrderId};
use sea_orm::sea_query::{Asterisk, Expr, ExprTrait, Func, Query, SelectStatement, UnionType};
use sea_orm::{ColumnTrait, ConnectionTrait, DbErr};

use crate::exceptions::rules::{Count, History};

/// Whose orders they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Who {
    /// Those of a customer.
    Customer(CustomerId),
    /// Those that guests placed under an e-mail address, which is written small.
    Guest(String),
}

impl Who {
    /// Who ordered: a customer, or a guest as far as there is an e-mail address.
    pub fn ordered(customer: Option<CustomerId>, email: Option<&str>) -> Option<Who> {
        let guest = || email.map(|email| Who::Guest(email.to_lowercase()));
        customer.map(Who::Customer).or_else(guest)
    }
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
        let count = counts[at("number")?];
        let most = i64::try_from(count.most()).unwrap_or(i64::MAX);
        histories[at("place")?].insert(count, std::cmp::min(counted, most));
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
                .from_subquery(earlier_ones(*count, who, earlier), "earlier")
                .take();
            match &mut all {
                None => all = Some(one),
                Some(all) => drop(all.union(UnionType::All, one)),
            }
        }
    }
    all
}

/// Somebody's earlier orders that a count is of, those that were put away included.
fn earlier_ones(count: Count, who: &Who, earlier: &Earlier) -> SelectStatement {
    let part = |orders, name| {
        Query::select()
            .expr_as(Expr::val(1), "one")
            .from_subquery(orders, name)
            .take()
    };
    let mut all = part(earlier_orders(count, who, earlier), "there");
    all.union(
        UnionType::All,
        part(earlier_archived(count, who, earlier), "put_away"),
    );
    all
}

macro_rules! earlier {
    ($(#[$doc:meta])* $name:ident of $table:ident) => {
$(#[$doc])*
fn $name(count: Count, who: &Who, earlier: &Earlier) -> SelectStatement {
    use entity::$table::Column;
    let mut orders = Query::select();
    orders
        .expr(Expr::val(1))
        .from(entity::$table::Entity)
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
            .and_where(Expr::expr(Func::lower(Expr::col(Column::Email))).eq(email.clone())),
    };
    if let Some(id) = earlier.except {
        orders.and_where(Column::Id.ne(id));
    }
    if let Some(channels) = &earlier.channels {
        orders.and_where(Column::ChannelId.is_in(channels.iter().copied()));
    }
    orders
}
    };
}

earlier! {
    /// Somebody's earlier orders that a count is of, as many as it goes to.
    earlier_orders of order
}

earlier! {
    /// The same of those that were put away.
    earlier_archived of archived_order
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
            for index in [index.to_owned(), format!("archived_{index}")] {
                let searched = plan
                    .iter()
                    .filter(|step| step.contains(&format!("INDEX {index} ")));
                assert_eq!(searched.count(), counts.len(), "{plan:#?}");
            }
        }
    }
}
