//! A table over as many pages as it needs: what it is and whose on top, its columns named on each
//! page, what is said at the end behind it. Every document for people is one of these.

use super::codes::{Code128, QUIET};
use super::face::{self, Style};
use super::page::{Align, Area, Mark, Pages};
use super::{Address, Paper, Rendered, Unprintable};

/// What a document says, in the order in which it stands there.
pub(super) struct Sheet {
    pub paper: Paper,
    /// Whose it is.
    pub issuer: String,
    /// What it is: `Packing slip`.
    pub title: &'static str,
    /// Which one.
    pub number: String,
    /// What a scanner reads to find it, and what that is.
    pub code: Option<(&'static str, String)>,
    /// The words of `Page 1 of 2`.
    pub page: (&'static str, &'static str),
    /// To whom, with what is written over it.
    pub address: Option<(&'static str, Address)>,
    /// Short facts, each with what is written over it.
    pub facts: Vec<(&'static str, String)>,
    pub columns: Vec<Column>,
    pub rows: Vec<Vec<Cell>>,
    /// Rows that sum up those above.
    pub totals: Vec<Vec<Cell>>,
    pub closing: Vec<Closing>,
}

/// A column of the table.
pub(super) struct Column {
    pub title: &'static str,
    /// How wide it is in points; what is left goes to the columns with none, in equal parts.
    pub width: Option<f32>,
    pub align: Align,
    pub style: Style,
}

impl Column {
    /// Text on the left.
    pub fn text(title: &'static str, width: Option<f32>) -> Column {
        Column {
            title,
            width,
            align: Align::Left,
            style: BODY,
        }
    }

    /// Figures under one another.
    pub fn figures(title: &'static str, width: f32) -> Column {
        Column {
            align: Align::Right,
            ..Column::text(title, Some(width))
        }
    }

    /// The same in bold: what the eye looks for.
    pub fn bold(self) -> Column {
        Column {
            style: Style::bold(self.style.size),
            ..self
        }
    }
}

/// One field of the table.
pub(super) enum Cell {
    Text(String),
    /// A box to tick by hand.
    Tick,
}

impl<T: ToString> From<T> for Cell {
    fn from(value: T) -> Cell {
        Cell::Text(value.to_string())
    }
}

/// What stands behind the table.
pub(super) enum Closing {
    /// Words, with what is written over them.
    Note(&'static str, String),
    /// Lines to sign on, each with what is written under it.
    Signatures(&'static [&'static str]),
}

/// The words of `Page 1 of 2` in English.
pub(super) const PAGE: (&str, &str) = ("Page", "of");

const MARGIN: f32 = 48.0;
/// How much of the page's foot is not for the table.
const FOOT: f32 = 62.0;
const GAP: f32 = 10.0;
const PAD: f32 = 4.5;
const LEAD: f32 = 12.5;

/// How many lines a fact or a line of an address may take.
const MOST: usize = 3;

const GREY: u8 = 95;
const HAIR: u8 = 205;
const BODY: Style = Style::regular(9.5);
const CAPTION: Style = Style::regular(7.5).shade(GREY);
const TITLE: f32 = 20.0;

/// Prints a sheet.
pub(super) fn print(sheet: &Sheet) -> Result<Rendered, Unprintable> {
    laid_out(sheet)?.pdf(&format!("{} {}", sheet.title, sheet.number))
}

/// The sheet's pages.
pub(super) fn laid_out(sheet: &Sheet) -> Result<Pages, Unprintable> {
    let (width, height) = match sheet.paper {
        Paper::A4 => (595.28, 841.89),
        Paper::Letter => (612.0, 792.0),
    };
    let pages = Pages::new(width, height);
    let columns = places(&sheet.columns, width - 2.0 * MARGIN);
    let mut press = Press {
        sheet,
        pages,
        columns,
        y: 0.0,
    };
    press.heading()?;
    press.facts();
    press.table();
    for closing in &sheet.closing {
        match closing {
            Closing::Note(caption, text) => press.note(caption, text),
            Closing::Signatures(captions) => press.signatures(captions),
        }
    }
    Ok(press.numbered())
}

/// Where each column begins, and how wide it is.
fn places(columns: &[Column], width: f32) -> Vec<(f32, f32)> {
    let gaps = GAP * columns.len().saturating_sub(1) as f32;
    let fixed: f32 = columns.iter().filter_map(|column| column.width).sum();
    let open = columns.iter().filter(|column| column.width.is_none());
    let share = (width - gaps - fixed) / open.count().max(1) as f32;
    let mut x = MARGIN;
    let place = |column: &Column| {
        let width = column.width.unwrap_or(share);
        let place = (x, width);
        x += width + GAP;
        place
    };
    columns.iter().map(place).collect()
}

/// A sheet at work: everything above `y` is printed.
struct Press<'a> {
    sheet: &'a Sheet,
    pages: Pages,
    columns: Vec<(f32, f32)>,
    y: f32,
}

impl Press<'_> {
    fn inner(&self) -> f32 {
        self.pages.width - 2.0 * MARGIN
    }

    fn right(&self) -> f32 {
        self.pages.width - MARGIN
    }

    fn bottom(&self) -> f32 {
        self.pages.height - FOOT
    }

    /// What it is and whose, with what a scanner reads.
    fn heading(&mut self) -> Result<(), Unprintable> {
        let mut width = self.inner();
        if let Some((what, text)) = &self.sheet.code {
            width -= self.scanned(Code128::new(what, text)?)? + GAP;
        }
        let issuer = Style::regular(10.0).shade(GREY);
        let (sheet, left) = (self.sheet, MARGIN);
        self.pages
            .fit(&sheet.issuer, issuer, 6.0, Align::Left, (left, 54.0), width);
        self.pages
            .write(sheet.title, Style::bold(TITLE), Align::Left, (left, 80.0));
        let title = face::width_of(&format!("{} ", sheet.title), Style::bold(TITLE));
        let number = Style::regular(TITLE);
        let at = (left + title, 80.0);
        self.pages
            .fit(&sheet.number, number, 7.0, Align::Left, at, width - title);
        self.pages.rule(left, 96.0, self.inner(), 1.2, 0);
        self.y = 98.0;
        Ok(())
    }

    /// Prints a bar code into the upper right corner, and says how wide it is.
    fn scanned(&mut self, code: Code128) -> Result<f32, Unprintable> {
        let modules = code.modules()?.len() as f32;
        let most = self.inner() * 0.5;
        let module = (most / modules).min(1.2);
        if module < 0.55 {
            return Err(Unprintable::Code {
                what: "the number",
                reason: "its bars would be too thin on this paper",
            });
        }
        let width = modules * module;
        let x = self.right() - width;
        let style = Style::regular(8.5);
        let under = (x + width / 2.0, 84.0);
        self.pages.write(&code.text, style, Align::Center, under);
        self.pages.put(Mark::Bars {
            x,
            y: 42.0,
            module,
            height: 31.0,
            code,
        });
        Ok(width + QUIET as f32 * module)
    }

    /// To whom, on the left, and the short facts beside.
    fn facts(&mut self) {
        let top = self.y + 18.0;
        let (mut x, mut across, mut bottom) = (MARGIN, 4, top);
        if let Some((caption, address)) = &self.sheet.address {
            let width = self.inner() * 0.5 - GAP;
            bottom = self.addressed(caption, address, top, width);
            (x, across) = (MARGIN + self.inner() * 0.5, 2);
        }
        let width = (self.right() - x - (across - 1) as f32 * GAP) / across as f32;
        let mut y = top;
        for row in self.sheet.facts.chunks(across) {
            let mut tallest: f32 = 0.0;
            for (place, (caption, value)) in row.iter().enumerate() {
                let x = x + place as f32 * (width + GAP);
                self.pages.write(caption, CAPTION, Align::Left, (x, y));
                let lines = self.pages.few_lines(value, Style::bold(10.0), width, MOST);
                for (at, line) in lines.iter().enumerate() {
                    let baseline = y + 13.0 + at as f32 * LEAD;
                    let style = Style::bold(10.0);
                    self.pages.write(line, style, Align::Left, (x, baseline));
                }
                tallest = tallest.max(lines.len() as f32 * LEAD);
            }
            y += 13.0 + tallest + 5.0;
        }
        self.y = bottom.max(y - 5.0 - LEAD + 3.0) + 18.0;
    }

    /// Prints an address, and says where it ends.
    fn addressed(&mut self, caption: &str, to: &Address, top: f32, width: f32) -> f32 {
        self.pages
            .write(caption, CAPTION, Align::Left, (MARGIN, top));
        let mut lines = vec![(to.name.clone(), Style::bold(11.0))];
        let below = to.lines().into_iter().chain([to.country()]);
        lines.extend(below.map(|line| (line, Style::regular(10.0))));
        if let Some(phone) = &to.phone {
            lines.push((format!("Tel. {phone}"), CAPTION.sized(8.5)));
        }
        let mut y = top + 1.0;
        for (line, style) in lines {
            for line in self.pages.few_lines(&line, style, width, MOST) {
                y += style.size * 1.3;
                self.pages.write(&line, style, Align::Left, (MARGIN, y));
            }
        }
        y
    }

    fn table(&mut self) {
        self.columns_named();
        let sheet = self.sheet;
        for row in &sheet.rows {
            self.row(row, false);
            self.pages
                .rule(MARGIN, self.y - 0.4, self.inner(), 0.4, HAIR);
        }
        if !sheet.totals.is_empty() {
            self.keep(sheet.totals.len() as f32 * (LEAD + 2.0 * PAD));
            self.pages.rule(MARGIN, self.y - 0.8, self.inner(), 0.8, 0);
        }
        for row in &sheet.totals {
            self.row(row, true);
        }
    }

    fn columns_named(&mut self) {
        let baseline = self.y + 9.0;
        for (column, (x, width)) in self.sheet.columns.iter().zip(&self.columns) {
            let x = aligned(column.align, *x, *width);
            let style = Style::bold(8.0).shade(60);
            self.pages.fit(
                column.title,
                style,
                5.0,
                column.align,
                (x, baseline),
                *width,
            );
        }
        self.y += 14.5;
        self.pages.rule(MARGIN, self.y, self.inner(), 0.8, 0);
        self.y += 0.8;
    }

    /// Prints a row; one that is taller than what is left of the page begins on the next, and one
    /// that is taller than a page goes on there.
    fn row(&mut self, cells: &[Cell], bold: bool) {
        let columns = self
            .sheet
            .columns
            .iter()
            .zip(self.columns.clone())
            .zip(cells);
        let mut laid = Vec::new();
        for ((column, (x, width)), cell) in columns {
            let style = match bold {
                true => Style::bold(column.style.size),
                false => column.style,
            };
            let lines = match cell {
                Cell::Text(text) => self.pages.lines(text, style, width),
                Cell::Tick => Vec::new(),
            };
            let tick = matches!(cell, Cell::Tick);
            laid.push((
                aligned(column.align, x, width),
                column.align,
                style,
                lines,
                tick,
            ));
        }
        let tall = laid.iter().map(|(.., lines, _)| lines.len()).max();
        let tall = tall.unwrap_or_default().max(1);
        self.keep(tall as f32 * LEAD + 2.0 * PAD);
        let mut from = 0;
        while from < tall {
            let left = ((self.bottom() - self.y - 2.0 * PAD) / LEAD)
                .floor()
                .max(1.0);
            let to = tall.min(from + left as usize);
            for (x, align, style, lines, tick) in &laid {
                if *tick && from == 0 {
                    let area = Area {
                        x: x - if *align == Align::Left { 0.0 } else { 9.0 },
                        y: self.y + PAD + 1.0,
                        width: 9.0,
                        height: 9.0,
                    };
                    self.pages.put(Mark::Frame { area, line: 0.7 });
                }
                let part = lines.iter().take(to).skip(from);
                for (at, line) in part.enumerate() {
                    let baseline = self.y + PAD + 9.3 + at as f32 * LEAD;
                    self.pages.write(line, *style, *align, (*x, baseline));
                }
            }
            self.y += (to - from) as f32 * LEAD + 2.0 * PAD;
            from = to;
            if from < tall {
                self.turn();
            }
        }
    }

    fn note(&mut self, caption: &str, text: &str) {
        let style = Style::regular(10.0);
        let lines = self.pages.lines(text, style, self.inner() * 0.8);
        if lines.is_empty() {
            return;
        }
        self.keep_plain(18.0 + 2.0 * 14.0);
        self.y += 20.0;
        let at = (MARGIN, self.y);
        self.pages.write(caption, CAPTION, Align::Left, at);
        for line in lines {
            self.keep_plain(14.0);
            self.y += 14.0;
            let at = (MARGIN, self.y);
            self.pages.write(&line, style, Align::Left, at);
        }
    }

    fn signatures(&mut self, captions: &[&str]) {
        self.keep_plain(64.0);
        self.y += 50.0;
        let count = captions.len().max(1) as f32;
        let width = (self.inner() - 2.0 * GAP * (count - 1.0)) / count;
        for (place, caption) in captions.iter().enumerate() {
            let x = MARGIN + place as f32 * (width + 2.0 * GAP);
            self.pages.rule(x, self.y, width, 0.6, 0);
            let at = (x, self.y + 11.0);
            self.pages.write(caption, CAPTION, Align::Left, at);
        }
        self.y += 14.0;
    }

    /// Turns the page, with the columns named again, unless there is room; where no page would
    /// have the room, only if most of this one is used.
    fn keep(&mut self, height: f32) {
        let whole = self.bottom() - 90.0;
        let needed = if height > whole { whole / 4.0 } else { height };
        if self.y + needed > self.bottom() {
            self.turn();
        }
    }

    /// The same behind the table.
    fn keep_plain(&mut self, height: f32) {
        if self.y + height > self.bottom() {
            self.running_head();
        }
    }

    fn turn(&mut self) {
        self.running_head();
        self.columns_named();
    }

    /// Begins a page that says what it belongs to.
    fn running_head(&mut self) {
        self.pages.turn();
        let sheet = self.sheet;
        let name = format!("{} {}", sheet.title, sheet.number);
        let half = self.inner() / 2.0 - GAP;
        let at = (MARGIN, 50.0);
        self.pages
            .fit(&name, Style::bold(9.5), 6.0, Align::Left, at, half);
        let style = Style::regular(9.0).shade(GREY);
        let at = (self.right(), 50.0);
        self.pages
            .fit(&sheet.issuer, style, 6.0, Align::Right, at, half);
        self.y = 66.0;
    }

    /// The pages, each with its number.
    fn numbered(mut self) -> Pages {
        let (right, height) = (self.right(), self.pages.height);
        let name = format!("{} {}", self.sheet.title, self.sheet.number);
        let name = self.pages.printable(&name);
        let style = CAPTION.sized(8.0);
        let name = face::cut(&name, style, self.inner() * 0.7);
        let words = self.sheet.page;
        self.pages.number(|page, of| {
            let text = |x, align, text: String| Mark::Text {
                x,
                baseline: height - 34.0,
                align,
                style,
                text,
            };
            vec![
                text(MARGIN, Align::Left, name.clone()),
                text(
                    right,
                    Align::Right,
                    format!("{} {page} {} {of}", words.0, words.1),
                ),
            ]
        });
        self.pages
    }
}

fn aligned(align: Align, x: f32, width: f32) -> f32 {
    match align {
        Align::Left => x,
        Align::Right => x + width,
        Align::Center => x + width / 2.0,
    }
}
