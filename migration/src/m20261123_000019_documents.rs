//! Documents as they were printed, with their bytes apart, and the secret that signs their
//! addresses where the settings have none.

crate::step!(
    r#"
CREATE TABLE document (
    id UUID PRIMARY KEY,
    kind TEXT NOT NULL CHECK (kind IN (
        'LABEL', 'PACKING_SLIP', 'PICK_LIST', 'MANIFEST', 'INVOICE', 'CREDIT_NOTE')),
    format TEXT NOT NULL CHECK (format IN ('PDF', 'ZPL')),
    content_type TEXT NOT NULL,
    file_name TEXT NOT NULL,
    sha256 TEXT NOT NULL CHECK (LENGTH(sha256) = 64),
    size BIGINT NOT NULL CHECK (size > 0),
    order_id UUID REFERENCES "order"(id),
    channel_id UUID REFERENCES channel(id),
    subject TEXT NOT NULL,
    version BIGINT NOT NULL CHECK (version > 0),
    created_at TIMESTAMPTZ NOT NULL,
    created_by TEXT NOT NULL,
    voided_at TIMESTAMPTZ,
    CONSTRAINT document_of_an_order_has_its_channel
        CHECK (order_id IS NULL OR channel_id IS NOT NULL)
);

CREATE UNIQUE INDEX document_in_force ON document(subject, kind, format) WHERE voided_at IS NULL;

CREATE INDEX document_subject ON document(subject);

CREATE INDEX document_order ON document(order_id);

CREATE INDEX document_created ON document(created_at, id);

CREATE TABLE document_content (
    document_id UUID PRIMARY KEY REFERENCES document(id),
    bytes BYTEA NOT NULL
);

CREATE TABLE document_secret (
    name TEXT PRIMARY KEY,
    value BYTEA NOT NULL,
    created_at TIMESTAMPTZ NOT NULL
);
"#,
    ["document_secret", "document_content", "document"]
);
