//! Business calendars: when a site works. Pure.

use chrono::{DateTime, Datelike, Days, NaiveDate, NaiveTime, TimeDelta, TimeZone, Utc, Weekday};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

/// Days looked at before giving up: a calendar that never opens again ends a count there.
const HORIZON: u64 = 3660;

/// Working days, one span of hours with at most one break in it, and holidays; local times of the site.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Calendar {
    pub working_days: Vec<Weekday>,
    pub opens: NaiveTime,
    pub closes: NaiveTime,
    /// From, to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pause: Option<(NaiveTime, NaiveTime)>,
    #[serde(default)]
    pub holidays: Vec<NaiveDate>,
}

fn hour(hour: u32) -> NaiveTime {
    NaiveTime::from_hms_opt(hour, 0, 0).unwrap_or_default()
}

impl Default for Calendar {
    /// Monday to Friday, nine to five.
    fn default() -> Self {
        Self {
            working_days: vec![Weekday::Mon, Weekday::Tue, Weekday::Wed, Weekday::Thu, Weekday::Fri],
            opens: hour(9),
            closes: hour(17),
            pause: None,
            holidays: Vec::new(),
        }
    }
}

impl Calendar {
    /// What is wrong with it: the field, and how to mend it.
    ///
    /// # Errors
    /// The first thing that cannot be used.
    pub fn check(&self) -> Result<(), (&'static str, &'static str)> {
        if self.working_days.is_empty() {
            return Err(("working_days", "Choose at least one working day"));
        }
        if self.opens >= self.closes {
            return Err(("closes", "The day ends after it begins"));
        }
        match self.pause {
            Some((from, to)) if from >= to || from <= self.opens || to >= self.closes => {
                Err(("pause", "The break lies within the working hours and ends after it begins"))
            }
            _ => Ok(()),
        }
    }

    /// The working spans of a day, in order.
    fn spans(&self, day: NaiveDate) -> Vec<(NaiveTime, NaiveTime)> {
        if !self.working_days.contains(&day.weekday()) || self.holidays.contains(&day) {
            return Vec::new();
        }
        match self.pause {
            Some((from, to)) => vec![(self.opens, from), (to, self.closes)],
            None => vec![(self.opens, self.closes)],
        }
    }

    /// The spans from that instant on, as instants; the first may have begun already.
    fn coming(&self, zone: Tz, from: DateTime<Utc>) -> impl Iterator<Item = (DateTime<Utc>, DateTime<Utc>)> + '_ {
        let today = from.with_timezone(&zone).date_naive();
        let days = (0..HORIZON).map_while(move |days| today.checked_add_days(Days::new(days)));
        days.flat_map(move |day| self.spans(day).into_iter().map(move |span| (day, span)))
            .map(move |(day, (opens, closes))| (instant(zone, day, opens), instant(zone, day, closes)))
            // What lies in the hour that a zone leaves out is no span at all.
            .filter(move |(opens, closes)| closes > opens && *closes > from)
    }

    /// The working time between two instants; none where the second is not later.
    pub fn between(&self, zone: Tz, from: DateTime<Utc>, to: DateTime<Utc>) -> TimeDelta {
        self.coming(zone, from)
            .take_while(|(opens, _)| *opens < to)
            .map(|(opens, closes)| (closes.min(to) - opens.max(from)).max(TimeDelta::zero()))
            .sum()
    }

    /// The instant at which so much working time has passed; the same instant where the calendar never opens.
    pub fn add(&self, zone: Tz, from: DateTime<Utc>, work: TimeDelta) -> DateTime<Utc> {
        let mut left = work;
        for (opens, closes) in self.coming(zone, from) {
            let begins = opens.max(from);
            if closes - begins >= left {
                return begins + left;
            }
            left -= closes - begins;
        }
        from + work
    }

    /// That instant if it is working time, else when work begins again.
    pub fn next_open(&self, zone: Tz, at: DateTime<Utc>) -> DateTime<Utc> {
        self.coming(zone, at).next().map_or(at, |(opens, _)| opens.max(at))
    }
}

/// The longest time that a zone ever left out: Samoa skipped a day.
const LONGEST_GAP: i64 = 25 * 60;

/// A local time as an instant. In the time that a zone leaves out it is the end of the gap; of one that comes twice, the first.
fn instant(zone: Tz, day: NaiveDate, time: NaiveTime) -> DateTime<Utc> {
    let local = day.and_time(time);
    (0..LONGEST_GAP)
        .find_map(|minutes| zone.from_local_datetime(&(local + TimeDelta::minutes(minutes))).earliest())
        .map_or_else(|| local.and_utc(), |at| at.with_timezone(&Utc))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HAMBURG: Tz = chrono_tz::Europe::Berlin;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn work_is_counted_over_nights_weekends_breaks_and_holidays() {
        let calendar = Calendar {
            pause: Some((hour(12), hour(13))),
            holidays: vec!["2026-12-25".parse().unwrap()],
            ..Calendar::default()
        };
        calendar.check().unwrap();
        // Thursday 24 December, 16:00 in Hamburg; Friday is a holiday.
        let from = at("2026-12-24T15:00:00Z");
        assert_eq!(calendar.add(HAMBURG, from, TimeDelta::hours(1)), at("2026-12-24T16:00:00Z"));
        assert_eq!(calendar.add(HAMBURG, from, TimeDelta::hours(2)), at("2026-12-28T09:00:00Z"));
        assert_eq!(calendar.add(HAMBURG, from, TimeDelta::hours(5)), at("2026-12-28T13:00:00Z"));
        assert_eq!(calendar.next_open(HAMBURG, at("2026-12-26T15:00:00Z")), at("2026-12-28T08:00:00Z"));
        assert_eq!(calendar.next_open(HAMBURG, at("2026-12-28T11:30:00Z")), at("2026-12-28T12:00:00Z"));
    }

    #[test]
    fn summer_time_moves_the_hours_with_the_wall_clock() {
        let calendar = Calendar::default();
        assert_eq!(calendar.next_open(HAMBURG, at("2026-03-28T12:00:00Z")), at("2026-03-30T07:00:00Z"));
        let sunday = Calendar { working_days: vec![Weekday::Sun], opens: hour(2), closes: hour(5), ..calendar };
        // Two o'clock does not exist on that Sunday: work begins at three.
        assert_eq!(sunday.next_open(HAMBURG, at("2026-03-28T12:00:00Z")), at("2026-03-29T01:00:00Z"));
        let (night, morning) = (at("2026-03-28T12:00:00Z"), at("2026-03-29T12:00:00Z"));
        assert_eq!(sunday.between(HAMBURG, night, morning), TimeDelta::hours(2));
        // Half past two is three o'clock then; what would lie in the gap alone is no time at all.
        let gap = Calendar { opens: half_past(2), closes: hour(3), ..sunday.clone() };
        assert_eq!(gap.between(HAMBURG, night, morning), TimeDelta::zero());
        let across = Calendar { opens: half_past(2), closes: half_past(3), ..sunday };
        assert_eq!(across.between(HAMBURG, night, morning), TimeDelta::minutes(30));
    }

    fn half_past(hour: u32) -> NaiveTime {
        NaiveTime::from_hms_opt(hour, 30, 0).unwrap()
    }

    #[test]
    fn what_cannot_be_worked_by_is_named() {
        let wrong = Calendar { opens: hour(17), closes: hour(9), ..Calendar::default() };
        assert_eq!(wrong.check().unwrap_err().0, "closes");
        let wrong = Calendar { pause: Some((hour(8), hour(9))), ..Calendar::default() };
        assert_eq!(wrong.check().unwrap_err().0, "pause");
        assert_eq!(Calendar { working_days: Vec::new(), ..Calendar::default() }.check().unwrap_err().0, "working_days");
    }

    proptest! {
        /// Working time adds up: first a part and then the rest ends where the whole does.
        #[test]
        fn parts_add_up(start in 0i64..200_000_000, first in 0i64..5000, second in 1i64..5000) {
            let from = DateTime::from_timestamp(1_760_000_000 + start, 0).unwrap();
            let calendar = Calendar { pause: Some((hour(12), hour(13))), ..Calendar::default() };
            let (first, second) = (TimeDelta::minutes(first), TimeDelta::minutes(second));
            let whole = calendar.add(HAMBURG, from, first + second);
            prop_assert_eq!(calendar.add(HAMBURG, calendar.add(HAMBURG, from, first), second), whole);
            prop_assert!(whole >= from + first + second);
            prop_assert_eq!(calendar.between(HAMBURG, from, whole), first + second);
            prop_assert_eq!(calendar.between(HAMBURG, whole, from), TimeDelta::zero());
            // Nor is it less than none where both lie in the middle of a day's work.
            prop_assert_eq!(calendar.between(HAMBURG, whole, whole - TimeDelta::minutes(1)), TimeDelta::zero());
        }
    }
}
