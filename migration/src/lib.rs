//! The schema of OMS, step by step. Each step spells its own SQL and never looks at the entities,
//! so that an old step stays what it was when the entities move on.
//!
//! The SQL is written once, in PostgreSQL's words; [`sql`] turns the few type names that SQLite
//! does not share into its own.

pub use sea_orm_migration::MigratorTrait;
use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::{ConnectionTrait, DbBackend};

mod m20261123_000001_catalogue;
mod m20261123_000002_customers;
mod m20261123_000003_orders;
mod m20261123_000004_inventory;
mod m20261123_000005_payments;
mod m20261123_000006_events;
mod m20261123_000007_operations;
mod m20261123_000008_stock_without_incoming;
mod m20261123_000009_queues;
mod m20261123_000010_voids;
mod m20261123_000011_exception_queue;
mod m20261123_000012_stages;
mod m20261123_000013_bulk;
mod m20261123_000014_exception_rules;
mod m20261123_000015_finding;
mod m20261123_000016_stock_sources;
mod m20261123_000017_trace_parent;
mod m20261123_000018_fulfillment;
mod m20261123_000019_documents;
mod m20261123_000020_messages;
mod m20261123_000021_carriers;
mod m20261123_000022_tracking;
mod m20261123_000023_captures;
mod m20261123_000024_invoices;
mod m20261123_000025_origins;
mod m20261123_000026_figures;
mod m20261123_000027_archive;
mod m20261123_000028_settlements;
mod m20261123_000029_exports;
mod m20261123_000030_audit;
mod m20261124_000031_finance;
mod m20261124_000032_erasure;
mod m20261124_000033_returns;

/// Every step, oldest first.
pub struct Migrator;

impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m20261123_000001_catalogue::Migration),
            Box::new(m20261123_000002_customers::Migration),
            Box::new(m20261123_000003_orders::Migration),
            Box::new(m20261123_000004_inventory::Migration),
            Box::new(m20261123_000005_payments::Migration),
            Box::new(m20261123_000006_events::Migration),
            Box::new(m20261123_000007_operations::Migration),
            Box::new(m20261123_000008_stock_without_incoming::Migration),
            Box::new(m20261123_000009_queues::Migration),
            Box::new(m20261123_000010_voids::Migration),
            Box::new(m20261123_000011_exception_queue::Migration),
            Box::new(m20261123_000012_stages::Migration),
            Box::new(m20261123_000013_bulk::Migration),
            Box::new(m20261123_000014_exception_rules::Migration),
            Box::new(m20261123_000015_finding::Migration),
            Box::new(m20261123_000016_stock_sources::Migration),
            Box::new(m20261123_000017_trace_parent::Migration),
            Box::new(m20261123_000018_fulfillment::Migration),
            Box::new(m20261123_000019_documents::Migration),
            Box::new(m20261123_000020_messages::Migration),
            Box::new(m20261123_000021_carriers::Migration),
            Box::new(m20261123_000022_tracking::Migration),
            Box::new(m20261123_000023_captures::Migration),
            Box::new(m20261123_000024_invoices::Migration),
            Box::new(m20261123_000025_origins::Migration),
            Box::new(m20261123_000026_figures::Migration),
            Box::new(m20261123_000027_archive::Migration),
            Box::new(m20261123_000028_settlements::Migration),
            Box::new(m20261123_000029_exports::Migration),
            Box::new(m20261123_000030_audit::Migration),
            Box::new(m20261124_000031_finance::Migration),
            Box::new(m20261124_000032_erasure::Migration),
            Box::new(m20261124_000033_returns::Migration),
        ]
    }
}

/// SQLite's name for each type that it does not share with PostgreSQL. Its integers, texts and
/// blobs are what the drivers read and write there.
const SQLITE_TYPES: &[(&str, &str)] = &[
    (" UUID", " BLOB"),
    (" TIMESTAMPTZ", " TEXT"),
    (" JSONB", " TEXT"),
    (" BYTEA", " BLOB"),
    (" CHAR(3)", " TEXT"),
    (" CHAR(2)", " TEXT"),
    // What lets PostgreSQL search for beginnings by an index whatever its language.
    (" text_pattern_ops", ""),
];

/// Runs statements written in PostgreSQL's words, on either back end. Statements end with `;` at
/// the end of a line.
async fn sql(manager: &SchemaManager<'_>, script: &str) -> Result<(), DbErr> {
    let mut script = script.to_owned();
    if manager.get_database_backend() == DbBackend::Sqlite {
        for (postgres, sqlite) in SQLITE_TYPES {
            script = script.replace(postgres, sqlite);
        }
    }
    for statement in script.split(";\n").filter(|text| !text.trim().is_empty()) {
        manager
            .get_connection()
            .execute_unprepared(statement)
            .await?;
    }
    Ok(())
}

/// Declares one step from its SQL, and either the tables that it makes or the SQL that undoes it.
macro_rules! step {
    ($up:expr, [$($table:expr),+ $(,)?]) => {
        crate::step!($up, concat!($("DROP TABLE \"", $table, "\";\n"),+));
    };
    ($up:expr, $down:expr) => {
        use sea_orm_migration::prelude::*;

        #[derive(DeriveMigrationName)]
        pub(crate) struct Migration;

        #[async_trait::async_trait]
        impl MigrationTrait for Migration {
            async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
                crate::sql(manager, $up).await
            }

            async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
                crate::sql(manager, $down).await
            }
        }
    };
}
use step;
