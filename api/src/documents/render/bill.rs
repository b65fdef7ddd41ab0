//! Invoices and credit notes: what they say, how it adds up, and how it is printed for people. How
//! programs read it is in [`ubl`](super::ubl).

use std::collections::BTreeMap;

use chrono::{Datelike, NaiveDate};
use entity::invoice::{Kind, Payment};
use entity::invoice_line::TaxCategory;
use entity::{Currency, Money, Rate};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::sheet::{self, Cell, Closing, Column, Sheet};
use super::{Address, Paper, Rendered, Unprintable};

/// Who sells, who buys, or where it goes, as an invoice says it and keeps it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Party {
    /// A person's or company's name.
    pub name: String,
    /// The company, where the name is a person's.
    pub organisation: Option<String>,
    /// Street and number.
    pub line1: String,
    /// Floor, flat, building.
    pub line2: Option<String>,
    /// The place.
    pub city: String,
    /// State, province or county.
    pub region: Option<String>,
    /// The postal code.
    pub postal_code: Option<String>,
    /// ISO 3166-1 alpha-2.
    pub country: String,
    /// The number for value added tax, with the country in front.
    pub vat_id: Option<String>,
    /// The number at the tax office.
    pub tax_number: Option<String>,
    /// The number in the register of companies.
    pub registration: Option<String>,
    /// Where questions go.
    pub email: Option<String>,
    /// A telephone number for questions.
    pub phone: Option<String>,
    /// The account that is paid into.
    pub iban: Option<String>,
    /// The bank of the account.
    pub bic: Option<String>,
}

impl Party {
    /// Where it is, as it is printed.
    pub fn address(&self) -> Address {
        Address {
            name: self.name.clone(),
            organisation: self.organisation.clone(),
            line1: self.line1.clone(),
            line2: self.line2.clone(),
            city: self.city.clone(),
            region: self.region.clone(),
            postal_code: self.postal_code.clone(),
            country_code: self.country.clone(),
            country: String::new(),
            phone: None,
        }
    }
}

/// An invoice or a credit note. Every amount is in minor units, and positive in both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bill {
    /// What it is.
    pub kind: Kind,
    /// What people call it.
    pub name: String,
    /// The language that it is printed in.
    pub language: String,
    /// The currency of every amount.
    pub currency: Currency,
    /// The day that stands on it.
    pub issued_on: NaiveDate,
    /// The day on which it was supplied.
    pub supplied_on: Option<NaiveDate>,
    /// Who sells.
    pub seller: Party,
    /// Who buys.
    pub buyer: Party,
    /// Where it was delivered.
    pub delivered_to: Party,
    /// The order's number.
    pub order_number: String,
    /// What the customer calls the order.
    pub reference: Option<String>,
    /// The invoice that a credit note corrects, and its day.
    pub corrects: Option<(String, NaiveDate)>,
    /// Why it is corrected.
    pub reason: Option<String>,
    /// How it is paid.
    pub payment: Payment,
    /// The last day to pay it, if it is not paid yet.
    pub due_on: Option<NaiveDate>,
    /// What was sold.
    pub items: Vec<BillLine>,
    /// What is charged besides: the delivery.
    pub charges: Vec<BillLine>,
    /// What the total is rounded by.
    pub rounding_minor: i64,
}

/// A line of a bill.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BillLine {
    /// Its place.
    pub position: i32,
    /// The SKU.
    pub sku: String,
    /// What it is called.
    pub title: String,
    /// How many units; 0 = an amount is given back, and no unit.
    pub quantity: i64,
    /// What comes off.
    pub discount_minor: i64,
    /// What is left, without tax.
    pub net_minor: i64,
    /// How it is taxed.
    pub category: TaxCategory,
    /// The tax rate.
    pub rate: Rate,
    /// The tax.
    pub tax_minor: i64,
}

impl BillLine {
    /// How many units its price is for.
    pub fn units(&self) -> i64 {
        std::cmp::max(self.quantity, 1)
    }

    /// Before what comes off.
    pub fn full_minor(&self) -> i64 {
        self.net_minor + self.discount_minor
    }

    /// What a unit costs before what comes off, in major units: exact, or to six decimals more
    /// than the currency has.
    pub fn unit_price(&self, currency: Currency) -> Decimal {
        let full = Money::new(self.full_minor(), currency).to_decimal();
        let price = (full / Decimal::from(self.units())).round_dp(currency.exponent() + 6);
        let mut tidy = price.normalize();
        if tidy.scale() < currency.exponent() {
            tidy.rescale(currency.exponent());
        }
        tidy
    }
}

/// What is taxed alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaxGroup {
    /// How.
    pub category: TaxCategory,
    /// At which rate.
    pub rate: Rate,
    /// What is taxed.
    pub taxable_minor: i64,
    /// The tax.
    pub tax_minor: i64,
}

impl Bill {
    /// Every line, those that are charged besides at the end.
    pub fn lines(&self) -> impl Iterator<Item = &BillLine> {
        self.items.iter().chain(&self.charges)
    }

    /// The tax by category and rate.
    pub fn taxes(&self) -> Vec<TaxGroup> {
        let mut groups: BTreeMap<(u8, Rate), TaxGroup> = BTreeMap::new();
        for line in self.lines() {
            // The standard writes 19 and 19.0 alike.
            let rate = Rate(line.rate.0.normalize());
            let group = groups
                .entry((line.category as u8, rate))
                .or_insert(TaxGroup {
                    category: line.category,
                    rate,
                    taxable_minor: 0,
                    tax_minor: 0,
                });
            group.taxable_minor += line.net_minor;
            group.tax_minor += line.tax_minor;
        }
        groups.into_values().collect()
    }

    /// What was sold, without tax.
    pub fn items_minor(&self) -> i64 {
        self.items.iter().map(|line| line.net_minor).sum()
    }

    /// What is charged besides, without tax.
    pub fn charges_minor(&self) -> i64 {
        self.charges.iter().map(|line| line.net_minor).sum()
    }

    /// Everything without tax.
    pub fn net_minor(&self) -> i64 {
        self.items_minor() + self.charges_minor()
    }

    /// The tax.
    pub fn tax_minor(&self) -> i64 {
        self.lines().map(|line| line.tax_minor).sum()
    }

    /// Everything, rounded.
    pub fn total_minor(&self) -> i64 {
        self.net_minor() + self.tax_minor() + self.rounding_minor
    }

    /// Whether nothing is left to pay. A credit note is settled with what was paid.
    pub fn is_paid(&self) -> bool {
        self.payment != Payment::Account
    }
}

/// What a bill says in one language.
struct Words {
    invoice: &'static str,
    credit_note: &'static str,
    page: (&'static str, &'static str),
    buyer: &'static str,
    issued: &'static str,
    supplied: &'static str,
    order: &'static str,
    reference: &'static str,
    vat_id: &'static str,
    corrects: &'static str,
    due: &'static str,
    columns: [&'static str; 7],
    net: &'static str,
    /// `VAT 19 % on 100.00`.
    tax: (&'static str, &'static str),
    rounding: &'static str,
    total: &'static str,
    paid: &'static str,
    left: &'static str,
    reason: &'static str,
    delivered_to: &'static str,
    note: &'static str,
    exempt: &'static str,
    intra_community: &'static str,
    export: &'static str,
    seller: &'static str,
    registration: &'static str,
    tax_number: &'static str,
}

const ENGLISH: Words = Words {
    invoice: "Invoice",
    credit_note: "Credit note",
    page: ("Page", "of"),
    buyer: "Invoice to",
    issued: "Date of issue",
    supplied: "Date of supply",
    order: "Order",
    reference: "Your reference",
    vat_id: "VAT ID",
    corrects: "Corrects invoice",
    due: "To be paid by",
    columns: [
        "",
        "Item",
        "Quantity",
        "Unit price",
        "Discount",
        "VAT",
        "Net",
    ],
    net: "Net",
    tax: ("VAT", "on"),
    rounding: "Rounding",
    total: "Total",
    paid: "Paid already",
    left: "To be paid",
    reason: "Why it is corrected",
    delivered_to: "Delivered to",
    note: "Tax",
    exempt: "Exempt from value added tax.",
    intra_community: "Tax-free intra-community supply.",
    export: "Tax-free export outside the European Union.",
    seller: "Seller",
    registration: "Register",
    tax_number: "Tax number",
};

const GERMAN: Words = Words {
    invoice: "Rechnung",
    credit_note: "Rechnungskorrektur",
    page: ("Seite", "von"),
    buyer: "Rechnung an",
    issued: "Rechnungsdatum",
    supplied: "Leistungsdatum",
    order: "Bestellung",
    reference: "Ihre Referenz",
    vat_id: "USt-IdNr.",
    corrects: "Korrigiert Rechnung",
    due: "Zahlbar bis",
    columns: [
        "",
        "Artikel",
        "Menge",
        "Einzelpreis",
        "Rabatt",
        "USt.",
        "Netto",
    ],
    net: "Netto",
    tax: ("USt.", "auf"),
    rounding: "Rundung",
    total: "Gesamtbetrag",
    paid: "Bereits bezahlt",
    left: "Zu zahlen",
    reason: "Grund der Korrektur",
    delivered_to: "Geliefert an",
    note: "Umsatzsteuer",
    exempt: "Von der Umsatzsteuer befreit.",
    intra_community: "Steuerfreie innergemeinschaftliche Lieferung.",
    export: "Steuerfreie Ausfuhrlieferung.",
    seller: "Verkäufer",
    registration: "Register",
    tax_number: "Steuernummer",
};

/// How a language writes numbers and days.
#[derive(Clone, Copy)]
struct Hand {
    german: bool,
}

impl Hand {
    /// `1,234.50`, `1.234,50`.
    fn number(self, exact: Decimal) -> String {
        let (group, point) = if self.german { ('.', ',') } else { (',', '.') };
        let text = exact.abs().to_string();
        let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
        let mut written = String::new();
        if exact.is_sign_negative() && !exact.is_zero() {
            written.push('-');
        }
        for (place, digit) in whole.chars().enumerate() {
            if place > 0 && (whole.len() - place).is_multiple_of(3) {
                written.push(group);
            }
            written.push(digit);
        }
        if !fraction.is_empty() {
            written.push(point);
            written.push_str(fraction);
        }
        written
    }

    fn amount(self, minor: i64, currency: Currency) -> String {
        self.number(Money::new(minor, currency).to_decimal())
    }

    fn percent(self, rate: Rate) -> String {
        let percent = (rate.0 * Decimal::ONE_HUNDRED).normalize();
        format!("{} %", self.number(percent))
    }

    fn day(self, date: NaiveDate) -> String {
        match self.german {
            true => format!("{:02}.{:02}.{}", date.day(), date.month(), date.year()),
            false => date.to_string(),
        }
    }
}

/// Prints a bill for people.
pub fn bill(bill: &Bill) -> Result<Rendered, Unprintable> {
    sheet::print(&laid_out(bill))
}

pub(super) fn laid_out(bill: &Bill) -> Sheet {
    let german = bill.language.split('-').next() == Some("de");
    let (words, hand) = (if german { &GERMAN } else { &ENGLISH }, Hand { german });
    let amount = |minor| hand.amount(minor, bill.currency);
    let mut facts = vec![(words.issued, hand.day(bill.issued_on))];
    facts.extend(bill.supplied_on.map(|day| (words.supplied, hand.day(day))));
    facts.push((words.order, bill.order_number.clone()));
    facts.extend(bill.reference.clone().map(|text| (words.reference, text)));
    facts.extend(bill.buyer.vat_id.clone().map(|id| (words.vat_id, id)));
    if let Some((name, day)) = &bill.corrects {
        facts.push((words.corrects, format!("{name}, {}", hand.day(*day))));
    }
    facts.extend(bill.due_on.map(|day| (words.due, hand.day(day))));

    let discounted = bill.lines().any(|line| line.discount_minor > 0);
    let [place, item, quantity, price, discount, tax, net] = words.columns;
    let mut columns = vec![
        Column::text(place, Some(18.0)),
        Column::text(item, None),
        Column::figures(quantity, 42.0),
        Column::figures(price, 62.0),
    ];
    if discounted {
        columns.push(Column::figures(discount, 54.0));
    }
    columns.push(Column::figures(tax, 38.0));
    columns.push(Column::figures(net, 70.0));
    let row = |line: &BillLine| {
        let title = match line.sku.as_str() {
            "" => line.title.clone(),
            sku => format!("{}\n{sku}", line.title),
        };
        let mut cells = vec![Cell::from(line.position), title.into()];
        match line.quantity {
            0 => cells.extend([Cell::from("–"), "–".into()]),
            units => {
                let price = hand.number(line.unit_price(bill.currency).round_dp(4));
                cells.extend([Cell::from(units), price.into()]);
            }
        }
        if discounted {
            cells.push(match line.discount_minor {
                0 => "–".into(),
                minor => amount(-minor).into(),
            });
        }
        cells.extend([
            Cell::from(hand.percent(line.rate)),
            amount(line.net_minor).into(),
        ]);
        cells
    };
    // What sums up stands in the widest and the last column.
    let sum = |what: String, minor: i64| {
        let mut cells = vec![Cell::from(""), what.into()];
        cells.extend((3..columns.len()).map(|_| Cell::from("")));
        cells.push(amount(minor).into());
        cells
    };
    let mut totals = vec![sum(words.net.to_owned(), bill.net_minor())];
    for group in bill.taxes() {
        let (name, on) = words.tax;
        let (rate, of) = (hand.percent(group.rate), amount(group.taxable_minor));
        totals.push(sum(format!("{name} {rate} {on} {of}"), group.tax_minor));
    }
    if bill.rounding_minor != 0 {
        totals.push(sum(words.rounding.to_owned(), bill.rounding_minor));
    }
    let total = format!("{} {}", words.total, bill.currency);
    totals.push(sum(total, bill.total_minor()));
    if bill.kind == Kind::Invoice && bill.is_paid() {
        totals.push(sum(words.paid.to_owned(), -bill.total_minor()));
        totals.push(sum(words.left.to_owned(), 0));
    }
    Sheet {
        paper: Paper::default(),
        issuer: bill.seller.name.clone(),
        title: match bill.kind {
            Kind::Invoice => words.invoice,
            Kind::CreditNote => words.credit_note,
        },
        number: bill.name.clone(),
        code: None,
        page: words.page,
        address: Some((words.buyer, bill.buyer.address())),
        facts,
        rows: bill.lines().map(row).collect(),
        totals,
        closing: closing(bill, words),
        columns,
    }
}

/// What stands below the figures.
fn closing(bill: &Bill, words: &Words) -> Vec<Closing> {
    let mut notes = Vec::new();
    notes.extend(bill.reason.clone().map(|why| (words.reason, why)));
    let mut exempt: Vec<&str> = Vec::new();
    for group in bill.taxes() {
        exempt.extend(match group.category {
            TaxCategory::Standard | TaxCategory::Zero => None,
            TaxCategory::Exempt => Some(words.exempt),
            TaxCategory::IntraCommunity => Some(words.intra_community),
            TaxCategory::Export => Some(words.export),
        });
    }
    if !exempt.is_empty() {
        notes.push((words.note, exempt.join(" ")));
    }
    let place = |party: &Party| {
        let address = party.address();
        let mut parts = vec![party.name.clone()];
        parts.extend(address.lines());
        parts.push(address.country());
        parts.join(", ")
    };
    if bill.delivered_to.address() != bill.buyer.address() {
        notes.push((words.delivered_to, place(&bill.delivered_to)));
    }
    let seller = &bill.seller;
    let mut about = vec![place(seller)];
    for (what, value) in [
        (words.vat_id, &seller.vat_id),
        (words.tax_number, &seller.tax_number),
        (words.registration, &seller.registration),
        ("IBAN", &seller.iban),
        ("BIC", &seller.bic),
        ("E-Mail", &seller.email),
        ("Tel.", &seller.phone),
    ] {
        about.extend(value.as_ref().map(|value| format!("{what} {value}")));
    }
    notes.push((words.seller, about.join(" · ")));
    let notes = notes.into_iter();
    notes
        .map(|(over, text)| Closing::Note(over, text))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;

    #[test]
    fn amounts_are_written_as_the_language_writes_them() {
        let (english, german) = (Hand { german: false }, Hand { german: true });
        for (minor, in_english, in_german) in [
            (0, "0.00", "0,00"),
            (-5, "-0.05", "-0,05"),
            (123_456, "1,234.56", "1.234,56"),
            (-100_000_000, "-1,000,000.00", "-1.000.000,00"),
        ] {
            assert_eq!(english.amount(minor, Currency::EUR), in_english);
            assert_eq!(german.amount(minor, Currency::EUR), in_german);
        }
        assert_eq!(english.amount(1_234, Currency::JPY), "1,234");
        assert_eq!(german.percent(Rate(Decimal::new(77, 3))), "7,7 %");
    }

    #[test]
    fn a_bill_adds_up_and_says_so_in_its_language() {
        let mut bill = samples::bill(3);
        let sums: i64 = bill.taxes().iter().map(|group| group.taxable_minor).sum();
        assert_eq!(sums, bill.net_minor());
        for (language, title) in [("en-IE", "Invoice"), ("de-AT", "Rechnung")] {
            bill.language = language.to_owned();
            assert_eq!(laid_out(&bill).title, title);
        }
        bill.kind = Kind::CreditNote;
        assert_eq!(laid_out(&bill).title, "Rechnungskorrektur");
    }

    #[test]
    fn a_price_is_exact_where_it_can_be() {
        let line = |quantity, net_minor| BillLine {
            quantity,
            net_minor,
            discount_minor: 0,
            ..samples::bill(1).items[0].clone()
        };
        let price = |quantity, net| line(quantity, net).unit_price(Currency::EUR).to_string();
        assert_eq!(price(3, 2_997), "9.99");
        assert_eq!(price(1_000, 2_550), "0.02550".trim_end_matches('0'));
        assert_eq!(price(3, 1_000), "3.33333333");
        assert_eq!(price(0, 1_000), "10.00");
    }
}
