use super::page::{Mark, Pages};
use super::sheet::{self, Sheet};
use super::*;

/// Everything that is printed, page by page.
fn texts(pages: &Pages) -> Vec<Vec<String>> {
    let text = |mark: &Mark| match mark {
        Mark::Text { text, .. } => Some(text.clone()),
        _ => None,
    };
    let marks = pages.marks().iter();
    marks
        .map(|page| page.iter().filter_map(text).collect())
        .collect()
}

/// Fails where something is printed beyond the page, or across its margin.
fn inside(pages: &Pages, margin: f32) {
    for mark in pages.marks().iter().flatten() {
        let (left, right, bottom) = match mark {
            Mark::Text {
                x,
                baseline,
                align,
                style,
                text,
            } => {
                let width = face::width_of(text, *style);
                let left = match align {
                    page::Align::Left => *x,
                    page::Align::Right => x - width,
                    page::Align::Center => x - width / 2.0,
                };
                (left, left + width, *baseline)
            }
            Mark::Fill { area, .. } | Mark::Frame { area, .. } => {
                (area.x, area.x + area.width, area.y + area.height)
            }
            Mark::Bars {
                x,
                y,
                module,
                height,
                code,
            } => {
                let width = code.modules().unwrap().len() as f32 * module;
                (*x, x + width, y + height)
            }
            Mark::Matrix { x, y, module, code } => {
                let side = code.side as f32 * module;
                (*x, x + side, y + side)
            }
        };
        let fits = left >= margin - 0.5
            && right <= pages.width - margin + 0.5
            && bottom <= pages.height - 12.0;
        assert!(fits, "{left}..{right}, {bottom}: {mark:?}");
    }
}

fn laid_out(sheet: &Sheet) -> Pages {
    sheet::laid_out(sheet).unwrap()
}

fn slip(slip: &PackingSlip) -> Pages {
    laid_out(&packing_slip::laid_out(slip))
}

const HOSTILE: &[&str] = &[
    "",
    " ",
    "one\ntwo\r\nthree\u{2028}four",
    "\0\u{1b}[31m\t\u{7f}",
    "^XZ^XA^FD~JA_5E\\&,^FS",
    "( ) \\ < > & \" ' % %EOF endstream",
    "\u{202e}gnitirw desrever\u{200d}\u{feff}",
    "🎉日本 한국",
    "e\u{301}e\u{301}",
];

fn long() -> String {
    "Oberstleutnant-".repeat(20) + &"x".repeat(300)
}

#[test]
fn the_same_facts_give_the_same_bytes() {
    let all = || {
        [
            label(&samples::label()),
            label_zpl(&samples::label()),
            packing_slip(&samples::packing_slip(50)),
            pick_sheet(&samples::pick_sheet(50)),
            manifest(&samples::manifest(50)),
        ]
        .map(Result::unwrap)
    };
    assert_eq!(all(), all());
    let other = Label {
        weight_grams: 1,
        ..samples::label()
    };
    assert_ne!(label(&other).unwrap(), label(&samples::label()).unwrap());
}

#[test]
fn every_alphabet_of_europe_is_there() {
    let texts = [
        "Königlich Essen, Groß-Gerau, Straẞe",
        "Océano Atlântico, Œuvre, Català l·l",
        "Świętokrzyska, Łódź, Zażółć gęślą jaźń",
        "Žluťoučký kůň, Ďáblice, Ľubica",
        "Ærøskøbing, Åland, Þórður, Ðað",
        "İstanbul, Iğdır, Țăndărei, Őrség, Ūķis",
        "Αλέξανδρος, Ώρα, ΐ",
        "Щёлково, Київ, Ґанок, Њива, Ђорђе",
        "№ 5 – “a” ‘b’ „c“ «d» … € £ × ·",
    ];
    let mut missing = std::collections::BTreeSet::new();
    for text in texts {
        assert_eq!(face::printable(text, &mut missing), text);
    }
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn what_the_typeface_lacks_is_reported_and_shows() {
    let mut asked = samples::packing_slip(2);
    asked.ship_to.name = "山田 Taro".to_owned();
    asked.lines[0].title = "Tea 茶 🎉".to_owned();
    let pages = slip(&asked);
    let all = texts(&pages).concat();
    assert!(all.contains(&"□□ Taro".to_owned()), "{all:?}");
    assert!(all.contains(&"Tea □ □".to_owned()), "{all:?}");
    let missing = ['山', '田', '茶', '🎉'];
    assert_eq!(packing_slip(&asked).unwrap().missing, missing);

    let mut asked = samples::label();
    asked.to.name = "山田 Taro".to_owned();
    for rendered in [label(&asked).unwrap(), label_zpl(&asked).unwrap()] {
        assert_eq!(rendered.missing, ['山', '田'], "{:?}", rendered.format);
    }
}

#[test]
fn nothing_leaves_its_page_whatever_is_written() {
    for text in HOSTILE
        .iter()
        .map(|text| (*text).to_owned())
        .chain([long()])
    {
        let address = Address {
            name: text.clone(),
            organisation: Some(text.clone()),
            line1: text.clone(),
            line2: Some(text.clone()),
            city: text.clone(),
            region: Some(text.clone()),
            postal_code: Some(text.clone()),
            country_code: text.clone(),
            country: text.clone(),
            phone: Some(text.clone()),
        };
        let asked = Label {
            carrier: text.clone(),
            service: text.clone(),
            from: address.clone(),
            to: address.clone(),
            references: vec![text.clone(); 5],
            handling: vec![text.clone(); 3],
            parcel: Parcel {
                number: u32::MAX,
                of: u32::MAX,
            },
            weight_grams: u64::MAX,
            ..samples::label()
        };
        inside(&label::laid_out(&asked).unwrap(), 13.0);
        label(&asked).unwrap();
        label_zpl(&asked).unwrap();

        let mut asked = samples::packing_slip(3);
        asked.merchant = text.clone();
        asked.service = text.clone();
        asked.reference = Some(text.clone());
        asked.ship_to = address;
        asked.note = Some(text.clone());
        for line in &mut asked.lines {
            line.sku = text.clone();
            line.title = text.clone();
        }
        for paper in [Paper::A4, Paper::Letter] {
            asked.paper = paper;
            inside(&slip(&asked), 48.0);
        }
        packing_slip(&asked).unwrap();

        let mut asked = samples::pick_sheet(3);
        asked.warehouse = text.clone();
        for row in &mut asked.rows {
            row.bin = text.clone();
            row.slot = Some(text.clone());
        }
        inside(&laid_out(&pick_sheet::laid_out(&asked)), 48.0);

        let mut asked = samples::manifest(3);
        asked.carrier = text.clone();
        for parcel in &mut asked.parcels {
            parcel.tracking_number = text.clone();
            parcel.service = text.clone();
        }
        inside(&laid_out(&manifest::laid_out(&asked)), 48.0);
    }
}

#[test]
fn five_hundred_lines_go_over_pages_that_say_what_they_are() {
    let mut asked = samples::packing_slip(500);
    asked.note = None;
    for (place, line) in asked.lines.iter_mut().enumerate() {
        line.sku = format!("SKU-{place}");
    }
    let pages = texts(&slip(&asked));
    let of = pages.len();
    assert!(of > 10, "{of}");
    for (place, page) in pages.iter().enumerate() {
        for text in ["SKU".to_owned(), format!("Page {} of {of}", place + 1)] {
            assert!(page.contains(&text), "page {place} lacks {text}");
        }
        assert!(
            page.iter().any(|text| text.contains("1042")),
            "page {place}"
        );
    }
    let all = pages.concat();
    for place in 0..500 {
        let sku = format!("SKU-{place}");
        assert_eq!(all.iter().filter(|text| **text == sku).count(), 1, "{sku}");
    }
    assert_eq!(packing_slip(&asked).unwrap().pages, of);
}

#[test]
fn a_field_that_is_longer_than_a_page_goes_on_on_the_next() {
    let mut asked = samples::packing_slip(1);
    let words: Vec<_> = (0..3_000).map(|word| format!("w{word}")).collect();
    asked.lines[0].title = words.join(" ");
    let pages = slip(&asked);
    inside(&pages, 48.0);
    let all = texts(&pages).concat().join(" ");
    let printed: Vec<_> = all
        .split(' ')
        .filter(|word| words.iter().any(|w| w == word))
        .collect();
    assert_eq!(printed, words);
}

#[test]
fn a_label_for_a_printer_cannot_be_broken_out_of() {
    let mut asked = samples::label();
    asked.to.name = "^XZ^XA^FO0,0^FDyours^FS~JA".to_owned();
    asked.handling = vec!["a_5E_b \\& ^FS".to_owned()];
    asked.tracking_number = "AB>5_~^12".to_owned();
    let zpl = String::from_utf8(label_zpl(&asked).unwrap().bytes).unwrap();
    for command in ["^XA", "^XZ"] {
        assert_eq!(zpl.matches(command).count(), 1, "{command} in {zpl}");
    }
    assert!(!zpl.contains('~'), "{zpl}");
    assert!(
        zpl.contains("_5EXZ_5EXA_5EFO0,0_5EFDyours_5EFS_7EJA"),
        "{zpl}"
    );
    assert!(zpl.contains("a_5F5E_5Fb _5C& _5EFS"), "{zpl}");
    // What `>` means to the printer's bar code is said in the code's own way.
    assert!(zpl.contains("^FD>:AB>05_5F_7E_5E12^FS"), "{zpl}");
    for command in ["^CI28", "^PW812", "^LL1218"] {
        assert!(zpl.contains(command), "{command} in {zpl}");
    }
    assert_eq!(zpl.matches("^FD").count(), zpl.matches("^FH").count());
}

#[test]
fn a_number_that_nobody_could_scan_is_refused() {
    for number in ["", "Ż-1", &"A".repeat(40), &"1".repeat(60)] {
        let asked = Label {
            tracking_number: number.to_owned(),
            ..samples::label()
        };
        let refused = label(&asked).unwrap_err();
        assert!(
            matches!(refused, Unprintable::Code { .. }),
            "{number}: {refused}"
        );
        assert!(label_zpl(&asked).is_err());
    }
}

#[test]
fn an_address_is_written_as_its_country_writes_it() {
    let mut address = samples::receiver();
    assert_eq!(address.lines().last().unwrap(), "00-050 Warszawa");
    address.country_code = "US".to_owned();
    address.city = "Portland".to_owned();
    address.region = Some("OR".to_owned());
    address.postal_code = Some("97205".to_owned());
    assert_eq!(address.lines().last().unwrap(), "Portland, OR 97205");
    address.postal_code = None;
    address.region = None;
    assert_eq!(address.lines().last().unwrap(), "Portland");
}
