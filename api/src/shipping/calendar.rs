//! When a parcel is taken and when it arrives, by the calendar of where it is taken. Public
//! holidays are not known.

use chrono::{DateTime, Days, NaiveDate, NaiveTime, Timelike, Utc};
use entity::{Weekdays, carrier_service};

/// The day on which a parcel that is ready at a moment is taken: the same day before the cut-off,
/// else the next on which parcels are taken. At the very minute of the cut-off it is too late.
pub fn pickup(service: &carrier_service::Model, ready_at: DateTime<Utc>) -> NaiveDate {
    let local = service.time_zone.local(ready_at);
    let minutes = local.hour() * 60 + local.minute();
    let in_time = i64::from(minutes) < i64::from(service.cut_off_minutes);
    let first = local.date() + Days::new(u64::from(!in_time));
    next(first, service.pickup_weekdays)
}

/// The day on which a parcel arrives that is so many delivery days under way.
pub fn arrival(service: &carrier_service::Model, pickup: NaiveDate, days: i32) -> NaiveDate {
    let mut day = pickup;
    for _ in 0..days {
        day = next(day + Days::new(1), service.delivery_weekdays);
    }
    next(day, service.delivery_weekdays)
}

/// The end of a day there: by then the customer has what arrives on it.
pub fn end(service: &carrier_service::Model, day: NaiveDate) -> DateTime<Utc> {
    let last = NaiveTime::from_hms_opt(23, 59, 59).unwrap_or_default();
    service.time_zone.moment(day.and_time(last))
}

/// The first of these weekdays, from a day on.
fn next(from: NaiveDate, weekdays: Weekdays) -> NaiveDate {
    use chrono::Datelike;
    let week = from.iter_days().take(7);
    week.into_iter()
        .find(|day| weekdays.has(day.weekday()))
        .unwrap_or(from)
}
