//! The periods of a report: days, weeks and months as they are where they are lived.

use chrono::{DateTime, Datelike, Days, Months, NaiveDate, NaiveTime, Utc};
use entity::TimeZone;

use crate::checks::Checks;
use crate::failure::{Code, Failure};

/// The seconds of a quarter of an hour, by which figures are kept.
pub const QUARTER: i64 = 900;

/// How many periods a report has at most.
pub const MOST_PERIODS: usize = 400;

/// When a period begins, and when it ends; that moment is of the next.
pub type Period = (DateTime<Utc>, DateTime<Utc>);

/// How long a line of a report is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, async_graphql::Enum)]
#[graphql(name = "ReportInterval")]
pub enum Interval {
    /// All days together.
    Total,
    /// Each day from midnight to midnight.
    Day,
    /// Each week from Monday on; the first and the last may be shorter.
    Week,
    /// Each month of the calendar; the first and the last may be shorter.
    Month,
}

/// The periods of the days from one to another, both included, of a time zone.
pub fn of(
    from: NaiveDate,
    to: NaiveDate,
    time_zone: TimeZone,
    interval: Interval,
) -> Result<Vec<Period>, Failure> {
    let mut checks = Checks::new();
    let sane = |day: NaiveDate| (1970..=2200).contains(&day.year());
    checks.hold(
        from <= to && sane(from) && sane(to),
        Code::InvalidInput,
        "input.to",
        "a report ends on the day on which it begins, or later",
    );
    checks.done()?;
    let end = to + Days::new(1);
    let mut days = vec![from];
    while let Some(last) = days.last().copied().filter(|last| *last < end) {
        let next = match interval {
            Interval::Total => end,
            Interval::Day => last + Days::new(1),
            Interval::Week => {
                last + Days::new(7 - u64::from(last.weekday().num_days_from_monday()))
            }
            Interval::Month => last.with_day(1).unwrap_or(last) + Months::new(1),
        };
        days.push(std::cmp::min(next, end));
        if days.len() > MOST_PERIODS + 1 {
            break;
        }
    }
    let mut checks = Checks::new();
    checks.hold(
        days.len() <= MOST_PERIODS + 1,
        Code::TooMany,
        "input.interval",
        "a report has at most 400 periods",
    );
    checks.done()?;
    let midnight = |day: &NaiveDate| time_zone.moment(day.and_time(NaiveTime::MIN));
    let bounds: Vec<DateTime<Utc>> = days.iter().map(midnight).collect();
    let ends = bounds.iter().copied().skip(1);
    Ok(bounds.iter().copied().zip(ends).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn periods(
        from: &str,
        to: &str,
        zone: &str,
        interval: Interval,
    ) -> Result<Vec<Period>, Failure> {
        let (from, to) = (from.parse().unwrap(), to.parse().unwrap());
        of(from, to, zone.parse().unwrap(), interval)
    }

    fn hours(from: &str, to: &str, interval: Interval) -> Vec<i64> {
        let periods = periods(from, to, "Europe/Vienna", interval).unwrap();
        let periods = periods.into_iter();
        periods
            .map(|(start, end)| (end - start).num_hours())
            .collect()
    }

    #[test]
    fn p4b_days_are_as_long_as_they_are_where_they_are_lived() {
        // Clocks were put back on 2026-10-25 and forward on 2026-03-29.
        assert_eq!(
            hours("2026-10-24", "2026-10-26", Interval::Day),
            [24, 25, 24]
        );
        assert_eq!(hours("2026-03-29", "2026-03-29", Interval::Total), [23]);
    }

    #[test]
    fn p4b_weeks_and_months_are_those_of_the_calendar() {
        let weeks = hours("2026-11-25", "2026-12-08", Interval::Week);
        assert_eq!(weeks, [5 * 24, 7 * 24, 2 * 24]);
        let months = hours("2026-01-31", "2026-03-01", Interval::Month);
        assert_eq!(months, [24, 28 * 24, 24]);
        let vienna = |from, to, interval| periods(from, to, "Europe/Vienna", interval);
        assert!(vienna("2026-01-02", "2026-01-01", Interval::Total).is_err());
        assert!(vienna("2020-01-01", "2026-01-01", Interval::Day).is_err());
        assert!(vienna("2020-01-01", "2026-01-01", Interval::Week).is_ok());
    }

    #[test]
    fn p4b_every_day_everywhere_begins_with_a_quarter_of_an_hour() {
        for zone in [
            "Asia/Kathmandu",
            "Australia/Eucla",
            "America/St_Johns",
            "Pacific/Chatham",
        ] {
            let days = periods("2026-01-01", "2026-12-31", zone, Interval::Day).unwrap();
            assert!(
                days.iter().all(|(at, _)| at.timestamp() % QUARTER == 0),
                "{zone}"
            );
        }
    }
}
