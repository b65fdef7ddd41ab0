//! What a change did to a row, column by column: for who asks later what was there before.

use std::collections::BTreeMap;

use sea_orm::sea_query::sea_value_to_json_value;
use sea_orm::{EntityTrait, IdenStatic, Iterable, ModelTrait};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

/// What is said of every change elsewhere in its event.
const OF_NO_INTEREST: [&str; 4] = ["id", "version", "created_at", "updated_at"];

/// The columns that are not what they were, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Changes(pub BTreeMap<String, Change>);

/// What a column was, and what it is. Both are null where the values are nobody's business.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Before; null if the row is new.
    pub before: Json,
    /// Since.
    pub after: Json,
}

impl Changes {
    /// What became of a row; all of it, if there was none. A secret is said to have changed, and
    /// nothing else.
    pub fn between<M: ModelTrait>(before: Option<&M>, after: &M) -> Changes {
        let mut before = before.map(told).unwrap_or_default();
        let changes = told(after).into_iter().map(|(name, after)| {
            let before = before.remove(&name).unwrap_or_default();
            (name, Change { before, after })
        });
        let mut changes: BTreeMap<_, _> = changes
            .filter(|(_, change)| change.before != change.after)
            .collect();
        for (name, change) in &mut changes {
            if name.contains("secret") {
                *change = Change::default();
            }
        }
        Changes(changes)
    }

    /// What became of the rows that belong to something, under one name.
    pub fn of_rows<M: ModelTrait>(name: impl Into<String>, before: &[M], after: &[M]) -> Changes {
        let all = |rows: &[M]| rows.iter().map(|row| json!(told(row))).collect();
        let change = Change {
            before: all(before),
            after: all(after),
        };
        let changed = change.before != change.after;
        Changes(changed.then(|| (name.into(), change)).into_iter().collect())
    }

    /// Those of a part of something.
    pub fn within(self, part: &str) -> Changes {
        let named = self.0.into_iter();
        Changes(
            named
                .map(|(name, change)| (format!("{part}.{name}"), change))
                .collect(),
        )
    }

    /// The names alone, for rows about people: the log is kept when they are forgotten.
    pub fn unsaid(mut self) -> Changes {
        self.0
            .values_mut()
            .for_each(|change| *change = Change::default());
        self
    }

    /// Whether nothing is said.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A row as it is told of: without what names it and what it belongs to.
fn told<M: ModelTrait>(row: &M) -> BTreeMap<String, Json> {
    let columns = <M::Entity as EntityTrait>::Column::iter();
    columns
        .filter(|column| !OF_NO_INTEREST.contains(&column.as_str()))
        .map(|column| {
            let value = sea_value_to_json_value(&row.get(column));
            (column.as_str().to_owned(), value)
        })
        .collect()
}
