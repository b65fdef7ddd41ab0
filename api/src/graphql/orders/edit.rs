//! Changing what was ordered, where it goes or what it costs, before the warehouse has it.

use async_graphql::{Context, ID, InputObject, Object, SimpleObject};
use entity::{LineId, Money as Minor, OrderId};
use serde::Serialize;

use super::mutations::{AddressInput, OrderLineInput, OrderPayload, command, read, refused};
use super::{OrderException, OrderLine};
use crate::access::Scope;
use crate::app::Rehearsed;
use crate::capture::edit::{Edit, LineEdit};
use crate::capture::submission::SubmittedCustomer;
use crate::failure::{Failure, Problem};
use crate::graphql::errors::{UserError, fault, outcome};
use crate::graphql::ids::from_global;
use crate::graphql::once::{mark_replayed, once};
use crate::graphql::scalars::{Decimal, Money, money};
use crate::graphql::shelf::changeable;
use crate::graphql::{Allowed, actor, app, principal};
use crate::orders::revise::{Revision, revise};

/// A change of an order. What is not given stays. Prices, tax and promotions are those of the
/// moment when the order was placed; what is not named is not checked again.
#[derive(Clone, Debug, InputObject)]
pub struct OrderEditInput {
    /// The order.
    pub id: ID,
    /// The version that you decided on; STALE_VERSION if it has moved on.
    pub expected_version: i64,
    /// Changes of lines.
    #[graphql(default)]
    pub lines: Vec<OrderEditLineInput>,
    /// Lines to add.
    #[graphql(default)]
    pub add_lines: Vec<OrderLineInput>,
    /// Who ordered, and how they are reached.
    pub contact: Option<OrderContactInput>,
    /// Where it goes. It is verified, and whatever was found wrong with the old one is settled.
    pub shipping_address: Option<AddressInput>,
    /// Where the bill goes.
    pub billing_address: Option<AddressInput>,
    /// All promotion codes, instead of those that the order has.
    pub promotion_codes: Option<Vec<String>>,
    /// The shipping service; the charge is then ours unless you give one.
    pub service_level: Option<String>,
    /// What is charged for shipping, in the order's currency. Not given: the charge stays, unless
    /// the country or the service changes.
    pub shipping_charge: Option<Decimal>,
    /// Works our shipping rate out afresh.
    #[graphql(default)]
    pub reprice_shipping: bool,
    /// The card's token to ask if more money is due; the card that was asked last if not given.
    pub payment_token: Option<String>,
    /// Why: at most 4,000 characters. It stands on the timeline.
    pub reason: Option<String>,
    /// Makes a repetition have the effect of one; or give the header `Idempotency-Key`. Kept 72
    /// hours. 1 to 255 visible ASCII characters. A preview does not use it.
    pub idempotency_key: Option<String>,
}

/// A change of one line.
#[derive(Clone, Debug, InputObject)]
pub struct OrderEditLineInput {
    /// The line.
    pub line_id: ID,
    /// How many units, up to 1,000,000; 0 takes the line off the order.
    pub quantity: Option<i64>,
    /// What a unit is charged at, in the order's currency: your word, which is not compared with
    /// our price. Not given: the price stays, but one that was ours follows our tiers when the
    /// quantity changes.
    pub unit_price: Option<Decimal>,
    /// What is taken off the whole line besides promotions, in the order's currency. Not given: it
    /// stays, but is never more than the line comes to.
    pub discount: Option<Decimal>,
}

/// Who ordered, and how they are reached; what is not given stays.
#[derive(Clone, Debug, InputObject)]
pub struct OrderContactInput {
    /// The name, at most 300 characters. An address that took a wrong name over takes this one
    /// over.
    pub name: Option<String>,
    /// Where notices go.
    pub email: Option<String>,
    /// A telephone number, national to the shipping country or international.
    pub phone: Option<String>,
}

impl OrderEditInput {
    fn edit(&self) -> Result<Edit, Problem> {
        let lines = self
            .lines
            .iter()
            .enumerate()
            .map(|(place, line)| {
                let path = format!("input.lines.{place}.lineId");
                Ok(LineEdit {
                    line_id: from_global::<LineId>(&line.line_id, &path)?,
                    quantity: line.quantity,
                    unit_price: line.unit_price.map(Into::into),
                    discount: line.discount.map(Into::into),
                })
            })
            .collect::<Result<_, Problem>>()?;
        Ok(Edit {
            lines,
            added: self.add_lines.iter().cloned().map(Into::into).collect(),
            contact: self.contact.clone().map(|contact| SubmittedCustomer {
                code: None,
                name: contact.name,
                email: contact.email,
                phone: contact.phone,
            }),
            shipping_address: self.shipping_address.clone().map(Into::into),
            billing_address: self.billing_address.clone().map(Into::into),
            promotion_codes: self.promotion_codes.clone(),
            service_level: self.service_level.clone(),
            shipping_charge: self.shipping_charge.map(Into::into),
            shipping_afresh: self.reprice_shipping,
            instrument: self.payment_token.clone(),
            reason: self.reason.clone(),
        })
    }
}

/// What a committed edit is recognised by when it is sent again.
#[derive(Serialize)]
struct Fingerprint<'a> {
    id: &'a ID,
    expected_version: i64,
    edit: &'a Edit,
}

/// What an edit would come to.
#[derive(SimpleObject)]
pub struct OrderEditPreviewPayload {
    /// What it would come to; null if it would be refused.
    preview: Option<OrderEditPreview>,
    /// Why it would be refused; empty if it would not.
    user_errors: Vec<UserError>,
}

/// An order as it would be after an edit, worked out by the very code that commits it and then
/// taken back.
pub struct OrderEditPreview(Rehearsed);

/// An order as it would be after an edit.
#[Object]
impl OrderEditPreview {
    /// The lines as they would be, with the units that would be held and that would wait; a line
    /// that is taken off has all its units cancelled.
    async fn lines(&self) -> Vec<OrderLine> {
        self.0
            .lines
            .iter()
            .map(|row| OrderLine::new(row.clone(), self.0.order.currency))
            .collect()
    }

    /// Sum of the lines before discounts.
    async fn subtotal(&self) -> Money {
        self.money(self.0.order.subtotal_minor)
    }

    /// Discounts on the lines.
    async fn discount(&self) -> Money {
        self.money(self.0.order.discount_minor)
    }

    /// Shipping charge before its discount.
    async fn shipping(&self) -> Money {
        self.money(self.0.order.shipping_minor)
    }

    /// All tax, that on shipping included.
    async fn tax(&self) -> Money {
        self.money(self.0.order.tax_minor)
    }

    /// What would be due in all.
    async fn total(&self) -> Money {
        self.money(self.0.order.total_minor)
    }

    /// The new total less the old one: below zero if the order becomes cheaper.
    async fn difference(&self) -> Money {
        self.money(self.0.order.total_minor - self.0.before.order.total_minor)
    }

    /// The new total less what is authorised, from the ledger: above zero, so much more is asked of
    /// the card or taken on account; below zero, so much is given back.
    async fn due(&self) -> Money {
        self.money(self.0.order.total_minor - self.0.before.authorized_minor())
    }

    /// Where the order would stand on the live board.
    async fn stage(&self) -> super::enums::OrderStage {
        self.0.order.stage.into()
    }

    /// The exceptions that would be open, old and new.
    async fn exceptions(&self) -> Vec<OrderException> {
        self.0
            .exceptions
            .iter()
            .cloned()
            .map(OrderException::from)
            .collect()
    }

    /// The exceptions that the edit would put right.
    async fn settles(&self) -> Vec<OrderException> {
        self.0
            .before
            .exceptions
            .iter()
            .filter(|was| self.0.exceptions.iter().all(|open| open.id != was.id))
            .cloned()
            .map(OrderException::from)
            .collect()
    }
}

impl OrderEditPreview {
    fn money(&self, minor: i64) -> Money {
        let Minor { minor, currency } = Minor::new(minor, self.0.order.currency);
        money(minor, currency)
    }
}

/// Trying an edit out.
#[derive(Default)]
pub struct OrderEditQuery;

#[Object]
impl OrderEditQuery {
    /// What an edit would come to: totals, stock, the exact difference in money, what would be
    /// found wrong. Nothing changes. Errors as `orderEditCommit`. Needs the scope ORDERS_MANAGE.
    #[graphql(guard = "Allowed(Scope::OrdersManage)")]
    async fn order_edit_preview(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The edit to try out.")] input: OrderEditInput,
    ) -> async_graphql::Result<OrderEditPreviewPayload> {
        let tried = match visible(ctx, &input).await? {
            Err(problem) => Err(Failure::from(problem)),
            Ok((id, edit)) => {
                let version = Some(input.expected_version);
                app(ctx)
                    .rehearse_edit(&actor(ctx)?, id, version, &edit)
                    .await
            }
        };
        let (rehearsed, user_errors) = outcome(tried)?;
        Ok(OrderEditPreviewPayload {
            preview: rehearsed.map(OrderEditPreview),
            user_errors,
        })
    }
}

/// Editing orders.
#[derive(Default)]
pub struct OrderEditMutation;

#[Object]
impl OrderEditMutation {
    /// Changes an order that the warehouse does not have yet: stock that is no longer wanted goes
    /// to those who wait, what is wanted in addition is held or waited for, the difference in
    /// money is asked for or given back, and the order goes through its gates again. What a check
    /// finds about the edited parts stops the order or refuses the edit, by the channel's policy;
    /// what the edit puts right is settled.
    ///
    /// Errors: those of `orderSubmit` about what is edited, and IDEMPOTENCY_KEY_REUSED,
    /// LINES_MISSING, NOT_FOUND, ORDER_NOT_EDITABLE, STALE_VERSION. Needs the scope ORDERS_MANAGE.
    #[graphql(guard = "Allowed(Scope::OrdersManage)")]
    async fn order_edit_commit(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The edit.")] input: OrderEditInput,
    ) -> async_graphql::Result<OrderPayload> {
        let (id, edit) = match visible(ctx, &input).await? {
            Ok(visible) => visible,
            Err(problem) => return Ok(refused(problem)),
        };
        let (app, version) = (app(ctx), Some(input.expected_version));
        let judged = async { Ok(app.judge_edit(id, version, &edit).await?.1) };
        let fingerprint = Fingerprint {
            id: &input.id,
            expected_version: input.expected_version,
            edit: &edit,
        };
        let key = input.idempotency_key.as_deref();
        commit(
            ctx,
            "orderEditCommit",
            &input.id,
            id,
            &fingerprint,
            key,
            judged,
        )
        .await
    }
}

/// The order's id and the edit, if the caller may see the order.
async fn visible(
    ctx: &Context<'_>,
    input: &OrderEditInput,
) -> async_graphql::Result<Result<(OrderId, Edit), Problem>> {
    let missing = || Problem::not_found("Order").at("input.id");
    let Ok(id) = from_global::<OrderId>(&input.id, "input.id") else {
        return Ok(Err(missing()));
    };
    let caller = principal(ctx)?;
    let order = read(ctx, id).await?;
    if order.is_none_or(|order| !caller.sees(order.0.channel_id)) {
        return Ok(Err(missing()));
    }
    if let Err(problem) = changeable(ctx, id, "input.id") {
        return Ok(Err(problem));
    }
    Ok(input.edit().map(|edit| (id, edit)))
}

/// Judges an edit and commits it, once for its key.
pub(super) async fn commit(
    ctx: &Context<'_>,
    operation: &'static str,
    order: &ID,
    id: OrderId,
    fingerprint: &impl Serialize,
    key: Option<&str>,
    judged: impl Future<Output = Result<Revision, Failure>>,
) -> async_graphql::Result<OrderPayload> {
    let claim = match once(ctx, operation, fingerprint, key) {
        Ok(claim) => claim,
        Err(problem) => return Ok(refused(problem)),
    };
    let (app, actor) = (app(ctx), actor(ctx)?);
    // A repetition is not judged again: the order is at another version by now.
    if let Some(claim) = &claim {
        let (saved, user_errors) = outcome(app.replay(&actor, claim).await)?;
        if !user_errors.is_empty() || saved.flatten().is_some() {
            mark_replayed(ctx);
            return Ok(OrderPayload {
                order: if user_errors.is_empty() {
                    read(ctx, id).await?
                } else {
                    None
                },
                user_errors,
                replayed: true,
            });
        }
    }
    let judged = judged.await;
    if let (Err(Failure::Refused(problems)), Some(claim)) = (&judged, &claim) {
        app.save_refusal(&actor, claim, problems)
            .await
            .map_err(|failure| fault(sea_orm::DbErr::Custom(failure.to_string())))?;
    }
    let (judged, user_errors) = outcome(judged)?;
    let Some(revision) = judged else {
        return Ok(OrderPayload {
            order: None,
            user_errors,
            replayed: false,
        });
    };
    let reference = &app.reference().await.map_err(fault)?;
    let revision = &revision;
    command(
        ctx,
        operation,
        fingerprint,
        order,
        key,
        move |tx, _| async move { revise(&tx, reference, revision).await },
    )
    .await
}
