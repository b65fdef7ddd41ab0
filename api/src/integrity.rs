//! `oms verify`: the invariants, each one query that must find nothing.
//!
//! They are read from the database alone, so they hold against whatever the program believes.

use entity::archived_order;
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, DatabaseConnection, DbBackend, DbErr, EntityTrait,
    QueryFilter, QueryOrder, QuerySelect, Statement,
};
use sha2::{Digest, Sha256};

/// One way in which the data disagrees with itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Which invariant: `I1` … `I12`.
    pub invariant: &'static str,
    /// What it says.
    pub rule: &'static str,
    /// What disagrees: ids and figures.
    pub subject: String,
}

/// An invariant: its name, what it says, and the query that finds what breaks it. Each query
/// gives one text column.
struct Invariant {
    name: &'static str,
    rule: &'static str,
    query: &'static str,
}

/// How many differences of one invariant are reported.
const MOST_OF_ONE: u64 = 100;

const INVARIANTS: &[Invariant] = &[
    Invariant {
        name: "I1",
        rule: "0 <= reserved <= on hand, safety >= 0",
        query: "SELECT 'on hand ' || on_hand || ', reserved ' || reserved FROM stock
            WHERE on_hand < 0 OR reserved < 0 OR reserved > on_hand OR safety < 0",
    },
    Invariant {
        name: "I2",
        rule: "a stock row is the sum of its movements",
        query: "SELECT 'on hand ' || s.on_hand || ' but moved ' || COALESCE(m.on_hand, 0)
                || ', reserved ' || s.reserved || ' but moved ' || COALESCE(m.reserved, 0)
            FROM stock s LEFT JOIN (
                SELECT variant_id, warehouse_id, SUM(delta_on_hand) AS on_hand,
                    SUM(delta_reserved) AS reserved
                FROM stock_movement GROUP BY variant_id, warehouse_id) m
            ON m.variant_id = s.variant_id AND m.warehouse_id = s.warehouse_id
            WHERE s.on_hand <> COALESCE(m.on_hand, 0) OR s.reserved <> COALESCE(m.reserved, 0)",
    },
    Invariant {
        name: "I2",
        rule: "the bins of a warehouse add up to its stock on hand",
        query: "SELECT 'on hand ' || s.on_hand || ' but in bins ' || COALESCE(b.quantity, 0)
            FROM stock s LEFT JOIN (
                SELECT variant_id, warehouse_id, SUM(quantity) AS quantity
                FROM bin_stock GROUP BY variant_id, warehouse_id) b
            ON b.variant_id = s.variant_id AND b.warehouse_id = s.warehouse_id
            WHERE s.on_hand <> COALESCE(b.quantity, 0)",
    },
    Invariant {
        name: "I3",
        rule: "reserved is the sum of live reservations",
        query: "SELECT 'reserved ' || s.reserved || ' but held ' || COALESCE(r.quantity, 0)
            FROM stock s LEFT JOIN (
                SELECT variant_id, warehouse_id, SUM(quantity) AS quantity FROM reservation
                WHERE status IN ('ACTIVE', 'ALLOCATED') GROUP BY variant_id, warehouse_id) r
            ON r.variant_id = s.variant_id AND r.warehouse_id = s.warehouse_id
            WHERE s.reserved <> COALESCE(r.quantity, 0)",
    },
    Invariant {
        name: "I3",
        rule: "a line's reserved and allocated units are its live reservations",
        query: "SELECT l.sku || ': reserved ' || l.reserved || ', allocated ' || l.allocated
                || ' but held ' || COALESCE(r.soft, 0) || ' and ' || COALESCE(r.firm, 0)
            FROM order_line l LEFT JOIN (
                SELECT line_id,
                    SUM(CASE WHEN status = 'ACTIVE' THEN quantity ELSE 0 END) AS soft,
                    SUM(CASE WHEN status = 'ALLOCATED' THEN quantity ELSE 0 END) AS firm
                FROM reservation GROUP BY line_id) r ON r.line_id = l.id
            WHERE l.reserved <> COALESCE(r.soft, 0) OR l.allocated <> COALESCE(r.firm, 0)",
    },
    Invariant {
        name: "I3",
        rule: "a line's units are ordered once: held, waited for, gone or called off, no more than ordered",
        query: "SELECT sku || ': ' || quantity || ' ordered but ' || (reserved + allocated
                + backordered + shipped + cancelled) FROM order_line
            WHERE reserved + allocated + backordered + shipped + cancelled > quantity
                OR picked > quantity OR packed > picked OR shipped > packed",
    },
    Invariant {
        name: "I3",
        rule: "what leaves is what was held, and a line's picked, packed and shipped units are its work's",
        query: "SELECT l.sku || ': picked ' || l.picked || ', packed ' || l.packed || ', shipped '
                || l.shipped || ' but ' || COALESCE(w.picked, 0) || ', ' || COALESCE(w.packed, 0)
                || ' and ' || COALESCE(w.shipped, 0) || ', ' || COALESCE(r.shipped, 0)
            FROM order_line l LEFT JOIN (
                SELECT n.line_id, SUM(n.picked) AS picked, SUM(n.packed) AS packed,
                    SUM(CASE WHEN f.status = 'CLOSED' THEN n.quantity ELSE 0 END) AS shipped
                FROM fulfillment_line n JOIN fulfillment_order f ON f.id = n.fulfillment_order_id
                WHERE f.status <> 'CANCELLED' GROUP BY n.line_id) w ON w.line_id = l.id
            LEFT JOIN (
                SELECT line_id, SUM(quantity) AS shipped FROM reservation
                WHERE status = 'SHIPPED' GROUP BY line_id) r ON r.line_id = l.id
            WHERE l.picked <> COALESCE(w.picked, 0) OR l.packed <> COALESCE(w.packed, 0)
                OR l.shipped <> COALESCE(w.shipped, 0) OR l.shipped <> COALESCE(r.shipped, 0)",
    },
    Invariant {
        name: "I3",
        rule: "a warehouse's work on an order is held for it there",
        query: "SELECT l.sku || ': ' || w.units || ' to send but ' || COALESCE(r.units, 0) || ' held'
            FROM (SELECT n.line_id, f.warehouse_id, SUM(n.quantity) AS units
                FROM fulfillment_line n JOIN fulfillment_order f ON f.id = n.fulfillment_order_id
                WHERE f.status IN ('OPEN', 'ON_HOLD', 'IN_PROGRESS')
                GROUP BY n.line_id, f.warehouse_id) w
            JOIN order_line l ON l.id = w.line_id
            LEFT JOIN (SELECT line_id, warehouse_id, SUM(quantity) AS units FROM reservation
                WHERE status = 'ALLOCATED' GROUP BY line_id, warehouse_id) r
            ON r.line_id = w.line_id AND r.warehouse_id = w.warehouse_id
            WHERE w.units > COALESCE(r.units, 0)",
    },
    Invariant {
        name: "I3",
        rule: "what is packed for a shipment is in its packages, and no package holds more than it should",
        query: "SELECT s.number || ': ' || w.packed || ' packed but ' || COALESCE(p.packed, 0)
            FROM shipment s
            JOIN (SELECT fulfillment_order_id, SUM(packed) AS packed FROM fulfillment_line
                GROUP BY fulfillment_order_id) w
            ON w.fulfillment_order_id = s.fulfillment_order_id
            LEFT JOIN (SELECT k.shipment_id, SUM(n.packed) AS packed
                FROM package_line n JOIN package k ON k.id = n.package_id
                WHERE k.status <> 'CANCELLED' GROUP BY k.shipment_id) p ON p.shipment_id = s.id
            WHERE s.status IN ('PACKED', 'LABELED', 'DISPATCHED') AND NOT EXISTS (
                SELECT 1 FROM order_exception x WHERE x.order_id = s.order_id
                AND x.code = 'INSUFFICIENT_STOCK') AND w.packed <> COALESCE(p.packed, 0)",
    },
    Invariant {
        name: "I3",
        rule: "every packed unit was scanned twice",
        query: "SELECT l.sku || ': packed ' || l.packed || ' but scanned ' || COALESCE(s.pick, 0)
                || ' and ' || COALESCE(s.pack, 0)
            FROM order_line l LEFT JOIN (
                SELECT order_id, variant_id,
                    SUM(CASE WHEN station = 'PICK' THEN units ELSE 0 END) AS pick,
                    SUM(CASE WHEN station = 'PACK' THEN units ELSE 0 END) AS pack
                FROM scan GROUP BY order_id, variant_id) s
            ON s.order_id = l.order_id AND s.variant_id = l.variant_id
            WHERE l.packed > 0 AND (l.packed > COALESCE(s.pick, 0) OR l.packed > COALESCE(s.pack, 0))",
    },
    Invariant {
        name: "I3",
        rule: "no unit is on two pick lists: open rows of a bin want no more than it has",
        query: "SELECT b.code || ': ' || t.units || ' to pick but ' || COALESCE(s.quantity, 0)
            FROM (SELECT k.bin_id, k.variant_id, SUM(k.quantity - k.picked) AS units
                FROM pick_task k JOIN fulfillment_order f ON f.id = k.fulfillment_order_id
                WHERE k.status = 'OPEN' AND f.status = 'IN_PROGRESS'
                GROUP BY k.bin_id, k.variant_id) t
            JOIN bin b ON b.id = t.bin_id
            LEFT JOIN bin_stock s ON s.bin_id = t.bin_id AND s.variant_id = t.variant_id
            WHERE t.units > COALESCE(s.quantity, 0) AND NOT EXISTS (
                SELECT 1 FROM stock_movement m WHERE m.bin_id = t.bin_id
                AND m.variant_id = t.variant_id AND m.kind = 'ADJUST')",
    },
    Invariant {
        name: "I9",
        rule: "a released order has units to route, work under way, or something that stops it",
        query: "SELECT o.number || ' ' || o.stage FROM \"order\" o
            WHERE o.status = 'CONFIRMED' AND NOT o.unrouted
            AND NOT EXISTS (SELECT 1 FROM fulfillment_order f
                WHERE f.order_id = o.id AND f.status <> 'CANCELLED')
            AND NOT EXISTS (SELECT 1 FROM hold h
                WHERE h.order_id = o.id AND h.released_at IS NULL)
            AND NOT EXISTS (SELECT 1 FROM order_exception x
                WHERE x.order_id = o.id AND x.status IN ('OPEN', 'ASSIGNED'))
            AND NOT EXISTS (SELECT 1 FROM order_line l
                WHERE l.order_id = o.id AND l.backordered > 0)
            AND EXISTS (SELECT 1 FROM order_line l WHERE l.order_id = o.id AND l.allocated > 0)",
    },
    Invariant {
        name: "I3",
        rule: "a line's backordered units are its live place in the queue",
        query: "SELECT l.sku || ': backordered ' || l.backordered || ' but waiting '
                || COALESCE(b.quantity, 0)
            FROM order_line l LEFT JOIN (
                SELECT line_id, SUM(quantity) AS quantity FROM backorder
                WHERE status = 'WAITING' GROUP BY line_id) b ON b.line_id = l.id
            WHERE l.backordered <> COALESCE(b.quantity, 0)",
    },
    Invariant {
        name: "I3",
        rule: "a place in the queue is of its order's channel",
        query: "SELECT o.number || ': position ' || b.position
            FROM backorder b JOIN \"order\" o ON o.id = b.order_id
            WHERE b.channel_id <> o.channel_id",
    },
    Invariant {
        name: "I4",
        rule: "captured <= authorised, refunded <= captured",
        query: "SELECT 'authorised ' || authorized_minor || ', captured ' || captured_minor
                || ', refunded ' || refunded_minor FROM payment
            WHERE captured_minor + capture_pending_minor > authorized_minor
                OR refunded_minor + refund_pending_minor > captured_minor",
    },
    Invariant {
        name: "I4",
        rule: "a card's authorised amount is what the gateway approved and did not take back",
        query: "SELECT 'authorised ' || p.authorized_minor || ' but approved ' || t.amount
            FROM payment p JOIN (
                SELECT payment_id, SUM(CASE kind WHEN 'AUTHORIZATION' THEN amount_minor
                    WHEN 'VOID' THEN -amount_minor ELSE 0 END) AS amount
                FROM payment_transaction WHERE state = 'SUCCEEDED'
                    AND kind IN ('AUTHORIZATION', 'VOID') GROUP BY payment_id) t
            ON t.payment_id = p.id WHERE t.amount <> p.authorized_minor",
    },
    Invariant {
        name: "I4",
        rule: "a payment's captured and pending amounts are what its captures came to",
        query: "SELECT 'captured ' || p.captured_minor || ', pending ' || p.capture_pending_minor
                || ' but ' || COALESCE(t.captured, 0) || ' and ' || COALESCE(t.pending, 0)
            FROM payment p LEFT JOIN (
                SELECT payment_id,
                    SUM(CASE WHEN state = 'SUCCEEDED' THEN amount_minor ELSE 0 END) AS captured,
                    SUM(CASE WHEN state IN ('READY', 'SENT', 'UNKNOWN') THEN amount_minor ELSE 0 END)
                        AS pending
                FROM payment_transaction WHERE kind = 'CAPTURE' GROUP BY payment_id) t
            ON t.payment_id = p.id
            WHERE p.captured_minor <> COALESCE(t.captured, 0)
                OR p.capture_pending_minor <> COALESCE(t.pending, 0)",
    },
    Invariant {
        name: "I4",
        rule: "a shipment is captured once: what was captured for it is what its charge says",
        query: "SELECT s.number || ': captured ' || COALESCE(t.captured, 0) || ' but charged '
                || COALESCE(c.captured_minor, 0)
            FROM shipment s LEFT JOIN charge c ON c.shipment_id = s.id
            LEFT JOIN (
                SELECT shipment_id, SUM(amount_minor) AS captured FROM payment_transaction
                WHERE kind = 'CAPTURE' AND state = 'SUCCEEDED' GROUP BY shipment_id) t
            ON t.shipment_id = s.id
            WHERE COALESCE(c.captured_minor, 0) <> COALESCE(t.captured, 0)",
    },
    Invariant {
        name: "I4",
        rule: "nothing is taken of an effect but what it was",
        query: "SELECT a.kind || ' of ' || a.amount_minor || ' but taken ' || t.taken
            FROM payment_transaction a JOIN (
                SELECT source_id, SUM(amount_minor) AS taken FROM payment_transaction
                WHERE state IN ('READY', 'SENT', 'UNKNOWN', 'SUCCEEDED') GROUP BY source_id) t
            ON t.source_id = a.id WHERE t.taken > a.amount_minor OR a.state <> 'SUCCEEDED'",
    },
    Invariant {
        name: "I4",
        rule: "a customer's used credit is what its orders on account come to, less what was paid or taken back",
        query: "SELECT c.code || ': used ' || c.credit_used_minor || ' but owes '
                || (COALESCE(o.due, 0) - COALESCE(p.paid, 0))
            FROM customer c LEFT JOIN (
                SELECT customer_id, SUM(due) AS due FROM (
                    SELECT o.customer_id, p.authorized_minor AS due
                    FROM \"order\" o JOIN payment p ON p.order_id = o.id
                    WHERE o.payment_method = 'ACCOUNT'
                    UNION ALL SELECT customer_id, authorized_minor FROM archived_order
                    WHERE payment_method = 'ACCOUNT') each_one GROUP BY customer_id) o
            ON o.customer_id = c.id LEFT JOIN (
                SELECT customer_id, SUM(CASE WHEN paid_minor + credited_minor < total_minor
                    THEN paid_minor + credited_minor ELSE total_minor END) AS paid
                FROM invoice_standing GROUP BY customer_id) p ON p.customer_id = c.id
            WHERE c.credit_used_minor <> COALESCE(o.due, 0) - COALESCE(p.paid, 0)",
    },
    Invariant {
        name: "I5",
        rule: "lines + shipping + tax - discounts = total",
        query: "SELECT o.number || ': ' || o.total_minor FROM \"order\" o JOIN (
                SELECT order_id, SUM(subtotal_minor) AS subtotal, SUM(discount_minor) AS discount,
                    SUM(tax_minor) AS tax, SUM(gross_minor) AS gross
                FROM order_line GROUP BY order_id) l ON l.order_id = o.id
            WHERE o.subtotal_minor <> l.subtotal OR o.discount_minor <> l.discount
                OR o.tax_minor <> l.tax + o.shipping_tax_minor
                OR o.subtotal_minor - o.discount_minor + o.shipping_minor
                    - o.shipping_discount_minor - o.exempted_minor
                    + CASE WHEN o.tax_included THEN 0 ELSE o.tax_minor END <> o.total_minor",
    },
    Invariant {
        name: "I5",
        rule: "the charges of an order come to no more than its total, and to all of it with its last unit",
        query: "SELECT o.number || ': ' || o.total_minor || ' but charged ' || c.charged
            FROM \"order\" o JOIN (
                SELECT order_id, SUM(amount_minor) AS charged FROM charge GROUP BY order_id) c
            ON c.order_id = o.id
            WHERE c.charged > o.total_minor OR c.charged < o.total_minor AND NOT EXISTS (
                SELECT 1 FROM order_line l LEFT JOIN (
                    SELECT n.line_id, SUM(n.quantity) AS units FROM fulfillment_line n
                    JOIN shipment s ON s.fulfillment_order_id = n.fulfillment_order_id
                    JOIN charge k ON k.shipment_id = s.id GROUP BY n.line_id) u
                ON u.line_id = l.id
                WHERE l.order_id = o.id AND l.quantity - l.cancelled > COALESCE(u.units, 0))",
    },
    Invariant {
        name: "I5",
        rule: "a promotion's count is the number of its uses, within its limit",
        query: "SELECT p.name || ': counted ' || p.usage_count || ' but used '
                || COALESCE(u.uses, 0)
            FROM promotion p LEFT JOIN (
                SELECT promotion_id, COUNT(*) AS uses FROM promotion_use GROUP BY promotion_id) u
            ON u.promotion_id = p.id
            WHERE p.usage_count <> COALESCE(u.uses, 0) OR p.usage_count > p.usage_limit",
    },
    Invariant {
        name: "I5",
        rule: "what was captured for a shipment is invoiced, once and to the minor unit",
        query: "SELECT s.number || ': captured ' || COALESCE(c.captured_minor, 0) || ' but invoiced '
                || COALESCE(i.total_minor, 0)
            FROM shipment s JOIN \"order\" o ON o.id = s.order_id
            LEFT JOIN charge c ON c.shipment_id = s.id
            LEFT JOIN invoice i ON i.shipment_id = s.id AND i.kind = 'INVOICE'
            WHERE i.total_minor <> COALESCE(c.captured_minor, 0)
                OR i.id IS NULL AND c.captured_at IS NOT NULL AND c.captured_minor > 0
                    AND EXISTS (SELECT 1 FROM legal_entity_channel e
                        WHERE e.channel_id = o.channel_id)",
    },
    Invariant {
        name: "I5",
        rule: "an invoice is the sum of its lines",
        query: "SELECT i.name || ': ' || i.net_minor || ' and ' || i.tax_minor || ' but '
                || COALESCE(l.net, 0) || ' and ' || COALESCE(l.tax, 0)
            FROM invoice i LEFT JOIN (
                SELECT invoice_id, SUM(net_minor) AS net, SUM(tax_minor) AS tax
                FROM invoice_line GROUP BY invoice_id) l ON l.invoice_id = i.id
            WHERE i.net_minor <> COALESCE(l.net, 0) OR i.tax_minor <> COALESCE(l.tax, 0)",
    },
    Invariant {
        name: "I5",
        rule: "invoices and credit notes are numbered 1, 2, 3 … in their series",
        query: "SELECT s.prefix || ': next ' || s.next_number || ' but ' || COALESCE(i.issued, 0)
                || ' up to ' || COALESCE(i.newest, 0)
            FROM invoice_series s LEFT JOIN (
                SELECT legal_entity_id, kind, COUNT(*) AS issued, MAX(number) AS newest
                FROM invoice GROUP BY legal_entity_id, kind) i
            ON i.legal_entity_id = s.legal_entity_id AND i.kind = s.kind
            WHERE s.next_number <> COALESCE(i.newest, 0) + 1
                OR COALESCE(i.newest, 0) <> COALESCE(i.issued, 0)",
    },
    Invariant {
        name: "I5",
        rule: "what is taken back of an invoice is what its credit notes come to",
        query: "SELECT i.name || ': ' || s.credited_minor || ' but ' || COALESCE(c.total, 0)
            FROM invoice_standing s JOIN invoice i ON i.id = s.invoice_id LEFT JOIN (
                SELECT corrects_id, SUM(total_minor) AS total FROM invoice
                WHERE kind = 'CREDIT_NOTE' GROUP BY corrects_id) c ON c.corrects_id = i.id
            WHERE s.credited_minor <> COALESCE(c.total, 0) OR s.total_minor <> i.total_minor",
    },
    Invariant {
        name: "I5",
        rule: "the ledger has every invoice and credit note, each to the minor unit",
        query: "SELECT i.name || ': ' || i.total_minor || ' but posted ' || COALESCE(l.owed, 0)
                || ', tax ' || i.tax_minor || ' but ' || COALESCE(l.tax, 0)
            FROM invoice i LEFT JOIN (
                SELECT document_id,
                    SUM(CASE WHEN debit = 'RECEIVABLE' THEN amount_minor ELSE 0 END)
                        - SUM(CASE WHEN credit = 'RECEIVABLE' THEN amount_minor ELSE 0 END) AS owed,
                    SUM(CASE WHEN credit = 'TAX' THEN amount_minor ELSE 0 END)
                        - SUM(CASE WHEN debit = 'TAX' THEN amount_minor ELSE 0 END) AS tax
                FROM ledger_entry WHERE document IN ('INVOICE', 'CREDIT_NOTE')
                GROUP BY document_id) l ON l.document_id = i.id
            WHERE COALESCE(l.owed, 0) <> CASE i.kind WHEN 'INVOICE' THEN i.total_minor
                    ELSE -i.total_minor END
                OR COALESCE(l.tax, 0) <> CASE i.kind WHEN 'INVOICE' THEN i.tax_minor
                    ELSE -i.tax_minor END",
    },
    Invariant {
        name: "I5",
        rule: "what was paid of an invoice on account is what was allocated to it and posted",
        query: "SELECT i.name || ': paid ' || s.paid_minor || ' but allocated '
                || COALESCE(a.paid, 0) || ' and posted ' || COALESCE(a.posted, 0)
            FROM invoice_standing s JOIN invoice i ON i.id = s.invoice_id LEFT JOIN (
                SELECT a.invoice_id, SUM(a.amount_minor) AS paid,
                    SUM(COALESCE(l.posted, 0)) AS posted
                FROM payment_allocation a LEFT JOIN (
                    SELECT document_id, SUM(amount_minor) AS posted FROM ledger_entry
                    WHERE document = 'PAYMENT' GROUP BY document_id) l ON l.document_id = a.id
                GROUP BY a.invoice_id) a ON a.invoice_id = s.invoice_id
            WHERE s.paid_minor <> COALESCE(a.paid, 0)
                OR COALESCE(a.paid, 0) <> COALESCE(a.posted, 0)
                OR s.customer_id IS NOT NULL AND (s.settled_at IS NULL)
                    <> (s.total_minor - s.credited_minor - s.paid_minor <> 0)",
    },
    Invariant {
        name: "I5",
        rule: "a customer's payment is allocated in whole",
        query: "SELECT p.reference || ': ' || p.amount_minor || ' but allocated '
                || COALESCE(a.paid, 0)
            FROM customer_payment p LEFT JOIN (
                SELECT payment_id, SUM(amount_minor) AS paid FROM payment_allocation
                GROUP BY payment_id) a ON a.payment_id = p.id
            WHERE p.amount_minor <> COALESCE(a.paid, 0)",
    },
    Invariant {
        name: "I5",
        rule: "the ledger has the money that was taken for an order and given back",
        query: "SELECT o.number || ': ' || t.kind || ' of ' || t.amount_minor || ' but posted '
                || COALESCE(l.posted, 0)
            FROM payment_transaction t JOIN payment p ON p.id = t.payment_id
            JOIN \"order\" o ON o.id = t.order_id LEFT JOIN (
                SELECT document_id, document, SUM(amount_minor) AS posted FROM ledger_entry
                GROUP BY document_id, document) l
            ON l.document_id = t.id AND l.document = t.kind
            WHERE t.kind IN ('CAPTURE', 'REFUND') AND t.state = 'SUCCEEDED'
                AND p.gateway <> 'account' AND t.amount_minor <> COALESCE(l.posted, 0)",
    },
    Invariant {
        name: "I5",
        rule: "the ledger has every line of a settlement, as the gateway says it",
        query: "SELECT s.gateway || ' ' || s.reference || ': ' || s.net_minor || ' and a fee of '
                || s.fee_minor || ' but posted ' || COALESCE(l.bank, 0) || ' and '
                || COALESCE(l.fees, 0)
            FROM settlement_line s LEFT JOIN (
                SELECT document_id,
                    SUM(CASE WHEN debit = 'BANK' THEN amount_minor ELSE 0 END)
                        - SUM(CASE WHEN credit = 'BANK' THEN amount_minor ELSE 0 END) AS bank,
                    SUM(CASE WHEN debit = 'FEES' THEN amount_minor ELSE 0 END)
                        - SUM(CASE WHEN credit = 'FEES' THEN amount_minor ELSE 0 END) AS fees
                FROM ledger_entry WHERE document = 'SETTLEMENT' GROUP BY document_id) l
            ON l.document_id = s.id
            WHERE s.kind <> 'PAYOUT'
                AND (s.net_minor <> COALESCE(l.bank, 0) OR s.fee_minor <> COALESCE(l.fees, 0))",
    },
    Invariant {
        name: "I5",
        rule: "the ledger has every dispute until it is won",
        query: "SELECT d.gateway || ' ' || d.reference || ': ' || d.amount_minor || ' but posted '
                || COALESCE(l.taken, 0)
            FROM dispute d LEFT JOIN (
                SELECT document_id,
                    SUM(CASE WHEN debit = 'CHARGEBACKS' THEN amount_minor ELSE 0 END)
                        - SUM(CASE WHEN credit = 'CHARGEBACKS' THEN amount_minor ELSE 0 END) AS taken
                FROM ledger_entry WHERE document = 'CHARGEBACK' GROUP BY document_id) l
            ON l.document_id = d.id
            WHERE COALESCE(l.taken, 0) <> CASE d.state WHEN 'WON' THEN 0 ELSE d.amount_minor END",
    },
    Invariant {
        name: "I6",
        rule: "the log has no holes",
        query: "SELECT 'last ' || s.last_seq || ' but ' || l.events || ' events from ' || s.floor_seq
                || ' up to ' || l.newest
            FROM sequencer s, (SELECT COUNT(*) AS events, COALESCE(MAX(seq), 0) AS newest
                FROM event_log WHERE seq > (SELECT floor_seq FROM sequencer)) l
            WHERE l.newest <> s.last_seq AND l.events > 0
                OR l.events <> s.last_seq - s.floor_seq",
    },
    Invariant {
        name: "I6",
        // Retention takes most of the oldest of stock.
        rule: "an aggregate's versions are 1, 2, 3 … in the order of the log",
        query: "SELECT aggregate_type || ' ' || aggregate_id || ' version ' || aggregate_version
            FROM (SELECT aggregate_type, aggregate_id, aggregate_version,
                    ROW_NUMBER() OVER (PARTITION BY aggregate_type, aggregate_id ORDER BY seq)
                        AS place,
                    MIN(aggregate_version) OVER (PARTITION BY aggregate_type, aggregate_id)
                        AS oldest
                FROM event_log WHERE aggregate_type <> 'stock'
                    OR seq > (SELECT floor_seq FROM sequencer)) e
            WHERE aggregate_version <> place + oldest - 1
                OR oldest <> 1 AND NOT (aggregate_type = 'stock'
                    AND (SELECT floor_seq FROM sequencer) > 0)",
    },
    Invariant {
        name: "I7",
        rule: "an order's version is its newest event's",
        query: "SELECT o.number || ': version ' || o.version || ' but event '
                || COALESCE(e.newest, 0)
            FROM (SELECT id, number, version FROM \"order\"
                UNION ALL SELECT id, number, version FROM archived_order) o LEFT JOIN (
                SELECT order_id, MAX(aggregate_version) AS newest FROM {events} e
                WHERE aggregate_type = 'order' GROUP BY order_id) e ON e.order_id = o.id
            WHERE o.version <> COALESCE(e.newest, 0)",
    },
    Invariant {
        name: "I8",
        rule: "a saved answer's order is there",
        query: "SELECT i.key FROM idempotency i WHERE {answered} IS NOT NULL
            AND NOT EXISTS (SELECT 1 FROM \"order\" o WHERE {order_id} = {answered})
            AND NOT EXISTS (SELECT 1 FROM archived_order o WHERE {order_id} = {answered})",
    },
    Invariant {
        name: "I9",
        rule: "nothing is stuck: a live order has something or somebody that moves it on",
        query: "SELECT o.number || ' ' || o.stage FROM \"order\" o
            WHERE o.status = 'RECEIVED'
            AND NOT EXISTS (SELECT 1 FROM hold h
                WHERE h.order_id = o.id AND h.released_at IS NULL)
            AND NOT EXISTS (SELECT 1 FROM order_exception x
                WHERE x.order_id = o.id AND x.status IN ('OPEN', 'ASSIGNED'))
            AND NOT EXISTS (SELECT 1 FROM backorder b
                WHERE b.order_id = o.id AND b.status = 'WAITING')
            AND NOT EXISTS (SELECT 1 FROM payment_transaction t
                WHERE t.order_id = o.id AND t.state IN ('READY', 'SENT', 'UNKNOWN'))
            AND NOT EXISTS (SELECT 1 FROM reservation r
                WHERE r.order_id = o.id AND r.status = 'ACTIVE')",
    },
    Invariant {
        name: "I9",
        rule: "money beyond what a live order comes to goes back, or a person knows that it does not",
        query: "SELECT o.number || ': authorised ' || p.authorized_minor || ' of ' || o.total_minor
            FROM \"order\" o JOIN payment p ON p.order_id = o.id
            WHERE o.status IN ('RECEIVED', 'CONFIRMED') AND p.authorized_minor > o.total_minor
            AND NOT EXISTS (SELECT 1 FROM payment_transaction t
                WHERE t.order_id = o.id AND t.state IN ('READY', 'SENT', 'UNKNOWN'))
            AND NOT EXISTS (SELECT 1 FROM order_exception x
                WHERE x.order_id = o.id AND x.status IN ('OPEN', 'ASSIGNED')
                    AND x.code IN ('VOID_DECLINED', 'PAYMENT_EXPIRED'))",
    },
    Invariant {
        name: "I9",
        rule: "the money of an ended order goes back, or a person knows that it does not",
        query: "SELECT o.number || ': ' || (p.authorized_minor - p.captured_minor)
            FROM \"order\" o JOIN payment p ON p.order_id = o.id
            WHERE o.status IN ('CANCELLED', 'REJECTED', 'EXPIRED')
            AND p.authorized_minor > p.captured_minor + p.capture_pending_minor
            AND NOT EXISTS (SELECT 1 FROM payment_transaction t WHERE t.payment_id = p.id
                AND t.kind = 'VOID' AND t.state IN ('READY', 'SENT', 'UNKNOWN'))
            AND NOT EXISTS (SELECT 1 FROM order_exception x
                WHERE x.order_id = o.id AND x.status IN ('OPEN', 'ASSIGNED'))",
    },
    Invariant {
        name: "I9",
        rule: "a shipment that its carrier has is captured, or something or somebody sees to it",
        query: "SELECT s.number || ': ' || COALESCE(c.amount_minor - c.captured_minor, 0)
            FROM shipment s LEFT JOIN charge c ON c.shipment_id = s.id
            WHERE s.status = 'DISPATCHED' AND s.tracking_status IN ('CARRIER_PICKED_UP',
                'IN_TRANSIT', 'OUT_FOR_DELIVERY', 'ATTEMPTED_DELIVERY', 'DELIVERED')
            AND (c.shipment_id IS NULL OR c.captured_minor < c.amount_minor)
            AND c.next_try_at IS NULL
            AND NOT EXISTS (SELECT 1 FROM payment_transaction t WHERE t.shipment_id = s.id
                AND t.kind = 'CAPTURE' AND t.state IN ('READY', 'SENT', 'UNKNOWN'))
            AND NOT EXISTS (SELECT 1 FROM order_exception x WHERE x.order_id = s.order_id
                AND x.code = 'CAPTURE_FAILED' AND x.status IN ('OPEN', 'ASSIGNED'))",
    },
    // Between a change and the next round of the allocation worker this may be seen for a moment.
    Invariant {
        name: "I9",
        rule: "nobody waits for units that are free in a warehouse that serves the order's channel",
        query: "SELECT o.number || ': ' || b.quantity || ' of ' || l.sku || ' wanted, '
                || (s.on_hand - s.reserved - s.safety
                    - (s.on_hand * COALESCE(f.withheld_percent, 0) + 99) / 100) || ' free'
            FROM backorder b
            JOIN \"order\" o ON o.id = b.order_id
            JOIN order_line l ON l.id = b.line_id
            JOIN channel_warehouse w ON w.channel_id = o.channel_id
            JOIN warehouse h ON h.id = w.warehouse_id AND h.active
            JOIN stock s ON s.variant_id = b.variant_id AND s.warehouse_id = w.warehouse_id
            LEFT JOIN stock_source_warehouse v ON v.warehouse_id = s.warehouse_id
            LEFT JOIN stock_source f ON f.id = v.source_id
            WHERE b.status = 'WAITING' AND s.on_hand - s.reserved - s.safety
                - (s.on_hand * COALESCE(f.withheld_percent, 0) + 99) / 100 > 0",
    },
    Invariant {
        name: "I10",
        rule: "an order's stage is what follows from its state",
        query: "SELECT number || ': ' || stage || ' but ' || afresh FROM (
            SELECT o.number, o.stage, CASE
                WHEN o.status IN ('CANCELLED', 'REJECTED', 'EXPIRED') THEN 'CANCELLED'
                WHEN o.status = 'COMPLETED' THEN 'COMPLETED'
                WHEN EXISTS (SELECT 1 FROM hold h
                        WHERE h.order_id = o.id AND h.released_at IS NULL)
                    OR EXISTS (SELECT 1 FROM order_exception x WHERE x.order_id = o.id
                        AND x.blocking AND x.status IN ('OPEN', 'ASSIGNED')) THEN 'ON_HOLD'
                WHEN EXISTS (SELECT 1 FROM order_line l
                        WHERE l.order_id = o.id AND l.backordered > 0) THEN 'BACKORDERED'
                WHEN o.status = 'CONFIRMED' THEN CASE WHEN o.unrouted THEN 'STAGED' ELSE COALESCE((
                    SELECT CASE MIN(CASE
                        WHEN f.status IN ('OPEN', 'ON_HOLD') THEN 1
                        WHEN f.status = 'IN_PROGRESS' AND s.status = 'PENDING' THEN 2
                        WHEN f.status = 'IN_PROGRESS' AND s.status IN ('PICKED', 'PACKED') THEN 3
                        WHEN f.status = 'IN_PROGRESS' THEN 4
                        WHEN s.tracking_status <> 'DELIVERED' THEN 5 ELSE 6 END)
                        WHEN 1 THEN 'STAGED' WHEN 2 THEN 'PICKING' WHEN 3 THEN 'PACKING'
                        WHEN 4 THEN 'READY' WHEN 5 THEN 'SHIPPED' WHEN 6 THEN 'DELIVERED' END
                    FROM fulfillment_order f LEFT JOIN shipment s
                        ON s.fulfillment_order_id = f.id AND s.status <> 'CANCELLED'
                    WHERE f.order_id = o.id AND f.status <> 'CANCELLED'), 'STAGED') END
                ELSE 'VALIDATING' END AS afresh
            FROM \"order\" o) derived WHERE stage <> afresh",
    },
    Invariant {
        name: "I10",
        rule: "the tally of stages, and what the log has behind it, is a count of the orders",
        query: "SELECT stage || ' of ' || (SELECT code FROM channel c WHERE c.id = channel_id) || ': tallied '
                || tallied || ' but counted ' || counted
            FROM (SELECT channel_id, stage, SUM(tallied) AS tallied, SUM(counted) AS counted
                FROM (SELECT channel_id, stage, 0 AS tallied, 1 AS counted FROM \"order\"
                    UNION ALL SELECT channel_id, stage, 0, 1 FROM archived_order
                    UNION ALL SELECT channel_id, stage, orders, 0 FROM stage_tally
                    UNION ALL SELECT channel_id, stage_to, 1, 0 FROM {moves} t
                        WHERE stage_to IS NOT NULL
                    UNION ALL SELECT channel_id, stage_from, -1, 0 FROM {moves} f
                        WHERE stage_from IS NOT NULL) each_one
                GROUP BY channel_id, stage) both_ways
            WHERE tallied <> counted",
    },
    Invariant {
        name: "I11",
        rule: "an order is at one place: put away or not, and what was put away has left no row behind",
        query: "SELECT a.number FROM archived_order a WHERE
            EXISTS (SELECT 1 FROM \"order\" x WHERE x.id = a.id)
            OR EXISTS (SELECT 1 FROM \"order\" x WHERE x.number = a.number)
            OR EXISTS (SELECT 1 FROM \"order\" x WHERE x.channel_id = a.channel_id
                AND x.external_reference = a.external_reference)
            OR EXISTS (SELECT 1 FROM order_line x WHERE x.order_id = a.id)
            OR EXISTS (SELECT 1 FROM order_tag x WHERE x.order_id = a.id)
            OR EXISTS (SELECT 1 FROM note x WHERE x.order_id = a.id)
            OR EXISTS (SELECT 1 FROM hold x WHERE x.order_id = a.id)
            OR EXISTS (SELECT 1 FROM order_exception x WHERE x.order_id = a.id)
            OR EXISTS (SELECT 1 FROM reservation x WHERE x.order_id = a.id)
            OR EXISTS (SELECT 1 FROM backorder x WHERE x.order_id = a.id)
            OR EXISTS (SELECT 1 FROM fulfillment_order x WHERE x.order_id = a.id)
            OR EXISTS (SELECT 1 FROM shipment x WHERE x.order_id = a.id)
            OR EXISTS (SELECT 1 FROM label x WHERE x.order_id = a.id)
            OR EXISTS (SELECT 1 FROM scan x WHERE x.order_id = a.id)
            OR EXISTS (SELECT 1 FROM payment x WHERE x.order_id = a.id)
            OR EXISTS (SELECT 1 FROM payment_transaction x WHERE x.order_id = a.id)
            OR EXISTS (SELECT 1 FROM charge x WHERE x.order_id = a.id)",
    },
    Invariant {
        name: "I11",
        rule: "what is kept by an order's identifier has its order, put away or not",
        query: "SELECT k.what || ' ' || k.name FROM (
                SELECT 'invoice' AS what, name, order_id FROM invoice
                UNION ALL SELECT 'message', key, order_id FROM message
                UNION ALL SELECT 'document', file_name, order_id FROM document
                    WHERE order_id IS NOT NULL
                UNION ALL SELECT 'posting', document, order_id FROM ledger_entry
                    WHERE order_id IS NOT NULL
                UNION ALL SELECT 'promotion', '', order_id FROM promotion_use) k
            WHERE NOT EXISTS (SELECT 1 FROM \"order\" o WHERE o.id = k.order_id)
            AND NOT EXISTS (SELECT 1 FROM archived_order a WHERE a.id = k.order_id)",
    },
    Invariant {
        name: "I11",
        rule: "the invoices of an order that was put away come to what it says",
        query: "SELECT a.number || ': ' || a.invoiced_minor || ' but ' || COALESCE(i.total, 0)
            FROM archived_order a LEFT JOIN (
                SELECT order_id, SUM(total_minor) AS total FROM invoice
                WHERE kind = 'INVOICE' GROUP BY order_id) i ON i.order_id = a.id
            WHERE a.invoiced_minor <> COALESCE(i.total, 0)",
    },
    Invariant {
        name: "I11",
        rule: "the ledger has the money that was taken for an order that was put away, and given back",
        query: "SELECT a.number || ': captured ' || a.captured_minor || ' but posted '
                || COALESCE(l.captured, 0) || ', refunded ' || a.refunded_minor || ' but posted '
                || COALESCE(l.refunded, 0)
            FROM archived_order a LEFT JOIN (
                SELECT order_id,
                    SUM(CASE WHEN document = 'CAPTURE' THEN amount_minor ELSE 0 END) AS captured,
                    SUM(CASE WHEN document = 'REFUND' THEN amount_minor ELSE 0 END) AS refunded
                FROM ledger_entry GROUP BY order_id) l ON l.order_id = a.id
            WHERE a.gateway <> 'account' AND (a.captured_minor <> COALESCE(l.captured, 0)
                OR a.refunded_minor <> COALESCE(l.refunded, 0))",
    },
    Invariant {
        name: "I11",
        rule: "the units that left for an order that was put away are in the ledger of stock",
        query: "SELECT a.number || ': shipped ' || a.units_shipped || ' but moved '
                || COALESCE(m.units, 0)
            FROM archived_order a LEFT JOIN (
                SELECT order_id, -SUM(delta_on_hand) AS units FROM stock_movement
                WHERE kind = 'SHIP' GROUP BY order_id) m ON m.order_id = a.id
            WHERE a.units_shipped <> COALESCE(m.units, 0)",
    },
    Invariant {
        name: "I10",
        rule: "the figures of reports count every move of an order once, as far as they have come",
        query: "SELECT stage || ': ' || SUM(figures) || ' in the figures but ' || SUM(moves) || ' in the log'
            FROM (SELECT detail AS stage, events AS figures, 0 AS moves FROM report_figure
                    WHERE measure = 'STAGE_ENTERED'
                UNION ALL SELECT stage_to, 0, 1 FROM event_log WHERE stage_to IS NOT NULL
                    AND seq <= (SELECT seq FROM projection WHERE name = 'report_figure')) each_one
            GROUP BY stage HAVING SUM(figures) <> SUM(moves)",
    },
    Invariant {
        name: "I12",
        rule: "a line's returned units are those that came back of it, and no more than have left",
        query: "SELECT l.sku || ': returned ' || l.returned || ' of ' || l.shipped || ' but '
                || COALESCE(u.units, 0)
            FROM order_line l LEFT JOIN (
                SELECT r.line_id, SUM(u.quantity) AS units
                FROM return_unit u JOIN return_line r ON r.id = u.return_line_id
                WHERE u.disposition <> 'MISSING' GROUP BY r.line_id) u ON u.line_id = l.id
            WHERE l.returned <> COALESCE(u.units, 0) OR l.returned > l.shipped",
    },
    Invariant {
        name: "I12",
        rule: "what became of units that came back is in the stock ledger",
        query: "SELECT u.sku || ': ' || u.quantity || ' ' || u.disposition || ' but moved '
                || COALESCE(m.delta_on_hand, 0)
            FROM return_unit u LEFT JOIN stock_movement m ON m.id = u.movement_id
            WHERE u.disposition <> 'MISSING' AND u.variant_id IS NOT NULL
            AND (m.id IS NULL OR m.variant_id <> u.variant_id
                OR u.disposition = 'RESTOCKED'
                    AND (m.kind <> 'RETURN' OR m.delta_on_hand <> u.quantity)
                OR u.disposition = 'WRITTEN_OFF'
                    AND (m.kind <> 'WRITE_OFF' OR m.delta_on_hand <> -u.quantity))",
    },
    Invariant {
        name: "I12",
        rule: "units are paid for when they have come back, or somebody said why before",
        query: "SELECT o.number || ': ' || l.refunded || ' paid for but ' || COALESCE(u.units, 0)
            FROM return_line l JOIN return_order o ON o.id = l.return_id
            LEFT JOIN (SELECT return_line_id, SUM(quantity) AS units FROM return_unit
                WHERE disposition <> 'MISSING' GROUP BY return_line_id) u
            ON u.return_line_id = l.id
            WHERE l.refunded > COALESCE(u.units, 0)
            AND NOT EXISTS (SELECT 1 FROM refund r
                WHERE r.return_id = l.return_id AND r.override_reason IS NOT NULL)",
    },
    Invariant {
        name: "I12",
        rule: "what goes back was decided, and what was decided goes back, or a person knows that it does not",
        query: "SELECT o.number || ': decided ' || COALESCE(r.decided, 0) || ' but '
                || (p.refunded_minor + p.refund_pending_minor)
            FROM payment p JOIN \"order\" o ON o.id = p.order_id
            LEFT JOIN (SELECT order_id, SUM(amount_minor) AS decided FROM refund
                GROUP BY order_id) r ON r.order_id = o.id
            WHERE p.refunded_minor + p.refund_pending_minor > COALESCE(r.decided, 0)
            OR p.refunded_minor + p.refund_pending_minor < COALESCE(r.decided, 0)
                AND NOT EXISTS (SELECT 1 FROM order_exception x
                    WHERE x.order_id = o.id AND x.code = 'REFUND_FAILED')",
    },
    Invariant {
        name: "I12",
        rule: "a refund is what its lines come to",
        query: "SELECT o.number || ': ' || r.amount_minor || ' but ' || COALESCE(l.amount, 0)
            FROM refund r JOIN \"order\" o ON o.id = r.order_id
            LEFT JOIN (SELECT refund_id, SUM(amount_minor) AS amount, SUM(fee_minor) AS fee
                FROM refund_line GROUP BY refund_id) l ON l.refund_id = r.id
            WHERE r.amount_minor <> COALESCE(l.amount, 0) OR r.fee_minor <> COALESCE(l.fee, 0)",
    },
];

/// What the two databases say differently: which is where, how an identifier is compared with its
/// text, and whether events may still wait for their position.
const DIALECT: &[(&str, &str, &str)] = &[
    (
        "{answered}",
        "replace(json_extract(i.response, '$.order'), '-', '')",
        "replace(i.response->>'order', '-', '')",
    ),
    (
        "{order_id}",
        "lower(hex(o.id))",
        "replace(o.id::text, '-', '')",
    ),
    (
        "{events}",
        "event_log",
        "(SELECT order_id, aggregate_type, aggregate_version FROM event_log UNION ALL
            SELECT order_id, aggregate_type, aggregate_version FROM outbox)",
    ),
    (
        "{moves}",
        "(SELECT channel_id, stage_from, stage_to FROM event_log
            WHERE seq > (SELECT seq FROM projection WHERE name = 'stage_tally'))",
        "(SELECT channel_id, stage_from, stage_to FROM event_log
            WHERE seq > (SELECT seq FROM projection WHERE name = 'stage_tally')
            UNION ALL SELECT channel_id, stage_from, stage_to FROM outbox)",
    ),
];

/// What no database can say of a text: that it is the one that was hashed.
const HASHED: (&str, &str) = ("I11", "what was put away is as it was written");

/// How many archived orders are read at once.
const HASHED_AT_ONCE: u64 = 200;

/// The archived orders whose snapshot is not the one that was hashed.
async fn rewritten(db: &DatabaseConnection) -> Result<Vec<Difference>, DbErr> {
    let mut differences = Vec::new();
    let mut after = None;
    loop {
        let behind = after.map(|id: entity::OrderId| archived_order::Column::Id.gt(id));
        let page = archived_order::Entity::find()
            .filter(Condition::all().add_option(behind))
            .order_by_asc(archived_order::Column::Id)
            .limit(HASHED_AT_ONCE)
            .all(db)
            .await?;
        let Some(last) = page.last() else {
            return Ok(differences);
        };
        after = Some(last.id);
        for row in page {
            let hash: String = Sha256::digest(row.snapshot.as_bytes())
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect();
            if hash != row.sha256 && (differences.len() as u64) < MOST_OF_ONE {
                differences.push(Difference {
                    invariant: HASHED.0,
                    rule: HASHED.1,
                    subject: row.number,
                });
            }
        }
    }
}

/// What SQLite says about its own file; no query of ours can.
const SOUND: (&str, &str) = ("I1", "the database file is sound");

/// The name and the text of every invariant that a back end is checked for.
pub fn rules(backend: DbBackend) -> impl Iterator<Item = (&'static str, &'static str)> {
    let file = (backend == DbBackend::Sqlite).then_some(SOUND);
    INVARIANTS
        .iter()
        .map(|invariant| (invariant.name, invariant.rule))
        .chain([HASHED])
        .chain(file)
}

/// Checks every invariant.
pub async fn verify(db: &DatabaseConnection) -> Result<Vec<Difference>, DbErr> {
    let backend = db.get_database_backend();
    let mut differences = Vec::new();
    for invariant in INVARIANTS {
        let mut sql = format!("{} LIMIT {MOST_OF_ONE}", invariant.query);
        for (word, sqlite, postgres) in DIALECT {
            let own = if backend == DbBackend::Sqlite {
                sqlite
            } else {
                postgres
            };
            sql = sql.replace(word, own);
        }
        for row in db
            .query_all_raw(Statement::from_string(backend, sql))
            .await?
        {
            differences.push(Difference {
                invariant: invariant.name,
                rule: invariant.rule,
                subject: row.try_get_by_index(0)?,
            });
        }
    }
    differences.extend(rewritten(db).await?);
    if backend == DbBackend::Sqlite {
        let check = db
            .query_one_raw(Statement::from_string(backend, "PRAGMA integrity_check"))
            .await?;
        let said: String = check
            .map(|row| row.try_get_by_index(0))
            .transpose()?
            .unwrap_or_default();
        if said != "ok" {
            differences.push(Difference {
                invariant: SOUND.0,
                rule: SOUND.1,
                subject: said,
            });
        }
    }
    Ok(differences)
}

/// How many checks [`verify`] makes.
pub fn checks() -> usize {
    INVARIANTS.len() + 1
}
