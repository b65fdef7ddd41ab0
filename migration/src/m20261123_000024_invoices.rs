//! Who sells, invoices and credit notes, and the ledger of money. What was issued or posted is kept
//! from changes by triggers.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DbBackend;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const UP: &str = r#"
CREATE TABLE legal_entity (
    id UUID PRIMARY KEY,
    code TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    line1 TEXT NOT NULL,
    line2 TEXT,
    city TEXT NOT NULL,
    region TEXT,
    postal_code TEXT,
    country CHAR(2) NOT NULL,
    vat_id TEXT,
    tax_number TEXT,
    registration TEXT,
    email TEXT,
    phone TEXT,
    iban TEXT,
    bic TEXT,
    version BIGINT NOT NULL CHECK (version > 0),
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL,
    CONSTRAINT legal_entity_can_be_told
        CHECK (vat_id IS NOT NULL OR tax_number IS NOT NULL AND registration IS NOT NULL)
);

CREATE TABLE legal_entity_channel (
    channel_id UUID PRIMARY KEY REFERENCES channel(id),
    legal_entity_id UUID NOT NULL REFERENCES legal_entity(id)
);

CREATE TABLE invoice_series (
    legal_entity_id UUID NOT NULL REFERENCES legal_entity(id),
    kind TEXT NOT NULL CHECK (kind IN ('INVOICE', 'CREDIT_NOTE')),
    prefix TEXT NOT NULL UNIQUE,
    next_number BIGINT NOT NULL CHECK (next_number > 0),
    PRIMARY KEY (legal_entity_id, kind)
);

CREATE TABLE invoice (
    id UUID PRIMARY KEY,
    kind TEXT NOT NULL,
    legal_entity_id UUID NOT NULL,
    number BIGINT NOT NULL CHECK (number > 0),
    name TEXT NOT NULL UNIQUE,
    order_id UUID NOT NULL REFERENCES "order"(id),
    channel_id UUID NOT NULL REFERENCES channel(id),
    shipment_id UUID NOT NULL REFERENCES shipment(id),
    corrects_id UUID REFERENCES invoice(id),
    reason TEXT,
    payment TEXT NOT NULL CHECK (payment IN ('CARD', 'EXTERNAL', 'ACCOUNT')),
    due_on DATE,
    currency CHAR(3) NOT NULL,
    seller JSONB NOT NULL,
    buyer JSONB NOT NULL,
    delivered_to JSONB NOT NULL,
    language TEXT NOT NULL,
    net_minor BIGINT NOT NULL CHECK (net_minor >= 0),
    tax_minor BIGINT NOT NULL CHECK (tax_minor >= 0),
    rounding_minor BIGINT NOT NULL,
    total_minor BIGINT NOT NULL CHECK (total_minor > 0),
    issued_on DATE NOT NULL,
    supplied_on DATE,
    issued_at TIMESTAMPTZ NOT NULL,
    UNIQUE (legal_entity_id, kind, number),
    FOREIGN KEY (legal_entity_id, kind) REFERENCES invoice_series(legal_entity_id, kind),
    CONSTRAINT invoice_adds_up CHECK (net_minor + tax_minor + rounding_minor = total_minor),
    CONSTRAINT credit_note_says_what_and_why CHECK ((kind = 'CREDIT_NOTE') = (corrects_id IS NOT NULL)
        AND (kind = 'CREDIT_NOTE') = (reason IS NOT NULL))
);

CREATE UNIQUE INDEX invoice_of_a_shipment ON invoice(shipment_id) WHERE kind = 'INVOICE';

CREATE INDEX invoice_order ON invoice(order_id);

CREATE INDEX invoice_issued ON invoice(issued_at, id);

CREATE INDEX invoice_corrects ON invoice(corrects_id) WHERE corrects_id IS NOT NULL;

CREATE TABLE invoice_line (
    invoice_id UUID NOT NULL REFERENCES invoice(id),
    position INTEGER NOT NULL CHECK (position > 0),
    kind TEXT NOT NULL CHECK (kind IN ('ITEM', 'DELIVERY')),
    line_id UUID REFERENCES order_line(id),
    sku TEXT NOT NULL,
    title TEXT NOT NULL,
    quantity BIGINT NOT NULL CHECK (quantity >= 0),
    discount_minor BIGINT NOT NULL CHECK (discount_minor >= 0),
    net_minor BIGINT NOT NULL CHECK (net_minor >= 0),
    tax_category TEXT NOT NULL
        CHECK (tax_category IN ('STANDARD', 'ZERO', 'EXEMPT', 'INTRA_COMMUNITY', 'EXPORT')),
    tax_rate TEXT NOT NULL,
    tax_minor BIGINT NOT NULL CHECK (tax_minor >= 0),
    PRIMARY KEY (invoice_id, position),
    CONSTRAINT invoice_line_is_of_an_item_or_the_delivery
        CHECK ((kind = 'ITEM') = (line_id IS NOT NULL))
);

CREATE TABLE invoice_standing (
    invoice_id UUID PRIMARY KEY REFERENCES invoice(id),
    total_minor BIGINT NOT NULL,
    credited_minor BIGINT NOT NULL,
    printed BOOLEAN NOT NULL,
    CONSTRAINT invoice_is_credited_once
        CHECK (credited_minor >= 0 AND credited_minor <= total_minor)
);

CREATE INDEX invoice_to_print ON invoice_standing(invoice_id) WHERE NOT printed;

CREATE TABLE ledger_entry (
    id UUID PRIMARY KEY,
    document TEXT NOT NULL
        CHECK (document IN ('INVOICE', 'CREDIT_NOTE', 'CAPTURE', 'REFUND', 'SETTLEMENT')),
    document_id UUID NOT NULL,
    order_id UUID NOT NULL REFERENCES "order"(id),
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

CREATE INDEX ledger_entry_order ON ledger_entry(order_id);

CREATE INDEX ledger_entry_posted ON ledger_entry(posted_at, id);

DROP INDEX document_in_force;

ALTER TABLE document ADD COLUMN form TEXT NOT NULL DEFAULT 'PDF' CHECK (form IN ('PDF', 'ZPL', 'XML'));

UPDATE document SET form = format;

ALTER TABLE document DROP COLUMN format;

ALTER TABLE document RENAME COLUMN form TO format;

CREATE UNIQUE INDEX document_in_force ON document(subject, kind, format) WHERE voided_at IS NULL;
"#;

/// What stays as it was written.
const KEPT: [&str; 3] = ["invoice", "invoice_line", "ledger_entry"];

const DOWN: &str = r#"
DROP TABLE ledger_entry;
DROP TABLE invoice_standing;
DROP TABLE invoice_line;
DROP TABLE invoice;
DROP TABLE invoice_series;
DROP TABLE legal_entity_channel;
DROP TABLE legal_entity;
DROP INDEX document_in_force;
ALTER TABLE document ADD COLUMN form TEXT NOT NULL DEFAULT 'PDF' CHECK (form IN ('PDF', 'ZPL'));
DELETE FROM document_content WHERE document_id IN (SELECT id FROM document WHERE format = 'XML');
DELETE FROM document WHERE format = 'XML';
UPDATE document SET form = format;
ALTER TABLE document DROP COLUMN format;
ALTER TABLE document RENAME COLUMN form TO format;
CREATE UNIQUE INDEX document_in_force ON document(subject, kind, format) WHERE voided_at IS NULL;
"#;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        crate::sql(manager, UP).await?;
        let sqlite = manager.get_database_backend() == DbBackend::Sqlite;
        if !sqlite {
            let refuse = "CREATE FUNCTION refuse_change() RETURNS TRIGGER AS $$ BEGIN
                RAISE EXCEPTION 'what was issued or posted stays as it is'; END $$ LANGUAGE plpgsql";
            let connection = manager.get_connection();
            connection.execute_unprepared(refuse).await?;
        }
        for table in KEPT {
            for change in ["UPDATE", "DELETE"] {
                let name = format!("{table}_is_kept_from_{}", change.to_lowercase());
                let does = match sqlite {
                    true => {
                        "BEGIN SELECT RAISE(ABORT, 'what was issued or posted stays as it is'); END"
                    }
                    false => "FOR EACH ROW EXECUTE FUNCTION refuse_change()",
                };
                let trigger = format!("CREATE TRIGGER {name} BEFORE {change} ON {table} {does}");
                let connection = manager.get_connection();
                connection.execute_unprepared(&trigger).await?;
            }
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        crate::sql(manager, DOWN).await?;
        if manager.get_database_backend() == DbBackend::Postgres {
            let connection = manager.get_connection();
            connection
                .execute_unprepared("DROP FUNCTION refuse_change()")
                .await?;
        }
        Ok(())
    }
}
