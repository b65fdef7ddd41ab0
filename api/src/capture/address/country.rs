//! Which country is meant: ISO 3166-1 codes, and the names that people write.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use super::metadata::{self, Rule};
use super::spelling;

/// A country: one of the 249 alpha-2 codes of ISO 3166-1, or one of the three codes outside it
/// that postal traffic uses (`AC` Ascension, `TA` Tristan da Cunha, `XK` Kosovo).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Country(&'static str);

/// The text is no country's two-letter code.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not the two-letter code of a country")]
pub struct UnknownCountry(pub String);

impl Country {
    /// The two capital letters.
    pub fn code(self) -> &'static str {
        self.0
    }

    /// The English name in capitals, as it stands on an envelope from abroad.
    ///
    /// Territories that are served by another country's post carry that country's name where
    /// libaddressinput says so (`AX` is `FINLAND`).
    pub fn name(self) -> &'static str {
        &self.rule().name
    }

    /// Whether addresses in this country carry a postal code at all.
    pub fn has_postal_codes(self) -> bool {
        self.rule().uses('Z')
    }

    /// Every country, by code.
    pub fn all() -> impl Iterator<Item = Country> {
        metadata::all().map(|(code, _)| Country(code))
    }

    pub(super) fn rule(self) -> &'static Rule {
        let (_, rule) =
            metadata::find(self.0).expect("a Country is only made of codes that have a rule");
        rule
    }
}

impl FromStr for Country {
    type Err = UnknownCountry;

    /// Takes exactly a two-letter code, in any case. Names are for [`parse_country`].
    fn from_str(text: &str) -> Result<Self, UnknownCountry> {
        metadata::find(&text.to_ascii_uppercase())
            .map(|(code, _)| Country(code))
            .ok_or_else(|| UnknownCountry(text.to_owned()))
    }
}

impl<'de> Deserialize<'de> for Country {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(D::Error::custom)
    }
}

impl fmt::Display for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl fmt::Debug for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// The country that somebody means: a two-letter code in any case, or a name as people write it
/// (`Germany`, `UK`, `USA`, `Côte d'Ivoire`), whatever its case, accents and punctuation.
///
/// `None` when it is no country we know; nothing is guessed from a near miss.
pub fn parse_country(text: &str) -> Option<Country> {
    let trimmed = text.trim();
    trimmed
        .parse()
        .ok()
        .or_else(|| NAMES.get(&name_key(trimmed)).copied())
}

/// "The Netherlands" and "Bahamas, The" are their names without the article, and "St." is "Saint".
fn name_key(text: &str) -> String {
    spelling::words(text)
        .into_iter()
        .filter(|word| !matches!(word.as_str(), "the" | "and"))
        .map(|word| {
            if word == "st" {
                "saint".to_owned()
            } else {
                word
            }
        })
        .collect::<Vec<_>>()
        .concat()
}

static NAMES: LazyLock<HashMap<String, Country>> = LazyLock::new(|| {
    let mut names = HashMap::new();
    for country in Country::all() {
        // These three carry the name of the country or group that their post belongs to.
        if matches!(country.code(), "AX" | "GG" | "JE") {
            continue;
        }
        let name = country.name();
        names.insert(name_key(name), country);
        // "BULGARIA (REP.)" is also "BULGARIA".
        if let Some((plain, _)) = name.split_once(" (") {
            names.entry(name_key(plain)).or_insert(country);
        }
    }
    for (code, aliases) in ALIASES {
        if let Ok(country) = code.parse::<Country>() {
            names.extend(aliases.split(',').map(|alias| (name_key(alias), country)));
        }
    }
    // Two countries are called Congo: without more, it is not said which.
    names.remove("congo");
    names
});

/// What people write where the data has another name: abbreviations, everyday and former names,
/// and each country's name for itself where orders are often taken.
const ALIASES: &[(&str, &str)] = &[
    ("AE", "UAE,Emirates"),
    ("AT", "Österreich"),
    ("AX", "Åland,Åland Islands"),
    ("BA", "Bosnia,Bosnia-Herzegovina"),
    ("BE", "Belgique,België,Belgien"),
    ("BL", "Saint Barthélemy,St. Barts"),
    ("BN", "Brunei"),
    ("BO", "Plurinational State of Bolivia"),
    ("BQ", "Caribbean Netherlands,Bonaire"),
    ("BR", "Brasil"),
    ("CC", "Cocos Islands"),
    (
        "CD",
        "DR Congo,DRC,Democratic Republic of the Congo,Congo-Kinshasa,Zaire",
    ),
    ("CG", "Republic of the Congo,Congo-Brazzaville"),
    ("CH", "Schweiz,Suisse,Svizzera,Swiss"),
    ("CI", "Ivory Coast"),
    (
        "CN",
        "People's Republic of China,PR China,PRC,Mainland China",
    ),
    ("CV", "Cabo Verde"),
    ("CZ", "Czechia,Czech Republic,Česko,Česká republika"),
    (
        "DE",
        "Deutschland,Federal Republic of Germany,Allemagne,Alemania",
    ),
    ("DK", "Danmark"),
    ("DO", "Dominican Republic,República Dominicana"),
    ("EE", "Eesti"),
    ("ES", "España,Espagne"),
    ("FI", "Suomi"),
    ("FK", "Falkland Islands,Falklands"),
    ("FM", "Micronesia,Federated States of Micronesia"),
    (
        "GB",
        "UK,U.K.,Great Britain,Britain,England,Scotland,Wales,Northern Ireland,\
         United Kingdom of Great Britain and Northern Ireland",
    ),
    ("GD", "Grenada"),
    ("GG", "Guernsey"),
    ("GR", "Hellas,Ellada"),
    ("GS", "South Georgia and the South Sandwich Islands"),
    ("HK", "Hong Kong SAR,Hong Kong SAR China,Hongkong"),
    ("HR", "Hrvatska"),
    ("HU", "Magyarország"),
    ("IE", "Éire,Republic of Ireland,Irish Republic"),
    ("IR", "Islamic Republic of Iran"),
    ("IT", "Italia"),
    ("JE", "Jersey"),
    ("KP", "Democratic People's Republic of Korea,DPRK"),
    ("KR", "Korea,Republic of Korea,Korea (South)"),
    ("LA", "Laos,Lao,Lao PDR"),
    ("LT", "Lietuva"),
    ("LV", "Latvija"),
    ("MD", "Moldova,Republic of Moldova"),
    ("MF", "St. Martin"),
    ("MK", "North Macedonia,Republic of North Macedonia"),
    ("MM", "Burma"),
    ("MO", "Macau,Macao SAR,Macau SAR"),
    ("MX", "México"),
    ("NL", "Holland,Nederland,Pays-Bas"),
    ("NO", "Norge"),
    ("NR", "Nauru"),
    ("NZ", "Aotearoa"),
    ("PL", "Polska"),
    ("PM", "Saint Pierre and Miquelon"),
    ("PN", "Pitcairn Islands"),
    ("PS", "Palestine,State of Palestine"),
    ("RE", "La Réunion"),
    ("RO", "România"),
    ("RS", "Serbia,Srbija"),
    ("RU", "Russia"),
    ("SE", "Sverige"),
    ("SG", "Singapore"),
    ("SI", "Slovenija"),
    ("SJ", "Svalbard,Svalbard and Jan Mayen"),
    ("SK", "Slovensko,Slovak Republic"),
    ("SY", "Syrian Arab Republic"),
    ("SZ", "Eswatini"),
    ("TL", "East Timor"),
    ("TR", "Türkiye"),
    ("TW", "Taiwan (R.O.C.),Republic of China"),
    ("TZ", "Tanzania,United Republic of Tanzania"),
    ("UM", "US Minor Outlying Islands"),
    (
        "US",
        "USA,U.S.A.,U.S.,United States of America,America,Estados Unidos",
    ),
    ("VA", "Vatican City,Holy See"),
    ("VC", "St. Vincent,Saint Vincent and the Grenadines"),
    ("VG", "British Virgin Islands"),
    ("VI", "US Virgin Islands,U.S. Virgin Islands"),
    ("VN", "Vietnam"),
];

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// ISO 3166-1 alpha-2, officially assigned.
    const ISO: &str = "AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ \
        BL BM BN BO BQ BR BS BT BV BW BY BZ CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY \
        CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO FR GA GB GD GE GF GG GH GI GL GM \
        GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP KE \
        KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML \
        MM MN MO MP MQ MR MS MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF \
        PG PH PK PL PM PN PR PS PT PW PY QA RE RO RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN \
        SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO TR TT TV TW TZ UA UG UM US UY UZ \
        VA VC VE VG VI VN VU WF WS YE YT ZA ZM ZW";

    fn code(text: &str) -> Option<&'static str> {
        parse_country(text).map(Country::code)
    }

    #[test]
    fn all_249_countries_of_iso_3166_are_known_and_three_more() {
        let iso: Vec<&str> = ISO.split_whitespace().collect();
        assert_eq!(iso.len(), 249);
        for code in &iso {
            assert_eq!(code.parse::<Country>().map(Country::code), Ok(*code));
        }
        let others: Vec<_> = Country::all()
            .map(Country::code)
            .filter(|code| !iso.contains(code))
            .collect();
        assert_eq!(others, ["AC", "TA", "XK"]);
    }

    #[test]
    fn the_default_rule_is_no_country() {
        assert!("ZZ".parse::<Country>().is_err());
        assert_eq!(code("ZZ"), None);
    }

    #[test]
    fn a_code_is_taken_in_any_case() {
        assert_eq!(code("de"), Some("DE"));
        assert_eq!(code(" Us "), Some("US"));
    }

    #[test]
    fn names_are_taken_as_people_write_them() {
        for (text, expected) in [
            ("Germany", "DE"),
            ("UK", "GB"),
            ("U.K.", "GB"),
            ("USA", "US"),
            ("u.s.a.", "US"),
            ("United Kingdom", "GB"),
            ("Brazil", "BR"),
            ("Ireland", "IE"),
            ("Österreich", "AT"),
            ("the Netherlands", "NL"),
            ("HOLLAND", "NL"),
            ("Cote d Ivoire", "CI"),
            ("Ivory Coast", "CI"),
            ("South Korea", "KR"),
            ("Czech Republic", "CZ"),
            ("Türkiye", "TR"),
            ("Turkey", "TR"),
            ("Bulgaria", "BG"),
            ("Hungary", "HU"),
            ("Dominican Republic", "DO"),
            ("Russia", "RU"),
            ("Vietnam", "VN"),
            ("Iran", "IR"),
            ("Finland", "FI"),
            ("Åland Islands", "AX"),
            ("Jersey", "JE"),
            ("Guernsey", "GG"),
            ("Bosnia & Herzegovina", "BA"),
            ("Venezuela", "VE"),
            ("Northern Ireland", "GB"),
            ("St. Lucia", "LC"),
            ("Trinidad & Tobago", "TT"),
            ("Kosovo", "XK"),
        ] {
            assert_eq!(code(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_country_or_two_is_none() {
        for text in ["", " ", "Europe", "Congo", "Germny", "X", "123"] {
            assert_eq!(code(text), None, "{text}");
        }
    }

    #[test]
    fn every_country_is_found_by_its_own_name_except_where_the_name_is_anothers() {
        for country in Country::all() {
            let found = parse_country(country.name());
            match country.code() {
                "AX" => assert_eq!(found.map(Country::code), Some("FI")),
                "GG" | "JE" => assert_eq!(found, None),
                _ => assert_eq!(found, Some(country)),
            }
        }
    }

    #[test]
    fn it_travels_as_its_code() {
        let country: Country = serde_json::from_str("\"se\"").unwrap();
        assert_eq!(serde_json::to_string(&country).unwrap(), "\"SE\"");
        assert!(serde_json::from_str::<Country>("\"XX\"").is_err());
    }
}
