//! Money that customers take back through their banks: what was captured is gone until the dispute
//! is won. Ended orders have this, too.

use std::collections::BTreeSet;

use entity::dispute::State;
use entity::ledger_entry::{Account, Document};
use entity::payment_transaction::Kind;
use serde_json::json;

use super::{archive, lock_one, open_exception, settle_found};
use crate::events::Event;
use crate::exceptions::Finding;
use crate::failure::{Code, Failure};
use crate::ledger::{self, Posting};
use crate::payments::disputes;
use crate::payments::gateway::Dispute;
use crate::tx::Tx;

/// Records what a gateway says of a dispute, each change of it once; says whether it was news. One
/// over a capture that we do not know is left to the settlement, which will say so.
pub async fn record(tx: &Tx, gateway: &str, said: &Dispute) -> Result<bool, Failure> {
    let mut capture = disputes::captured(tx.db(), gateway, &said.of).await?;
    if capture.is_none() {
        // Months later it may have been put away; a person sees to it, and finds it open.
        let (name, none) = (said.of.as_str(), BTreeSet::new());
        for (row, order) in archive::effects(tx.db(), gateway, [name], &none).await? {
            let reason = "the customer takes money back".to_owned();
            archive::take_out(tx, order.id, reason).await?;
            capture = (row.kind == Kind::Capture).then_some(row);
        }
    }
    let Some(capture) = capture else {
        tracing::warn!(
            gateway,
            dispute = said.reference,
            "a dispute over nothing that we know"
        );
        return Ok(false);
    };
    let mut aggregate = lock_one(tx, capture.order_id).await?;
    let known = disputes::find(tx, gateway, &said.reference).await?;
    let is_new = known.is_none();
    let row = match known {
        Some(row) => row,
        None => disputes::open(tx, gateway, &capture, said).await?,
    };
    let amount = disputes::amount(&row);
    let of = Posting {
        of: Some((aggregate.order.id, aggregate.order.channel_id)),
        currency: amount.currency,
        document: Document::Chargeback,
        document_id: row.id.0,
    };
    if is_new {
        let taken = (Account::Chargebacks, Account::CashInTransit, amount.minor);
        ledger::post(tx, of, &[taken]);
        aggregate.record(
            tx,
            Event::OrderDisputeOpened {
                dispute_id: row.id.0,
                transaction_id: capture.id.0,
                amount: amount.minor,
                reason: row.reason.clone(),
            },
        );
        let finding = Finding {
            code: Code::Chargeback,
            line: None,
            field: "payment".to_owned(),
            message: format!("the customer takes {amount} back: {}", row.reason),
            details: json!({ "disputeId": row.id, "amount": amount.minor,
                "currency": amount.currency, "reason": row.reason }),
            rule: None,
        };
        open_exception(tx, &mut aggregate, &finding);
    }
    let ends = said.state != State::Open && disputes::close(tx, &row, said.state).await?;
    if ends {
        let is_won = said.state == State::Won;
        aggregate.record(
            tx,
            Event::OrderDisputeClosed {
                dispute_id: row.id.0,
                won: is_won,
            },
        );
        if is_won {
            let back = (Account::CashInTransit, Account::Chargebacks, amount.minor);
            ledger::post(tx, of, &[back]);
            settle_found(tx, &mut aggregate, "the dispute was won", |open| {
                open.details["disputeId"] == json!(row.id)
            });
        }
    }
    if is_new || ends {
        aggregate.save(tx);
    }
    Ok(is_new || ends)
}
