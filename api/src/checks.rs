//! What plain values of a command must be, whichever caller filled them in.
//!
//! A command runs all its checks and then asks [`Checks::done`], so that its caller hears of every
//! mistake at once.

use chrono::{DateTime, Utc};
use serde_json::json;

use crate::failure::{Code, Failure, Problem};

/// How many characters a code may have.
pub const LONGEST_CODE: usize = 64;

/// How many characters a name or a title may have.
pub const LONGEST_NAME: usize = 300;

/// How many characters a description may have.
pub const LONGEST_TEXT: usize = 4_000;

/// The mistakes found so far.
#[derive(Debug, Default)]
pub struct Checks {
    problems: Vec<Problem>,
}

impl Checks {
    /// None yet.
    pub fn new() -> Self {
        Checks::default()
    }

    /// Notes a mistake.
    pub fn refuse(&mut self, problem: Problem) {
        self.problems.push(problem);
    }

    /// Notes a mistake unless something holds.
    pub fn hold(&mut self, holds: bool, code: Code, field: &str, message: &str) {
        if !holds {
            self.refuse(Problem::new(code, message).at(field));
        }
    }

    /// A code in feeds: 1 to 64 characters, no blanks within.
    pub fn code(&mut self, field: &str, code: &str) -> String {
        let code = code.trim();
        let fits = !code.is_empty()
            && code.chars().count() <= LONGEST_CODE
            && !code.chars().any(|c| c.is_control() || c.is_whitespace());
        self.hold(
            fits,
            Code::InvalidInput,
            field,
            "a code has 1 to 64 characters and no blanks",
        );
        code.to_owned()
    }

    /// A name or a title: 1 to 300 characters on one line.
    pub fn name(&mut self, field: &str, name: &str) -> String {
        let name = name.trim();
        let fits = !name.is_empty()
            && name.chars().count() <= LONGEST_NAME
            && !name.chars().any(char::is_control);
        self.hold(
            fits,
            Code::NameInvalid,
            field,
            "a name has 1 to 300 characters and no control characters",
        );
        name.to_owned()
    }

    /// A text that may be missing; a blank one is missing.
    pub fn text(&mut self, field: &str, text: Option<&str>) -> Option<String> {
        let text = text.map(str::trim).filter(|text| !text.is_empty())?;
        let breaks = |c: char| matches!(c, '\n' | '\r' | '\t');
        let fits = text.chars().count() <= LONGEST_TEXT
            && !text.chars().any(|c| c.is_control() && !breaks(c));
        self.hold(
            fits,
            Code::InvalidInput,
            field,
            "a text has at most 4,000 characters and no control characters",
        );
        Some(text.to_owned())
    }

    /// The form of an ISO 3166-1 alpha-2 country code, in capitals.
    pub fn country(&mut self, field: &str, country: &str) -> String {
        let country = country.trim().to_ascii_uppercase();
        let fits = country.len() == 2 && country.bytes().all(|byte| byte.is_ascii_uppercase());
        self.hold(
            fits,
            Code::InvalidInput,
            field,
            "a country is an ISO 3166-1 code of two letters",
        );
        country
    }

    /// An amount of minor units that is not negative.
    pub fn amount(&mut self, field: &str, minor: i64) {
        self.hold(
            minor >= 0,
            Code::AmountInvalid,
            field,
            "the amount must not be negative",
        );
    }

    /// A count within bounds.
    pub fn count(&mut self, field: &str, count: i64, least: i64, most: i64) {
        self.hold(
            (least..=most).contains(&count),
            Code::QuantityInvalid,
            field,
            &format!("the number must be between {least} and {most}"),
        );
    }

    /// A half-open window of time that has a moment in it.
    pub fn window(
        &mut self,
        field: &str,
        from: Option<DateTime<Utc>>,
        until: Option<DateTime<Utc>>,
    ) {
        let holds = from.zip(until).is_none_or(|(from, until)| from < until);
        self.hold(
            holds,
            Code::InvalidInput,
            field,
            "it must end after it begins",
        );
    }

    /// Goes on if there was no mistake.
    pub fn done(self) -> Result<(), Failure> {
        if self.problems.is_empty() {
            Ok(())
        } else {
            Err(Failure::Refused(self.problems))
        }
    }
}

/// Refuses if the caller decided on an older version than the present one.
pub fn expect_version(kind: &str, current: i64, expected: Option<i64>) -> Result<(), Problem> {
    match expected {
        Some(expected) if expected != current => Err(Problem::new(
            Code::StaleVersion,
            format!("the {kind} is at version {current}, not {expected}"),
        )
        .at("input.expectedVersion")
        .with(json!({ "currentVersion": current }))),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    #[test]
    fn every_mistake_is_reported_with_its_place() {
        let mut checks = Checks::new();
        checks.code("input.code", "A B");
        checks.name("input.name", " \t ");
        checks.amount("input.price", -1);
        checks.count("input.quantity", 0, 1, 10);
        let Err(Failure::Refused(problems)) = checks.done() else {
            panic!("nothing was refused");
        };
        let codes: Vec<Code> = problems.iter().map(|problem| problem.code).collect();
        assert_eq!(
            codes,
            [
                Code::InvalidInput,
                Code::NameInvalid,
                Code::AmountInvalid,
                Code::QuantityInvalid
            ]
        );
        let field = problems[3].field.as_ref().map(|path| path.join("."));
        assert_eq!(field.as_deref(), Some("input.quantity"));
    }

    #[test]
    fn what_is_right_comes_back_tidy() {
        let mut checks = Checks::new();
        assert_eq!(checks.code("c", " WEB-1 "), "WEB-1");
        assert_eq!(checks.name("n", " Lamp, small "), "Lamp, small");
        assert_eq!(checks.country("l", "de"), "DE");
        assert_eq!(checks.text("t", Some("  ")), None);
        assert_eq!(checks.text("t", Some("a\nb")).as_deref(), Some("a\nb"));
        assert!(checks.done().is_ok());
    }

    #[test]
    fn a_window_is_not_empty_and_a_version_must_match() {
        let now = DateTime::<Utc>::UNIX_EPOCH;
        let window = |from, until| {
            let mut checks = Checks::new();
            checks.window("input.validUntil", from, until);
            checks.done().is_ok()
        };
        assert!(window(None, Some(now)) && window(Some(now), None));
        assert!(window(Some(now), Some(now + TimeDelta::seconds(1))));
        assert!(!window(Some(now), Some(now)));

        assert!(expect_version("variant", 3, None).is_ok());
        assert!(expect_version("variant", 3, Some(3)).is_ok());
        let stale = expect_version("variant", 3, Some(2)).expect_err("a refusal");
        assert_eq!(stale.code, Code::StaleVersion);
        assert_eq!(stale.details, Some(json!({ "currentVersion": 3 })));
    }
}
