//! A place in a queue says the channel that it is for: only where the same warehouse serves their
//! channels do places compete. SQLite adds no column that must not be null, so the table is made
//! again.

crate::step!(
    r#"
CREATE TABLE backorder_of_channel (
    id UUID PRIMARY KEY,
    order_id UUID NOT NULL REFERENCES "order"(id),
    line_id UUID NOT NULL REFERENCES order_line(id),
    channel_id UUID NOT NULL REFERENCES channel(id),
    variant_id UUID NOT NULL REFERENCES variant(id),
    position BIGINT NOT NULL,
    quantity BIGINT NOT NULL CHECK (quantity > 0),
    status TEXT NOT NULL CHECK (status IN ('WAITING', 'ALLOCATED', 'CANCELLED')),
    answer TEXT NOT NULL CHECK (answer IN ('NONE', 'WAIT', 'CANCEL')),
    expected_at TIMESTAMPTZ,
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL
);

INSERT INTO backorder_of_channel
    SELECT b.id, b.order_id, b.line_id, o.channel_id, b.variant_id, b.position, b.quantity,
        b.status, b.answer, b.expected_at, b.created_at, b.updated_at
    FROM backorder b JOIN "order" o ON o.id = b.order_id;

DROP TABLE backorder;

ALTER TABLE backorder_of_channel RENAME TO backorder;

CREATE UNIQUE INDEX backorder_queue ON backorder(variant_id, position) WHERE status = 'WAITING';

CREATE INDEX backorder_competitors ON backorder(variant_id, channel_id, position)
    WHERE status = 'WAITING';

CREATE UNIQUE INDEX backorder_line ON backorder(line_id) WHERE status = 'WAITING';

CREATE INDEX backorder_order ON backorder(order_id);
"#,
    r#"
CREATE TABLE backorder_of_any (
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

INSERT INTO backorder_of_any
    SELECT id, order_id, line_id, variant_id, position, quantity, status, answer, expected_at,
        created_at, updated_at
    FROM backorder;

DROP TABLE backorder;

ALTER TABLE backorder_of_any RENAME TO backorder;

CREATE UNIQUE INDEX backorder_queue ON backorder(variant_id, position) WHERE status = 'WAITING';

CREATE UNIQUE INDEX backorder_line ON backorder(line_id) WHERE status = 'WAITING';

CREATE INDEX backorder_order ON backorder(order_id);
"#
);
