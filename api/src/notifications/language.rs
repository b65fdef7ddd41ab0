//! In which language somebody is written to, and how a day is called in it.

use chrono::{Datelike, NaiveDate};
use entity::order;

/// What is understood where nothing better is known.
pub const FALLBACK: &str = "en";

/// A language as it is kept, from its name in any case: `de`, `de-AT`. None if it is none.
pub fn named(name: &str) -> Option<String> {
    let (language, country) = match name.trim().split_once(['-', '_']) {
        Some((language, country)) => (language, Some(country)),
        None => (name.trim(), None),
    };
    let letters = |text: &str, least: usize, most: usize| {
        (least..=most).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphabetic())
    };
    if !letters(language, 2, 3) || !country.is_none_or(|country| letters(country, 2, 2)) {
        return None;
    }
    let language = language.to_ascii_lowercase();
    Some(match country {
        Some(country) => format!("{language}-{}", country.to_ascii_uppercase()),
        None => language,
    })
}

/// The language in which somebody in a country is written to, if all that is known is the country
/// (ISO 3166-1 alpha-2).
pub fn of_country(country: &str) -> String {
    let language = match country {
        "DE" | "AT" | "CH" | "LI" => "de",
        _ => FALLBACK,
    };
    format!("{language}-{country}")
}

/// The language that an order's customer reads: what the channel says in the order's metadata, as
/// `language`; otherwise what is written to in the country that the order goes to.
pub fn of_order(order: &order::Model, country: &str) -> String {
    let said = order.metadata["language"].as_str();
    said.map_or_else(|| of_country(country), str::to_owned)
}

/// The languages to look for wording in, the best first: `de-AT`, `de`, `en`.
pub fn fallbacks(language: &str) -> Vec<String> {
    let mut all = vec![language.to_owned()];
    if let Some((general, _)) = language.split_once('-') {
        all.push(general.to_owned());
    }
    if all.iter().all(|one| one != FALLBACK) {
        all.push(FALLBACK.to_owned());
    }
    all
}

/// A day in words: `24. Dezember 2026`, `24 December 2026`.
pub fn day(date: NaiveDate, language: &str) -> String {
    const GERMAN: [&str; 12] = [
        "Januar",
        "Februar",
        "März",
        "April",
        "Mai",
        "Juni",
        "Juli",
        "August",
        "September",
        "Oktober",
        "November",
        "Dezember",
    ];
    let is_german = language.split('-').next() == Some("de");
    match GERMAN.get(date.month0() as usize) {
        Some(month) if is_german => format!("{}. {month} {}", date.day(), date.year()),
        _ => date.format("%-d %B %Y").to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_language_is_kept_in_one_way() {
        assert_eq!(named(" DE_at ").as_deref(), Some("de-AT"));
        assert_eq!(named("en").as_deref(), Some("en"));
        for wrong in ["", "d", "german", "de-", "de-A1", "de-AUT", "../x", "d e"] {
            assert_eq!(named(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn wording_is_looked_for_from_the_narrowest_to_english() {
        assert_eq!(fallbacks("de-AT"), ["de-AT", "de", "en"]);
        assert_eq!(fallbacks("en-GB"), ["en-GB", "en"]);
        assert_eq!(fallbacks("en"), ["en"]);
        assert_eq!(fallbacks(&of_country("AT")), ["de-AT", "de", "en"]);
        assert_eq!(of_country("FR"), "en-FR");
    }

    #[test]
    fn a_day_is_called_as_its_language_calls_it() {
        let date = NaiveDate::from_ymd_opt(2026, 12, 4).expect("a day");
        assert_eq!(day(date, "de-AT"), "4. Dezember 2026");
        assert_eq!(day(date, "en-GB"), "4 December 2026");
        assert_eq!(day(date, "fr"), "4 December 2026");
    }
}
