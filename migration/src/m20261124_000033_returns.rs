//! What comes back: returns with what was asked for, what came and what became of it, and the money
//! that is given back.

crate::step!(
    r#"
CREATE TABLE return_order (
    id UUID PRIMARY KEY,
    number TEXT NOT NULL UNIQUE,
    order_id UUID NOT NULL REFERENCES "order"(id),
    channel_id UUID NOT NULL REFERENCES channel(id),
    status TEXT NOT NULL CHECK (status IN ('REQUESTED', 'APPROVED', 'DECLINED', 'IN_TRANSIT',
        'RECEIVED', 'INSPECTED', 'CLOSED', 'CANCELLED')),
    announced BOOLEAN NOT NULL,
    note TEXT,
    end_reason TEXT,
    carrier TEXT,
    tracking_number TEXT,
    warehouse_id UUID REFERENCES warehouse(id),
    requested_by TEXT NOT NULL,
    requested_at TIMESTAMPTZ NOT NULL,
    approved_at TIMESTAMPTZ,
    shipped_at TIMESTAMPTZ,
    received_at TIMESTAMPTZ,
    inspected_at TIMESTAMPTZ,
    closed_at TIMESTAMPTZ,
    version BIGINT NOT NULL CHECK (version > 0),
    updated_at TIMESTAMPTZ NOT NULL
);

CREATE INDEX return_order_order ON return_order(order_id);

CREATE INDEX return_order_queue ON return_order(status, requested_at, id);

CREATE INDEX return_order_parcel ON return_order(tracking_number)
    WHERE tracking_number IS NOT NULL;

CREATE TABLE return_line (
    id UUID PRIMARY KEY,
    return_id UUID NOT NULL REFERENCES return_order(id),
    order_id UUID NOT NULL REFERENCES "order"(id),
    line_id UUID NOT NULL REFERENCES order_line(id),
    position INTEGER NOT NULL CHECK (position >= 0),
    quantity BIGINT NOT NULL CHECK (quantity > 0),
    received BIGINT NOT NULL CHECK (received >= 0),
    reason TEXT NOT NULL CHECK (reason IN ('NO_LONGER_WANTED', 'WRONG_SIZE', 'DEFECTIVE',
        'DAMAGED', 'NOT_AS_DESCRIBED', 'WRONG_ITEM', 'TOO_LATE', 'OTHER')),
    note TEXT,
    refunded BIGINT NOT NULL CHECK (refunded >= 0),
    CONSTRAINT return_line_received_fits CHECK (received <= quantity),
    CONSTRAINT return_line_refunded_fits CHECK (refunded <= quantity)
);

CREATE UNIQUE INDEX return_line_once ON return_line(return_id, line_id);

CREATE INDEX return_line_order ON return_line(order_id);

CREATE TABLE refund (
    id UUID PRIMARY KEY,
    order_id UUID NOT NULL REFERENCES "order"(id),
    return_id UUID REFERENCES return_order(id),
    amount_minor BIGINT NOT NULL CHECK (amount_minor >= 0),
    fee_minor BIGINT NOT NULL CHECK (fee_minor >= 0),
    reason TEXT,
    override_reason TEXT,
    requested_by TEXT NOT NULL,
    requested_at TIMESTAMPTZ NOT NULL,
    CONSTRAINT refund_without_return_has_reason CHECK (return_id IS NOT NULL OR reason IS NOT NULL)
);

CREATE INDEX refund_order ON refund(order_id);

CREATE TABLE refund_line (
    refund_id UUID NOT NULL REFERENCES refund(id),
    position INTEGER NOT NULL CHECK (position >= 0),
    order_id UUID NOT NULL REFERENCES "order"(id),
    shipment_id UUID NOT NULL REFERENCES shipment(id),
    line_id UUID REFERENCES order_line(id),
    quantity BIGINT NOT NULL CHECK (quantity >= 0),
    amount_minor BIGINT NOT NULL CHECK (amount_minor >= 0),
    fee_minor BIGINT NOT NULL CHECK (fee_minor >= 0),
    PRIMARY KEY (refund_id, position)
);

CREATE INDEX refund_line_order ON refund_line(order_id);

CREATE TABLE return_unit (
    id UUID PRIMARY KEY,
    return_id UUID NOT NULL REFERENCES return_order(id),
    order_id UUID NOT NULL REFERENCES "order"(id),
    return_line_id UUID REFERENCES return_line(id),
    variant_id UUID REFERENCES variant(id),
    sku TEXT NOT NULL,
    quantity BIGINT NOT NULL CHECK (quantity > 0),
    condition TEXT NOT NULL CHECK (condition IN ('NEW', 'OPENED', 'USED', 'DAMAGED', 'DEFECTIVE',
        'NOT_SEEN')),
    disposition TEXT NOT NULL CHECK (disposition IN ('RESTOCKED', 'WRITTEN_OFF', 'MISSING')),
    movement_id UUID REFERENCES stock_movement(id),
    bin_id UUID REFERENCES bin(id),
    note TEXT,
    photo TEXT,
    inspected_by TEXT NOT NULL,
    inspected_at TIMESTAMPTZ NOT NULL,
    CONSTRAINT return_unit_is_booked CHECK (return_line_id IS NULL
        OR (disposition = 'MISSING') = (movement_id IS NULL))
);

CREATE INDEX return_unit_return ON return_unit(return_id);

CREATE INDEX return_unit_order ON return_unit(order_id);

ALTER TABLE channel ADD COLUMN return_window_days BIGINT NOT NULL DEFAULT 30
    CHECK (return_window_days >= 0);

ALTER TABLE channel ADD COLUMN restocking_fee TEXT NOT NULL DEFAULT '0';

ALTER TABLE channel ADD COLUMN refunds_delivery BOOLEAN NOT NULL DEFAULT TRUE;
"#,
    r#"
ALTER TABLE channel DROP COLUMN refunds_delivery;

ALTER TABLE channel DROP COLUMN restocking_fee;

ALTER TABLE channel DROP COLUMN return_window_days;

DROP TABLE return_unit;

DROP TABLE refund_line;

DROP TABLE refund;

DROP TABLE return_line;

DROP TABLE return_order;
"#
);
