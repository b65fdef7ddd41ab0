//! A sensible first set of rules: what a merchant of this size would want to look at.

use entity::order_exception::Severity;

use crate::exceptions::Remedy;
use crate::exceptions::rules::{Create, create};
use crate::failure::Failure;
use crate::tx::Tx;

/// A rule: code, name, how bad, whether it stops the order, whose it is, when it applies.
struct Rule(
    &'static str,
    &'static str,
    Severity,
    bool,
    &'static str,
    &'static str,
);

/// Those that stop an order are about money that may be lost; the others are a word to a team.
const RULES: &[Rule] = &[
    Rule(
        "high-value",
        "High value",
        Severity::High,
        true,
        "fraud",
        r#"order.total >= (order.channel == "b2b" ? 2500 : 750)"#,
    ),
    Rule(
        "country-mismatch",
        "Shipping and billing country differ",
        Severity::Medium,
        true,
        "fraud",
        "shippingAddress.country != billingAddress.country",
    ),
    Rule(
        "address-unsure",
        "An address that nobody has confirmed, for a parcel worth the look",
        Severity::Low,
        false,
        "customer",
        r#"shippingAddress.verdict in ["UNVERIFIED", "AMBIGUOUS"] && order.total >= 250"#,
    ),
    Rule(
        "price-gap",
        "A price more than a tenth away from ours",
        Severity::High,
        false,
        "pricing",
        "lines.exists(line, line.priceDifference > line.listPrice * 0.10 ||
    -line.priceDifference > line.listPrice * 0.10)",
    ),
    Rule(
        "first-order-large",
        "A large first order",
        Severity::Medium,
        true,
        "fraud",
        "customer.isFirstOrder && order.total >= 400",
    ),
    Rule(
        "guest-velocity",
        "Many orders of one guest within the hour",
        Severity::High,
        true,
        "fraud",
        "order.guest && customer.ordersLastHour >= 3",
    ),
    Rule(
        "express-late",
        "An express order late in the day",
        Severity::Low,
        false,
        "logistics",
        r#"order.serviceLevel == "EXPRESS" && order.localHour >= 16"#,
    ),
];

/// Makes the rules.
pub(super) async fn rules(tx: &Tx) -> Result<(), Failure> {
    for Rule(code, name, severity, blocking, queue, expression) in RULES {
        let cmd = Create {
            code: (*code).to_owned(),
            name: (*name).to_owned(),
            expression: (*expression).to_owned(),
            severity: *severity,
            blocking: *blocking,
            queue: (*queue).to_owned(),
            suggested_actions: vec![Remedy::Override, Remedy::Edit, Remedy::Cancel],
            channel_id: None,
            enabled: true,
        };
        create(tx, cmd).await?;
    }
    Ok(())
}
