//! Orders that are over are put away: whole, in one row. What is kept by an order's id holds
//! without its row from here on, and no order takes the name of one that was put away.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DbBackend;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const UP: &str = r#"
CREATE TABLE archived_order (
    id UUID PRIMARY KEY,
    number TEXT NOT NULL UNIQUE,
    channel_id UUID NOT NULL REFERENCES channel(id),
    external_reference TEXT,
    fingerprint TEXT NOT NULL,
    customer_id UUID REFERENCES customer(id),
    customer_name TEXT NOT NULL,
    email TEXT,
    status TEXT NOT NULL CHECK (status IN ('COMPLETED', 'CANCELLED', 'REJECTED', 'EXPIRED')),
    stage TEXT NOT NULL,
    payment_method TEXT NOT NULL,
    gateway TEXT NOT NULL,
    currency CHAR(3) NOT NULL,
    total_minor BIGINT NOT NULL,
    authorized_minor BIGINT NOT NULL,
    captured_minor BIGINT NOT NULL,
    refunded_minor BIGINT NOT NULL,
    invoiced_minor BIGINT NOT NULL,
    units_shipped BIGINT NOT NULL,
    version BIGINT NOT NULL CHECK (version > 0),
    split_from_order_id UUID,
    placed_at TIMESTAMPTZ NOT NULL,
    received_at TIMESTAMPTZ NOT NULL,
    closed_at TIMESTAMPTZ,
    archived_at TIMESTAMPTZ NOT NULL,
    snapshot_version INTEGER NOT NULL CHECK (snapshot_version > 0),
    snapshot TEXT NOT NULL,
    sha256 TEXT NOT NULL CHECK (LENGTH(sha256) = 64),
    UNIQUE (channel_id, external_reference)
);

CREATE INDEX archived_order_archived ON archived_order(archived_at, id);

CREATE INDEX archived_order_placed ON archived_order(placed_at, id);

CREATE INDEX archived_order_closed ON archived_order(closed_at, id);

CREATE INDEX archived_order_reference ON archived_order(LOWER(external_reference) text_pattern_ops)
    WHERE external_reference IS NOT NULL;

CREATE INDEX archived_order_number ON archived_order(LOWER(number) text_pattern_ops);

CREATE INDEX archived_order_email ON archived_order(LOWER(email) text_pattern_ops)
    WHERE email IS NOT NULL;

CREATE INDEX archived_order_customer ON archived_order(customer_id, received_at)
    WHERE customer_id IS NOT NULL;

CREATE INDEX archived_order_guest ON archived_order(LOWER(email), received_at)
    WHERE customer_id IS NULL;

CREATE INDEX archived_order_split_from ON archived_order(split_from_order_id)
    WHERE split_from_order_id IS NOT NULL;

CREATE TABLE archived_part (
    part TEXT NOT NULL,
    order_id UUID NOT NULL REFERENCES archived_order(id),
    PRIMARY KEY (part, order_id)
);

CREATE INDEX archived_part_order ON archived_part(order_id);

CREATE INDEX reservation_line ON reservation(line_id);

CREATE INDEX backorder_any_line ON backorder(line_id);

CREATE INDEX order_exception_line ON order_exception(line_id) WHERE line_id IS NOT NULL;

CREATE INDEX pick_task_line ON pick_task(line_id);

CREATE INDEX package_line_line ON package_line(line_id);

CREATE INDEX payment_transaction_source ON payment_transaction(source_id)
    WHERE source_id IS NOT NULL;

CREATE INDEX charge_payment ON charge(payment_id);

ALTER TABLE channel ADD COLUMN completes_after_secs BIGINT NOT NULL DEFAULT 1209600
    CHECK (completes_after_secs > 0);

ALTER TABLE channel ADD COLUMN archives_after_secs BIGINT NOT NULL DEFAULT 2592000
    CHECK (archives_after_secs >= 0);

ALTER TABLE "order" ADD COLUMN settles_at TIMESTAMPTZ;

UPDATE "order" SET settles_at = updated_at
    WHERE stage IN ('SHIPPED', 'DELIVERED', 'COMPLETED', 'CANCELLED');

CREATE INDEX order_settles ON "order"(settles_at) WHERE settles_at IS NOT NULL;
"#;

/// Where a row says which order, or which part of one, it is kept for: the table, the column as
/// its table spells it, and what it referred to.
const KEPT: [(&str, &str, &str, &str); 10] = [
    ("invoice", "order_id", " NOT NULL", "\"order\""),
    ("invoice", "shipment_id", " NOT NULL", "shipment"),
    ("invoice_line", "line_id", "", "order_line"),
    ("ledger_entry", "order_id", " NOT NULL", "\"order\""),
    ("document", "order_id", "", "\"order\""),
    ("message", "order_id", " NOT NULL", "\"order\""),
    ("promotion_use", "order_id", " NOT NULL", "\"order\""),
    ("scan", "order_id", "", "\"order\""),
    ("scan", "package_id", "", "package"),
    ("order", "split_from_order_id", "", "\"order\""),
];

/// What of an order that was put away never changes. The rest is what says who somebody is.
const FIXED: &str = "id, number, channel_id, external_reference, fingerprint, status, stage, \
    payment_method, gateway, currency, total_minor, authorized_minor, captured_minor, \
    refunded_minor, invoiced_minor, units_shipped, version, split_from_order_id, placed_at, \
    received_at, closed_at, archived_at";

const POSTGRES: [&str; 6] = [
    r#"CREATE FUNCTION refuse_archived_name() RETURNS TRIGGER AS $$ BEGIN
        IF EXISTS (SELECT 1 FROM archived_order WHERE number = NEW.number AND id <> NEW.id) THEN
            RAISE EXCEPTION 'an order that was put away has this number'
                USING ERRCODE = 'unique_violation';
        END IF;
        IF EXISTS (SELECT 1 FROM archived_order WHERE channel_id = NEW.channel_id
            AND external_reference = NEW.external_reference AND id <> NEW.id) THEN
            RAISE EXCEPTION 'an order that was put away has this external_reference'
                USING ERRCODE = 'unique_violation';
        END IF;
        RETURN NULL; END $$ LANGUAGE plpgsql"#,
    // After the row: what was put away while it waited for the name is seen by then.
    r#"CREATE TRIGGER order_takes_no_archived_name AFTER INSERT ON "order"
        FOR EACH ROW EXECUTE FUNCTION refuse_archived_name()"#,
    r#"CREATE FUNCTION refuse_archived_change() RETURNS TRIGGER AS $$ BEGIN
        RAISE EXCEPTION 'an order that was put away stays as it is'; END $$ LANGUAGE plpgsql"#,
    r#"CREATE TRIGGER archived_order_is_kept_from_update BEFORE UPDATE OF {fixed} ON archived_order
        FOR EACH ROW EXECUTE FUNCTION refuse_archived_change()"#,
    r#"CREATE FUNCTION refuse_archived_loss() RETURNS TRIGGER AS $$ BEGIN
        IF NOT EXISTS (SELECT 1 FROM "order" WHERE id = OLD.id) THEN
            RAISE EXCEPTION 'an order that was put away leaves only by being opened again';
        END IF;
        RETURN OLD; END $$ LANGUAGE plpgsql"#,
    r#"CREATE TRIGGER archived_order_is_kept_from_delete BEFORE DELETE ON archived_order
        FOR EACH ROW EXECUTE FUNCTION refuse_archived_loss()"#,
];

const SQLITE: [&str; 3] = [
    r#"CREATE TRIGGER order_takes_no_archived_name AFTER INSERT ON "order"
        WHEN EXISTS (SELECT 1 FROM archived_order a WHERE a.number = NEW.number AND a.id <> NEW.id)
            OR EXISTS (SELECT 1 FROM archived_order a WHERE a.channel_id = NEW.channel_id
                AND a.external_reference = NEW.external_reference AND a.id <> NEW.id)
        BEGIN SELECT RAISE(ABORT, 'an order that was put away has this name'); END"#,
    r#"CREATE TRIGGER archived_order_is_kept_from_update BEFORE UPDATE OF {fixed} ON archived_order
        BEGIN SELECT RAISE(ABORT, 'an order that was put away stays as it is'); END"#,
    r#"CREATE TRIGGER archived_order_is_kept_from_delete BEFORE DELETE ON archived_order
        WHEN NOT EXISTS (SELECT 1 FROM "order" o WHERE o.id = OLD.id)
        BEGIN SELECT RAISE(ABORT, 'an order that was put away leaves only by being opened again'); END"#,
];

const DOWN: &str = r#"
DROP INDEX order_settles;

ALTER TABLE "order" DROP COLUMN settles_at;

ALTER TABLE channel DROP COLUMN archives_after_secs;

ALTER TABLE channel DROP COLUMN completes_after_secs;

DROP INDEX charge_payment;

DROP INDEX payment_transaction_source;

DROP INDEX package_line_line;

DROP INDEX pick_task_line;

DROP INDEX order_exception_line;

DROP INDEX backorder_any_line;

DROP INDEX reservation_line;

DROP TABLE archived_part;

DROP TABLE archived_order;
"#;

/// Lets what is kept refer to its orders, or to nothing. SQLite names no constraints and cannot
/// drop one; the text of a table's declaration may be changed where that changes nothing of how its
/// rows are stored, which spares every table, index and trigger from being made again.
async fn refer(manager: &SchemaManager<'_>, refers: bool) -> Result<(), DbErr> {
    let connection = manager.get_connection();
    let sqlite = manager.get_database_backend() == DbBackend::Sqlite;
    if sqlite {
        connection
            .execute_unprepared("PRAGMA writable_schema = ON")
            .await?;
    }
    for (table, column, null, target) in KEPT {
        let change = if sqlite {
            let free = format!("{column} BLOB{null}");
            let bound = format!("{free} REFERENCES {target}(id)");
            let (from, to) = if refers { (free, bound) } else { (bound, free) };
            format!(
                "UPDATE sqlite_schema SET sql = replace(sql, '{from}', '{to}')
                WHERE type = 'table' AND name = '{table}'"
            )
        } else {
            let name = format!("{table}_{column}_fkey");
            let change = match refers {
                true => {
                    format!("ADD CONSTRAINT {name} FOREIGN KEY ({column}) REFERENCES {target}(id)")
                }
                false => format!("DROP CONSTRAINT {name}"),
            };
            format!("ALTER TABLE \"{table}\" {change}")
        };
        connection.execute_unprepared(&change).await?;
    }
    if sqlite {
        connection
            .execute_unprepared("PRAGMA writable_schema = RESET")
            .await?;
    }
    Ok(())
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        refer(manager, false).await?;
        crate::sql(manager, UP).await?;
        let triggers: &[&str] = match manager.get_database_backend() {
            DbBackend::Sqlite => &SQLITE,
            _ => &POSTGRES,
        };
        for trigger in triggers {
            let trigger = trigger.replace("{fixed}", FIXED);
            let connection = manager.get_connection();
            connection.execute_unprepared(&trigger).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let connection = manager.get_connection();
        if manager.get_database_backend() == DbBackend::Sqlite {
            connection
                .execute_unprepared("DROP TRIGGER order_takes_no_archived_name")
                .await?;
        } else {
            connection
                .execute_unprepared("DROP TRIGGER order_takes_no_archived_name ON \"order\"")
                .await?;
        }
        crate::sql(manager, DOWN).await?;
        if manager.get_database_backend() == DbBackend::Postgres {
            for name in [
                "refuse_archived_name",
                "refuse_archived_change",
                "refuse_archived_loss",
            ] {
                connection
                    .execute_unprepared(&format!("DROP FUNCTION {name}()"))
                    .await?;
            }
        }
        refer(manager, true).await
    }
}
