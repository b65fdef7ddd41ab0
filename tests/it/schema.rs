//! What is derived from the code, or must agree with it: the migrated tables are those of the
//! entities, on both back ends, and `schema.graphql` is the schema.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use api::db::Db;
use sea_orm::{DbBackend, QueryResult, Statement};
use support::{Backend, ExpectedColumn, Place, entities};

/// Where the repository is.
const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// The migrator's own table.
const MIGRATIONS: &str = "seaql_migrations";

/// Tables that only PostgreSQL has: its transactions commit side by side, so their events wait
/// for a position.
const POSTGRES_ONLY: &[&str] = &["outbox"];

type Tables = BTreeMap<String, BTreeSet<ExpectedColumn>>;

#[tokio::test(flavor = "multi_thread")]
async fn the_tables_on_sqlite_are_those_of_the_entities() {
    assert_same(Backend::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tables_on_postgres_are_those_of_the_entities() {
    assert_same(Backend::Postgres).await;
}

#[test]
fn every_entity_is_in_the_list() {
    let listed: BTreeSet<String> = entities()
        .into_iter()
        .map(|entity| entity.module.to_owned())
        .collect();
    let mut files = BTreeSet::new();
    for file in std::fs::read_dir(Path::new(ROOT).join("entity/src")).unwrap() {
        let path = file.unwrap().path();
        let source = std::fs::read_to_string(&path).unwrap();
        if source.contains("DeriveEntityModel") {
            files.insert(path.file_stem().unwrap().to_str().unwrap().to_owned());
        }
    }
    let differing: Vec<_> = listed.symmetric_difference(&files).collect();
    assert!(
        differing.is_empty(),
        "in entity/src or in tests/support/entities.rs, but not in both: {differing:?}"
    );
}

#[test]
fn the_schema_file_is_the_schema() {
    let schema = api::graphql::sdl();
    let file = Path::new(ROOT).join("schema.graphql");
    let written = std::fs::read_to_string(&file).unwrap_or_default();
    if written == schema {
        return;
    }
    let line = written
        .lines()
        .zip(schema.lines())
        .take_while(|(written, schema)| written == schema)
        .count();
    panic!(
        "schema.graphql is not what the code says, from line {} on:\n  file: {}\n  code: {}\n\
         run: cargo run -- schema > schema.graphql",
        line + 1,
        written.lines().nth(line).unwrap_or("(its end)"),
        schema.lines().nth(line).unwrap_or("(its end)"),
    );
}

async fn assert_same(backend: Backend) {
    let Some(place) = Place::empty(backend).await else {
        return;
    };
    let db = Db::connect(&place.database()).await.unwrap();
    db.migrate().await.unwrap();
    let mut found = match db.backend {
        DbBackend::Postgres => postgres_tables(&db).await,
        _ => sqlite_tables(&db).await,
    };
    db.close().await.unwrap();
    place.remove().await;

    assert!(found.remove(MIGRATIONS).is_some(), "no {MIGRATIONS}");
    let mut expected: Tables = entities()
        .into_iter()
        .map(|entity| (entity.name, entity.columns.into_iter().collect()))
        .collect();
    if backend == Backend::Sqlite {
        for table in POSTGRES_ONLY {
            expected.remove(*table).expect("an entity's table");
        }
    }

    let mut differences = Vec::new();
    let names: BTreeSet<_> = expected.keys().chain(found.keys()).collect();
    for name in names {
        match (expected.get(name), found.get(name)) {
            (Some(_), None) => differences.push(format!("{name}: an entity without a table")),
            (None, Some(_)) => differences.push(format!("{name}: a table without an entity")),
            (Some(expected), Some(found)) => {
                let entity = expected.difference(found).map(|column| ("entity", column));
                let table = found.difference(expected).map(|column| ("table", column));
                differences.extend(entity.chain(table).map(|(who, column)| {
                    let null = if column.nullable { "NULL" } else { "NOT NULL" };
                    let key = if column.key { " (key)" } else { "" };
                    format!("{name}: only the {who} has {} {null}{key}", column.name)
                }));
            }
            (None, None) => {}
        }
    }
    assert!(
        differences.is_empty(),
        "{backend}:\n{}",
        differences.join("\n")
    );
}

async fn sqlite_tables(db: &Db) -> Tables {
    // A key that is no INTEGER may be null there unless it is said otherwise, for history's sake;
    // the app never writes one.
    let sql = r#"
        SELECT t.name AS table_name, c.name AS column_name,
            c."notnull" = 0 AND c.pk = 0 AS nullable, c.pk > 0 AS key
        FROM sqlite_schema t JOIN pragma_table_info(t.name) c
        WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite_%'"#;
    tables(rows(db, sql).await)
}

async fn postgres_tables(db: &Db) -> Tables {
    let sql = r#"
        SELECT c.table_name::text AS table_name, c.column_name::text AS column_name,
            c.is_nullable = 'YES' AS nullable, EXISTS (
                SELECT FROM information_schema.table_constraints t
                JOIN information_schema.key_column_usage k
                    USING (constraint_schema, constraint_name, table_name)
                WHERE t.constraint_type = 'PRIMARY KEY' AND t.table_schema = c.table_schema
                    AND t.table_name = c.table_name AND k.column_name = c.column_name) AS key
        FROM information_schema.columns c
        WHERE c.table_schema = 'public'"#;
    tables(rows(db, sql).await)
}

async fn rows(db: &Db, sql: &str) -> Vec<QueryResult> {
    let statement = Statement::from_string(db.backend, sql);
    sea_orm::ConnectionTrait::query_all_raw(&db.read, statement)
        .await
        .unwrap()
}

fn tables(rows: Vec<QueryResult>) -> Tables {
    let mut tables = Tables::new();
    for row in rows {
        let table: String = row.try_get("", "table_name").unwrap();
        tables.entry(table).or_default().insert(ExpectedColumn {
            name: row.try_get("", "column_name").unwrap(),
            nullable: row.try_get("", "nullable").unwrap(),
            key: row.try_get("", "key").unwrap(),
        });
    }
    tables
}
