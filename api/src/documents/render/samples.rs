//! Believable documents, for tests, for measurements and for the eye.

use chrono::NaiveDate;
use entity::invoice::{Kind, Payment};
use entity::invoice_line::TaxCategory;
use entity::{Currency, Money, Rate};
use rust_decimal::Decimal;

use super::{
    Address, Bill, BillLine, Label, Manifest, ManifestParcel, PackingSlip, Paper, Parcel, Party,
    PickRow, PickSheet, SlipLine,
};

fn day() -> NaiveDate {
    NaiveDate::from_ymd_opt(2026, 11, 23).unwrap_or_default()
}

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

/// Who sends.
pub fn sender() -> Address {
    Address {
        name: "Northwind Traders".to_owned(),
        line1: "Lindengasse 41".to_owned(),
        city: "Wien".to_owned(),
        postal_code: some("1070"),
        country_code: "AT".to_owned(),
        country: "Austria".to_owned(),
        ..Address::default()
    }
}

/// Who receives.
pub fn receiver() -> Address {
    Address {
        name: "Małgorzata Wiśniewska".to_owned(),
        organisation: some("Königlich Essen"),
        line1: "ul. Świętokrzyska 14/3".to_owned(),
        line2: some("III piętro"),
        city: "Warszawa".to_owned(),
        postal_code: some("00-050"),
        country_code: "PL".to_owned(),
        country: "Poland".to_owned(),
        phone: some("+48 22 123 45 67"),
        ..Address::default()
    }
}

/// A label as most are.
pub fn label() -> Label {
    Label {
        carrier: "Parcel Post".to_owned(),
        service: "Express, signature on delivery".to_owned(),
        from: sender(),
        to: receiver(),
        tracking_number: "00340434161094042557".to_owned(),
        weight_grams: 2_350,
        references: vec!["Order 1042".to_owned(), "PO-77/2026".to_owned()],
        parcel: Parcel { number: 1, of: 2 },
        date: day(),
        cash_on_delivery: Some(Money::new(12_990, Currency::EUR)),
        handling: vec!["FRAGILE".to_owned()],
    }
}

/// A label with everything that is long.
pub fn label_of_a_long_address() -> Label {
    Label {
        carrier: "Internationale Speditionsgesellschaft".to_owned(),
        service: "Economy with a name that nobody shortens".to_owned(),
        to: Address {
            name: "Αλέξανδρος Παπαδόπουλος-Χατζηδημητρίου της Θεσσαλονίκης".to_owned(),
            organisation: some("Общество с ограниченной ответственностью «Северный ветер»"),
            line1: "Žluťoučký kůň, příliš dlouhá ulice číslo popisné 1234/56b".to_owned(),
            line2: some("Øvre Ærøskøbing, 4. sal til venstre, bagved gården"),
            city: "Llanfairpwllgwyngyllgogerychwyrndrobwllllantysiliogogogoch".to_owned(),
            region: some("Anglesey"),
            postal_code: some("LL61 5UJ"),
            country_code: "GB".to_owned(),
            country: "United Kingdom of Great Britain and Northern Ireland".to_owned(),
            phone: some("+44 1248 123456"),
        },
        tracking_number: "1Z999AA10123456784".to_owned(),
        references: vec![
            "Order 1043".to_owned(),
            "A reference that is much longer than there is room for it".to_owned(),
        ],
        parcel: Parcel {
            number: 17,
            of: 120,
        },
        cash_on_delivery: None,
        handling: Vec::new(),
        ..label()
    }
}

/// Things that are sold.
const GOODS: &[(&str, &str)] = &[
    ("MUG-BLUE", "Stoneware mug, blue"),
    ("TEA-EARL-250", "Earl Grey, loose leaf, 250 g"),
    ("BÖREK-6", "Spinatbörek, sechs Stück, tiefgekühlt"),
    (
        "LAMP-ARC-XL-BRASS-EU",
        "Arc lamp XL in brushed brass with a marble foot, dimmer and EU plug",
    ),
    ("KNIHA-CZ-0077", "Žluťoučký kůň: pohádky pro děti i dospělé"),
    ("TIN-S", "Tea tin, small"),
    ("ΒΙΒΛΙΟ-3", "Οδύσσεια, δεμένο αντίτυπο"),
    ("ЧАЙ-100", "Чай чёрный байховый, 100 пакетиков"),
];

/// A packing slip with so many lines.
pub fn packing_slip(lines: usize) -> PackingSlip {
    let line = |place: usize| {
        let (sku, title) = GOODS[place % GOODS.len()];
        let ordered = (place as i64 * 7) % 12 + 1;
        let to_come = if place % 4 == 3 { ordered / 2 } else { 0 };
        SlipLine {
            sku: sku.to_owned(),
            title: title.to_owned(),
            ordered,
            in_parcel: ordered - to_come,
            to_come,
        }
    };
    PackingSlip {
        paper: Paper::A4,
        merchant: "Océano Atlântico, Lda.".to_owned(),
        order_number: "1042".to_owned(),
        reference: some("PO-77/2026"),
        ordered_on: day() - chrono::Days::new(2),
        date: day(),
        service: "Parcel Post Express".to_owned(),
        parcel: Parcel { number: 1, of: 2 },
        weight_grams: Some(2_350),
        ship_to: receiver(),
        lines: (0..lines).map(line).collect(),
        note: some(
            "Thank you for your order.\nWhat is still to come follows as soon as it is in stock; \
             you pay no postage for it.",
        ),
    }
}

/// A pick list with so many stops.
pub fn pick_sheet(stops: usize) -> PickSheet {
    let row = |place: usize| {
        let (sku, title) = GOODS[(place * 3) % GOODS.len()];
        PickRow {
            bin: format!(
                "{}-{:02}-{}",
                (b'A' + (place / 9) as u8 % 26) as char,
                place % 9 + 1,
                place % 4
            ),
            sku: sku.to_owned(),
            title: title.to_owned(),
            quantity: (place as i64 * 5) % 14 + 1,
            slot: Some(format!("S{}", place % 6 + 1)),
        }
    };
    PickSheet {
        paper: Paper::A4,
        number: "PL-2026-000317".to_owned(),
        warehouse: "Wien West".to_owned(),
        wave: some("W-12 morning"),
        date: day(),
        rows: (0..stops).map(row).collect(),
    }
}

/// A manifest with so many parcels.
pub fn manifest(parcels: usize) -> Manifest {
    let parcel = |place: usize| ManifestParcel {
        tracking_number: format!("0034043416109{:07}", place * 1_337 + 42),
        order_number: (1042 + place).to_string(),
        service: if place.is_multiple_of(3) {
            "Express"
        } else {
            "Standard"
        }
        .to_owned(),
        weight_grams: 250 + (place as u64 * 777) % 14_000,
    };
    Manifest {
        paper: Paper::A4,
        number: "MF-20261123-1".to_owned(),
        carrier: "Parcel Post".to_owned(),
        warehouse: "Wien West".to_owned(),
        date: day(),
        parcels: (0..parcels).map(parcel).collect(),
    }
}

/// Who sells, on an invoice.
pub fn seller() -> Party {
    Party {
        name: "Northwind Traders GmbH".to_owned(),
        line1: "Lindengasse 41".to_owned(),
        city: "Wien".to_owned(),
        postal_code: some("1070"),
        country: "AT".to_owned(),
        vat_id: some("ATU12345675"),
        registration: some("FN 123456a"),
        email: some("office@northwind.example"),
        iban: some("AT611904300234573201"),
        bic: some("BKAUATWWXXX"),
        ..Party::default()
    }
}

/// Who buys, on an invoice.
pub fn buyer() -> Party {
    Party {
        name: "Małgorzata Wiśniewska".to_owned(),
        organisation: some("Königlich Essen"),
        line1: "ul. Świętokrzyska 14/3".to_owned(),
        line2: some("III piętro"),
        city: "Warszawa".to_owned(),
        postal_code: some("00-050"),
        country: "PL".to_owned(),
        email: some("m@koeniglich.example"),
        ..Party::default()
    }
}

/// An invoice of so many lines, at two rates, some with a discount, and its delivery.
pub fn bill(lines: i32) -> Bill {
    let titles = [
        "Lamp, small",
        "Świecznik żółty",
        "Οδύσσεια, δεμένο αντίτυπο",
        "Чай чёрный байховый",
    ];
    let items = (1..=lines).map(|position| {
        let quantity = i64::from(position % 4 + 1);
        let percent = if position % 3 == 0 { 7 } else { 19 };
        let discount_minor = if position % 2 == 0 { 150 } else { 0 };
        let net_minor = quantity * (995 + 37 * i64::from(position)) - discount_minor;
        BillLine {
            position,
            sku: format!("SKU-{position}"),
            title: titles[position.unsigned_abs() as usize % titles.len()].to_owned(),
            quantity,
            discount_minor,
            net_minor,
            category: TaxCategory::Standard,
            rate: Rate(Decimal::new(percent, 2)),
            tax_minor: (net_minor * percent + 50) / 100,
        }
    });
    let items: Vec<_> = items.collect();
    Bill {
        kind: Kind::Invoice,
        name: "R-2026-000317".to_owned(),
        language: "en".to_owned(),
        currency: Currency::EUR,
        issued_on: day(),
        supplied_on: Some(day()),
        seller: seller(),
        buyer: buyer(),
        delivered_to: buyer(),
        order_number: "1042".to_owned(),
        reference: some("PO-77/2026"),
        corrects: None,
        reason: None,
        payment: Payment::Card,
        due_on: None,
        charges: vec![BillLine {
            position: lines + 1,
            sku: String::new(),
            title: "Delivery".to_owned(),
            quantity: 1,
            discount_minor: 0,
            net_minor: 495,
            category: TaxCategory::Standard,
            rate: Rate(Decimal::new(19, 2)),
            tax_minor: 94,
        }],
        items,
        rounding_minor: 0,
    }
}
