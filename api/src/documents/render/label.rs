//! The label on a parcel, 4 by 6 inches.
//!
//! One layout for paper and for label printers. Bars and modules are whole dots of a printer of
//! 203 dots an inch, so that none of them is wider than its sisters.

use chrono::NaiveDate;
use entity::Money;

use super::codes::{Code128, Matrix, QUIET};
use super::face::{self, Style};
use super::page::{Align, Area, Mark, Pages};
use super::{Address, Parcel, Rendered, Unprintable, kilograms, zpl};

/// What a label says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// Who carries it.
    pub carrier: String,
    /// How.
    pub service: String,
    /// Who sends it.
    pub from: Address,
    /// Who receives it.
    pub to: Address,
    /// The carrier's number of the parcel, in printable characters of ASCII.
    pub tracking_number: String,
    /// What it weighs.
    pub weight_grams: u64,
    /// What the sender knows it by: the order's number, the customer's reference.
    pub references: Vec<String>,
    /// Which of how many.
    pub parcel: Parcel,
    /// When it is handed over.
    pub date: NaiveDate,
    /// What the carrier collects from who receives it.
    pub cash_on_delivery: Option<Money>,
    /// How it is to be handled: `FRAGILE`, `KEEP DRY` …
    pub handling: Vec<String>,
}

/// A dot of the printer, in points.
pub(super) const DOT: f32 = 72.0 / 203.0;
/// Four inches, in points.
const WIDTH: f32 = 288.0;
/// Six inches, in points.
const HEIGHT: f32 = 432.0;
const LEFT: f32 = 14.0;
const RIGHT: f32 = WIDTH - LEFT;
const INNER: f32 = RIGHT - LEFT;

/// How wide the two-dimensional code may be.
const MATRIX: f32 = 62.0;

const CAPTION: Style = Style::regular(6.5);

/// Prints a label.
pub fn label(label: &Label) -> Result<Rendered, Unprintable> {
    laid_out(label)?.pdf(&format!("Label {}", label.tracking_number))
}

/// Writes a label for a printer that takes ZPL, at 203 dots an inch.
pub fn label_zpl(label: &Label) -> Result<Rendered, Unprintable> {
    Ok(zpl::written(&laid_out(label)?))
}

/// What the two-dimensional code says: the number, where it goes, and which parcel it is.
pub(super) fn scanned(label: &Label) -> String {
    let plain = |text: &str| -> String {
        let plain = |char: &char| char.is_ascii_graphic() && *char != '|';
        text.chars().filter(plain).take(16).collect()
    };
    format!(
        "{}|{}|{}|{}/{}",
        label.tracking_number,
        plain(&label.to.country_code),
        plain(label.to.postal_code.as_deref().unwrap_or_default()),
        label.parcel.number,
        label.parcel.of,
    )
}

/// To the dot, so that bars begin on one.
fn on_a_dot(length: f32) -> f32 {
    (length / DOT).round() * DOT
}

pub(super) fn laid_out(label: &Label) -> Result<Pages, Unprintable> {
    let bars = Code128::new("the tracking number", &label.tracking_number)?;
    let matrix = Matrix::new("what the label says to scanners", &scanned(label))?;
    let mut page = Pages::new(WIDTH, HEIGHT);
    head(&mut page, label);
    sender(&mut page, label);
    receiver(&mut page, &label.to);
    way(&mut page, label, matrix);
    marks(&mut page, label);
    foot(&mut page, label, bars)?;
    Ok(page)
}

/// Carrier, service and which parcel it is.
fn head(page: &mut Pages, label: &Label) {
    let count = format!("{}/{}", label.parcel.number, label.parcel.of);
    page.write("PARCEL", CAPTION, Align::Right, (RIGHT, 20.0));
    page.fit(
        &count,
        Style::bold(22.0),
        8.0,
        Align::Right,
        (RIGHT, 42.0),
        84.0,
    );
    page.fit(
        &label.carrier,
        Style::bold(22.0),
        7.5,
        Align::Left,
        (LEFT, 33.0),
        172.0,
    );
    page.fit(
        &label.service,
        Style::regular(11.0),
        6.0,
        Align::Left,
        (LEFT, 48.0),
        172.0,
    );
    page.rule(LEFT, 56.0, INNER, 1.5, 0);
}

/// Where it comes from, when, and what it weighs.
fn sender(page: &mut Pages, label: &Label) {
    page.write("FROM", CAPTION, Align::Left, (LEFT, 67.0));
    let mut lines = vec![label.from.name.clone()];
    lines.extend(label.from.lines());
    lines.push(label.from.country());
    block(page, &lines, &[], Style::regular(8.0), (69.0, 120.0), 176.0);
    for (caption, value, baseline) in [
        ("DATE", label.date.to_string(), 67.0),
        ("WEIGHT", kilograms(label.weight_grams), 94.0),
    ] {
        page.write(caption, CAPTION, Align::Right, (RIGHT, baseline));
        let at = (RIGHT, baseline + 12.0);
        page.fit(&value, Style::bold(10.0), 6.0, Align::Right, at, 76.0);
    }
    page.rule(LEFT, 124.0, INNER, 0.75, 0);
}

/// Where it goes: what a driver reads at arm's length.
fn receiver(page: &mut Pages, to: &Address) {
    page.write("SHIP TO", CAPTION, Align::Left, (LEFT, 135.0));
    let mut lines = to.lines();
    lines.push(to.country());
    let mut tail = Vec::new();
    if let Some(phone) = &to.phone {
        tail.push(format!("Tel. {phone}"));
    }
    let mut all = vec![to.name.clone()];
    all.extend(lines);
    block(page, &all, &tail, Style::bold(15.0), (137.0, 245.0), INNER);
    page.rule(LEFT, 248.0, INNER, 0.75, 0);
}

/// Lines between two heights, as large as they may be: the first and last in the weight of
/// `style`, those between lighter, `tail` much smaller. What does not fit even when small is cut.
fn block(
    page: &mut Pages,
    lines: &[String],
    tail: &[String],
    style: Style,
    (top, bottom): (f32, f32),
    width: f32,
) {
    let lead = 1.22;
    let last = lines.len().saturating_sub(1);
    let styled = |scale: f32| {
        let body = Style::regular(style.size * scale * 0.9);
        let head = style.sized(style.size * scale);
        let tail = Style::regular((style.size * scale * 0.62).max(5.0));
        move |place: usize| match place {
            place if place == 0 || place == last => head,
            place if place < last => body,
            _ => tail,
        }
    };
    let mut scale = 1.0;
    let laid = loop {
        let style_of = styled(scale);
        let mut laid = Vec::new();
        for (place, line) in lines.iter().chain(tail).enumerate() {
            let style = style_of(place);
            for line in page.lines(line, style, width) {
                laid.push((line, style));
            }
        }
        let height: f32 = laid.iter().map(|(_, style)| style.size * lead).sum();
        if height <= bottom - top || style.size * scale <= 6.0 {
            break laid;
        }
        scale -= 0.05;
    };
    let mut y = top;
    let mut laid = laid.into_iter().peekable();
    while let Some((line, style)) = laid.next() {
        y += style.size * lead;
        let last = laid
            .peek()
            .is_some_and(|(_, next)| y + next.size * lead > bottom);
        let line = match last {
            true => face::cut_after(&line, style, width),
            false => line,
        };
        page.write(&line, style, Align::Left, (LEFT, y));
        if last {
            return;
        }
    }
}

/// The postal code and what sorting machines read.
fn way(page: &mut Pages, label: &Label, matrix: Matrix) {
    let module = (MATRIX / DOT / matrix.side as f32).floor().min(8.0) * DOT;
    let side = matrix.side as f32 * module;
    let x = on_a_dot(RIGHT - side);
    let left = x - LEFT - 14.0;
    let code = label.to.postal_code.as_deref().unwrap_or_default();
    let place = format!("{} {code}", label.to.country_code.to_uppercase());
    page.fit(
        place.trim(),
        Style::bold(30.0),
        9.0,
        Align::Left,
        (LEFT, 280.0),
        left,
    );
    let mut baseline = 295.0;
    for reference in label.references.iter().take(3) {
        let reference = format!("Ref. {reference}");
        page.fit(
            &reference,
            Style::regular(8.5),
            6.0,
            Align::Left,
            (LEFT, baseline),
            left,
        );
        baseline += 11.0;
    }
    page.put(Mark::Matrix {
        x,
        y: on_a_dot(254.0),
        module,
        code: matrix,
    });
}

/// What must not be overlooked.
fn marks(page: &mut Pages, label: &Label) {
    let mut marks = Vec::new();
    if let Some(amount) = label.cash_on_delivery {
        marks.push(format!("CASH ON DELIVERY {amount}"));
    }
    marks.extend(label.handling.iter().cloned());
    if marks.is_empty() {
        page.rule(LEFT, 326.0, INNER, 0.75, 0);
        return;
    }
    let area = Area {
        x: LEFT,
        y: 322.0,
        width: INNER,
        height: 19.0,
    };
    page.put(Mark::Fill { area, shade: 0 });
    let style = Style::bold(12.0).shade(255);
    let at = (WIDTH / 2.0, 335.8);
    page.fit(
        &marks.join(" · "),
        style,
        5.0,
        Align::Center,
        at,
        INNER - 8.0,
    );
}

/// The tracking number, for scanners and for people.
fn foot(page: &mut Pages, label: &Label, bars: Code128) -> Result<(), Unprintable> {
    let modules = bars.modules()?.len();
    let fits = WIDTH / DOT / (modules + 2 * QUIET) as f32;
    let dots = fits.floor().min(4.0);
    if dots < 2.0 {
        return Err(Unprintable::Code {
            what: "the tracking number",
            reason: "its bars would be too thin on a label",
        });
    }
    let module = dots * DOT;
    page.put(Mark::Bars {
        x: on_a_dot((WIDTH - modules as f32 * module) / 2.0),
        y: on_a_dot(349.0),
        module,
        height: 52.0,
        code: bars,
    });
    let at = (WIDTH / 2.0, 416.0);
    page.fit(
        &label.tracking_number,
        Style::bold(13.0),
        6.0,
        Align::Center,
        at,
        INNER,
    );
    Ok(())
}
