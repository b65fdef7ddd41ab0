//! Orders from files: what a file gives, order by order, before the pipeline sees it.
//!
//! [`csv`] and [`jsonl`] read the two formats, [`northwind`] maps one particular data set, and
//! [`record`] writes down what became of a run. A reader holds one order at a time, whatever the
//! size of the file; an order that cannot be read is refused by itself, with its row, and the
//! others flow. Nothing here takes an order: that is the pipeline's, the same as for the API.

use std::collections::BTreeMap;

use super::Submission;
use crate::failure::Problem;

pub mod csv;
pub mod jsonl;
pub mod northwind;
pub mod record;

/// The longest line of a JSONL file and the longest row of a CSV file, in bytes: an order of 5,000
/// lines fits several times.
pub const LONGEST_ROW: u64 = 8 << 20;

/// An order as a file has it.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The row that it begins in, from 1.
    pub row: u64,
    /// Its reference, if it could be read.
    pub reference: Option<String>,
    /// What it says, or why it cannot be understood.
    pub submission: Result<Box<Submission>, Vec<Fault>>,
    /// The row of each of its lines, if they have rows of their own.
    pub line_rows: Vec<u64>,
}

impl Entry {
    /// Where a refusal of the pipeline belongs: the row of the line that it is about, else the
    /// row that the order begins in.
    pub fn place(&self, problem: Problem) -> Fault {
        let line = problem.field.as_ref().and_then(|path| {
            let at = path.iter().position(|part| part == "lines")?;
            path.get(at + 1)?.parse::<usize>().ok()
        });
        let row = line
            .and_then(|line| self.line_rows.get(line))
            .copied()
            .unwrap_or(self.row);
        Fault { row, problem }
    }
}

/// Something that is wrong with a row.
#[derive(Clone, Debug, PartialEq)]
pub struct Fault {
    /// The row, from 1.
    pub row: u64,
    /// What is wrong.
    pub problem: Problem,
}

/// A file that cannot be read, or not any further.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct FileError(pub String);

/// What became of a file's orders so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Orders read.
    pub processed: u64,
    /// Orders taken, flagged ones included.
    pub accepted: u64,
    /// Orders that were there already.
    pub replayed: u64,
    /// Orders refused.
    pub refused: u64,
    /// How often each code refused, several to an order where it has several faults.
    pub codes: BTreeMap<String, u64>,
}

impl Tally {
    /// Counts an order that was taken, now or before.
    pub fn take(&mut self, replayed: bool) {
        self.processed += 1;
        if replayed {
            self.replayed += 1;
        } else {
            self.accepted += 1;
        }
    }

    /// Counts an order that was refused.
    pub fn refuse<'a>(&mut self, faults: impl Iterator<Item = &'a Fault>) {
        self.processed += 1;
        self.refused += 1;
        for fault in faults {
            *self.codes.entry(fault.problem.code.as_str()).or_default() += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Code;

    #[test]
    fn c1_a_refusal_about_a_line_points_at_the_lines_own_row() {
        let entry = Entry {
            row: 7,
            reference: None,
            submission: Err(Vec::new()),
            line_rows: vec![7, 8, 9],
        };
        let row = |path: &str| entry.place(Problem::new(Code::SkuUnknown, "").at(path)).row;
        assert_eq!(row("input.lines.2.sku"), 9);
        assert_eq!(row("input.lines.12.sku"), 7);
        assert_eq!(row("input.lines"), 7);
        assert_eq!(row("input.customer.email"), 7);
    }
}
