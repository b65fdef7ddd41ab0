//! When a message is tried again, and when no more.
//!
//! SMTP cannot promise exactly once: a server may take a message and die before it says so. A try
//! that a server answered, or that never came to the end of the message, is known to have done
//! nothing and can be repeated at will. One without an answer may have sent the message already; it
//! is repeated once, under the same Message-ID, since a notice that comes twice does less harm than
//! one that never comes, and a server that takes everything and answers nothing must not fill a
//! mailbox. So nobody gets more than two copies, and two only where an answer was lost.

use chrono::TimeDelta;
use entity::message::{Reason, State};

/// How long to wait after each try, in seconds. Nothing is random about it: nodes take messages up
/// one by one, so there is no herd to scatter.
const WAITS_SECS: [i64; 7] = [5, 300, 1_800, 7_200, 18_000, 36_000, 36_000];

/// How many tries without an answer a message may have.
const MOST_UNANSWERED: u64 = 2;

/// What becomes of a message after a try that came to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Next {
    /// Where it stands now.
    pub state: State,
    /// How long until it is tried again; none = it is not.
    pub wait: Option<TimeDelta>,
}

/// Decides what becomes of a message after a try that came to nothing for a reason, its tries and
/// those without an answer counted with this one.
pub fn after(reason: Reason, attempts: i32, unanswered: u64) -> Next {
    let tried = usize::try_from(attempts).unwrap_or_default();
    let wait = WAITS_SECS.get(tried.saturating_sub(1));
    let again = match reason {
        Reason::Unreachable | Reason::Deferred => true,
        Reason::Unanswered => unanswered < MOST_UNANSWERED,
        Reason::NoAddress | Reason::Rejected | Reason::Unrendered => false,
    };
    let wait = wait.filter(|_| again).map(|secs| TimeDelta::seconds(*secs));
    let state = match (unanswered, wait) {
        // What may have arrived must not be called failed, whatever came of later tries.
        (1.., _) => State::Unknown,
        (0, Some(_)) => State::Queued,
        (0, None) => State::Failed,
    };
    Next { state, wait }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(reason: Reason, attempts: i32, unanswered: u64) -> (State, Option<i64>) {
        let next = after(reason, attempts, unanswered);
        (next.state, next.wait.map(|wait| wait.num_seconds()))
    }

    #[test]
    fn a_server_that_is_away_is_tried_for_a_day_and_then_no_more() {
        for reason in [Reason::Unreachable, Reason::Deferred] {
            let mut waited = 0;
            for attempts in 1..=7 {
                let (state, wait) = next(reason, attempts, 0);
                assert_eq!(state, State::Queued);
                waited += wait.expect("another try");
            }
            assert!(waited > 24 * 3_600, "{waited}");
            assert_eq!(next(reason, 8, 0), (State::Failed, None));
        }
    }

    #[test]
    fn what_was_refused_for_good_is_not_tried_again() {
        assert_eq!(next(Reason::Rejected, 1, 0), (State::Failed, None));
        assert_eq!(next(Reason::Unrendered, 1, 0), (State::Failed, None));
    }

    #[test]
    fn what_may_have_arrived_is_sent_once_more_and_never_called_failed() {
        assert_eq!(next(Reason::Unanswered, 1, 1), (State::Unknown, Some(5)));
        assert_eq!(next(Reason::Unanswered, 2, 2), (State::Unknown, None));
        assert_eq!(next(Reason::Deferred, 2, 1), (State::Unknown, Some(300)));
        assert_eq!(next(Reason::Rejected, 2, 1), (State::Unknown, None));
        assert_eq!(next(Reason::Unreachable, 8, 1), (State::Unknown, None));
    }
}
