//! Stock, its ledger, what is held of it, who waits for it and what is on its way.

crate::step!(
    r#"
CREATE TABLE stock (
    variant_id UUID NOT NULL REFERENCES variant(id),
    warehouse_id UUID NOT NULL REFERENCES warehouse(id),
    on_hand BIGINT NOT NULL,
    reserved BIGINT NOT NULL,
    safety BIGINT NOT NULL CHECK (safety >= 0),
    incoming BIGINT NOT NULL CHECK (incoming >= 0),
    version BIGINT NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (variant_id, warehouse_id),
    CONSTRAINT stock_on_hand_is_not_negative CHECK (on_hand >= 0),
    CONSTRAINT stock_reserved_is_not_negative CHECK (reserved >= 0),
    CONSTRAINT stock_reserved_is_on_hand CHECK (reserved <= on_hand)
);

CREATE TABLE bin_stock (
    bin_id UUID NOT NULL REFERENCES bin(id),
    variant_id UUID NOT NULL REFERENCES variant(id),
    warehouse_id UUID NOT NULL REFERENCES warehouse(id),
    quantity BIGINT NOT NULL CHECK (quantity >= 0),
    PRIMARY KEY (bin_id, variant_id)
);

CREATE INDEX bin_stock_variant ON bin_stock(variant_id, warehouse_id);

CREATE TABLE stock_movement (
    id UUID PRIMARY KEY,
    variant_id UUID NOT NULL REFERENCES variant(id),
    warehouse_id UUID NOT NULL REFERENCES warehouse(id),
    bin_id UUID REFERENCES bin(id),
    kind TEXT NOT NULL,
    delta_on_hand BIGINT NOT NULL,
    delta_reserved BIGINT NOT NULL,
    reason TEXT,
    document TEXT,
    order_id UUID,
    actor TEXT NOT NULL,
    operation_key TEXT NOT NULL UNIQUE,
    occurred_at TIMESTAMPTZ NOT NULL
);

CREATE INDEX stock_movement_stock ON stock_movement(variant_id, warehouse_id);

CREATE TABLE reservation (
    id UUID PRIMARY KEY,
    order_id UUID NOT NULL REFERENCES "order"(id),
    line_id UUID NOT NULL REFERENCES order_line(id),
    variant_id UUID NOT NULL REFERENCES variant(id),
    warehouse_id UUID NOT NULL REFERENCES warehouse(id),
    quantity BIGINT NOT NULL CHECK (quantity > 0),
    status TEXT NOT NULL CHECK (status IN ('ACTIVE', 'ALLOCATED', 'SHIPPED', 'RELEASED', 'EXPIRED')),
    expires_at TIMESTAMPTZ,
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL,
    CONSTRAINT reservation_soft_hold_expires CHECK (status <> 'ACTIVE' OR expires_at IS NOT NULL)
);

CREATE INDEX reservation_order ON reservation(order_id);

CREATE INDEX reservation_stock ON reservation(variant_id, warehouse_id) WHERE status IN ('ACTIVE', 'ALLOCATED');

CREATE INDEX reservation_expiry ON reservation(expires_at) WHERE status = 'ACTIVE';

CREATE TABLE backorder (
    id UUID PRIMARY KEY,
    order_id UUID NOT NULL REFERENCES "order"(id),
    line_id UUID NOT NULL REFERENCES order_line(id),
    variant_id UUID NOT NULL REFERENCES variant(id),
    position BIGINT NOT NULL,
    quantity BIGINT NOT NULL CHECK (quantity > 0),
    status TEXT NOT NULL CHECK (status IN ('WAITING', 'ALLOCATED', 'CANCELLED')),
    answer TEXT NOT NULL CHECK (answer IN ('NONE', 'WAIT', 'CANCEL')),
    expected_at TIMESTAMPTZ,
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL
);

CREATE UNIQUE INDEX backorder_queue ON backorder(variant_id, position) WHERE status = 'WAITING';

CREATE UNIQUE INDEX backorder_line ON backorder(line_id) WHERE status = 'WAITING';

CREATE INDEX backorder_order ON backorder(order_id);

CREATE TABLE inbound_supply (
    id UUID PRIMARY KEY,
    variant_id UUID NOT NULL REFERENCES variant(id),
    warehouse_id UUID NOT NULL REFERENCES warehouse(id),
    quantity BIGINT NOT NULL CHECK (quantity > 0),
    received BIGINT NOT NULL CHECK (received >= 0),
    expected_at TIMESTAMPTZ NOT NULL,
    supplier TEXT,
    reference TEXT,
    status TEXT NOT NULL CHECK (status IN ('EXPECTED', 'PARTLY_RECEIVED', 'RECEIVED', 'CANCELLED')),
    created_at TIMESTAMPTZ NOT NULL
);

CREATE INDEX inbound_supply_variant ON inbound_supply(variant_id, expected_at);
"#,
    [
        "inbound_supply",
        "backorder",
        "reservation",
        "stock_movement",
        "bin_stock",
        "stock",
    ]
);
