//! A look at a document's bytes before the parser: how many tokens, how deep the brackets.
//!
//! The parser descends into brackets by recursion without a limit, and checks depth only on the
//! tree that comes out. So a few kilobytes of `[[[[` would end the process; this scan, which needs
//! no stack, keeps them from it. It need not be exact about what is GraphQL: the parser will say.

/// What the scan counts, up to the point where it gave up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Shape {
    /// Names, numbers, strings and punctuators.
    pub tokens: usize,
    /// The deepest nesting of `{`, `[` and `(`, all together.
    pub nesting: usize,
    /// A block string has no end. The parser would read its opening quotes as an empty string and
    /// go on behind them, where this scan sees text: it must not be asked.
    pub unterminated: bool,
}

/// Blank in GraphQL, wherever it stands.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// Counts until the document or one of the limits ends.
pub(super) fn scan(document: &str, most_tokens: usize, most_nesting: usize) -> Shape {
    let bytes = document.as_bytes();
    let mut shape = Shape::default();
    let mut open = 0_usize;
    let mut at = 0;
    while at < bytes.len() && shape.tokens <= most_tokens && shape.nesting <= most_nesting {
        at = match bytes[at] {
            b' ' | b'\t' | b'\n' | b'\r' | b',' => {
                at += 1;
                continue;
            }
            _ if bytes[at..].starts_with(BYTE_ORDER_MARK) => {
                at += BYTE_ORDER_MARK.len();
                continue;
            }
            b'#' => {
                at += run(&bytes[at..], |byte| byte != b'\n' && byte != b'\r');
                continue;
            }
            b'{' | b'[' | b'(' => {
                open += 1;
                shape.nesting = shape.nesting.max(open);
                at + 1
            }
            b'}' | b']' | b')' => {
                open = open.saturating_sub(1);
                at + 1
            }
            b'"' if bytes[at..].starts_with(b"\"\"\"") => match block_string(&bytes[at..]) {
                Some(length) => at + length,
                None => {
                    shape.unterminated = true;
                    bytes.len()
                }
            },
            b'"' => at + string(&bytes[at..]),
            b'.' if bytes[at..].starts_with(b"...") => at + 3,
            byte if is_word(byte) => at + run(&bytes[at..], is_word),
            // Other punctuators, and whatever is no GraphQL: one token each.
            _ => at + 1,
        };
        shape.tokens += 1;
    }
    shape
}

/// Names and digits. Signs and points are tokens of their own: to join them would make one token
/// of `[1-2-3]`, in which the parser sees three numbers.
fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// How many bytes from the start satisfy `is`.
fn run(bytes: &[u8], is: impl Fn(u8) -> bool) -> usize {
    bytes
        .iter()
        .position(|byte| !is(*byte))
        .unwrap_or(bytes.len())
}

/// The length of the string that starts here, to the end of its line if it has none.
fn string(bytes: &[u8]) -> usize {
    let mut at = 1;
    while at < bytes.len() {
        match bytes[at] {
            b'"' => return at + 1,
            b'\n' | b'\r' => return at,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    bytes.len()
}

/// The length of the block string that starts here, if it has an end.
fn block_string(bytes: &[u8]) -> Option<usize> {
    let mut at = 3;
    while at < bytes.len() {
        if bytes[at..].starts_with(b"\\\"\"\"") {
            at += 4;
        } else if bytes[at..].starts_with(b"\"\"\"") {
            return Some(at + 3);
        } else {
            at += 1;
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(document: &str) -> (usize, usize) {
        let shape = scan(document, 100, 50);
        (shape.tokens, shape.nesting)
    }

    #[test]
    fn tokens_and_brackets_are_counted_outside_strings_and_comments() {
        for (document, expected) in [
            ("", (0, 0)),
            ("{ a }", (3, 1)),
            ("{ a: b(x: [1, -2.5]) @c }", (18, 3)),
            ("[1-2-3]", (7, 1)),
            ("a\u{feff}b", (2, 0)),
            ("# {{{{ \"\n{ a }", (3, 1)),
            (r#"{ a(x: "{[(\"{") }"#, (8, 2)),
            (r#"{ a(x: """ { " \""" [ """) }"#, (8, 2)),
            ("{ ...on A { b } ...C }", (10, 2)),
            ("}}}}{", (5, 1)),
            ("{ a(x: \"{\n[", (7, 3)),
            ("\"\\", (1, 0)),
            ("\u{e9}", (2, 0)),
        ] {
            assert_eq!(shape(document), expected, "{document}");
        }
    }

    #[test]
    fn brackets_behind_an_unterminated_block_string_do_not_hide() {
        assert!(scan("{ a(x: [\"\"\"b\", [[[[ \\\"\"\"", 100, 50).unterminated);
        assert!(!scan("{ a(x: \"\"\"b\"\"\") }", 100, 50).unterminated);
        assert!(!scan("{ a(x: \"\") }", 100, 50).unterminated);
    }

    #[test]
    fn the_scan_stops_at_a_limit() {
        assert_eq!(shape(&"[".repeat(1_000_000)).1, 51);
        assert_eq!(shape(&"a ".repeat(1_000_000)).0, 101);
    }
}
