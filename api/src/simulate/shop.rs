//! What can be ordered: read over the API, or the demo merchant's range where it cannot be read.

use serde_json::Value as Json;

use crate::demo;
use crate::pricing::{PriceCandidate, unit_price};

/// The list whose prices everybody pays, and the one for trade customers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Buyer {
    /// Anybody.
    Public,
    /// A business.
    Trade,
}

/// Something that can be ordered.
#[derive(Clone, Debug)]
pub(super) struct Article {
    /// Its SKU.
    pub(super) sku: String,
    /// Its title.
    pub(super) title: String,
    public: Vec<PriceCandidate>,
    trade: Vec<PriceCandidate>,
}

impl Article {
    /// What a unit costs, in cents, if so many are ordered.
    pub(super) fn cents(&self, buyer: Buyer, quantity: i64) -> Option<i64> {
        let tiers = match buyer {
            Buyer::Public => &self.public,
            Buyer::Trade => &self.trade,
        };
        unit_price(tiers, quantity)
            .ok()
            .map(|tier| tier.unit_price_minor)
    }
}

/// Asks for the variants with their prices.
pub(super) const QUERY: &str = "query Range {
  variants(first: 250) {
    edges { node {
      sku title status
      prices { minQuantity unitPrice { amount currency } priceList { groupCode rank } }
    } }
  }
}";

/// Reads the answer to [`QUERY`]; none if the server does not know it or sells nothing in euros.
pub(super) fn read(answer: &Json) -> Option<Vec<Article>> {
    let edges = answer.pointer("/data/variants/edges")?.as_array()?;
    let articles = edges.iter().filter_map(|edge| {
        let node = edge.get("node")?;
        if node["status"] != "ACTIVE" {
            return None;
        }
        let mut article = Article {
            sku: node["sku"].as_str()?.to_owned(),
            title: node["title"].as_str()?.to_owned(),
            public: Vec::new(),
            trade: Vec::new(),
        };
        for price in node["prices"].as_array()? {
            let Some((group, tier)) = read_price(price) else {
                continue;
            };
            match group {
                None => {
                    article.public.push(tier);
                    article.trade.push(tier);
                }
                Some("trade") => article.trade.push(tier),
                Some(_) => {}
            }
        }
        (!article.public.is_empty()).then_some(article)
    });
    popular_first(articles.collect())
}

fn read_price(price: &Json) -> Option<(Option<&str>, PriceCandidate)> {
    if price.pointer("/unitPrice/currency")? != "EUR" {
        return None;
    }
    let amount: rust_decimal::Decimal =
        price.pointer("/unitPrice/amount")?.as_str()?.parse().ok()?;
    let tier = PriceCandidate {
        list_rank: price.pointer("/priceList/rank")?.as_i64()?,
        min_quantity: price["minQuantity"].as_i64()?,
        unit_price_minor: entity::Money::from_decimal(amount, entity::Currency::EUR)
            .ok()?
            .minor,
    };
    Some((
        price.pointer("/priceList/groupCode").and_then(Json::as_str),
        tier,
    ))
}

/// The demo merchant's range.
pub(super) fn of_the_demo() -> Vec<Article> {
    let articles = demo::offers().map(|offer| {
        let tier = |list_rank, (min_quantity, unit_price_minor)| PriceCandidate {
            list_rank,
            min_quantity,
            unit_price_minor,
        };
        let public = offer.retail.map(|from| tier(0, from));
        let trade = offer.trade.map(|from| tier(10, from));
        Article {
            sku: offer.sku,
            title: offer.title,
            public: public.to_vec(),
            trade: public.into_iter().chain(trade).collect(),
        }
    });
    popular_first(articles.collect()).unwrap_or_default()
}

/// What costs little is bought more often.
fn popular_first(mut articles: Vec<Article>) -> Option<Vec<Article>> {
    articles.sort_by_key(|article| (article.cents(Buyer::Public, 1), article.sku.clone()));
    (!articles.is_empty()).then_some(articles)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_sold_is_read_from_the_answer() {
        let price = |group: Json, rank, min, amount: &str, currency: &str| {
            json!({ "minQuantity": min, "unitPrice": { "amount": amount, "currency": currency },
                "priceList": { "groupCode": group, "rank": rank } })
        };
        let node = |sku: &str, status: &str, prices: Vec<Json>| json!({ "node": { "sku": sku, "title": sku, "status": status, "prices": prices } });
        let own = || {
            vec![
                price(Json::Null, 0, 1, "14.90", "EUR"),
                price(Json::Null, 0, 12, "13.41", "EUR"),
                price(json!("trade"), 10, 1, "11.17", "EUR"),
                price(json!("vip"), 20, 1, "1.00", "EUR"),
            ]
        };
        let answer = json!({ "data": { "variants": { "edges": [
            node("MUG", "ACTIVE", own()),
            node("OLD", "DISCONTINUED", own()),
            node("NW-1", "ACTIVE", vec![price(Json::Null, 0, 1, "18.00", "USD")]),
        ] } } });
        let articles = read(&answer).unwrap_or_default();
        assert_eq!(articles.len(), 1);
        assert_eq!(articles[0].cents(Buyer::Public, 11), Some(1_490));
        assert_eq!(articles[0].cents(Buyer::Public, 12), Some(1_341));
        assert_eq!(articles[0].cents(Buyer::Trade, 12), Some(1_117));
        assert!(read(&json!({ "errors": [{}] })).is_none());
    }

    #[test]
    fn the_demos_range_has_prices_for_everybody() {
        let articles = of_the_demo();
        assert!(articles.len() > 50);
        let mug = articles
            .iter()
            .find(|article| article.sku == "MUG-BLUE")
            .map(|mug| {
                (
                    mug.cents(Buyer::Public, 1),
                    mug.cents(Buyer::Public, 12),
                    mug.cents(Buyer::Trade, 1),
                )
            });
        assert_eq!(mug, Some((Some(1_490), Some(1_341), Some(1_117))));
    }
}
