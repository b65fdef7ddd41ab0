//! What the live board's header shows: since when an order stands at its stage, until when it should
//! be dispatched, and how many orders stand where, kept from the log.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DbBackend;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const UP: &str = r#"
ALTER TABLE channel ADD COLUMN dispatch_within_secs BIGINT NOT NULL DEFAULT 86400
    CHECK (dispatch_within_secs > 0);

ALTER TABLE "order" ADD COLUMN stage_since TIMESTAMPTZ NOT NULL
    DEFAULT '1970-01-01T00:00:00+00:00';

ALTER TABLE "order" ADD COLUMN dispatch_by TIMESTAMPTZ;

UPDATE "order" SET stage_since = CASE
    WHEN stage = 'CANCELLED' THEN COALESCE(closed_at, updated_at)
    WHEN stage = 'STAGED' THEN COALESCE(confirmed_at, updated_at)
    ELSE updated_at END;

CREATE INDEX order_stage_since ON "order"(channel_id, stage, stage_since);

CREATE INDEX order_dispatch_by ON "order"(channel_id, stage, dispatch_by)
    WHERE dispatch_by IS NOT NULL;

ALTER TABLE event_log ADD COLUMN stage_from TEXT;

ALTER TABLE event_log ADD COLUMN stage_to TEXT;

CREATE TABLE projection (
    name TEXT PRIMARY KEY,
    seq BIGINT NOT NULL
);

CREATE TABLE stage_tally (
    channel_id UUID NOT NULL REFERENCES channel(id),
    stage TEXT NOT NULL,
    orders BIGINT NOT NULL,
    PRIMARY KEY (channel_id, stage)
);

INSERT INTO projection (name, seq) SELECT 'stage_tally', last_seq FROM sequencer;

INSERT INTO stage_tally (channel_id, stage, orders)
    SELECT channel_id, stage, COUNT(*) FROM "order" GROUP BY channel_id, stage;
"#;

/// A day is what channels promised so far, without having said so.
const PROMISED: (&str, &str) = (
    r#"UPDATE "order" SET dispatch_by =
        strftime('%Y-%m-%dT%H:%M:%S+00:00', confirmed_at, '+1 day')
        WHERE confirmed_at IS NOT NULL"#,
    r#"UPDATE "order" SET dispatch_by = confirmed_at + INTERVAL '1 day'
        WHERE confirmed_at IS NOT NULL"#,
);

const OUTBOX: &str = r#"
ALTER TABLE outbox ADD COLUMN stage_from TEXT;

ALTER TABLE outbox ADD COLUMN stage_to TEXT;
"#;

const DOWN: &str = r#"
DROP TABLE stage_tally;
DROP TABLE projection;
ALTER TABLE event_log DROP COLUMN stage_to;
ALTER TABLE event_log DROP COLUMN stage_from;
DROP INDEX order_dispatch_by;
DROP INDEX order_stage_since;
ALTER TABLE "order" DROP COLUMN dispatch_by;
ALTER TABLE "order" DROP COLUMN stage_since;
ALTER TABLE channel DROP COLUMN dispatch_within_secs;
"#;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        crate::sql(manager, UP).await?;
        if manager.get_database_backend() == DbBackend::Postgres {
            crate::sql(manager, OUTBOX).await?;
            return crate::sql(manager, PROMISED.1).await;
        }
        crate::sql(manager, PROMISED.0).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        crate::sql(manager, DOWN).await?;
        if manager.get_database_backend() == DbBackend::Postgres {
            let down = "ALTER TABLE outbox DROP COLUMN stage_to;\nALTER TABLE outbox DROP COLUMN stage_from;\n";
            crate::sql(manager, down).await?;
        }
        Ok(())
    }
}
