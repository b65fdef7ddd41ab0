//! Carriers with their services, zones, rates and surcharges, and the labels that are bought of them.

crate::step!(
    r#"
CREATE TABLE carrier (
    id UUID PRIMARY KEY,
    code TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    adapter TEXT NOT NULL CHECK (adapter IN ('TABLE', 'EASYPOST')),
    tracking_url TEXT,
    tracking_prefix TEXT NOT NULL,
    webhook_secret TEXT,
    active BOOLEAN NOT NULL,
    version BIGINT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL
);

CREATE TABLE carrier_service (
    id UUID PRIMARY KEY,
    carrier_id UUID NOT NULL REFERENCES carrier(id),
    code TEXT NOT NULL,
    name TEXT NOT NULL,
    service_level TEXT NOT NULL,
    cut_off_minutes INTEGER NOT NULL CHECK (cut_off_minutes BETWEEN 0 AND 1440),
    time_zone TEXT NOT NULL,
    pickup_weekdays INTEGER NOT NULL CHECK (pickup_weekdays BETWEEN 1 AND 127),
    delivery_weekdays INTEGER NOT NULL CHECK (delivery_weekdays BETWEEN 1 AND 127),
    transit_days INTEGER NOT NULL CHECK (transit_days >= 0),
    max_grams BIGINT CHECK (max_grams > 0),
    max_length_mm INTEGER CHECK (max_length_mm > 0),
    max_girth_mm INTEGER CHECK (max_girth_mm > 0),
    volumetric_divisor INTEGER CHECK (volumetric_divisor > 0),
    po_boxes BOOLEAN NOT NULL,
    dangerous_goods BOOLEAN NOT NULL,
    only_countries JSONB NOT NULL,
    except_countries JSONB NOT NULL,
    active BOOLEAN NOT NULL,
    version BIGINT NOT NULL,
    UNIQUE (carrier_id, code)
);

CREATE TABLE carrier_zone (
    id UUID PRIMARY KEY,
    carrier_id UUID NOT NULL REFERENCES carrier(id),
    code TEXT NOT NULL,
    countries JSONB NOT NULL,
    postal_prefixes JSONB NOT NULL,
    extra_days INTEGER NOT NULL CHECK (extra_days >= 0),
    UNIQUE (carrier_id, code)
);

CREATE TABLE carrier_rate (
    id UUID PRIMARY KEY,
    service_id UUID NOT NULL REFERENCES carrier_service(id),
    zone_id UUID NOT NULL REFERENCES carrier_zone(id),
    currency CHAR(3) NOT NULL,
    up_to_grams BIGINT NOT NULL CHECK (up_to_grams > 0),
    price_minor BIGINT NOT NULL CHECK (price_minor >= 0),
    UNIQUE (service_id, zone_id, currency, up_to_grams)
);

CREATE TABLE carrier_surcharge (
    service_id UUID NOT NULL REFERENCES carrier_service(id),
    position INTEGER NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('FUEL', 'REMOTE', 'OVERSIZE', 'RESIDENTIAL')),
    percent TEXT,
    amount_minor BIGINT CHECK (amount_minor >= 0),
    currency CHAR(3),
    countries JSONB NOT NULL,
    postal_prefixes JSONB NOT NULL,
    above_length_mm INTEGER,
    above_girth_mm INTEGER,
    above_grams BIGINT,
    PRIMARY KEY (service_id, position),
    CONSTRAINT carrier_surcharge_is_a_part_or_an_amount
        CHECK ((percent IS NULL) <> (amount_minor IS NULL)),
    CONSTRAINT carrier_surcharge_has_its_currency
        CHECK ((amount_minor IS NULL) = (currency IS NULL))
);

CREATE TABLE label (
    id UUID PRIMARY KEY,
    package_id UUID NOT NULL REFERENCES package(id),
    order_id UUID NOT NULL REFERENCES "order"(id),
    carrier TEXT NOT NULL,
    service TEXT NOT NULL,
    adapter TEXT NOT NULL CHECK (adapter IN ('TABLE', 'EASYPOST')),
    request JSONB NOT NULL,
    serial BIGINT NOT NULL UNIQUE,
    state TEXT NOT NULL CHECK (state IN ('READY', 'SENT', 'UNKNOWN', 'SUCCEEDED', 'DECLINED', 'NOT_EXECUTED', 'VOIDING', 'VOIDED')),
    offer TEXT,
    offer_rate TEXT,
    cost_minor BIGINT NOT NULL CHECK (cost_minor >= 0),
    currency CHAR(3) NOT NULL,
    tracking_number TEXT,
    tracking_url TEXT,
    document_url TEXT,
    document_format TEXT CHECK (document_format IN ('PDF', 'ZPL', 'PNG')),
    document BYTEA,
    reason TEXT,
    attempts INTEGER NOT NULL CHECK (attempts >= 0),
    first_sent_at TIMESTAMPTZ,
    next_check_at TIMESTAMPTZ,
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL,
    CONSTRAINT label_has_its_number CHECK (state NOT IN ('SUCCEEDED', 'VOIDING', 'VOIDED') OR tracking_number IS NOT NULL)
);

CREATE UNIQUE INDEX label_live ON label(package_id)
    WHERE state IN ('READY', 'SENT', 'UNKNOWN', 'SUCCEEDED', 'VOIDING');

CREATE INDEX label_due ON label(next_check_at) WHERE next_check_at IS NOT NULL;

CREATE INDEX label_package ON label(package_id, created_at);

CREATE INDEX label_order ON label(order_id);

CREATE INDEX label_number ON label(tracking_number) WHERE tracking_number IS NOT NULL;

INSERT INTO counter (name, value) VALUES ('label_serial', 0);
"#,
    r#"
DELETE FROM counter WHERE name = 'label_serial';
DROP TABLE label;
DROP TABLE carrier_surcharge;
DROP TABLE carrier_rate;
DROP TABLE carrier_zone;
DROP TABLE carrier_service;
DROP TABLE carrier;
"#
);
