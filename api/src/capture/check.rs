//! Judges a submission: what it comes to, and what is wrong with it. No database, no clock.
//!
//! Some faults leave nothing to keep (no lines, an unknown channel or customer, an amount that is
//! no amount) and refuse the order whatever the policy. Everything else is a finding, which by
//! the channel's policy becomes an exception on a kept order or a coded error.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use entity::order::PaymentMethod;
use entity::{Currency, VariantId, channel};
use rust_decimal::Decimal;
use serde_json::{Value as Json, json};

use super::Submission;
use super::address::{PostalAddress, Verdict, Verification, parse_country, verify};
use super::contact::{Email, PersonName, Phone};
use super::facts::Facts;
use super::submission::{SubmittedAddress, SubmittedLine};
use crate::catalogue::{ChannelPolicy, Offered, Reference, code_key};
use crate::exceptions::Finding;
use crate::failure::{Code, Problem};
use crate::pricing::{
    self, Cart, CartLine, PromotionOutcome, Quote, ShippingCharge, amount_difference,
    choose_shipping, titles_match, unit_price,
};

/// The most lines that an order may have.
pub const MOST_LINES: usize = 5_000;
/// The most units that a line may have.
pub const MOST_UNITS: i64 = 1_000_000;
/// The most promotion codes that an order may have.
pub const MOST_CODES: usize = 50;
/// How long ago an order may have been placed, and how far a channel's clock may be ahead.
const OLDEST_DAYS: i64 = 36_500;
const CLOCK_SKEW_MINUTES: i64 = 5;
/// The longest SKU, reference or service, in characters.
const LONGEST_CODE: usize = 200;
/// Whoever it is: a name that nothing is wrong with.
const SOMEBODY: &str = "N. N.";
/// The tax category of shipping charges.
const SHIPPING_CATEGORY: &str = "SHIPPING";
/// The tax category of lines whose SKU is not known.
const UNKNOWN_CATEGORY: &str = "STANDARD";

/// An order that is ready to be taken.
#[derive(Clone, Debug)]
pub struct Draft {
    /// When the customer ordered.
    pub placed_at: DateTime<Utc>,
    /// The currency of every amount.
    pub currency: Currency,
    /// Who ordered.
    pub customer_name: String,
    /// Where notices go.
    pub email: Option<String>,
    /// E.164.
    pub phone: Option<String>,
    /// Where it goes, with its verdict.
    pub shipping: (PostalAddress, Verification),
    /// Where the bill goes, with its verdict.
    pub billing: Option<(PostalAddress, Verification)>,
    /// The shipping service.
    pub service_level: String,
    /// The lines, in their order.
    pub lines: Vec<DraftLine>,
    /// What it comes to.
    pub quote: Quote,
    /// What the channel said the total is, in minor units.
    pub submitted_total_minor: Option<i64>,
    /// Whether it is charged no tax.
    pub tax_exempt: bool,
    /// What is wrong with it.
    pub findings: Vec<Finding>,
}

/// A line that is ready to be taken.
#[derive(Clone, Debug)]
pub struct DraftLine {
    /// The variant, if the SKU is known.
    pub offered: Option<Offered>,
    /// Whether stock is to be held for it: not while its SKU needs a person's word.
    pub holdable: bool,
    /// Our price, in minor units.
    pub list_price_minor: Option<i64>,
    /// What the channel took off, in minor units.
    pub agreed_discount_minor: i64,
    /// Its tax category.
    pub tax_category: String,
    /// Its tax rate.
    pub tax_rate: entity::Rate,
}

impl DraftLine {
    /// The variant, if it is no longer sold.
    pub fn discontinued(&self) -> Option<VariantId> {
        let variant = &self.offered.as_ref()?.variant;
        let is = variant.status == entity::variant::Status::Discontinued;
        is.then_some(variant.id)
    }
}

/// The addresses, as far as their countries are understood: what the reference table is asked
/// about. This comes before anything is read, so it also refuses what no query takes.
pub fn addresses(
    submission: &Submission,
) -> Result<(PostalAddress, Option<PostalAddress>), Vec<Problem>> {
    if let Some(place) = submission.nul() {
        let message = "no text may hold a NUL character";
        return Err(vec![Problem::new(Code::InvalidInput, message).at(&place)]);
    }
    let mut problems = Vec::new();
    let who = submission.customer.name.as_deref().unwrap_or_default();
    let mut read = |address: &SubmittedAddress, field: &str| {
        let read = postal_address(address, who);
        if read.is_none() {
            let message = format!("{:?} is no country", address.country);
            problems.push(
                Problem::new(Code::AddressInvalid, message).at(&format!("input.{field}.country")),
            );
        }
        read
    };
    let shipping = read(&submission.shipping_address, "shippingAddress");
    let billing = submission
        .billing_address
        .as_ref()
        .map(|address| read(address, "billingAddress"));
    match (shipping, billing) {
        (Some(shipping), None) => Ok((shipping, None)),
        (Some(shipping), Some(Some(billing))) => Ok((shipping, Some(billing))),
        _ => Err(problems),
    }
}

fn postal_address(address: &SubmittedAddress, who: &str) -> Option<PostalAddress> {
    Some(PostalAddress {
        name: address.name.clone().unwrap_or_else(|| who.to_owned()),
        organisation: address.organisation.clone(),
        line1: address.line1.clone(),
        line2: address.line2.clone(),
        city: address.city.clone(),
        region: address.region.clone(),
        postal_code: address.postal_code.clone(),
        country: parse_country(&address.country)?,
        phone: None,
    })
}

/// Judges a submission.
pub fn check(
    submission: &Submission,
    channel: &ChannelPolicy,
    reference: &Reference,
    facts: &Facts,
    shipping: PostalAddress,
    billing: Option<PostalAddress>,
    now: DateTime<Utc>,
) -> Result<Draft, Vec<Problem>> {
    let currency = shape(submission, &channel.row, now)?;
    if submission.customer.code.is_some() && facts.customer.is_none() {
        return Err(vec![
            Problem::new(Code::CustomerNotFound, "no such customer").at("input.customer.code"),
        ]);
    }
    let mut findings = Vec::new();
    let (customer_name, email, phone) = contact(submission, facts, &shipping, &mut findings);
    let name_is_wrong = findings
        .iter()
        .any(|finding| finding.code == Code::NameInvalid);
    let mut judged = |mut address: PostalAddress, given: &SubmittedAddress, place, field| {
        if address.name.trim().is_empty() {
            address.name = customer_name.clone();
        }
        let name_is_told = name_is_wrong && !given.has_own_name();
        judge(address, place, name_is_told, field, &mut findings)
    };
    let shipping = judged(
        shipping,
        &submission.shipping_address,
        &facts.shipping_place,
        "shippingAddress",
    );
    let billing = billing
        .zip(submission.billing_address.as_ref())
        .map(|(billing, given)| judged(billing, given, &facts.billing_place, "billingAddress"));

    let placed_at = submission.placed_at.unwrap_or(now);
    let group = facts
        .customer
        .as_ref()
        .and_then(|customer| customer.group_code.as_deref());
    let lists = reference.price_lists(channel.row.id, currency, group, placed_at);
    let tolerance = channel.row.price_tolerance_minor;
    // A SKU and its alias on two lines are one purchase.
    let mut units: BTreeMap<VariantId, i64> = BTreeMap::new();
    for line in &submission.lines {
        if let Some(offered) = facts.offered.get(&code_key(&line.sku)) {
            *units.entry(offered.variant.id).or_default() += line.quantity;
        }
    }
    let mut problems = Vec::new();
    let mut lines = Vec::with_capacity(submission.lines.len());
    let mut cart_lines = Vec::with_capacity(submission.lines.len());
    for (place, line) in submission.lines.iter().enumerate() {
        let amount = |amount: Option<Decimal>, field: &str| {
            amount
                .map(|amount| minor(amount, currency, &format!("lines.{place}.{field}")))
                .transpose()
        };
        let (submitted_price, discount) = match (
            amount(line.unit_price, "unitPrice"),
            amount(line.discount, "discount"),
        ) {
            (Ok(price), Ok(discount)) => (price, discount.unwrap_or(0)),
            (price, discount) => {
                problems.extend(price.err().into_iter().chain(discount.err()));
                continue;
            }
        };
        let key = code_key(&line.sku);
        let offered = facts.offered.get(&key).cloned();
        let ordered = offered
            .as_ref()
            .and_then(|offered| units.get(&offered.variant.id).copied())
            .unwrap_or(line.quantity);
        let (known, list_price) = judge_sku(place, line, offered.as_ref(), |offered| {
            unit_price(&offered.candidates(&lists), ordered)
                .ok()
                .map(|price| price.unit_price_minor)
        });
        findings.extend(known);
        if let (Some(ours), Some(theirs)) = (list_price, submitted_price)
            && let Some(difference) = amount_difference(ours, theirs, tolerance)
        {
            findings.push(Finding {
                code: Code::PriceMismatch,
                line: Some(place),
                field: format!("lines.{place}.unitPrice"),
                message: format!(
                    "{}: the channel charged {}, our price is {}",
                    line.sku,
                    entity::Money::new(theirs, currency),
                    entity::Money::new(ours, currency),
                ),
                details: json!({ "ours": difference.ours_minor, "theirs": difference.theirs_minor,
                    "currency": currency, "quantity": line.quantity }),
                rule: None,
            });
        }
        let stopped = findings.iter().any(|finding| {
            finding.line == Some(place)
                && matches!(
                    finding.code,
                    Code::SkuUnknown | Code::SkuNotListed | Code::SkuDiscontinued
                )
        });
        let category = offered
            .as_ref()
            .map_or(UNKNOWN_CATEGORY, |offered| {
                offered.variant.tax_category.as_str()
            })
            .to_owned();
        let tax_rate = reference.tax(
            shipping.0.country.code(),
            shipping.0.region.as_deref(),
            &category,
            placed_at,
        );
        cart_lines.push(CartLine {
            sku: offered.as_ref().map_or_else(
                || line.sku.trim().to_owned(),
                |offered| offered.variant.sku.clone(),
            ),
            quantity: line.quantity,
            unit_price_minor: submitted_price.or(list_price).unwrap_or(0),
            agreed_discount_minor: discount,
            tax_rate,
        });
        lines.push(DraftLine {
            holdable: offered.is_some() && !stopped,
            offered,
            list_price_minor: list_price,
            agreed_discount_minor: discount,
            tax_category: category,
            tax_rate,
        });
    }
    let submitted_charge = optional_minor(submission.shipping_charge, currency, "shippingCharge");
    let submitted_total = optional_minor(submission.total, currency, "total");
    let (submitted_charge, submitted_total_minor) = match (submitted_charge, submitted_total) {
        (Ok(charge), Ok(total)) if problems.is_empty() => (charge, total),
        (charge, total) => {
            problems.extend(charge.err().into_iter().chain(total.err()));
            return Err(problems);
        }
    };

    let service_level = service_level(submission);
    let charge = shipping_charge(
        reference,
        channel,
        currency,
        shipping.0.country.code(),
        &service_level,
        &lines,
        &cart_lines,
        submitted_charge,
        &mut findings,
    );
    let tax_exempt = facts
        .customer
        .as_ref()
        .is_some_and(|customer| customer.tax_exempt);
    let cart = Cart {
        currency,
        tax_mode: channel.row.tax_mode,
        rounding_mode: channel.row.rounding_mode,
        rounding_scope: channel.row.rounding_scope,
        now: placed_at,
        channel_id: channel.row.id,
        lines: cart_lines,
        shipping: Some(ShippingCharge {
            price_minor: charge,
            tax_rate: reference.tax(
                shipping.0.country.code(),
                shipping.0.region.as_deref(),
                SHIPPING_CATEGORY,
                placed_at,
            ),
        }),
        promotions: &facts.promotions,
        codes: submission.promotion_codes.clone(),
        tax_exempt,
    };
    let quote = pricing::price(&cart).map_err(|error| {
        vec![Problem::new(Code::AmountInvalid, error.to_string()).at("input.lines")]
    })?;
    judge_promotions(&quote, &mut findings);
    if let Some(theirs) = submitted_total_minor
        && let Some(difference) = amount_difference(quote.total_minor, theirs, tolerance)
    {
        findings.push(Finding {
            code: Code::TotalMismatch,
            line: None,
            field: "total".to_owned(),
            message: format!(
                "the channel says {}, our total is {}",
                entity::Money::new(theirs, currency),
                entity::Money::new(quote.total_minor, currency),
            ),
            details: json!({ "ours": difference.ours_minor, "theirs": difference.theirs_minor,
                "currency": currency, "breakdown": quote,
                "submitted": submitted_breakdown(submission, currency) }),
            rule: None,
        });
    }
    Ok(Draft {
        placed_at,
        currency,
        customer_name,
        email,
        phone,
        shipping,
        billing,
        service_level,
        lines,
        quote,
        submitted_total_minor,
        tax_exempt,
        findings,
    })
}

/// Faults of shape, which leave nothing to keep.
fn shape(
    submission: &Submission,
    channel: &channel::Model,
    now: DateTime<Utc>,
) -> Result<Currency, Vec<Problem>> {
    let mut problems = Vec::new();
    if submission.promotion_codes.len() > MOST_CODES {
        problems.push(
            Problem::new(
                Code::TooMany,
                format!("an order has at most {MOST_CODES} codes"),
            )
            .at("input.promotionCodes"),
        );
    }
    if let Some(placed_at) = submission.placed_at
        && (placed_at < now - TimeDelta::days(OLDEST_DAYS)
            || placed_at > now + TimeDelta::minutes(CLOCK_SKEW_MINUTES))
    {
        problems.push(
            Problem::new(
                Code::InvalidInput,
                "an order is placed in the last hundred years",
            )
            .at("input.placedAt"),
        );
    }
    if !channel.active {
        problems.push(
            Problem::new(Code::ChannelInactive, "the channel takes no orders").at("input.channel"),
        );
    }
    if submission.lines.is_empty() {
        problems.push(
            Problem::new(Code::LinesMissing, "an order needs at least one line").at("input.lines"),
        );
    }
    if submission.lines.len() > MOST_LINES {
        problems.push(
            Problem::new(
                Code::TooMany,
                format!("an order has at most {MOST_LINES} lines"),
            )
            .at("input.lines"),
        );
    }
    for (place, line) in submission.lines.iter().enumerate() {
        if !(1..=MOST_UNITS).contains(&line.quantity) {
            let message = format!("the quantity must be between 1 and {MOST_UNITS}");
            problems.push(
                Problem::new(Code::QuantityInvalid, message)
                    .at(&format!("input.lines.{place}.quantity")),
            );
        }
        if line.sku.trim().is_empty() || line.sku.chars().count() > LONGEST_CODE {
            problems.push(
                Problem::new(Code::InvalidInput, "a SKU has 1 to 200 characters")
                    .at(&format!("input.lines.{place}.sku")),
            );
        }
    }
    if let Some(reference) = &submission.external_reference
        && (reference.trim().is_empty() || reference.chars().count() > LONGEST_CODE)
    {
        problems.push(
            Problem::new(Code::InvalidInput, "a reference has 1 to 200 characters")
                .at("input.externalReference"),
        );
    }
    if let Some(service) = &submission.service_level
        && service.chars().count() > LONGEST_CODE
    {
        problems.push(
            Problem::new(
                Code::InvalidInput,
                "a service level has at most 200 characters",
            )
            .at("input.serviceLevel"),
        );
    }
    if submission
        .metadata
        .as_ref()
        .is_some_and(|metadata| !metadata.is_object())
    {
        problems.push(
            Problem::new(Code::InvalidInput, "metadata is an object of key-values")
                .at("input.metadata"),
        );
    }
    let token = submission
        .payment
        .token
        .as_deref()
        .map(str::trim)
        .unwrap_or_default();
    if submission.payment.method == PaymentMethod::Card && token.is_empty() {
        problems.push(
            Problem::new(
                Code::PaymentInvalid,
                "a card payment needs the card's token",
            )
            .at("input.payment.token"),
        );
    }
    let currency = match &submission.currency {
        None => channel.currency,
        Some(code) => match code.parse::<Currency>() {
            Ok(currency) if currency == channel.currency => currency,
            Ok(currency) => {
                let message = format!("the channel sells in {}, not {currency}", channel.currency);
                problems.push(Problem::new(Code::CurrencyMismatch, message).at("input.currency"));
                currency
            }
            Err(error) => {
                problems.push(
                    Problem::new(Code::CurrencyUnknown, error.to_string()).at("input.currency"),
                );
                channel.currency
            }
        },
    };
    if problems.is_empty() {
        Ok(currency)
    } else {
        Err(problems)
    }
}

/// The name, e-mail address and telephone number: what the order says, else what the customer's
/// own record has.
fn contact(
    submission: &Submission,
    facts: &Facts,
    shipping: &PostalAddress,
    findings: &mut Vec<Finding>,
) -> (String, Option<String>, Option<String>) {
    let given = &submission.customer;
    let known = facts.customer.as_ref();
    let mut wrong = |code: Code, field: &str, message: String, value: &str| {
        findings.push(Finding {
            code,
            line: None,
            field: format!("customer.{field}"),
            message,
            // The value itself is personal data and stays on the order.
            details: json!({ "field": field, "characters": value.chars().count() }),
            rule: None,
        });
    };
    let name = match (&given.name, known) {
        (None, Some(known)) => known.name.clone(),
        (name, _) => {
            let name = name.as_deref().unwrap_or_default();
            match PersonName::parse(name) {
                Ok(name) => name.to_string(),
                Err(error) => {
                    wrong(Code::NameInvalid, "name", error.to_string(), name);
                    name.chars().filter(|c| !c.is_control()).take(300).collect()
                }
            }
        }
    };
    let blank = |text: &&str| !text.trim().is_empty();
    let email = match given.email.as_deref().filter(blank) {
        None => known.and_then(|known| known.email.clone()),
        Some(email) => match Email::parse(email) {
            Ok(email) => Some(email.to_string()),
            Err(error) => {
                wrong(Code::EmailInvalid, "email", error.to_string(), email);
                None
            }
        },
    };
    let phone = match given.phone.as_deref().filter(blank) {
        None => known.and_then(|known| known.phone.clone()),
        Some(phone) => match Phone::parse(phone, Some(shipping.country)) {
            Ok(phone) => Some(phone.to_string()),
            Err(error) => {
                wrong(Code::PhoneInvalid, "phone", error.to_string(), phone);
                None
            }
        },
    };
    (name, email, phone)
}

/// Judges an address. One that cannot be right, or could be several, is a finding; one with a
/// single repair flows on with the suggestion beside it, as does one that nobody has confirmed.
/// A name that is wrong and has been told of as the customer's is not told of again.
fn judge(
    address: PostalAddress,
    place: &super::address::Reference,
    name_is_told: bool,
    field: &str,
    findings: &mut Vec<Finding>,
) -> (PostalAddress, Verification) {
    let verification = verify(&address, place);
    let besides_the_name = name_is_told.then(|| {
        let named = PostalAddress {
            name: SOMEBODY.to_owned(),
            ..address.clone()
        };
        verify(&named, place)
    });
    let to_tell = besides_the_name.as_ref().unwrap_or(&verification);
    let stops = matches!(to_tell.verdict, Verdict::Invalid | Verdict::Ambiguous)
        || matches!(place, super::address::Reference::Unavailable);
    if stops {
        let reasons: Vec<&str> = to_tell
            .reasons
            .iter()
            .map(|reason| reason.message.as_str())
            .collect();
        findings.push(Finding {
            code: Code::AddressInvalid,
            line: None,
            field: field.to_owned(),
            message: format!("the address needs a look: {}", reasons.join("; ")),
            details: json!({ "address": field, "verdict": to_tell.verdict,
                "reasons": to_tell.reasons }),
            rule: None,
        });
    }
    (address, verification)
}

/// Judges a line's SKU and title, and finds our price.
fn judge_sku(
    place: usize,
    line: &SubmittedLine,
    offered: Option<&Offered>,
    price: impl Fn(&Offered) -> Option<i64>,
) -> (Vec<Finding>, Option<i64>) {
    let finding = |code: Code, field: &str, message: String, details: Json| Finding {
        code,
        line: Some(place),
        field: format!("lines.{place}.{field}"),
        message,
        details,
        rule: None,
    };
    let sku = line.sku.trim();
    let Some(offered) = offered else {
        let message = format!("{sku} is no SKU of ours");
        let details = json!({ "sku": sku });
        return (
            vec![finding(Code::SkuUnknown, "sku", message, details)],
            None,
        );
    };
    let mut findings = Vec::new();
    if offered.variant.status == entity::variant::Status::Discontinued {
        let details = json!({ "sku": offered.variant.sku });
        let message = format!("{} is no longer sold", offered.variant.sku);
        findings.push(finding(Code::SkuDiscontinued, "sku", message, details));
    } else if !offered.listed {
        let details = json!({ "sku": offered.variant.sku });
        let message = format!("{} is not sold in this channel", offered.variant.sku);
        findings.push(finding(Code::SkuNotListed, "sku", message, details));
    }
    let list_price = price(offered);
    if list_price.is_none() && offered.listed {
        let details = json!({ "sku": offered.variant.sku, "quantity": line.quantity });
        let message = format!("no price list has {}", offered.variant.sku);
        findings.push(finding(Code::PriceMissing, "unitPrice", message, details));
    }
    if let Some(title) = &line.title
        && !titles_match(&offered.variant.title, title)
    {
        let details = json!({ "ours": offered.variant.title, "theirs": title });
        let message = format!("{}: the channel calls it {title:?}", offered.variant.sku);
        findings.push(finding(Code::TitleMismatch, "title", message, details));
    }
    (findings, list_price)
}

/// What the channel says the order comes to, in minor units, as far as it says so.
fn submitted_breakdown(submission: &Submission, currency: Currency) -> Json {
    let known = |amount: Option<Decimal>| optional_minor(amount, currency, "").ok().flatten();
    let lines: Vec<Json> = submission
        .lines
        .iter()
        .map(|line| {
            json!({ "sku": line.sku, "quantity": line.quantity,
                "unitPrice": known(line.unit_price), "discount": known(line.discount) })
        })
        .collect();
    json!({ "lines": lines, "shippingCharge": known(submission.shipping_charge),
        "total": known(submission.total) })
}

fn service_level(submission: &Submission) -> String {
    submission
        .service_level
        .as_deref()
        .map(|level| level.trim().to_uppercase())
        .filter(|level| !level.is_empty())
        .unwrap_or_else(|| "STANDARD".to_owned())
}

/// What shipping is charged at: what the channel charged if it said, else our rate. A channel that
/// we keep no rates for says what it likes; elsewhere what we have no rate for is nothing that we
/// are known to ship, whatever was charged for it.
#[allow(
    clippy::too_many_arguments,
    reason = "each is one fact that decides the charge"
)]
fn shipping_charge(
    reference: &Reference,
    channel: &ChannelPolicy,
    currency: Currency,
    country: &str,
    service: &str,
    lines: &[DraftLine],
    cart: &[CartLine],
    submitted: Option<i64>,
    findings: &mut Vec<Finding>,
) -> i64 {
    let options = reference.shipping(country, channel.row.id, currency, service);
    let weight_grams = lines
        .iter()
        .zip(cart)
        .map(|(line, cart)| {
            let grams = line
                .offered
                .as_ref()
                .map_or(0, |offered| offered.variant.weight_grams);
            grams.saturating_mul(cart.quantity)
        })
        .fold(0_i64, i64::saturating_add);
    let subtotal = cart
        .iter()
        .map(|line| line.unit_price_minor.saturating_mul(line.quantity))
        .fold(0_i64, i64::saturating_add);
    let ours = choose_shipping(&options, Some(service), weight_grams, subtotal)
        .ok()
        .map(|chosen| chosen.price_minor);
    match (ours, submitted) {
        (Some(ours), None) => ours,
        (Some(ours), Some(theirs)) => {
            let tolerance = channel.row.price_tolerance_minor;
            if let Some(difference) = amount_difference(ours, theirs, tolerance) {
                findings.push(Finding {
                    code: Code::ShippingMismatch,
                    line: None,
                    field: "shippingCharge".to_owned(),
                    message: format!(
                        "the channel charged {} for shipping, our rate is {}",
                        entity::Money::new(theirs, currency),
                        entity::Money::new(difference.ours_minor, currency),
                    ),
                    details: json!({ "ours": difference.ours_minor,
                        "theirs": difference.theirs_minor, "currency": currency }),
                    rule: None,
                });
            }
            theirs
        }
        (None, Some(theirs)) if !reference.has_shipping_rates(channel.row.id, currency) => theirs,
        (None, theirs) => {
            findings.push(Finding {
                code: Code::ShippingUnavailable,
                line: None,
                field: "shippingAddress".to_owned(),
                message: format!("no {service} rate covers {weight_grams} g to {country}"),
                details: json!({ "country": country, "weightGrams": weight_grams,
                    "serviceLevel": service, "theirs": theirs, "currency": currency }),
                rule: None,
            });
            theirs.unwrap_or(0)
        }
    }
}

fn judge_promotions(quote: &Quote, findings: &mut Vec<Finding>) {
    for verdict in &quote.promotions {
        let (Some(code), PromotionOutcome::Rejected(rejection)) = (&verdict.code, &verdict.outcome)
        else {
            continue;
        };
        let finding_code = match rejection {
            pricing::Rejection::LimitReached => Code::PromotionLimitReached,
            _ => Code::PromotionRejected,
        };
        findings.push(Finding {
            code: finding_code,
            line: None,
            field: "promotionCodes".to_owned(),
            message: format!("{code}: {rejection}"),
            details: json!({ "code": code, "reason": rejection.code() }),
            rule: None,
        });
    }
}

fn minor(amount: Decimal, currency: Currency, field: &str) -> Result<i64, Problem> {
    let wrong =
        |message: String| Problem::new(Code::AmountInvalid, message).at(&format!("input.{field}"));
    let money =
        entity::Money::from_decimal(amount, currency).map_err(|error| wrong(error.to_string()))?;
    if money.minor < 0 {
        return Err(wrong("the amount must not be negative".to_owned()));
    }
    Ok(money.minor)
}

fn optional_minor(
    amount: Option<Decimal>,
    currency: Currency,
    field: &str,
) -> Result<Option<i64>, Problem> {
    amount
        .map(|amount| minor(amount, currency, field))
        .transpose()
}
