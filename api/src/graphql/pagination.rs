//! Relay connections over keysets: a page costs the same wherever it is.
//!
//! A cursor holds the last row's sort key and id, so pages neither skip nor repeat rows while
//! others are written. There is no offset and no page number.

use async_graphql::connection::{Connection, Edge, EmptyFields};
use async_graphql::{Context, Object, OutputType, SimpleObject};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sea_orm::sea_query::{Asterisk, Expr, ExprTrait, Func, IntoColumnRef, Query, SelectStatement};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, EntityTrait, Order, QueryFilter, QueryOrder,
    QuerySelect, QueryTrait, Select, Value,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::errors::{bad_input, fault};
use super::orders::queries::SortDirection;
use crate::app::App;

/// The most rows that a page has.
pub const LARGEST_PAGE: i32 = 250;

/// How many rows a page has when nobody says.
pub const USUAL_PAGE: i32 = 50;

/// Counts stop here: `10000+` is all that anyone needs to know.
pub const COUNT_CAP: u64 = 10_000;

impl From<SortDirection> for Order {
    fn from(direction: SortDirection) -> Self {
        match direction {
            SortDirection::Asc => Order::Asc,
            SortDirection::Desc => Order::Desc,
        }
    }
}

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

/// The number of rows behind a connection, counted only when somebody asks.
pub struct Total {
    rows: SelectStatement,
}

impl Total {
    /// Counts what a query finds, all pages together.
    pub fn of<E: EntityTrait>(rows: Select<E>) -> Total {
        let mut rows = rows.into_query();
        rows.clear_selects().expr(Expr::val(1)).limit(COUNT_CAP + 1);
        Total { rows }
    }
}

/// What every connection tells besides its page.
#[Object]
impl Total {
    /// How many rows match on all pages together. Costs a query of its own, and only when asked
    /// for.
    async fn total_count(&self, ctx: &Context<'_>) -> async_graphql::Result<Count> {
        let counting = Query::select()
            .expr_as(Func::count(Expr::col(Asterisk)), "matching")
            .from_subquery(self.rows.clone(), "matches")
            .to_owned();
        let row = super::app(ctx)
            .db
            .read
            .query_one(&counting)
            .await
            .map_err(fault)?;
        let counted: i64 = row
            .map_or(Ok(0), |row| row.try_get("", "matching"))
            .map_err(fault)?;
        Ok(Count::of(u64::try_from(counted).unwrap_or_default()))
    }
}

/// The connections of this schema.
pub type Rows<N> = Connection<String, N, Total, EmptyFields>;

/// The order of a connection: a column, then an identifier as tie-break.
pub struct Sort<E: EntityTrait, K> {
    /// The column that is sorted by; never null.
    pub column: E::Column,
    /// The column that tells rows with the same key apart.
    pub id: E::Column,
    /// Up or down.
    pub order: Order,
    /// Reads both from a row.
    pub key: fn(&E::Model) -> (K, Uuid),
}

/// Reads a page of a query, and one row more to know whether others follow.
pub async fn page<E, K, N>(
    app: &App,
    rows: Select<E>,
    sort: Sort<E, K>,
    first: Option<i32>,
    after: Option<String>,
    node: impl Fn(E::Model) -> N,
) -> async_graphql::Result<Rows<N>>
where
    E: EntityTrait,
    K: Serialize + DeserializeOwned + Into<Value>,
    N: OutputType,
{
    let size = page_size(first)?;
    let total = Total::of(rows.clone());
    let follows = after.is_some();
    let mut rows = rows;
    if let Some(cursor) = after {
        let place = Keyset::<K>::decode(&cursor)?;
        rows = rows.filter(behind(
            sort.column.as_column_ref(),
            sort.id.as_column_ref(),
            &sort.order,
            place.key,
            place.id,
        ));
    }
    let found = rows
        .order_by(sort.column, sort.order.clone())
        .order_by(sort.id, sort.order)
        .limit(size as u64 + 1)
        .all(&app.db.read)
        .await
        .map_err(fault)?;
    Ok(connection(found, size, follows, total, |row| {
        let (key, id) = (sort.key)(&row);
        (Keyset { key, id }.encode(), node(row))
    }))
}

/// What a page costs in the measure that the schema limits: its rows, each with what is asked of
/// it.
pub fn cost(first: Option<i32>, of_a_row: usize) -> usize {
    let rows = first
        .unwrap_or(USUAL_PAGE)
        .clamp(1, LARGEST_PAGE)
        .unsigned_abs() as usize;
    1 + rows * of_a_row
}
