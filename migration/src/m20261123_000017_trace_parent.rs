//! The trace in which an event was written, so that it goes on to those who are sent the event.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DbBackend;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

/// SQLite has no outbox.
fn tables(manager: &SchemaManager<'_>) -> &'static [&'static str] {
    match manager.get_database_backend() {
        DbBackend::Postgres => &["event_log", "outbox"],
        _ => &["event_log"],
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in tables(manager) {
            let add = format!("ALTER TABLE {table} ADD COLUMN trace_parent TEXT;\n");
            crate::sql(manager, &add).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in tables(manager) {
            let drop = format!("ALTER TABLE {table} DROP COLUMN trace_parent;\n");
            crate::sql(manager, &drop).await?;
        }
        Ok(())
    }
}
