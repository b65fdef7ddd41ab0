//! The time zones that merchants live in, by their names in the IANA database.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Days, NaiveDateTime, Offset, TimeZone as _, Utc};
use sea_orm::DeriveValueType;

/// A time zone, stored as its IANA name: `Europe/Vienna`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, DeriveValueType)]
#[sea_orm(value_type = "String", column_type = "Text")]
pub struct TimeZone(chrono_tz::Tz);

impl TimeZone {
    /// Coordinated Universal Time.
    pub const UTC: TimeZone = TimeZone(chrono_tz::UTC);

    /// Its name in the IANA database.
    pub fn name(self) -> &'static str {
        self.0.name()
    }

    /// What calendars and clocks there show at a moment.
    pub fn local(self, at: DateTime<Utc>) -> NaiveDateTime {
        at.with_timezone(&self.0).naive_local()
    }

    /// The moment when clocks there show this: the first, if they show it twice. What they leap
    /// over in spring is as long after the leap as it is after the leap's beginning.
    pub fn moment(self, local: NaiveDateTime) -> DateTime<Utc> {
        let first = self.0.from_local_datetime(&local).earliest();
        first.map_or_else(
            || {
                let before = local.checked_sub_days(Days::new(1)).unwrap_or(local);
                let offset = self.0.offset_from_utc_datetime(&before).fix();
                (local - offset).and_utc()
            },
            |at| at.to_utc(),
        )
    }
}

impl fmt::Display for TimeZone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// No time zone of the IANA database has this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no time zone of the IANA database, such as Europe/Vienna")]
pub struct UnknownTimeZone(String);

impl FromStr for TimeZone {
    type Err = UnknownTimeZone;

    /// Takes a name as the database writes it, with blanks around it.
    fn from_str(name: &str) -> Result<Self, UnknownTimeZone> {
        name.trim()
            .parse()
            .map(TimeZone)
            .map_err(|_| UnknownTimeZone(name.chars().take(40).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_has_its_own_hours_in_summer_and_in_winter() {
        let vienna: TimeZone = " Europe/Vienna ".parse().unwrap();
        let local = |at: &str| vienna.local(at.parse().unwrap()).to_string();
        assert_eq!(local("2026-07-01T22:30:00Z"), "2026-07-02 00:30:00");
        assert_eq!(local("2026-12-01T22:30:00Z"), "2026-12-01 23:30:00");
        assert_eq!(vienna.to_string(), "Europe/Vienna");
        let moment = |local: &str| vienna.moment(local.parse().unwrap()).to_rfc3339();
        assert_eq!(moment("2026-07-02T00:30:00"), "2026-07-01T22:30:00+00:00");
        assert_eq!(moment("2026-10-25T02:30:00"), "2026-10-25T00:30:00+00:00");
        assert_eq!(moment("2026-03-29T02:30:00"), "2026-03-29T01:30:00+00:00");
        assert!("Mars/Olympus".parse::<TimeZone>().is_err());
    }
}
