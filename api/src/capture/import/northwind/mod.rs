//! The Northwind sample company as orders: 830 real, messy ones, in a channel of their own.
//!
//! | Northwind | here |
//! |---|---|
//! | the company | channel `northwind`: USD, prices without tax, tolerance 0, failed checks go to review, no authorisation needed, soft holds of 90 days (the most there is); price list `northwind` |
//! | `categories` | a bin each in warehouse `NW` |
//! | `products` | product and variant `NW-<ProductID>`, may be backordered, weighs nothing, tax category `STANDARD`; `Discontinued` is discontinued; `UnitPrice` is today's price |
//! | `UnitsInStock` | a receipt into the category's bin |
//! | `UnitsOnOrder` | a delivery expected two weeks after the import: Northwind says that it comes, not when |
//! | `customers` | a customer each under its `CustomerID` without blanks; one without city or country is refused; a telephone number that its country cannot have is left out |
//! | `orders` | an order under its `OrderID`, placed at `OrderDate`, paid outside; `Freight` is the shipping charge; dates and shipper stand in its metadata |
//! | `order_details` | its lines at the price of the time; `Discount` is taken off the whole line, rounded half up to the cent |
//!
//! Nothing is made to fit: a price of the time that is not today's is flagged and stays, a line of
//! a discontinued product is flagged and gets no stock, an address that cannot be right waits for
//! a person. No tax rates come with it, so no tax is charged in a database of its own; in one that
//! has rates, those apply.

use std::collections::HashMap;
use std::fs::File;
use std::path::Path;

use ::csv::{ReaderBuilder, StringRecord};
use entity::order::PaymentMethod;
use rust_decimal::{Decimal, RoundingStrategy};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::csv::read_time;
use super::{Entry, Fault, FileError};
use crate::capture::Submission;
use crate::capture::submission::{
    SubmittedAddress, SubmittedCustomer, SubmittedLine, SubmittedPayment,
};
use crate::failure::{Code, Problem};

pub mod setup;

/// The code of the channel and of its price list.
pub const CHANNEL: &str = "northwind";

/// The company's files: a few thousand rows, held in memory.
pub struct Northwind {
    /// `categories.csv`.
    pub categories: Vec<Category>,
    /// `products.csv`.
    pub products: Vec<Product>,
    /// `customers.csv`, with row numbers.
    pub customers: Vec<(u64, Customer)>,
    orders: Vec<(u64, Order)>,
    details: HashMap<String, Vec<Detail>>,
}

/// A kind of product.
#[derive(Clone, Debug, Deserialize)]
pub struct Category {
    /// Its number.
    #[serde(rename = "CategoryID")]
    pub id: u32,
    /// Its name.
    #[serde(rename = "CategoryName")]
    pub name: String,
}

/// Something that is, or was, sold.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Product {
    /// Its number.
    #[serde(rename = "ProductID")]
    pub id: u32,
    /// What it is called.
    pub product_name: String,
    /// Its category.
    #[serde(rename = "CategoryID")]
    pub category_id: u32,
    /// What a unit of it is: `10 boxes x 20 bags`.
    pub quantity_per_unit: String,
    /// Today's price.
    pub unit_price: Decimal,
    /// What is on the shelf.
    pub units_in_stock: i64,
    /// What is on its way.
    pub units_on_order: i64,
    /// 1 = no longer sold.
    pub discontinued: u8,
}

/// Somebody who buys.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Customer {
    /// Five letters, with blanks in places.
    #[serde(rename = "CustomerID")]
    pub id: String,
    /// The name.
    pub company_name: String,
    /// The place; blank in two broken rows.
    pub city: String,
    /// The country by its English name; blank in two broken rows.
    pub country: String,
    /// A telephone number, some of them invented.
    pub phone: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Order {
    #[serde(rename = "OrderID")]
    id: String,
    #[serde(rename = "CustomerID")]
    customer_id: String,
    order_date: String,
    required_date: String,
    shipped_date: String,
    ship_via: String,
    freight: String,
    ship_name: String,
    ship_address: String,
    ship_city: String,
    ship_region: String,
    ship_postal_code: String,
    ship_country: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Detail {
    #[serde(rename = "OrderID")]
    order_id: String,
    #[serde(rename = "ProductID")]
    product_id: u32,
    unit_price: Decimal,
    quantity: i64,
    discount: Decimal,
}

impl Northwind {
    /// Reads the files of a directory.
    pub fn read(directory: &Path) -> Result<Northwind, FileError> {
        let mut details: HashMap<String, Vec<Detail>> = HashMap::new();
        for (_, detail) in rows::<Detail>(directory, "order_details.csv")? {
            details
                .entry(detail.order_id.clone())
                .or_default()
                .push(detail);
        }
        let mut orders = rows::<Order>(directory, "orders.csv")?;
        // Stock goes to the oldest order first. Dates are written so that text sorts by time.
        orders.sort_by(|(_, a), (_, b)| (&a.order_date, &a.id).cmp(&(&b.order_date, &b.id)));
        Ok(Northwind {
            categories: without_rows(rows(directory, "categories.csv")?),
            products: without_rows(rows(directory, "products.csv")?),
            customers: rows(directory, "customers.csv")?,
            orders,
            details,
        })
    }

    /// How many orders there are.
    pub fn len(&self) -> usize {
        self.orders.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.orders.is_empty()
    }

    /// The orders, oldest first.
    pub fn orders(&self) -> impl Iterator<Item = Result<Entry, FileError>> {
        let titles: HashMap<u32, &str> = self
            .products
            .iter()
            .map(|product| (product.id, product.product_name.as_str()))
            .collect();
        self.orders.iter().map(move |(row, order)| {
            let details = self.details.get(&order.id).map_or(&[][..], Vec::as_slice);
            let submission = submission(order, details, &titles)
                .map(Box::new)
                .map_err(|problem| vec![Fault { row: *row, problem }]);
            Ok(Entry {
                row: *row,
                reference: Some(order.id.clone()),
                submission,
                line_rows: Vec::new(),
            })
        })
    }
}

fn without_rows<T>(rows: Vec<(u64, T)>) -> Vec<T> {
    rows.into_iter().map(|(_, row)| row).collect()
}

fn rows<T: DeserializeOwned>(directory: &Path, name: &str) -> Result<Vec<(u64, T)>, FileError> {
    let path = directory.join(name);
    let wrong = |error: String| FileError(format!("{}: {error}", path.display()));
    let file = File::open(&path).map_err(|error| wrong(error.to_string()))?;
    let mut reader = ReaderBuilder::new().from_reader(file);
    let names = reader
        .headers()
        .map_err(|error| wrong(error.to_string()))?
        .clone();
    let mut rows = Vec::new();
    let mut record = StringRecord::new();
    while reader
        .read_record(&mut record)
        .map_err(|error| wrong(error.to_string()))?
    {
        let number = record.position().map_or(0, |position| position.line());
        let row = record
            .deserialize(Some(&names))
            .map_err(|error| wrong(format!("row {number}: {error}")))?;
        rows.push((number, row));
    }
    Ok(rows)
}

/// The SKU of a product.
pub fn sku(product: u32) -> String {
    format!("NW-{product}")
}

/// The line's share of the agreed discount, to the cent; half a cent goes up.
fn discount(detail: &Detail) -> Option<Decimal> {
    let whole = detail.unit_price * Decimal::from(detail.quantity);
    let off =
        (whole * detail.discount).round_dp_with_strategy(2, RoundingStrategy::MidpointAwayFromZero);
    (!off.is_zero()).then_some(off)
}

fn submission(
    order: &Order,
    details: &[Detail],
    titles: &HashMap<u32, &str>,
) -> Result<Submission, Problem> {
    let time = |text: &str, field: &str| {
        read_time(text.trim()).ok_or_else(|| {
            Problem::new(Code::InvalidInput, format!("{text:?} is no time"))
                .at(&format!("input.{field}"))
        })
    };
    let placed_at = time(&order.order_date, "placedAt")?;
    let freight = Decimal::from_str_exact(order.freight.trim()).map_err(|_| {
        Problem::new(
            Code::AmountInvalid,
            format!("{:?} is no amount", order.freight),
        )
        .at("input.shippingCharge")
    })?;
    let lines = details
        .iter()
        .map(|detail| SubmittedLine {
            sku: sku(detail.product_id),
            quantity: detail.quantity,
            unit_price: Some(detail.unit_price),
            discount: discount(detail),
            title: titles
                .get(&detail.product_id)
                .map(|title| (*title).to_owned()),
        })
        .collect();
    let metadata = json!({
        "requiredDate": given(&order.required_date),
        "shippedDate": given(&order.shipped_date),
        "shipper": given(&order.ship_via),
    });
    Ok(Submission {
        channel: CHANNEL.to_owned(),
        external_reference: given(&order.id),
        placed_at: Some(placed_at),
        currency: None,
        customer: SubmittedCustomer {
            code: given(&order.customer_id),
            ..SubmittedCustomer::default()
        },
        shipping_address: SubmittedAddress {
            name: given(&order.ship_name),
            organisation: None,
            line1: order.ship_address.clone(),
            line2: None,
            city: order.ship_city.clone(),
            region: given(&order.ship_region),
            postal_code: given(&order.ship_postal_code),
            country: order.ship_country.clone(),
        },
        billing_address: None,
        lines,
        promotion_codes: Vec::new(),
        service_level: None,
        shipping_charge: Some(freight),
        total: None,
        payment: SubmittedPayment {
            method: PaymentMethod::External,
            token: None,
        },
        metadata: Some(metadata),
    })
}

fn given(text: &str) -> Option<String> {
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_agreed_discount_is_rounded_half_up_to_the_cent() {
        let off = |price: &str, quantity: i64, rate: &str| {
            let detail = Detail {
                order_id: String::new(),
                product_id: 1,
                unit_price: price.parse().unwrap(),
                quantity,
                discount: rate.parse().unwrap(),
            };
            discount(&detail).map(|off| off.to_string())
        };
        // 28.875, 28.6875 and nothing.
        assert_eq!(off("7.7", 25, "0.15").as_deref(), Some("28.88"));
        assert_eq!(off("7.65", 15, "0.25").as_deref(), Some("28.69"));
        assert_eq!(off("7.7", 25, "0.0"), None);
    }
}
