//! Pages as lists of marks: what stands where, before anybody decides how it is written down.
//!
//! Lengths are in points, from the upper left corner. A page is kept until the end, so that each
//! can say how many there are.

use std::collections::BTreeSet;

use entity::document::Format;
use krilla::Document;
use krilla::SerializeSettings;
use krilla::color::luma;
use krilla::geom::{PathBuilder, Point, Rect};
use krilla::metadata::Metadata;
use krilla::page::PageSettings;
use krilla::paint::Fill;
use krilla::surface::Surface;

use super::codes::{Code128, Matrix};
use super::face::{self, Face, Style};
use super::{Rendered, Unprintable};

/// A rectangle.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Area {
    pub x: f32,
    pub y: f32,
    pub width: f32,
    pub height: f32,
}

/// On which side of its place text stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Align {
    Left,
    Right,
    Center,
}

/// One thing on a page.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Mark {
    /// Text on one line; `x` is where it is aligned.
    Text {
        x: f32,
        baseline: f32,
        align: Align,
        style: Style,
        text: String,
    },
    /// An area of one shade.
    Fill { area: Area, shade: u8 },
    /// A frame, its line inside the area.
    Frame { area: Area, line: f32 },
    /// A bar code of modules `module` wide, without its quiet zones.
    Bars {
        x: f32,
        y: f32,
        module: f32,
        height: f32,
        code: Code128,
    },
    /// A two-dimensional code of modules `module` wide.
    Matrix {
        x: f32,
        y: f32,
        module: f32,
        code: Matrix,
    },
}

/// Pages of one size that are being filled.
pub(super) struct Pages {
    pub width: f32,
    pub height: f32,
    pages: Vec<Vec<Mark>>,
    missing: BTreeSet<char>,
}

impl Pages {
    /// One empty page.
    pub fn new(width: f32, height: f32) -> Pages {
        Pages {
            width,
            height,
            pages: vec![Vec::new()],
            missing: BTreeSet::new(),
        }
    }

    /// Goes on on a new page.
    pub fn turn(&mut self) {
        self.pages.push(Vec::new());
    }

    /// Every page's marks.
    pub fn marks(&self) -> &[Vec<Mark>] {
        &self.pages
    }

    /// The characters that no typeface here has, so far.
    pub fn missing(&self) -> Vec<char> {
        self.missing.iter().copied().collect()
    }

    /// The text as it can be printed; what cannot be is noted.
    pub fn printable(&mut self, text: &str) -> String {
        face::printable(text, &mut self.missing)
    }

    /// The lines of a text no wider than `width`.
    pub fn lines(&mut self, text: &str, style: Style, width: f32) -> Vec<String> {
        let text = self.printable(text);
        face::lines(&text, style, width)
    }

    /// The same, no more than `most` of them; what is cut shows.
    pub fn few_lines(&mut self, text: &str, style: Style, width: f32, most: usize) -> Vec<String> {
        let mut lines = self.lines(text, style, width);
        if lines.len() > most {
            lines.truncate(most);
            if let Some(last) = lines.last_mut() {
                *last = face::cut_after(last, style, width);
            }
        }
        lines
    }

    /// Puts a mark on the page.
    pub fn put(&mut self, mark: Mark) {
        if let Some(page) = self.pages.last_mut() {
            page.push(mark);
        }
    }

    /// Writes a line of text. It is as long as it is.
    pub fn write(&mut self, text: &str, style: Style, align: Align, (x, baseline): (f32, f32)) {
        let text = self.printable(text).replace('\n', " ");
        if !text.trim().is_empty() {
            self.put(Mark::Text {
                x,
                baseline,
                align,
                style,
                text,
            });
        }
    }

    /// Writes a line of text smaller, or else cut, so that it is no wider than `width`.
    pub fn fit(
        &mut self,
        text: &str,
        style: Style,
        least: f32,
        align: Align,
        (x, baseline): (f32, f32),
        width: f32,
    ) {
        let text = self.printable(text).replace('\n', " ");
        let style = face::fitted(&text, style, least, width);
        let text = face::cut(&text, style, width);
        self.write(&text, style, align, (x, baseline));
    }

    /// A line across.
    pub fn rule(&mut self, x: f32, y: f32, width: f32, line: f32, shade: u8) {
        let area = Area {
            x,
            y,
            width,
            height: line,
        };
        self.put(Mark::Fill { area, shade });
    }

    /// Writes what each page has to say of its number and of their number.
    pub fn number(&mut self, say: impl Fn(usize, usize) -> Vec<Mark>) {
        let of = self.pages.len();
        for (at, page) in self.pages.iter_mut().enumerate() {
            page.extend(say(at + 1, of));
        }
    }

    /// The pages as a PDF. The same pages are the same bytes: nothing in it tells when it was made.
    pub fn pdf(self, title: &str) -> Result<Rendered, Unprintable> {
        let failed = |reason: &str| Unprintable::Document(reason.to_owned());
        let mut document = Document::new_with(SerializeSettings {
            enable_tagging: false,
            ..SerializeSettings::default()
        });
        let about = Metadata::new()
            .title(title.to_owned())
            .producer("OMS".to_owned())
            .language("en".to_owned());
        document.set_metadata(about);
        for marks in &self.pages {
            let settings = PageSettings::from_wh(self.width, self.height);
            let settings = settings.ok_or_else(|| failed("the page has no size"))?;
            let mut page = document.start_page_with(settings);
            let mut surface = page.surface();
            for mark in marks {
                draw(&mut surface, mark)?;
            }
            surface.finish();
            page.finish();
        }
        let bytes = document
            .finish()
            .map_err(|error| failed(&format!("{error:?}")))?;
        Ok(Rendered {
            format: Format::Pdf,
            bytes,
            pages: self.pages.len(),
            missing: self.missing.into_iter().collect(),
        })
    }
}

fn draw(surface: &mut Surface<'_>, mark: &Mark) -> Result<(), Unprintable> {
    match mark {
        Mark::Text {
            x,
            baseline,
            align,
            style,
            text,
        } => {
            let left = match align {
                Align::Left => *x,
                Align::Right => x - face::width_of(text, *style),
                Align::Center => x - face::width_of(text, *style) / 2.0,
            };
            let face = Face::of(style.weight);
            ink(surface, style.shade);
            surface.draw_glyphs(
                Point::from_xy(left, *baseline),
                &face.glyphs(text),
                face.font.clone(),
                text,
                style.size,
                false,
            );
        }
        Mark::Fill { area, shade } => paint(surface, *shade, [*area]),
        Mark::Frame { area, line } => paint(surface, 0, frame(*area, *line)),
        Mark::Bars {
            x,
            y,
            module,
            height,
            code,
        } => {
            let modules = code.modules()?;
            let mut bars = Vec::new();
            let mut at = 0;
            for run in modules.chunk_by(|one, next| one == next) {
                if run[0] {
                    bars.push(Area {
                        x: x + at as f32 * module,
                        y: *y,
                        width: run.len() as f32 * module,
                        height: *height,
                    });
                }
                at += run.len();
            }
            paint(surface, 0, bars);
        }
        Mark::Matrix { x, y, module, code } => {
            let dark = code.dark.iter().map(|(column, row)| Area {
                x: x + *column as f32 * module,
                y: y + *row as f32 * module,
                width: *module,
                height: *module,
            });
            paint(surface, 0, dark);
        }
    }
    Ok(())
}

/// The four sides of a frame.
pub(super) fn frame(area: Area, line: f32) -> [Area; 4] {
    let Area {
        x,
        y,
        width,
        height,
    } = area;
    let across = |y| Area {
        x,
        y,
        width,
        height: line,
    };
    let down = |x| Area {
        x,
        y,
        width: line,
        height,
    };
    [
        across(y),
        across(y + height - line),
        down(x),
        down(x + width - line),
    ]
}

fn ink(surface: &mut Surface<'_>, shade: u8) {
    surface.set_fill(Some(Fill {
        paint: luma::Color::new(shade).into(),
        ..Fill::default()
    }));
}

/// Paints areas as one path, so that no reader shows seams between them.
fn paint(surface: &mut Surface<'_>, shade: u8, areas: impl IntoIterator<Item = Area>) {
    let mut path = PathBuilder::new();
    for area in areas {
        if let Some(rect) = Rect::from_xywh(area.x, area.y, area.width, area.height) {
            path.push_rect(rect);
        }
    }
    if let Some(path) = path.finish() {
        ink(surface, shade);
        surface.draw_path(&path);
    }
}
