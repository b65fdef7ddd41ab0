//! What can be said about an address, field by field.

use serde::{Deserialize, Serialize};

/// The part of an address that a reason is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum AddressField {
    /// The person.
    Name,
    /// The company.
    Organisation,
    /// The first street line.
    Line1,
    /// The second street line.
    Line2,
    /// City, post town or locality.
    City,
    /// State, province or county.
    Region,
    /// Postal code.
    PostalCode,
    /// Country.
    Country,
    /// Phone number.
    Phone,
}

/// Why an address is not simply valid; stable, for machines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ReasonCode {
    /// The country requires the field.
    Missing,
    /// The field is longer than we keep.
    TooLong,
    /// The field holds a control character, a line break or a tab.
    ControlCharacter,
    /// The postal code does not have the country's shape.
    MalformedPostalCode,
    /// A prefix that is no part of the postal code stands before it; repaired.
    PostalCodePrefix,
    /// The postal code has lost its leading zero; repaired.
    PostalCodeLeadingZero,
    /// The country has no such region.
    UnknownRegion,
    /// The postal code lies in another region.
    PostalCodeRegionMismatch,
    /// The postal code belongs to another city.
    PostalCodeCityMismatch,
    /// The reference table has no such postal code.
    UnknownPostalCode,
    /// The reference table has no such city.
    UnknownCity,
    /// The city is nearly spelled like the one that the postal code belongs to; repaired.
    CitySpelling,
    /// The reference table has no data for the country.
    NotCovered,
    /// The reference table could not be asked.
    VerifierUnavailable,
}

/// One thing to say about one field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// What it is about.
    pub field: AddressField,
    /// What it says, for machines.
    pub code: ReasonCode,
    /// What it says, for people: an English sentence that may quote the address.
    pub message: String,
}

impl Reason {
    /// Puts a reason together.
    pub fn new(field: AddressField, code: ReasonCode, message: impl Into<String>) -> Self {
        Reason {
            field,
            code,
            message: message.into(),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_written_in_capitals() {
        let reason = Reason::new(AddressField::PostalCode, ReasonCode::UnknownRegion, "");
        let json = serde_json::to_string(&reason).unwrap();
        assert_eq!(
            json,
            r#"{"field":"POSTAL_CODE","code":"UNKNOWN_REGION","message":""}"#
        );
    }
}
