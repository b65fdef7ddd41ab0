//! Thinks up orders: who, what, how paid, and the mistakes that people and storefronts make.

use serde_json::{Value as Json, json};

use super::chance::Chance;
use super::people::{COMPANIES, COUNTRIES, CUSTOMERS, Country};
use super::shop::{Article, Buyer};

/// How often something happens, in a thousand orders.
mod often {
    pub(super) const UNKNOWN_SKU: u64 = 10;
    pub(super) const WRONG_PRICE: u64 = 10;
    pub(super) const WRONG_TOTAL: u64 = 5;
    pub(super) const BAD_EMAIL: u64 = 8;
    pub(super) const BAD_POSTAL_CODE: u64 = 8;
    pub(super) const NOTHING_OF_IT: u64 = 3;
    pub(super) const DECLINED: u64 = 20;
    pub(super) const NO_ANSWER: u64 = 10;
    pub(super) const PROMOTION: u64 = 180;
    pub(super) const EXPRESS: u64 = 150;
    pub(super) const SENT_TWICE: u64 = 20;
    pub(super) const SAME_REFERENCE: u64 = 10;
    pub(super) const CANCELLED: u64 = 30;
}

/// An order to send, and what its sender does afterwards.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    /// The input of `orderSubmit`.
    pub(super) input: Json,
    /// The same or nearly the same request once more.
    pub(super) again: Option<Again>,
    /// How long after its acceptance it is cancelled, in milliseconds.
    pub(super) cancelled_after: Option<u64>,
}

/// How a request comes once more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Again {
    /// With its idempotency key, as a client does that lost the answer.
    SameKey,
    /// Without a key, as a storefront does that sends its day's orders again.
    SameReference,
    /// Under the reference of another order: a storefront's bug.
    OtherContents,
}

/// Thinks up orders.
pub(super) struct Shopper {
    chance: Chance,
    articles: Vec<Article>,
    run: String,
    number: u64,
}

impl Shopper {
    /// Orders of a seed. The same seed gives the same orders under the same references.
    pub(super) fn new(seed: u64, articles: Vec<Article>) -> Shopper {
        Shopper {
            chance: Chance::new(seed),
            articles,
            run: format!("{seed:x}"),
            number: 0,
        }
    }

    /// The next order.
    pub(super) fn next(&mut self) -> Plan {
        self.number += 1;
        let reference = format!("SIM-{}-{}", self.run, self.number);
        let chance = &mut self.chance;
        let channel = ["web", "marketplace", "b2b"][chance.weighted([55, 30, 15].into_iter())];
        let buyer = if channel == "b2b" {
            Buyer::Trade
        } else {
            Buyer::Public
        };
        let (customer, address) = who(chance, channel);
        let (lines, cents) = lines(chance, &self.articles, buyer);
        let mut input = json!({
            "channel": channel,
            "externalReference": reference,
            "customer": customer,
            "shippingAddress": address,
            "lines": lines,
            "payment": payment(chance, channel),
            "idempotencyKey": format!("key-{reference}"),
        });
        if chance.in_thousand(often::PROMOTION) && buyer == Buyer::Public {
            input["promotionCodes"] = json!([promotion(chance, cents)]);
        }
        if chance.in_thousand(often::EXPRESS) {
            input["serviceLevel"] = json!("EXPRESS");
        }
        spoil(chance, &mut input, cents);
        let again = if chance.in_thousand(often::SENT_TWICE) {
            Some(Again::SameKey)
        } else if chance.in_thousand(often::SAME_REFERENCE) {
            Some(*chance.pick(&[Again::SameReference, Again::OtherContents]))
        } else {
            None
        };
        let cancelled_after = chance
            .in_thousand(often::CANCELLED)
            .then(|| 500 + chance.below(10_000));
        Plan {
            input,
            again,
            cancelled_after,
        }
    }
}

impl Plan {
    /// The request once more.
    pub(super) fn repetition(&self, again: Again) -> Json {
        let mut input = self.input.clone();
        match again {
            Again::SameKey => {}
            Again::SameReference => input["idempotencyKey"] = Json::Null,
            Again::OtherContents => {
                input["idempotencyKey"] = Json::Null;
                input["shippingAddress"]["line2"] = json!("c/o the neighbours");
            }
        }
        input
    }
}

fn who(chance: &mut Chance, channel: &str) -> (Json, Json) {
    if channel == "b2b" {
        let (code, company, country) = chance.pick(COMPANIES);
        let address = address(chance, country_of(country), Some(company));
        return (json!({ "code": code }), address);
    }
    if channel == "web" && chance.in_thousand(350) {
        let (code, country) = chance.pick(CUSTOMERS);
        return (
            json!({ "code": code }),
            address(chance, country_of(country), None),
        );
    }
    // Neighbours buy more than people far away.
    let weights = [30, 30, 6, 5, 6, 7, 6, 6, 5, 4];
    let country = &COUNTRIES[chance.weighted(weights.into_iter())];
    let name = format!(
        "{} {}",
        chance.pick(&country.first),
        chance.pick(&country.family)
    );
    let letters: String = name
        .to_lowercase()
        .chars()
        .filter(char::is_ascii_lowercase)
        .collect();
    let mut customer = json!({
        "name": name,
        "email": format!("{letters}{}@mail.example", chance.below(10_000)),
    });
    if chance.in_thousand(400) {
        customer["phone"] = json!(format!("{}{:06}", country.phone, chance.below(1_000_000)));
    }
    (customer, address(chance, country, None))
}

fn country_of(code: &str) -> &'static Country {
    COUNTRIES
        .iter()
        .find(|country| country.code == code)
        .unwrap_or(&COUNTRIES[0])
}

fn address(chance: &mut Chance, country: &Country, company: Option<&str>) -> Json {
    let (city, region, postal_code) = chance.pick(&country.places);
    let (street, number) = (chance.pick(&country.streets), 1 + chance.below(140));
    let line1 = match country.number_first {
        true => format!("{number} {street}"),
        false => format!("{street} {number}"),
    };
    json!({
        "organisation": company,
        "line1": line1,
        "city": city,
        "region": region,
        "postalCode": postal_code,
        "country": country.code,
    })
}

/// The lines, and about what they come to.
fn lines(chance: &mut Chance, articles: &[Article], buyer: Buyer) -> (Json, i64) {
    let count = 1 + chance.weighted([50, 25, 13, 8, 4].into_iter());
    let mut lines: Vec<Json> = Vec::new();
    let mut cents = 0;
    for _ in 0..count {
        // A few articles make most of the sales: the second half as many as the first, and so on.
        let weights = (0..articles.len() as u64).map(|place| 1_000 / (place + 3));
        let article = &articles[chance.weighted(weights)];
        if lines.iter().any(|line| line["sku"] == article.sku.as_str()) {
            continue;
        }
        let quantity: i64 = match buyer {
            Buyer::Public => *chance.pick(&[1, 1, 1, 1, 2, 2, 3, 4]),
            Buyer::Trade => *chance.pick(&[4, 6, 6, 10, 12, 24, 24, 36]),
        };
        let price = article.cents(buyer, quantity).unwrap_or(0);
        cents += price * quantity;
        lines.push(json!({
            "sku": article.sku,
            "quantity": quantity,
            "unitPrice": euros(price),
            "title": article.title,
        }));
    }
    (Json::Array(lines), cents)
}

fn euros(cents: i64) -> String {
    format!("{}.{:02}", cents / 100, cents % 100)
}

fn promotion(chance: &mut Chance, cents: i64) -> &'static str {
    match chance.below(10) {
        0..=4 => "WELCOME10",
        5..=6 if cents >= 4_000 => "MINUS5",
        5..=7 => "freepost",
        8 => "FIRST100",
        // Often typed without three mugs in the basket.
        _ => "MUGS3FOR2",
    }
}

fn payment(chance: &mut Chance, channel: &str) -> Json {
    match channel {
        "marketplace" => json!({ "method": "EXTERNAL" }),
        "b2b" if chance.in_thousand(300) => json!({ "method": "ACCOUNT" }),
        "b2b" => json!({ "method": "EXTERNAL" }),
        _ => {
            let token = if chance.in_thousand(often::DECLINED) {
                *chance.pick(&["tok_decline", "tok_insufficient_funds"])
            } else if chance.in_thousand(often::NO_ANSWER) {
                *chance.pick(&["tok_timeout_before", "tok_timeout_after", "tok_late"])
            } else {
                "tok_approve"
            };
            json!({ "method": "CARD", "token": token })
        }
    }
}

/// Makes the mistakes.
fn spoil(chance: &mut Chance, input: &mut Json, cents: i64) {
    if chance.in_thousand(often::UNKNOWN_SKU) {
        input["lines"][0]["sku"] = json!(format!("GHOST-{}", chance.below(100)));
    }
    if chance.in_thousand(often::WRONG_PRICE) {
        input["lines"][0]["unitPrice"] = json!(euros(1 + cents / 3));
    }
    if chance.in_thousand(often::WRONG_TOTAL) {
        input["total"] = json!(euros(cents / 2));
    }
    if chance.in_thousand(often::BAD_EMAIL) {
        input["customer"]["email"] = json!("anna.leitner@@mail");
    }
    if chance.in_thousand(often::BAD_POSTAL_CODE) {
        input["shippingAddress"]["postalCode"] = json!("12-X");
    }
    if chance.in_thousand(often::NOTHING_OF_IT) {
        input["lines"][0]["quantity"] = json!(0);
    }
}

#[cfg(test)]
mod tests {
    use super::super::shop::of_the_demo;
    use super::*;

    #[test]
    fn a_seed_gives_the_same_orders_again() {
        let orders = |seed| {
            let mut shopper = Shopper::new(seed, of_the_demo());
            (0..200)
                .map(|_| shopper.next().input.to_string())
                .collect::<Vec<_>>()
        };
        assert_eq!(orders(3), orders(3));
        assert_ne!(orders(3), orders(4));
    }

    #[test]
    fn orders_are_mixed_and_mistakes_are_rare() {
        let mut shopper = Shopper::new(11, of_the_demo());
        let plans: Vec<Plan> = (0..5_000).map(|_| shopper.next()).collect();
        let count = |test: &dyn Fn(&Plan) -> bool| plans.iter().filter(|plan| test(plan)).count();
        for channel in ["web", "marketplace", "b2b"] {
            assert!(
                count(&|plan| plan.input["channel"] == channel) > 500,
                "{channel}"
            );
        }
        for country in COUNTRIES {
            let there = |plan: &Plan| plan.input["shippingAddress"]["country"] == country.code;
            assert!(count(&there) > 50, "{}", country.code);
        }
        let twice = count(&|plan| plan.again == Some(Again::SameKey));
        assert!((60..140).contains(&twice), "{twice}");
        let ghosts = count(&|plan| plan.input["lines"][0]["sku"].to_string().contains("GHOST"));
        assert!((20..90).contains(&ghosts), "{ghosts}");
        assert!(plans.iter().all(|plan| {
            plan.input["lines"]
                .as_array()
                .is_some_and(|lines| (1..=5).contains(&lines.len()))
        }));
    }
}
