use proptest::prelude::*;

use super::*;
use crate::capture::address::Country;

fn address(country: &str, city: &str, region: &str, postal_code: &str) -> PostalAddress {
    let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    PostalAddress {
        name: "Maria Anders".to_owned(),
        organisation: None,
        line1: "1 High Street".to_owned(),
        line2: None,
        city: city.to_owned(),
        region: given(region),
        postal_code: given(postal_code),
        country: country.parse().unwrap(),
        phone: None,
    }
}

/// A reference table of a few rows, asked the way that the real one is.
fn known(rows: &[(&str, &str, &str, &str)], address: &PostalAddress) -> Reference {
    let asked = crate::capture::address::reference::lookup(address);
    let places: Vec<Place> = rows
        .iter()
        .map(|(country, code, name, admin)| Place {
            country: country.parse().unwrap(),
            postal_code: (*code).to_owned(),
            place_name: (*name).to_owned(),
            admin_name: (*admin).to_owned(),
            admin_code: String::new(),
        })
        .filter(|place| place.country == asked.country)
        .collect();
    let having = |wanted: &dyn Fn(&Place) -> bool| {
        places
            .iter()
            .filter(|place| wanted(place))
            .cloned()
            .collect()
    };
    Reference::Covered {
        places_of_code: having(&|place| {
            asked.postal_keys.contains(&postal_key(&place.postal_code))
        }),
        codes_of_city: having(&|place| asked.place_key == Some(place_key(&place.place_name))),
    }
}

const TABLE: &[(&str, &str, &str, &str)] = &[
    ("US", "97403", "Eugene", "Oregon"),
    ("US", "97401", "Eugene", "Oregon"),
    ("US", "97827", "Elgin", "Oregon"),
    ("US", "60120", "Elgin", "Illinois"),
    ("US", "60123", "Elgin", "Illinois"),
    ("US", "82520", "Lander", "Wyoming"),
    ("US", "82520", "Ethete", "Wyoming"),
    ("DE", "60528", "Frankfurt am Main", "Hessen"),
    ("DE", "80805", "München", "Bayern"),
    ("DE", "02733", "Cunewalde", "Sachsen"),
    ("SE", "958 22", "Luleå", "Norrbotten"),
    ("DK", "1734", "København V", "Hovedstaden"),
    ("IE", "T12", "Cork", "Munster"),
    ("CA", "V4L", "Tsawwassen", "British Columbia"),
    ("CA", "T2P", "Calgary", "Alberta"),
    ("GB", "CO7", "Colchester", "England"),
    ("GB", "WC2", "London", "England"),
    ("GB", "OX15", "Banbury", "England"),
    ("IT", "10121", "Torino", "Piemonte"),
    ("PT", "2725-079", "Mem Martins", "Lisboa"),
    ("PR", "00907", "San Juan", ""),
    ("BR", "01000-000", "São Paulo", "Sao Paulo"),
];

fn judged(country: &str, city: &str, region: &str, code: &str) -> Verification {
    let given = address(country, city, region, code);
    verify(&given, &known(TABLE, &given))
}

fn codes(verification: &Verification) -> Vec<ReasonCode> {
    verification
        .reasons
        .iter()
        .map(|reason| reason.code)
        .collect()
}

#[test]
fn c2b_city_and_code_that_belong_together_are_valid() {
    for (country, city, region, code) in [
        ("US", "Eugene", "OR", "97403"),
        ("US", "EUGENE", "Oregon", "97403-1234"),
        ("DE", "Frankfurt a.M.", "", "60528"),
        ("DE", "Muenchen", "", "80805"),
        ("DK", "Kobenhavn", "", "1734"),
        ("GB", "Colchester", "Essex", "CO7 6JX"),
        ("US", "San Juan", "PR", "00907"),
    ] {
        let found = judged(country, city, region, code);
        assert_eq!(
            (found.verdict, found.suggestion),
            (Verdict::Valid, None),
            "{city}"
        );
        assert_eq!(found.reasons, vec![]);
    }
}

#[test]
fn c2b_a_wrong_code_is_corrected_when_the_city_has_one() {
    let found = judged("DE", "Cunewalde", "", "1307");
    assert_eq!(found.verdict, Verdict::Corrected);
    assert_eq!(
        found.suggestion.clone().unwrap().postal_code.as_deref(),
        Some("02733")
    );
    assert_eq!(codes(&found), [ReasonCode::UnknownPostalCode]);
}

#[test]
fn c2b_a_wrong_code_is_ambiguous_when_the_city_has_several() {
    let found = judged("US", "Eugene", "OR", "97827");
    assert_eq!(
        (found.verdict, found.suggestion.clone()),
        (Verdict::Ambiguous, None)
    );
    assert_eq!(codes(&found), [ReasonCode::PostalCodeCityMismatch]);
    assert!(found.reasons[0].message.contains("97401, 97403"));
}

#[test]
fn c2b_a_wrong_code_is_invalid_when_the_city_has_more_than_one_can_choose_from() {
    let given = address("US", "Chicago", "IL", "60999");
    let rows: Vec<Place> = (0..=FEW)
        .map(|n| Place {
            country: given.country,
            postal_code: format!("606{n:02}"),
            place_name: "Chicago".to_owned(),
            admin_name: "Illinois".to_owned(),
            admin_code: "IL".to_owned(),
        })
        .collect();
    let reference = Reference::Covered {
        places_of_code: vec![],
        codes_of_city: rows,
    };
    assert_eq!(verify(&given, &reference).verdict, Verdict::Invalid);
}

#[test]
fn c2b_the_region_narrows_the_codes_of_the_city() {
    let found = judged("US", "Elgin", "OR", "97828");
    assert_eq!(found.verdict, Verdict::Corrected);
    assert_eq!(
        found.suggestion.unwrap().postal_code.as_deref(),
        Some("97827")
    );
}

#[test]
fn c2b_a_near_miss_of_the_city_is_corrected_from_the_code() {
    let found = judged("US", "Landre", "WY", "82520");
    assert_eq!(found.verdict, Verdict::Corrected);
    assert_eq!(found.suggestion.unwrap().city, "Lander");
    assert_eq!(found.reasons[0].code, ReasonCode::CitySpelling);
}

#[test]
fn c2b_a_city_that_nobody_knows_with_a_code_of_elsewhere_is_invalid() {
    let found = judged("US", "Gotham", "OR", "97403");
    assert_eq!(found.verdict, Verdict::Invalid);
    assert_eq!(codes(&found), [ReasonCode::PostalCodeCityMismatch]);
    assert_eq!(
        judged("US", "Gotham", "OR", "97999").verdict,
        Verdict::Invalid
    );
}

#[test]
fn a_known_city_that_looks_like_another_one_is_ambiguous() {
    let rows = [("DE", "45127", "Essen", ""), ("DE", "72406", "Esen", "")];
    let given = address("DE", "Essen", "", "72406");
    assert_eq!(
        verify(&given, &known(&rows, &given)).verdict,
        Verdict::Ambiguous
    );
}

#[test]
fn c2b_a_city_whose_codes_are_only_known_by_their_beginning_is_never_completed() {
    let found = judged("GB", "London", "", "OX15 4NB");
    assert_eq!(
        (found.verdict, found.suggestion),
        (Verdict::Ambiguous, None)
    );
}

#[test]
fn c2b_a_country_prefix_is_taken_off_and_the_rest_confirmed() {
    let found = judged("SE", "Luleå", "", "S-958 22");
    assert_eq!(found.verdict, Verdict::Corrected);
    assert_eq!(
        found.suggestion.unwrap().postal_code.as_deref(),
        Some("958 22")
    );
    assert_eq!(found.reasons[0].code, ReasonCode::PostalCodePrefix);
}

#[test]
fn c2b_a_malformed_code_is_invalid_unless_the_city_has_one_code() {
    let found = judged("PT", "Lisboa", "", "1675");
    assert_eq!(
        (found.verdict, found.suggestion.clone()),
        (Verdict::Invalid, None)
    );
    assert_eq!(codes(&found), [ReasonCode::MalformedPostalCode]);
    let found = judged("PT", "Mem Martins", "", "2725");
    assert_eq!(
        found.suggestion.unwrap().postal_code.as_deref(),
        Some("2725-079")
    );
}

#[test]
fn a_missing_code_and_the_region_with_it_come_from_the_city() {
    let found = judged("IT", "Torino", "", "");
    assert_eq!(found.verdict, Verdict::Corrected);
    let suggested = found.suggestion.unwrap();
    assert_eq!(suggested.postal_code.as_deref(), Some("10121"));
    assert_eq!(suggested.region.as_deref(), Some("TO"));
}

#[test]
fn a_missing_city_comes_from_the_code_where_it_has_one_place() {
    let found = judged("DE", "", "", "80805");
    assert_eq!(found.suggestion.unwrap().city, "München");
    let found = judged("US", "", "WY", "82520");
    assert_eq!(found.verdict, Verdict::Invalid);
}

#[test]
fn c2b_a_code_that_need_not_be_there_may_be_absent() {
    assert_eq!(judged("IE", "Cork", "Co. Cork", "").verdict, Verdict::Valid);
    let unknown = judged("IE", "Ballymun Cross", "", "");
    assert_eq!(unknown.verdict, Verdict::Unverified);
    assert_eq!(codes(&unknown), [ReasonCode::UnknownCity]);
}

#[test]
fn c2b_a_country_without_postal_codes_is_judged_by_its_city() {
    let rows = [("AO", "1", "Luanda", "")];
    for (city, verdict) in [("Luanda", Verdict::Valid), ("Lubango", Verdict::Unverified)] {
        for code in ["", "00000", "N/A"] {
            let given = address("AO", city, "", code);
            assert_eq!(verify(&given, &known(&rows, &given)).verdict, verdict);
        }
    }
    let given = address("HK", "Central", "Hong Kong Island", "");
    assert_eq!(
        verify(&given, &Reference::NotCovered).verdict,
        Verdict::Unverified
    );
}

#[test]
fn c2b_a_region_that_the_code_does_not_lie_in_is_invalid() {
    let found = judged("CA", "Calgary", "BC", "T2P 1J9");
    assert_eq!(found.verdict, Verdict::Invalid);
    assert_eq!(codes(&found), [ReasonCode::PostalCodeRegionMismatch]);
}

#[test]
fn the_table_overrules_the_prefixes_of_the_regions() {
    let rows = [("US", "97403", "Eugene", "Washington")];
    let given = address("US", "Eugene", "WA", "97403");
    assert_eq!(
        verify(&given, &known(&rows, &given)).verdict,
        Verdict::Valid
    );
    let given = address("US", "Eugene", "OR", "97403");
    assert_eq!(
        verify(&given, &known(&rows, &given)).verdict,
        Verdict::Invalid
    );
}

#[test]
fn where_the_table_is_incomplete_an_unknown_code_proves_nothing() {
    let found = judged("BR", "Sao Paulo", "SP", "05432-043");
    assert_eq!(found.verdict, Verdict::Unverified);
    assert_eq!(codes(&found), [ReasonCode::UnknownPostalCode]);
}

#[test]
fn c2b_a_verifier_that_is_down_leaves_the_address_unverified_and_says_so() {
    let given = address("US", "Eugene", "OR", "97403");
    let found = verify(&given, &Reference::Unavailable);
    assert_eq!(found.verdict, Verdict::Unverified);
    assert_eq!(codes(&found), [ReasonCode::VerifierUnavailable]);

    let given = address("SE", "Luleå", "", "S-958 22");
    let found = verify(&given, &Reference::Unavailable);
    assert_eq!(found.verdict, Verdict::Unverified);
    assert!(found.suggestion.is_some());
}

#[test]
fn c2b_without_reference_data_the_rules_decide_alone() {
    let verdict = |given: &PostalAddress| verify(given, &Reference::NotCovered).verdict;
    assert_eq!(
        verdict(&address("SE", "Luleå", "", "958 22")),
        Verdict::Unverified
    );
    assert_eq!(
        verdict(&address("SE", "Luleå", "", "S-958 22")),
        Verdict::Corrected
    );
    assert_eq!(
        verdict(&address("PT", "Lisboa", "", "1675")),
        Verdict::Invalid
    );
    assert_eq!(
        verdict(&address("MX", "México D.F.", "", "05021")),
        Verdict::Corrected
    );
}

#[test]
fn c2b_a_fault_in_another_field_is_invalid_whatever_the_table_says() {
    let mut given = address("US", "Eugene", "OR", "97403");
    given.line1 = String::new();
    let found = verify(&given, &known(TABLE, &given));
    assert_eq!(found.verdict, Verdict::Invalid);
    assert_eq!(found.reasons[0].field, AddressField::Line1);
}

#[test]
fn c2b_a_post_office_box_is_flagged_beside_the_verdict() {
    let mut given = address("US", "Lander", "WY", "82520");
    given.line1 = "P.O. Box 555".to_owned();
    let found = verify(&given, &known(TABLE, &given));
    assert_eq!((found.verdict, found.po_box), (Verdict::Valid, true));
}

#[test]
fn c2b_the_given_address_is_never_written_over() {
    let given = address("SE", " Luleå ", "", "S-958 22");
    let before = given.clone();
    let found = verify(&given, &known(TABLE, &given));
    assert_eq!(given, before);
    assert_ne!(found.suggestion, Some(given));
}

#[test]
fn verdicts_are_written_in_capitals() {
    assert_eq!(
        serde_json::to_string(&Verdict::Unverified).unwrap(),
        "\"UNVERIFIED\""
    );
}

fn countries() -> impl Strategy<Value = Country> {
    prop::sample::select(Country::all().collect::<Vec<_>>())
}

prop_compose! {
    fn any_address()(
        texts in prop::collection::vec(".{0,20}", 5),
        code in "[A-Za-z0-9 .-]{0,9}|.{0,9}",
        country in countries(),
    ) -> PostalAddress {
        PostalAddress {
            name: texts[0].clone(),
            organisation: Some(texts[1].clone()),
            line1: texts[2].clone(),
            line2: None,
            city: texts[3].clone(),
            region: Some(texts[4].clone()),
            postal_code: Some(code),
            country,
            phone: None,
        }
    }
}

prop_compose! {
    fn any_place()(
        country in countries(), postal_code in ".{0,9}", place_name in ".{0,12}",
        admin_name in ".{0,9}",
    ) -> Place {
        Place { country, postal_code, place_name, admin_name, admin_code: String::new() }
    }
}

proptest! {
    #[test]
    fn any_text_gets_a_verdict_and_a_suggestion_just_when_it_is_corrected(
        given in any_address(),
        places_of_code in prop::collection::vec(any_place(), 0..4),
        codes_of_city in prop::collection::vec(any_place(), 0..4),
    ) {
        let reference = Reference::Covered { places_of_code, codes_of_city };
        for reference in [&reference, &Reference::NotCovered] {
            let found = verify(&given, reference);
            prop_assert_eq!(found.suggestion.is_some(), found.verdict == Verdict::Corrected);
            prop_assert_eq!(found.reasons.is_empty(), found.verdict == Verdict::Valid);
        }
        verify(&given, &Reference::Unavailable);
    }

    #[test]
    fn a_suggestion_keeps_the_rules_of_its_country(given in any_address()) {
        if let Some(suggestion) = verify(&given, &Reference::NotCovered).suggestion {
            let checked = rules::check(&suggestion);
            prop_assert_eq!(checked.faults, vec![]);
            prop_assert_eq!(checked.repairs, vec![]);
        }
    }
}
