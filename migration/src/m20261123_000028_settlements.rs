//! What gateways say that they have paid out, line by line, where it differs from what we know, and
//! what customers take back through their banks. The ledger takes postings that are of no order.
//! Orders and their payments are named and not referred to: they are put away, and this stays.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::{ConnectionTrait, DbBackend};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const UP: &str = r#"
CREATE TABLE ledger_entry_of_all (
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

INSERT INTO ledger_entry_of_all (id, document, document_id, order_id, channel_id, debit, credit,
    currency, amount_minor, posted_at) SELECT id, document, document_id, order_id, channel_id, debit,
    credit, currency, amount_minor, posted_at FROM ledger_entry;

DROP TABLE ledger_entry;

ALTER TABLE ledger_entry_of_all RENAME TO ledger_entry;

CREATE INDEX ledger_entry_order ON ledger_entry(order_id);

CREATE INDEX ledger_entry_posted ON ledger_entry(posted_at, id);

CREATE TABLE dispute (
    id UUID PRIMARY KEY,
    order_id UUID NOT NULL,
    transaction_id UUID NOT NULL,
    gateway TEXT NOT NULL,
    reference TEXT NOT NULL,
    amount_minor BIGINT NOT NULL CHECK (amount_minor > 0),
    currency CHAR(3) NOT NULL,
    reason TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('OPEN', 'WON', 'LOST')),
    opened_at TIMESTAMPTZ NOT NULL,
    closed_at TIMESTAMPTZ,
    UNIQUE (gateway, reference),
    CONSTRAINT dispute_ends_when_it_is_decided CHECK ((state = 'OPEN') = (closed_at IS NULL))
);

CREATE INDEX dispute_order ON dispute(order_id);

CREATE INDEX dispute_transaction ON dispute(transaction_id);

CREATE INDEX payment_transaction_disputed ON payment_transaction(updated_at)
    WHERE kind = 'CAPTURE'
        AND instrument IN ('tok_chargeback', 'tok_chargeback_won', 'tok_chargeback_lost');

CREATE TABLE gateway_terms (
    gateway TEXT PRIMARY KEY,
    fee_rate TEXT,
    fee_fixed_minor BIGINT NOT NULL CHECK (fee_fixed_minor >= 0),
    fee_currency CHAR(3),
    missing_after_days INTEGER NOT NULL CHECK (missing_after_days >= 0),
    version BIGINT NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL
);

CREATE TABLE settlement_format (
    gateway TEXT NOT NULL,
    name TEXT NOT NULL,
    mapping JSONB NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (gateway, name)
);

CREATE TABLE settlement (
    id UUID PRIMARY KEY,
    gateway TEXT NOT NULL,
    format TEXT NOT NULL,
    source TEXT NOT NULL,
    content_hash TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('RUNNING', 'COMPLETED', 'FAILED')),
    processed BIGINT NOT NULL,
    accepted BIGINT NOT NULL,
    replayed BIGINT NOT NULL,
    refused BIGINT NOT NULL,
    started_by TEXT NOT NULL,
    started_at TIMESTAMPTZ NOT NULL,
    finished_at TIMESTAMPTZ,
    UNIQUE (gateway, content_hash)
);

CREATE INDEX settlement_started ON settlement(started_at, id);

CREATE TABLE settlement_line (
    id UUID PRIMARY KEY,
    settlement_id UUID NOT NULL REFERENCES settlement(id),
    gateway TEXT NOT NULL,
    reference TEXT NOT NULL,
    row_number BIGINT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('CHARGE', 'CHARGE_REVERSAL', 'REFUND', 'REFUND_REVERSAL',
        'CHARGEBACK', 'CHARGEBACK_REVERSAL', 'FEE', 'PAYOUT', 'OTHER')),
    names JSONB NOT NULL,
    transaction_id UUID,
    dispute_id UUID REFERENCES dispute(id),
    order_id UUID,
    channel_id UUID REFERENCES channel(id),
    gross_minor BIGINT NOT NULL,
    fee_minor BIGINT NOT NULL,
    net_minor BIGINT NOT NULL,
    currency CHAR(3) NOT NULL,
    payout TEXT,
    occurred_at TIMESTAMPTZ NOT NULL,
    UNIQUE (gateway, reference),
    CONSTRAINT settlement_line_adds_up CHECK (gross_minor - fee_minor = net_minor)
);

CREATE INDEX settlement_line_settlement ON settlement_line(settlement_id, row_number);

CREATE INDEX settlement_line_transaction ON settlement_line(transaction_id)
    WHERE transaction_id IS NOT NULL;

CREATE INDEX settlement_line_dispute ON settlement_line(dispute_id) WHERE dispute_id IS NOT NULL;

CREATE INDEX settlement_line_payout ON settlement_line(gateway, payout) WHERE payout IS NOT NULL;

CREATE INDEX settlement_line_occurred ON settlement_line(gateway, occurred_at);

CREATE TABLE settlement_error (
    settlement_id UUID NOT NULL REFERENCES settlement(id),
    row_number BIGINT NOT NULL,
    item INTEGER NOT NULL,
    reference TEXT,
    code TEXT NOT NULL,
    field TEXT,
    message TEXT NOT NULL,
    PRIMARY KEY (settlement_id, row_number, item)
);

CREATE TABLE settlement_difference (
    id UUID PRIMARY KEY,
    gateway TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('FEE', 'MISSING', 'UNKNOWN', 'OTHER_CURRENCY', 'CHARGEBACK',
        'WRONG_AMOUNT', 'DUPLICATE', 'REFUND', 'PAYOUT')),
    subject TEXT NOT NULL,
    settlement_id UUID REFERENCES settlement(id),
    line_id UUID REFERENCES settlement_line(id),
    transaction_id UUID,
    order_id UUID,
    channel_id UUID REFERENCES channel(id),
    expected_minor BIGINT NOT NULL,
    expected_currency CHAR(3) NOT NULL,
    found_minor BIGINT NOT NULL,
    currency CHAR(3) NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('OPEN', 'RESOLVED')),
    note TEXT,
    written_off_to TEXT,
    resolved_by TEXT,
    resolved_at TIMESTAMPTZ,
    opened_at TIMESTAMPTZ NOT NULL,
    CONSTRAINT settlement_difference_is_resolved_by_somebody
        CHECK ((state = 'RESOLVED') = (resolved_at IS NOT NULL))
);

CREATE UNIQUE INDEX settlement_difference_stands_once
    ON settlement_difference(gateway, subject, kind, currency) WHERE state = 'OPEN';

CREATE INDEX settlement_difference_subject ON settlement_difference(gateway, subject);

CREATE INDEX settlement_difference_opened ON settlement_difference(opened_at, id);

CREATE INDEX settlement_difference_order ON settlement_difference(order_id)
    WHERE order_id IS NOT NULL;
"#;

const DOWN: &str = r#"
DROP TABLE settlement_difference;

DROP TABLE settlement_error;

DROP TABLE settlement_line;

DROP TABLE settlement;

DROP TABLE settlement_format;

DROP TABLE gateway_terms;

DROP TABLE dispute;

DROP INDEX payment_transaction_disputed;

CREATE TABLE ledger_entry_of_orders (
    id UUID PRIMARY KEY,
    document TEXT NOT NULL
        CHECK (document IN ('INVOICE', 'CREDIT_NOTE', 'CAPTURE', 'REFUND', 'SETTLEMENT')),
    document_id UUID NOT NULL,
    order_id UUID NOT NULL,
    channel_id UUID NOT NULL REFERENCES channel(id),
    debit TEXT NOT NULL,
    credit TEXT NOT NULL,
    currency CHAR(3) NOT NULL,
    amount_minor BIGINT NOT NULL CHECK (amount_minor > 0),
    posted_at TIMESTAMPTZ NOT NULL,
    UNIQUE (document_id, document, debit, credit),
    CONSTRAINT ledger_entry_moves_between_accounts CHECK (debit <> credit
        AND debit IN ('RECEIVABLE', 'CASH_IN_TRANSIT', 'BANK', 'REVENUE', 'DELIVERY_REVENUE', 'TAX', 'ROUNDING', 'FEES')
        AND credit IN ('RECEIVABLE', 'CASH_IN_TRANSIT', 'BANK', 'REVENUE', 'DELIVERY_REVENUE', 'TAX', 'ROUNDING', 'FEES'))
);

INSERT INTO ledger_entry_of_orders (id, document, document_id, order_id, channel_id, debit, credit,
    currency, amount_minor, posted_at) SELECT id, document, document_id, order_id, channel_id, debit,
    credit, currency, amount_minor, posted_at FROM ledger_entry
    WHERE document IN ('INVOICE', 'CREDIT_NOTE', 'CAPTURE', 'REFUND');

DROP TABLE ledger_entry;

ALTER TABLE ledger_entry_of_orders RENAME TO ledger_entry;

CREATE INDEX ledger_entry_order ON ledger_entry(order_id);

CREATE INDEX ledger_entry_posted ON ledger_entry(posted_at, id);
"#;

/// The ledger stays as it was written; what held its old table to that went with it.
async fn keep_ledger(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let does = match manager.get_database_backend() == DbBackend::Sqlite {
        true => "BEGIN SELECT RAISE(ABORT, 'what was issued or posted stays as it is'); END",
        false => "FOR EACH ROW EXECUTE FUNCTION refuse_change()",
    };
    for change in ["UPDATE", "DELETE"] {
        let name = format!("ledger_entry_is_kept_from_{}", change.to_lowercase());
        let trigger = format!("CREATE TRIGGER {name} BEFORE {change} ON ledger_entry {does}");
        let connection = manager.get_connection();
        connection.execute_unprepared(&trigger).await?;
    }
    Ok(())
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        crate::sql(manager, UP).await?;
        keep_ledger(manager).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        crate::sql(manager, DOWN).await?;
        keep_ledger(manager).await
    }
}
