//! Takes a judged order in one transaction: stock held, codes and credit used, money intended,
//! order written, events said. An order that needs nothing more is released at once.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Duration, Utc};
use entity::channel::FailedCheckPolicy;
use entity::order::{FulfillmentStatus, PaymentMethod, PaymentStatus, ReturnStatus, Stage, Status};
use entity::{
    AddressId, LineId, Money, OrderId, PromotionId, VariantId, address, customer, order,
    order_line, payment, promotion_use,
};
use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, Set};
use serde_json::json;

use super::address::{PostalAddress, Verification};
use super::check::{Draft, DraftLine};
use super::facts::Facts;
use super::submission::{Submission, SubmittedLine};
use crate::catalogue::{ChannelPolicy, Reference};
use crate::events::Event;
use crate::exceptions::{self, Finding};
use crate::failure::{Code, Failure, Problem};
use crate::inventory::{Demand, Shelf, Strength};
use crate::orders::Changed;
use crate::orders::aggregate::Aggregate;
use crate::orders::revise::use_promotion;
use crate::payments;
use crate::pricing::{PromotionOutcome, Quote, QuotedLine};
use crate::tx::Tx;

/// What the order is to be written with, besides what the submission and the draft say.
pub struct Open<'a> {
    /// The order's id, chosen beforehand so that the answer can be saved first.
    pub id: OrderId,
    /// What people call it.
    pub number: String,
    /// How it came in.
    pub source: order::Source,
    /// What was submitted.
    pub submission: &'a Submission,
    /// What it was judged to be.
    pub draft: &'a Draft,
    /// What was known about it.
    pub facts: &'a Facts,
    /// Its channel.
    pub channel: &'a ChannelPolicy,
    /// The small tables.
    pub reference: &'a Reference,
    /// Who is asked for the money, if it is paid by card.
    pub card_gateway: &'a str,
}

/// Takes the order. Refused with PROMOTION_LIMIT_REACHED if another order took the last use of a
/// code meanwhile: the caller judges the submission again.
pub async fn open(tx: &Tx, cmd: &Open<'_>) -> Result<Changed, Failure> {
    let draft = cmd.draft;
    let policy = cmd.channel.row.failed_check_policy;
    let mut findings = draft.findings.clone();
    refuse_if_blocking(policy, &findings)?;

    let line_ids: Vec<LineId> = draft.lines.iter().map(|_| tx.id()).collect();
    let mut shelf = Shelf::lock(tx, variants(draft)).await?;
    let short = shortages(&shelf, cmd);
    refuse_if_blocking(policy, &short)?;
    findings.extend(short);
    use_promotions(tx, cmd).await?;
    let credit = use_credit(tx, cmd).await?;
    if let Some(finding) = &credit {
        refuse_if_blocking(policy, std::slice::from_ref(finding))?;
        findings.push(finding.clone());
    }

    let mut lines = write_lines(tx, cmd, &line_ids);
    let (held, backordered) = hold(tx, cmd, &mut shelf, &mut lines, &findings);
    let shipping_id: AddressId = tx.id();
    let billing_id: Option<AddressId> = draft.billing.as_ref().map(|_| tx.id());
    let mut aggregate = Aggregate::new(order_row(tx, cmd, shipping_id, billing_id), lines);
    aggregate.record(
        tx,
        Event::OrderReceived {
            number: cmd.number.clone(),
            total: draft.quote.total_minor,
            lines: draft.lines.len(),
            held,
            backordered,
        },
    );
    let mut exceptions = Vec::with_capacity(findings.len());
    for finding in &findings {
        let line = finding.line.and_then(|place| line_ids.get(place)).copied();
        let exception = exceptions::row(tx, cmd.id, line, finding);
        aggregate.record(
            tx,
            Event::OrderExceptionOpened {
                exception_id: exception.id.0,
                code: exception.code.clone(),
                blocking: exception.blocking,
            },
        );
        aggregate.exceptions.push(exception.clone());
        exceptions.push(exception);
    }
    aggregate.payment = settled_payment(tx, cmd, credit.is_none());
    aggregate.confirm_if_green(
        tx,
        cmd.channel.row.requires_authorization,
        cmd.reference.dispatch_within(cmd.channel.row.id),
    );
    if aggregate.became_firm() {
        shelf.firm_up(cmd.id);
    }
    aggregate.derive(tx);

    // Parents before their children: on SQLite each statement is checked on its own.
    let mut addresses = vec![address_row(shipping_id, &draft.shipping, tx.now)];
    if let (Some(id), Some(billing)) = (billing_id, &draft.billing) {
        addresses.push(address_row(id, billing, tx.now));
    }
    tx.defer_rows(addresses, |insert| insert);
    let order: order::ActiveModel = aggregate.order.clone().into();
    tx.defer_rows(vec![order], |insert| insert);
    let rows: Vec<order_line::ActiveModel> =
        aggregate.lines.iter().cloned().map(Into::into).collect();
    tx.defer_rows(rows, |insert| insert);
    exceptions::write(tx, exceptions);
    write_promotion_uses(tx, cmd);
    shelf.put_back(tx);
    let mut effects = Vec::new();
    let due = Money::new(draft.quote.total_minor, draft.currency);
    match (cmd.submission.payment.method, aggregate.payment) {
        (PaymentMethod::Card, _) if due.minor > 0 => effects.push(payments::open_authorization(
            tx,
            cmd.id,
            cmd.card_gateway,
            due,
            cmd.submission.payment.token.clone().unwrap_or_default(),
        )),
        (_, Some(payment)) => payments::open(tx, payment),
        (_, None) => {}
    }
    Ok(Changed {
        order_id: cmd.id,
        effects,
    })
}

/// Turns findings that stop an order into refusals, if that is the channel's policy.
pub(super) fn refuse_if_blocking(
    policy: FailedCheckPolicy,
    findings: &[Finding],
) -> Result<(), Failure> {
    if policy == FailedCheckPolicy::Review {
        return Ok(());
    }
    let problems: Vec<Problem> = findings
        .iter()
        // A rule asks for a person's look, whatever becomes of what is plainly wrong.
        .filter(|finding| finding.rule.is_none() && finding.policy().blocking)
        .map(Finding::refusal)
        .collect();
    if problems.is_empty() {
        Ok(())
    } else {
        Err(Failure::Refused(problems))
    }
}

fn variants(draft: &Draft) -> BTreeSet<VariantId> {
    draft
        .lines
        .iter()
        .filter(|line| line.holdable)
        .filter_map(variant_of)
        .collect()
}

pub(super) fn variant_of(line: &DraftLine) -> Option<VariantId> {
    Some(line.offered.as_ref()?.variant.id)
}

/// The lines that want more than there is of a SKU that may not be backordered. Lines of one SKU
/// are taken together.
fn shortages(shelf: &Shelf, cmd: &Open<'_>) -> Vec<Finding> {
    let mut wanted: BTreeMap<VariantId, (i64, usize)> = BTreeMap::new();
    for (place, line) in cmd
        .draft
        .lines
        .iter()
        .enumerate()
        .filter(|(_, line)| line.holdable)
    {
        let Some(offered) = line
            .offered
            .as_ref()
            .filter(|offered| !offered.variant.backorderable)
        else {
            continue;
        };
        let entry = wanted.entry(offered.variant.id).or_insert((0, place));
        entry.0 += cmd.submission.lines[place].quantity;
        entry.1 = place;
    }
    wanted
        .into_iter()
        .filter_map(|(variant, (quantity, place))| {
            let available = shelf.available(variant, &cmd.channel.warehouses);
            if quantity <= available {
                return None;
            }
            let sku = &cmd.draft.lines[place].offered.as_ref()?.variant.sku;
            Some(Finding {
                code: Code::InsufficientStock,
                line: Some(place),
                field: format!("lines.{place}.quantity"),
                message: format!("{sku}: {quantity} wanted, {available} available"),
                details: json!({ "sku": sku, "requested": quantity, "available": available }),
                rule: None,
            })
        })
        .collect()
}

/// Counts one use of each promotion that applied, in the order of their ids; one that has reached
/// its limit refuses.
async fn use_promotions(tx: &Tx, cmd: &Open<'_>) -> Result<(), Failure> {
    for (id, _) in applied(&cmd.draft.quote) {
        if !use_promotion(tx, id).await? {
            return Err(Problem::new(
                Code::PromotionLimitReached,
                "the promotion's last use was taken meanwhile",
            )
            .at("input.promotionCodes")
            .into());
        }
    }
    Ok(())
}

/// The promotions that applied, with what they took off, in the order of their ids.
pub(super) fn applied(quote: &Quote) -> BTreeMap<PromotionId, i64> {
    quote
        .promotions
        .iter()
        .filter_map(|verdict| match verdict.outcome {
            PromotionOutcome::Applied { discount_minor } => {
                Some((verdict.promotion_id?, discount_minor))
            }
            PromotionOutcome::Rejected(_) => None,
        })
        .collect()
}

fn write_promotion_uses(tx: &Tx, cmd: &Open<'_>) {
    let uses: Vec<promotion_use::ActiveModel> = applied(&cmd.draft.quote)
        .into_iter()
        .map(|(promotion_id, amount)| promotion_use::ActiveModel {
            promotion_id: Set(promotion_id),
            order_id: Set(cmd.id),
            amount_minor: Set(amount),
            used_at: Set(tx.now),
        })
        .collect();
    tx.defer_rows(uses, |insert| insert);
}

/// Takes an order on account, if it fits under the limit: one conditional update under the
/// customer's row lock, so that two orders that fit only singly cannot both pass.
async fn use_credit(tx: &Tx, cmd: &Open<'_>) -> Result<Option<Finding>, Failure> {
    if cmd.submission.payment.method != PaymentMethod::Account {
        return Ok(None);
    }
    let finding = |code: Code, message: &str, details: serde_json::Value| Finding {
        code,
        line: None,
        field: "payment.method".to_owned(),
        message: message.to_owned(),
        details,
        rule: None,
    };
    let account = cmd
        .facts
        .customer
        .as_ref()
        .filter(|customer| customer.credit_currency == Some(cmd.draft.currency));
    let Some(customer) = account else {
        return Ok(Some(finding(
            Code::CreditNotGranted,
            "the customer has no account in this currency",
            json!({ "currency": cmd.draft.currency }),
        )));
    };
    let due = cmd.draft.quote.total_minor;
    use customer::Column;
    let taken = customer::Entity::update_many()
        .col_expr(
            Column::CreditUsedMinor,
            Expr::col(Column::CreditUsedMinor).add(due),
        )
        .filter(Column::Id.eq(customer.id))
        .filter(Column::CreditCurrency.eq(cmd.draft.currency))
        .filter(
            Expr::col(Column::CreditUsedMinor)
                .add(due)
                .lte(Expr::col(Column::CreditLimitMinor)),
        )
        .exec(tx.db())
        .await?
        .rows_affected;
    if taken > 0 {
        return Ok(None);
    }
    Ok(Some(finding(
        Code::CreditLimitExceeded,
        "the order would exceed the customer's credit limit",
        json!({ "due": due, "currency": cmd.draft.currency }),
    )))
}

/// The payment of an order that no gateway is asked about: on account or settled outside, or of
/// nothing at all.
fn settled_payment(tx: &Tx, cmd: &Open<'_>, credit_taken: bool) -> Option<payment::Model> {
    let due = Money::new(cmd.draft.quote.total_minor, cmd.draft.currency);
    let (gateway, authorized) = match cmd.submission.payment.method {
        PaymentMethod::Account => ("account", if credit_taken { due.minor } else { 0 }),
        PaymentMethod::External => ("external", due.minor),
        PaymentMethod::Card if due.minor == 0 => (cmd.card_gateway, 0),
        PaymentMethod::Card => return None,
    };
    Some(payments::new_payment(
        tx,
        tx.id(),
        cmd.id,
        gateway,
        due.currency,
        authorized,
    ))
}

/// Holds what there is for each line, and queues the rest of those that may wait. Returns the
/// units held and the units that wait.
fn hold(
    tx: &Tx,
    cmd: &Open<'_>,
    shelf: &mut Shelf,
    lines: &mut [order_line::Model],
    findings: &[Finding],
) -> (i64, i64) {
    let until = tx.now + Duration::seconds(cmd.channel.row.reservation_ttl_secs);
    let short: BTreeSet<&str> = findings
        .iter()
        .filter(|finding| finding.code == Code::InsufficientStock)
        .filter_map(|finding| finding.details["sku"].as_str())
        .collect();
    let (mut held, mut waiting) = (0, 0);
    for (line, draft) in lines.iter_mut().zip(&cmd.draft.lines) {
        let Some(offered) = draft.offered.as_ref().filter(|_| draft.holdable) else {
            continue;
        };
        if short.contains(offered.variant.sku.as_str()) {
            continue;
        }
        let mut demand = Demand {
            order_id: cmd.id,
            line_id: line.id,
            channel_id: cmd.channel.row.id,
            variant_id: offered.variant.id,
            quantity: line.quantity,
        };
        line.reserved = shelf.hold(tx, demand, &cmd.channel.warehouses, Strength::Soft(until));
        demand.quantity -= line.reserved;
        if demand.quantity > 0 {
            line.backordered = demand.quantity;
            let serving = &cmd.channel.warehouses;
            let expected = cmd.reference.expected(demand.variant_id, serving, tx.now);
            shelf.wait(tx, demand, serving, expected);
        }
        held += line.reserved;
        waiting += line.backordered;
    }
    (held, waiting)
}

fn write_lines(tx: &Tx, cmd: &Open<'_>, ids: &[LineId]) -> Vec<order_line::Model> {
    let quoted = cmd.draft.quote.lines.iter().zip(&cmd.submission.lines);
    cmd.draft
        .lines
        .iter()
        .zip(quoted)
        .enumerate()
        .map(|(place, (line, (quote, submitted)))| {
            let id = ids.get(place).copied().unwrap_or_else(|| tx.id());
            line_row(cmd.id, id, place, line, quote, submitted)
        })
        .collect()
}

/// A line's row, with nothing held for it yet.
pub(super) fn line_row(
    order_id: OrderId,
    id: LineId,
    place: usize,
    line: &DraftLine,
    quote: &QuotedLine,
    submitted: &SubmittedLine,
) -> order_line::Model {
    order_line::Model {
        id,
        order_id,
        position: i32::try_from(place).unwrap_or(i32::MAX),
        variant_id: variant_of(line),
        sku: line.offered.as_ref().map_or_else(
            || submitted.sku.trim().to_owned(),
            |o| o.variant.sku.clone(),
        ),
        title: title(line, submitted),
        submitted_title: submitted.title.clone(),
        quantity: submitted.quantity,
        reserved: 0,
        allocated: 0,
        backordered: 0,
        picked: 0,
        packed: 0,
        shipped: 0,
        cancelled: 0,
        returned: 0,
        unit_price_minor: quote.unit_price_minor,
        list_price_minor: line.list_price_minor,
        tax_category: line.tax_category.clone(),
        tax_rate: line.tax_rate,
        subtotal_minor: quote.subtotal_minor,
        discount_minor: quote.discount_minor,
        discounts: discounts(line, quote),
        net_minor: quote.net_minor,
        tax_minor: quote.tax_minor,
        gross_minor: quote.gross_minor,
    }
}

fn title(line: &DraftLine, submitted: &SubmittedLine) -> String {
    match (&line.offered, &submitted.title) {
        (Some(offered), _) => offered.variant.title.clone(),
        (None, Some(title)) => title.clone(),
        (None, None) => submitted.sku.trim().to_owned(),
    }
}

fn discounts(line: &DraftLine, quote: &crate::pricing::QuotedLine) -> serde_json::Value {
    let agreed = (line.agreed_discount_minor > 0)
        .then(|| json!({ "promotionId": null, "amount": line.agreed_discount_minor }));
    let promotions = quote.discounts.iter().map(
        |discount| json!({ "promotionId": discount.promotion_id, "amount": discount.amount_minor }),
    );
    agreed.into_iter().chain(promotions).collect()
}

fn order_row(
    tx: &Tx,
    cmd: &Open<'_>,
    shipping_address_id: AddressId,
    billing_address_id: Option<AddressId>,
) -> order::Model {
    let (draft, submission) = (cmd.draft, cmd.submission);
    let quote = &draft.quote;
    order::Model {
        id: cmd.id,
        number: cmd.number.clone(),
        channel_id: cmd.channel.row.id,
        external_reference: submission
            .external_reference
            .as_ref()
            .map(|reference| reference.trim().to_owned()),
        fingerprint: submission.fingerprint(),
        source: cmd.source,
        customer_id: cmd.facts.customer.as_ref().map(|customer| customer.id),
        customer_name: draft.customer_name.clone(),
        email: draft.email.clone(),
        phone: draft.phone.clone(),
        customer_group: cmd
            .facts
            .customer
            .as_ref()
            .and_then(|c| c.group_code.clone()),
        shipping_address_id,
        billing_address_id,
        status: Status::Received,
        payment_status: PaymentStatus::Pending,
        fulfillment_status: FulfillmentStatus::Unfulfilled,
        return_status: ReturnStatus::None,
        stage: Stage::Validating,
        stage_since: tx.now,
        dispatch_by: None,
        payment_method: submission.payment.method,
        service_level: draft.service_level.clone(),
        currency: draft.currency,
        tax_included: cmd.channel.row.tax_mode == entity::channel::TaxMode::Inclusive,
        tax_exempt: draft.tax_exempt,
        subtotal_minor: quote.subtotal_minor,
        discount_minor: quote.discount_minor - quote.shipping.discount_minor,
        shipping_minor: quote.shipping_minor,
        shipping_discount_minor: quote.shipping.discount_minor,
        shipping_tax_minor: quote.shipping.tax_minor,
        tax_minor: quote.tax_minor,
        exempted_minor: quote.exempted_minor,
        total_minor: quote.total_minor,
        submitted_total_minor: draft.submitted_total_minor,
        promotion_codes: json!(quote.promotions),
        metadata: submission.metadata.clone().unwrap_or_else(|| json!({})),
        private_metadata: json!({}),
        cancel_reason: None,
        placed_at: draft.placed_at,
        received_at: tx.now,
        confirmed_at: None,
        closed_at: None,
        updated_at: tx.now,
        version: 0,
        split_from_order_id: None,
        unrouted: false,
        settles_at: None,
    }
}

pub(super) fn address_row(
    id: AddressId,
    (address, verification): &(PostalAddress, Verification),
    now: DateTime<Utc>,
) -> address::ActiveModel {
    address::ActiveModel {
        id: Set(id),
        customer_id: Set(None),
        name: Set(address.name.clone()),
        organisation: Set(address.organisation.clone()),
        line1: Set(address.line1.clone()),
        line2: Set(address.line2.clone()),
        city: Set(address.city.clone()),
        region: Set(address.region.clone()),
        postal_code: Set(address.postal_code.clone()),
        country: Set(address.country.code().to_owned()),
        phone: Set(address.phone.clone()),
        verdict: Set(verdict(verification)),
        suggestion: Set(verification
            .suggestion
            .as_ref()
            .map(|suggestion| json!(suggestion))),
        reasons: Set(json!(verification.reasons)),
        po_box: Set(verification.po_box),
        created_at: Set(now),
    }
}

/// The verdict as it is stored.
pub(super) fn verdict(verification: &Verification) -> address::Verdict {
    use super::address::Verdict;
    match verification.verdict {
        Verdict::Valid => address::Verdict::Valid,
        Verdict::Corrected => address::Verdict::Corrected,
        Verdict::Ambiguous => address::Verdict::Ambiguous,
        Verdict::Invalid => address::Verdict::Invalid,
        Verdict::Unverified => address::Verdict::Unverified,
    }
}
