//! The typeface: which characters it has, how wide they are, and where a line breaks.
//!
//! Noto Sans has Latin, Greek and Cyrillic, and its figures are all of one width. A character and
//! its mark are one glyph (the text is composed first), so nothing needs to be shaped.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use krilla::text::{Font, GlyphId, KrillaGlyph};
use skrifa::charmap::Charmap;
use skrifa::instance::{LocationRef, Size};
use skrifa::metrics::GlyphMetrics;
use skrifa::{FontRef, MetadataProvider};
use unicode_normalization::UnicodeNormalization;

/// What stands for a character that the typeface lacks.
pub(super) const REPLACEMENT: char = '□';

/// How heavy letters are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Weight {
    Regular,
    Bold,
}

/// How text looks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Style {
    pub weight: Weight,
    /// In points.
    pub size: f32,
    /// From 0, black, to 255, white.
    pub shade: u8,
}

impl Style {
    pub const fn regular(size: f32) -> Style {
        Style {
            weight: Weight::Regular,
            size,
            shade: 0,
        }
    }

    pub const fn bold(size: f32) -> Style {
        Style {
            weight: Weight::Bold,
            ..Style::regular(size)
        }
    }

    pub const fn shade(self, shade: u8) -> Style {
        Style { shade, ..self }
    }

    /// The same, as large as `size`.
    pub const fn sized(self, size: f32) -> Style {
        Style { size, ..self }
    }
}

/// A font that was parsed once.
pub(super) struct Face {
    pub font: Font,
    charmap: Charmap<'static>,
    metrics: GlyphMetrics<'static>,
    units: f32,
}

static REGULAR: LazyLock<Face> = LazyLock::new(|| Face::parse(ttf_noto_sans::REGULAR));
static BOLD: LazyLock<Face> = LazyLock::new(|| Face::parse(ttf_noto_sans::BOLD));

impl Face {
    fn parse(bytes: &'static [u8]) -> Face {
        let read = FontRef::new(bytes).expect("the font that is built in");
        let font = Font::new(bytes.into(), 0).expect("the font that is built in");
        Face {
            charmap: read.charmap(),
            metrics: read.glyph_metrics(Size::unscaled(), LocationRef::default()),
            units: font.units_per_em(),
            font,
        }
    }

    pub fn of(weight: Weight) -> &'static Face {
        match weight {
            Weight::Regular => &REGULAR,
            Weight::Bold => &BOLD,
        }
    }

    fn glyph(&self, char: char) -> skrifa::GlyphId {
        self.charmap.map(char).unwrap_or_default()
    }

    /// How wide a character is, in parts of the size.
    fn advance(&self, char: char) -> f32 {
        self.metrics
            .advance_width(self.glyph(char))
            .unwrap_or_default()
            / self.units
    }

    /// The glyphs of text that can be printed.
    pub fn glyphs(&self, text: &str) -> Vec<KrillaGlyph> {
        text.char_indices()
            .map(|(at, char)| KrillaGlyph {
                glyph_id: GlyphId::new(self.glyph(char).to_u32()),
                text_range: at..at + char.len_utf8(),
                x_advance: self.advance(char),
                x_offset: 0.0,
                y_offset: 0.0,
                y_advance: 0.0,
                location: None,
            })
            .collect()
    }
}

/// How wide text is on one line, in points.
pub(super) fn width_of(text: &str, style: Style) -> f32 {
    let face = Face::of(style.weight);
    let ems: f32 = text.chars().map(|char| face.advance(char)).sum();
    ems * style.size
}

/// The text as it can be printed: composed, without characters that show nothing, and with a box
/// for each that the typeface lacks, which is noted. Line breaks stay.
pub(super) fn printable(text: &str, missing: &mut BTreeSet<char>) -> String {
    let face = Face::of(Weight::Regular);
    let mut printable = String::with_capacity(text.len());
    let mut chars = text.nfc().peekable();
    while let Some(char) = chars.next() {
        match char {
            '\r' if chars.peek() == Some(&'\n') => {}
            '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{85}' | '\u{2028}' | '\u{2029}' => {
                printable.push('\n');
            }
            '\u{2010}' | '\u{2011}' => printable.push('-'),
            char if char.is_whitespace() || char.is_control() => printable.push(' '),
            // Marks of direction and invisible joints have no look to be missed.
            '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' => {}
            '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fe00}'..='\u{fe0f}' => {}
            char if face.charmap.map(char).is_some() => printable.push(char),
            char => {
                missing.insert(char);
                printable.push(REPLACEMENT);
            }
        }
    }
    printable
}

/// Breaks printable text into lines no wider than `width`: between words, and within a word that
/// is too wide by itself, there after a hyphen or a slash if one is near.
pub(super) fn lines(text: &str, style: Style, width: f32) -> Vec<String> {
    let mut lines = Vec::new();
    for paragraph in text.split('\n') {
        let mut line = String::new();
        for word in paragraph.split(' ').filter(|word| !word.is_empty()) {
            let longer = match line.is_empty() {
                true => word.to_owned(),
                false => format!("{line} {word}"),
            };
            if width_of(&longer, style) <= width {
                line = longer;
                continue;
            }
            if !line.is_empty() {
                lines.push(std::mem::take(&mut line));
            }
            line = word.to_owned();
            while width_of(&line, style) > width {
                let at = breaks_at(&line, style, width);
                let rest = line.split_off(at);
                lines.push(std::mem::replace(&mut line, rest));
            }
        }
        lines.push(line);
    }
    while lines.last().is_some_and(String::is_empty) {
        lines.pop();
    }
    lines
}

/// Where a word that is too wide is broken: at least one character goes on the line.
fn breaks_at(word: &str, style: Style, width: f32) -> usize {
    let face = Face::of(style.weight);
    let (mut used, mut fits, mut joint) = (0.0, 0, 0);
    for (at, char) in word.char_indices() {
        used += face.advance(char) * style.size;
        if used > width {
            break;
        }
        fits = at + char.len_utf8();
        if matches!(char, '-' | '/' | '_' | '.' | ',') {
            joint = fits;
        }
    }
    let first = word.chars().next().map_or(0, char::len_utf8);
    if joint * 2 > fits {
        joint
    } else {
        fits.max(first)
    }
}

/// The printable text cut to one line no wider than `width`; what is cut shows.
pub(super) fn cut(text: &str, style: Style, width: f32) -> String {
    let text = text.replace('\n', " ");
    match width_of(&text, style) <= width {
        true => text,
        false => cut_after(&text, style, width),
    }
}

/// As much of a line as fits before the sign that more was there.
pub(super) fn cut_after(line: &str, style: Style, width: f32) -> String {
    let mut kept = line.to_owned();
    loop {
        let shown = format!("{}…", kept.trim_end());
        if width_of(&shown, style) <= width || kept.pop().is_none() {
            return shown;
        }
    }
}

/// The style at the largest size, down to `least`, at which the text fits on one line.
pub(super) fn fitted(text: &str, style: Style, least: f32, width: f32) -> Style {
    let needed = width_of(text, style);
    match needed <= width {
        true => style,
        false => style.sized((style.size * width / needed).max(least)),
    }
}
