//! The event log. On PostgreSQL a transaction writes to the outbox and the sequencer gives
//! positions after commit, since a sequence is not a log position there; on SQLite there is one
//! writer, and a transaction writes to the log itself.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::{ConnectionTrait, DbBackend, Statement};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const TABLES: &str = r#"
CREATE TABLE event_log (
    seq BIGINT PRIMARY KEY,
    id UUID NOT NULL UNIQUE,
    aggregate_type TEXT NOT NULL,
    aggregate_id TEXT NOT NULL,
    aggregate_version BIGINT NOT NULL,
    event_type TEXT NOT NULL,
    channel_id UUID,
    order_id UUID,
    actor TEXT NOT NULL,
    correlation_id TEXT NOT NULL,
    payload JSONB NOT NULL,
    occurred_at TIMESTAMPTZ NOT NULL,
    UNIQUE (aggregate_type, aggregate_id, aggregate_version)
);

CREATE INDEX event_log_order ON event_log(order_id, seq) WHERE order_id IS NOT NULL;

CREATE TABLE sequencer (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    epoch UUID NOT NULL,
    last_seq BIGINT NOT NULL,
    floor_seq BIGINT NOT NULL
);
"#;

const OUTBOX: &str = r#"
CREATE TABLE outbox (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_id UUID NOT NULL UNIQUE,
    aggregate_type TEXT NOT NULL,
    aggregate_id TEXT NOT NULL,
    aggregate_version BIGINT NOT NULL,
    event_type TEXT NOT NULL,
    channel_id UUID,
    order_id UUID,
    actor TEXT NOT NULL,
    correlation_id TEXT NOT NULL,
    payload JSONB NOT NULL,
    occurred_at TIMESTAMPTZ NOT NULL,
    UNIQUE (aggregate_type, aggregate_id, aggregate_version)
) WITH (autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_scale_factor = 0);
"#;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    #[allow(
        clippy::disallowed_methods,
        reason = "an epoch is made where the log is"
    )]
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        crate::sql(manager, TABLES).await?;
        let backend = manager.get_database_backend();
        if backend == DbBackend::Postgres {
            crate::sql(manager, OUTBOX).await?;
        }
        manager
            .get_connection()
            .execute_raw(Statement::from_sql_and_values(
                backend,
                "INSERT INTO sequencer (id, epoch, last_seq, floor_seq) VALUES (1, $1, 0, 0)",
                [uuid::Uuid::new_v4().into()],
            ))
            .await?;
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        crate::sql(manager, "DROP TABLE sequencer;\nDROP TABLE event_log;\n").await?;
        if manager.get_database_backend() == DbBackend::Postgres {
            crate::sql(manager, "DROP TABLE outbox;\n").await?;
        }
        Ok(())
    }
}
