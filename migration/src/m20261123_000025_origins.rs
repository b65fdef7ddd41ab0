//! Where parcels leave from decides what they cost, and what is dangerous goes by few services.

crate::step!(
    r#"
ALTER TABLE carrier_zone ADD COLUMN from_countries JSONB NOT NULL DEFAULT '[]';

ALTER TABLE variant ADD COLUMN dangerous_goods BOOLEAN NOT NULL DEFAULT FALSE;
"#,
    r#"
ALTER TABLE variant DROP COLUMN dangerous_goods;

ALTER TABLE carrier_zone DROP COLUMN from_countries;
"#
);
