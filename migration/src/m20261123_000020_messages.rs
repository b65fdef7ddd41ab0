//! Messages that are owed to people, the tries to send them, and the merchant's own wording.

crate::step!(
    r#"
CREATE TABLE message (
    id UUID PRIMARY KEY,
    key TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    order_id UUID NOT NULL REFERENCES "order"(id),
    channel_id UUID NOT NULL REFERENCES channel(id),
    recipient TEXT,
    language TEXT NOT NULL,
    facts JSONB NOT NULL,
    state TEXT NOT NULL CHECK (state IN
        ('QUEUED', 'SENDING', 'SENT', 'FAILED', 'UNDELIVERABLE', 'UNKNOWN')),
    attempts INTEGER NOT NULL CHECK (attempts >= 0),
    next_attempt_at TIMESTAMPTZ,
    reason TEXT CHECK (reason IN
        ('NO_ADDRESS', 'UNREACHABLE', 'DEFERRED', 'REJECTED', 'UNANSWERED', 'UNRENDERED')),
    subject TEXT,
    text_body TEXT,
    html_body TEXT,
    resend_of UUID REFERENCES message(id),
    created_at TIMESTAMPTZ NOT NULL,
    sent_at TIMESTAMPTZ,
    version BIGINT NOT NULL CHECK (version > 0),
    CONSTRAINT message_has_its_address
        CHECK (recipient IS NOT NULL OR state = 'UNDELIVERABLE'),
    CONSTRAINT message_is_looked_at_while_it_is_owed
        CHECK (state NOT IN ('QUEUED', 'SENDING') OR next_attempt_at IS NOT NULL),
    CONSTRAINT message_is_not_sent_after_its_end
        CHECK (state NOT IN ('SENT', 'FAILED', 'UNDELIVERABLE') OR next_attempt_at IS NULL),
    CONSTRAINT message_is_sent_at_a_time CHECK ((state = 'SENT') = (sent_at IS NOT NULL)),
    CONSTRAINT message_says_why
        CHECK (state NOT IN ('FAILED', 'UNDELIVERABLE', 'UNKNOWN') OR reason IS NOT NULL),
    CONSTRAINT message_is_rendered_whole
        CHECK ((subject IS NULL) = (text_body IS NULL) AND (subject IS NULL) = (html_body IS NULL))
);

CREATE INDEX message_order ON message(order_id, created_at);

CREATE INDEX message_created ON message(created_at, id);

CREATE INDEX message_due ON message(next_attempt_at) WHERE next_attempt_at IS NOT NULL;

CREATE TABLE message_attempt (
    message_id UUID NOT NULL REFERENCES message(id),
    number INTEGER NOT NULL CHECK (number > 0),
    started_at TIMESTAMPTZ NOT NULL,
    ended_at TIMESTAMPTZ,
    reason TEXT,
    answer TEXT,
    PRIMARY KEY (message_id, number),
    CONSTRAINT message_attempt_ends_before_it_fails
        CHECK (reason IS NULL OR ended_at IS NOT NULL)
);

CREATE TABLE message_template (
    id UUID PRIMARY KEY,
    kind TEXT NOT NULL,
    language TEXT NOT NULL,
    channel_id UUID REFERENCES channel(id),
    subject TEXT NOT NULL,
    text_body TEXT NOT NULL,
    html_body TEXT NOT NULL,
    version BIGINT NOT NULL CHECK (version > 0),
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL
);

CREATE UNIQUE INDEX message_template_of_a_channel ON message_template(kind, language, channel_id)
    WHERE channel_id IS NOT NULL;

CREATE UNIQUE INDEX message_template_of_all ON message_template(kind, language)
    WHERE channel_id IS NULL;
"#,
    ["message_template", "message_attempt", "message"]
);
