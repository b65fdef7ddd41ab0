//! Money as whole minor units beside an ISO 4217 currency.
//!
//! A float never touches an amount, and neither does a database's decimal column (SQLite keeps
//! one as an 8-byte float). [`Decimal`] appears only where text is parsed, a rate is multiplied
//! or an amount is printed.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;

use iso_currency::IntoEnumIterator;
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use sea_orm::DeriveValueType;
use serde::{Deserialize, Serialize};

/// An ISO 4217 currency, stored as its three-letter code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, DeriveValueType)]
#[sea_orm(value_type = "String", column_type = "Char(Some(3))")]
pub struct Currency(iso_currency::Currency);

impl Currency {
    /// The euro.
    pub const EUR: Currency = Currency(iso_currency::Currency::EUR);
    /// The United States dollar.
    pub const USD: Currency = Currency(iso_currency::Currency::USD);
    /// The Japanese yen, which has no minor unit.
    pub const JPY: Currency = Currency(iso_currency::Currency::JPY);
    /// The Kuwaiti dinar, of 1,000 minor units.
    pub const KWD: Currency = Currency(iso_currency::Currency::KWD);

    /// How many decimals the minor unit has: 2 for EUR, 0 for JPY, 3 for KWD.
    ///
    /// ISO 4217 gives none for precious metals and test codes; those count as whole units.
    pub fn exponent(self) -> u32 {
        self.0.exponent().map_or(0, u32::from)
    }

    /// Every currency of ISO 4217, by how many decimals its minor unit has.
    pub fn by_exponent() -> &'static BTreeMap<u32, Vec<Currency>> {
        static ALL: LazyLock<BTreeMap<u32, Vec<Currency>>> = LazyLock::new(|| {
            let mut all: BTreeMap<_, Vec<_>> = BTreeMap::new();
            for currency in iso_currency::Currency::iter().map(Currency) {
                all.entry(currency.exponent()).or_default().push(currency);
            }
            all
        });
        &ALL
    }

    /// The three-letter code.
    pub fn code(self) -> &'static str {
        self.0.code()
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl FromStr for Currency {
    type Err = MoneyError;

    /// Takes a code in any case, with blanks around it.
    fn from_str(code: &str) -> Result<Self, MoneyError> {
        iso_currency::Currency::from_code(&code.trim().to_ascii_uppercase())
            .map(Currency)
            .ok_or_else(|| MoneyError::UnknownCurrency(code.chars().take(8).collect()))
    }
}

impl Serialize for Currency {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.code())
    }
}

impl<'de> Deserialize<'de> for Currency {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

/// An amount: `minor` whole minor units of `currency`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Money {
    /// Whole minor units: cents for EUR, yen for JPY, fils for KWD.
    pub minor: i64,
    /// The currency that the minor units are of.
    pub currency: Currency,
}

impl Money {
    /// An amount of minor units.
    pub const fn new(minor: i64, currency: Currency) -> Self {
        Money { minor, currency }
    }

    /// Reads a decimal amount of major units; refuses more decimals than the currency has
    /// (trailing zeros are no decimals) and what does not fit.
    pub fn from_decimal(amount: Decimal, currency: Currency) -> Result<Self, MoneyError> {
        let amount = amount.normalize();
        if amount.scale() > currency.exponent() {
            return Err(MoneyError::TooManyDecimals {
                currency,
                allowed: currency.exponent(),
            });
        }
        let scale = Decimal::from(10_i64.pow(currency.exponent()));
        amount
            .checked_mul(scale)
            .and_then(|minor| minor.to_i64())
            .map(|minor| Money { minor, currency })
            .ok_or(MoneyError::OutOfRange)
    }

    /// The amount in major units, with exactly the currency's decimals: `12.50`, `1250`, `1.250`.
    pub fn to_decimal(self) -> Decimal {
        Decimal::new(self.minor, self.currency.exponent())
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.to_decimal(), self.currency)
    }
}

/// Why an amount or a currency was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// No ISO 4217 currency has this code.
    #[error("{0:?} is not an ISO 4217 currency code")]
    UnknownCurrency(String),
    /// The amount is finer than the currency's minor unit.
    #[error("{currency} amounts have at most {allowed} decimals")]
    TooManyDecimals {
        /// The currency of the amount.
        currency: Currency,
        /// How many decimals it has.
        allowed: u32,
    },
    /// The amount does not fit into 64 bits of minor units.
    #[error("the amount is out of range")]
    OutOfRange,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_currency_has_its_own_minor_unit() {
        let parse = |text: &str, currency| Money::from_decimal(text.parse().unwrap(), currency);
        assert_eq!(parse("12.50", Currency::EUR).unwrap().minor, 1250);
        assert_eq!(parse("1250", Currency::JPY).unwrap().minor, 1250);
        assert_eq!(parse("1.25", Currency::KWD).unwrap().minor, 1250);
        assert_eq!(parse("12.500", Currency::EUR).unwrap().minor, 1250);
        assert!(parse("12.501", Currency::EUR).is_err());
        assert!(parse("0.5", Currency::JPY).is_err());
        assert!(parse("99999999999999999999", Currency::EUR).is_err());
        assert_eq!(Money::new(1250, Currency::EUR).to_string(), "12.50 EUR");
        assert_eq!(Money::new(-5, Currency::KWD).to_string(), "-0.005 KWD");
    }

    #[test]
    fn a_currency_is_read_in_any_case_and_unknown_codes_are_refused() {
        assert_eq!(" eur ".parse::<Currency>().unwrap(), Currency::EUR);
        assert!("EURO".parse::<Currency>().is_err());
        assert!("".parse::<Currency>().is_err());
    }

    proptest! {
        #[test]
        fn printing_and_reading_an_amount_gives_it_back(minor in any::<i64>(), which in 0..3) {
            let currency = [Currency::EUR, Currency::JPY, Currency::KWD][which as usize];
            let money = Money::new(minor, currency);
            prop_assert_eq!(Money::from_decimal(money.to_decimal(), currency), Ok(money));
        }
    }
}
