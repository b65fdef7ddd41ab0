//! Relay connections over keysets: a page costs the same wherever it is.
//!
//! A cursor holds the last row's sort key and id, so pages neither skip nor repeat rows while
//! others are written. There is no offset and no page number.

use async_graphql::connection::{Connection, Edge, EmptyFields};
use async_graphql::{OutputType, SimpleObject};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sea_orm::sea_query::{Expr, ExprTrait, IntoColumnRef};
use sea_orm::{Condition, Order, Value};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::errors::bad_input;

/// The most rows that a page has.
pub const LARGEST_PAGE: i32 = 250;

/// How many rows a page has when nobody says.
pub const USUAL_PAGE: i32 = 50;

/// Counts stop here: `10000+` is all that anyone needs to know.
pub const COUNT_CAP: u64 = 10_000;

/// How many rows match.
#[derive(Clone, Copy, Debug, SimpleObject)]
pub struct Count {
    /// The number of rows, exact up to 10,000.
    pub count: u64,
    /// Whether there are more than `count`.
    pub capped: bool,
}

impl Count {
    /// From a count that stopped at one above the cap.
    pub fn of(counted: u64) -> Count {
        Count {
            count: std::cmp::min(counted, COUNT_CAP),
            capped: counted > COUNT_CAP,
        }
    }
}

/// Where a page begins, as the client was told.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Keyset<K> {
    /// The sort key of the last row before it.
    pub key: K,
    /// That row's id.
    pub id: Uuid,
}

impl<K: Serialize + DeserializeOwned> Keyset<K> {
    /// The cursor of a row.
    pub fn encode(&self) -> String {
        URL_SAFE_NO_PAD.encode(serde_json::to_vec(self).unwrap_or_default())
    }

    /// Reads a cursor that the client sent back.
    pub fn decode(cursor: &str) -> async_graphql::Result<Keyset<K>> {
        URL_SAFE_NO_PAD
            .decode(cursor)
            .ok()
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .ok_or_else(|| bad_input("the cursor is not one of this connection's"))
    }
}

/// The rows behind a place in the order `(key, id)`.
pub fn behind(
    key_column: impl IntoColumnRef + Clone,
    id_column: impl IntoColumnRef,
    order: &Order,
    key: impl Into<Value>,
    id: Uuid,
) -> Condition {
    let pair = Expr::tuple([Expr::col(key_column), Expr::col(id_column)]);
    let place = Expr::tuple([Expr::val(key), Expr::val(id)]);
    Condition::all().add(match order {
        Order::Desc => pair.lt(place),
        _ => pair.gt(place),
    })
}

/// How many rows to read for a page of `first`: one more than it has, to know whether more follow.
pub fn page_size(first: Option<i32>) -> async_graphql::Result<usize> {
    let first = first.unwrap_or(USUAL_PAGE);
    if !(0..=LARGEST_PAGE).contains(&first) {
        return Err(bad_input(&format!(
            "first must be between 0 and {LARGEST_PAGE}"
        )));
    }
    usize::try_from(first).map_err(|_| bad_input("first must not be negative"))
}

/// Builds a connection from rows that were read with one more than the page has.
pub fn connection<R, N, F>(
    mut rows: Vec<R>,
    size: usize,
    after: bool,
    fields: F,
    edge: impl Fn(R) -> (String, N),
) -> Connection<String, N, F, EmptyFields>
where
    N: OutputType,
    F: async_graphql::ObjectType,
{
    let more = rows.len() > size;
    rows.truncate(size);
    let mut connection = Connection::with_additional_fields(after, more, fields);
    connection.edges.extend(rows.into_iter().map(|row| {
        let (cursor, node) = edge(row);
        Edge::new(cursor, node)
    }));
    connection
}
