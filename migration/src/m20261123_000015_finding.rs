//! Finding orders: their tags, the views that people keep, and the indexes that searches use.

crate::step!(
    r#"
CREATE TABLE order_tag (
    order_id UUID NOT NULL REFERENCES "order"(id),
    key TEXT NOT NULL,
    tag TEXT NOT NULL,
    PRIMARY KEY (order_id, key)
);

CREATE INDEX order_tag_key ON order_tag(key, order_id);

CREATE TABLE saved_view (
    id UUID PRIMARY KEY,
    owner TEXT NOT NULL,
    name TEXT NOT NULL,
    shared BOOLEAN NOT NULL,
    query TEXT NOT NULL,
    sort_field TEXT CHECK (sort_field IN ('RECEIVED_AT', 'PLACED_AT', 'UPDATED_AT')),
    sort_descending BOOLEAN,
    version BIGINT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL,
    UNIQUE (owner, name),
    CONSTRAINT saved_view_sort_is_whole CHECK ((sort_field IS NULL) = (sort_descending IS NULL))
);

CREATE INDEX saved_view_shared ON saved_view(name, id) WHERE shared;

CREATE INDEX order_placed ON "order"(placed_at, id);

CREATE INDEX order_reference ON "order"(external_reference) WHERE external_reference IS NOT NULL;

CREATE INDEX order_email ON "order"(LOWER(email) text_pattern_ops) WHERE email IS NOT NULL;

CREATE INDEX order_line_sku ON order_line(sku, order_id);
"#,
    r#"
DROP INDEX order_line_sku;
DROP INDEX order_email;
DROP INDEX order_reference;
DROP INDEX order_placed;
DROP TABLE saved_view;
DROP TABLE order_tag;
"#
);
