//! Every entity, and what its table must look like.

use sea_orm::{ColumnTrait, EntityName, Iterable, PrimaryKeyToColumn};

/// A table as its entity sees it.
#[derive(Clone, Debug)]
pub struct ExpectedTable {
    /// The entity's file in `entity/src`, without its ending.
    pub module: &'static str,
    /// The table.
    pub name: String,
    /// Its columns.
    pub columns: Vec<ExpectedColumn>,
}

/// A column as its entity sees it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ExpectedColumn {
    /// Its name.
    pub name: String,
    /// Whether it may be null.
    pub nullable: bool,
    /// Whether it is part of the primary key.
    pub key: bool,
}

macro_rules! entities {
    ($($module:ident),+ $(,)?) => {
        /// Every entity. A new one is added here; a guard compares the list with the files.
        pub fn entities() -> Vec<ExpectedTable> {
            vec![$(table(
                stringify!($module),
                entity::$module::Entity.table_name(),
                entity::$module::Column::iter(),
                entity::$module::PrimaryKey::iter().map(PrimaryKeyToColumn::into_column),
            )),+]
        }
    };
}

entities!(
    address,
    api_key,
    archived_order,
    archived_part,
    backorder,
    bin,
    bin_stock,
    bulk_operation,
    bulk_row,
    carrier,
    carrier_rate,
    carrier_service,
    carrier_surcharge,
    carrier_zone,
    carton,
    channel,
    channel_warehouse,
    charge,
    counter,
    customer,
    customer_group,
    customer_payment,
    dispute,
    document,
    document_content,
    document_secret,
    event_log,
    exception_rule,
    export,
    export_part,
    fulfillment_line,
    fulfillment_order,
    gateway_terms,
    hold,
    idempotency,
    import,
    import_error,
    inbound_supply,
    invoice,
    invoice_line,
    invoice_series,
    invoice_standing,
    job,
    label,
    ledger_entry,
    legal_entity,
    legal_entity_channel,
    listing,
    message,
    message_attempt,
    message_template,
    note,
    order,
    order_exception,
    order_line,
    order_tag,
    outbox,
    package,
    package_line,
    payment,
    payment_allocation,
    payment_transaction,
    pick_list,
    pick_task,
    postal_code,
    price,
    price_list,
    product,
    projection,
    promotion,
    promotion_use,
    refund,
    refund_line,
    report_figure,
    request_origin,
    reservation,
    return_line,
    return_order,
    return_unit,
    saved_view,
    scan,
    sequencer,
    settlement,
    settlement_difference,
    settlement_error,
    settlement_format,
    settlement_line,
    shipment,
    shipping_rate,
    shipping_zone,
    stage_tally,
    stock,
    stock_drift,
    stock_movement,
    stock_source,
    stock_source_warehouse,
    stock_statement,
    tax_rate,
    tracking_event,
    tracking_poll,
    variant,
    variant_code,
    variant_cost,
    warehouse,
    wave,
);

fn table<C: ColumnTrait>(
    module: &'static str,
    name: &str,
    columns: impl Iterator<Item = C>,
    keys: impl Iterator<Item = C>,
) -> ExpectedTable {
    let keys: Vec<_> = keys.map(|key| key.as_str().to_owned()).collect();
    let columns = columns
        .map(|column| ExpectedColumn {
            name: column.as_str().to_owned(),
            nullable: column.def().is_null(),
            key: keys.iter().any(|key| key == column.as_str()),
        })
        .collect();
    ExpectedTable {
        module,
        name: name.to_owned(),
        columns,
    }
}
