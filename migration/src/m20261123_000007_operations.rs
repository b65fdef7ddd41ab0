//! Owed work, saved answers, keys, imports, and the counter behind order numbers.

crate::step!(
    r#"
CREATE TABLE job (
    id UUID PRIMARY KEY,
    kind TEXT NOT NULL,
    subject TEXT NOT NULL,
    payload JSONB NOT NULL,
    run_at TIMESTAMPTZ NOT NULL,
    locked_until TIMESTAMPTZ,
    attempts INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('READY', 'DEAD')),
    last_error TEXT,
    created_at TIMESTAMPTZ NOT NULL,
    UNIQUE (kind, subject)
);

CREATE INDEX job_due ON job(run_at) WHERE state = 'READY';

CREATE TABLE idempotency (
    actor TEXT NOT NULL,
    key TEXT NOT NULL,
    operation TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    response JSONB NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (actor, key)
);

CREATE INDEX idempotency_age ON idempotency(created_at);

CREATE TABLE api_key (
    id UUID PRIMARY KEY,
    lookup TEXT NOT NULL UNIQUE,
    secret_hash TEXT NOT NULL,
    name TEXT NOT NULL,
    role TEXT NOT NULL,
    channels JSONB,
    expires_at TIMESTAMPTZ,
    revoked_at TIMESTAMPTZ,
    created_at TIMESTAMPTZ NOT NULL
);

CREATE TABLE import (
    id UUID PRIMARY KEY,
    source TEXT NOT NULL,
    format TEXT NOT NULL,
    channel_id UUID NOT NULL REFERENCES channel(id),
    status TEXT NOT NULL CHECK (status IN ('RUNNING', 'COMPLETED', 'FAILED')),
    processed BIGINT NOT NULL,
    accepted BIGINT NOT NULL,
    replayed BIGINT NOT NULL,
    refused BIGINT NOT NULL,
    started_by TEXT NOT NULL,
    started_at TIMESTAMPTZ NOT NULL,
    finished_at TIMESTAMPTZ
);

CREATE TABLE import_error (
    import_id UUID NOT NULL REFERENCES import(id),
    row_number BIGINT NOT NULL,
    item INTEGER NOT NULL,
    external_reference TEXT,
    code TEXT NOT NULL,
    field TEXT,
    message TEXT NOT NULL,
    PRIMARY KEY (import_id, row_number, item)
);

CREATE TABLE counter (
    name TEXT PRIMARY KEY,
    value BIGINT NOT NULL
);

INSERT INTO counter (name, value) VALUES ('order_number', 1000);
"#,
    [
        "counter",
        "import_error",
        "import",
        "api_key",
        "idempotency",
        "job"
    ]
);
