//! Customers, their groups and their terms. Names and contacts come here parsed already.

use entity::{CustomerId, Money, customer, customer_group};
use sea_orm::EntityTrait;
use serde_json::json;

use super::rows;
use crate::checks::{Checks, expect_version};
use crate::failure::{Code, Failure, Problem};
use crate::tx::Tx;

/// The longest term of payment, in days.
const LONGEST_TERMS: i64 = 365;

/// What [`create_group`] needs.
#[derive(Clone, Debug)]
pub struct CreateGroup {
    /// Its name in price lists.
    pub code: String,
    /// Its name on screens.
    pub name: String,
}

/// Makes a group of customers.
pub async fn create_group(tx: &Tx, cmd: CreateGroup) -> Result<customer_group::Model, Failure> {
    let mut checks = Checks::new();
    let row = customer_group::Model {
        code: checks.code("input.code", &cmd.code),
        name: checks.name("input.name", &cmd.name),
    };
    checks.done()?;
    let changes = rows::insert(tx, row.clone())
        .await
        .map_err(|failure| rows::taken(failure, "input.code", &row.code))?;
    rows::changed_once(tx, "customer_group", &row.code, &row.code, changes);
    Ok(row)
}

/// What [`create`] needs.
#[derive(Clone, Debug)]
pub struct Create {
    /// Its name in feeds and imports.
    pub code: String,
    /// A person's or company's name.
    pub name: String,
    /// Where notices go.
    pub email: Option<String>,
    /// E.164.
    pub phone: Option<String>,
    /// The group whose prices it gets.
    pub group_code: Option<String>,
    /// Whether it is charged no tax.
    pub tax_exempt: bool,
    /// Days that it has to pay an invoice; none = it pays at once.
    pub terms_days: Option<i32>,
    /// How much it may owe; none = it has no account.
    pub credit_limit: Option<Money>,
}

/// Makes a customer.
pub async fn create(tx: &Tx, cmd: Create) -> Result<customer::Model, Failure> {
    let mut checks = Checks::new();
    let row = customer::Model {
        id: tx.id(),
        code: checks.code("input.code", &cmd.code),
        name: checks.name("input.name", &cmd.name),
        email: cmd.email,
        phone: cmd.phone,
        group_code: cmd.group_code,
        tax_exempt: cmd.tax_exempt,
        terms_days: cmd.terms_days,
        credit_limit_minor: cmd.credit_limit.map(|limit| limit.minor),
        credit_currency: cmd.credit_limit.map(|limit| limit.currency),
        credit_used_minor: 0,
        version: 1,
        created_at: tx.now,
        updated_at: tx.now,
    };
    check(tx, &mut checks, &row).await?;
    checks.done()?;
    let changes = rows::insert(tx, row.clone())
        .await
        .map_err(|failure| rows::taken(failure, "input.code", &row.code))?;
    let changes = changes.unsaid();
    rows::changed(tx, "customer", row.id, row.version, &row.code, changes);
    Ok(row)
}

/// What [`update`] needs. What is none stays as it is.
#[derive(Clone, Debug)]
pub struct Update {
    /// Which customer.
    pub id: CustomerId,
    /// The version that the caller decided on.
    pub expected_version: Option<i64>,
    /// A person's or company's name.
    pub name: Option<String>,
    /// Where notices go.
    pub email: Option<Option<String>>,
    /// E.164.
    pub phone: Option<Option<String>>,
    /// The group whose prices it gets.
    pub group_code: Option<Option<String>>,
    /// Whether it is charged no tax.
    pub tax_exempt: Option<bool>,
    /// Days that it has to pay an invoice.
    pub terms_days: Option<Option<i32>>,
}

/// Changes a customer. Orders that were taken before keep what they were taken under.
pub async fn update(tx: &Tx, cmd: Update) -> Result<customer::Model, Failure> {
    let mut row = lock(tx, cmd.id, cmd.expected_version).await?;
    let mut checks = Checks::new();
    if let Some(name) = cmd.name {
        row.name = checks.name("input.name", &name);
    }
    row.email = cmd.email.unwrap_or(row.email);
    row.phone = cmd.phone.unwrap_or(row.phone);
    row.group_code = cmd.group_code.unwrap_or(row.group_code);
    row.tax_exempt = cmd.tax_exempt.unwrap_or(row.tax_exempt);
    row.terms_days = cmd.terms_days.unwrap_or(row.terms_days);
    check(tx, &mut checks, &row).await?;
    checks.done()?;
    touch(tx, row).await
}

/// What [`set_credit`] needs.
#[derive(Clone, Copy, Debug)]
pub struct SetCredit {
    /// Which customer.
    pub id: CustomerId,
    /// The version that the caller decided on.
    pub expected_version: Option<i64>,
    /// How much it may owe; none = it has no account.
    pub limit: Option<Money>,
}

/// Sets how much a customer may owe. A limit below what it owes already stops new orders on
/// account and leaves the others.
pub async fn set_credit(tx: &Tx, cmd: SetCredit) -> Result<customer::Model, Failure> {
    let mut row = lock(tx, cmd.id, cmd.expected_version).await?;
    let currency = cmd.limit.map(|limit| limit.currency);
    if row.credit_used_minor > 0 && currency != row.credit_currency {
        return Err(Problem::new(
            Code::InvalidInput,
            "the account is in use; it can neither be closed nor change its currency",
        )
        .at("input.creditLimit")
        .with(json!({ "usedMinor": row.credit_used_minor }))
        .into());
    }
    row.credit_limit_minor = cmd.limit.map(|limit| limit.minor);
    row.credit_currency = currency;
    let mut checks = Checks::new();
    check(tx, &mut checks, &row).await?;
    checks.done()?;
    touch(tx, row).await
}

async fn lock(tx: &Tx, id: CustomerId, expected: Option<i64>) -> Result<customer::Model, Failure> {
    let row = rows::lock(tx, customer::Entity::find_by_id(id))
        .await?
        .ok_or_else(|| Problem::new(Code::CustomerNotFound, "no such customer").at("input.id"))?;
    expect_version("customer", row.version, expected)?;
    Ok(row)
}

async fn touch(tx: &Tx, mut row: customer::Model) -> Result<customer::Model, Failure> {
    row.version += 1;
    row.updated_at = tx.now;
    let changes = rows::replace(tx, row.clone()).await?;
    let changes = changes.unsaid();
    rows::changed(tx, "customer", row.id, row.version, &row.code, changes);
    Ok(row)
}

async fn check(tx: &Tx, checks: &mut Checks, row: &customer::Model) -> Result<(), Failure> {
    if let Some(days) = row.terms_days {
        checks.count("input.termsDays", days.into(), 0, LONGEST_TERMS);
    }
    if let Some(limit) = row.credit_limit_minor {
        checks.amount("input.creditLimit", limit);
    }
    if let Some(group) = &row.group_code
        && !rows::exists::<customer_group::Entity>(tx, group.clone()).await?
    {
        checks.refuse(Problem::not_found("customer group").at("input.groupCode"));
    }
    Ok(())
}
