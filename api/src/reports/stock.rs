//! What was in stock at any moment and what it is worth, and how often it is turned over.
//!
//! Stock rows say what is there now; movements since then are taken back, which
//! `stock_movement_moved` finds. So a report of now costs a row for each stock row, and one of an
//! earlier moment, or over a period, what has moved since besides. All in one statement, so that
//! nothing moves in between.

use chrono::{DateTime, Utc};
use entity::{Currency, WarehouseId};
use rust_decimal::Decimal;
use sea_orm::{ConnectionTrait, DbErr, Statement, Value};

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Ask {
    /// When the period begins; none = there is none.
    pub from: Option<DateTime<Utc>>,
    /// At which moment; the period ends with it.
    pub at: DateTime<Utc>,
    /// Only this warehouse; none = all.
    pub warehouse: Option<WarehouseId>,
}

/// The stock of a warehouse that is valued in one currency, or not valued at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    /// Where.
    pub warehouse: WarehouseId,
    /// The currency; none = nobody has said what its units cost.
    pub currency: Option<Currency>,
    /// How much there is of it.
    pub held: Held,
}

/// Units, and what they are worth in minor units at today's costs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// Units at the moment.
    pub units: i64,
    /// Their value.
    pub value: i64,
    /// The value of the units when the period began.
    pub value_before: i64,
    /// Units that left for customers in the period.
    pub shipped: i64,
    /// What they cost.
    pub shipped_cost: i64,
}

impl Held {
    /// Both together.
    pub fn and(self, other: Held) -> Held {
        Held {
            units: self.units + other.units,
            value: self.value + other.value,
            value_before: self.value_before + other.value_before,
            shipped: self.shipped + other.shipped,
            shipped_cost: self.shipped_cost + other.shipped_cost,
        }
    }

    /// How often the stock was turned over: what was shipped over the average of the values at both
    /// ends, to four places; none if there was no stock.
    pub fn turns(self) -> Option<Decimal> {
        let both = Decimal::from(self.value) + Decimal::from(self.value_before);
        let turns = (Decimal::from(self.shipped_cost) * Decimal::TWO).checked_div(both)?;
        Some(turns.round_dp(4).normalize())
    }
}

/// Reads a report, by warehouse and currency; what is not valued comes last of each.
pub async fn read(db: &impl ConnectionTrait, ask: &Ask) -> Result<Vec<Line>, DbErr> {
    let from = ask.from.unwrap_or(ask.at);
    let mut values: Vec<Value> = vec![from.into(), ask.at.into()];
    let mut only = "";
    if let Some(warehouse) = ask.warehouse {
        values.push(warehouse.into());
        only = " AND warehouse_id = $3";
    }
    let sql = format!(
        "SELECT x.warehouse_id, c.currency, CAST(SUM(x.units) AS BIGINT) AS units,
            CAST(SUM(x.units * COALESCE(c.amount_minor, 0)) AS BIGINT) AS value,
            CAST(SUM(x.units_before * COALESCE(c.amount_minor, 0)) AS BIGINT) AS value_before,
            CAST(SUM(x.shipped) AS BIGINT) AS shipped,
            CAST(SUM(x.shipped * COALESCE(c.amount_minor, 0)) AS BIGINT) AS shipped_cost
        FROM (
            SELECT warehouse_id, variant_id, on_hand AS units, on_hand AS units_before, 0 AS shipped
            FROM stock WHERE on_hand <> 0{only}
            UNION ALL
            SELECT warehouse_id, variant_id,
                CASE WHEN occurred_at > $2 THEN -delta_on_hand ELSE 0 END, -delta_on_hand,
                CASE WHEN kind = 'SHIP' AND occurred_at <= $2 THEN -delta_on_hand ELSE 0 END
            FROM stock_movement WHERE occurred_at > $1 AND delta_on_hand <> 0{only}
        ) x LEFT JOIN variant_cost c ON c.variant_id = x.variant_id
        GROUP BY x.warehouse_id, c.currency"
    );
    let statement = Statement::from_sql_and_values(db.get_database_backend(), sql, values);
    let mut lines = Vec::new();
    for row in db.query_all_raw(statement).await? {
        lines.push(Line {
            warehouse: row.try_get("", "warehouse_id")?,
            currency: row.try_get("", "currency")?,
            held: Held {
                units: row.try_get("", "units")?,
                value: row.try_get("", "value")?,
                value_before: row.try_get("", "value_before")?,
                shipped: row.try_get("", "shipped")?,
                shipped_cost: row.try_get("", "shipped_cost")?,
            },
        });
    }
    let code = |line: &Line| line.currency.map(|currency| currency.code().to_owned());
    lines.sort_by_key(|line| (line.warehouse, line.currency.is_none(), code(line)));
    Ok(lines)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn j4_turns_are_what_was_shipped_over_the_average_of_both_ends() {
        let held = |value_before, value, shipped_cost| Held {
            value,
            value_before,
            shipped_cost,
            ..Held::default()
        };
        assert_eq!(held(300, 100, 200).turns(), Some(Decimal::ONE));
        assert_eq!(held(300, 0, 100).turns(), Some("0.6667".parse().unwrap()));
        assert_eq!(held(0, 0, 100).turns(), None);
    }
}
