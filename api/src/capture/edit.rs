//! Judges a change of an order that was taken: the order as it would be goes through the same
//! pipeline as one that comes in, at the prices of the moment when it was placed.
//!
//! An edit judges what it touches. A price that was agreed stays agreed, a line that is not named
//! is not priced or checked again, and what a person has settled about it stays settled. What the
//! editor says about a price, a discount or the shipping charge is their word: it is not compared
//! with ours. Of the merchant's rules it asks those that see something else than before.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use entity::channel::FailedCheckPolicy;
use entity::order::PaymentMethod;
use entity::order_exception::Status as ExceptionStatus;
use entity::{
    AddressId, ExceptionRuleId, LineId, Money, OrderId, address, customer, order, order_exception,
    order_line, payment, promotion, promotion_use,
};
use rust_decimal::Decimal;
use sea_orm::{ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QueryOrder};
use serde::Serialize;
use serde_json::{Value as Json, json};

use super::check::{self, Draft, DraftLine};
use super::contact::PersonName;
use super::facts::{self, Facts};
use super::open::{address_row, applied, line_row, refuse_if_blocking};
use super::rules::{Change, judge_change};
use super::submission::{
    Submission, SubmittedAddress, SubmittedCustomer, SubmittedLine, SubmittedPayment,
};
use crate::catalogue::{self, ChannelPolicy, Reference};
use crate::exceptions::Finding;
use crate::exceptions::rules::RuleSet;
use crate::failure::{Code, Failure, Problem};
use crate::orders::revise::Revision;
use crate::tx::new_id;

/// What is to change; what is not given stays.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Edit {
    /// Changes of lines.
    pub lines: Vec<LineEdit>,
    /// Lines to add.
    pub added: Vec<SubmittedLine>,
    /// Who ordered and how they are reached; what is not given stays.
    pub contact: Option<SubmittedCustomer>,
    /// Where it goes.
    pub shipping_address: Option<SubmittedAddress>,
    /// Where the bill goes.
    pub billing_address: Option<SubmittedAddress>,
    /// All promotion codes, instead of those that there are.
    pub promotion_codes: Option<Vec<String>>,
    /// The shipping service.
    pub service_level: Option<String>,
    /// What is charged for shipping. Not given: the charge stays, unless the country or the service
    /// changes, or `shipping_afresh` asks for our rate.
    pub shipping_charge: Option<Decimal>,
    /// Whether our rate is worked out afresh.
    pub shipping_afresh: bool,
    /// The card to ask if more money is due; not given: the one that was asked last.
    pub instrument: Option<String>,
    /// Why, in words.
    pub reason: Option<String>,
}

/// A change of one line.
#[derive(Clone, Debug, Serialize)]
pub struct LineEdit {
    /// Which line.
    pub line_id: LineId,
    /// How many units; 0 takes the line off the order.
    pub quantity: Option<i64>,
    /// What a unit is charged at. Not given: the price stays, but one that was ours follows our
    /// tiers when the quantity changes.
    pub unit_price: Option<Decimal>,
    /// What is taken off the whole line, besides promotions. Not given: it stays, but is never
    /// more than the line comes to.
    pub discount: Option<Decimal>,
}

/// An order with everything that an edit of it is judged from, as it stands outside any
/// transaction.
pub struct Basis {
    /// The order.
    pub order: order::Model,
    /// Its lines that something is wanted of.
    pub lines: Vec<order_line::Model>,
    /// Its payment.
    pub payment: Option<payment::Model>,
    /// Its exceptions that are not settled.
    pub exceptions: Vec<order_exception::Model>,
    customer: Option<customer::Model>,
    shipping: address::Model,
    billing: Option<address::Model>,
    promotions: Vec<promotion::Model>,
}

impl Basis {
    /// Reads an order; none if it is not there. Should it move on meanwhile, it is read again: its
    /// parts are all of one version.
    pub async fn read(db: &impl ConnectionTrait, id: OrderId) -> Result<Option<Basis>, DbErr> {
        loop {
            let Some(basis) = Basis::read_parts(db, id).await? else {
                return Ok(None);
            };
            let now = order::Entity::find_by_id(id).one(db).await?;
            if now.is_some_and(|now| now.version == basis.order.version) {
                return Ok(Some(basis));
            }
        }
    }

    async fn read_parts(db: &impl ConnectionTrait, id: OrderId) -> Result<Option<Basis>, DbErr> {
        let Some((order, payment)) = order::Entity::find_by_id(id)
            .find_also_related(payment::Entity)
            .one(db)
            .await?
        else {
            return Ok(None);
        };
        let lines = order_line::Entity::find()
            .filter(order_line::Column::OrderId.eq(id))
            .order_by_asc(order_line::Column::Position)
            .all(db)
            .await?
            .into_iter()
            .filter(|line| line.cancelled < line.quantity)
            .collect();
        let exceptions = order_exception::Entity::find()
            .filter(order_exception::Column::OrderId.eq(id))
            .filter(
                order_exception::Column::Status
                    .is_in([ExceptionStatus::Open, ExceptionStatus::Assigned]),
            )
            .all(db)
            .await?;
        let wanted = [Some(order.shipping_address_id), order.billing_address_id];
        let mut addresses: BTreeMap<AddressId, address::Model> = address::Entity::find()
            .filter(address::Column::Id.is_in(wanted.into_iter().flatten()))
            .all(db)
            .await?
            .into_iter()
            .map(|address| (address.id, address))
            .collect();
        let Some(shipping) = addresses.remove(&order.shipping_address_id) else {
            return Ok(None);
        };
        let billing = order
            .billing_address_id
            .and_then(|id| addresses.remove(&id));
        let customer = match order.customer_id {
            Some(customer) => catalogue::find_customer(db, Some(customer), None).await?,
            None => None,
        };
        let used: Vec<_> = promotion_use::Entity::find()
            .filter(promotion_use::Column::OrderId.eq(id))
            .all(db)
            .await?
            .into_iter()
            .map(|used| used.promotion_id)
            .collect();
        let promotions = promotion::Entity::find()
            .filter(promotion::Column::Id.is_in(used))
            .all(db)
            .await?;
        Ok(Some(Basis {
            order,
            lines,
            payment,
            exceptions,
            customer,
            shipping,
            billing,
            promotions,
        }))
    }

    /// The address that an exception is about.
    pub fn address_of(&self, exception: &order_exception::Model) -> &address::Model {
        let billing = self.billing.as_ref();
        billing
            .filter(|_| super::correct::is_about_billing(exception))
            .unwrap_or(&self.shipping)
    }

    /// What is authorised for it, in minor units.
    pub fn authorized_minor(&self) -> i64 {
        self.payment
            .as_ref()
            .map_or(0, |payment| payment.authorized_minor)
    }
}

/// A line of the order as it would be.
struct Wanted {
    id: LineId,
    submitted: SubmittedLine,
    /// As it is; none = it is added.
    was: Option<order_line::Model>,
    /// Whether it is judged afresh.
    touched: bool,
    /// Whether the editor says what it costs.
    priced: bool,
}

/// Judges an edit. Refused if the order is at another version than the editor saw, if what is left
/// would be no order, or, where the channel refuses what a check finds, for what the checks find.
pub async fn judge(
    db: &impl ConnectionTrait,
    reference: &Reference,
    rules: &RuleSet,
    channel: &ChannelPolicy,
    basis: &Basis,
    edit: &Edit,
    now: DateTime<Utc>,
) -> Result<Revision, Failure> {
    let reason = edit
        .reason
        .as_deref()
        .map(|reason| crate::orders::text("reason", reason))
        .transpose()?;
    let edit = &named(basis, edit);
    let (wanted, removed) = wanted_lines(basis, edit).map_err(Failure::Refused)?;
    let afresh = edit.shipping_afresh
        || edit.service_level.is_some()
        || edit
            .shipping_address
            .as_ref()
            .is_some_and(|address| !is_country(&address.country, &basis.shipping.country));
    let submission = submission(basis, edit, &wanted, channel, afresh);
    let at_input = |problems: Vec<Problem>| Failure::Refused(at_edit(problems, &wanted));
    let (shipping, billing) = check::addresses(&submission).map_err(at_input)?;
    let mut known = facts::gather(
        db,
        reference,
        channel,
        &submission,
        Some(&shipping),
        billing.as_ref(),
    )
    .await?;
    as_then(&mut known, basis);
    let draft = check::check(
        &submission,
        channel,
        reference,
        &known,
        shipping,
        billing,
        now,
    )
    .map_err(|problems| Failure::Refused(at_edit(problems, &wanted)))?;
    let touched = Touched {
        wanted: &wanted,
        contact: edit.contact.is_some(),
        shipping_address: edit.shipping_address.is_some(),
        billing_address: edit.billing_address.is_some(),
        shipping: edit.shipping_charge.is_some() || afresh,
        stated_charge: edit.shipping_charge.is_some(),
        codes: edit.promotion_codes.is_some(),
    };
    let findings: Vec<Finding> = draft
        .findings
        .iter()
        .filter(|finding| touched.judges(finding))
        .cloned()
        .collect();
    let policy = channel.row.failed_check_policy;
    refuse_if_blocking(policy, &findings).map_err(|failure| match failure {
        Failure::Refused(problems) => Failure::Refused(at_edit(problems, &wanted)),
        other => other,
    })?;
    let shipping = edit
        .shipping_address
        .as_ref()
        .map(|_| draft.shipping.clone());
    let billing = edit.billing_address.as_ref().and(draft.billing.clone());
    let discontinued = draft
        .lines
        .iter()
        .filter_map(DraftLine::discontinued)
        .collect();
    let mut revision = revision(
        basis, edit, reason, &wanted, removed, draft, findings, &touched, channel, now,
    );
    let own: Vec<Finding> = revision
        .findings
        .iter()
        .map(|(own, _)| own.clone())
        .collect();
    let change = Change {
        order: &revision.order,
        lines: &revision.lines,
        discontinued: &discontinued,
        shipping: shipping.as_ref(),
        billing: billing.as_ref(),
        findings: &own,
    };
    let by_rules = judge_change(db, reference, rules, &basis.order, &change).await?;
    add_what_rules_found(basis, &mut revision, by_rules);
    Ok(revision)
}

/// What a rule that the edit concerns found before is put right, unless it finds the same again.
fn add_what_rules_found(
    basis: &Basis,
    revision: &mut Revision,
    (concerned, mut found): (BTreeSet<ExceptionRuleId>, Vec<Finding>),
) {
    for open in &basis.exceptions {
        if !open.rule_id.is_some_and(|rule| concerned.contains(&rule)) {
            continue;
        }
        let same = |finding: &Finding| {
            finding.code.as_str() == open.code && finding.details == open.details
        };
        match found.iter().position(same) {
            Some(place) => drop(found.remove(place)),
            None => drop(revision.settles.insert(open.id)),
        }
    }
    let found = found.into_iter().map(|finding| (finding, None));
    revision.findings.extend(found);
}

/// The same edit, but an address that took a wrong name over from who ordered takes over the new
/// one: that the name was wrong has been told once, and settling that must not leave an address
/// behind that names nobody.
fn named(basis: &Basis, edit: &Edit) -> Edit {
    let mut edit = edit.clone();
    let corrects = edit
        .contact
        .as_ref()
        .is_some_and(|contact| contact.name.is_some());
    let nameless = |address: &address::Model| {
        let wrong = corrects && PersonName::parse(&address.name).is_err();
        wrong.then(|| SubmittedAddress {
            name: None,
            ..as_submitted(address)
        })
    };
    edit.shipping_address = edit.shipping_address.or_else(|| nameless(&basis.shipping));
    edit.billing_address = edit
        .billing_address
        .or_else(|| basis.billing.as_ref().and_then(nameless));
    edit
}

fn is_country(given: &str, code: &str) -> bool {
    super::address::parse_country(given).is_some_and(|country| country.code() == code)
}

/// The lines as they would be, and those that go.
fn wanted_lines(
    basis: &Basis,
    edit: &Edit,
) -> Result<(Vec<Wanted>, BTreeSet<LineId>), Vec<Problem>> {
    let mut problems = Vec::new();
    let mut changes: BTreeMap<LineId, &LineEdit> = BTreeMap::new();
    for (place, change) in edit.lines.iter().enumerate() {
        let at = |problem: Problem| problem.at(&format!("input.lines.{place}.lineId"));
        if !basis.lines.iter().any(|line| line.id == change.line_id) {
            problems.push(at(Problem::not_found("line")));
        } else if changes.insert(change.line_id, change).is_some() {
            let message = "a line is changed once";
            problems.push(at(Problem::new(Code::InvalidInput, message)));
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    let currency = basis.order.currency;
    let mut wanted = Vec::new();
    let mut removed = BTreeSet::new();
    for line in &basis.lines {
        let change = changes.get(&line.id);
        let quantity = change
            .and_then(|change| change.quantity)
            .unwrap_or(line.quantity);
        if quantity == 0 {
            removed.insert(line.id);
            continue;
        }
        let given = change.and_then(|change| change.unit_price);
        let was_ours = line.list_price_minor == Some(line.unit_price_minor);
        let unit_price = match given {
            Some(price) => Some(price),
            None if quantity != line.quantity && was_ours => None,
            None => Some(Money::new(line.unit_price_minor, currency).to_decimal()),
        };
        let discount = change.and_then(|change| change.discount).or_else(|| {
            let most = line.unit_price_minor.saturating_mul(quantity);
            let agreed = std::cmp::min(agreed_discount(line), most);
            (agreed > 0).then(|| Money::new(agreed, currency).to_decimal())
        });
        let priced = change.is_some_and(|change| change.unit_price.is_some());
        wanted.push(Wanted {
            id: line.id,
            submitted: SubmittedLine {
                sku: line.sku.clone(),
                quantity,
                unit_price,
                discount,
                title: line.submitted_title.clone(),
            },
            touched: priced || quantity != line.quantity,
            priced,
            was: Some(line.clone()),
        });
    }
    wanted.extend(edit.added.iter().map(|line| Wanted {
        id: new_id(),
        submitted: line.clone(),
        was: None,
        touched: true,
        priced: line.unit_price.is_some(),
    }));
    if wanted.is_empty() {
        let message = "an edit leaves at least one line; cancel the order instead";
        return Err(vec![
            Problem::new(Code::LinesMissing, message).at("input.lines"),
        ]);
    }
    Ok((wanted, removed))
}

/// What was taken off a line besides promotions, in minor units.
fn agreed_discount(line: &order_line::Model) -> i64 {
    line.discounts
        .as_array()
        .into_iter()
        .flatten()
        .filter(|discount| discount["promotionId"].is_null())
        .filter_map(|discount| discount["amount"].as_i64())
        .sum()
}

/// The order as it would be, as a channel would send it.
fn submission(
    basis: &Basis,
    edit: &Edit,
    wanted: &[Wanted],
    channel: &ChannelPolicy,
    afresh: bool,
) -> Submission {
    let order = &basis.order;
    let contact = edit.contact.as_ref();
    let shipping_charge = edit.shipping_charge.or_else(|| {
        (!afresh).then(|| Money::new(order.shipping_minor, order.currency).to_decimal())
    });
    Submission {
        channel: channel.row.code.clone(),
        external_reference: None,
        placed_at: Some(order.placed_at),
        currency: Some(order.currency.to_string()),
        customer: SubmittedCustomer {
            code: basis
                .customer
                .as_ref()
                .map(|customer| customer.code.clone()),
            name: contact
                .and_then(|contact| contact.name.clone())
                .or_else(|| Some(order.customer_name.clone())),
            email: contact
                .and_then(|contact| contact.email.clone())
                .or_else(|| order.email.clone()),
            phone: contact
                .and_then(|contact| contact.phone.clone())
                .or_else(|| order.phone.clone()),
        },
        shipping_address: edit
            .shipping_address
            .clone()
            .unwrap_or_else(|| as_submitted(&basis.shipping)),
        billing_address: edit
            .billing_address
            .clone()
            .or_else(|| basis.billing.as_ref().map(as_submitted)),
        lines: wanted.iter().map(|line| line.submitted.clone()).collect(),
        promotion_codes: edit.promotion_codes.clone().unwrap_or_else(|| {
            order
                .promotion_codes
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(|verdict| verdict["code"].as_str().map(str::to_owned))
                .collect()
        }),
        service_level: edit
            .service_level
            .clone()
            .or_else(|| Some(order.service_level.clone())),
        shipping_charge,
        total: None,
        payment: SubmittedPayment {
            method: order.payment_method,
            // Nobody is asked with it; an order by card always has one.
            token: (order.payment_method == PaymentMethod::Card).then(|| "kept".to_owned()),
        },
        metadata: None,
    }
}

fn as_submitted(address: &address::Model) -> SubmittedAddress {
    SubmittedAddress {
        name: Some(address.name.clone()),
        organisation: address.organisation.clone(),
        line1: address.line1.clone(),
        line2: address.line2.clone(),
        city: address.city.clone(),
        region: address.region.clone(),
        postal_code: address.postal_code.clone(),
        country: address.country.clone(),
    }
}

/// What was known of the order when it was taken stays so: its customer's group and tax, and the
/// promotions that it used, which it does not use again.
fn as_then(known: &mut Facts, basis: &Basis) {
    if let Some(customer) = known.customer.as_mut() {
        customer.group_code = basis.order.customer_group.clone();
        customer.tax_exempt = basis.order.tax_exempt;
    }
    for used in &basis.promotions {
        let mut own = used.clone();
        own.usage_count -= 1;
        own.active = true;
        known.promotions.retain(|promotion| promotion.id != own.id);
        known.promotions.push(own);
    }
}

/// Moves the paths of refusals from the order as it would be to the edit's own input.
fn at_edit(problems: Vec<Problem>, wanted: &[Wanted]) -> Vec<Problem> {
    let added = wanted.iter().filter(|line| line.was.is_some()).count();
    problems
        .into_iter()
        .map(|mut problem| {
            if let Some(path) = problem.field.as_mut()
                && path.get(1).is_some_and(|part| part == "lines")
                && let Some(place) = path.get(2).and_then(|part| part.parse::<usize>().ok())
            {
                if place >= added {
                    path[1] = "addLines".to_owned();
                    path[2] = (place - added).to_string();
                } else {
                    // A line of the order is named by its SKU; its place in the input may be none.
                    path.truncate(2);
                    if let Some(line) = wanted.get(place) {
                        problem.message = format!("{}: {}", line.submitted.sku, problem.message);
                    }
                }
            }
            problem
        })
        .collect()
}

/// What an edit touches, and so judges.
struct Touched<'a> {
    wanted: &'a [Wanted],
    contact: bool,
    shipping_address: bool,
    billing_address: bool,
    shipping: bool,
    stated_charge: bool,
    codes: bool,
}

impl Touched<'_> {
    /// Whether a finding about the order as it would be is one of this edit.
    fn judges(&self, finding: &Finding) -> bool {
        if let Some(line) = finding.line.and_then(|place| self.wanted.get(place)) {
            return line.touched && !(line.priced && finding.code == Code::PriceMismatch);
        }
        match finding.code {
            Code::ShippingMismatch => self.shipping && !self.stated_charge,
            Code::ShippingUnavailable => self.shipping,
            _ => match finding.field.split('.').next() {
                Some("customer") => self.contact,
                Some("shippingAddress") => self.shipping_address,
                Some("billingAddress") => self.billing_address,
                Some("promotionCodes") => self.codes,
                _ => false,
            },
        }
    }

    /// Whether the edit puts an open exception right: it is about what the edit touches, and the
    /// checks do not find it any more.
    fn settles(
        &self,
        open: &order_exception::Model,
        removed: &BTreeSet<LineId>,
        total_changed: bool,
    ) -> bool {
        let is = |code: Code| open.code == code.as_str();
        if let Some(id) = open.line_id {
            let touched = |line: &Wanted| line.id == id && line.touched;
            return removed.contains(&id) || self.wanted.iter().any(touched);
        }
        let about_billing = open.details["address"] == "billingAddress";
        let about_contact =
            is(Code::NameInvalid) || is(Code::EmailInvalid) || is(Code::PhoneInvalid);
        about_contact && self.contact
            || is(Code::AddressInvalid) && about_billing && self.billing_address
            || is(Code::AddressInvalid) && !about_billing && self.shipping_address
            || is(Code::ShippingMismatch) && self.shipping
            || is(Code::ShippingUnavailable) && self.shipping
            || is(Code::PromotionRejected) && self.codes
            || is(Code::PromotionLimitReached) && self.codes
            || is(Code::TotalMismatch) && total_changed
    }
}

#[allow(
    clippy::too_many_arguments,
    reason = "everything that a revision is made of"
)]
fn revision(
    basis: &Basis,
    edit: &Edit,
    reason: Option<String>,
    wanted: &[Wanted],
    removed: BTreeSet<LineId>,
    draft: Draft,
    findings: Vec<Finding>,
    touched: &Touched<'_>,
    channel: &ChannelPolicy,
    now: DateTime<Utc>,
) -> Revision {
    let lines: Vec<order_line::Model> = wanted
        .iter()
        .zip(&draft.lines)
        .zip(&draft.quote.lines)
        .enumerate()
        .map(|(place, ((line, judged), quote))| {
            let id = basis.order.id;
            let row = line_row(id, line.id, place, judged, quote, &line.submitted);
            match &line.was {
                // The SKU and its title stay what was ordered.
                Some(was) => order_line::Model {
                    variant_id: was.variant_id,
                    sku: was.sku.clone(),
                    title: was.title.clone(),
                    list_price_minor: if line.touched {
                        row.list_price_minor
                    } else {
                        was.list_price_minor
                    },
                    ..row
                },
                None => row,
            }
        })
        .collect();
    let strict = wanted
        .iter()
        .zip(&draft.lines)
        .filter(|(line, judged)| {
            line.touched
                && judged
                    .offered
                    .as_ref()
                    .is_some_and(|offered| !offered.variant.backorderable)
        })
        .map(|(line, _)| line.id)
        .collect();
    let mut addresses = Vec::new();
    let mut take = |given: bool, address: &(super::address::PostalAddress, _)| {
        given.then(|| {
            let id: AddressId = new_id();
            addresses.push((id, address_row(id, address, now)));
            id
        })
    };
    let shipping = take(edit.shipping_address.is_some(), &draft.shipping);
    let billing = draft
        .billing
        .as_ref()
        .and_then(|billing| take(edit.billing_address.is_some(), billing));
    let old = &basis.order;
    let quote = &draft.quote;
    let given = |text: fn(&SubmittedCustomer) -> &Option<String>| {
        edit.contact
            .as_ref()
            .is_some_and(|contact| text(contact).is_some())
    };
    let order = order::Model {
        shipping_address_id: shipping.unwrap_or(old.shipping_address_id),
        billing_address_id: billing.or(old.billing_address_id),
        customer_name: if given(|contact| &contact.name) {
            draft.customer_name.clone()
        } else {
            old.customer_name.clone()
        },
        email: if given(|contact| &contact.email) {
            draft.email.clone()
        } else {
            old.email.clone()
        },
        phone: if given(|contact| &contact.phone) {
            draft.phone.clone()
        } else {
            old.phone.clone()
        },
        service_level: draft.service_level.clone(),
        subtotal_minor: quote.subtotal_minor,
        discount_minor: quote.discount_minor - quote.shipping.discount_minor,
        shipping_minor: quote.shipping_minor,
        shipping_discount_minor: quote.shipping.discount_minor,
        shipping_tax_minor: quote.shipping.tax_minor,
        tax_minor: quote.tax_minor,
        exempted_minor: quote.exempted_minor,
        total_minor: quote.total_minor,
        promotion_codes: json!(quote.promotions),
        ..old.clone()
    };
    let findings: Vec<(Finding, Option<LineId>)> = findings
        .into_iter()
        .map(|finding| {
            let line = finding.line.and_then(|place| wanted.get(place));
            (finding, line.map(|line| line.id))
        })
        .collect();
    // What is still wrong in the same way stays open instead of being opened again.
    let total_changed = order.total_minor != old.total_minor;
    let still = |open: &order_exception::Model, (finding, line): &(Finding, Option<LineId>)| {
        open.code == finding.code.as_str()
            && open.line_id == *line
            && open.details == finding.details
    };
    let settles = basis
        .exceptions
        .iter()
        .filter(|open| touched.settles(open, &removed, total_changed))
        .filter(|open| !findings.iter().any(|finding| still(open, finding)))
        .map(|open| open.id)
        .collect();
    let findings = findings
        .into_iter()
        .filter(|finding| !basis.exceptions.iter().any(|open| still(open, finding)))
        .collect();
    let (before, after) = changes(basis, &order, &lines, &removed, edit);
    Revision {
        promotions: applied(quote),
        refuses: channel.row.failed_check_policy == FailedCheckPolicy::Refuse,
        instrument: edit.instrument.clone(),
        order,
        lines,
        removed,
        strict,
        addresses,
        findings,
        settles,
        reason,
        before,
        after,
    }
}

/// What changes, as it is and as it is to be. No personal data: a contact is only named.
fn changes(
    basis: &Basis,
    order: &order::Model,
    lines: &[order_line::Model],
    removed: &BTreeSet<LineId>,
    edit: &Edit,
) -> (Json, Json) {
    let facts = |order: &order::Model| {
        json!({
            "total": order.total_minor, "subtotal": order.subtotal_minor,
            "discount": order.discount_minor, "tax": order.tax_minor,
            "shipping": order.shipping_minor, "serviceLevel": order.service_level,
            "shippingAddress": order.shipping_address_id,
            "billingAddress": order.billing_address_id,
            "promotionCodes": order.promotion_codes,
        })
    };
    let (mut before, mut after) = (facts(&basis.order), facts(order));
    if let (Some(before), Some(after)) = (before.as_object_mut(), after.as_object_mut()) {
        before.retain(|name, value| {
            let same = after.get(name) == Some(value);
            if same {
                after.remove(name);
            }
            !same
        });
    }
    let line = |line: &order_line::Model| {
        json!({ "id": line.id, "sku": line.sku, "quantity": line.quantity,
            "unitPrice": line.unit_price_minor, "discount": line.discount_minor })
    };
    let mut gone: Vec<Json> = Vec::new();
    let mut come: Vec<Json> = Vec::new();
    for is in lines {
        let was = basis.lines.iter().find(|was| was.id == is.id).map(line);
        let is = line(is);
        if was.as_ref() != Some(&is) {
            gone.extend(was);
            come.push(is);
        }
    }
    gone.extend(
        basis
            .lines
            .iter()
            .filter(|was| removed.contains(&was.id))
            .map(line),
    );
    if !gone.is_empty() || !come.is_empty() {
        before["lines"] = json!(gone);
        after["lines"] = json!(come);
    }
    if let Some(contact) = &edit.contact {
        let mut named = Vec::new();
        named.extend(contact.name.is_some().then_some("name"));
        named.extend(contact.email.is_some().then_some("email"));
        named.extend(contact.phone.is_some().then_some("phone"));
        after["contact"] = json!(named);
    }
    (before, after)
}
