//! Tags on orders: words by which people find them again.
//!
//! A tag is the same in any case and is kept as it was first written on its order. Putting one on
//! that is there, or taking one off that is not, changes nothing and is no mistake, so that a
//! repetition is harmless.

use std::collections::BTreeMap;

use entity::{OrderId, order_tag};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryTrait, Set};
use unicode_normalization::UnicodeNormalization;

use super::lifecycle::Action;
use super::{Changed, lock_one};
use crate::events::Event;
use crate::failure::{Code, Failure, Problem};
use crate::tx::Tx;

/// How many characters a tag may have.
pub const LONGEST_TAG: usize = 50;

/// How many tags an order may have, and a command may name.
pub const MOST_TAGS: usize = 50;

/// What [`add_tags`] and [`remove_tags`] need.
#[derive(Clone, Debug)]
pub struct Tags {
    /// Which order.
    pub order_id: OrderId,
    /// The version that the caller decided on.
    pub expected_version: Option<i64>,
    /// Which tags.
    pub tags: Vec<String>,
}

/// A tag without regard to case and to how its letters are composed: by this it is compared.
pub fn key(tag: &str) -> String {
    tag.trim().nfc().flat_map(char::to_lowercase).collect()
}

/// The tags that a command names, by their keys.
fn named(tags: &[String]) -> Result<BTreeMap<String, String>, Problem> {
    let refuse = |code, message: String, field: &str| Err(Problem::new(code, message).at(field));
    if !(1..=MOST_TAGS).contains(&tags.len()) {
        let message = format!("1 to {MOST_TAGS} tags are needed");
        return refuse(Code::TooMany, message, "input.tags");
    }
    let mut named = BTreeMap::new();
    for (place, tag) in tags.iter().enumerate() {
        let tag: String = tag.trim().nfc().collect();
        let fits = (1..=LONGEST_TAG).contains(&tag.chars().count());
        if !fits || tag.chars().any(char::is_control) {
            let message =
                format!("a tag has 1 to {LONGEST_TAG} characters and no control characters");
            return refuse(Code::InvalidInput, message, &format!("input.tags.{place}"));
        }
        named.entry(key(&tag)).or_insert(tag);
    }
    Ok(named)
}

/// Tags as they would be kept, each once; refused where one is none.
pub fn checked(tags: &[String]) -> Result<Vec<String>, Problem> {
    named(tags).map(|named| named.into_values().collect())
}

/// The tags on a locked order, by their keys.
async fn there(tx: &Tx, order: OrderId) -> Result<BTreeMap<String, String>, Failure> {
    let rows = order_tag::Entity::find()
        .filter(order_tag::Column::OrderId.eq(order))
        .all(tx.db())
        .await?;
    Ok(rows.into_iter().map(|row| (row.key, row.tag)).collect())
}

/// Puts tags on an order, whatever its state.
pub async fn add_tags(tx: &Tx, cmd: &Tags) -> Result<Changed, Failure> {
    let mut new = named(&cmd.tags)?;
    let mut aggregate = lock_one(tx, cmd.order_id).await?;
    aggregate.expect_version(cmd.expected_version)?;
    let there = there(tx, cmd.order_id).await?;
    new.retain(|key, _| !there.contains_key(key));
    if new.is_empty() {
        return Ok(Changed::only(cmd.order_id));
    }
    if there.len() + new.len() > MOST_TAGS {
        let message = format!("an order has at most {MOST_TAGS} tags");
        return Err(Problem::new(Code::TooMany, message).at("input.tags").into());
    }
    aggregate.transition(tx, Action::Tag, Code::OrderStateInvalid)?;
    let rows = new.iter().map(|(key, tag)| order_tag::ActiveModel {
        order_id: Set(cmd.order_id),
        key: Set(key.clone()),
        tag: Set(tag.clone()),
    });
    tx.defer_rows(rows.collect(), |insert| insert);
    let tags = new.into_values().collect();
    aggregate.record(tx, Event::OrderTagged { tags });
    aggregate.save(tx);
    Ok(Changed::only(cmd.order_id))
}

/// Takes tags off an order, whatever its state.
pub async fn remove_tags(tx: &Tx, cmd: &Tags) -> Result<Changed, Failure> {
    let named = named(&cmd.tags)?;
    let mut aggregate = lock_one(tx, cmd.order_id).await?;
    aggregate.expect_version(cmd.expected_version)?;
    let mut gone = there(tx, cmd.order_id).await?;
    gone.retain(|key, _| named.contains_key(key));
    if gone.is_empty() {
        return Ok(Changed::only(cmd.order_id));
    }
    aggregate.transition(tx, Action::Tag, Code::OrderStateInvalid)?;
    tx.defer(
        order_tag::Entity::delete_many()
            .filter(order_tag::Column::OrderId.eq(cmd.order_id))
            .filter(order_tag::Column::Key.is_in(gone.keys().cloned()))
            .into_query(),
    );
    let tags = gone.into_values().collect();
    aggregate.record(tx, Event::OrderUntagged { tags });
    aggregate.save(tx);
    Ok(Changed::only(cmd.order_id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_the_same_in_any_case_and_composition() {
        assert_eq!(key(" VIP "), "vip");
        assert_eq!(key("CAFE\u{301}"), key("café"));
        let tags = ["Vip", "vip", " ÄRGER"].map(str::to_owned);
        let named = named(&tags).expect("tags");
        let kept: Vec<_> = named.into_values().collect();
        assert_eq!(kept, ["Vip", "ÄRGER"]);
    }

    #[test]
    fn what_is_no_tag_is_refused_with_its_place() {
        let refused = |tags: &[&str]| {
            let tags: Vec<_> = tags.iter().map(|tag| (*tag).to_owned()).collect();
            let problem = named(&tags).expect_err("a refusal");
            (problem.code, problem.field.unwrap_or_default().join("."))
        };
        let long = "x".repeat(LONGEST_TAG + 1);
        for tag in [" ", "a\nb", "\0", &long] {
            let expected = (Code::InvalidInput, "input.tags.1".to_owned());
            assert_eq!(refused(&["fine", tag]), expected, "{tag:?}");
        }
        assert_eq!(refused(&[]).0, Code::TooMany);
        assert_eq!(refused(&vec!["x"; MOST_TAGS + 1]).0, Code::TooMany);
    }
}
