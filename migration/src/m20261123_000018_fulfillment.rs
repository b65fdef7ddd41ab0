//! The warehouse's work: what each warehouse sends of an order and why it, waves, pick lists, scans,
//! shipments with their packages, and the cartons that they are packed in.

crate::step!(
    r#"
ALTER TABLE "order" ADD COLUMN unrouted BOOLEAN NOT NULL DEFAULT FALSE;

UPDATE "order" SET unrouted = TRUE WHERE status = 'CONFIRMED' AND stage = 'STAGED';

CREATE INDEX order_unrouted ON "order"(confirmed_at) WHERE unrouted;

ALTER TABLE channel ADD COLUMN routing JSONB NOT NULL DEFAULT '["FEWEST_SPLITS","PRIORITY"]';

ALTER TABLE warehouse ADD COLUMN street TEXT;

ALTER TABLE warehouse ADD COLUMN postal_code TEXT;

ALTER TABLE warehouse ADD COLUMN city TEXT;

ALTER TABLE warehouse ADD COLUMN phone TEXT;

ALTER TABLE warehouse ADD COLUMN two_person_check BOOLEAN NOT NULL DEFAULT FALSE;

ALTER TABLE bin ADD COLUMN purpose TEXT NOT NULL DEFAULT 'STORAGE'
    CHECK (purpose IN ('STORAGE', 'STAGING'));

CREATE UNIQUE INDEX bin_staging ON bin(warehouse_id) WHERE purpose = 'STAGING';

CREATE TABLE wave (
    id UUID PRIMARY KEY,
    number TEXT NOT NULL UNIQUE,
    warehouse_id UUID NOT NULL REFERENCES warehouse(id),
    status TEXT NOT NULL CHECK (status IN ('OPEN', 'RELEASED', 'DONE', 'CANCELLED')),
    grouping TEXT NOT NULL CHECK (grouping IN ('ONE_LIST', 'WAREHOUSE_ZONE', 'SKU', 'SERVICE_LEVEL')),
    criteria JSONB NOT NULL,
    orders BIGINT NOT NULL CHECK (orders >= 0),
    bin_visits BIGINT NOT NULL CHECK (bin_visits >= 0),
    bin_visits_singly BIGINT NOT NULL CHECK (bin_visits_singly >= 0),
    created_by TEXT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    released_at TIMESTAMPTZ,
    closed_at TIMESTAMPTZ,
    version BIGINT NOT NULL
);

CREATE INDEX wave_created ON wave(created_at, id);

CREATE TABLE fulfillment_order (
    id UUID PRIMARY KEY,
    number TEXT NOT NULL UNIQUE,
    order_id UUID NOT NULL REFERENCES "order"(id),
    warehouse_id UUID NOT NULL REFERENCES warehouse(id),
    position INTEGER NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('OPEN', 'ON_HOLD', 'IN_PROGRESS', 'CLOSED', 'CANCELLED')),
    wave_id UUID REFERENCES wave(id),
    routing JSONB NOT NULL,
    hold_reason TEXT,
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL,
    closed_at TIMESTAMPTZ,
    UNIQUE (order_id, position)
);

CREATE INDEX fulfillment_order_work ON fulfillment_order(warehouse_id, status, created_at, id);

CREATE INDEX fulfillment_order_wave ON fulfillment_order(wave_id) WHERE wave_id IS NOT NULL;

CREATE TABLE fulfillment_line (
    fulfillment_order_id UUID NOT NULL REFERENCES fulfillment_order(id),
    line_id UUID NOT NULL REFERENCES order_line(id),
    variant_id UUID NOT NULL REFERENCES variant(id),
    quantity BIGINT NOT NULL CHECK (quantity >= 0),
    picked BIGINT NOT NULL CHECK (picked >= 0),
    packed BIGINT NOT NULL CHECK (packed >= 0),
    PRIMARY KEY (fulfillment_order_id, line_id),
    CONSTRAINT fulfillment_line_packs_what_was_picked CHECK (packed <= picked AND picked <= quantity)
);

CREATE INDEX fulfillment_line_line ON fulfillment_line(line_id);

CREATE TABLE pick_list (
    id UUID PRIMARY KEY,
    number TEXT NOT NULL UNIQUE,
    warehouse_id UUID NOT NULL REFERENCES warehouse(id),
    wave_id UUID REFERENCES wave(id),
    name TEXT,
    status TEXT NOT NULL CHECK (status IN ('OPEN', 'PICKING', 'DONE')),
    picker TEXT,
    claimed_at TIMESTAMPTZ,
    created_at TIMESTAMPTZ NOT NULL,
    closed_at TIMESTAMPTZ,
    version BIGINT NOT NULL
);

CREATE INDEX pick_list_work ON pick_list(warehouse_id, status, created_at, id);

CREATE INDEX pick_list_wave ON pick_list(wave_id) WHERE wave_id IS NOT NULL;

CREATE TABLE pick_task (
    id UUID PRIMARY KEY,
    pick_list_id UUID NOT NULL REFERENCES pick_list(id),
    position INTEGER NOT NULL,
    slot INTEGER NOT NULL CHECK (slot > 0),
    fulfillment_order_id UUID NOT NULL REFERENCES fulfillment_order(id),
    line_id UUID NOT NULL REFERENCES order_line(id),
    variant_id UUID NOT NULL REFERENCES variant(id),
    warehouse_id UUID NOT NULL REFERENCES warehouse(id),
    bin_id UUID NOT NULL REFERENCES bin(id),
    quantity BIGINT NOT NULL CHECK (quantity > 0),
    picked BIGINT NOT NULL CHECK (picked >= 0),
    status TEXT NOT NULL CHECK (status IN ('OPEN', 'DONE', 'SHORT', 'CANCELLED')),
    CONSTRAINT pick_task_picks_what_was_asked CHECK (picked <= quantity),
    CONSTRAINT pick_task_is_done_when_picked CHECK (status <> 'DONE' OR picked = quantity)
);

CREATE INDEX pick_task_list ON pick_task(pick_list_id, position);

CREATE INDEX pick_task_order ON pick_task(fulfillment_order_id);

CREATE INDEX pick_task_open ON pick_task(variant_id, warehouse_id) WHERE status = 'OPEN';

CREATE TABLE shipment (
    id UUID PRIMARY KEY,
    number TEXT NOT NULL UNIQUE,
    order_id UUID NOT NULL REFERENCES "order"(id),
    fulfillment_order_id UUID NOT NULL REFERENCES fulfillment_order(id),
    warehouse_id UUID NOT NULL REFERENCES warehouse(id),
    status TEXT NOT NULL CHECK (status IN ('PENDING', 'PICKED', 'PACKED', 'LABELED', 'DISPATCHED', 'CANCELLED')),
    tracking_status TEXT NOT NULL CHECK (tracking_status IN ('PRE_TRANSIT', 'CARRIER_PICKED_UP', 'IN_TRANSIT', 'OUT_FOR_DELIVERY', 'DELIVERED', 'ATTEMPTED_DELIVERY', 'RETURN_TO_SENDER', 'FAILURE', 'UNKNOWN')),
    carrier TEXT,
    service TEXT,
    choice JSONB,
    cost_minor BIGINT,
    currency CHAR(3),
    promised_at TIMESTAMPTZ,
    dispatched_at TIMESTAMPTZ,
    delivered_at TIMESTAMPTZ,
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL
);

CREATE INDEX shipment_order ON shipment(order_id);

CREATE UNIQUE INDEX shipment_of_work ON shipment(fulfillment_order_id) WHERE status <> 'CANCELLED';

CREATE INDEX shipment_work ON shipment(warehouse_id, status, created_at, id);

CREATE TABLE package (
    id UUID PRIMARY KEY,
    shipment_id UUID NOT NULL REFERENCES shipment(id),
    position INTEGER NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('OPEN', 'CLOSED', 'CANCELLED')),
    carton TEXT,
    length_mm INTEGER,
    width_mm INTEGER,
    height_mm INTEGER,
    expected_grams BIGINT NOT NULL CHECK (expected_grams >= 0),
    weight_grams BIGINT CHECK (weight_grams > 0),
    tracking_number TEXT,
    tracking_url TEXT,
    packer TEXT,
    created_at TIMESTAMPTZ NOT NULL,
    closed_at TIMESTAMPTZ,
    UNIQUE (shipment_id, position)
);

CREATE INDEX package_tracking ON package(tracking_number) WHERE tracking_number IS NOT NULL;

CREATE TABLE package_line (
    package_id UUID NOT NULL REFERENCES package(id),
    line_id UUID NOT NULL REFERENCES order_line(id),
    variant_id UUID NOT NULL REFERENCES variant(id),
    expected BIGINT NOT NULL CHECK (expected > 0),
    packed BIGINT NOT NULL CHECK (packed >= 0),
    PRIMARY KEY (package_id, line_id),
    CONSTRAINT package_line_holds_what_was_expected CHECK (packed <= expected)
);

CREATE TABLE carton (
    id UUID PRIMARY KEY,
    code TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    length_mm INTEGER NOT NULL CHECK (length_mm > 0),
    width_mm INTEGER NOT NULL CHECK (width_mm > 0),
    height_mm INTEGER NOT NULL CHECK (height_mm > 0),
    tare_grams BIGINT NOT NULL CHECK (tare_grams >= 0),
    max_grams BIGINT NOT NULL CHECK (max_grams > 0),
    active BOOLEAN NOT NULL,
    version BIGINT NOT NULL
);

CREATE TABLE scan (
    id UUID PRIMARY KEY,
    station TEXT NOT NULL CHECK (station IN ('PICK', 'PACK')),
    verdict TEXT NOT NULL,
    code TEXT NOT NULL,
    units BIGINT NOT NULL CHECK (units >= 0),
    variant_id UUID REFERENCES variant(id),
    warehouse_id UUID NOT NULL REFERENCES warehouse(id),
    order_id UUID REFERENCES "order"(id),
    pick_list_id UUID REFERENCES pick_list(id),
    package_id UUID REFERENCES package(id),
    actor TEXT NOT NULL,
    device TEXT,
    scanned_at TIMESTAMPTZ NOT NULL
);

CREATE INDEX scan_time ON scan(scanned_at, id);

CREATE INDEX scan_order ON scan(order_id) WHERE order_id IS NOT NULL;

CREATE INDEX scan_list ON scan(pick_list_id) WHERE pick_list_id IS NOT NULL;

CREATE INDEX scan_package ON scan(package_id) WHERE package_id IS NOT NULL;

INSERT INTO counter (name, value) VALUES ('wave_number', 0), ('pick_list_number', 0);
"#,
    r#"
DELETE FROM counter WHERE name IN ('wave_number', 'pick_list_number');
DROP TABLE scan;
DROP TABLE carton;
DROP TABLE package_line;
DROP TABLE package;
DROP TABLE shipment;
DROP TABLE pick_task;
DROP TABLE pick_list;
DROP TABLE fulfillment_line;
DROP TABLE fulfillment_order;
DROP TABLE wave;
DROP INDEX bin_staging;
ALTER TABLE bin DROP COLUMN purpose;
ALTER TABLE warehouse DROP COLUMN two_person_check;
ALTER TABLE warehouse DROP COLUMN phone;
ALTER TABLE warehouse DROP COLUMN city;
ALTER TABLE warehouse DROP COLUMN postal_code;
ALTER TABLE warehouse DROP COLUMN street;
ALTER TABLE channel DROP COLUMN routing;
DROP INDEX order_unrouted;
ALTER TABLE "order" DROP COLUMN unrouted;
"#
);
