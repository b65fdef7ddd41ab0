//! Exports of rows as files, which are made part by part.

crate::step!(
    r#"
CREATE TABLE export (
    id UUID PRIMARY KEY,
    kind TEXT NOT NULL,
    format TEXT NOT NULL CHECK (format IN ('CSV', 'JSONL')),
    state TEXT NOT NULL CHECK (state IN ('RUNNING', 'COMPLETED', 'CANCELLED', 'FAILED', 'EXPIRED')),
    channels JSONB,
    personal BOOLEAN NOT NULL,
    since TIMESTAMPTZ,
    until TIMESTAMPTZ NOT NULL,
    time_zone TEXT,
    place JSONB,
    rows_total BIGINT CHECK (rows_total >= 0),
    rows_done BIGINT NOT NULL CHECK (rows_done >= 0),
    parts INTEGER NOT NULL CHECK (parts >= 0),
    bytes BIGINT NOT NULL CHECK (bytes >= 0),
    failure TEXT,
    created_by TEXT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    finished_at TIMESTAMPTZ,
    expires_at TIMESTAMPTZ,
    CHECK ((state = 'RUNNING') = (finished_at IS NULL)),
    CHECK ((state = 'FAILED') = (failure IS NOT NULL)),
    CHECK ((state IN ('COMPLETED', 'EXPIRED')) = (expires_at IS NOT NULL))
);

CREATE INDEX export_running ON export(created_at) WHERE state = 'RUNNING';

CREATE INDEX export_expires ON export(expires_at) WHERE state = 'COMPLETED';

CREATE INDEX export_created ON export(created_at, id);

CREATE TABLE export_part (
    export_id UUID NOT NULL REFERENCES export(id),
    position INTEGER NOT NULL CHECK (position > 0),
    bytes BYTEA NOT NULL,
    PRIMARY KEY (export_id, position)
);

CREATE INDEX shipment_created ON shipment(created_at, id);

CREATE INDEX order_exception_opened ON order_exception(opened_at, id);
"#,
    r#"
DROP INDEX order_exception_opened;
DROP INDEX shipment_created;
DROP TABLE export_part;
DROP TABLE export;
"#
);
