//! What customers owe on account at any moment, by how long it is past due.
//!
//! Documents and allocations are dated and never change, so what was open then can be told now. What
//! is looked at is what was not settled yet: `invoice_standing_owed` and `invoice_standing_settled`
//! find it, and what was settled before the moment costs nothing.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Days, NaiveDate, Utc};
use entity::{ChannelId, Currency, CustomerId, TimeZone};
use sea_orm::{ConnectionTrait, Statement, Value};

use crate::failure::Failure;

/// The last days past due of each age but the oldest.
const AGES: [u64; 4] = [0, 30, 60, 90];

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Ask {
    /// At which moment.
    pub at: DateTime<Utc>,
    /// Whose days invoices are past due by.
    pub time_zone: TimeZone,
    /// Only this customer; none = all.
    pub customer: Option<CustomerId>,
    /// Only invoices of these channels; none = of all.
    pub channels: Option<BTreeSet<ChannelId>>,
}

/// What is owed, in minor units.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Owed {
    /// How many invoices are open.
    pub invoices: i64,
    /// By age: not due, 1 to 30 days past due, 31 to 60, 61 to 90, more.
    pub ages: [i64; 5],
    /// What is owed to customers: what was taken back after it was paid.
    pub credit: i64,
}

impl Owed {
    /// In all: what customers owe, less what is owed to them.
    pub fn total(&self) -> i64 {
        self.ages.iter().sum::<i64>() - self.credit
    }

    /// What is past due.
    pub fn past_due(&self) -> i64 {
        self.ages[1..].iter().sum()
    }

    fn add(&mut self, age: i64, invoices: i64, minor: i64) {
        self.invoices += invoices;
        match usize::try_from(age)
            .ok()
            .and_then(|age| self.ages.get_mut(age))
        {
            Some(of_age) => *of_age += minor,
            None => self.credit -= minor,
        }
    }
}

/// What one customer owes in one currency.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Who.
    pub customer: CustomerId,
    /// The currency.
    pub currency: Currency,
    /// How much.
    pub owed: Owed,
}

/// What is owed at a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// At which.
    pub at: DateTime<Utc>,
    /// By currency.
    pub totals: Vec<(Currency, Owed)>,
    /// By customer and currency, who owes most past due first, and then who owes most.
    pub lines: Vec<Line>,
}

/// Reads a report.
pub async fn read(db: &impl ConnectionTrait, ask: &Ask) -> Result<Report, Failure> {
    let today = ask.time_zone.local(ask.at).date();
    let mut lines: BTreeMap<(CustomerId, String), Line> = BTreeMap::new();
    let mut totals: BTreeMap<String, (Currency, Owed)> = BTreeMap::new();
    for row in db.query_all_raw(query(db, ask, today)).await? {
        let customer: CustomerId = row.try_get("", "customer_id")?;
        let currency: Currency = row.try_get("", "currency")?;
        let age: i64 = row.try_get("", "age")?;
        let invoices: i64 = row.try_get("", "invoices")?;
        let minor: i64 = row.try_get("", "minor")?;
        let code = currency.code().to_owned();
        let total = totals.entry(code.clone());
        let (_, total) = total.or_insert_with(|| (currency, Owed::default()));
        total.add(age, invoices, minor);
        let line = lines.entry((customer, code)).or_insert_with(|| Line {
            customer,
            currency,
            owed: Owed::default(),
        });
        line.owed.add(age, invoices, minor);
    }
    let mut lines: Vec<Line> = lines.into_values().collect();
    lines.sort_by_key(|line| {
        let owed = &line.owed;
        (-owed.past_due(), -owed.total(), line.customer)
    });
    Ok(Report {
        at: ask.at,
        totals: totals.into_values().collect(),
        lines,
    })
}

/// A row for each customer, currency and age; the age of what is owed to a customer is -1.
fn query(db: &impl ConnectionTrait, ask: &Ask, today: NaiveDate) -> Statement {
    let mut values: Vec<Value> = Vec::new();
    let mut bind = |value: Value| {
        values.push(value);
        format!("${}", values.len())
    };
    let at = bind(ask.at.into());
    let mut conditions = String::new();
    if let Some(customer) = ask.customer {
        conditions.push_str(&format!(" AND s.customer_id = {}", bind(customer.into())));
    }
    if let Some(channels) = &ask.channels {
        let places: Vec<String> = channels.iter().map(|id| bind((*id).into())).collect();
        conditions.push_str(&match places.is_empty() {
            true => " AND 1 = 0".to_owned(),
            false => format!(" AND i.channel_id IN ({})", places.join(", ")),
        });
    }
    let mut ages = String::new();
    for (age, days) in AGES.into_iter().enumerate() {
        let last = bind((today - Days::new(days)).into());
        ages.push_str(&format!(" WHEN due_on >= {last} THEN {age}"));
    }
    // A cross join, so that SQLite goes from what is open to its invoice, and not the other way.
    let sql = format!(
        "WITH owed AS (
            SELECT s.customer_id, i.currency, i.due_on, i.total_minor
                - COALESCE((SELECT SUM(c.total_minor) FROM invoice c
                    WHERE c.corrects_id = i.id AND c.issued_at <= {at}), 0)
                - COALESCE((SELECT SUM(a.amount_minor) FROM payment_allocation a
                    WHERE a.invoice_id = i.id AND a.recorded_at <= {at}), 0) AS minor
            FROM (
                SELECT invoice_id, customer_id FROM invoice_standing
                WHERE customer_id IS NOT NULL AND settled_at IS NULL
                UNION ALL SELECT invoice_id, customer_id FROM invoice_standing
                WHERE customer_id IS NOT NULL AND settled_at > {at}
            ) s CROSS JOIN invoice i
            WHERE i.id = s.invoice_id AND i.issued_at <= {at}{conditions})
        SELECT customer_id, currency,
            CAST(CASE WHEN minor < 0 THEN -1{ages} ELSE {oldest} END AS BIGINT) AS age,
            COUNT(*) AS invoices, CAST(SUM(minor) AS BIGINT) AS minor
        FROM owed WHERE minor <> 0 GROUP BY 1, 2, 3",
        oldest = AGES.len()
    );
    Statement::from_sql_and_values(db.get_database_backend(), sql, values)
}
