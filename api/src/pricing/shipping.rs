//! The shipping charge of a parcel's weight. Carriers and their costs are no part of this.

use super::PricingError;

/// A shipping rate that serves the order's zone, channel and currency.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShippingOption {
    /// The service that it pays for, as the customer chooses it.
    pub service: String,
    /// The least weight that it takes, itself included.
    pub min_weight_grams: i64,
    /// The weight that is too much for it; none = it takes any.
    pub max_weight_grams: Option<i64>,
    /// What it charges.
    pub price_minor: i64,
    /// The value of the goods, before discounts, from which on it charges nothing.
    pub free_over_minor: Option<i64>,
}

/// What a customer is charged for shipping, before promotions and tax.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChosenShipping<'a> {
    /// The rate that was chosen.
    pub option: &'a ShippingOption,
    /// What it charges for these goods.
    pub price_minor: i64,
}

/// Chooses the rate for a weight: of those that take it the one that charges least, then the one
/// whose service comes first in the alphabet.
///
/// `service` is the one that the customer chose; none = any will do.
pub fn choose_shipping<'a>(
    options: &'a [ShippingOption],
    service: Option<&str>,
    weight_grams: i64,
    subtotal_minor: i64,
) -> Result<ChosenShipping<'a>, PricingError> {
    options
        .iter()
        .filter(|option| service.is_none_or(|service| service == option.service))
        .filter(|option| option.min_weight_grams <= weight_grams)
        .filter(|option| option.max_weight_grams.is_none_or(|max| weight_grams < max))
        .map(|option| {
            let free = option
                .free_over_minor
                .is_some_and(|from| subtotal_minor >= from);
            let price_minor = if free { 0 } else { option.price_minor };
            ChosenShipping {
                option,
                price_minor,
            }
        })
        .min_by_key(|chosen| (chosen.price_minor, &chosen.option.service))
        .ok_or(PricingError::NoShippingRate)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn option(service: &str, min: i64, max: Option<i64>, price_minor: i64) -> ShippingOption {
        ShippingOption {
            service: service.to_owned(),
            min_weight_grams: min,
            max_weight_grams: max,
            price_minor,
            free_over_minor: None,
        }
    }

    fn price(options: &[ShippingOption], weight: i64) -> Result<i64, PricingError> {
        choose_shipping(options, None, weight, 0).map(|chosen| chosen.price_minor)
    }

    #[test]
    fn c4c_a_weight_class_begins_at_its_least_weight_and_ends_below_its_greatest() {
        let options = [
            option("STANDARD", 100, Some(2000), 490),
            option("STANDARD", 2000, Some(5000), 890),
        ];
        assert_eq!(price(&options, 99), Err(PricingError::NoShippingRate));
        assert_eq!(price(&options, 100), Ok(490));
        assert_eq!(price(&options, 1999), Ok(490));
        assert_eq!(price(&options, 2000), Ok(890));
        assert_eq!(price(&options, 5000), Err(PricingError::NoShippingRate));
        assert_eq!(
            price(&[option("FREIGHT", 0, None, 9000)], i64::MAX),
            Ok(9000)
        );
    }

    #[test]
    fn c4c_goods_of_the_stated_value_ship_free() {
        let mut standard = option("STANDARD", 0, None, 490);
        standard.free_over_minor = Some(5000);
        let charged = |subtotal| {
            choose_shipping(std::slice::from_ref(&standard), None, 1, subtotal)
                .unwrap()
                .price_minor
        };
        assert_eq!([charged(4999), charged(5000), charged(5001)], [490, 0, 0]);
    }

    #[test]
    fn c4c_the_chosen_service_or_else_the_cheapest_one_is_charged() {
        let options = [
            option("EXPRESS", 0, None, 1290),
            option("STANDARD", 0, None, 490),
            option("ECONOMY", 0, None, 490),
        ];
        let service = |wanted| {
            choose_shipping(&options, wanted, 1, 0).map(|chosen| chosen.option.service.as_str())
        };
        assert_eq!(service(None), Ok("ECONOMY"));
        assert_eq!(service(Some("EXPRESS")), Ok("EXPRESS"));
        assert_eq!(service(Some("DRONE")), Err(PricingError::NoShippingRate));
    }
}
