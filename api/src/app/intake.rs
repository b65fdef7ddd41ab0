//! Takes orders in, whoever sends them.

use entity::order::Source;
use entity::{ChannelId, OrderId};
use serde_json::json;

use super::{App, Once, claim};
use crate::access::{Principal, Scope};
use crate::capture::open::{Open, open};
use crate::capture::{Submission, check, facts, rules};
use crate::catalogue::{ChannelPolicy, Reference};
use crate::exceptions::rules::RuleSet;
use crate::failure::{Code, Failure, Problem};
use crate::orders::Changed;
use crate::orders::archive::{self, Taken};
use crate::tx::Actor;

/// An order that was taken, now or before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Submitted {
    /// The order.
    pub order_id: OrderId,
    /// Whether it had been taken before.
    pub replayed: bool,
}

/// How often a submission is judged again because another order took the last use of a code.
const JUDGEMENTS: usize = 3;

impl App {
    /// Takes an order: gathers what is known, judges it, writes it with its stock held, and asks
    /// the gateway for the money before answering. The same key, or the same reference in the
    /// same channel, gives the same order.
    pub async fn submit_order(
        &self,
        principal: &Principal,
        actor: &Actor,
        submission: &Submission,
        source: Source,
        once: Option<&Once>,
    ) -> Result<Submitted, Failure> {
        match self
            .take_order(principal, actor, submission, source, once)
            .await
        {
            Err(Failure::Refused(problems)) => {
                // A repetition gets what the first request got, whatever has changed since.
                let Some(once) = once else {
                    return Err(Failure::Refused(problems));
                };
                if let Some(answer) = self.replay(actor, once).await? {
                    return replayed(&answer);
                }
                self.save_refusal(actor, once, &problems).await?;
                Err(Failure::Refused(problems))
            }
            other => other,
        }
    }

    async fn take_order(
        &self,
        principal: &Principal,
        actor: &Actor,
        submission: &Submission,
        source: Source,
        once: Option<&Once>,
    ) -> Result<Submitted, Failure> {
        let reference = self.reference().await?;
        let rules = self.rules(&reference).await?;
        let channel = find_channel(&reference, principal, &submission.channel)?;
        if submission.customer.code.is_some() && !principal.may(Scope::CustomersRead) {
            // Whoever may not read customers must not buy in their name, nor learn who there is.
            return Err(Problem::new(Code::CustomerNotFound, "no such customer")
                .at("input.customer.code")
                .into());
        }
        let mut judgements = 0;
        loop {
            judgements += 1;
            let judged =
                self.judge_and_open(&reference, &rules, channel, actor, submission, source, once);
            // On the heap, as what `App::write` runs.
            match Box::pin(judged).await {
                Err(Failure::Refused(problems))
                    if judgements < JUDGEMENTS && lost_a_code(&problems) => {}
                Err(failure) if is_taken_reference(&failure) => {
                    return self.find_taken(channel.row.id, submission).await;
                }
                other => return other,
            }
        }
    }

    #[allow(
        clippy::too_many_arguments,
        reason = "each is one thing that the order is judged by or kept with"
    )]
    async fn judge_and_open(
        &self,
        reference: &Reference,
        rules: &RuleSet,
        channel: &ChannelPolicy,
        actor: &Actor,
        submission: &Submission,
        source: Source,
        once: Option<&Once>,
    ) -> Result<Submitted, Failure> {
        let now = self.clock.now();
        let (shipping, billing) = check::addresses(submission).map_err(Failure::Refused)?;
        let known = facts::gather(
            &self.db.read,
            reference,
            channel,
            submission,
            Some(&shipping),
            billing.as_ref(),
        )
        .await?;
        if let Some(existing) = &known.existing {
            return same_order(existing, submission);
        }
        let mut draft = check::check(
            submission, channel, reference, &known, shipping, billing, now,
        )
        .map_err(Failure::Refused)?;
        let found = rules::judge(
            &self.db.read,
            rules,
            submission,
            channel,
            &known,
            &draft,
            source,
            now,
        )
        .await?;
        draft.findings.extend(found);
        let number = self.next_order_number().await?;
        let (number, draft, known) = (&number, &draft, &known);
        let opened = self
            .write(actor, move |tx| async move {
                let id: OrderId = tx.id();
                if let Some(once) = once
                    && let Some(answer) = claim(&tx, once, &json!({ "order": id })).await?
                {
                    return Ok(Err(answer));
                }
                let cmd = Open {
                    card_gateway: &self.config.payments.gateway,
                    id,
                    number: number.clone(),
                    source,
                    submission,
                    draft,
                    facts: known,
                    channel,
                    reference,
                };
                open(&tx, &cmd).await.map(Ok)
            })
            .await?;
        match opened {
            Err(answer) => replayed(&answer),
            Ok(changed) => {
                let order_id = changed.order_id;
                self.carry_out_or_log(changed).await;
                Ok(Submitted {
                    order_id,
                    replayed: false,
                })
            }
        }
    }

    /// The order is taken whatever becomes of its payment's answer: the reconciler asks again.
    async fn carry_out_or_log(&self, changed: Changed) {
        let order_id = changed.order_id;
        if let Err(failure) = self.carry_out(changed).await {
            tracing::error!(%order_id, %failure, "the payment is left to the reconciler");
        }
    }

    async fn find_taken(
        &self,
        channel: ChannelId,
        submission: &Submission,
    ) -> Result<Submitted, Failure> {
        let name = submission.external_reference.as_deref().unwrap_or_default();
        let existing = archive::taken(&self.db.write, channel, name.trim())
            .await?
            .ok_or_else(|| Failure::Internal("a taken reference that nobody has".to_owned()))?;
        same_order(&existing, submission)
    }
}

fn find_channel<'a>(
    reference: &'a Reference,
    principal: &Principal,
    code: &str,
) -> Result<&'a ChannelPolicy, Problem> {
    reference
        .channel_by_code(code)
        .filter(|channel| principal.sees(channel.row.id))
        .ok_or_else(|| Problem::new(Code::ChannelNotFound, "no such channel").at("input.channel"))
}

fn same_order(existing: &Taken, submission: &Submission) -> Result<Submitted, Failure> {
    if existing.fingerprint == submission.fingerprint() {
        return Ok(Submitted {
            order_id: existing.id,
            replayed: true,
        });
    }
    Err(Problem::new(
        Code::ExternalReferenceTaken,
        format!(
            "order {} has this reference and other contents",
            existing.number
        ),
    )
    .at("input.externalReference")
    .with(json!({ "orderNumber": existing.number }))
    .into())
}

fn replayed(answer: &serde_json::Value) -> Result<Submitted, Failure> {
    if let Some(problems) = super::saved_refusal(answer) {
        return Err(Failure::Refused(problems));
    }
    serde_json::from_value(answer["order"].clone())
        .map(|order_id| Submitted {
            order_id,
            replayed: true,
        })
        .map_err(|_| Failure::Internal("a saved answer without its order".to_owned()))
}

fn lost_a_code(problems: &[Problem]) -> bool {
    problems.len() == 1
        && problems[0].code == Code::PromotionLimitReached
        && problems[0].details.is_none()
}

fn is_taken_reference(failure: &Failure) -> bool {
    failure
        .unique_violation()
        .is_some_and(|text| text.contains("external_reference"))
}
