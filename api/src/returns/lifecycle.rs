//! The law of a return's status, on one screen.

use entity::return_order::Status;

/// What can happen to a return. Callers name what happened, never a target state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// A person lets it come.
    Approve,
    /// A person refuses it.
    Decline,
    /// It is called off before anything of it came.
    Cancel,
    /// It is on its way.
    Ship,
    /// Units of it are at the dock.
    Receive,
    /// Somebody says what became of units.
    Inspect,
    /// What became of all of its units is known.
    Complete,
    /// Units of it are paid for.
    Refund,
    /// It is settled.
    Close,
}

impl Action {
    /// What people do, in the order of a life.
    pub const OF_PEOPLE: [Action; 8] = [
        Action::Approve,
        Action::Decline,
        Action::Ship,
        Action::Receive,
        Action::Inspect,
        Action::Refund,
        Action::Close,
        Action::Cancel,
    ];
}

/// What a return becomes by an action; none if the present state does not allow it.
pub fn next(from: Status, action: Action) -> Option<Status> {
    use Action::*;
    use Status::*;
    Some(match (from, action) {
        (Requested, Approve) => Approved,
        (Requested, Decline) => Declined,
        (Requested | Approved | InTransit, Cancel) => Cancelled,
        (Approved | InTransit, Ship) => InTransit,
        (Approved | InTransit | Received, Receive) => Received,
        // What is lost on its way never comes to the dock.
        (Approved | InTransit | Received, Inspect) => from,
        (Approved | InTransit | Received, Complete) => Inspected,
        // Before what became of it is known only by a person's word.
        (Approved | InTransit | Received | Inspected, Refund) => from,
        (Received | Inspected, Close) => Closed,
        _ => return None,
    })
}

/// Whether nothing more can happen to a return.
pub fn is_terminal(status: Status) -> bool {
    matches!(
        status,
        Status::Declined | Status::Closed | Status::Cancelled
    )
}

#[cfg(test)]
mod tests {
    use sea_orm::Iterable;

    use super::*;

    const ALL: [Action; 9] = [
        Action::Approve,
        Action::Decline,
        Action::Cancel,
        Action::Ship,
        Action::Receive,
        Action::Inspect,
        Action::Complete,
        Action::Refund,
        Action::Close,
    ];

    #[test]
    fn q3_every_state_of_a_return_is_reached_and_every_live_one_is_left() {
        for status in Status::iter() {
            let reached = Status::iter().any(|from| {
                from != status && ALL.iter().any(|action| next(from, *action) == Some(status))
            });
            // A return begins as requested.
            assert_eq!(reached, status != Status::Requested, "{status:?}");
            let left = ALL
                .iter()
                .any(|action| next(status, *action).is_some_and(|to| to != status));
            assert_eq!(left, !is_terminal(status), "{status:?}");
            if is_terminal(status) {
                assert!(ALL.iter().all(|action| next(status, *action).is_none()));
            }
        }
    }
}
