//! What carriers say of parcels, and when they are asked.

crate::step!(
    r#"
CREATE TABLE tracking_event (
    id UUID PRIMARY KEY,
    carrier TEXT NOT NULL,
    tracking_number TEXT NOT NULL,
    package_id UUID REFERENCES package(id),
    status TEXT NOT NULL CHECK (status IN ('PRE_TRANSIT', 'CARRIER_PICKED_UP', 'IN_TRANSIT', 'OUT_FOR_DELIVERY', 'DELIVERED', 'ATTEMPTED_DELIVERY', 'RETURN_TO_SENDER', 'FAILURE', 'UNKNOWN')),
    code TEXT NOT NULL,
    place TEXT,
    occurred_at TIMESTAMPTZ NOT NULL,
    received_at TIMESTAMPTZ NOT NULL,
    identity TEXT NOT NULL UNIQUE
);

CREATE INDEX tracking_event_package ON tracking_event(package_id, occurred_at) WHERE package_id IS NOT NULL;

CREATE INDEX tracking_event_parked ON tracking_event(tracking_number) WHERE package_id IS NULL;

CREATE TABLE tracking_poll (
    package_id UUID PRIMARY KEY REFERENCES package(id),
    next_at TIMESTAMPTZ NOT NULL
);
"#,
    ["tracking_poll", "tracking_event"]
);
