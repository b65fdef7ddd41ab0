//! Where requests came from, and the indexes by which the log is searched for who did what.

crate::step!(
    r#"
CREATE TABLE request_origin (
    id UUID PRIMARY KEY,
    correlation_id TEXT NOT NULL,
    actor TEXT NOT NULL,
    address TEXT NOT NULL,
    forwarded TEXT NOT NULL,
    agent TEXT NOT NULL,
    at TIMESTAMPTZ NOT NULL,
    UNIQUE (correlation_id, actor, address, forwarded, agent)
);
CREATE INDEX request_origin_address ON request_origin(address);
CREATE INDEX request_origin_at ON request_origin(at);

CREATE INDEX event_log_actor ON event_log(actor, seq) WHERE actor NOT LIKE 'worker:%';
CREATE INDEX event_log_correlation ON event_log(correlation_id) WHERE correlation_id <> '';
"#,
    r#"
DROP INDEX event_log_correlation;
DROP INDEX event_log_actor;
DROP TABLE request_origin;
"#
);
