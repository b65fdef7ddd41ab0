//! What says who somebody is may be taken out of what is otherwise kept as it was: of invoices who
//! bought and where it went, of archived orders a channel's name that names a person, of payments on
//! account what the payer wrote.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DbBackend;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

/// What of an invoice never changes.
const ISSUED: &str = "id, kind, legal_entity_id, number, name, order_id, channel_id, shipment_id, \
    corrects_id, payment, due_on, currency, seller, language, net_minor, tax_minor, \
    rounding_minor, total_minor, issued_on, supplied_on, issued_at";

/// What of an order that was put away never changes.
const ARCHIVED: &str = "id, number, channel_id, fingerprint, status, stage, payment_method, \
    gateway, currency, total_minor, authorized_minor, captured_minor, refunded_minor, \
    invoiced_minor, units_shipped, version, split_from_order_id, placed_at, received_at, \
    closed_at, archived_at";

/// What of a payment on account never changes.
const PAID: &str = "id, customer_id, currency, amount_minor, received_at, recorded_at, recorded_by";

/// Each table with what of it is kept now, what was kept before, why a change is refused, and the
/// function that refuses it.
const KEPT: [(&str, &str, &str, &str, &str); 3] = [
    (
        "invoice",
        ISSUED,
        "",
        "what was issued or posted stays as it is",
        "refuse_change",
    ),
    (
        "archived_order",
        ARCHIVED,
        "external_reference",
        "an order that was put away stays as it is",
        "refuse_archived_change",
    ),
    (
        "customer_payment",
        PAID,
        "",
        "what was issued or posted stays as it is",
        "refuse_change",
    ),
];

/// Puts the triggers up anew.
async fn keep(manager: &SchemaManager<'_>, now: bool) -> Result<(), DbErr> {
    let sqlite = manager.get_database_backend() == DbBackend::Sqlite;
    let connection = manager.get_connection();
    for (table, columns, more, why, function) in KEPT {
        let name = format!("{table}_is_kept_from_update");
        let of = match (now, more) {
            (true, _) => format!("OF {columns}"),
            (false, "") => String::new(),
            (false, more) => format!("OF {columns}, {more}"),
        };
        let (drop, does) = match sqlite {
            true => (
                format!("DROP TRIGGER {name}"),
                format!("BEGIN SELECT RAISE(ABORT, '{why}'); END"),
            ),
            false => (
                format!("DROP TRIGGER {name} ON {table}"),
                format!("FOR EACH ROW EXECUTE FUNCTION {function}()"),
            ),
        };
        connection.execute_unprepared(&drop).await?;
        let make = format!("CREATE TRIGGER {name} BEFORE UPDATE {of} ON {table} {does}");
        connection.execute_unprepared(&make).await?;
    }
    Ok(())
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        keep(manager, true).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        keep(manager, false).await
    }
}
