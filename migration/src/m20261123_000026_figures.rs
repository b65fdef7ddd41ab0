//! Figures of operations by quarters of an hour, kept from the log.

crate::step!(
    r#"
CREATE TABLE report_figure (
    quarter BIGINT NOT NULL,
    measure TEXT NOT NULL,
    channel_id UUID NOT NULL,
    warehouse_id UUID NOT NULL,
    carrier TEXT NOT NULL,
    detail TEXT NOT NULL,
    bin INTEGER NOT NULL CHECK (bin >= 0),
    currency TEXT NOT NULL,
    events BIGINT NOT NULL,
    amount BIGINT NOT NULL,
    PRIMARY KEY (quarter, measure, channel_id, warehouse_id, carrier, detail, bin, currency)
);

INSERT INTO projection (name, seq) VALUES ('report_figure', 0);
"#,
    r#"
DELETE FROM projection WHERE name = 'report_figure';

DROP TABLE report_figure;
"#
);
