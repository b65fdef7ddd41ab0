//! The till of the demo merchant's store: on while orders flow, and saying every few minutes that
//! nothing went over the counter, so that its stock is known to be what it is.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::{Value as Json, json};

use super::Client;
use crate::demo;

/// How often it speaks; its figures may be a quarter of an hour old.
pub(super) const EVERY: Duration = Duration::from_secs(300);

const FIND: &str = "query Tills { stockSources(first: 250) { nodes { id code active } } }";

const SWITCH: &str = "mutation Switch($input: StockSourceUpdateInput!) {
  stockSourceUpdate(input: $input) { userErrors { code } }
}";

const SPEAK: &str = "mutation Speak($input: InventorySyncInput!) {
  inventorySync(input: $input) { userErrors { code } }
}";

/// A till that is on.
#[derive(Clone, Debug)]
pub(super) struct Till {
    id: String,
    /// Whether it was off before.
    ours: bool,
}

impl Till {
    /// Switches it on. None where there is none, or where the key may not.
    pub(super) async fn on(client: &Client) -> Option<Till> {
        let found = client.send(FIND, json!({})).await.ok()?;
        let nodes = found.pointer("/data/stockSources/nodes")?.as_array()?;
        let node = nodes.iter().find(|node| node["code"] == demo::TILL)?;
        let till = Till {
            id: node["id"].as_str()?.to_owned(),
            ours: node["active"] == false,
        };
        if till.ours {
            let switched = till.switch(client, true).await?;
            let refused = switched.pointer("/data/stockSourceUpdate/userErrors/0");
            if refused.is_some() || switched.get("errors").is_some() {
                return None;
            }
        }
        Some(till)
    }

    /// Says that nothing has changed. What is not heard is said again the next time.
    pub(super) async fn speak(&self, client: &Client, now: DateTime<Utc>) {
        let input = json!({ "source": demo::TILL, "observedAt": now, "full": false, "rows": [],
            "idempotencyKey": format!("{}-{}", demo::TILL, now.timestamp_micros()) });
        let _ = client.send(SPEAK, json!({ "input": input })).await;
    }

    /// Switches it off again if it was off before: a shop that is closed is not silent.
    pub(super) async fn off(&self, client: &Client) {
        if self.ours {
            self.switch(client, false).await;
        }
    }

    async fn switch(&self, client: &Client, active: bool) -> Option<Json> {
        let input = json!({ "id": self.id, "active": active });
        client.send(SWITCH, json!({ "input": input })).await.ok()
    }
}
