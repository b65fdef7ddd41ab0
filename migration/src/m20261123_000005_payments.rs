//! Payments and the single effects at a gateway.

crate::step!(
    r#"
CREATE TABLE payment (
    id UUID PRIMARY KEY,
    order_id UUID NOT NULL UNIQUE REFERENCES "order"(id),
    gateway TEXT NOT NULL,
    currency CHAR(3) NOT NULL,
    authorized_minor BIGINT NOT NULL CHECK (authorized_minor >= 0),
    capture_pending_minor BIGINT NOT NULL CHECK (capture_pending_minor >= 0),
    captured_minor BIGINT NOT NULL CHECK (captured_minor >= 0),
    refund_pending_minor BIGINT NOT NULL CHECK (refund_pending_minor >= 0),
    refunded_minor BIGINT NOT NULL CHECK (refunded_minor >= 0),
    voided BOOLEAN NOT NULL,
    authorization_expires_at TIMESTAMPTZ,
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL,
    CONSTRAINT payment_captured_is_authorized CHECK (captured_minor + capture_pending_minor <= authorized_minor),
    CONSTRAINT payment_refunded_is_captured CHECK (refunded_minor + refund_pending_minor <= captured_minor)
);

CREATE TABLE payment_transaction (
    id UUID PRIMARY KEY,
    payment_id UUID NOT NULL REFERENCES payment(id),
    order_id UUID NOT NULL REFERENCES "order"(id),
    kind TEXT NOT NULL CHECK (kind IN ('AUTHORIZATION', 'CAPTURE', 'VOID', 'REFUND')),
    amount_minor BIGINT NOT NULL CHECK (amount_minor > 0),
    state TEXT NOT NULL CHECK (state IN ('READY', 'SENT', 'UNKNOWN', 'SUCCEEDED', 'DECLINED', 'NOT_EXECUTED')),
    instrument TEXT,
    attempts INTEGER NOT NULL,
    first_sent_at TIMESTAMPTZ,
    next_check_at TIMESTAMPTZ,
    gateway_reference TEXT,
    decline_code TEXT,
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL
);

CREATE INDEX payment_transaction_payment ON payment_transaction(payment_id);

CREATE INDEX payment_transaction_order ON payment_transaction(order_id);

CREATE UNIQUE INDEX payment_transaction_one_live_void ON payment_transaction(payment_id)
    WHERE kind = 'VOID' AND state IN ('READY', 'SENT', 'UNKNOWN', 'SUCCEEDED');

CREATE INDEX payment_transaction_due ON payment_transaction(next_check_at)
    WHERE state IN ('READY', 'SENT', 'UNKNOWN');
"#,
    ["payment_transaction", "payment"]
);
