//! A clock that stands still until a test moves it.

use std::sync::atomic::{AtomicI64, Ordering};

use api::clock::Clock;
use chrono::{DateTime, Duration, Utc};

/// 2026-12-01T09:00:00Z, a Tuesday, in seconds since 1970.
const START: i64 = 1_796_115_600;

/// A clock that stands still until a test moves it. It counts whole microseconds, as the
/// machine's does for the app.
#[derive(Debug)]
pub struct MockClock(AtomicI64);

impl MockClock {
    /// A clock at 2026-12-01T09:00:00Z.
    pub fn new() -> Self {
        MockClock(AtomicI64::new(START * 1_000_000))
    }

    /// Moves it to a time, be it in the past.
    pub fn set(&self, time: DateTime<Utc>) {
        self.0.store(time.timestamp_micros(), Ordering::SeqCst);
    }

    /// Moves it on and says the new time.
    pub fn advance(&self, by: Duration) -> DateTime<Utc> {
        let by = by.num_microseconds().expect("no test takes 292,000 years");
        time(self.0.fetch_add(by, Ordering::SeqCst) + by)
    }
}

impl Default for MockClock {
    fn default() -> Self {
        MockClock::new()
    }
}

impl Clock for MockClock {
    fn now(&self) -> DateTime<Utc> {
        time(self.0.load(Ordering::SeqCst))
    }
}

fn time(micros: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(micros).expect("a time that chrono can hold")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_stands_still_until_it_is_moved() {
        let clock = MockClock::new();
        assert_eq!(clock.now().to_rfc3339(), "2026-12-01T09:00:00+00:00");
        assert_eq!(clock.now(), clock.now());
        let later = clock.advance(Duration::minutes(90));
        assert_eq!(later.to_rfc3339(), "2026-12-01T10:30:00+00:00");
        assert_eq!(clock.now(), later);
        clock.set(later - Duration::days(1));
        assert_eq!(clock.now().to_rfc3339(), "2026-11-30T10:30:00+00:00");
    }
}
