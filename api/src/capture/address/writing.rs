//! Writing an address: in the form that is kept, and in the form that is printed.

use super::postal_code::{Standard, standardise};
use super::spelling::tidy;
use super::{PostalAddress, region};

/// The address in its usual writing: no needless white space, Unicode's composed form, blank
/// fields absent, the postal code in its usual form, the region as its key.
///
/// It means the same as before, and normalising it again changes nothing.
pub fn normalise(address: &PostalAddress) -> PostalAddress {
    let country = address.country;
    let optional =
        |text: &Option<String>| text.as_deref().map(tidy).filter(|text| !text.is_empty());
    let region = optional(&address.region).map(|given| match region::find(country, &given) {
        // A Latin name stays: who writes "Tokyo" writes the rest of the address in Latin letters.
        Some(found) if given.is_ascii() == found.key.is_ascii() => found.key.clone(),
        Some(found) if found.latin_name.is_empty() => found.key.clone(),
        _ => given,
    });
    let postal_code =
        optional(&address.postal_code).map(|given| match standardise(country, &given) {
            Standard::Fits(code) => code,
            _ => given,
        });
    PostalAddress {
        name: tidy(&address.name),
        organisation: optional(&address.organisation),
        line1: tidy(&address.line1),
        line2: optional(&address.line2),
        city: tidy(&address.city),
        region,
        postal_code,
        country,
        phone: optional(&address.phone),
    }
}

/// The address as the country's post wants it printed: [`normalise`]d, and in capitals where
/// libaddressinput says so (the post town in the United Kingdom, everything in Canada).
pub fn for_label(address: &PostalAddress) -> PostalAddress {
    let mut printed = normalise(address);
    let rule = printed.country.rule();
    let capitals = |field: char, text: &mut String| {
        if rule.capitalises(field) {
            *text = text.to_uppercase();
        }
    };
    capitals('N', &mut printed.name);
    capitals('A', &mut printed.line1);
    capitals('C', &mut printed.city);
    for (field, text) in [
        ('O', &mut printed.organisation),
        ('A', &mut printed.line2),
        ('S', &mut printed.region),
        ('Z', &mut printed.postal_code),
    ] {
        text.iter_mut().for_each(|text| capitals(field, text));
    }
    printed
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::capture::address::Country;

    fn address(country: &str, city: &str, region: &str, postal_code: &str) -> PostalAddress {
        PostalAddress {
            name: " Maria  Anders ".to_owned(),
            organisation: Some(" ".to_owned()),
            line1: "1 High Street".to_owned(),
            line2: None,
            city: city.to_owned(),
            region: Some(region.to_owned()),
            postal_code: Some(postal_code.to_owned()),
            country: country.parse().unwrap(),
            phone: None,
        }
    }

    #[test]
    fn the_usual_writing_is_tidy_and_has_keys_for_regions() {
        let written = normalise(&address("CA", " Montre\u{301}al", "québec", "h1j1c3"));
        assert_eq!(
            (written.name.as_str(), written.city.as_str()),
            ("Maria Anders", "Montréal")
        );
        assert_eq!(written.region.as_deref(), Some("QC"));
        assert_eq!(written.postal_code.as_deref(), Some("H1J 1C3"));
        assert_eq!(written.organisation, None);
    }

    #[test]
    fn a_region_in_latin_letters_stays_in_them() {
        let written = normalise(&address("JP", "Minato-ku", "Tokyo", "1050011"));
        assert_eq!(written.region.as_deref(), Some("Tokyo"));
    }

    #[test]
    fn a_label_has_capitals_where_the_countrys_post_wants_them() {
        assert_eq!(
            for_label(&address("GB", "London", "", "wa1 1dp")).city,
            "LONDON"
        );
        assert_eq!(
            for_label(&address("DE", "Berlin", "", "12209")).city,
            "BERLIN"
        );
        assert_eq!(for_label(&address("CH", "Bern", "", "3012")).city, "Bern");
        assert_eq!(
            for_label(&address("CA", "Laval", "QC", "H1J 1C3")).line1,
            "1 HIGH STREET"
        );
    }

    proptest! {
        #[test]
        fn normalising_twice_is_normalising_once(
            texts in prop::collection::vec("\\PC{0,12}|[A-Z0-9 .-]{0,10}", 6),
            country in prop::sample::select(Country::all().collect::<Vec<_>>()),
        ) {
            let given = PostalAddress {
                name: texts[0].clone(),
                organisation: Some(texts[1].clone()),
                line1: texts[2].clone(),
                line2: None,
                city: texts[3].clone(),
                region: Some(texts[4].clone()),
                postal_code: Some(texts[5].clone()),
                country,
                phone: None,
            };
            let once = normalise(&given);
            prop_assert_eq!(normalise(&once), once);
        }
    }
}
