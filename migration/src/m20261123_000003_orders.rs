//! Orders with their lines, holds, exceptions and notes.

crate::step!(
    r#"
CREATE TABLE "order" (
    id UUID PRIMARY KEY,
    number TEXT NOT NULL UNIQUE,
    channel_id UUID NOT NULL REFERENCES channel(id),
    external_reference TEXT,
    fingerprint TEXT NOT NULL,
    source TEXT NOT NULL,
    customer_id UUID REFERENCES customer(id),
    customer_name TEXT NOT NULL,
    email TEXT,
    phone TEXT,
    customer_group TEXT,
    shipping_address_id UUID NOT NULL REFERENCES address(id),
    billing_address_id UUID REFERENCES address(id),
    status TEXT NOT NULL CHECK (status IN ('DRAFT', 'RECEIVED', 'CONFIRMED', 'COMPLETED', 'CANCELLED', 'REJECTED', 'EXPIRED')),
    payment_status TEXT NOT NULL,
    fulfillment_status TEXT NOT NULL,
    return_status TEXT NOT NULL,
    stage TEXT NOT NULL,
    payment_method TEXT NOT NULL CHECK (payment_method IN ('CARD', 'ACCOUNT', 'EXTERNAL')),
    service_level TEXT NOT NULL,
    currency CHAR(3) NOT NULL,
    tax_included BOOLEAN NOT NULL,
    tax_exempt BOOLEAN NOT NULL,
    subtotal_minor BIGINT NOT NULL CHECK (subtotal_minor >= 0),
    discount_minor BIGINT NOT NULL CHECK (discount_minor >= 0),
    shipping_minor BIGINT NOT NULL CHECK (shipping_minor >= 0),
    shipping_discount_minor BIGINT NOT NULL CHECK (shipping_discount_minor >= 0),
    shipping_tax_minor BIGINT NOT NULL CHECK (shipping_tax_minor >= 0),
    tax_minor BIGINT NOT NULL CHECK (tax_minor >= 0),
    exempted_minor BIGINT NOT NULL CHECK (exempted_minor >= 0),
    total_minor BIGINT NOT NULL CHECK (total_minor >= 0),
    submitted_total_minor BIGINT,
    promotion_codes JSONB NOT NULL,
    metadata JSONB NOT NULL,
    private_metadata JSONB NOT NULL,
    cancel_reason TEXT,
    placed_at TIMESTAMPTZ NOT NULL,
    received_at TIMESTAMPTZ NOT NULL,
    confirmed_at TIMESTAMPTZ,
    closed_at TIMESTAMPTZ,
    updated_at TIMESTAMPTZ NOT NULL,
    version BIGINT NOT NULL CHECK (version > 0),
    UNIQUE (channel_id, external_reference)
);

CREATE INDEX order_received ON "order"(received_at, id);

CREATE INDEX order_stage ON "order"(stage, received_at, id);

CREATE INDEX order_customer ON "order"(customer_id, received_at) WHERE customer_id IS NOT NULL;

CREATE TABLE order_line (
    id UUID PRIMARY KEY,
    order_id UUID NOT NULL REFERENCES "order"(id),
    position INTEGER NOT NULL,
    variant_id UUID REFERENCES variant(id),
    sku TEXT NOT NULL,
    title TEXT NOT NULL,
    submitted_title TEXT,
    quantity BIGINT NOT NULL CHECK (quantity > 0),
    reserved BIGINT NOT NULL CHECK (reserved >= 0),
    allocated BIGINT NOT NULL CHECK (allocated >= 0),
    backordered BIGINT NOT NULL CHECK (backordered >= 0),
    picked BIGINT NOT NULL CHECK (picked >= 0),
    packed BIGINT NOT NULL CHECK (packed >= 0),
    shipped BIGINT NOT NULL CHECK (shipped >= 0),
    cancelled BIGINT NOT NULL CHECK (cancelled >= 0),
    returned BIGINT NOT NULL CHECK (returned >= 0),
    unit_price_minor BIGINT NOT NULL CHECK (unit_price_minor >= 0),
    list_price_minor BIGINT,
    tax_category TEXT NOT NULL,
    tax_rate TEXT NOT NULL,
    subtotal_minor BIGINT NOT NULL,
    discount_minor BIGINT NOT NULL CHECK (discount_minor >= 0 AND discount_minor <= subtotal_minor),
    discounts JSONB NOT NULL,
    net_minor BIGINT NOT NULL,
    tax_minor BIGINT NOT NULL,
    gross_minor BIGINT NOT NULL,
    CONSTRAINT order_line_tax_adds_up CHECK (net_minor + tax_minor = gross_minor),
    CONSTRAINT order_line_quantities_fit CHECK (reserved + allocated + backordered + cancelled <= quantity),
    UNIQUE (order_id, position)
);

CREATE TABLE hold (
    id UUID PRIMARY KEY,
    order_id UUID NOT NULL REFERENCES "order"(id),
    reason TEXT NOT NULL,
    placed_by TEXT NOT NULL,
    placed_at TIMESTAMPTZ NOT NULL,
    released_by TEXT,
    released_at TIMESTAMPTZ
);

CREATE INDEX hold_order ON hold(order_id);

CREATE TABLE order_exception (
    id UUID PRIMARY KEY,
    order_id UUID NOT NULL REFERENCES "order"(id),
    line_id UUID REFERENCES order_line(id),
    code TEXT NOT NULL,
    severity TEXT NOT NULL CHECK (severity IN ('LOW', 'MEDIUM', 'HIGH', 'CRITICAL')),
    blocking BOOLEAN NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('OPEN', 'ASSIGNED', 'RESOLVED', 'DISMISSED')),
    queue TEXT NOT NULL,
    owner TEXT,
    summary TEXT NOT NULL,
    details JSONB NOT NULL,
    suggested_actions JSONB NOT NULL,
    opened_at TIMESTAMPTZ NOT NULL,
    due_at TIMESTAMPTZ NOT NULL,
    resolved_at TIMESTAMPTZ,
    resolved_by TEXT,
    resolution TEXT
);

CREATE INDEX order_exception_order ON order_exception(order_id);

CREATE INDEX order_exception_queue ON order_exception(status, opened_at, id);

CREATE TABLE note (
    id UUID PRIMARY KEY,
    order_id UUID NOT NULL REFERENCES "order"(id),
    body TEXT NOT NULL,
    author TEXT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL
);

CREATE INDEX note_order ON note(order_id);

CREATE TABLE promotion_use (
    promotion_id UUID NOT NULL REFERENCES promotion(id),
    order_id UUID NOT NULL REFERENCES "order"(id),
    amount_minor BIGINT NOT NULL,
    used_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (promotion_id, order_id)
);

CREATE INDEX promotion_use_order ON promotion_use(order_id);
"#,
    [
        "promotion_use",
        "note",
        "order_exception",
        "hold",
        "order_line",
        "order",
    ]
);
