//! Fills templates in.
//!
//! Whoever writes a template is not trusted with the server, and whoever is written about is not
//! trusted with the message. A tag may print a fact, ask for one, or go through a list of them; it
//! has no strings, no sums and no functions, so nothing can grow but by the facts, and even that
//! ends at [`LARGEST`] and after [`STEPS`]. A fact that does not exist is a mistake, and a fact is
//! never markup: in HTML it is escaped, whatever the template says.

use std::io;

use minijinja::{AutoEscape, Environment, ErrorKind, UndefinedBehavior};
use serde_json::Value as Json;

/// How many bytes a template, or what becomes of it, may have.
pub const LARGEST: usize = 65_536;

/// How many characters a subject may have; what is longer is cut.
const LONGEST_SUBJECT: usize = 200;

/// How many instructions a template may run.
const STEPS: u64 = 50_000;

/// How deep templates may nest.
const DEPTH: usize = 20;

/// The words that may stand first in a `{% … %}`.
const STATEMENTS: &[&str] = &["if", "elif", "else", "endif", "for", "endfor"];

/// The templates of a message, or what became of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wording {
    /// The subject: one line.
    pub subject: String,
    /// The text.
    pub text: String,
    /// The same as HTML.
    pub html: String,
}

/// Why a template cannot be filled in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}")]
pub struct Flaw {
    /// Which part: `subject`, `text` or `html`.
    pub part: &'static str,
    /// The line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub reason: String,
}

/// Fills all parts of a message in.
pub fn render(wording: &Wording, facts: &Json) -> Result<Wording, Flaw> {
    let subject = part("subject", &wording.subject, facts)?;
    let subject = one_line(&subject, LONGEST_SUBJECT);
    if subject.is_empty() {
        return Err(Flaw {
            part: "subject",
            line: 1,
            reason: "a message needs a subject".to_owned(),
        });
    }
    Ok(Wording {
        subject,
        text: part("text", &wording.text, facts)?,
        html: part("html", &wording.html, facts)?,
    })
}

/// A text without line breaks and other control characters, cut at a length.
pub fn one_line(text: &str, longest: usize) -> String {
    let words = text.split(|c: char| c.is_whitespace() || is_control(c));
    let words: Vec<_> = words.filter(|word| !word.is_empty()).collect();
    let line = words.join(" ");
    line.chars().take(longest).collect()
}

/// Whether a character steers the text around it instead of being a part of it, such as the marks
/// that turn its direction.
fn is_control(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn part(part: &'static str, source: &str, facts: &Json) -> Result<String, Flaw> {
    let flaw = |line, reason| Flaw { part, line, reason };
    small(source).map_err(|(line, reason)| flaw(line, reason))?;
    let mut environment = Environment::empty();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|name| match name {
        "html" => AutoEscape::Html,
        _ => AutoEscape::None,
    });
    environment.set_fuel(Some(STEPS));
    environment.set_recursion_limit(DEPTH);
    environment.set_trim_blocks(true);
    environment.set_lstrip_blocks(true);
    let mut page = Page(Vec::new());
    let filled = environment
        .template_from_named_str(part, source)
        .and_then(|template| template.render_captured_to(facts, &mut page).map(drop));
    if let Err(error) = filled {
        let reason = match error.kind() {
            ErrorKind::OutOfFuel => "it does not come to an end in time".to_owned(),
            ErrorKind::WriteFailure => format!("it comes to more than {LARGEST} bytes"),
            ErrorKind::UndefinedError => "there is no such fact".to_owned(),
            kind => error
                .detail()
                .map_or_else(|| kind.to_string(), str::to_owned),
        };
        return Err(flaw(error.line().unwrap_or(1), reason));
    }
    String::from_utf8(page.0).map_err(|error| flaw(1, error.to_string()))
}

/// What a template has come to so far; it takes no more than fits.
struct Page(Vec<u8>);

impl io::Write for Page {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > LARGEST {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Whether a template keeps to the small language; else the line and what is wrong.
fn small(source: &str) -> Result<(), (usize, String)> {
    if source.len() > LARGEST {
        return Err((1, format!("it has more than {LARGEST} bytes")));
    }
    let mut rest = source;
    while let Some(place) = rest.find('{') {
        let line = source[..source.len() - rest.len() + place]
            .matches('\n')
            .count()
            + 1;
        let wrong = |reason: &str| Err((line, reason.to_owned()));
        let (ends, tag) = match rest.as_bytes().get(place + 1) {
            Some(b'{') => ("}}", &rest[place + 2..]),
            Some(b'%') => ("%}", &rest[place + 2..]),
            Some(b'#') => ("#}", &rest[place + 2..]),
            _ => {
                rest = &rest[place + 1..];
                continue;
            }
        };
        let Some(end) = tag.find(ends) else {
            return wrong("a tag has no end");
        };
        rest = &tag[end + 2..];
        let tag = &tag[..end];
        if ends == "#}" {
            continue;
        }
        let plain = |c: char| {
            c.is_ascii_alphanumeric() || c.is_ascii_whitespace() || "_.,-()=!<>".contains(c)
        };
        if let Some(other) = tag.chars().find(|c| !plain(*c)) {
            return wrong(&format!("a tag cannot have {other:?}"));
        }
        let first = tag.trim_start_matches('-').split_whitespace().next();
        let first = first.unwrap_or_default().trim_end_matches('-');
        if ends == "%}" && !STATEMENTS.contains(&first) {
            return wrong(&format!("there is no statement {first:?}"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn wording(subject: &str, text: &str, html: &str) -> Wording {
        Wording {
            subject: subject.to_owned(),
            text: text.to_owned(),
            html: html.to_owned(),
        }
    }

    fn flaw(text: &str, facts: &Json) -> String {
        render(&wording("s", text, "h"), facts)
            .expect_err(text)
            .reason
    }

    #[test]
    fn facts_are_filled_in_and_never_become_markup() {
        let facts = json!({ "name": "<script>x</script> {{ order }} \"'&", "order": "7",
            "lines": [{ "title": "Mug", "quantity": 2 }], "note": null });
        let source = "{{ name }}\n{% if note %}\nno\n{% else %}\nyes\n{% endif %}\n\
            {% for line in lines %}\n{{ line.quantity }} × {{ line.title }}\n{% endfor %}";
        let filled = render(
            &wording("Order {{ order }}", source, "<p>{{ name }}</p>"),
            &facts,
        )
        .expect("a message");
        assert_eq!(filled.subject, "Order 7");
        assert_eq!(
            filled.text,
            "<script>x</script> {{ order }} \"'&\nyes\n2 × Mug\n"
        );
        assert!(
            filled.html.starts_with(
                "<p>&lt;script&gt;x&lt;&#x2f;script&gt; {{ order }} &quot;&#x27;&amp;"
            ),
            "{}",
            filled.html
        );
    }

    #[test]
    fn a_subject_is_one_line_whatever_the_facts_are() {
        let facts = json!({ "name": "A\r\nBcc: all@shop.example\u{202e}\u{2028}x\0" });
        let filled = render(&wording("Hello {{ name }}", "t", "h"), &facts).expect("a message");
        assert_eq!(filled.subject, "Hello A Bcc: all@shop.example x");
        let long = json!({ "name": "x".repeat(1_000) });
        let filled = render(&wording("{{ name }}", "t", "h"), &long).expect("a message");
        assert_eq!(filled.subject.len(), LONGEST_SUBJECT);
        assert!(render(&wording(" \n", "t", "h"), &facts).is_err());
    }

    #[test]
    fn what_the_language_does_not_have_is_refused_with_its_line() {
        for (source, reason) in [
            ("{{ missing }}", "there is no such fact"),
            ("{% if missing %}{% endif %}", "there is no such fact"),
            ("{{ order.missing }}", "there is no such fact"),
            ("{{ order | safe }}", "a tag cannot have '|'"),
            ("{{ 'a' }}", "a tag cannot have '\\''"),
            ("{{ order ~ order }}", "a tag cannot have '~'"),
            ("{{ order * 9 }}", "a tag cannot have '*'"),
            ("{% set a = order %}", "there is no statement \"set\""),
            ("{%- include order %}", "there is no statement \"include\""),
            ("{% raw %}", "there is no statement \"raw\""),
            ("{% %}", "there is no statement \"\""),
            ("{{ order", "a tag has no end"),
            ("{{ range(9) }}", "range is unknown"),
        ] {
            let found = flaw(source, &json!({ "order": "7" }));
            assert!(found.contains(reason), "{source}: {found}");
        }
        let two = render(&wording("s", "a\n\n{{ b }}", "h"), &json!({}));
        let two = two.expect_err("a flaw");
        assert_eq!((two.part, two.line), ("text", 3));
        assert!(render(&wording("s", "{% if order %}", "h"), &json!({ "order": 1 })).is_err());
    }

    #[test]
    fn what_does_not_end_is_stopped() {
        let lines = json!({ "lines": vec!["0123456789"; 300] });
        let all = "{% for a in lines %}{% for b in lines %}";
        let ends = "{% endfor %}{% endfor %}";
        assert_eq!(
            flaw(
                &format!("{all}{{% for c in lines %}}{{% endfor %}}{ends}"),
                &lines
            ),
            "it does not come to an end in time"
        );
        let many = "{{ a }}".repeat(30);
        assert_eq!(
            flaw(
                &format!("{{% for a in lines %}}{many}{{% endfor %}}"),
                &lines
            ),
            format!("it comes to more than {LARGEST} bytes")
        );
        assert!(flaw(&"x".repeat(LARGEST + 1), &lines).contains("more than"));
        let deep = format!(
            "{}{}",
            "{% if lines %}".repeat(500),
            "{% endif %}".repeat(500)
        );
        assert!(!flaw(&deep, &lines).is_empty());
        let deep = format!("{{{{ {}lines{} }}}}", "(".repeat(9_000), ")".repeat(9_000));
        assert!(!flaw(&deep, &lines).is_empty());
    }
}
