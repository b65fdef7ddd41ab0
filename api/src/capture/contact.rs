//! How a customer is called and reached: a name, an e-mail address, a phone number.
//!
//! Each is a type that can only hold what was found possible; nothing is ever asked of a mail or
//! telephone network. All limits count Unicode characters unless they say octets.

use std::fmt;

use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization;

use super::address::rules::LONGEST_TEXT;

mod phone;

pub use phone::Phone;

/// Longest name of a person or company, in Unicode characters: what an address may hold too.
pub const LONGEST_NAME: usize = LONGEST_TEXT;
/// Longest e-mail address, in octets: what fits between `<` and `>` in SMTP's path of 256
/// (RFC 5321, 4.5.3.1.3).
pub const LONGEST_EMAIL: usize = 254;

/// Why a name, e-mail address or phone number is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum ContactError {
    /// There is nothing but white space.
    #[error("the e-mail address is blank")]
    EmailBlank,
    /// Its form is none that a mail server outside could be asked about.
    #[error("the e-mail address is malformed")]
    EmailMalformed,
    /// It is longer than [`LONGEST_EMAIL`].
    #[error("the e-mail address is longer than {LONGEST_EMAIL} octets")]
    EmailTooLong,
    /// There is nothing but white space.
    #[error("the phone number is blank")]
    PhoneBlank,
    /// It holds something other than a phone number.
    #[error("the phone number is malformed")]
    PhoneMalformed,
    /// It names no country, and there is none to take it for.
    #[error("the phone number has no country prefix and its country is not known")]
    PhoneCountryUnknown,
    /// No number of the country looks like it: the digits are too many, too few, or begin wrongly.
    #[error("there is no such phone number in the country")]
    PhoneImpossible,
    /// There is nothing but white space.
    #[error("the name is blank")]
    NameBlank,
    /// It is longer than [`LONGEST_NAME`].
    #[error("the name is longer than {LONGEST_NAME} characters")]
    NameTooLong,
    /// It holds a control character, a line break or a tab.
    #[error("the name holds a control character")]
    NameControlCharacter,
}

impl ContactError {
    /// The stable code, for machines.
    pub fn code(self) -> &'static str {
        match self {
            ContactError::EmailBlank => "EMAIL_BLANK",
            ContactError::EmailMalformed => "EMAIL_MALFORMED",
            ContactError::EmailTooLong => "EMAIL_TOO_LONG",
            ContactError::PhoneBlank => "PHONE_BLANK",
            ContactError::PhoneMalformed => "PHONE_MALFORMED",
            ContactError::PhoneCountryUnknown => "PHONE_COUNTRY_UNKNOWN",
            ContactError::PhoneImpossible => "PHONE_IMPOSSIBLE",
            ContactError::NameBlank => "NAME_BLANK",
            ContactError::NameTooLong => "NAME_TOO_LONG",
            ContactError::NameControlCharacter => "NAME_CONTROL_CHARACTER",
        }
    }
}

/// What the three types have in common: they are text, and text is parsed on arrival.
macro_rules! text_type {
    ($name:ident, $parse:path) => {
        impl $name {
            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = ContactError;

            fn try_from(text: String) -> Result<Self, ContactError> {
                $parse(&text)
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> String {
                value.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

use text_type;

/// The name of a person or company, in any script: trimmed, single spaces, NFC.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PersonName(String);

text_type!(PersonName, PersonName::parse);

impl PersonName {
    /// Takes a name as somebody wrote it.
    ///
    /// # Errors
    /// NAME_BLANK, NAME_TOO_LONG (more than [`LONGEST_NAME`] characters once tidied),
    /// NAME_CONTROL_CHARACTER (anywhere but in the white space around it).
    pub fn parse(text: &str) -> Result<Self, ContactError> {
        if text.trim().chars().any(char::is_control) {
            return Err(ContactError::NameControlCharacter);
        }
        let composed: String = text.nfc().collect();
        let tidy = composed.split_whitespace().collect::<Vec<_>>().join(" ");
        // A name of nothing but invisible characters looks blank, and is.
        if tidy.chars().all(is_invisible) {
            return Err(ContactError::NameBlank);
        }
        if tidy.chars().count() > LONGEST_NAME {
            return Err(ContactError::NameTooLong);
        }
        Ok(PersonName(tidy))
    }
}

/// White space, joiners, marks of direction and fillers: nothing of them is seen on paper.
fn is_invisible(c: char) -> bool {
    c.is_whitespace()
        || matches!(
            c,
            '\u{ad}' | '\u{115f}' | '\u{1160}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}'
        )
}

/// An e-mail address that mail can be sent to over the internet.
///
/// The part after the `@` is in small letters; the part before it is kept as written, for it
/// belongs to the receiving server (`+` and dots mean what that server takes them for).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Email(String);

text_type!(Email, Email::parse);

impl Email {
    /// Takes an e-mail address, without a display name around it.
    ///
    /// International domains and local parts are taken, and kept in Unicode (NFC). Addresses on a
    /// bare host (`root@localhost`) or an IP number are malformed: they are valid syntax
    /// (RFC 5321), but nobody outside that network can be written to there.
    ///
    /// # Errors
    /// EMAIL_BLANK, EMAIL_MALFORMED, EMAIL_TOO_LONG.
    pub fn parse(text: &str) -> Result<Self, ContactError> {
        let text: String = text.trim().nfc().collect();
        if text.is_empty() {
            return Err(ContactError::EmailBlank);
        }
        if text.len() > LONGEST_EMAIL {
            return Err(ContactError::EmailTooLong);
        }
        let address: lettre::Address = text.parse().map_err(|_| ContactError::EmailMalformed)?;
        let domain: String = address.domain().to_lowercase().nfc().collect();
        let reachable = domain
            .rsplit_once('.')
            .is_some_and(|(_, top)| top.chars().any(|c| c.is_alphabetic()) && !top.ends_with(']'));
        let user = address.user();
        if !reachable || user.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err(ContactError::EmailMalformed);
        }
        let written = format!("{user}@{domain}");
        // Some letters grow when they are made small.
        if written.len() > LONGEST_EMAIL {
            return Err(ContactError::EmailTooLong);
        }
        Ok(Email(written))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::capture::address::Country;

    fn email(text: &str) -> Result<String, &'static str> {
        Email::parse(text)
            .map(String::from)
            .map_err(ContactError::code)
    }

    #[test]
    fn c2a_names_of_300_characters_in_any_script_are_kept() {
        for name in [
            "Nguyễn Thị Minh Khai",
            "王小明",
            "O’Brien-Müller",
            "J",
            "محمد علي",
            "🏢 AG",
        ] {
            assert_eq!(PersonName::parse(name).unwrap().as_str(), name);
        }
        assert!(PersonName::parse(&"名".repeat(300)).is_ok());
        assert_eq!(
            PersonName::parse(&"名".repeat(301)),
            Err(ContactError::NameTooLong)
        );
    }

    #[test]
    fn c2a_a_blank_name_is_refused_even_if_it_is_not_empty() {
        for name in ["", "  ", "\u{a0}\u{3000}", "\u{200b}", "\r\n", "\u{3164}"] {
            assert_eq!(
                PersonName::parse(name),
                Err(ContactError::NameBlank),
                "{name:?}"
            );
        }
    }

    #[test]
    fn c2a_a_control_character_in_a_name_is_refused() {
        for name in ["Ann\u{0}", "Ann\nLee", "Ann\tLee", "\u{1b}[31mAnn"] {
            assert_eq!(
                PersonName::parse(name),
                Err(ContactError::NameControlCharacter)
            );
        }
        assert_eq!(
            PersonName::parse(" Ann  Lee\r\n").unwrap().as_str(),
            "Ann Lee"
        );
    }

    #[test]
    fn a_name_is_composed() {
        assert_eq!(PersonName::parse("Jose\u{301}").unwrap().as_str(), "José");
    }

    #[test]
    fn c2a_plus_addresses_and_international_ones_are_kept() {
        for (text, expected) in [
            ("ann+orders@example.com", "ann+orders@example.com"),
            (" Ann.Lee@Example.COM\n", "Ann.Lee@example.com"),
            ("info@MÜNCHEN.example", "info@münchen.example"),
            ("用户@例子.广告", "用户@例子.广告"),
            ("o'brien@mail.example.co.uk", "o'brien@mail.example.co.uk"),
            ("a@xn--mnchen-3ya.example", "a@xn--mnchen-3ya.example"),
        ] {
            assert_eq!(email(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn c2a_a_malformed_e_mail_address_is_refused_with_its_code() {
        for text in [
            "ann",
            "ann@",
            "@example.com",
            "ann@example",
            "ann@@example.com",
            "a b@example.com",
            "ann@exa mple.com",
            "ann@example..com",
            "ann@-example.com",
            "ann@127.0.0.1",
            "ann@[127.0.0.1]",
            "Ann <ann@example.com>",
            "ann@example.com, bob@example.com",
            ".ann@example.com",
            "ann@example.com\u{0}",
            "mailto:ann@example.com ann",
        ] {
            assert_eq!(email(text), Err("EMAIL_MALFORMED"), "{text}");
        }
        assert_eq!(email(" "), Err("EMAIL_BLANK"));
    }

    #[test]
    fn an_e_mail_address_has_at_most_254_octets() {
        let label = "d".repeat(62);
        let domain = [label.as_str(); 3].join(".");
        let fits = format!("{}@{domain}.example", "u".repeat(254 - 189 - 8));
        assert_eq!(fits.len(), 254);
        assert_eq!(email(&fits), Ok(fits.clone()));
        assert_eq!(email(&format!("u{fits}")), Err("EMAIL_TOO_LONG"));
    }

    #[test]
    fn they_travel_as_text_and_are_parsed_on_arrival() {
        let phone = Phone::parse("22 123 45 67", "PL".parse().ok()).unwrap();
        let json = serde_json::to_string(&phone).unwrap();
        assert_eq!(serde_json::from_str::<Phone>(&json).unwrap(), phone);
        assert!(serde_json::from_str::<Phone>("\"12\"").is_err());
        assert!(serde_json::from_str::<Email>("\"ann\"").is_err());
        assert!(serde_json::from_str::<PersonName>("\" \"").is_err());
    }

    proptest! {
        #[test]
        fn any_text_is_taken_or_refused_and_what_is_taken_stays_the_same(
            text in ".{0,70}|[+0-9() x.-]{0,25}|[a-zA-Z+.]{1,9}@[A-Zİa-z.-]{1,12}",
            country in prop::sample::select(Country::all().collect::<Vec<_>>()),
        ) {
            if let Ok(name) = PersonName::parse(&text) {
                prop_assert_eq!(PersonName::parse(name.as_str()), Ok(name));
            }
            if let Ok(email) = Email::parse(&text) {
                prop_assert_eq!(Email::parse(email.as_str()), Ok(email));
            }
            if let Ok(phone) = Phone::parse(&text, Some(country)) {
                prop_assert!(phone.as_str().starts_with('+'));
                prop_assert_eq!(Phone::parse_international(phone.as_str()), Ok(phone));
            }
        }
    }
}
