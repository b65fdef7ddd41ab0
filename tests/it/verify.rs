//! Every invariant is seen red once: a fault is made by hand, the report names exactly that
//! invariant, and after the repair it is silent again.

use std::collections::BTreeSet;

use api::app::SettlementFile;
use api::payments::gateway::Dispute;
use api::tx::Actor;
use api::{integrity, orders};
use entity::{Currency, Money, dispute, payment_transaction};
use sea_orm::{ColumnTrait, ConnectionTrait, DbBackend, EntityTrait, QueryFilter};
use serde_json::json;
use support::merchant::basket_with;
use support::{TestApp, both_backends};

both_backends!(
    a3_every_invariant_is_seen_red_by_a_fault_of_its_own,
    a3_the_report_over_the_api_names_what_disagrees,
);

/// A fault, what makes it good again, and the invariant that must report it.
struct Fault {
    name: &'static str,
    rule: &'static str,
    /// The constraints that forbid it, as `table.constraint`. SQLite says in its own check of the
    /// file, too, that they are broken.
    forbidden_by: &'static [&'static str],
    made: &'static [&'static str],
    repaired: &'static [&'static str],
}

const NONE: &[&str] = &[];

/// Faults on: a confirmed order by card (`web-1`), one on account (`b2b-1`), one that waits for
/// 2 units of WAITED (`wait-1`), one of a SKU that nobody knows (`odd-1`), one that its carrier
/// has, one that is being picked, a cancelled one whose money is back (`gone-1`), and one that was
/// put away (`old-1`).
const FAULTS: &[Fault] = &[
    Fault {
        name: "I1",
        rule: "0 <= reserved <= on hand, safety >= 0",
        forbidden_by: &["stock.stock_safety_check"],
        made: &["UPDATE stock SET safety = -1 WHERE reserved > 0"],
        repaired: &["UPDATE stock SET safety = 0"],
    },
    Fault {
        name: "I2",
        rule: "a stock row is the sum of its movements",
        forbidden_by: NONE,
        made: &["UPDATE stock_movement SET delta_on_hand = delta_on_hand + 1 WHERE kind = 'RECEIVE'"],
        repaired: &[
            "UPDATE stock_movement SET delta_on_hand = delta_on_hand - 1 WHERE kind = 'RECEIVE'",
        ],
    },
    Fault {
        name: "I2",
        rule: "the bins of a warehouse add up to its stock on hand",
        forbidden_by: NONE,
        made: &["UPDATE bin_stock SET quantity = quantity + 1"],
        repaired: &["UPDATE bin_stock SET quantity = quantity - 1"],
    },
    Fault {
        name: "I3",
        rule: "reserved is the sum of live reservations",
        forbidden_by: NONE,
        made: &[
            "UPDATE reservation SET warehouse_id = (SELECT id FROM warehouse WHERE code = 'BER')",
            "UPDATE fulfillment_order SET warehouse_id = (SELECT id FROM warehouse WHERE code = 'BER')",
        ],
        repaired: &[
            "UPDATE reservation SET warehouse_id = (SELECT id FROM warehouse WHERE code = 'VIE')",
            "UPDATE fulfillment_order SET warehouse_id = (SELECT id FROM warehouse WHERE code = 'VIE')",
        ],
    },
    Fault {
        name: "I3",
        rule: "a line's units are ordered once: held, waited for, gone or called off, no more than ordered",
        forbidden_by: NONE,
        made: &["UPDATE order_line SET cancelled = 1 WHERE shipped > 0"],
        repaired: &["UPDATE order_line SET cancelled = 0 WHERE shipped > 0"],
    },
    Fault {
        name: "I3",
        rule: "what leaves is what was held, and a line's picked, packed and shipped units are its work's",
        forbidden_by: NONE,
        made: &["UPDATE reservation SET quantity = quantity + 1 WHERE status = 'SHIPPED'"],
        repaired: &["UPDATE reservation SET quantity = quantity - 1 WHERE status = 'SHIPPED'"],
    },
    Fault {
        name: "I3",
        rule: "a warehouse's work on an order is held for it there",
        forbidden_by: NONE,
        made: &["UPDATE fulfillment_order SET warehouse_id = (SELECT id FROM warehouse WHERE code = 'BER')
            WHERE status = 'OPEN'"],
        repaired: &["UPDATE fulfillment_order SET warehouse_id = (SELECT id FROM warehouse WHERE code = 'VIE')
            WHERE status = 'OPEN'"],
    },
    Fault {
        name: "I3",
        rule: "what is packed for a shipment is in its packages, and no package holds more than it should",
        forbidden_by: NONE,
        made: &["UPDATE package_line SET packed = 0"],
        repaired: &["UPDATE package_line SET packed = expected"],
    },
    Fault {
        name: "I3",
        rule: "every packed unit was scanned twice",
        forbidden_by: NONE,
        made: &["UPDATE scan SET units = 0 WHERE station = 'PACK'"],
        repaired: &["UPDATE scan SET units = 1 WHERE station = 'PACK'"],
    },
    Fault {
        name: "I3",
        rule: "no unit is on two pick lists: open rows of a bin want no more than it has",
        forbidden_by: NONE,
        made: &["UPDATE pick_task SET quantity = quantity + 1000000 WHERE status = 'OPEN'"],
        repaired: &["UPDATE pick_task SET quantity = quantity - 1000000 WHERE status = 'OPEN'"],
    },
    Fault {
        name: "I3",
        rule: "a line's reserved and allocated units are its live reservations",
        forbidden_by: NONE,
        made: &["UPDATE order_line SET allocated = 0, reserved = 1 WHERE allocated = 1"],
        repaired: &["UPDATE order_line SET allocated = 1, reserved = 0 WHERE reserved = 1"],
    },
    Fault {
        name: "I3",
        rule: "a line's backordered units are its live place in the queue",
        forbidden_by: NONE,
        made: &["UPDATE backorder SET quantity = quantity + 1 WHERE status = 'WAITING'"],
        repaired: &["UPDATE backorder SET quantity = quantity - 1 WHERE status = 'WAITING'"],
    },
    Fault {
        name: "I3",
        rule: "a place in the queue is of its order's channel",
        forbidden_by: NONE,
        made: &["UPDATE backorder SET channel_id = (SELECT id FROM channel WHERE code = 'b2b')"],
        repaired: &["UPDATE backorder SET channel_id = (SELECT id FROM channel WHERE code = 'web')"],
    },
    Fault {
        name: "I4",
        rule: "captured <= authorised, refunded <= captured",
        forbidden_by: &["payment.payment_refunded_is_captured"],
        made: &["UPDATE payment SET refunded_minor = refunded_minor + 1000000"],
        repaired: &["UPDATE payment SET refunded_minor = refunded_minor - 1000000"],
    },
    Fault {
        name: "I4",
        rule: "a card's authorised amount is what the gateway approved and did not take back",
        forbidden_by: NONE,
        made: &["UPDATE payment SET authorized_minor = authorized_minor - 1
            WHERE gateway = 'sandbox' AND NOT voided AND captured_minor = 0"],
        repaired: &[
            "UPDATE payment SET authorized_minor = authorized_minor + 1
            WHERE gateway = 'sandbox' AND NOT voided AND captured_minor = 0",
        ],
    },
    Fault {
        name: "I4",
        rule: "a payment's captured and pending amounts are what its captures came to",
        forbidden_by: NONE,
        made: &["UPDATE payment SET captured_minor = captured_minor - 1 WHERE captured_minor > 0"],
        repaired: &["UPDATE payment SET captured_minor = captured_minor + 1 WHERE captured_minor > 0"],
    },
    Fault {
        name: "I4",
        rule: "a shipment is captured once: what was captured for it is what its charge says",
        forbidden_by: NONE,
        made: &["UPDATE charge SET captured_minor = captured_minor - 1, next_try_at = opened_at"],
        repaired: &["UPDATE charge SET captured_minor = captured_minor + 1, next_try_at = NULL"],
    },
    Fault {
        name: "I4",
        rule: "nothing is taken of an effect but what it was",
        forbidden_by: NONE,
        made: &["UPDATE payment_transaction SET source_id = (
            SELECT source_id FROM payment_transaction WHERE kind = 'CAPTURE') WHERE kind = 'VOID'"],
        repaired: &["UPDATE payment_transaction SET source_id = (
            SELECT a.id FROM payment_transaction a WHERE a.kind = 'AUTHORIZATION'
            AND a.payment_id = payment_transaction.payment_id) WHERE kind = 'VOID'"],
    },
    Fault {
        name: "I4",
        rule: "a customer's used credit is what its orders on account come to, less what was paid or taken back",
        forbidden_by: NONE,
        made: &["UPDATE customer SET credit_used_minor = credit_used_minor + 1 WHERE code = 'B-2001'"],
        repaired: &[
            "UPDATE customer SET credit_used_minor = credit_used_minor - 1 WHERE code = 'B-2001'",
        ],
    },
    Fault {
        name: "I5",
        rule: "lines + shipping + tax - discounts = total",
        forbidden_by: NONE,
        made: &["UPDATE \"order\" SET total_minor = total_minor + 1 WHERE external_reference = 'web-1'"],
        repaired: &[
            "UPDATE \"order\" SET total_minor = total_minor - 1 WHERE external_reference = 'web-1'",
        ],
    },
    Fault {
        name: "I5",
        rule: "the charges of an order come to no more than its total, and to all of it with its last unit",
        forbidden_by: NONE,
        made: &["UPDATE charge SET amount_minor = amount_minor + 1, next_try_at = opened_at"],
        repaired: &["UPDATE charge SET amount_minor = amount_minor - 1, next_try_at = NULL"],
    },
    Fault {
        name: "I5",
        rule: "a promotion's count is the number of its uses, within its limit",
        forbidden_by: NONE,
        made: &["UPDATE promotion SET usage_count = 3 WHERE code = 'FIRST100'"],
        repaired: &["UPDATE promotion SET usage_count = 0 WHERE code = 'FIRST100'"],
    },
    Fault {
        name: "I5",
        rule: "what was captured for a shipment is invoiced, once and to the minor unit",
        forbidden_by: &["invoice.invoice_is_kept_from_update"],
        made: &["UPDATE invoice SET shipment_id = (SELECT id FROM shipment WHERE status = 'PENDING')"],
        repaired: &["UPDATE invoice SET shipment_id = (SELECT shipment_id FROM charge)"],
    },
    Fault {
        name: "I5",
        rule: "an invoice is the sum of its lines",
        forbidden_by: &["invoice_line.invoice_line_is_kept_from_update"],
        made: &["UPDATE invoice_line SET net_minor = net_minor + 1 WHERE kind = 'ITEM'"],
        repaired: &["UPDATE invoice_line SET net_minor = net_minor - 1 WHERE kind = 'ITEM'"],
    },
    Fault {
        name: "I5",
        rule: "invoices and credit notes are numbered 1, 2, 3 … in their series",
        forbidden_by: NONE,
        made: &["UPDATE invoice_series SET next_number = next_number + 1 WHERE kind = 'INVOICE'"],
        repaired: &["UPDATE invoice_series SET next_number = next_number - 1 WHERE kind = 'INVOICE'"],
    },
    Fault {
        name: "I5",
        rule: "what is taken back of an invoice is what its credit notes come to",
        forbidden_by: NONE,
        made: &["UPDATE invoice_standing SET credited_minor = 1"],
        repaired: &["UPDATE invoice_standing SET credited_minor = 0"],
    },
    Fault {
        name: "I5",
        rule: "the ledger has every invoice and credit note, each to the minor unit",
        forbidden_by: &["ledger_entry.ledger_entry_is_kept_from_update"],
        made: &["UPDATE ledger_entry SET amount_minor = amount_minor + 1 WHERE credit = 'REVENUE'"],
        repaired: &["UPDATE ledger_entry SET amount_minor = amount_minor - 1 WHERE credit = 'REVENUE'"],
    },
    Fault {
        name: "I5",
        rule: "what was paid of an invoice on account is what was allocated to it and posted",
        forbidden_by: NONE,
        made: &["UPDATE invoice_standing SET paid_minor = 1"],
        repaired: &["UPDATE invoice_standing SET paid_minor = 0"],
    },
    Fault {
        name: "I5",
        rule: "a customer's payment is allocated in whole",
        forbidden_by: &["customer_payment.customer_payment_is_kept_from_delete"],
        made: &["INSERT INTO customer_payment (id, customer_id, currency, amount_minor, reference,
                received_at, recorded_at, recorded_by)
            SELECT id, id, 'EUR', 1, 'lost', '2026-12-01T09:00:00+00:00',
                '2026-12-01T09:00:00+00:00', 'nobody' FROM customer WHERE code = 'B-2001'"],
        repaired: &["DELETE FROM customer_payment"],
    },
    Fault {
        name: "I5",
        rule: "the ledger has the money that was taken for an order and given back",
        forbidden_by: &["ledger_entry.ledger_entry_is_kept_from_update"],
        made: &["UPDATE ledger_entry SET amount_minor = amount_minor + 1 WHERE document = 'CAPTURE'"],
        repaired: &["UPDATE ledger_entry SET amount_minor = amount_minor - 1 WHERE document = 'CAPTURE'"],
    },
    Fault {
        name: "I5",
        rule: "the ledger has every line of a settlement, as the gateway says it",
        forbidden_by: NONE,
        made: &["UPDATE settlement_line SET gross_minor = gross_minor + 1, net_minor = net_minor + 1"],
        repaired: &[
            "UPDATE settlement_line SET gross_minor = gross_minor - 1, net_minor = net_minor - 1",
        ],
    },
    Fault {
        name: "I5",
        rule: "the ledger has every dispute until it is won",
        forbidden_by: NONE,
        made: &["UPDATE dispute SET amount_minor = amount_minor + 1"],
        repaired: &["UPDATE dispute SET amount_minor = amount_minor - 1"],
    },
    Fault {
        name: "I6",
        rule: "the log has no holes",
        forbidden_by: NONE,
        made: &["UPDATE sequencer SET last_seq = last_seq + 1"],
        repaired: &["UPDATE sequencer SET last_seq = last_seq - 1"],
    },
    Fault {
        name: "I6",
        rule: "an aggregate's versions are 1, 2, 3 … in the order of the log",
        forbidden_by: NONE,
        made: SWAPPED,
        repaired: SWAPPED,
    },
    Fault {
        name: "I7",
        rule: "an order's version is its newest event's",
        forbidden_by: NONE,
        made: &["UPDATE \"order\" SET version = version + 1 WHERE external_reference = 'web-1'"],
        repaired: &["UPDATE \"order\" SET version = version - 1 WHERE external_reference = 'web-1'"],
    },
    Fault {
        name: "I8",
        rule: "a saved answer's order is there",
        forbidden_by: NONE,
        made: &["INSERT INTO idempotency (actor, key, operation, fingerprint, response, created_at)
            VALUES ('key:lost', 'lost', 'orderSubmit', 'f',
                '{\"order\": \"01990000-0000-7000-8000-000000000000\"}', '2026-12-01T09:00:00+00:00')"],
        repaired: &["DELETE FROM idempotency WHERE key = 'lost'"],
    },
    Fault {
        name: "I9",
        rule: "nothing is stuck: a live order has something or somebody that moves it on",
        forbidden_by: NONE,
        made: &[
            "UPDATE order_exception SET status = 'RESOLVED' WHERE code = 'SKU_UNKNOWN'",
            "UPDATE \"order\" SET stage = 'VALIDATING' WHERE external_reference = 'odd-1'",
            "UPDATE stage_tally SET stage = 'VALIDATING' WHERE stage = 'ON_HOLD'",
        ],
        repaired: &[
            "UPDATE order_exception SET status = 'OPEN' WHERE code = 'SKU_UNKNOWN'",
            "UPDATE \"order\" SET stage = 'ON_HOLD' WHERE external_reference = 'odd-1'",
            "UPDATE stage_tally SET stage = 'ON_HOLD' WHERE stage = 'VALIDATING'",
        ],
    },
    Fault {
        name: "I9",
        rule: "a released order has units to route, work under way, or something that stops it",
        forbidden_by: NONE,
        made: &["UPDATE fulfillment_order SET status = 'CANCELLED' WHERE status = 'OPEN'"],
        repaired: &["UPDATE fulfillment_order SET status = 'OPEN' WHERE status = 'CANCELLED'"],
    },
    Fault {
        name: "I9",
        rule: "money beyond what a live order comes to goes back, or a person knows that it does not",
        forbidden_by: NONE,
        made: &[
            "UPDATE payment SET authorized_minor = authorized_minor + 1
                WHERE order_id = (SELECT id FROM \"order\" WHERE external_reference = 'web-1')",
            "UPDATE payment_transaction SET amount_minor = amount_minor + 1
                WHERE kind = 'AUTHORIZATION' AND order_id = (SELECT id FROM \"order\" WHERE external_reference = 'web-1')",
        ],
        repaired: &[
            "UPDATE payment SET authorized_minor = authorized_minor - 1
                WHERE order_id = (SELECT id FROM \"order\" WHERE external_reference = 'web-1')",
            "UPDATE payment_transaction SET amount_minor = amount_minor - 1
                WHERE kind = 'AUTHORIZATION' AND order_id = (SELECT id FROM \"order\" WHERE external_reference = 'web-1')",
        ],
    },
    Fault {
        name: "I9",
        rule: "the money of an ended order goes back, or a person knows that it does not",
        forbidden_by: NONE,
        made: &[
            "UPDATE payment_transaction SET state = 'DECLINED' WHERE kind = 'VOID'",
            "UPDATE payment SET authorized_minor = (SELECT total_minor FROM \"order\" o
                WHERE o.id = payment.order_id) WHERE voided",
        ],
        repaired: &[
            "UPDATE payment_transaction SET state = 'SUCCEEDED' WHERE kind = 'VOID'",
            "UPDATE payment SET authorized_minor = 0 WHERE voided",
        ],
    },
    Fault {
        name: "I9",
        rule: "a shipment that its carrier has is captured, or something or somebody sees to it",
        forbidden_by: NONE,
        made: &[
            "UPDATE charge SET captured_minor = captured_minor - 1",
            "UPDATE payment SET captured_minor = captured_minor - 1 WHERE captured_minor > 0",
            "UPDATE payment_transaction SET amount_minor = amount_minor - 1 WHERE kind = 'CAPTURE'",
        ],
        repaired: &[
            "UPDATE charge SET captured_minor = captured_minor + 1",
            "UPDATE payment SET captured_minor = captured_minor + 1 WHERE captured_minor > 0",
            "UPDATE payment_transaction SET amount_minor = amount_minor + 1 WHERE kind = 'CAPTURE'",
        ],
    },
    Fault {
        name: "I9",
        rule: "nobody waits for units that are free in a warehouse that serves the order's channel",
        forbidden_by: NONE,
        made: &["UPDATE channel_warehouse SET warehouse_id = (SELECT id FROM warehouse WHERE code = 'BER')
            WHERE channel_id = (SELECT id FROM channel WHERE code = 'web')"],
        repaired: &["UPDATE channel_warehouse SET warehouse_id = (SELECT id FROM warehouse WHERE code = 'VIE')
            WHERE channel_id = (SELECT id FROM channel WHERE code = 'web')"],
    },
    Fault {
        name: "I11",
        rule: "an order is at one place: put away or not, and what was put away has left no row behind",
        forbidden_by: &["archived_order.archived_order_is_kept_from_update"],
        made: &["UPDATE archived_order SET number = (SELECT number FROM \"order\" WHERE external_reference = 'web-1')"],
        repaired: &["UPDATE archived_order SET number = 'put-away'"],
    },
    Fault {
        name: "I11",
        rule: "what is kept by an order's identifier has its order, put away or not",
        forbidden_by: NONE,
        made: &["UPDATE message SET order_id = id"],
        repaired: &["UPDATE message SET order_id = (SELECT order_id FROM shipment WHERE status = 'DISPATCHED')"],
    },
    Fault {
        name: "I11",
        rule: "the invoices of an order that was put away come to what it says",
        forbidden_by: &["archived_order.archived_order_is_kept_from_update"],
        made: &["UPDATE archived_order SET invoiced_minor = invoiced_minor + 1"],
        repaired: &["UPDATE archived_order SET invoiced_minor = invoiced_minor - 1"],
    },
    Fault {
        name: "I11",
        rule: "the ledger has the money that was taken for an order that was put away, and given back",
        forbidden_by: &["archived_order.archived_order_is_kept_from_update"],
        made: &["UPDATE archived_order SET captured_minor = captured_minor + 1"],
        repaired: &["UPDATE archived_order SET captured_minor = captured_minor - 1"],
    },
    Fault {
        name: "I11",
        rule: "the units that left for an order that was put away are in the ledger of stock",
        forbidden_by: &["archived_order.archived_order_is_kept_from_update"],
        made: &["UPDATE archived_order SET units_shipped = units_shipped + 1"],
        repaired: &["UPDATE archived_order SET units_shipped = units_shipped - 1"],
    },
    Fault {
        name: "I11",
        rule: "what was put away is as it was written",
        forbidden_by: NONE,
        made: &["UPDATE archived_order SET snapshot = snapshot || ' '"],
        repaired: &["UPDATE archived_order SET snapshot = RTRIM(snapshot)"],
    },
    Fault {
        name: "I10",
        rule: "an order's stage is what follows from its state",
        forbidden_by: NONE,
        made: &[
            "UPDATE \"order\" SET stage = 'DELIVERED' WHERE external_reference = 'web-1'",
            "UPDATE stage_tally SET stage = 'DELIVERED' WHERE stage = 'STAGED'
                AND channel_id = (SELECT id FROM channel WHERE code = 'web')",
        ],
        repaired: &[
            "UPDATE \"order\" SET stage = 'STAGED' WHERE external_reference = 'web-1'",
            "UPDATE stage_tally SET stage = 'STAGED' WHERE stage = 'DELIVERED'",
        ],
    },
    Fault {
        name: "I10",
        rule: "the tally of stages, and what the log has behind it, is a count of the orders",
        forbidden_by: NONE,
        made: &["UPDATE stage_tally SET orders = orders + 1 WHERE stage = 'BACKORDERED'"],
        repaired: &["UPDATE stage_tally SET orders = orders - 1 WHERE stage = 'BACKORDERED'"],
    },
    Fault {
        name: "I10",
        rule: "the figures of reports count every move of an order once, as far as they have come",
        forbidden_by: NONE,
        made: &["UPDATE report_figure SET events = events + 1
            WHERE measure = 'STAGE_ENTERED' AND detail = 'BACKORDERED'"],
        repaired: &["UPDATE report_figure SET events = events - 1
            WHERE measure = 'STAGE_ENTERED' AND detail = 'BACKORDERED'"],
    },
];

/// Faults on an order besides, of which a unit came back and was paid for.
const OF_RETURNS: &[Fault] = &[
    Fault {
        name: "I12",
        rule: "a line's returned units are those that came back of it, and no more than have left",
        forbidden_by: NONE,
        made: &["UPDATE order_line SET returned = returned + 1 WHERE returned > 0"],
        repaired: &["UPDATE order_line SET returned = returned - 1 WHERE returned > 0"],
    },
    Fault {
        name: "I12",
        rule: "what became of units that came back is in the stock ledger",
        forbidden_by: NONE,
        made: &[
            "UPDATE return_unit SET disposition = 'WRITTEN_OFF', note = 'seeded'
            WHERE disposition = 'RESTOCKED'",
        ],
        repaired: &["UPDATE return_unit SET disposition = 'RESTOCKED' WHERE note = 'seeded'"],
    },
    Fault {
        name: "I12",
        rule: "units are paid for when they have come back, or somebody said why before",
        forbidden_by: NONE,
        made: &["UPDATE return_line SET quantity = quantity + 1, refunded = refunded + 1"],
        repaired: &["UPDATE return_line SET refunded = refunded - 1, quantity = quantity - 1"],
    },
    Fault {
        name: "I12",
        rule: "what goes back was decided, and what was decided goes back, or a person knows that it does not",
        forbidden_by: NONE,
        made: &[
            "UPDATE refund SET amount_minor = amount_minor + 1",
            "UPDATE refund_line SET amount_minor = amount_minor + 1",
        ],
        repaired: &[
            "UPDATE refund SET amount_minor = amount_minor - 1",
            "UPDATE refund_line SET amount_minor = amount_minor - 1",
        ],
    },
    Fault {
        name: "I12",
        rule: "a refund is what its lines come to",
        forbidden_by: NONE,
        made: &["UPDATE refund_line SET amount_minor = amount_minor + 1"],
        repaired: &["UPDATE refund_line SET amount_minor = amount_minor - 1"],
    },
];

/// What other invariants say of a fault, by the one that it is made for: an invoice and the ledger
/// follow what was captured, and stay as they are.
const ALSO: &[(&str, &[&str])] = &[
    (
        "captured <= authorised, refunded <= captured",
        &[
            "what goes back was decided, and what was decided goes back, or a person knows that it does not",
        ],
    ),
    (
        "a shipment is captured once: what was captured for it is what its charge says",
        &["what was captured for a shipment is invoiced, once and to the minor unit"],
    ),
    (
        "a shipment that its carrier has is captured, or something or somebody sees to it",
        &[
            "what was captured for a shipment is invoiced, once and to the minor unit",
            "the ledger has the money that was taken for an order and given back",
        ],
    ),
];

/// Exchanges the first two versions of one order.
const SWAPPED: &[&str] = &[
    "UPDATE event_log SET aggregate_version = -aggregate_version WHERE aggregate_version IN (1, 2)
        AND order_id = (SELECT id FROM \"order\" WHERE external_reference = 'web-1')",
    "UPDATE event_log SET aggregate_version = 3 + aggregate_version WHERE aggregate_version < 0",
];

async fn run(app: &TestApp, statements: &[&str]) {
    for sql in statements {
        let done = app.app.db.write.execute_unprepared(sql).await;
        let done = done.unwrap_or_else(|error| panic!("{sql}: {error}"));
        assert!(done.rows_affected() > 0, "{sql} changes nothing");
    }
}

/// Whether what forbids a fault keeps rows as they are.
fn is_trigger(name: &str) -> bool {
    name.contains("_is_kept_from_")
}

/// Lets a constraint be broken on this database.
async fn allow(app: &TestApp, constraint: &str) {
    let (table, name) = constraint.split_once('.').unwrap();
    let sql = match app.app.db.backend {
        DbBackend::Sqlite if is_trigger(name) => format!("DROP TRIGGER IF EXISTS {name}"),
        _ if is_trigger(name) => format!("DROP TRIGGER IF EXISTS {name} ON {table}"),
        DbBackend::Sqlite => "PRAGMA ignore_check_constraints = ON".to_owned(),
        _ => format!("ALTER TABLE {table} DROP CONSTRAINT {name}"),
    };
    app.app.db.write.execute_unprepared(&sql).await.unwrap();
}

async fn reported(app: &TestApp) -> BTreeSet<(&'static str, &'static str)> {
    let differences = integrity::verify(&app.app.db.read).await.unwrap();
    differences
        .into_iter()
        .map(|one| (one.invariant, one.rule))
        .collect()
}

/// The orders that the faults are made on.
async fn trade(app: &TestApp) {
    app.open_shop().await;
    crate::invoices::sell_in(app, &["web"]).await;
    let waited = app.stocked("WAITED", 0, true).await;
    let order = |reference: &str, changes: serde_json::Value| {
        let mut basket = basket_with(changes);
        basket["externalReference"] = json!(reference);
        app.place(basket)
    };
    order("web-1", json!({})).await;
    order(
        "b2b-1",
        json!({ "channel": "b2b", "customer": { "code": "B-2001" }, "payment": { "method": "ACCOUNT" } }),
    )
    .await;
    let lines = json!([{ "sku": waited.sku, "quantity": 2 }]);
    order("wait-1", json!({ "lines": lines })).await;
    // Units where the channel is not served are no reason not to wait.
    app.serve_from("web", &["VIE"]).await;
    app.receive(&app.elsewhere(&waited, "BER").await, 1).await;
    let lines = json!([{ "sku": "NOBODY-KNOWS", "quantity": 1, "unitPrice": "5.00" }]);
    let outside = json!({ "method": "EXTERNAL" });
    order(
        "odd-1",
        json!({ "channel": "marketplace", "lines": lines, "payment": outside }),
    )
    .await;
    // One that has left, and one that is being picked.
    let parcel = app.stocked("PARCEL", 5, false).await;
    let sent = crate::fulfillment::routed(app, &[(&parcel, 1)]).await;
    crate::fulfillment::send(app, &parcel, &sent).await;
    crate::fulfillment::scanned(app).await;
    let begun = crate::fulfillment::routed(app, &[(&parcel, 1)]).await;
    crate::fulfillment::listed(app, &parcel, &[&begun]).await;
    let gone = order("gone-1", json!({})).await;
    let cancel = "mutation C($id: ID!) {
        orderCancel(input: { id: $id, reason: \"a fault needs it\" }) { userErrors { code } } }";
    let done = app.gql(cancel, json!({ "id": gone["id"] })).await;
    assert_eq!(done["orderCancel"]["userErrors"], json!([]));
    // One that was put away.
    let old = order("old-1", json!({})).await;
    let done = app.gql(cancel, json!({ "id": old["id"] })).await;
    assert_eq!(done["orderCancel"]["userErrors"], json!([]));
    app.settle().await;
    let row = entity::order::Entity::find()
        .filter(entity::order::Column::ExternalReference.eq("old-1"))
        .one(&app.app.db.read)
        .await;
    let id = row.unwrap().unwrap().id;
    crate::archive::put_away(app, id).await;
    settled_and_disputed(app).await;
}

/// A unit came back and was paid for.
async fn returned(app: &TestApp) {
    let bowl = app.stocked("BOWL", 1, false).await;
    let (id, _) = crate::invoices::sold(app, &bowl, 1, json!({})).await;
    crate::returns::paid_back(app, &bowl, id).await;
}

/// Something was paid out, and something taken back.
async fn settled_and_disputed(app: &TestApp) {
    let fee = json!([{ "id": "txn_1", "amount": -40, "fee": 0, "net": -40, "currency": "eur",
        "created": 1_795_168_800, "reporting_category": "fee", "source": null }]);
    let file = SettlementFile {
        gateway: "sandbox".to_owned(),
        format: "stripe".to_owned(),
        mapping: None,
        source: "fee.json".to_owned(),
        content: fee.to_string().into_bytes(),
    };
    let by = Actor::worker("test");
    let settled = app.app.import_settlement(&by, &file, |_| {}).await.unwrap();
    assert_eq!(settled.run.accepted, 1);
    let capture = payment_transaction::Entity::find()
        .filter(payment_transaction::Column::Kind.eq(payment_transaction::Kind::Capture))
        .one(&app.app.db.read)
        .await
        .unwrap()
        .unwrap();
    let said = &Dispute {
        reference: "dispute_1".to_owned(),
        of: capture.gateway_reference.unwrap(),
        amount: Money::new(100, Currency::EUR),
        reason: "fraudulent".to_owned(),
        state: dispute::State::Open,
    };
    let news = app
        .app
        .write(&by, move |tx| async move {
            orders::disputes::record(&tx, "sandbox", said).await
        })
        .await;
    assert!(news.unwrap());
    app.settle().await;
}

async fn a3_every_invariant_is_seen_red_by_a_fault_of_its_own(app: &TestApp) {
    trade(app).await;
    assert_eq!(reported(app).await, BTreeSet::new());
    let mut seen = see_red(app, FAULTS).await;
    returned(app).await;
    assert_eq!(reported(app).await, BTreeSet::new());
    seen.extend(see_red(app, OF_RETURNS).await);
    let all: BTreeSet<_> = integrity::rules(app.app.db.backend).collect();
    assert_eq!(
        seen, all,
        "an invariant has no fault here, or a fault no invariant"
    );
}

/// Makes each fault, sees the report name exactly what it breaks, and makes it good again. Says what
/// was reported.
async fn see_red(app: &TestApp, faults: &[Fault]) -> BTreeSet<(&'static str, &'static str)> {
    let mut seen = BTreeSet::new();
    for fault in faults {
        for constraint in fault.forbidden_by {
            allow(app, constraint).await;
        }
        run(app, fault.made).await;
        let mut expected = BTreeSet::from([(fault.name, fault.rule)]);
        let also = ALSO.iter().filter(|(rule, _)| *rule == fault.rule);
        let also: Vec<&str> = also.flat_map(|(_, rules)| rules.iter().copied()).collect();
        let all = integrity::rules(app.app.db.backend);
        expected.extend(all.filter(|(_, rule)| also.contains(rule)));
        let checked = fault.forbidden_by.iter().any(|name| !is_trigger(name));
        if checked && app.app.db.backend == DbBackend::Sqlite {
            expected.insert(("I1", "the database file is sound"));
        }
        assert_eq!(reported(app).await, expected, "{}", fault.rule);
        run(app, fault.repaired).await;
        assert_eq!(
            reported(app).await,
            BTreeSet::new(),
            "{}, repaired",
            fault.rule
        );
        seen.extend(expected);
    }
    seen
}

async fn a3_the_report_over_the_api_names_what_disagrees(app: &TestApp) {
    trade(app).await;
    let report = "{ integrityReport { checks differences { invariant rule subject } } }";
    let clean = app.gql(report, json!({})).await;
    let clean = &clean["integrityReport"];
    assert_eq!(clean["differences"], json!([]));
    assert_eq!(
        clean["checks"].as_u64().unwrap() as usize,
        integrity::rules(DbBackend::Postgres).count(),
        "every query counts as a check"
    );
    run(
        app,
        &["UPDATE promotion SET usage_count = 3 WHERE code = 'FIRST100'"],
    )
    .await;
    let found = app.gql(report, json!({})).await;
    let found = &found["integrityReport"]["differences"];
    assert_eq!(found.as_array().unwrap().len(), 1, "{found:#}");
    assert_eq!(found[0]["invariant"], "I5");
    let subject = found[0]["subject"].as_str().unwrap();
    assert!(subject.ends_with(": counted 3 but used 0"), "{subject}");
    run(
        app,
        &["UPDATE promotion SET usage_count = 0 WHERE code = 'FIRST100'"],
    )
    .await;
}
