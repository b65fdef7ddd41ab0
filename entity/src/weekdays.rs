//! Sets of weekdays.

use chrono::Weekday;
use sea_orm::DeriveValueType;

/// Some days of the week, stored as a number: 1 is Monday, 2 Tuesday, 4 Wednesday and so on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, DeriveValueType)]
pub struct Weekdays(pub i32);

impl Weekdays {
    /// Monday to Friday.
    pub const WORKING: Weekdays = Weekdays(0b001_1111);
    /// Monday to Saturday.
    pub const WITH_SATURDAY: Weekdays = Weekdays(0b011_1111);

    /// Whether a day is one of them.
    pub fn has(self, day: Weekday) -> bool {
        self.0 & (1 << day.num_days_from_monday()) != 0
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.0 & 0b111_1111 == 0
    }

    /// Each of them, Monday first.
    pub fn days(self) -> impl Iterator<Item = Weekday> {
        (0..7_u8)
            .filter_map(|day| Weekday::try_from(day).ok())
            .filter(move |day| self.has(*day))
    }
}

impl FromIterator<Weekday> for Weekdays {
    fn from_iter<I: IntoIterator<Item = Weekday>>(days: I) -> Self {
        let bits = days.into_iter();
        Weekdays(bits.fold(0, |all, day| all | 1 << day.num_days_from_monday()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_has_the_days_that_were_put_in() {
        let days = [Weekday::Sat, Weekday::Mon];
        let set: Weekdays = days.into_iter().collect();
        assert_eq!(set.days().collect::<Vec<_>>(), [Weekday::Mon, Weekday::Sat]);
        assert!(!set.has(Weekday::Sun) && !set.is_empty());
        let week: Weekdays = Weekdays::WORKING.days().chain([Weekday::Sat]).collect();
        assert_eq!(week, Weekdays::WITH_SATURDAY);
    }
}
