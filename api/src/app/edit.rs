//! Changes orders that were taken.

use entity::{OrderId, order, order_exception, order_line};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder};

use super::App;
use crate::capture::correct::{self, Correction};
use crate::capture::edit::{self, Basis, Edit};
use crate::exceptions;
use crate::failure::{Code, Failure, Problem};
use crate::orders::revise::{Revision, revise};
use crate::tx::Actor;

/// An order before an edit, and as it would be after it.
pub struct Rehearsed {
    /// As it is.
    pub before: Basis,
    /// As it would be.
    pub order: order::Model,
    /// Its lines as they would be, those that were taken off included.
    pub lines: Vec<order_line::Model>,
    /// The exceptions that would be open.
    pub exceptions: Vec<order_exception::Model>,
}

impl App {
    /// Judges an edit of an order. The revision holds for the version that it was judged against.
    pub async fn judge_edit(
        &self,
        id: OrderId,
        expected_version: Option<i64>,
        edit: &Edit,
    ) -> Result<(Basis, Revision), Failure> {
        let basis = self.basis(id, expected_version).await?;
        let revision = self.judge(&basis, edit).await?;
        Ok((basis, revision))
    }

    /// Judges the edit that puts an exception right, which it then settles.
    pub async fn judge_correction(
        &self,
        exception: &order_exception::Model,
        expected_version: Option<i64>,
        correction: Correction,
    ) -> Result<Revision, Failure> {
        let basis = self.basis(exception.order_id, expected_version).await?;
        if basis.exceptions.iter().all(|open| open.id != exception.id) {
            return Err(crate::orders::queue::not_open().into());
        }
        let edit = correct::edit(&basis, exception, correction)?;
        let mut revision = self.judge(&basis, &edit).await?;
        if !correct::is_checked(exception) {
            revision.settles.insert(exception.id);
        }
        Ok(revision)
    }

    async fn basis(&self, id: OrderId, expected_version: Option<i64>) -> Result<Basis, Failure> {
        let db = &self.db.read;
        let Some(basis) = Basis::read(db, id).await? else {
            return Err(crate::orders::archive::absent(db, id).await?.into());
        };
        crate::orders::expect_version(&basis.order, expected_version)?;
        crate::orders::lifecycle::next(basis.order.status, crate::orders::lifecycle::Action::Edit)
            .map_err(|illegal| {
                let from = crate::orders::aggregate::status_name(illegal.from);
                Problem::new(Code::OrderNotEditable, format!("the order is {from}"))
                    .with(serde_json::json!({ "status": illegal.from }))
            })?;
        Ok(basis)
    }

    async fn judge(&self, basis: &Basis, edit: &Edit) -> Result<Revision, Failure> {
        let reference = self.reference().await?;
        let channel = reference
            .channel(basis.order.channel_id)
            .ok_or_else(|| Failure::Internal("an order without its channel".to_owned()))?;
        let now = self.clock.now();
        let rules = self.rules(&reference).await?;
        let db = &self.db.read;
        // On the heap, as what App::write runs.
        Box::pin(edit::judge(
            db, &reference, &rules, channel, basis, edit, now,
        ))
        .await
    }

    /// What an edit would come to. Nothing is changed; whoever commits the same edit against the
    /// same version while nobody takes the stock gets what is shown.
    pub async fn rehearse_edit(
        &self,
        actor: &Actor,
        id: OrderId,
        expected_version: Option<i64>,
        edit: &Edit,
    ) -> Result<Rehearsed, Failure> {
        let (before, revision) = self.judge_edit(id, expected_version, edit).await?;
        let reference = &self.reference().await?;
        let revision = &revision;
        let (order, lines, exceptions) = self
            .rehearse(actor, move |tx| async move {
                revise(&tx, reference, revision).await?;
                tx.flush().await?;
                let order = order::Entity::find_by_id(id)
                    .one(tx.db())
                    .await?
                    .ok_or_else(|| Problem::not_found("Order").at("input.id"))?;
                let lines = order_line::Entity::find()
                    .filter(order_line::Column::OrderId.eq(id))
                    .order_by_asc(order_line::Column::Position)
                    .all(tx.db())
                    .await?;
                let exceptions = exceptions::open_ones(&tx, &[id]).await?;
                Ok((order, lines, exceptions))
            })
            .await?;
        Ok(Rehearsed {
            before,
            order,
            lines,
            exceptions,
        })
    }
}
