//! Orders as comma-separated values: one line of an order a row, the rows of one order one after
//! another under the same reference.
//!
//! | column | what it is |
//! |---|---|
//! | `external_reference` | the order's name at the channel; needed in every row |
//! | `placed_at` | RFC 3339, `YYYY-MM-DD hh:mm:ss` (UTC) or `YYYY-MM-DD` |
//! | `currency` | ISO 4217; the channel's if blank |
//! | `customer_code`, `customer_name`, `email`, `phone` | who orders |
//! | `ship_name`, `ship_organisation`, `ship_line1`, `ship_line2`, `ship_city`, `ship_region`, `ship_postal_code`, `ship_country` | where it goes |
//! | `sku`, `quantity`, `unit_price`, `discount`, `title` | the line; `discount` is off the whole line |
//! | `shipping_charge`, `total` | what the channel charged |
//! | `promotion_codes` | separated by blanks |
//! | `service_level` | `STANDARD` if blank |
//! | `payment_method`, `payment_token` | `CARD`, `ACCOUNT` or `EXTERNAL`; a card needs its token |
//!
//! The first row names the columns, in any order; `external_reference`, `sku`, `quantity` and
//! `payment_method` must be among them. What belongs to the whole order stands in its first row,
//! and may be repeated or left blank in the others; a row that says something else is a fault. Row
//! numbers are those of the file, in which the names are row 1.

use std::collections::BTreeMap;
use std::io::Read;

use ::csv::{ByteRecord, Reader, ReaderBuilder};
use chrono::{DateTime, NaiveDate, NaiveDateTime, Utc};
use entity::order::PaymentMethod;
use rust_decimal::Decimal;

use super::{Entry, Fault, FileError};
use crate::capture::Submission;
use crate::capture::check::MOST_LINES;
use crate::capture::submission::{
    SubmittedAddress, SubmittedCustomer, SubmittedLine, SubmittedPayment,
};
use crate::failure::{Code, Problem};

/// Each column of the whole order, with its place in a submission.
const OF_THE_ORDER: &[(&str, &str)] = &[
    ("external_reference", "externalReference"),
    ("placed_at", "placedAt"),
    ("currency", "currency"),
    ("customer_code", "customer.code"),
    ("customer_name", "customer.name"),
    ("email", "customer.email"),
    ("phone", "customer.phone"),
    ("ship_name", "shippingAddress.name"),
    ("ship_organisation", "shippingAddress.organisation"),
    ("ship_line1", "shippingAddress.line1"),
    ("ship_line2", "shippingAddress.line2"),
    ("ship_city", "shippingAddress.city"),
    ("ship_region", "shippingAddress.region"),
    ("ship_postal_code", "shippingAddress.postalCode"),
    ("ship_country", "shippingAddress.country"),
    ("shipping_charge", "shippingCharge"),
    ("total", "total"),
    ("promotion_codes", "promotionCodes"),
    ("service_level", "serviceLevel"),
    ("payment_method", "payment.method"),
    ("payment_token", "payment.token"),
];

/// Each column of a line.
const OF_A_LINE: &[&str] = &["sku", "quantity", "unit_price", "discount", "title"];

/// The columns without which no order can be read.
const NEEDED: &[&str] = &["external_reference", "sku", "quantity", "payment_method"];

/// How many faults of one order are kept.
const MOST_FAULTS: usize = 100;

/// Reads orders one by one. An `Err` at once means that the columns are not ours.
pub fn orders<R: Read>(file: R, channel: &str) -> Result<Orders<R>, FileError> {
    // Rows of another length are ours to refuse, one by one.
    let mut reader = ReaderBuilder::new().flexible(true).from_reader(file);
    let names = reader.byte_headers().map_err(unreadable)?.clone();
    Ok(Orders {
        reader,
        columns: Columns::read(&names)?,
        channel: channel.to_owned(),
        ahead: None,
        ended: false,
    })
}

fn unreadable(error: ::csv::Error) -> FileError {
    FileError(error.to_string())
}

/// The orders of a file.
pub struct Orders<R> {
    reader: Reader<R>,
    columns: Columns,
    channel: String,
    ahead: Option<Row>,
    ended: bool,
}

/// Where each column stands.
struct Columns {
    at: BTreeMap<&'static str, usize>,
    count: usize,
}

impl Columns {
    fn read(names: &ByteRecord) -> Result<Columns, FileError> {
        let known = OF_THE_ORDER
            .iter()
            .map(|(name, _)| *name)
            .chain(OF_A_LINE.iter().copied());
        let known: Vec<&'static str> = known.collect();
        let mut at = BTreeMap::new();
        for (place, name) in names.iter().enumerate() {
            let text = String::from_utf8_lossy(name);
            let text = text.trim_start_matches('\u{feff}').trim().to_lowercase();
            let Some(column) = known.iter().find(|column| **column == text) else {
                return Err(FileError(format!(
                    "there is no column {text:?}; the columns are {}",
                    known.join(", ")
                )));
            };
            if at.insert(*column, place).is_some() {
                return Err(FileError(format!("the column {text:?} is there twice")));
            }
        }
        match NEEDED.iter().find(|column| !at.contains_key(**column)) {
            Some(missing) => Err(FileError(format!("the column {missing:?} is missing"))),
            None => Ok(Columns {
                at,
                count: names.len(),
            }),
        }
    }

    fn get<'r>(&self, fields: &'r [String], column: &str) -> Option<&'r str> {
        let text = fields.get(*self.at.get(column)?)?.trim();
        (!text.is_empty()).then_some(text)
    }
}

/// A row, as far as it could be read.
struct Row {
    number: u64,
    reference: Option<String>,
    fields: Result<Vec<String>, Problem>,
}

impl<R: Read> Orders<R> {
    fn read_row(&mut self) -> Result<Option<Row>, FileError> {
        let mut record = ByteRecord::new();
        if !self
            .reader
            .read_byte_record(&mut record)
            .map_err(unreadable)?
        {
            return Ok(None);
        }
        let number = record.position().map_or(0, |position| position.line());
        let at = self
            .columns
            .at
            .get("external_reference")
            .and_then(|place| record.get(*place));
        let reference = at
            .map(|bytes| String::from_utf8_lossy(bytes).trim().to_owned())
            .filter(|reference| !reference.is_empty());
        let fields: Result<Vec<String>, _> = record
            .iter()
            .map(|bytes| std::str::from_utf8(bytes).map(str::to_owned))
            .collect();
        let fields = match fields {
            Ok(fields) if fields.len() == self.columns.count => Ok(fields),
            Ok(fields) => Err(Problem::new(
                Code::InvalidInput,
                format!(
                    "the row has {} fields, not {}",
                    fields.len(),
                    self.columns.count
                ),
            )),
            Err(_) => Err(Problem::new(Code::InvalidInput, "the row is not UTF-8")),
        };
        let fields = fields.and_then(|fields: Vec<String>| {
            // No text column takes it.
            if fields.iter().any(|field| field.contains('\0')) {
                return Err(Problem::new(
                    Code::InvalidInput,
                    "the row has a NUL character",
                ));
            }
            Ok(fields)
        });
        Ok(Some(Row {
            number,
            reference,
            fields,
        }))
    }
}

impl<R: Read> Iterator for Orders<R> {
    type Item = Result<Entry, FileError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let first = match self
            .ahead
            .take()
            .map_or_else(|| self.read_row(), |row| Ok(Some(row)))
        {
            Ok(Some(row)) => row,
            Ok(None) => {
                self.ended = true;
                return None;
            }
            Err(error) => {
                self.ended = true;
                return Some(Err(error));
            }
        };
        let mut order = Gathered::new(first.number, first.reference.clone());
        let reference = first.reference.clone();
        order.add(&self.columns, first);
        // Rows without a reference belong to no order, each by itself.
        while reference.is_some() {
            match self.read_row() {
                Ok(Some(row)) if row.reference == reference => order.add(&self.columns, row),
                Ok(Some(row)) => {
                    self.ahead = Some(row);
                    break;
                }
                Ok(None) => {
                    self.ended = true;
                    break;
                }
                // What was read of the order so far may not be all of it.
                Err(error) => {
                    self.ended = true;
                    return Some(Err(error));
                }
            }
        }
        Some(Ok(order.finish(&self.columns, &self.channel)))
    }
}

/// The rows of one order.
struct Gathered {
    row: u64,
    reference: Option<String>,
    head: Option<Vec<String>>,
    lines: Vec<SubmittedLine>,
    line_rows: Vec<u64>,
    faults: Vec<Fault>,
}

impl Gathered {
    fn new(row: u64, reference: Option<String>) -> Self {
        Gathered {
            row,
            reference,
            head: None,
            lines: Vec::new(),
            line_rows: Vec::new(),
            faults: Vec::new(),
        }
    }

    fn fault(&mut self, row: u64, problem: Problem) {
        if self.faults.len() < MOST_FAULTS {
            self.faults.push(Fault { row, problem });
        }
    }

    fn add(&mut self, columns: &Columns, row: Row) {
        let fields = match row.fields {
            Ok(fields) => fields,
            Err(problem) => return self.fault(row.number, problem),
        };
        let line = self.line_rows.len();
        // One line more than an order may have says as much as a million.
        if line > MOST_LINES {
            return;
        }
        match read_line(columns, &fields, line) {
            Ok(line) => self.lines.push(line),
            Err(problems) => {
                for problem in problems {
                    self.fault(row.number, problem);
                }
            }
        }
        self.line_rows.push(row.number);
        let Some(head) = &self.head else {
            self.head = Some(fields);
            return;
        };
        let other = OF_THE_ORDER.iter().find(|(column, _)| {
            let own = columns.get(&fields, column);
            own.is_some() && own != columns.get(head, column)
        });
        if let Some((column, path)) = other {
            let message = format!("{column} differs from the order's first row");
            let problem = Problem::new(Code::InvalidInput, message).at(&format!("input.{path}"));
            self.fault(row.number, problem);
        }
    }

    fn finish(mut self, columns: &Columns, channel: &str) -> Entry {
        let lines = std::mem::take(&mut self.lines);
        let submission = match self.head.take() {
            None => None,
            Some(head) => match read_head(columns, &head, channel, lines) {
                Ok(submission) => Some(submission),
                Err(problems) => {
                    for problem in problems {
                        self.fault(self.row, problem);
                    }
                    None
                }
            },
        };
        let submission = match submission {
            Some(submission) if self.faults.is_empty() => Ok(Box::new(submission)),
            _ => Err(self.faults),
        };
        Entry {
            row: self.row,
            reference: self.reference,
            submission,
            line_rows: self.line_rows,
        }
    }
}

fn read_line(
    columns: &Columns,
    fields: &[String],
    place: usize,
) -> Result<SubmittedLine, Vec<Problem>> {
    let mut problems = Vec::new();
    let at = |field: &str| format!("input.lines.{place}.{field}");
    let quantity = match columns
        .get(fields, "quantity")
        .unwrap_or_default()
        .parse::<i64>()
    {
        Ok(quantity) => quantity,
        Err(_) => {
            problems.push(
                Problem::new(Code::QuantityInvalid, "the quantity is no whole number")
                    .at(&at("quantity")),
            );
            0
        }
    };
    let mut amount = |column: &str, field: &str| {
        read_amount(columns, fields, column, &at(field)).unwrap_or_else(|problem| {
            problems.push(problem);
            None
        })
    };
    let line = SubmittedLine {
        sku: columns.get(fields, "sku").unwrap_or_default().to_owned(),
        quantity,
        unit_price: amount("unit_price", "unitPrice"),
        discount: amount("discount", "discount"),
        title: columns.get(fields, "title").map(str::to_owned),
    };
    if problems.is_empty() {
        Ok(line)
    } else {
        Err(problems)
    }
}

fn read_head(
    columns: &Columns,
    fields: &[String],
    channel: &str,
    lines: Vec<SubmittedLine>,
) -> Result<Submission, Vec<Problem>> {
    let mut problems = Vec::new();
    let text = |column: &str| columns.get(fields, column).map(str::to_owned);
    let mut amount = |column: &str, field: &str| {
        read_amount(columns, fields, column, &format!("input.{field}")).unwrap_or_else(|problem| {
            problems.push(problem);
            None
        })
    };
    let (shipping_charge, total) = (
        amount("shipping_charge", "shippingCharge"),
        amount("total", "total"),
    );
    let placed_at = match columns
        .get(fields, "placed_at")
        .map(|text| (text, read_time(text)))
    {
        None => None,
        Some((_, Some(time))) => Some(time),
        Some((text, None)) => {
            problems.push(
                Problem::new(Code::InvalidInput, format!("{text:?} is no time"))
                    .at("input.placedAt"),
            );
            None
        }
    };
    let method = match columns
        .get(fields, "payment_method")
        .map(str::to_uppercase)
        .as_deref()
    {
        Some("CARD") => PaymentMethod::Card,
        Some("ACCOUNT") => PaymentMethod::Account,
        Some("EXTERNAL") => PaymentMethod::External,
        _ => {
            problems.push(
                Problem::new(
                    Code::PaymentInvalid,
                    "it is paid by CARD, ACCOUNT or EXTERNAL",
                )
                .at("input.payment.method"),
            );
            PaymentMethod::Card
        }
    };
    if !problems.is_empty() {
        return Err(problems);
    }
    Ok(Submission {
        channel: channel.to_owned(),
        external_reference: text("external_reference"),
        placed_at,
        currency: text("currency"),
        customer: SubmittedCustomer {
            code: text("customer_code"),
            name: text("customer_name"),
            email: text("email"),
            phone: text("phone"),
        },
        shipping_address: SubmittedAddress {
            name: text("ship_name"),
            organisation: text("ship_organisation"),
            line1: text("ship_line1").unwrap_or_default(),
            line2: text("ship_line2"),
            city: text("ship_city").unwrap_or_default(),
            region: text("ship_region"),
            postal_code: text("ship_postal_code"),
            country: text("ship_country").unwrap_or_default(),
        },
        billing_address: None,
        lines,
        promotion_codes: columns
            .get(fields, "promotion_codes")
            .unwrap_or_default()
            .split_whitespace()
            .map(str::to_owned)
            .collect(),
        service_level: text("service_level"),
        shipping_charge,
        total,
        payment: SubmittedPayment {
            method,
            token: text("payment_token"),
        },
        metadata: None,
    })
}

fn read_amount(
    columns: &Columns,
    fields: &[String],
    column: &str,
    path: &str,
) -> Result<Option<Decimal>, Problem> {
    let Some(text) = columns.get(fields, column) else {
        return Ok(None);
    };
    Decimal::from_str_exact(text)
        .map(Some)
        .map_err(|_| Problem::new(Code::AmountInvalid, format!("{text:?} is no amount")).at(path))
}

/// A time as files write it; without a zone it is UTC.
pub(super) fn read_time(text: &str) -> Option<DateTime<Utc>> {
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Some(time.to_utc());
    }
    ["%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f"]
        .into_iter()
        .find_map(|format| NaiveDateTime::parse_from_str(text, format).ok())
        .or_else(|| {
            NaiveDate::parse_from_str(text, "%Y-%m-%d")
                .ok()?
                .and_hms_opt(0, 0, 0)
        })
        .map(|time| time.and_utc())
}

#[cfg(test)]
mod tests;
