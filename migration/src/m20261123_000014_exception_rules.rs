//! Rules as data, what they leave on the exceptions that they make, and the two things that they
//! ask about: what time it is where a channel lives, and what a guest has ordered before.

crate::step!(
    r#"
CREATE TABLE exception_rule (
    id UUID PRIMARY KEY,
    code TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    expression TEXT NOT NULL,
    severity TEXT NOT NULL CHECK (severity IN ('LOW', 'MEDIUM', 'HIGH', 'CRITICAL')),
    blocking BOOLEAN NOT NULL,
    queue TEXT NOT NULL,
    suggested_actions JSONB NOT NULL,
    channel_id UUID REFERENCES channel(id),
    enabled BOOLEAN NOT NULL,
    version BIGINT NOT NULL CHECK (version > 0),
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL
);

ALTER TABLE order_exception ADD COLUMN rule_id UUID;

ALTER TABLE order_exception ADD COLUMN rule_version BIGINT
    CONSTRAINT order_exception_rule_is_whole CHECK ((rule_id IS NULL) = (rule_version IS NULL));

ALTER TABLE channel ADD COLUMN time_zone TEXT NOT NULL DEFAULT 'UTC';

CREATE INDEX order_guest ON "order"(LOWER(email), received_at) WHERE customer_id IS NULL;
"#,
    r#"
DROP INDEX order_guest;

ALTER TABLE channel DROP COLUMN time_zone;

ALTER TABLE order_exception DROP COLUMN rule_version;

ALTER TABLE order_exception DROP COLUMN rule_id;

DROP TABLE exception_rule;
"#
);
