//! Money that a gateway would not give back: a person hears of it, and either has it asked for
//! again or says that it is back. Ended orders have this, too.

use entity::OrderId;
use entity::payment_transaction::Kind;

use super::aggregate::Aggregate;
use super::lifecycle::Action;
use super::{Changed, close_exception, lock_one, open_exception};
use crate::events::Event;
use crate::exceptions::Finding;
use crate::failure::{Code, Failure, Problem};
use crate::payments::{self, Effect};
use crate::tx::Tx;

/// Records that the gateway refused to give an authorisation back. It is not asked again by
/// itself.
pub(super) fn declined(tx: &Tx, aggregate: &mut Aggregate, effect: &Effect, reason: &str) {
    aggregate.record(
        tx,
        Event::OrderVoidDeclined {
            transaction_id: effect.id.0,
            amount: effect.amount.minor,
            reason: reason.to_owned(),
        },
    );
    if aggregate.has_open(Code::VoidDeclined) {
        return;
    }
    let finding = Finding {
        code: Code::VoidDeclined,
        line: None,
        field: "payment".to_owned(),
        message: format!("the gateway did not give {} back: {reason}", effect.amount),
        details: serde_json::json!({ "amount": effect.amount.minor,
            "currency": effect.amount.currency, "declineCode": reason }),
        rule: None,
    };
    open_exception(tx, aggregate, &finding);
}

/// Records that the gateway gave an authorisation back, and settles what was said about it.
pub(super) fn succeeded(tx: &Tx, aggregate: &mut Aggregate, effect: &Effect) {
    aggregate.record(
        tx,
        Event::OrderPaymentVoided {
            transaction_id: effect.id.0,
            amount: effect.amount.minor,
        },
    );
    let declined = Code::VoidDeclined.as_str();
    let open = aggregate
        .exceptions
        .iter()
        .position(|exception| exception.code == declined);
    if let Some(place) = open {
        let exception = aggregate.exceptions.remove(place);
        close_exception(tx, aggregate, exception, "the money was given back");
    }
}

/// Takes a person's word that the gateway has given back what it refused to.
pub(super) async fn take_word(tx: &Tx, aggregate: &mut Aggregate) -> Result<(), Failure> {
    let amount = aggregate.excess_minor();
    let Some(payment) = aggregate.payment.as_mut().filter(|_| amount > 0) else {
        return Ok(());
    };
    for (id, amount) in payments::void_by_word(tx, payment, amount).await? {
        aggregate.record(
            tx,
            Event::OrderPaymentVoided {
                transaction_id: id.0,
                amount,
            },
        );
    }
    Ok(())
}

/// What [`retry`] needs.
pub struct Retry {
    /// Which order.
    pub order_id: OrderId,
    /// The version that the caller decided on.
    pub expected_version: Option<i64>,
}

/// Asks the gateway again for money that it would not give back.
pub async fn retry(tx: &Tx, cmd: &Retry) -> Result<Changed, Failure> {
    let mut aggregate = lock_one(tx, cmd.order_id).await?;
    aggregate.expect_version(cmd.expected_version)?;
    aggregate.transition(tx, Action::RetryVoid, Code::OrderStateInvalid)?;
    if !aggregate.has_open(Code::VoidDeclined) {
        return Err(Problem::new(Code::OrderStateInvalid, NONE_DECLINED).into());
    }
    if payments::in_flight(tx.db(), cmd.order_id, Kind::Void).await? {
        return Err(Problem::new(Code::InProgress, ASKED_ALREADY).into());
    }
    let amount = aggregate.excess_minor();
    let Some(payment) = aggregate.payment.as_ref().filter(|_| amount > 0) else {
        return Err(Problem::new(Code::OrderStateInvalid, NONE_DECLINED).into());
    };
    let Some(effect) = payments::void(tx, payment, amount).await? else {
        return Err(Problem::new(Code::OrderStateInvalid, NONE_DECLINED).into());
    };
    aggregate.record(
        tx,
        Event::OrderVoidRequested {
            transaction_id: effect.id.0,
            amount: effect.amount.minor,
        },
    );
    aggregate.save(tx);
    Ok(Changed {
        order_id: cmd.order_id,
        effects: vec![effect],
    })
}

/// Why there is nothing to ask for again.
pub(super) const NONE_DECLINED: &str = "the gateway has refused to give nothing back";

/// Why no other payment is asked for.
pub(super) const NOT_BACK: &str = "what ran out is not back yet: settle that first";

/// Why nothing is asked for again, or taken a person's word for, at present.
pub(super) const ASKED_ALREADY: &str = "the gateway was asked again and has not answered yet";
