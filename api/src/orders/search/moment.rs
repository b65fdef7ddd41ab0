//! Moments as people write them: a month, a day, a minute, a second or finer.

use std::cmp::Ordering;
use std::fmt;

use chrono::{DateTime, Months, NaiveDate, TimeDelta, Utc};

/// A span of time that is as long as it was written precisely.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    start: DateTime<Utc>,
    precision: Precision,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Precision {
    Month,
    Day,
    Minute,
    Second,
    Microsecond,
}

/// What a moment looks like, for those whose own does not.
pub const FORM: &str = "a moment such as 2026-11, 2026-11-01, 2026-11-01T14:30Z or \
                        2026-11-01T14:30:05+01:00";

impl Moment {
    /// Its beginning.
    pub fn start(self) -> DateTime<Utc> {
        self.start
    }

    /// The first moment behind it.
    pub fn end(self) -> DateTime<Utc> {
        match self.precision {
            Precision::Month => self.start + Months::new(1),
            Precision::Day => self.start + TimeDelta::days(1),
            Precision::Minute => self.start + TimeDelta::minutes(1),
            Precision::Second => self.start + TimeDelta::seconds(1),
            Precision::Microsecond => self.start + TimeDelta::microseconds(1),
        }
    }

    /// Reads one; none if it is written otherwise or is in no calendar. Years are those that both
    /// databases can compare.
    pub fn read(text: &str) -> Option<Moment> {
        let (date, time) = match text.split_once(['T', 't']) {
            Some((date, time)) => (date, Some(time)),
            None => (text, None),
        };
        let mut parts = date.split('-');
        let year = number(parts.next()?, 4)?;
        let month = number(parts.next()?, 2)?;
        let day = parts.next().map(|day| number(day, 2));
        if parts.next().is_some() {
            return None;
        }
        let (day, mut precision) = match day {
            Some(day) => (day?, Precision::Day),
            None => (1, Precision::Month),
        };
        let date = NaiveDate::from_ymd_opt(i32::try_from(year).ok()?, month, day)?;
        let mut start = date.and_hms_opt(0, 0, 0)?.and_utc();
        if let Some(time) = time {
            if precision == Precision::Month {
                return None;
            }
            let (clock, offset) = offset(time)?;
            let (since_midnight, exact) = of_day(clock)?;
            precision = exact;
            start = start + since_midnight - offset;
        }
        let sane = NaiveDate::from_ymd_opt(1, 1, 1)?..NaiveDate::from_ymd_opt(9_999, 1, 1)?;
        sane.contains(&start.date_naive())
            .then_some(Moment { start, precision })
    }
}

/// A number of so many ASCII digits.
fn number(text: &str, digits: usize) -> Option<u32> {
    let whole = text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit());
    whole.then(|| text.parse().ok()).flatten()
}

/// Splits a time of day from how far it is ahead of UTC.
fn offset(time: &str) -> Option<(&str, TimeDelta)> {
    if let Some(clock) = time.strip_suffix(['Z', 'z']) {
        return Some((clock, TimeDelta::zero()));
    }
    let Some(place) = time.find(['+', '-']) else {
        return Some((time, TimeDelta::zero()));
    };
    let (clock, ahead) = time.split_at(place);
    let (hours, minutes) = ahead.get(1..)?.split_once(':')?;
    let (hours, minutes) = (number(hours, 2)?, number(minutes, 2)?);
    if hours > 23 || minutes > 59 {
        return None;
    }
    let size = TimeDelta::minutes(i64::from(hours * 60 + minutes));
    Some((clock, if ahead.starts_with('-') { -size } else { size }))
}

/// Reads `14:30`, `14:30:05` or `14:30:05.123`.
fn of_day(clock: &str) -> Option<(TimeDelta, Precision)> {
    let mut parts = clock.split(':');
    let (hours, minutes) = (number(parts.next()?, 2)?, number(parts.next()?, 2)?);
    let seconds = parts.next();
    if hours > 23 || minutes > 59 || parts.next().is_some() {
        return None;
    }
    let whole = TimeDelta::minutes(i64::from(hours * 60 + minutes));
    let Some(seconds) = seconds else {
        return Some((whole, Precision::Minute));
    };
    let (seconds, fraction) = match seconds.split_once('.') {
        Some((seconds, fraction)) => (seconds, Some(fraction)),
        None => (seconds, None),
    };
    let seconds = number(seconds, 2).filter(|seconds| *seconds < 60)?;
    let whole = whole + TimeDelta::seconds(i64::from(seconds));
    let Some(fraction) = fraction else {
        return Some((whole, Precision::Second));
    };
    if !(1..=6).contains(&fraction.len()) {
        return None;
    }
    let micros = number(&format!("{fraction:0<6}"), 6)?;
    let whole = whole + TimeDelta::microseconds(i64::from(micros));
    Some((whole, Precision::Microsecond))
}

impl PartialOrd for Moment {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        self.start.partial_cmp(&other.start)
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let format = match self.precision {
            Precision::Month => "%Y-%m",
            Precision::Day => "%Y-%m-%d",
            Precision::Minute => "%Y-%m-%dT%H:%MZ",
            Precision::Second => "%Y-%m-%dT%H:%M:%SZ",
            Precision::Microsecond => "%Y-%m-%dT%H:%M:%S%.6fZ",
        };
        self.start.format(format).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_as_long_as_it_was_written_precisely() {
        for (text, start, end) in [
            ("2026-12", "2026-12-01T00:00:00Z", "2027-01-01T00:00:00Z"),
            ("2028-02", "2028-02-01T00:00:00Z", "2028-03-01T00:00:00Z"),
            ("2026-11-01", "2026-11-01T00:00:00Z", "2026-11-02T00:00:00Z"),
            (
                "2026-11-01T14:30",
                "2026-11-01T14:30:00Z",
                "2026-11-01T14:31:00Z",
            ),
            (
                "2026-11-01T00:30+01:00",
                "2026-10-31T23:30:00Z",
                "2026-10-31T23:31:00Z",
            ),
            (
                "2026-11-01t14:30:05z",
                "2026-11-01T14:30:05Z",
                "2026-11-01T14:30:06Z",
            ),
            (
                "2026-11-01T14:30:05.25-02:30",
                "2026-11-01T17:00:05.250Z",
                "2026-11-01T17:00:05.250001Z",
            ),
        ] {
            let moment = Moment::read(text).unwrap();
            let utc = |text: &str| text.parse::<DateTime<Utc>>().unwrap();
            assert_eq!(
                (moment.start(), moment.end()),
                (utc(start), utc(end)),
                "{text}"
            );
            assert_eq!(Moment::read(&moment.to_string()), Some(moment), "{moment}");
        }
    }

    #[test]
    fn what_is_in_no_calendar_is_no_moment() {
        for text in [
            "",
            "2026",
            "2026-13",
            "2026-00",
            "2026-02-29",
            "2026-11-31",
            "2026-1-1",
            "26-11-01",
            "0000-01-01",
            "9999-01-01",
            "12026-11-01",
            "-2026-11-01",
            "2026-11-01-01",
            "2026/11/01",
            "01.11.2026",
            "2026-11T10:00",
            "2026-11-01T",
            "2026-11-01T24:00",
            "2026-11-01T10",
            "2026-11-01T10:60",
            "2026-11-01T10:00:60",
            "2026-11-01T10:00:00.",
            "2026-11-01T10:00:00.1234567",
            "2026-11-01T10:00+1",
            "2026-11-01T10:00+24:00",
            "2026-11-01T10:00ZZ",
            "2026-11-01 10:00",
            "٢٠٢٦-١١-٠١",
            "tomorrow",
        ] {
            assert_eq!(Moment::read(text), None, "{text}");
        }
    }
}
