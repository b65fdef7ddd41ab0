//! Money and its currency on the wire. Amounts are decimal strings, never floats.

use async_graphql::{
    InputObject, InputValueError, InputValueResult, Scalar, ScalarType, SimpleObject, Value,
};
use rust_decimal::Decimal;

use crate::failure::{Code, Problem};

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
            amount: money.to_decimal(),
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
    let money = entity::Money::from_decimal(amount, currency)
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
