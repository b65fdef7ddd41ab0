//! C1: orders from files end in the same pipeline, once, and a bad row stops nobody else.

use std::collections::BTreeMap;
use std::path::PathBuf;

use api::access::Principal;
use api::app::{Imported, OrderFile};
use api::capture::import::northwind::Northwind;
use api::capture::import::record::{self, Begin, OrderFault};
use api::capture::import::{Fault, Tally, csv, jsonl};
use api::demo;
use api::failure::{Code, Problem};
use api::graphql::ids::to_global;
use entity::api_key::Role;
use entity::import::Status;
use entity::{
    customer, event_log, import, import_error, order, order_exception, order_line, outbox, stock,
    variant,
};
use sea_orm::{ActiveEnum, ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder};
use serde_json::{Value, json};
use support::{Backend, Ended, TestApp, both_backends};

both_backends!(
    c1_a_file_is_taken_once_and_its_bad_rows_are_recorded,
    c1_a_run_that_was_cut_off_is_finished_by_the_next,
    c1_the_same_orders_as_json_lines,
    c1_an_import_is_followed_to_its_end_and_its_errors_can_be_read,
    northwind_comes_in_whole_and_explained,
);

const FILE: &str = "\
external_reference,customer_name,email,ship_line1,ship_city,ship_postal_code,ship_country,\
sku,quantity,unit_price,payment_method,payment_token
F-1,Ann Gruber,ann@mail.example,Lindengasse 1,Wien,1070,AT,MUG-BLUE,2,14.90,CARD,tok_approve
F-1,,,,,,,TIN-S,1,9.90,,
F-2,Bob Huber,bob@mail.example,Lindengasse 2,Wien,1070,AT,MUG-BLUE,1,14.90,CARD,tok_approve
F-2,,,,,,,GHOST,1,1,,
F-3,Cid Wagner,cid@mail.example,Lindengasse 3,Wien,1070,Austria,MUG-BLUE,many,14.90,CARD,tok_approve
F-4,Dan Pichler,dan@mail.example,Lindengasse 4,Wien,1070,AT,MUG-BLUE,1,14.90,CARD,tok_approve
,Eve,eve@mail.example,Lindengasse 5,Wien,1070,AT,MUG-BLUE,1,14.90,CARD,tok_approve
F-1,Ann Gruber,ann@mail.example,Lindengasse 1,Wien,1070,AT,MUG-BLUE,2,14.90,CARD,tok_approve
";

fn file(format: &str) -> OrderFile {
    OrderFile {
        source: format!("orders.{format}"),
        format: format.to_owned(),
        channel: "web".to_owned(),
        parallel: 4,
    }
}

/// Imports rows of CSV, and says which were refused.
pub async fn import_csv(app: &TestApp, text: &str) -> (Imported, Vec<OrderFault>) {
    let mut faults = Vec::new();
    let imported = app
        .app
        .import_orders(
            &Principal::operator("import"),
            &file("csv"),
            csv::orders(text.as_bytes(), "web").unwrap(),
            |_, new| faults.extend_from_slice(new),
        )
        .await
        .unwrap();
    (imported, faults)
}

async fn c1_a_file_is_taken_once_and_its_bad_rows_are_recorded(app: &TestApp) {
    demo::seed(&app.app).await.unwrap();
    let (imported, faults) = import_csv(app, FILE).await;
    let tally = &imported.tally;
    assert_eq!((tally.processed, tally.accepted, tally.refused), (6, 2, 4));
    let seen: Vec<(u64, Option<&str>, String)> = faults
        .iter()
        .map(|(reference, fault)| (fault.row, reference.as_deref(), fault.problem.code.as_str()))
        .collect();
    let expected = [
        (5, Some("F-2"), "SKU_UNKNOWN"),
        (6, Some("F-3"), "QUANTITY_INVALID"),
        (8, None, "INVALID_INPUT"),
        (9, Some("F-1"), "EXTERNAL_REFERENCE_TAKEN"),
    ];
    assert_eq!(
        seen,
        expected.map(|(row, name, code)| (row, name, code.to_owned()))
    );

    let row = app.app.find_import(imported.id).await.unwrap().unwrap();
    assert_eq!(row.status, Status::Completed);
    assert_eq!(
        (row.processed, row.accepted, row.replayed, row.refused),
        (6, 2, 0, 4)
    );
    let recorded: Vec<(i64, String)> = import_error::Entity::find()
        .filter(import_error::Column::ImportId.eq(imported.id))
        .order_by_asc(import_error::Column::RowNumber)
        .all(&app.app.db.read)
        .await
        .unwrap()
        .into_iter()
        .map(|row| (row.row_number, row.code))
        .collect();
    assert_eq!(recorded.len(), 4);
    assert_eq!(recorded[0], (5, "SKU_UNKNOWN".to_owned()));

    let before = orders(app).await;
    let (again, _) = import_csv(app, FILE).await;
    assert_eq!(
        (
            again.tally.accepted,
            again.tally.replayed,
            again.tally.refused
        ),
        (0, 2, 4)
    );
    assert_eq!(orders(app).await, before);
}

async fn c1_a_run_that_was_cut_off_is_finished_by_the_next(app: &TestApp) {
    demo::seed(&app.app).await.unwrap();
    let begun = csv::orders(FILE.as_bytes(), "web").unwrap().take(1);
    let broken = begun.chain(std::iter::once(Err(api::capture::import::FileError(
        "the disk is gone".to_owned(),
    ))));
    let failed = app
        .app
        .import_orders(
            &Principal::operator("import"),
            &file("csv"),
            broken,
            |_, _| {},
        )
        .await;
    assert!(failed.is_err());
    let row = import::Entity::find()
        .one(&app.app.db.read)
        .await
        .unwrap()
        .unwrap();
    assert_eq!((row.status, row.accepted), (Status::Failed, 1));
    let (imported, _) = import_csv(app, FILE).await;
    assert_eq!((imported.tally.accepted, imported.tally.replayed), (1, 1));
}

async fn c1_the_same_orders_as_json_lines(app: &TestApp) {
    demo::seed(&app.app).await.unwrap();
    let order = |reference: &str, lines: &str| {
        format!(
            r#"{{"externalReference":"{reference}","customer":{{"name":"Ann","email":"a@mail.example"}},"lines":[{lines}],"shippingAddress":{{"line1":"Lindengasse 1","city":"Graz","postalCode":"8010","country":"AT"}},"payment":{{"method":"EXTERNAL"}}}}"#
        )
    };
    let mug = r#"{"sku":"mug blue","quantity":1,"unitPrice":14.90}"#;
    let text = [
        order("J-1", mug),
        order("J-2", ""),
        "{".to_owned(),
        order("J-1", mug),
    ]
    .join("\n");
    let mut rows = Vec::new();
    let imported = app
        .app
        .import_orders(
            &Principal::operator("import"),
            &OrderFile {
                parallel: 1,
                ..file("jsonl")
            },
            jsonl::orders(text.as_bytes(), "web"),
            |_, new| rows.extend(new.iter().map(|(_, fault)| (fault.row, fault.problem.code))),
        )
        .await
        .unwrap();
    let tally = imported.tally;
    assert_eq!((tally.accepted, tally.replayed, tally.refused), (1, 1, 2));
    assert_eq!(
        rows,
        [
            (2, api::failure::Code::LinesMissing),
            (3, api::failure::Code::InvalidInput)
        ]
    );
}

async fn c1_an_import_is_followed_to_its_end_and_its_errors_can_be_read(app: &TestApp) {
    demo::seed(&app.app).await.unwrap();
    let actor = &Principal::operator("import").actor;
    let begin = &Begin {
        source: "orders.csv".to_owned(),
        format: "csv".to_owned(),
        channel_id: app.channel("web").await.id,
    };
    let id = app
        .app
        .write(
            actor,
            move |tx| async move { record::begin(&tx, begin).await },
        )
        .await
        .unwrap();
    let global = to_global(id);
    let fields = "id source status processed accepted refused finishedAt channel { code }";
    let document = format!("subscription P($id: ID!) {{ importProgress(id: $id) {{ {fields} }} }}");
    let mut socket = app.socket().await;
    let stream = socket.subscribe(&document, json!({ "id": global })).await;
    let first = socket.next(&stream).await["importProgress"].take();
    assert_eq!(
        (
            &first["status"],
            &first["processed"],
            &first["channel"]["code"]
        ),
        (&json!("RUNNING"), &json!(0), &json!("web"))
    );
    let fault = |row: u64, code| {
        let problem = Problem::new(code, "as it is written").at("lines.0.sku");
        (Some(format!("F-{row}")), Fault { row, problem })
    };
    let faults = [fault(3, Code::SkuUnknown), fault(7, Code::QuantityInvalid)];
    for (processed, end) in [(100, None), (160, Some(Status::Completed))] {
        let tally = &Tally {
            processed,
            accepted: processed - 2,
            refused: 2,
            ..Tally::default()
        };
        let new = match end {
            None => &faults[..],
            Some(_) => &[],
        };
        app.app
            .write(actor, move |tx| async move {
                record::advance(&tx, id, tally, new, end).await
            })
            .await
            .unwrap();
        let now = socket.next(&stream).await["importProgress"].take();
        assert_eq!(now["processed"], processed, "{now:#}");
        assert_eq!(now["finishedAt"].is_null(), end.is_none());
    }
    assert_eq!(socket.event(&stream).await.unwrap_err(), Ended::Completed);

    let query = "query I($id: ID!) { orderImport(id: $id) { status
        errors(afterRow: 3) { rowNumber externalReference code field message } }
        orderImports(first: 1) { nodes { id } totalCount { count } } }";
    let read = app.gql(query, json!({ "id": global })).await;
    let expected = json!([{ "rowNumber": 7, "externalReference": "F-7",
        "code": "QUANTITY_INVALID", "field": "lines.0.sku", "message": "as it is written" }]);
    assert_eq!(read["orderImport"]["errors"], expected);
    assert_eq!(read["orderImport"]["status"], "COMPLETED");
    assert_eq!(read["orderImports"]["nodes"], json!([{ "id": global }]));

    // Who is confined to another channel finds neither the run nor its progress.
    let other = app.key_for(Role::Operations, &["b2b"], None).await.key;
    let hidden = app.gql_as(&other, query, json!({ "id": global })).await;
    assert_eq!(hidden["orderImport"], Value::Null);
    assert_eq!(hidden["orderImports"]["totalCount"]["count"], 0);
}

/// What every order of the company comes to by its own files, in cents.
pub fn totals(directory: &std::path::Path) -> BTreeMap<String, i64> {
    let read = |name: &str| -> Vec<BTreeMap<String, String>> {
        let text = std::fs::read_to_string(directory.join(name)).unwrap();
        let mut rows = text.lines();
        let names: Vec<&str> = rows.next().unwrap().split(',').collect();
        // Only columns before the first quoted text are asked for.
        rows.map(|row| {
            let fields = row.split(',').map(str::to_owned);
            names
                .iter()
                .map(|name| (*name).to_owned())
                .zip(fields)
                .collect()
        })
        .collect()
    };
    let scaled = |text: &str, digits: usize| -> i64 {
        let (whole, part) = text.split_once('.').unwrap_or((text, ""));
        format!("{whole}{part:0<digits$}").parse().unwrap()
    };
    let mut totals = BTreeMap::new();
    for order in read("orders.csv") {
        totals.insert(order["OrderID"].clone(), scaled(&order["Freight"], 2));
    }
    for line in read("order_details.csv") {
        let whole = scaled(&line["UnitPrice"], 2) * line["Quantity"].parse::<i64>().unwrap();
        let off = (whole * scaled(&line["Discount"], 2) + 50) / 100;
        *totals.get_mut(&line["OrderID"]).unwrap() += whole - off;
    }
    totals
}

/// Set `OMS_NORTHWIND` to the directory with the company's files; without it there is nothing to
/// check.
async fn northwind_comes_in_whole_and_explained(app: &TestApp) {
    let Some(directory) = std::env::var_os("OMS_NORTHWIND").map(PathBuf::from) else {
        eprintln!("OMS_NORTHWIND is not set: nothing to check");
        return;
    };
    let files = Northwind::read(&directory).unwrap();
    let operator = Principal::operator("import");
    let (customers, refused) = app.app.set_up_northwind(&operator, &files).await.unwrap();
    assert_eq!((customers.accepted, customers.refused), (91, 2));
    let broken: Vec<&str> = refused
        .iter()
        .filter_map(|(name, _)| name.as_deref())
        .collect();
    assert_eq!(broken, ["VALON", "VALON", "Val2", "Val2"]);
    assert!(
        refused
            .iter()
            .all(|(_, fault)| fault.problem.code.as_str() == "ADDRESS_INVALID")
    );

    // The first run breaks off after 300 orders.
    let begun = files.orders().take(300);
    let run = OrderFile {
        channel: "northwind".to_owned(),
        parallel: 1,
        ..file("northwind")
    };
    app.app
        .import_orders(&operator, &run, begun, |_, _| {})
        .await
        .unwrap();
    let imported = app
        .app
        .import_northwind(&operator, &files, |_, _| {})
        .await
        .unwrap();
    let tally = &imported.tally;
    assert_eq!(
        (tally.accepted, tally.replayed, tally.refused),
        (530, 300, 0)
    );

    let db = &app.app.db.read;
    let orders = order::Entity::find().all(db).await.unwrap();
    assert_eq!(orders.len(), 830);
    let expected = totals(&directory);
    for order in &orders {
        let name = order.external_reference.as_deref().unwrap();
        assert_eq!(order.total_minor, expected[name], "order {name}");
    }

    let lines = order_line::Entity::find().all(db).await.unwrap();
    assert_eq!(
        (lines.len(), lines.iter().map(|line| line.quantity).sum()),
        (2_155, 51_317_i64)
    );
    let flags = order_exception::Entity::find().all(db).await.unwrap();
    let flagged = |code: &str| -> Vec<&order_line::Model> {
        let found = flags.iter().filter(|flag| flag.code == code);
        found
            .filter_map(|flag| lines.iter().find(|line| Some(line.id) == flag.line_id))
            .collect()
    };
    let mismatches = flagged("PRICE_MISMATCH");
    assert_eq!(mismatches.len(), 658);
    let differs = |line: &&order_line::Model| Some(line.unit_price_minor) != line.list_price_minor;
    assert!(mismatches.iter().all(differs), "repriced");
    assert_eq!(lines.iter().filter(differs).count(), 658);
    let discontinued = flagged("SKU_DISCONTINUED");
    assert_eq!(discontinued.len(), 228);
    // No rates come with the data, so freight is taken as it is.
    assert!(!flags.iter().any(|flag| flag.code.starts_with("SHIPPING")));
    let held = |line: &order_line::Model| line.reserved + line.allocated + line.backordered;
    assert!(discontinued.iter().all(|line| held(line) == 0));

    let shelves = stock::Entity::find().all(db).await.unwrap();
    assert_eq!(shelves.iter().map(|row| row.on_hand).sum::<i64>(), 3_119);
    assert!(shelves.iter().all(|row| row.reserved <= row.on_hand));
    // What is left lies where nothing may be promised: on the shelves of discontinued products.
    let left = |row: &&stock::Model| row.reserved < row.on_hand;
    for row in shelves.iter().filter(left) {
        let variant = variant::Entity::find_by_id(row.variant_id)
            .one(db)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(
            variant.status,
            variant::Status::Discontinued,
            "{}",
            variant.sku
        );
    }

    let before = (self::orders(app).await, events(app).await);
    let (customers, _) = app.app.set_up_northwind(&operator, &files).await.unwrap();
    assert_eq!((customers.accepted, customers.replayed), (0, 91));
    let again = app
        .app
        .import_northwind(&operator, &files, |_, _| {})
        .await
        .unwrap();
    assert_eq!((again.tally.accepted, again.tally.replayed), (0, 830));
    assert_eq!((self::orders(app).await, events(app).await), before);
    assert_eq!(customer::Entity::find().count(db).await.unwrap(), 91);
}

/// Every order by its reference, with its stage and version.
async fn orders(app: &TestApp) -> BTreeMap<Option<String>, (String, i64)> {
    order::Entity::find()
        .all(&app.app.db.read)
        .await
        .unwrap()
        .into_iter()
        .map(|order| {
            (
                order.external_reference,
                (order.stage.to_value(), order.version),
            )
        })
        .collect()
}

async fn events(app: &TestApp) -> u64 {
    let db = &app.app.db.read;
    let logged = event_log::Entity::find().count(db).await.unwrap();
    match app.backend {
        Backend::Sqlite => logged,
        Backend::Postgres => logged + outbox::Entity::find().count(db).await.unwrap(),
    }
}
