//! The edit that puts an exception right.

use entity::order_exception;

use super::address::PostalAddress;
use super::edit::{Basis, Edit, LineEdit};
use super::submission::SubmittedAddress;
use crate::failure::{Code, Problem};

/// How an order is corrected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Correction {
    /// By the address that the verification suggests.
    Address,
    /// By our price, or our shipping rate.
    Price,
}

/// The edit that corrects what an open exception of the order is about. Refused with
/// ORDER_STATE_INVALID if there is nothing to correct it by.
pub fn edit(
    basis: &Basis,
    exception: &order_exception::Model,
    correction: Correction,
) -> Result<Edit, Problem> {
    let nothing = |message: &str| Problem::new(Code::OrderStateInvalid, message).at("input.id");
    let is = |code: Code| exception.code == code.as_str();
    Ok(match correction {
        Correction::Address => {
            let address = basis.address_of(exception);
            let suggested = address
                .suggestion
                .clone()
                .and_then(|suggestion| serde_json::from_value::<PostalAddress>(suggestion).ok())
                .ok_or_else(|| nothing("no other address is suggested"))?;
            let suggested = Some(as_submitted(suggested));
            if is_about_billing(exception) {
                Edit {
                    billing_address: suggested,
                    ..Edit::default()
                }
            } else {
                Edit {
                    shipping_address: suggested,
                    ..Edit::default()
                }
            }
        }
        Correction::Price if is(Code::ShippingMismatch) => Edit {
            shipping_afresh: true,
            ..Edit::default()
        },
        Correction::Price if is(Code::PriceMismatch) => {
            let ours = exception.line_id.and_then(|id| {
                let line = basis.lines.iter().find(|line| line.id == id)?;
                Some((id, line.list_price_minor?))
            });
            let (line_id, price) = ours.ok_or_else(|| nothing("we have no price for the line"))?;
            Edit {
                lines: vec![LineEdit {
                    line_id,
                    quantity: None,
                    unit_price: Some(entity::Money::new(price, basis.order.currency).to_decimal()),
                    discount: None,
                }],
                ..Edit::default()
            }
        }
        Correction::Price => return Err(nothing("the exception is not about a price")),
    })
}

/// Whether an exception is about where the bill goes, and not the order.
pub fn is_about_billing(exception: &order_exception::Model) -> bool {
    exception.details["address"] == "billingAddress"
}

/// Whether the edit of the correction itself tells if an exception is settled: its checks look for
/// the same fault. Others are settled by the correction.
pub fn is_checked(exception: &order_exception::Model) -> bool {
    [
        Code::AddressInvalid,
        Code::PriceMismatch,
        Code::ShippingMismatch,
    ]
    .iter()
    .any(|code| exception.code == code.as_str())
}

fn as_submitted(address: PostalAddress) -> SubmittedAddress {
    SubmittedAddress {
        name: Some(address.name),
        organisation: address.organisation,
        line1: address.line1,
        line2: address.line2,
        city: address.city,
        region: address.region,
        postal_code: address.postal_code,
        country: address.country.code().to_owned(),
    }
}
