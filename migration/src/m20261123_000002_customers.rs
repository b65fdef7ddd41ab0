//! Customers, their addresses, and the reference that addresses are checked against.

crate::step!(
    r#"
CREATE TABLE customer_group (
    code TEXT PRIMARY KEY,
    name TEXT NOT NULL
);

CREATE TABLE customer (
    id UUID PRIMARY KEY,
    code TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    email TEXT,
    phone TEXT,
    group_code TEXT REFERENCES customer_group(code),
    tax_exempt BOOLEAN NOT NULL,
    terms_days INTEGER CHECK (terms_days >= 0),
    credit_limit_minor BIGINT CHECK (credit_limit_minor >= 0),
    credit_currency CHAR(3),
    credit_used_minor BIGINT NOT NULL CHECK (credit_used_minor >= 0),
    version BIGINT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL,
    CONSTRAINT customer_account_has_a_currency CHECK ((credit_limit_minor IS NULL) = (credit_currency IS NULL))
);

CREATE TABLE address (
    id UUID PRIMARY KEY,
    customer_id UUID REFERENCES customer(id),
    name TEXT NOT NULL,
    organisation TEXT,
    line1 TEXT NOT NULL,
    line2 TEXT,
    city TEXT NOT NULL,
    region TEXT,
    postal_code TEXT,
    country CHAR(2) NOT NULL,
    phone TEXT,
    verdict TEXT NOT NULL CHECK (verdict IN ('VALID', 'CORRECTED', 'AMBIGUOUS', 'INVALID', 'UNVERIFIED')),
    suggestion JSONB,
    reasons JSONB NOT NULL,
    po_box BOOLEAN NOT NULL,
    created_at TIMESTAMPTZ NOT NULL
);

CREATE INDEX address_customer ON address(customer_id) WHERE customer_id IS NOT NULL;

CREATE TABLE postal_code (
    country CHAR(2) NOT NULL,
    postal_key TEXT NOT NULL,
    place_key TEXT NOT NULL,
    postal_code TEXT NOT NULL,
    place_name TEXT NOT NULL,
    admin_name TEXT,
    admin_code TEXT,
    PRIMARY KEY (country, postal_key, place_key)
);

CREATE INDEX postal_code_place ON postal_code(country, place_key);
"#,
    ["postal_code", "address", "customer", "customer_group"]
);
