//! Exceptions have an owner since when, sleep, are timed and are opened again; orders are split.

crate::step!(
    r#"
ALTER TABLE order_exception ADD COLUMN assigned_at TIMESTAMPTZ;

ALTER TABLE order_exception ADD COLUMN snoozed_until TIMESTAMPTZ;

ALTER TABLE order_exception ADD COLUMN settled_secs BIGINT CHECK (settled_secs >= 0);

ALTER TABLE order_exception ADD COLUMN reopens_id UUID REFERENCES order_exception(id);

CREATE UNIQUE INDEX order_exception_reopens ON order_exception(reopens_id);

CREATE INDEX order_exception_due ON order_exception(due_at, id) WHERE status IN ('OPEN', 'ASSIGNED');

CREATE INDEX order_exception_asleep ON order_exception(snoozed_until) WHERE status IN ('OPEN', 'ASSIGNED') AND snoozed_until IS NOT NULL;

CREATE INDEX order_exception_settled ON order_exception(resolved_at, settled_secs) WHERE resolved_at IS NOT NULL;

ALTER TABLE "order" ADD COLUMN split_from_order_id UUID REFERENCES "order"(id);

CREATE INDEX order_split_from ON "order"(split_from_order_id) WHERE split_from_order_id IS NOT NULL;
"#,
    r#"
DROP INDEX order_split_from;

ALTER TABLE "order" DROP COLUMN split_from_order_id;

DROP INDEX order_exception_settled;

DROP INDEX order_exception_asleep;

DROP INDEX order_exception_due;

DROP INDEX order_exception_reopens;

ALTER TABLE order_exception DROP COLUMN reopens_id;

ALTER TABLE order_exception DROP COLUMN settled_secs;

ALTER TABLE order_exception DROP COLUMN snoozed_until;

ALTER TABLE order_exception DROP COLUMN assigned_at;
"#
);
