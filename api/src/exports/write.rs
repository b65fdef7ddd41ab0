//! Rows as text: CSV by RFC 4180 for spreadsheets, JSON lines for programs.

use chrono::{DateTime, NaiveDate, SecondsFormat, Utc};
use entity::TimeZone;
use entity::export::Format;
use serde_json::{Map, Value as Json};

use crate::failure::Failure;

/// What is in one column of one row.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    /// Nothing.
    Nothing,
    /// Words.
    Text(String),
    /// A whole number.
    Whole(i64),
    /// An exact decimal: an amount or a rate.
    Exact(String),
    /// Yes or no.
    Flag(bool),
    /// A moment.
    At(DateTime<Utc>),
    /// A day.
    Day(NaiveDate),
}

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holds {
    /// Anything else.
    Plain,
    /// Personal data.
    Personal,
    /// Moments; where a time zone is given, a column with its local times follows.
    Moments,
}

/// A column, and how it is read from what was found.
pub struct Column<R: 'static> {
    /// Its name.
    pub name: &'static str,
    /// What it holds.
    pub holds: Holds,
    /// Reads it.
    pub read: fn(&R) -> Cell,
}

/// How rows are written.
#[derive(Clone, Copy, Debug)]
pub struct Manner {
    /// In which format.
    pub format: Format,
    /// Whether columns with personal data are.
    pub personal: bool,
    /// Whose local times are.
    pub time_zone: Option<TimeZone>,
    /// Whether the names of the columns come first, where the format has such a line.
    pub header: bool,
}

/// Writes rows, each as a whole line.
pub fn write<R>(columns: &[Column<R>], rows: &[R], how: Manner) -> Result<Vec<u8>, Failure> {
    let columns = columns
        .iter()
        .filter(|column| how.personal || column.holds != Holds::Personal);
    let columns: Vec<&Column<R>> = columns.collect();
    match how.format {
        Format::Csv => csv(&columns, rows, how),
        Format::Jsonl => Ok(jsonl(&columns, rows, how)),
    }
}

fn csv<R>(columns: &[&Column<R>], rows: &[R], how: Manner) -> Result<Vec<u8>, Failure> {
    let fault = |error: csv::Error| Failure::Internal(format!("a line of CSV: {error}"));
    let mut lines = csv::WriterBuilder::new()
        .terminator(csv::Terminator::CRLF)
        .from_writer(Vec::new());
    if how.header {
        let names = columns.iter().flat_map(|column| {
            let local = local_name(column, how);
            std::iter::once(column.name.to_owned()).chain(local)
        });
        lines.write_record(names).map_err(fault)?;
    }
    for row in rows {
        for column in columns {
            let cell = (column.read)(row);
            let local = local_name(column, how).map(|_| local(&cell, how));
            lines.write_field(plain(cell)).map_err(fault)?;
            if let Some(local) = local {
                lines
                    .write_field(local.unwrap_or_default())
                    .map_err(fault)?;
            }
        }
        lines.write_record(None::<&[u8]>).map_err(fault)?;
    }
    lines
        .into_inner()
        .map_err(|error| Failure::Internal(format!("a line of CSV: {error}")))
}

fn jsonl<R>(columns: &[&Column<R>], rows: &[R], how: Manner) -> Vec<u8> {
    let mut lines = Vec::new();
    for row in rows {
        let mut object = Map::new();
        for column in columns {
            let cell = (column.read)(row);
            if let Some(name) = local_name(column, how) {
                object.insert(name, local(&cell, how).into());
            }
            let value = match cell {
                Cell::Nothing => Json::Null,
                Cell::Whole(number) => number.into(),
                Cell::Flag(flag) => flag.into(),
                Cell::Text(text) => text.into(),
                cell => plain(cell).into(),
            };
            object.insert(column.name.to_owned(), value);
        }
        lines.extend(Json::Object(object).to_string().bytes());
        lines.push(b'\n');
    }
    lines
}

/// What the column with a column's local times is called, if there is one.
fn local_name<R>(column: &Column<R>, how: Manner) -> Option<String> {
    let has = column.holds == Holds::Moments && how.time_zone.is_some();
    has.then(|| format!("{}Local", column.name))
}

/// What clocks show at a moment in the time zone.
fn local(cell: &Cell, how: Manner) -> Option<String> {
    let Cell::At(at) = cell else { return None };
    let local = how.time_zone?.local(*at);
    Some(local.format("%Y-%m-%dT%H:%M:%S%.f").to_string())
}

/// A cell as text. Words that a spreadsheet would run as a formula get an apostrophe before them.
fn plain(cell: Cell) -> String {
    match cell {
        Cell::Nothing => String::new(),
        Cell::Text(text) if text.starts_with(['=', '+', '-', '@', '\t', '\r']) => {
            format!("'{text}")
        }
        Cell::Text(text) | Cell::Exact(text) => text,
        Cell::Whole(number) => number.to_string(),
        Cell::Flag(flag) => flag.to_string(),
        Cell::At(at) => at.to_rfc3339_opts(SecondsFormat::AutoSi, true),
        Cell::Day(day) => day.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const COLUMNS: &[Column<(String, i64)>] = &[
        Column {
            name: "words",
            holds: Holds::Personal,
            read: |row| Cell::Text(row.0.clone()),
        },
        Column {
            name: "amount",
            holds: Holds::Plain,
            read: |row| Cell::Exact(row.1.to_string()),
        },
        Column {
            name: "at",
            holds: Holds::Moments,
            read: |_| Cell::At(DateTime::UNIX_EPOCH),
        },
    ];

    fn how(format: Format) -> Manner {
        Manner {
            format,
            personal: true,
            time_zone: None,
            header: true,
        }
    }

    fn written(rows: &[(String, i64)], how: Manner) -> String {
        String::from_utf8(write(COLUMNS, rows, how).unwrap()).unwrap()
    }

    #[test]
    fn j4_a_line_has_its_names_its_local_times_and_no_more_than_may_be_seen() {
        let rows = [("a \"b\", c".to_owned(), -5)];
        let mut how = how(Format::Csv);
        assert_eq!(
            written(&rows, how),
            "words,amount,at\r\n\"a \"\"b\"\", c\",-5,1970-01-01T00:00:00Z\r\n"
        );
        how.personal = false;
        how.time_zone = Some("Europe/Vienna".parse().unwrap());
        assert_eq!(
            written(&rows, how),
            "amount,at,atLocal\r\n-5,1970-01-01T00:00:00Z,1970-01-01T01:00:00\r\n"
        );
        how.header = false;
        assert_eq!(written(&[], how), "");
    }

    #[test]
    fn j4_formulas_do_not_run_in_spreadsheets_and_are_exact_in_json() {
        for text in ["=1+1", "+43 1", "-x", "@a", "\tx", "\rx"] {
            let rows = [(text.to_owned(), -5)];
            let mut lines = csv::Reader::from_reader(
                written(&rows, how(Format::Csv)).into_bytes().leak() as &[u8],
            );
            let line = lines.records().next().unwrap().unwrap();
            assert_eq!((&line[0], &line[1]), (&*format!("'{text}"), "-5"));
            let line: Json = serde_json::from_str(&written(&rows, how(Format::Jsonl))).unwrap();
            assert_eq!(line["words"], text);
        }
    }

    proptest! {
        #[test]
        fn j4_any_words_come_back(words in any::<String>()) {
            let rows = [(words.clone(), 7)];
            let text = written(&rows, how(Format::Csv));
            let line = csv::Reader::from_reader(text.as_bytes()).records().next().unwrap().unwrap();
            prop_assert_eq!(line[0].trim_start_matches('\''), words.trim_start_matches('\''));
            let text = written(&rows, how(Format::Jsonl));
            prop_assert_eq!(text.matches('\n').count(), 1);
            let line: Json = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(&line["words"], &words);
        }
    }
}
