//! Units on their way are the sum of the deliveries that are expected; nobody kept the column.

crate::step!(
    r#"
ALTER TABLE stock DROP COLUMN incoming;
"#,
    r#"
ALTER TABLE stock ADD COLUMN incoming BIGINT NOT NULL DEFAULT 0 CHECK (incoming >= 0);
"#
);
