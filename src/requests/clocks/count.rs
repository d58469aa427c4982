//! Counting: from what happened to a request to when its clocks run out. Pure; nothing is carried over from an earlier count.

use chrono::{DateTime, TimeDelta, Utc};

use crate::people::Hours;

/// The clocks stood still from then on, until then; None: they still do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wait {
    pub from: DateTime<Utc>,
    pub until: Option<DateTime<Utc>>,
}

/// Something that a clock heeds: from then on it stands still (with the time at which it goes on by itself, if there is
/// one), or it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event {
    pub at: DateTime<Utc>,
    pub stands: bool,
    pub until: Option<DateTime<Utc>>,
}

/// The waits that events, oldest first, amount to: each ends with the next event, or by itself before.
pub fn waits(events: &[Event]) -> Vec<Wait> {
    let mut waits: Vec<Wait> = Vec::new();
    for (position, event) in events.iter().enumerate() {
        if !event.stands {
            continue;
        }
        let next = events.get(position + 1).map(|next| next.at);
        let until = [event.until, next].into_iter().flatten().min();
        if until.is_none_or(|until| until > event.at) {
            waits.push(Wait { from: event.at, until });
        }
    }
    waits
}

/// One clock of a request.
#[derive(Debug, Clone, Copy)]
pub struct Clock<'a> {
    pub hours: &'a Hours,
    pub started: DateTime<Utc>,
    /// In order, apart from each other.
    pub waits: &'a [Wait],
    /// Answered, or settled. What comes after is nothing to it.
    pub stopped: Option<DateTime<Utc>>,
}

impl Clock<'_> {
    /// The pieces of time in which it runs; the last may have no end. Once stopped it is counted as if it ran on, so that it
    /// can be said by how much it was late.
    fn runs(&self) -> Vec<(DateTime<Utc>, Option<DateTime<Utc>>)> {
        let mut runs = Vec::with_capacity(self.waits.len() + 1);
        let mut from = self.started;
        for wait in self.waits {
            if self.stopped.is_some_and(|stopped| wait.from >= stopped) {
                break;
            }
            if wait.from > from {
                runs.push((from, Some(wait.from)));
            }
            let until = match (wait.until, self.stopped) {
                (Some(until), Some(stopped)) => until.min(stopped),
                (Some(until), None) | (None, Some(until)) => until,
                (None, None) => return runs,
            };
            from = from.max(until);
        }
        runs.push((from, None));
        runs
    }

    /// When so much working time will have run; None: it stands still, and nobody knows until when.
    pub fn due(&self, within: TimeDelta) -> Option<DateTime<Utc>> {
        let mut left = within;
        for (from, to) in self.runs() {
            let Some(to) = to else { return Some(self.hours.add(from, left)) };
            let worked = self.hours.between(from, to);
            if worked >= left {
                return Some(self.hours.add(from, left));
            }
            left -= worked;
        }
        None
    }

    /// The working time that has run by then, or by when it stopped.
    pub fn worked(&self, by: DateTime<Utc>) -> TimeDelta {
        let by = self.stopped.map_or(by, |stopped| stopped.min(by));
        self.runs().into_iter().map(|(from, to)| self.hours.between(from, to.map_or(by, |to| to.min(by)))).sum()
    }
}

#[cfg(test)]
mod tests {
    use chrono::{NaiveTime, Timelike, Weekday};
    use chrono_tz::Tz;
    use proptest::prelude::*;

    use super::*;
    use crate::people::Calendar;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn hamburg() -> Hours {
        Hours { zone: chrono_tz::Europe::Berlin, ..Hours::default() }
    }

    const HOUR: TimeDelta = TimeDelta::hours(1);

    #[test]
    fn it_stands_still_while_it_waits_and_goes_on_where_it_stood() {
        let hours = hamburg();
        let clock = |waits| Clock { hours: &hours, started: at("2026-11-23T08:00:00Z"), waits, stopped: None };
        assert_eq!(clock(&[]).due(HOUR * 8), Some(at("2026-11-23T16:00:00Z")));
        // Sent back after three hours, answered the next day at noon: five hours are left.
        let waits = [Wait { from: at("2026-11-23T11:00:00Z"), until: Some(at("2026-11-24T11:00:00Z")) }];
        assert_eq!(clock(&waits).due(HOUR * 8), Some(at("2026-11-24T16:00:00Z")));
        assert_eq!(clock(&waits).worked(at("2026-11-24T12:00:00Z")), HOUR * 4);
        assert_eq!(clock(&waits).worked(at("2026-11-24T10:00:00Z")), HOUR * 3, "and no less shortly before it goes on");
        let waits = [Wait { from: at("2026-11-23T11:00:00Z"), until: None }];
        assert_eq!(clock(&waits).due(HOUR * 8), None, "nobody knows");
        assert_eq!(clock(&waits).due(HOUR * 2), Some(at("2026-11-23T10:00:00Z")), "it had run out before");
        assert_eq!(clock(&waits).worked(at("2026-12-23T11:00:00Z")), HOUR * 3);
        // Taken back while it waited: what came after is nothing to it.
        let stopped = Clock { stopped: Some(at("2026-11-25T11:00:00Z")), ..clock(&waits) };
        assert_eq!(stopped.worked(at("2026-12-23T11:00:00Z")), HOUR * 3);
        assert_eq!(stopped.due(HOUR * 8), Some(at("2026-11-25T16:00:00Z")));
    }

    #[test]
    fn events_in_a_row_are_waits_apart() {
        let (one, two, three) = (at("2026-11-23T08:00:00Z"), at("2026-11-24T08:00:00Z"), at("2026-11-25T08:00:00Z"));
        let event = |at, stands, until| Event { at, stands, until };
        assert_eq!(
            waits(&[event(one, true, Some(two)), event(three, false, None)]),
            [Wait { from: one, until: Some(two) }]
        );
        assert_eq!(
            waits(&[event(one, true, None), event(two, true, Some(three))]),
            [Wait { from: one, until: Some(two) }, Wait { from: two, until: Some(three) }],
            "the day was moved while it waited"
        );
        assert_eq!(waits(&[event(one, true, None), event(one, false, None)]), [], "no time at all");
    }

    /// Minute by minute, by the wall clock: slow, and nothing like the other way.
    struct ByTheMinute<'a>(&'a Hours, &'a [Wait]);

    impl ByTheMinute<'_> {
        fn works(&self, at: DateTime<Utc>) -> bool {
            let waits = self.1.iter().any(|wait| wait.from <= at && wait.until.is_none_or(|until| at < until));
            let Some(calendar) = &self.0.calendar else { return !waits };
            let local = at.with_timezone(&self.0.zone);
            let (day, time) = (local.date_naive(), local.time());
            let open = calendar.opens <= time && time < calendar.closes;
            let pause = calendar.pause.is_some_and(|(from, to)| from <= time && time < to);
            let working = calendar.working_days.contains(&chrono::Datelike::weekday(&day));
            !waits && open && !pause && working && !calendar.holidays.contains(&day)
        }

        fn worked(&self, from: DateTime<Utc>, to: DateTime<Utc>) -> i64 {
            let minutes = (to - from).num_minutes();
            i64::try_from((0..minutes).filter(|minute| self.works(from + TimeDelta::minutes(*minute))).count()).unwrap()
        }
    }

    fn hours() -> impl Strategy<Value = Hours> {
        let zones = prop::sample::select(vec![
            chrono_tz::Europe::Berlin,
            chrono_tz::America::New_York,
            chrono_tz::Asia::Kolkata,
            chrono_tz::Australia::Lord_Howe,
            Tz::UTC,
        ]);
        let days = prop::sample::subsequence(
            vec![Weekday::Mon, Weekday::Tue, Weekday::Wed, Weekday::Thu, Weekday::Fri, Weekday::Sat, Weekday::Sun],
            1..7,
        );
        (zones, days, 5u32..10, 14u32..20, any::<bool>(), 0u32..4, prop::bool::weighted(0.1)).prop_map(
            |(zone, working_days, opens, closes, pause, holiday, always)| {
                let time = |hour: u32, minute| NaiveTime::from_hms_opt(hour, minute, 0).unwrap();
                let calendar = Calendar {
                    working_days,
                    opens: time(opens, 0),
                    closes: time(closes, 30),
                    pause: pause.then(|| (time(12, 0), time(12, 45))),
                    holidays: (0..holiday).map(|n| format!("2026-10-2{}", 2 + 2 * n).parse().unwrap()).collect(),
                };
                Hours { zone, calendar: (!always).then_some(calendar), ..Hours::default() }
            },
        )
    }

    /// Some days around the end of summer time in Europe (25 October) and America (1 November) and its beginning down under.
    fn events() -> impl Strategy<Value = (DateTime<Utc>, Vec<Event>)> {
        let start = at("2026-10-20T00:00:00Z");
        let event = (1i64..4000, any::<bool>(), prop::option::of(1i64..6000));
        (0i64..8000, prop::collection::vec(event, 0..6)).prop_map(move |(first, parts)| {
            let started = start + TimeDelta::minutes(first);
            let mut now = started;
            let events = parts.into_iter().map(|(after, stands, until)| {
                now += TimeDelta::minutes(after);
                Event {
                    at: now,
                    stands,
                    until: until.filter(|_| stands).map(|minutes| now + TimeDelta::minutes(minutes)),
                }
            });
            (started, events.collect())
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        /// Whatever happened, in whatever order: the clock runs out at the minute at which counting minutes says so.
        #[test]
        fn it_agrees_with_counting_minutes(hours in hours(), (started, events) in events(), within in 1i64..2400, later in 0i64..20_000) {
            let waits = waits(&events);
            let clock = Clock { hours: &hours, started, waits: &waits, stopped: None };
            let slow = ByTheMinute(&hours, &waits);
            let by = started + TimeDelta::minutes(later);
            prop_assert_eq!(clock.worked(by).num_minutes(), slow.worked(started, by));
            if let Some(due) = clock.due(TimeDelta::minutes(within)) {
                prop_assert!(due > started && due.second() == 0);
                prop_assert_eq!(slow.worked(started, due), within);
                prop_assert!(slow.works(due - TimeDelta::minutes(1)), "not a minute later than that");
            } else {
                prop_assert!(waits.last().is_some_and(|wait| wait.until.is_none()));
            }
        }

        /// Kept step by step (whoever was there noted how much was left at each event), it comes to the same.
        #[test]
        fn it_agrees_with_keeping_what_is_left(hours in hours(), (started, events) in events(), within in 1i64..2400) {
            let within = TimeDelta::minutes(within);
            let (mut left, mut runs_from, mut due) = (within, Some(started), None);
            for wait in waits(&events) {
                let Some(from) = runs_from else { break };
                let worked = hours.between(from, wait.from.max(from));
                if worked >= left {
                    due = Some(hours.add(from, left));
                    break;
                }
                left -= worked;
                runs_from = wait.until;
            }
            let kept = due.or_else(|| runs_from.map(|from| hours.add(from, left)));
            let clock = Clock { hours: &hours, started, waits: &waits(&events), stopped: None };
            prop_assert_eq!(clock.due(within), kept);
        }

        /// Rules and calendar that change in the middle, also while it stands still: what was counted before leaves no trace.
        #[test]
        fn a_change_in_a_wait_is_as_if_it_had_always_been_so(
            before in hours(), after in hours(), (started, events) in events(), (first, then) in (1i64..2400, 1i64..2400),
        ) {
            let all = waits(&events);
            for seen in 0..events.len() {
                let waits = waits(&events[..seen]);
                let _ = Clock { hours: &before, started, waits: &waits, stopped: None }.due(TimeDelta::minutes(first));
            }
            let counted = Clock { hours: &after, started, waits: &all, stopped: None };
            let (sooner, later) = (counted.due(TimeDelta::minutes(then)), counted.due(TimeDelta::minutes(then + 60)));
            if let (Some(sooner), Some(later)) = (sooner, later) {
                prop_assert_eq!(counted.worked(later) - counted.worked(sooner), TimeDelta::hours(1));
            }
            // Stopped at any moment it has worked no more than before, and never less than nothing.
            for event in &events {
                let stopped = Clock { stopped: Some(event.at), ..counted };
                prop_assert!(stopped.worked(event.at) >= TimeDelta::zero());
                prop_assert_eq!(stopped.worked(event.at + TimeDelta::days(9)), counted.worked(event.at));
                prop_assert!(stopped.due(TimeDelta::minutes(then)).is_some());
            }
        }
    }
}
