//! Orders as JSON, one a line: each a [`Submission`] in camelCase, as `orderSubmit` takes it. The
//! channel may be left out.

use std::io::{BufRead, Read};

use serde_json::Value as Json;

use super::{Entry, Fault, FileError, LONGEST_ROW};
use crate::capture::Submission;
use crate::failure::{Code, Problem};

/// Reads orders line by line. Blank lines are skipped.
pub fn orders(
    mut file: impl BufRead,
    channel: &str,
) -> impl Iterator<Item = Result<Entry, FileError>> {
    let channel = channel.to_owned();
    let mut row = 0;
    let mut broken = false;
    std::iter::from_fn(move || {
        while !broken {
            row += 1;
            match read_line(&mut file) {
                Ok(None) => return None,
                Ok(Some(Line::Whole(line))) if line.trim_ascii().is_empty() => {}
                Ok(Some(Line::Whole(line))) => return Some(Ok(entry(row, &line, &channel))),
                Ok(Some(Line::TooLong)) => {
                    let message = format!("a line has at most {LONGEST_ROW} bytes");
                    return Some(Ok(refused(row, None, Problem::new(Code::TooMany, message))));
                }
                Err(error) => {
                    broken = true;
                    return Some(Err(FileError(format!("line {row}: {error}"))));
                }
            }
        }
        None
    })
}

enum Line {
    Whole(Vec<u8>),
    TooLong,
}

/// The next line, of which no more is kept than a line may have.
fn read_line(file: &mut impl BufRead) -> std::io::Result<Option<Line>> {
    let mut line = Vec::new();
    if file
        .by_ref()
        .take(LONGEST_ROW)
        .read_until(b'\n', &mut line)?
        == 0
    {
        return Ok(None);
    }
    let whole = line.ends_with(b"\n") || (line.len() as u64) < LONGEST_ROW;
    if whole {
        return Ok(Some(Line::Whole(line)));
    }
    loop {
        line.clear();
        let read = file
            .by_ref()
            .take(LONGEST_ROW)
            .read_until(b'\n', &mut line)?;
        if read == 0 || line.ends_with(b"\n") {
            return Ok(Some(Line::TooLong));
        }
    }
}

fn refused(row: u64, reference: Option<String>, problem: Problem) -> Entry {
    Entry {
        row,
        reference,
        submission: Err(vec![Fault { row, problem }]),
        line_rows: Vec::new(),
    }
}

fn entry(row: u64, line: &[u8], channel: &str) -> Entry {
    let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
    let mut order: Json = match serde_json::from_slice(line) {
        Ok(order) => order,
        Err(error) => {
            let column = error.column();
            let message = format!("it is no JSON (column {column})");
            return refused(row, None, Problem::new(Code::InvalidInput, message));
        }
    };
    // No text column takes it.
    if has_nul(&order) {
        let problem = Problem::new(Code::InvalidInput, "the order has a NUL character");
        return refused(row, None, problem);
    }
    let reference = order["externalReference"].as_str().map(str::to_owned);
    if let Some(fields) = order.as_object_mut() {
        fields
            .entry("channel")
            .or_insert_with(|| Json::from(channel));
    }
    match serde_json::from_value::<Submission>(order) {
        Ok(submission) => Entry {
            row,
            reference,
            submission: Ok(Box::new(submission)),
            line_rows: Vec::new(),
        },
        Err(error) => refused(
            row,
            reference,
            Problem::new(Code::InvalidInput, error.to_string()),
        ),
    }
}

fn has_nul(value: &Json) -> bool {
    match value {
        Json::String(text) => text.contains('\0'),
        Json::Array(items) => items.iter().any(has_nul),
        Json::Object(fields) => fields
            .iter()
            .any(|(name, value)| name.contains('\0') || has_nul(value)),
        _ => false,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const ORDER: &str = r#"{"externalReference":"R-1","customer":{"name":"A"},"lines":[{"sku":"X","quantity":2,"unitPrice":"9.90"}],"shippingAddress":{"line1":"1 High St","city":"Graz","country":"AT"},"payment":{"method":"EXTERNAL"}}"#;

    fn read(text: &str) -> Vec<Entry> {
        orders(text.as_bytes(), "web").map(Result::unwrap).collect()
    }

    #[test]
    fn c1_an_order_a_line_and_the_channel_from_outside_where_the_line_has_none() {
        let entries = read(&format!("\u{feff}{ORDER}\n\n{ORDER}"));
        assert_eq!(
            entries.iter().map(|entry| entry.row).collect::<Vec<_>>(),
            [1, 3]
        );
        let submission = entries[0].submission.as_ref().unwrap();
        assert_eq!(submission.channel, "web");
        assert_eq!(submission.lines[0].unit_price, "9.90".parse().ok());
        let other = ORDER.replacen('{', r#"{"channel":"b2b","#, 1);
        assert_eq!(read(&other)[0].submission.as_ref().unwrap().channel, "b2b");
    }

    #[test]
    fn c1_a_line_that_cannot_be_read_is_refused_by_itself_with_its_row() {
        let unknown = ORDER.replacen('{', r#"{"colour":"red","#, 1);
        let entries = read(&format!(
            "{{oops\n{unknown}\n[]\n{{\"externalReference\":\"a\\u0000\"}}\n{ORDER}\n"
        ));
        let codes: Vec<Option<(u64, Code)>> = entries
            .iter()
            .map(|entry| {
                let fault = entry.submission.as_ref().err()?.first()?;
                Some((fault.row, fault.problem.code))
            })
            .collect();
        let bad = |row| Some((row, Code::InvalidInput));
        assert_eq!(codes, [bad(1), bad(2), bad(3), bad(4), None]);
        assert_eq!(entries[1].reference.as_deref(), Some("R-1"));
    }

    #[test]
    fn c1_a_line_without_end_is_refused_and_the_next_one_is_read() {
        let long = "x".repeat(usize::try_from(LONGEST_ROW).unwrap() + 10);
        let entries = read(&format!("{long}\n{ORDER}\n"));
        let fault = &entries[0].submission.as_ref().unwrap_err()[0];
        assert_eq!((fault.row, fault.problem.code), (1, Code::TooMany));
        assert!(entries[1].submission.is_ok());
    }
}
