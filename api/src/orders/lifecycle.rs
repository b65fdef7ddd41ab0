//! The law of an order's own status, on one screen.

use entity::order::Status;

/// What can be done to an order. Callers name what happened, never a target state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Every gate is green.
    Confirm,
    /// Somebody calls it off.
    Cancel,
    /// A person refuses it after a check failed.
    Reject,
    /// Its hold ran out unpaid.
    Expire,
    /// A person stops it.
    Hold,
    /// A person lets it go on.
    ReleaseHold,
    /// A person settles an exception.
    ResolveException,
    /// A person opens a settled exception that stops the order again.
    ReopenException,
    /// Another payment is tried.
    RetryPayment,
    /// Somebody changes what was ordered, where it goes or what it costs.
    Edit,
    /// The gateway is asked again for money that it would not give back.
    RetryVoid,
    /// The gateway is asked again for what is due for shipments.
    RetryCapture,
    /// What is due is set aside afresh.
    Reauthorize,
    /// Units that have left are to come back.
    Return,
    /// Captured money is given back though nothing comes back for it.
    Refund,
    /// The gateway is asked again for money that it did not give back.
    RetryRefund,
    /// Somebody writes a note.
    AddNote,
    /// Somebody puts a tag on it or takes one off.
    Tag,
    /// It is delivered, captured, invoiced and settled.
    Complete,
}

impl Action {
    /// Every action, in the order of a life.
    pub const ALL: [Action; 19] = [
        Action::Confirm,
        Action::Hold,
        Action::ReleaseHold,
        Action::ResolveException,
        Action::ReopenException,
        Action::RetryPayment,
        Action::Edit,
        Action::RetryVoid,
        Action::RetryCapture,
        Action::Reauthorize,
        Action::Return,
        Action::Refund,
        Action::RetryRefund,
        Action::AddNote,
        Action::Tag,
        Action::Cancel,
        Action::Reject,
        Action::Expire,
        Action::Complete,
    ];
}

/// An action that the present state does not allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an order that is {from:?} cannot do {action:?}")]
pub struct IllegalTransition {
    /// The present state.
    pub from: Status,
    /// What was tried.
    pub action: Action,
}

/// What an order becomes by an action.
pub fn next(from: Status, action: Action) -> Result<Status, IllegalTransition> {
    use Action::*;
    use Status::*;
    Ok(match (from, action) {
        (Received, Confirm) => Confirmed,
        (Received, Reject) => Rejected,
        (Received, Expire) => Expired,
        (Draft | Received | Confirmed, Cancel) => Cancelled,
        (Received | Confirmed, Hold | ReleaseHold) => from,
        (Received | Confirmed, RetryPayment) => from,
        // Only what has left is captured.
        (Confirmed, RetryCapture | Reauthorize) => from,
        // An edited order goes through its gates again; if all are green it is released at once.
        (Received | Confirmed, Edit) => Received,
        // So does one that something stops again, until the warehouse has it.
        (Received | Confirmed, ReopenException) => Received,
        (Confirmed, Complete) => Completed,
        // What has left comes back also when all is over.
        (Confirmed | Completed, Return | Refund) => from,
        // The money of an order that has ended may not be back yet.
        (_, AddNote | Tag | ResolveException | RetryVoid | RetryRefund) => from,
        _ => return Err(IllegalTransition { from, action }),
    })
}

/// Whether nothing more can happen to an order but notes and tags, returns, and to its money.
pub fn is_terminal(status: Status) -> bool {
    matches!(
        status,
        Status::Completed | Status::Cancelled | Status::Rejected | Status::Expired
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use sea_orm::Iterable;

    use super::*;

    #[test]
    fn every_state_but_draft_is_reached_and_every_live_one_is_left() {
        let reached: BTreeSet<String> = Status::iter()
            .flat_map(|from| Action::ALL.into_iter().map(move |action| (from, action)))
            .filter_map(|(from, action)| Some((from, next(from, action).ok()?)))
            .filter(|(from, to)| from != to)
            .map(|(_, to)| format!("{to:?}"))
            .collect();
        for status in Status::iter() {
            // Orders begin as drafts or as received.
            if !matches!(status, Status::Draft | Status::Received) {
                assert!(
                    reached.contains(&format!("{status:?}")),
                    "{status:?} is never reached"
                );
            }
            let left = Action::ALL
                .into_iter()
                .any(|action| next(status, action).is_ok_and(|to| to != status));
            assert_eq!(left, !is_terminal(status), "{status:?}");
        }
    }

    #[test]
    fn a_terminal_order_takes_notes_and_tags_and_what_settles_its_money() {
        use Action::*;
        for status in Status::iter().filter(|status| is_terminal(*status)) {
            for action in Action::ALL {
                let taken = matches!(
                    action,
                    AddNote | Tag | ResolveException | RetryVoid | RetryRefund
                ) || status == Status::Completed && matches!(action, Return | Refund);
                assert_eq!(next(status, action).is_ok(), taken, "{action:?}");
            }
        }
    }
}
