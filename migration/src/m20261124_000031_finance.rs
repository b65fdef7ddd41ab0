//! What customers pay on account, invoice by invoice, and what invoices still wait for it: the ledger
//! takes such payments. What units cost, and the index by which a past day's stock is told.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::{ConnectionTrait, DbBackend};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const UP: &str = r#"
CREATE TABLE customer_payment (
    id UUID PRIMARY KEY,
    customer_id UUID NOT NULL REFERENCES customer(id),
    currency CHAR(3) NOT NULL,
    amount_minor BIGINT NOT NULL CHECK (amount_minor > 0),
    reference TEXT NOT NULL,
    received_at TIMESTAMPTZ NOT NULL,
    recorded_at TIMESTAMPTZ NOT NULL,
    recorded_by TEXT NOT NULL,
    UNIQUE (customer_id, reference)
);

CREATE TABLE payment_allocation (
    id UUID PRIMARY KEY,
    payment_id UUID NOT NULL REFERENCES customer_payment(id),
    invoice_id UUID NOT NULL REFERENCES invoice(id),
    amount_minor BIGINT NOT NULL CHECK (amount_minor > 0),
    recorded_at TIMESTAMPTZ NOT NULL,
    UNIQUE (payment_id, invoice_id)
);

CREATE INDEX payment_allocation_invoice ON payment_allocation(invoice_id);

ALTER TABLE invoice_standing ADD COLUMN customer_id UUID REFERENCES customer(id);

ALTER TABLE invoice_standing ADD COLUMN paid_minor BIGINT NOT NULL DEFAULT 0
    CONSTRAINT invoice_is_paid_once CHECK (paid_minor >= 0 AND paid_minor <= total_minor);

ALTER TABLE invoice_standing ADD COLUMN settled_at TIMESTAMPTZ;

UPDATE invoice_standing SET customer_id = (SELECT COALESCE(o.customer_id, a.customer_id)
    FROM invoice i LEFT JOIN "order" o ON o.id = i.order_id
    LEFT JOIN archived_order a ON a.id = i.order_id
    WHERE i.id = invoice_standing.invoice_id AND i.kind = 'INVOICE' AND i.payment = 'ACCOUNT');

UPDATE invoice_standing SET settled_at = (SELECT MAX(i.issued_at) FROM invoice i
    WHERE i.corrects_id = invoice_standing.invoice_id)
    WHERE customer_id IS NOT NULL AND credited_minor = total_minor;

UPDATE customer SET credit_used_minor = credit_used_minor - COALESCE((SELECT SUM(s.credited_minor)
    FROM invoice_standing s WHERE s.customer_id = customer.id), 0);

CREATE INDEX invoice_standing_owed ON invoice_standing(customer_id)
    WHERE customer_id IS NOT NULL AND settled_at IS NULL;

CREATE INDEX invoice_standing_settled ON invoice_standing(settled_at) WHERE customer_id IS NOT NULL;

CREATE TABLE variant_cost (
    variant_id UUID PRIMARY KEY REFERENCES variant(id),
    currency CHAR(3),
    amount_minor BIGINT CHECK (amount_minor >= 0),
    version BIGINT NOT NULL CHECK (version > 0),
    updated_at TIMESTAMPTZ NOT NULL,
    CONSTRAINT variant_cost_has_a_currency CHECK ((currency IS NULL) = (amount_minor IS NULL))
);

CREATE INDEX stock_movement_moved ON stock_movement(occurred_at) WHERE delta_on_hand <> 0;

CREATE TABLE ledger_entry_with_payments (
    id UUID PRIMARY KEY,
    document TEXT NOT NULL CHECK (document IN ('INVOICE', 'CREDIT_NOTE', 'CAPTURE', 'REFUND',
        'SETTLEMENT', 'CHARGEBACK', 'WRITE_OFF', 'PAYMENT')),
    document_id UUID NOT NULL,
    order_id UUID,
    channel_id UUID REFERENCES channel(id),
    debit TEXT NOT NULL,
    credit TEXT NOT NULL,
    currency CHAR(3) NOT NULL,
    amount_minor BIGINT NOT NULL CHECK (amount_minor > 0),
    posted_at TIMESTAMPTZ NOT NULL,
    UNIQUE (document_id, document, debit, credit, currency),
    CONSTRAINT ledger_entry_is_of_an_order_and_its_channel
        CHECK ((order_id IS NULL) = (channel_id IS NULL)),
    CONSTRAINT ledger_entry_moves_between_accounts CHECK (debit <> credit
        AND debit IN ('RECEIVABLE', 'CASH_IN_TRANSIT', 'BANK', 'REVENUE', 'DELIVERY_REVENUE', 'TAX',
            'ROUNDING', 'FEES', 'CHARGEBACKS', 'WRITTEN_OFF')
        AND credit IN ('RECEIVABLE', 'CASH_IN_TRANSIT', 'BANK', 'REVENUE', 'DELIVERY_REVENUE', 'TAX',
            'ROUNDING', 'FEES', 'CHARGEBACKS', 'WRITTEN_OFF'))
);

INSERT INTO ledger_entry_with_payments (id, document, document_id, order_id, channel_id, debit, credit,
    currency, amount_minor, posted_at) SELECT id, document, document_id, order_id, channel_id, debit,
    credit, currency, amount_minor, posted_at FROM ledger_entry;

DROP TABLE ledger_entry;

ALTER TABLE ledger_entry_with_payments RENAME TO ledger_entry;

CREATE INDEX ledger_entry_order ON ledger_entry(order_id);

CREATE INDEX ledger_entry_posted ON ledger_entry(posted_at, id);
"#;

const DOWN: &str = r#"
CREATE TABLE ledger_entry_without_payments (
    id UUID PRIMARY KEY,
    document TEXT NOT NULL CHECK (document IN ('INVOICE', 'CREDIT_NOTE', 'CAPTURE', 'REFUND',
        'SETTLEMENT', 'CHARGEBACK', 'WRITE_OFF')),
    document_id UUID NOT NULL,
    order_id UUID,
    channel_id UUID REFERENCES channel(id),
    debit TEXT NOT NULL,
    credit TEXT NOT NULL,
    currency CHAR(3) NOT NULL,
    amount_minor BIGINT NOT NULL CHECK (amount_minor > 0),
    posted_at TIMESTAMPTZ NOT NULL,
    UNIQUE (document_id, document, debit, credit, currency),
    CONSTRAINT ledger_entry_is_of_an_order_and_its_channel
        CHECK ((order_id IS NULL) = (channel_id IS NULL)),
    CONSTRAINT ledger_entry_moves_between_accounts CHECK (debit <> credit
        AND debit IN ('RECEIVABLE', 'CASH_IN_TRANSIT', 'BANK', 'REVENUE', 'DELIVERY_REVENUE', 'TAX',
            'ROUNDING', 'FEES', 'CHARGEBACKS', 'WRITTEN_OFF')
        AND credit IN ('RECEIVABLE', 'CASH_IN_TRANSIT', 'BANK', 'REVENUE', 'DELIVERY_REVENUE', 'TAX',
            'ROUNDING', 'FEES', 'CHARGEBACKS', 'WRITTEN_OFF'))
);

INSERT INTO ledger_entry_without_payments (id, document, document_id, order_id, channel_id, debit, credit,
    currency, amount_minor, posted_at) SELECT id, document, document_id, order_id, channel_id, debit,
    credit, currency, amount_minor, posted_at FROM ledger_entry WHERE document <> 'PAYMENT';

DROP TABLE ledger_entry;

ALTER TABLE ledger_entry_without_payments RENAME TO ledger_entry;

CREATE INDEX ledger_entry_order ON ledger_entry(order_id);

CREATE INDEX ledger_entry_posted ON ledger_entry(posted_at, id);

DROP INDEX stock_movement_moved;

DROP TABLE variant_cost;

DROP INDEX invoice_standing_settled;

DROP INDEX invoice_standing_owed;

ALTER TABLE invoice_standing DROP COLUMN settled_at;

ALTER TABLE invoice_standing DROP COLUMN paid_minor;

ALTER TABLE invoice_standing DROP COLUMN customer_id;

DROP TABLE payment_allocation;

DROP TABLE customer_payment;
"#;

/// What stays as it was written.
const KEPT: [&str; 3] = ["ledger_entry", "customer_payment", "payment_allocation"];

async fn keep(manager: &SchemaManager<'_>, tables: &[&str]) -> Result<(), DbErr> {
    let does = match manager.get_database_backend() == DbBackend::Sqlite {
        true => "BEGIN SELECT RAISE(ABORT, 'what was issued or posted stays as it is'); END",
        false => "FOR EACH ROW EXECUTE FUNCTION refuse_change()",
    };
    for table in tables {
        for change in ["UPDATE", "DELETE"] {
            let name = format!("{table}_is_kept_from_{}", change.to_lowercase());
            let trigger = format!("CREATE TRIGGER {name} BEFORE {change} ON {table} {does}");
            let connection = manager.get_connection();
            connection.execute_unprepared(&trigger).await?;
        }
    }
    Ok(())
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        crate::sql(manager, UP).await?;
        keep(manager, &KEPT).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        crate::sql(manager, DOWN).await?;
        keep(manager, &KEPT[..1]).await
    }
}
