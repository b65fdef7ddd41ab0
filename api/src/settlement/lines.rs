//! What a file of a gateway says, line by line: any CSV by a mapping of its columns, and what Stripe
//! gives of its balance transactions, as CSV and as JSON.
//!
//! A line that cannot be understood is refused by itself, with its row, and the others flow.

use std::collections::BTreeMap;

use ::csv::{ByteRecord, ReaderBuilder};
use chrono::{DateTime, NaiveDate, NaiveDateTime, Utc};
use entity::settlement_line::Kind;
use entity::{Currency, Money};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::failure::{Code, Problem};

/// The name of the format that is built in.
pub const STRIPE: &str = "stripe";

/// How long the name of a line, a payout or a transaction may be.
const LONGEST_NAME: usize = 255;

/// A line as a gateway says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The gateway's name for it.
    pub reference: String,
    /// What it is about.
    pub kind: Kind,
    /// The gateway's names for what it is about, the best first.
    pub names: Vec<String>,
    /// What it brings before fees, in minor units; below 0, what it takes.
    pub gross: i64,
    /// What the gateway keeps of it.
    pub fee: i64,
    /// The currency of both.
    pub currency: Currency,
    /// The payout that it is part of.
    pub payout: Option<String>,
    /// When it happened there.
    pub occurred_at: DateTime<Utc>,
}

/// A row of a file.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Which, from 1.
    pub number: u64,
    /// The line's name, if it could be read.
    pub reference: Option<String>,
    /// What it says, or why that cannot be understood.
    pub line: Result<Line, Problem>,
}

/// Which column of a CSV is what, and how its figures are written. Of several columns for one thing,
/// the first that is not blank counts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Mapping {
    /// What stands between columns; a comma if none.
    pub delimiter: Option<char>,
    /// The line's own name; without it, lines are known by kind, name, time and amount.
    pub line: Vec<String>,
    /// The gateway's names for what the line is about.
    pub reference: Vec<String>,
    /// What the line is about; without it, what brings money is a charge and what takes it a refund.
    pub kind: Vec<String>,
    /// What its words mean; other words are OTHER.
    pub kinds: BTreeMap<String, Kind>,
    /// What the line brings before fees.
    pub gross: Vec<String>,
    /// What the gateway keeps.
    pub fee: Vec<String>,
    /// What is left.
    pub net: Vec<String>,
    /// The currency.
    pub currency: Vec<String>,
    /// The currency of lines that name none.
    pub default_currency: Option<Currency>,
    /// When it happened.
    pub date: Vec<String>,
    /// How that is written, as `%d.%m.%Y`; none = RFC 3339 or `YYYY-MM-DD hh:mm:ss`, in UTC.
    pub date_format: Option<String>,
    /// The payout that it is part of.
    pub payout: Vec<String>,
    /// The payout of lines that name none.
    pub default_payout: Option<String>,
    /// Whether decimals stand behind a comma.
    pub decimal_comma: bool,
    /// Whether amounts are whole minor units.
    pub minor_units: bool,
    /// Whether fees stand below zero.
    pub negative_fees: bool,
    /// Whether what takes money is written without a sign.
    pub unsigned: bool,
}

impl Mapping {
    /// That of Stripe's reports of balance and payouts, itemised.
    pub fn of_stripe() -> Mapping {
        let columns = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Mapping {
            line: columns(&["balance_transaction_id"]),
            reference: columns(&["payment_intent_id", "source_id", "charge_id"]),
            kind: columns(&["reporting_category"]),
            kinds: stripe_kinds(),
            gross: columns(&["gross"]),
            fee: columns(&["fee"]),
            net: columns(&["net"]),
            currency: columns(&["currency"]),
            date: columns(&["created_utc", "created"]),
            payout: columns(&["automatic_payout_id"]),
            ..Mapping::default()
        }
    }

    /// Why no file can be read by it.
    pub fn check(&self) -> Result<(), Problem> {
        let invalid = |field: &str, message: &str| {
            let problem = Problem::new(Code::InvalidInput, message);
            Err(problem.at(&format!("input.mapping.{field}")))
        };
        if self.reference.is_empty() {
            return invalid("reference", "which column names what the line is about?");
        }
        if self.gross.is_empty() {
            return invalid("gross", "which column has the amount?");
        }
        if self.date.is_empty() {
            return invalid("date", "which column has the time?");
        }
        if self.currency.is_empty() && self.default_currency.is_none() {
            return invalid("currency", "a column or a currency for all lines is needed");
        }
        if self
            .delimiter
            .is_some_and(|delimiter| !delimiter.is_ascii())
        {
            return invalid("delimiter", "one ASCII character");
        }
        Ok(())
    }
}

/// What Stripe's reporting categories mean.
fn stripe_kinds() -> BTreeMap<String, Kind> {
    [
        ("charge", Kind::Charge),
        ("partial_capture_reversal", Kind::ChargeReversal),
        ("charge_failure", Kind::ChargeReversal),
        ("refund", Kind::Refund),
        ("refund_failure", Kind::RefundReversal),
        ("dispute", Kind::Chargeback),
        ("dispute_reversal", Kind::ChargebackReversal),
        ("fee", Kind::Fee),
        ("network_cost", Kind::Fee),
        ("tax", Kind::Fee),
        ("payout", Kind::Payout),
        ("payout_reversal", Kind::Payout),
    ]
    .map(|(word, kind)| (word.to_owned(), kind))
    .into()
}

/// Reads a file by a mapping, or by Stripe's own form of lists if it is JSON.
pub fn read(content: &[u8], mapping: &Mapping, is_stripe: bool) -> Result<Vec<Row>, Problem> {
    let begins = content.iter().find(|byte| !byte.is_ascii_whitespace());
    match begins {
        Some(b'{' | b'[') if is_stripe => balance_transactions(content),
        _ => rows(content, mapping),
    }
}

fn unreadable(message: impl Into<String>) -> Problem {
    Problem::new(Code::InvalidInput, message).at("input.content")
}

/// Reads a CSV.
fn rows(content: &[u8], mapping: &Mapping) -> Result<Vec<Row>, Problem> {
    let content = content
        .strip_prefix("\u{feff}".as_bytes())
        .unwrap_or(content);
    let delimiter = mapping.delimiter.and_then(|it| u8::try_from(it).ok());
    // Rows of another length are ours to refuse, one by one.
    let mut reader = ReaderBuilder::new()
        .flexible(true)
        .delimiter(delimiter.unwrap_or(b','))
        .from_reader(content);
    let names = reader.byte_headers();
    let names = names.map_err(|error| unreadable(error.to_string()))?;
    let names: Vec<String> = names
        .iter()
        .map(|name| String::from_utf8_lossy(name).trim().to_lowercase())
        .collect();
    let columns = Columns { mapping, names };
    columns.check()?;
    let mut rows = Vec::new();
    let mut record = ByteRecord::new();
    while reader
        .read_byte_record(&mut record)
        .map_err(|error| unreadable(error.to_string()))?
    {
        let number = record.position().map_or(0, |position| position.line());
        rows.push(columns.row(number, &record));
    }
    Ok(rows)
}

/// The columns of a file as a mapping sees them.
struct Columns<'a> {
    mapping: &'a Mapping,
    names: Vec<String>,
}

impl Columns<'_> {
    fn place(&self, name: &str) -> Option<usize> {
        let name = name.trim().to_lowercase();
        self.names.iter().position(|known| *known == name)
    }

    /// At least one column of each thing that is needed must be there.
    fn check(&self) -> Result<(), Problem> {
        let m = self.mapping;
        for wanted in [&m.reference, &m.gross, &m.date] {
            if !wanted.iter().any(|name| self.place(name).is_some()) {
                let names = wanted.join(", ");
                return Err(unreadable(format!("there is no column {names}")));
            }
        }
        Ok(())
    }

    fn texts<'r>(&self, fields: &'r [String], wanted: &[String]) -> Vec<&'r str> {
        let places = wanted.iter().filter_map(|name| self.place(name));
        let texts = places
            .filter_map(|place| fields.get(place))
            .map(|it| it.trim());
        texts.filter(|text| !text.is_empty()).collect()
    }

    fn row(&self, number: u64, record: &ByteRecord) -> Row {
        let fields: Result<Vec<String>, _> = record
            .iter()
            .map(|bytes| std::str::from_utf8(bytes).map(str::to_owned))
            .collect();
        let malformed = |message: String| Row {
            number,
            reference: None,
            line: Err(Problem::new(Code::InvalidInput, message)),
        };
        let Ok(fields) = fields else {
            return malformed("the row is not UTF-8".to_owned());
        };
        if fields.len() != self.names.len() {
            let (has, wants) = (fields.len(), self.names.len());
            return malformed(format!("the row has {has} fields, not {wants}"));
        }
        if fields.iter().any(|field| field.contains('\0')) {
            return malformed("the row has a NUL character".to_owned());
        }
        let own = self.texts(&fields, &self.mapping.line);
        Row {
            number,
            reference: own.first().map(|name| (*name).to_owned()),
            line: self.line(&fields),
        }
    }

    fn line(&self, fields: &[String]) -> Result<Line, Problem> {
        let m = self.mapping;
        let first = |wanted: &[String]| self.texts(fields, wanted).into_iter().next();
        let currency = match (first(&m.currency), m.default_currency) {
            (Some(code), _) => code.parse().map_err(|error: entity::MoneyError| {
                Problem::new(Code::CurrencyUnknown, error.to_string()).at("currency")
            })?,
            (None, Some(currency)) => currency,
            (None, None) => return Err(missing("currency")),
        };
        let amount = |wanted: &[String], field: &str| -> Result<Option<i64>, Problem> {
            let Some(text) = first(wanted) else {
                return Ok(None);
            };
            let read = minor(text, currency, m.decimal_comma, m.minor_units);
            read.map(Some)
                .map_err(|message| Problem::new(Code::AmountInvalid, message).at(field))
        };
        let mut gross = amount(&m.gross, "gross")?.ok_or_else(|| missing("gross"))?;
        let mut fee = amount(&m.fee, "fee")?.unwrap_or(0);
        if m.negative_fees {
            fee = -fee;
        }
        let net = amount(&m.net, "net")?;
        let kind = match first(&m.kind) {
            Some(word) => kind_of(&m.kinds, word),
            None if !m.kind.is_empty() => return Err(missing("kind")),
            None if gross < 0 => Kind::Refund,
            None => Kind::Charge,
        };
        if m.unsigned && takes(kind) {
            gross = -gross;
        }
        let names = self.texts(fields, &m.reference);
        let payout = first(&m.payout).map(str::to_owned);
        let occurred_at = first(&m.date).ok_or_else(|| missing("date"))?;
        let occurred_at = moment(occurred_at, m.date_format.as_deref()).ok_or_else(|| {
            let message = format!("{occurred_at:?} is no time that is understood");
            Problem::new(Code::InvalidInput, message).at("date")
        })?;
        finished(
            Line {
                reference: first(&m.line).unwrap_or_default().to_owned(),
                kind,
                names: names.into_iter().map(str::to_owned).collect(),
                gross,
                fee,
                currency,
                payout: payout.or_else(|| m.default_payout.clone()),
                occurred_at,
            },
            net,
        )
    }
}

/// Holds a line against itself.
fn finished(mut line: Line, net: Option<i64>) -> Result<Line, Problem> {
    let wrong = |message: String, field: &str| Problem::new(Code::AmountInvalid, message).at(field);
    let sum = line.gross.checked_sub(line.fee);
    let sum = sum.ok_or_else(|| wrong("the amount is out of range".to_owned(), "gross"))?;
    if net.is_some_and(|net| net != sum) {
        let net = Money::new(net.unwrap_or_default(), line.currency);
        let sum = Money::new(sum, line.currency);
        let message = format!("gross less fee is {sum}, not {net}");
        return Err(wrong(message, "net"));
    }
    let is_wrong_way = match line.kind {
        Kind::Charge | Kind::RefundReversal | Kind::ChargebackReversal => line.gross < 0,
        Kind::Refund | Kind::Chargeback | Kind::ChargeReversal => line.gross > 0,
        Kind::Fee | Kind::Payout | Kind::Other => false,
    };
    if is_wrong_way {
        let message = format!("a {:?} cannot be {}", line.kind, line.gross);
        return Err(wrong(message, "gross"));
    }
    if line.kind == Kind::Fee {
        // Whether it stands as an amount or as a fee, it is kept.
        (line.gross, line.fee) = (0, -sum);
    }
    if line.names.is_empty() && !matches!(line.kind, Kind::Fee | Kind::Payout) {
        return Err(missing("reference"));
    }
    if line.reference.is_empty() {
        let name = line.names.first().map_or("", String::as_str);
        let at = line.occurred_at.timestamp();
        line.reference = format!("{:?}:{name}:{at}:{}", line.kind, line.gross);
    }
    let mut names = line.names.iter().chain(&line.payout);
    let is_long = |name: &String| name.chars().count() > LONGEST_NAME;
    if is_long(&line.reference) || names.any(is_long) {
        let message = format!("a name has at most {LONGEST_NAME} characters");
        return Err(Problem::new(Code::InvalidInput, message).at("reference"));
    }
    Ok(line)
}

fn missing(field: &str) -> Problem {
    Problem::new(Code::InvalidInput, format!("the {field} is missing")).at(field)
}

fn kind_of(kinds: &BTreeMap<String, Kind>, word: &str) -> Kind {
    let word = word.to_lowercase();
    let known = kinds.iter().find(|(known, _)| known.to_lowercase() == word);
    known.map_or(Kind::Other, |(_, kind)| *kind)
}

/// Whether such a line takes money.
fn takes(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::ChargeReversal | Kind::Refund | Kind::Chargeback | Kind::Payout
    )
}

/// Reads an amount. What groups digits must group them by three, so that `1,23` is never 123.
fn minor(text: &str, currency: Currency, comma: bool, minor_units: bool) -> Result<i64, String> {
    let malformed = || format!("{text:?} is no amount");
    let (point, group) = if comma { (',', '.') } else { ('.', ',') };
    let (sign, digits) = match text.strip_prefix(['-', '\u{2212}']) {
        Some(rest) => ("-", rest.trim()),
        None => ("", text.strip_prefix('+').unwrap_or(text).trim()),
    };
    let (whole, rest) = digits.split_once(point).unwrap_or((digits, ""));
    let is_group = |c: char| c == group || c == '\'' || c == '\u{a0}' || c == ' ';
    let parts: Vec<&str> = whole.split(is_group).collect();
    let is_grouped = parts.iter().enumerate().all(|(place, part)| match place {
        0 => parts.len() == 1 || (1..=3).contains(&part.len()),
        _ => part.len() == 3,
    });
    let all = || {
        parts
            .iter()
            .flat_map(|part| part.chars())
            .chain(rest.chars())
    };
    if !is_grouped || all().next().is_none() || !all().all(|c| c.is_ascii_digit()) {
        return Err(malformed());
    }
    let plain = format!("{sign}{}.{rest}", parts.concat());
    let plain = plain.trim_end_matches('.').replace("-.", "-0.");
    let decimal: Decimal = plain.parse().map_err(|_| malformed())?;
    if minor_units {
        let whole = decimal.normalize();
        return match whole.scale() {
            0 => whole.to_string().parse().map_err(|_| malformed()),
            _ => Err(format!("{text:?} is no whole number of minor units")),
        };
    }
    let money = Money::from_decimal(decimal, currency).map_err(|error| error.to_string())?;
    Ok(money.minor)
}

/// Reads a moment, in UTC unless it says otherwise.
fn moment(text: &str, format: Option<&str>) -> Option<DateTime<Utc>> {
    let midnight = |date: NaiveDate| date.and_hms_opt(0, 0, 0);
    if let Some(format) = format {
        let zoned = DateTime::parse_from_str(text, format).map(|at| at.to_utc());
        let local = || NaiveDateTime::parse_from_str(text, format).map(|at| at.and_utc());
        let date = || {
            NaiveDate::parse_from_str(text, format)
                .ok()
                .and_then(midnight)
        };
        return zoned
            .or_else(|_| local())
            .ok()
            .or_else(|| date().map(|at| at.and_utc()));
    }
    if let Ok(at) = DateTime::parse_from_rfc3339(text) {
        return Some(at.to_utc());
    }
    let local = ["%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M"]
        .iter()
        .find_map(|format| NaiveDateTime::parse_from_str(text, format).ok());
    let local = local.or_else(|| text.parse::<NaiveDate>().ok().and_then(midnight));
    local.map(|at| at.and_utc())
}

/// Reads a list of Stripe's balance transactions. Those of one payout are asked for by it, so they
/// need not name it.
fn balance_transactions(content: &[u8]) -> Result<Vec<Row>, Problem> {
    let list: Json =
        serde_json::from_slice(content).map_err(|error| unreadable(error.to_string()))?;
    let items = match &list {
        Json::Array(items) => items,
        _ => list["data"]
            .as_array()
            .ok_or_else(|| unreadable("no list of balance transactions"))?,
    };
    let payouts: Vec<&str> = items
        .iter()
        .filter(|item| item["reporting_category"] == "payout")
        .filter_map(|item| item["source"]["id"].as_str().or(item["source"].as_str()))
        .collect();
    let payout = match payouts.as_slice() {
        [only] => Some((*only).to_owned()),
        _ => None,
    };
    let kinds = stripe_kinds();
    let rows = items.iter().zip(1..).map(|(item, number)| Row {
        number,
        reference: item["id"].as_str().map(str::to_owned),
        line: balance_transaction(item, &kinds, payout.as_deref()),
    });
    Ok(rows.collect())
}

fn balance_transaction(
    item: &Json,
    kinds: &BTreeMap<String, Kind>,
    payout: Option<&str>,
) -> Result<Line, Problem> {
    let text = |field: &str| item[field].as_str().ok_or_else(|| missing(field));
    let currency: Currency = text("currency")?
        .parse()
        .map_err(|error: entity::MoneyError| {
            Problem::new(Code::CurrencyUnknown, error.to_string()).at("currency")
        })?;
    let amount = |field: &str| -> Result<i64, Problem> {
        let minor = item[field].as_i64().ok_or_else(|| missing(field))?;
        // Two currencies that have lost their minor unit have it still at Stripe.
        let lost = matches!(currency.code(), "ISK" | "UGX");
        match lost {
            true if minor % 100 == 0 => Ok(minor / 100),
            true => Err(Problem::new(Code::AmountInvalid, "no whole amount").at(field)),
            false => Ok(minor),
        }
    };
    let at = item["created"].as_i64().ok_or_else(|| missing("created"))?;
    let at = DateTime::from_timestamp(at, 0).ok_or_else(|| missing("created"))?;
    let source = &item["source"];
    let names = [
        &source["payment_intent"],
        &source["id"],
        source,
        &source["charge"],
    ];
    let names = names.into_iter().filter_map(Json::as_str);
    let line = Line {
        reference: text("id")?.to_owned(),
        kind: kind_of(kinds, text("reporting_category")?),
        names: names.map(str::to_owned).collect(),
        gross: amount("amount")?,
        fee: amount("fee")?,
        currency,
        payout: payout.map(str::to_owned),
        occurred_at: at,
    };
    finished(line, Some(amount("net")?))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn j4_an_amount_is_read_as_it_is_written_or_not_at_all() {
        let eur = |text: &str, comma| minor(text, Currency::EUR, comma, false);
        assert_eq!(eur("12.50", false), Ok(1250));
        assert_eq!(eur("-1,234.5", false), Ok(-123_450));
        assert_eq!(eur("1.234,50", true), Ok(123_450));
        assert_eq!(eur("1'234'567.89", false), Ok(123_456_789));
        assert_eq!(eur("-0,07", true), Ok(-7));
        assert_eq!(eur(".5", false), Ok(50));
        for (text, comma) in [
            ("1,23", false),
            ("1.23", true),
            ("12.505", false),
            ("", false),
            ("1.2.3", false),
            ("-", false),
            ("1e3", false),
            ("12,3456.00", false),
            ("0x1", false),
        ] {
            assert!(eur(text, comma).is_err(), "{text}");
        }
        assert_eq!(minor("1250", Currency::JPY, false, false), Ok(1250));
        assert!(minor("12.5", Currency::JPY, false, false).is_err());
        assert_eq!(minor("1250", Currency::EUR, false, true), Ok(1250));
        assert!(minor("12.5", Currency::EUR, false, true).is_err());
    }

    #[test]
    fn j4_a_german_file_is_read_by_its_mapping() {
        let mapping: Mapping = serde_json::from_value(serde_json::json!({
            "delimiter": ";", "line": ["Nr"], "reference": ["Referenz"], "kind": ["Art"],
            "kinds": { "Zahlung": "CHARGE", "Erstattung": "REFUND", "Auszahlung": "PAYOUT" },
            "gross": ["Brutto"], "fee": ["Gebühr"], "net": ["Netto"], "defaultCurrency": "EUR",
            "date": ["Datum"], "dateFormat": "%d.%m.%Y", "defaultPayout": "2026-11",
            "decimalComma": true, "negativeFees": true, "unsigned": true
        }))
        .unwrap();
        mapping.check().unwrap();
        let file = "\u{feff}Nr;Datum;Art;Referenz;Brutto;Gebühr;Netto\n\
            1;23.11.2026;Zahlung;a;1.234,50;-12,35;1.222,15\n\
            2;23.11.2026;erstattung;b;10,00;;\n\
            3;23.11.2026;Auszahlung;;1.212,15;;\n\
            4;gestern;Zahlung;c;1,00;;\n\
            5;23.11.2026;Zahlung;d;1,00;-0,10;1,00\n\
            6;23.11.2026;Zahlung;d\n";
        let rows = read(file.as_bytes(), &mapping, false).unwrap();
        let line = |place: usize| rows[place].line.clone().unwrap();
        assert_eq!((line(0).gross, line(0).fee), (123_450, 1235));
        assert_eq!(
            line(0).occurred_at.to_rfc3339(),
            "2026-11-23T00:00:00+00:00"
        );
        assert_eq!((line(1).kind, line(1).gross), (Kind::Refund, -1000));
        assert_eq!((line(2).kind, line(2).gross), (Kind::Payout, -121_215));
        assert_eq!(line(2).payout.as_deref(), Some("2026-11"));
        let refused: Vec<(u64, Option<Vec<String>>)> = rows[3..]
            .iter()
            .map(|row| (row.number, row.line.clone().unwrap_err().field))
            .collect();
        let at = |field: &str| Some(vec![field.to_owned()]);
        assert_eq!(refused, [(5, at("date")), (6, at("net")), (7, None)]);
        assert!(read(b"a;b\n1;2\n", &mapping, false).is_err());
    }

    #[test]
    fn j4_what_stripe_gives_is_read_as_csv_and_as_json() {
        let csv = "automatic_payout_id,balance_transaction_id,created_utc,reporting_category,\
            currency,gross,fee,net,source_id,charge_id,payment_intent_id\n\
            po_1,txn_1,2026-11-20 10:00:00,charge,eur,25.00,0.61,24.39,ch_1,ch_1,pi_1\n\
            po_1,txn_2,2026-11-20 11:00:00,refund,eur,-5.00,0.00,-5.00,re_1,ch_1,pi_1\n\
            po_1,txn_3,2026-11-20 12:00:00,fee,eur,-2.00,0.00,-2.00,,,\n\
            po_1,txn_4,2026-11-20 12:00:00,risk_reserved_funds,eur,-2.00,0.00,-2.00,x,,\n";
        let csv = read(csv.as_bytes(), &Mapping::of_stripe(), true).unwrap();
        let json = r#"{"object":"list","data":[
            {"id":"txn_1","amount":2500,"fee":61,"net":2439,"currency":"eur","created":1795168800,
             "reporting_category":"charge","type":"charge","source":{"id":"ch_1","payment_intent":"pi_1"}},
            {"id":"txn_2","amount":-500,"fee":0,"net":-500,"currency":"eur","created":1795172400,
             "reporting_category":"refund","type":"refund","source":"re_1"},
            {"id":"txn_3","amount":-200,"fee":0,"net":-200,"currency":"eur","created":1795176000,
             "reporting_category":"fee","type":"stripe_fee","source":null},
            {"id":"txn_5","amount":-1739,"fee":0,"net":-1739,"currency":"eur","created":1795180000,
             "reporting_category":"payout","type":"payout","source":"po_1"}]}"#;
        let json = read(json.as_bytes(), &Mapping::of_stripe(), true).unwrap();
        for (from_csv, from_json) in csv.iter().zip(&json).take(3) {
            let (from_csv, from_json) = (
                from_csv.line.clone().unwrap(),
                from_json.line.clone().unwrap(),
            );
            let gist = |line: &Line| {
                (
                    line.reference.clone(),
                    line.kind,
                    line.gross,
                    line.fee,
                    line.payout.clone(),
                    line.currency,
                )
            };
            assert_eq!(gist(&from_csv), gist(&from_json));
            assert_eq!(from_csv.occurred_at, from_json.occurred_at);
        }
        let fee = csv[2].line.clone().unwrap();
        assert_eq!((fee.gross, fee.fee), (0, 200));
        assert_eq!(csv[0].line.clone().unwrap().names[0], "pi_1");
        assert_eq!(csv[1].line.clone().unwrap().names[1], "re_1");
        assert_eq!(csv[3].line.clone().unwrap().kind, Kind::Other);
    }
}
