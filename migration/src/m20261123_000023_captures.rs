//! What shipments owe, and what of it was captured from which authorisation.

crate::step!(
    r#"
ALTER TABLE payment_transaction ADD COLUMN shipment_id UUID REFERENCES shipment(id);

ALTER TABLE payment_transaction ADD COLUMN source_id UUID REFERENCES payment_transaction(id);

ALTER TABLE payment_transaction ADD COLUMN expires_at TIMESTAMPTZ;

CREATE UNIQUE INDEX payment_transaction_one_capture_under_way ON payment_transaction(shipment_id)
    WHERE kind = 'CAPTURE' AND state IN ('READY', 'SENT', 'UNKNOWN');

CREATE INDEX payment_transaction_shipment ON payment_transaction(shipment_id)
    WHERE shipment_id IS NOT NULL;

CREATE INDEX payment_transaction_reference ON payment_transaction(gateway_reference)
    WHERE gateway_reference IS NOT NULL;

CREATE TABLE charge (
    shipment_id UUID PRIMARY KEY REFERENCES shipment(id),
    order_id UUID NOT NULL REFERENCES "order"(id),
    payment_id UUID NOT NULL REFERENCES payment(id),
    position INTEGER NOT NULL,
    amount_minor BIGINT NOT NULL CHECK (amount_minor >= 0),
    captured_minor BIGINT NOT NULL CHECK (captured_minor >= 0),
    attempts INTEGER NOT NULL,
    next_try_at TIMESTAMPTZ,
    opened_at TIMESTAMPTZ NOT NULL,
    captured_at TIMESTAMPTZ,
    CONSTRAINT charge_captured_is_due CHECK (captured_minor <= amount_minor)
);

CREATE UNIQUE INDEX charge_place ON charge(order_id, position);

CREATE INDEX charge_due ON charge(next_try_at) WHERE next_try_at IS NOT NULL;

ALTER TABLE channel ADD COLUMN pickup_within_secs BIGINT NOT NULL DEFAULT 86400
    CHECK (pickup_within_secs >= 0);

ALTER TABLE channel ADD COLUMN capture_retry_secs BIGINT NOT NULL DEFAULT 14400
    CHECK (capture_retry_secs > 0);

ALTER TABLE channel ADD COLUMN reauthorizes BOOLEAN NOT NULL DEFAULT FALSE;

ALTER TABLE shipment ADD COLUMN missed_at TIMESTAMPTZ;

CREATE INDEX shipment_unscanned ON shipment(dispatched_at)
    WHERE status = 'DISPATCHED' AND missed_at IS NULL
        AND tracking_status IN ('UNKNOWN', 'PRE_TRANSIT');

CREATE INDEX payment_expiring ON payment(authorization_expires_at)
    WHERE authorization_expires_at IS NOT NULL;
"#,
    r#"
DROP INDEX payment_expiring;

DROP INDEX shipment_unscanned;

ALTER TABLE shipment DROP COLUMN missed_at;

ALTER TABLE channel DROP COLUMN reauthorizes;

ALTER TABLE channel DROP COLUMN capture_retry_secs;

ALTER TABLE channel DROP COLUMN pickup_within_secs;

DROP TABLE charge;

DROP INDEX payment_transaction_reference;

DROP INDEX payment_transaction_shipment;

DROP INDEX payment_transaction_one_capture_under_way;

ALTER TABLE payment_transaction DROP COLUMN expires_at;

ALTER TABLE payment_transaction DROP COLUMN source_id;

ALTER TABLE payment_transaction DROP COLUMN shipment_id;
"#
);
