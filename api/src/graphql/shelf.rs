//! Reading orders that were put away as any other: what a request has met of them stands on a shelf
//! of its own, and whoever loads rows looks there first. The database is asked only for what the
//! tables do not have.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_graphql::extensions::{
    Extension, ExtensionContext, ExtensionFactory, NextPrepareRequest,
};
use async_graphql::{Context, Request, ServerResult};
use chrono::{DateTime, Utc};
use entity::{OrderId, order};
use uuid::Uuid;

use super::loaders::{
    BackordersOf, ExceptionsOf, FulfillmentLinesOf, HoldsOf, LinesOf, NotesOf, PackageLinesOf,
    PackagesOf, PaymentsOf, RefundLinesOf, RefundsOf, ReservationsOf, ReturnLinesOf, ReturnUnitsOf,
    ReturnsOf, ShipmentsOf, ShipmentsOfWork, TagsOf, TrackingOf, TransactionsOf, WorkOf,
};
use crate::failure::Problem;
use crate::orders::archive::Archived;

/// The rows of orders that were put away, as far as a request has met them, by what they are loaded
/// by.
#[derive(Default)]
pub struct Shelf(Mutex<Rows>);

#[derive(Default)]
struct Rows {
    by_key: HashMap<TypeId, Box<dyn Any + Send>>,
    archived: HashMap<OrderId, DateTime<Utc>>,
}

impl Rows {
    fn put<K, V>(&mut self, key: K, value: V)
    where
        K: Hash + Eq + Send + 'static,
        V: Send + 'static,
    {
        let of_kind = self.by_key.entry(TypeId::of::<K>());
        let of_kind = of_kind.or_insert_with(|| Box::<HashMap<K, V>>::default());
        if let Some(rows) = of_kind.downcast_mut::<HashMap<K, V>>() {
            rows.insert(key, value);
        }
    }
}

impl Shelf {
    fn rows(&self) -> MutexGuard<'_, Rows> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What stands there under a key.
    pub fn find<K, V>(&self, key: &K) -> Option<V>
    where
        K: Hash + Eq + 'static,
        V: Clone + 'static,
    {
        let rows = self.rows();
        let of_kind = rows.by_key.get(&TypeId::of::<K>())?;
        of_kind.downcast_ref::<HashMap<K, V>>()?.get(key).cloned()
    }

    /// When an order was put away; none if it was not, or was not met.
    pub fn archived_at(&self, id: OrderId) -> Option<DateTime<Utc>> {
        self.rows().archived.get(&id).copied()
    }

    /// Takes note that an order is not put away: it may have been opened again since it was met.
    pub fn is_back(&self, id: OrderId) {
        let mut rows = self.rows();
        if rows.archived.contains_key(&id) {
            *rows = Rows::default();
        }
    }

    /// Puts an order with all its rows there.
    pub fn place(&self, archived: &Archived) -> order::Model {
        let mut rows = self.rows();
        let all = &archived.snapshot;
        let id = all.order.id;
        rows.archived.insert(id, archived.row.archived_at);
        rows.put(id, all.order.clone());
        macro_rules! by_id {
            ($($of:ident),*) => {
                $(for row in &all.$of {
                    rows.put(row.id, row.clone());
                })*
            };
        }
        by_id!(
            lines,
            notes,
            holds,
            exceptions,
            reservations,
            backorders,
            work,
            tasks,
            shipments,
            packages,
            payments,
            transactions,
            returns,
            refunds
        );
        rows.put(LinesOf(id), all.lines.clone());
        rows.put(TagsOf(id), all.tags.clone());
        rows.put(NotesOf(id), all.notes.clone());
        rows.put(HoldsOf(id), all.holds.clone());
        rows.put(ExceptionsOf(id), all.exceptions.clone());
        rows.put(ReservationsOf(id), all.reservations.clone());
        rows.put(BackordersOf(id), all.backorders.clone());
        rows.put(WorkOf(id), all.work.clone());
        rows.put(ShipmentsOf(id), all.shipments.clone());
        rows.put(PaymentsOf(id), all.payments.clone());
        rows.put(TransactionsOf(id), all.transactions.clone());
        rows.put(ReturnsOf(id), all.returns.clone());
        rows.put(RefundsOf(id), all.refunds.clone());
        macro_rules! belonging {
            ($($owners:ident: $key:ident => $of:ident by $owner:ident;)*) => {
                $(for owner in &all.$owners {
                    let own = all.$of.iter().filter(|row| row.$owner == owner.id);
                    rows.put($key(owner.id), own.cloned().collect::<Vec<_>>());
                })*
            };
        }
        belonging! {
            work: FulfillmentLinesOf => work_lines by fulfillment_order_id;
            work: ShipmentsOfWork => shipments by fulfillment_order_id;
            shipments: PackagesOf => packages by shipment_id;
            packages: PackageLinesOf => package_lines by package_id;
            returns: ReturnLinesOf => return_lines by return_id;
            returns: ReturnUnitsOf => return_units by return_id;
            refunds: RefundLinesOf => refund_lines by refund_id;
        }
        for package in &all.packages {
            let own = all.sightings.iter();
            let own = own.filter(|said| said.package_id == Some(package.id));
            rows.put(TrackingOf(package.id), own.cloned().collect::<Vec<_>>());
        }
        all.order.clone()
    }
}

/// The identifier of a row that may have been put away with its order.
pub fn row_of(key: &dyn Any) -> Option<Uuid> {
    macro_rules! ids {
        ($($id:ident),* $(,)?) => {
            $(if let Some(id) = key.downcast_ref::<entity::$id>() {
                return Some(id.0);
            })*
        };
    }
    ids!(
        OrderId,
        LineId,
        NoteId,
        HoldId,
        ExceptionId,
        ReservationId,
        BackorderId,
        FulfillmentOrderId,
        PickTaskId,
        ShipmentId,
        PackageId,
        PaymentId,
        TransactionId,
        ReturnId,
    );
    None
}

/// The shelf of this request.
pub fn shelf<'a>(ctx: &Context<'a>) -> Option<&'a Shelf> {
    ctx.data_opt::<Shelf>()
}

/// When an order that this request has read was put away; none if it was not.
pub fn archived_at(ctx: &Context<'_>, id: OrderId) -> Option<DateTime<Utc>> {
    shelf(ctx).and_then(|shelf| shelf.archived_at(id))
}

/// Refuses to change an order that this request has read if it was put away.
pub fn changeable(ctx: &Context<'_>, id: OrderId, field: &str) -> Result<(), Problem> {
    match archived_at(ctx, id) {
        Some(_) => Err(Problem::archived().at(field)),
        None => Ok(()),
    }
}

/// Gives each request a shelf of its own.
pub struct Shelves;

impl ExtensionFactory for Shelves {
    fn create(&self) -> Arc<dyn Extension> {
        Arc::new(Shelves)
    }
}

#[async_trait::async_trait]
impl Extension for Shelves {
    async fn prepare_request(
        &self,
        ctx: &ExtensionContext<'_>,
        request: Request,
        next: NextPrepareRequest<'_>,
    ) -> ServerResult<Request> {
        next.run(ctx, request.data(Shelf::default())).await
    }
}
