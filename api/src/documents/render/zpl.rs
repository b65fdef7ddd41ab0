//! The same pages for label printers: ZPL II at 203 dots an inch, in UTF-8.
//!
//! The printer's own scalable font is narrower than ours, so whatever fits here fits there. What a
//! field says is data: `^` and `~`, which begin commands, and `_`, which begins an escape, go as
//! hexadecimal, so that nothing in it can end the field.

use std::fmt::Write;

use entity::document::Format;

use super::Rendered;
use super::codes::{Code128, Set};
use super::label::DOT;
use super::page::{Align, Mark, Pages};

/// The pages as one stream of labels.
pub(super) fn written(pages: &Pages) -> Rendered {
    let mut zpl = String::new();
    for marks in pages.marks() {
        let (width, height) = (dots(pages.width), dots(pages.height));
        let _ = writeln!(zpl, "^XA^CI28^PW{width}^LL{height}^LH0,0^LS0^PR4^MNY");
        for mark in marks {
            field(&mut zpl, mark, pages.width);
        }
        zpl.push_str("^PQ1^XZ\n");
    }
    Rendered {
        format: Format::Zpl,
        bytes: zpl.into_bytes(),
        pages: pages.marks().len(),
        missing: pages.missing(),
    }
}

fn dots(length: f32) -> i32 {
    (length / DOT).round() as i32
}

fn field(zpl: &mut String, mark: &Mark, page: f32) {
    let _ = match mark {
        Mark::Text {
            x,
            baseline,
            align,
            style,
            text,
        } => {
            let (x, y, size) = (dots(*x), dots(*baseline), dots(style.size));
            // What is white stands on black.
            let reverse = if style.shade == 255 { "^FR" } else { "" };
            let data = data(text);
            match align {
                Align::Left => {
                    writeln!(zpl, "^FT{x},{y}{reverse}^A0N,{size},{size}^FH^FD{data}^FS")
                }
                Align::Right => {
                    writeln!(
                        zpl,
                        "^FT{x},{y},1{reverse}^A0N,{size},{size}^FH^FD{data}^FS"
                    )
                }
                Align::Center => {
                    // A block of the page's width, which the printer centres; its origin is below.
                    let (left, width) = (x - dots(page) / 2, dots(page));
                    writeln!(
                        zpl,
                        "^FT{left},{y}{reverse}^A0N,{size},{size}^FB{width},1,0,C^FH^FD{data}^FS"
                    )
                }
            }
        }
        Mark::Fill { area, .. } => {
            let (width, height) = (dots(area.width).max(1), dots(area.height).max(1));
            let thick = width.min(height);
            let (x, y) = (dots(area.x), dots(area.y));
            writeln!(zpl, "^FO{x},{y}^GB{width},{height},{thick}^FS")
        }
        Mark::Frame { area, line } => {
            let (width, height) = (dots(area.width), dots(area.height));
            let (x, y, line) = (dots(area.x), dots(area.y), dots(*line).max(1));
            writeln!(zpl, "^FO{x},{y}^GB{width},{height},{line}^FS")
        }
        Mark::Bars {
            x,
            y,
            module,
            height,
            code,
        } => {
            let (x, y) = (dots(*x), dots(*y));
            let (module, height) = (dots(*module), dots(*height));
            let data = data(&invoked(code));
            writeln!(
                zpl,
                "^FO{x},{y}^BY{module},3,{height}^BCN,{height},N,N,N,N^FH^FD{data}^FS"
            )
        }
        Mark::Matrix { x, y, module, code } => {
            let (x, y, module) = (dots(*x), dots(*y), dots(*module));
            // The sign that begins an escape inside the code: one that the text has not.
            let free = ('!'..='/').find(|sign| !code.text.contains(*sign));
            let escape = free.unwrap_or('!');
            let side = code.side;
            let data = data(&code.text);
            writeln!(
                zpl,
                "^FO{x},{y}^BXN,{module},200,{side},{side},6,{escape}^FH^FD{data}^FS"
            )
        }
    };
}

/// The text of a bar code with the printer's signs for each character set.
fn invoked(code: &Code128) -> String {
    let mut invoked = String::new();
    for (place, (set, text)) in code.runs.iter().enumerate() {
        invoked.push_str(match (place, set) {
            (0, Set::B) => ">:",
            (0, Set::C) => ">;",
            (_, Set::B) => ">6",
            (_, Set::C) => ">5",
        });
        invoked.push_str(&text.replace('>', ">0"));
    }
    invoked
}

/// The text as the data of a field.
fn data(text: &str) -> String {
    let mut data = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            // The last begins a break inside a block.
            '^' | '~' | '_' | '\\' => {
                let _ = write!(data, "_{:02X}", char as u32);
            }
            char if char.is_control() => data.push(' '),
            char => data.push(char),
        }
    }
    data
}
