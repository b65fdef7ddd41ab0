//! Exact numbers, money and its currency on the wire. Amounts are decimal strings, never floats.

use async_graphql::{
    InputObject, InputValueError, InputValueResult, Scalar, ScalarType, SimpleObject, Value,
};

use serde::Serialize;

use crate::failure::{Code, Problem};

/// An exact decimal number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Decimal(pub rust_decimal::Decimal);

impl From<Decimal> for rust_decimal::Decimal {
    fn from(number: Decimal) -> Self {
        number.0
    }
}

/// An exact decimal number, always written as a string, such as `"12.50"`. A whole number is read
/// from a number too; one with a fraction is not, since it would be rounded on its way.
#[Scalar(name = "Decimal")]
impl ScalarType for Decimal {
    fn parse(value: Value) -> InputValueResult<Self> {
        let exact = match &value {
            // The digits may be grouped by underscores in Rust, but nowhere on the wire.
            Value::String(text) if !text.contains('_') => {
                rust_decimal::Decimal::from_str_exact(text).ok()
            }
            Value::String(_) => None,
            Value::Number(number) => {
                let whole = number.as_i64().map(rust_decimal::Decimal::from);
                whole.or_else(|| number.as_u64().map(rust_decimal::Decimal::from))
            }
            _ => return Err(InputValueError::expected_type(value)),
        };
        exact.map(Decimal).ok_or_else(|| {
            InputValueError::custom(
                "a decimal number is a string of at most 28 digits with at most one point, such \
                 as \"12.50\"; a whole number may be a number",
            )
        })
    }

    fn to_value(&self) -> Value {
        Value::String(self.0.to_string())
    }
}

/// An ISO 4217 currency code, such as `EUR`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CurrencyCode(pub entity::Currency);

/// An ISO 4217 currency code of three letters, such as `EUR`; read in any case.
#[Scalar(name = "CurrencyCode")]
impl ScalarType for CurrencyCode {
    fn parse(value: Value) -> InputValueResult<Self> {
        match &value {
            Value::String(code) => code
                .parse()
                .map(CurrencyCode)
                .map_err(|error: entity::MoneyError| InputValueError::custom(error)),
            _ => Err(InputValueError::expected_type(value)),
        }
    }

    fn to_value(&self) -> Value {
        Value::String(self.0.code().to_owned())
    }
}

/// An amount of money.
#[derive(Clone, Copy, Debug, SimpleObject)]
pub struct Money {
    /// The amount in major units, with exactly the currency's decimals: `12.50`, `1250`, `1.250`.
    pub amount: Decimal,
    /// Its currency.
    pub currency: CurrencyCode,
}

impl From<entity::Money> for Money {
    fn from(money: entity::Money) -> Self {
        Money {
            amount: Decimal(money.to_decimal()),
            currency: CurrencyCode(money.currency),
        }
    }
}

/// An amount of minor units on the wire.
pub fn money(minor: i64, currency: entity::Currency) -> Money {
    entity::Money::new(minor, currency).into()
}

/// Reads an amount of major units that must not be negative.
pub fn minor(amount: Decimal, currency: entity::Currency, field: &str) -> Result<i64, Problem> {
    let money = entity::Money::from_decimal(amount.0, currency)
        .map_err(|error| Problem::new(Code::AmountInvalid, error.to_string()).at(field))?;
    if money.minor < 0 {
        return Err(Problem::new(Code::AmountInvalid, "the amount must not be negative").at(field));
    }
    Ok(money.minor)
}

/// An amount of money that is asked for.
#[derive(Clone, Copy, Debug, InputObject)]
pub struct MoneyInput {
    /// The amount in major units: `12.50`. More decimals than the currency has are an error, and
    /// so is a negative amount (AMOUNT_INVALID).
    pub amount: Decimal,
    /// Its currency.
    pub currency: CurrencyCode,
}

impl MoneyInput {
    /// Reads the amount; `field` is where it stands in the input.
    pub fn read(self, field: &str) -> Result<entity::Money, Problem> {
        let field = format!("{field}.amount");
        let minor = minor(self.amount, self.currency.0, &field)?;
        Ok(entity::Money::new(minor, self.currency.0))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use async_graphql::{ScalarType, value};

    use super::*;

    fn written(value: Value) -> Option<Value> {
        let read = <Decimal as ScalarType>::parse(value).ok()?;
        Some(read.to_value())
    }

    #[test]
    fn a_decimal_is_read_from_what_is_exact_and_written_as_it_was() {
        for text in [
            "12.50",
            "0",
            "-0.1",
            "1234567890123456789012345678",
            "0.0000000000000000000000000001",
        ] {
            assert_eq!(written(value!(text)), Some(value!(text)));
        }
        for (number, text) in [
            (value!(12), "12"),
            (value!(-7), "-7"),
            (value!(9007199254740993_i64), "9007199254740993"),
            (value!(u64::MAX), "18446744073709551615"),
        ] {
            assert_eq!(written(number), Some(value!(text)));
        }
    }

    #[test]
    fn what_is_not_exact_is_no_decimal() {
        for value in [
            value!(12.5),
            value!(12.0),
            value!(1e3),
            value!(1e30),
            value!(""),
            value!(" 1"),
            value!("1,5"),
            value!("1_000"),
            value!("1e3"),
            value!("NaN"),
            value!("1.2.3"),
            value!("0.00000000000000000000000000001"),
            value!("12345678901234567890123456789012345678901234567890"),
            value!(true),
            value!(["1"]),
        ] {
            assert_eq!(written(value.clone()), None, "{value}");
        }
    }
}
