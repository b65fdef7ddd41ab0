//! The GraphQL schema: one file a domain, with wire types that show hand-picked fields, loaders,
//! and resolvers of a few lines. No business is decided here.

use std::sync::Arc;

use async_graphql::{Context, Guard, MergedObject, MergedSubscription, Schema, SchemaBuilder};

use crate::access::{Principal, Scope};
use crate::app::App;
use crate::tx::{Actor, Origin};

pub mod carriers;
pub mod catalogue;
pub mod command;
pub mod cursor;
pub mod customers;
pub mod documents;
pub mod errors;
pub mod events;
pub mod exports;
pub mod feed;
pub mod filters;
pub mod finance;
pub mod fulfillment;
pub mod ids;
pub mod imports;
pub mod invoices;
pub mod keys;
pub mod labels;
pub mod audit;
pub mod ledger;
pub mod loaders;
pub mod messages;
pub mod node;
pub mod once;
pub mod orders;
pub mod pagination;
mod progress;
mod reader;
pub mod reports;
pub mod returns;
pub mod rules;
pub mod scalars;
pub mod shelf;
pub mod settlements;
pub mod stages;
pub mod stock;
pub mod stock_levels;
pub mod stock_sources;

/// Everything that can be read. In groups, since each name makes the type of all the others deeper,
/// and the compiler follows it only so far.
#[derive(MergedObject, Default)]
pub struct Query(
    OrderReads,
    TradeReads,
    BookReads,
    stages::StageQuery,
    reports::ReportQuery,
    keys::KeyQuery,
    events::EventQuery,
    imports::ImportQuery,
    documents::DocumentQuery,
    exports::ExportQuery,
    messages::MessageQuery,
    node::NodeQuery,
);

/// Orders and what waits with them.
#[derive(MergedObject, Default)]
pub struct OrderReads(
    orders::OrderQuery,
    orders::ArchiveQuery,
    orders::OrderEditQuery,
    orders::SavedViewQuery,
    orders::BulkQuery,
    orders::QueueQuery,
    returns::ReturnQuery,
);

/// What is sold, to whom, from where, and how it gets there.
#[derive(MergedObject, Default)]
pub struct TradeReads(
    catalogue::CatalogueQuery,
    carriers::CarrierQuery,
    customers::CustomerQuery,
    rules::RuleQuery,
    stock::StockQuery,
    fulfillment::FulfillmentQuery,
    stock_sources::StockSourceQuery,
);

/// What was written down of it.
#[derive(MergedObject, Default)]
pub struct BookReads(
    invoices::InvoiceQuery,
    ledger::LedgerQuery,
    finance::FinanceQuery,
    settlements::SettlementQuery,
    audit::AuditQuery,
);

/// Everything that can be done.
#[derive(MergedObject, Default)]
pub struct Mutation(
    orders::OrderMutation,
    orders::OrderEditMutation,
    orders::SavedViewMutation,
    orders::BulkMutation,
    orders::QueueMutation,
    returns::ReturnMutation,
    catalogue::CatalogueMutation,
    carriers::CarrierMutation,
    labels::LabelMutation,
    customers::CustomerMutation,
    rules::RuleMutation,
    stock::StockMutation,
    fulfillment::PlanMutation,
    fulfillment::FloorMutation,
    stock_sources::StockSourceMutation,
    keys::KeyMutation,
    documents::DocumentMutation,
    exports::ExportMutation,
    BookWrites,
    messages::MessageMutation,
);

/// What is written into the books.
#[derive(MergedObject, Default)]
pub struct BookWrites(
    invoices::InvoiceMutation,
    finance::FinanceMutation,
    settlements::SettlementMutation,
);

/// Everything that can be followed.
#[derive(MergedSubscription, Default)]
pub struct Subscription(
    orders::OrderSubscription,
    orders::BulkSubscription,
    stages::StageSubscription,
    stock_levels::StockLevelSubscription,
    stock_sources::StockSourceSubscription,
    events::EventSubscription,
    imports::ImportSubscription,
    settlements::SettlementSubscription,
);

/// The schema.
pub type OmsSchema = Schema<Query, Mutation, Subscription>;

/// What a document may cost: the largest page of orders with lines, payment and holds fits.
const COMPLEXITY: usize = 50_000;

/// The schema without an app behind it, for printing it.
pub fn builder() -> SchemaBuilder<Query, Mutation, Subscription> {
    Schema::build(
        Query::default(),
        Mutation::default(),
        Subscription::default(),
    )
    // The transport weighs documents before they come here.
    .disable_suggestions()
    .limit_complexity(COMPLEXITY)
    .extension(once::Replays)
    .extension(shelf::Shelves)
}

/// The schema over a running app.
pub fn schema(app: Arc<App>) -> OmsSchema {
    builder()
        .data(loaders::loader(app.clone()))
        .data(app)
        .finish()
}

/// The schema as text: `schema.graphql`, the manual that partners read.
pub fn sdl() -> String {
    let sdl = builder().finish().sdl();
    format!("{}\n", sdl.trim_end())
}

/// The running app.
pub fn app<'a>(ctx: &Context<'a>) -> &'a Arc<App> {
    ctx.data_unchecked::<Arc<App>>()
}

/// The caller. The transport lets nobody in without one.
pub fn principal<'a>(ctx: &Context<'a>) -> async_graphql::Result<&'a Principal> {
    ctx.data::<Principal>()
        .map_err(|_| errors::unauthenticated())
}

/// The caller as it is written into the log, with the request that it acts in.
pub fn actor(ctx: &Context<'_>) -> async_graphql::Result<Actor> {
    let mut actor = principal(ctx)?.actor.clone();
    if let Ok(request) = ctx.data::<crate::http::RequestId>() {
        actor.correlation_id = request.0.clone();
    }
    actor.origin = ctx.data::<Origin>().ok().cloned();
    Ok(actor)
}

/// Lets a field be resolved only for callers with a scope.
pub struct Allowed(pub Scope);

impl Guard for Allowed {
    async fn check(&self, ctx: &Context<'_>) -> async_graphql::Result<()> {
        if principal(ctx)?.may(self.0) {
            Ok(())
        } else {
            Err(errors::forbidden(self.0))
        }
    }
}

#[cfg(test)]
mod tests {
    use async_graphql::parser::parse_schema;
    use async_graphql::parser::types::{
        FieldDefinition, InputValueDefinition, TypeKind, TypeSystemDefinition,
    };

    use super::sdl;

    #[test]
    fn everything_in_the_schema_is_described() {
        let mut missing = Vec::new();
        for definition in parse_schema(sdl()).unwrap().definitions {
            let TypeSystemDefinition::Type(definition) = definition else {
                continue;
            };
            let (name, kind) = (&definition.node.name.node, &definition.node.kind);
            let mut look = |place: String, described: bool| {
                if !described {
                    missing.push(place);
                }
            };
            // The connections' own type comes from the library, which describes it in code only.
            let of_library = name.ends_with("Connection");
            look(
                name.to_string(),
                of_library || definition.node.description.is_some(),
            );
            let arguments =
                |look: &mut dyn FnMut(String, bool), path: &str, all: &[InputValueDefinition]| {
                    for argument in all {
                        let place = format!("{path}({})", argument.name.node);
                        look(place, argument.description.is_some());
                    }
                };
            let fields = |look: &mut dyn FnMut(String, bool), all: Vec<FieldDefinition>| {
                for field in all {
                    let path = format!("{name}.{}", field.name.node);
                    look(path.clone(), field.description.is_some());
                    let all: Vec<_> = field.arguments.into_iter().map(|a| a.node).collect();
                    arguments(look, &path, &all);
                }
            };
            match kind.clone() {
                TypeKind::Object(object) => {
                    fields(
                        &mut look,
                        object.fields.into_iter().map(|f| f.node).collect(),
                    );
                }
                TypeKind::Interface(interface) => {
                    fields(
                        &mut look,
                        interface.fields.into_iter().map(|f| f.node).collect(),
                    );
                }
                TypeKind::Enum(values) => {
                    for value in values.values {
                        let place = format!("{name}.{}", value.node.value.node);
                        look(place, value.node.description.is_some());
                    }
                }
                TypeKind::InputObject(input) => {
                    let all: Vec<_> = input.fields.into_iter().map(|f| f.node).collect();
                    arguments(&mut look, name, &all);
                }
                TypeKind::Scalar | TypeKind::Union(_) => {}
            }
        }
        let own_roots = ["Query", "Mutation", "Subscription"];
        missing.retain(|place| !own_roots.contains(&place.as_str()));
        assert!(missing.is_empty(), "without a description: {missing:#?}");
    }
}
