//! Who states how many units lie in a warehouse, what they last said, and where that differed from
//! the ledger.

crate::step!(
    r#"
CREATE TABLE stock_source (
    id UUID PRIMARY KEY,
    code TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('WMS', 'STORE', 'PARTNER')),
    budget_secs BIGINT NOT NULL CHECK (budget_secs > 0),
    policy TEXT NOT NULL CHECK (policy IN ('ALERT_ONLY', 'BUFFER', 'NOT_SELLABLE')),
    buffer_percent BIGINT NOT NULL CHECK (buffer_percent BETWEEN 1 AND 100),
    buffer_cap_percent BIGINT NOT NULL CHECK (buffer_cap_percent BETWEEN 1 AND 100),
    still_after_secs BIGINT CHECK (still_after_secs > 0),
    active BOOLEAN NOT NULL,
    observed_at TIMESTAMPTZ,
    received_at TIMESTAMPTZ,
    feed_version BIGINT,
    changed_at TIMESTAMPTZ,
    stale_since TIMESTAMPTZ,
    withheld_percent BIGINT NOT NULL CHECK (withheld_percent BETWEEN 0 AND 100),
    still_since TIMESTAMPTZ,
    missing BIGINT NOT NULL CHECK (missing >= 0),
    version BIGINT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL,
    CONSTRAINT stock_source_withholds_only_when_stale
        CHECK (withheld_percent = 0 OR stale_since IS NOT NULL)
);

CREATE TABLE stock_source_warehouse (
    warehouse_id UUID PRIMARY KEY REFERENCES warehouse(id),
    source_id UUID NOT NULL REFERENCES stock_source(id)
);

CREATE INDEX stock_source_warehouse_source ON stock_source_warehouse(source_id);

CREATE TABLE stock_statement (
    variant_id UUID NOT NULL REFERENCES variant(id),
    warehouse_id UUID NOT NULL REFERENCES warehouse(id),
    source_id UUID NOT NULL REFERENCES stock_source(id),
    on_hand BIGINT CHECK (on_hand >= 0),
    observed_at TIMESTAMPTZ,
    feed_version BIGINT,
    named_at TIMESTAMPTZ,
    missing_since TIMESTAMPTZ,
    PRIMARY KEY (variant_id, warehouse_id),
    CONSTRAINT stock_statement_has_its_time CHECK ((on_hand IS NULL) = (observed_at IS NULL))
);

CREATE INDEX stock_statement_missing ON stock_statement(source_id)
    WHERE missing_since IS NOT NULL;

CREATE TABLE stock_drift (
    id UUID PRIMARY KEY,
    source_id UUID NOT NULL REFERENCES stock_source(id),
    variant_id UUID NOT NULL REFERENCES variant(id),
    warehouse_id UUID NOT NULL REFERENCES warehouse(id),
    kind TEXT NOT NULL CHECK (kind IN ('FIGURE', 'MISSING')),
    stated BIGINT CHECK (stated >= 0),
    had BIGINT NOT NULL,
    observed_at TIMESTAMPTZ NOT NULL,
    found_at TIMESTAMPTZ NOT NULL,
    CONSTRAINT stock_drift_says_what_was_stated CHECK ((kind = 'FIGURE') = (stated IS NOT NULL))
);

CREATE INDEX stock_drift_found ON stock_drift(found_at, id);

CREATE INDEX stock_drift_stock ON stock_drift(variant_id, warehouse_id);

DROP INDEX stock_movement_stock;

CREATE INDEX stock_movement_stock ON stock_movement(variant_id, warehouse_id, occurred_at);
"#,
    r#"
DROP INDEX stock_movement_stock;
CREATE INDEX stock_movement_stock ON stock_movement(variant_id, warehouse_id);
DROP TABLE stock_drift;
DROP TABLE stock_statement;
DROP TABLE stock_source_warehouse;
DROP TABLE stock_source;
"#
);
