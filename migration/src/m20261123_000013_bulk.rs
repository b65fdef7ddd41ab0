//! Actions on many orders at once, with what became of each.

crate::step!(
    r#"
CREATE TABLE bulk_operation (
    id UUID PRIMARY KEY,
    action TEXT NOT NULL,
    input JSONB NOT NULL,
    dry_run BOOLEAN NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('RUNNING', 'COMPLETED', 'CANCELLED')),
    total BIGINT NOT NULL CHECK (total >= 0),
    channels JSONB,
    started_by TEXT NOT NULL,
    started_at TIMESTAMPTZ NOT NULL,
    finished_at TIMESTAMPTZ,
    CHECK ((state = 'RUNNING') = (finished_at IS NULL))
);

CREATE INDEX bulk_operation_running ON bulk_operation(started_at) WHERE state = 'RUNNING';

CREATE TABLE bulk_row (
    operation_id UUID NOT NULL REFERENCES bulk_operation(id),
    position BIGINT NOT NULL,
    order_id UUID NOT NULL,
    outcome TEXT NOT NULL
        CHECK (outcome IN ('PENDING', 'CHANGED', 'REFUSED', 'FAILED', 'SKIPPED')),
    code TEXT,
    message TEXT,
    done_at TIMESTAMPTZ,
    PRIMARY KEY (operation_id, position),
    UNIQUE (operation_id, order_id),
    CHECK ((outcome = 'PENDING') = (done_at IS NULL)),
    CHECK ((outcome IN ('REFUSED', 'FAILED')) = (code IS NOT NULL))
);

CREATE INDEX bulk_row_outcome ON bulk_row(operation_id, outcome, position);
"#,
    ["bulk_row", "bulk_operation"]
);
