//! Channels, products, prices, promotions, tax, shipping, warehouses: what may be sold and where
//! it lies.

crate::step!(
    r#"
CREATE TABLE channel (
    id UUID PRIMARY KEY,
    code TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    currency CHAR(3) NOT NULL,
    tax_mode TEXT NOT NULL CHECK (tax_mode IN ('INCLUSIVE', 'EXCLUSIVE')),
    rounding_mode TEXT NOT NULL CHECK (rounding_mode IN ('HALF_UP', 'HALF_EVEN')),
    rounding_scope TEXT NOT NULL CHECK (rounding_scope IN ('PER_LINE', 'PER_UNIT')),
    price_tolerance_minor BIGINT NOT NULL CHECK (price_tolerance_minor >= 0),
    failed_check_policy TEXT NOT NULL CHECK (failed_check_policy IN ('REVIEW', 'REFUSE')),
    requires_authorization BOOLEAN NOT NULL,
    reservation_ttl_secs BIGINT NOT NULL CHECK (reservation_ttl_secs > 0),
    active BOOLEAN NOT NULL,
    version BIGINT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL
);

CREATE TABLE warehouse (
    id UUID PRIMARY KEY,
    code TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    country CHAR(2) NOT NULL,
    active BOOLEAN NOT NULL,
    created_at TIMESTAMPTZ NOT NULL
);

CREATE TABLE channel_warehouse (
    channel_id UUID NOT NULL REFERENCES channel(id),
    warehouse_id UUID NOT NULL REFERENCES warehouse(id),
    priority INTEGER NOT NULL,
    PRIMARY KEY (channel_id, warehouse_id)
);

CREATE TABLE bin (
    id UUID PRIMARY KEY,
    warehouse_id UUID NOT NULL REFERENCES warehouse(id),
    code TEXT NOT NULL,
    zone TEXT NOT NULL,
    aisle TEXT NOT NULL,
    bay TEXT NOT NULL,
    level TEXT NOT NULL,
    position TEXT NOT NULL,
    locked BOOLEAN NOT NULL,
    UNIQUE (warehouse_id, code)
);

CREATE TABLE product (
    id UUID PRIMARY KEY,
    code TEXT NOT NULL UNIQUE,
    title TEXT NOT NULL,
    description TEXT,
    metadata JSONB NOT NULL,
    version BIGINT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL
);

CREATE TABLE variant (
    id UUID PRIMARY KEY,
    product_id UUID NOT NULL REFERENCES product(id),
    sku TEXT NOT NULL UNIQUE,
    title TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('ACTIVE', 'DISCONTINUED')),
    backorderable BOOLEAN NOT NULL,
    tax_category TEXT NOT NULL,
    weight_grams BIGINT NOT NULL CHECK (weight_grams >= 0),
    length_mm INTEGER CHECK (length_mm > 0),
    width_mm INTEGER CHECK (width_mm > 0),
    height_mm INTEGER CHECK (height_mm > 0),
    version BIGINT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL
);

CREATE INDEX variant_product ON variant(product_id);

CREATE TABLE variant_code (
    code_key TEXT PRIMARY KEY,
    code TEXT NOT NULL,
    variant_id UUID NOT NULL REFERENCES variant(id),
    kind TEXT NOT NULL CHECK (kind IN ('SKU', 'ALIAS', 'GTIN', 'CASE')),
    units BIGINT NOT NULL CHECK (units > 0)
);

CREATE INDEX variant_code_variant ON variant_code(variant_id);

CREATE TABLE listing (
    channel_id UUID NOT NULL REFERENCES channel(id),
    variant_id UUID NOT NULL REFERENCES variant(id),
    PRIMARY KEY (channel_id, variant_id)
);

CREATE TABLE price_list (
    id UUID PRIMARY KEY,
    code TEXT NOT NULL UNIQUE,
    currency CHAR(3) NOT NULL,
    channel_id UUID REFERENCES channel(id),
    group_code TEXT,
    rank INTEGER NOT NULL,
    valid_from TIMESTAMPTZ,
    valid_until TIMESTAMPTZ
);

CREATE TABLE price (
    price_list_id UUID NOT NULL REFERENCES price_list(id),
    variant_id UUID NOT NULL REFERENCES variant(id),
    min_quantity BIGINT NOT NULL CHECK (min_quantity > 0),
    unit_price_minor BIGINT NOT NULL CHECK (unit_price_minor >= 0),
    PRIMARY KEY (price_list_id, variant_id, min_quantity)
);

CREATE INDEX price_variant ON price(variant_id);

CREATE TABLE promotion (
    id UUID PRIMARY KEY,
    code TEXT UNIQUE,
    name TEXT NOT NULL,
    channel_id UUID REFERENCES channel(id),
    kind TEXT NOT NULL CHECK (kind IN ('PERCENT', 'AMOUNT', 'FREE_SHIPPING', 'BUY_X_GET_Y')),
    percent TEXT,
    amount_minor BIGINT CHECK (amount_minor > 0),
    currency CHAR(3),
    buy_quantity INTEGER CHECK (buy_quantity > 0),
    get_quantity INTEGER CHECK (get_quantity > 0),
    skus JSONB,
    min_subtotal_minor BIGINT NOT NULL CHECK (min_subtotal_minor >= 0),
    priority INTEGER NOT NULL,
    exclusive BOOLEAN NOT NULL,
    usage_limit BIGINT CHECK (usage_limit >= 0),
    usage_count BIGINT NOT NULL CHECK (usage_count >= 0),
    valid_from TIMESTAMPTZ,
    valid_until TIMESTAMPTZ,
    active BOOLEAN NOT NULL,
    version BIGINT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    CONSTRAINT promotion_usage_within_limit CHECK (usage_limit IS NULL OR usage_count <= usage_limit),
    CONSTRAINT promotion_has_what_its_kind_needs CHECK (
        (kind = 'PERCENT' AND percent IS NOT NULL)
        OR (kind = 'AMOUNT' AND amount_minor IS NOT NULL AND currency IS NOT NULL)
        OR (kind = 'FREE_SHIPPING')
        OR (kind = 'BUY_X_GET_Y' AND buy_quantity IS NOT NULL AND get_quantity IS NOT NULL))
);

CREATE TABLE tax_rate (
    id UUID PRIMARY KEY,
    country CHAR(2) NOT NULL,
    region TEXT,
    category TEXT NOT NULL,
    rate TEXT NOT NULL,
    valid_from TIMESTAMPTZ,
    valid_until TIMESTAMPTZ
);

CREATE INDEX tax_rate_place ON tax_rate(country, category);

CREATE TABLE shipping_zone (
    id UUID PRIMARY KEY,
    code TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    countries JSONB NOT NULL
);

CREATE TABLE shipping_rate (
    id UUID PRIMARY KEY,
    zone_id UUID NOT NULL REFERENCES shipping_zone(id),
    channel_id UUID REFERENCES channel(id),
    service_level TEXT NOT NULL,
    min_weight_grams BIGINT NOT NULL CHECK (min_weight_grams >= 0),
    max_weight_grams BIGINT CHECK (max_weight_grams > min_weight_grams),
    price_minor BIGINT NOT NULL CHECK (price_minor >= 0),
    currency CHAR(3) NOT NULL,
    free_over_minor BIGINT CHECK (free_over_minor >= 0)
);
"#,
    [
        "shipping_rate",
        "shipping_zone",
        "tax_rate",
        "promotion",
        "price",
        "price_list",
        "listing",
        "variant_code",
        "variant",
        "product",
        "bin",
        "channel_warehouse",
        "warehouse",
        "channel",
    ]
);
