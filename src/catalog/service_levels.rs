//! Service levels: how soon somebody answers and how soon it is done, by kind of request. Pure.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use super::settings::{Invalid, Setting, invalid};

/// Priorities, and what they are called.
pub const PRIORITIES: [(i16, &str); 4] = [(1, "critical"), (2, "high"), (3, "normal"), (4, "low")];

/// Priority and clocks of a kind of request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Level {
    /// 1 critical, 2 high, 3 normal, 4 low
    pub priority: i16,
    /// Minutes of working time until the first response.
    pub respond_minutes: i64,
    /// Minutes of working time until it is done.
    pub resolve_minutes: i64,
    /// Every minute counts, by night and on holidays too.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub around_the_clock: bool,
}

/// How soon: what a kind has at its own priority, or what a priority has that was set by hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Times {
    pub respond_minutes: i64,
    pub resolve_minutes: i64,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub around_the_clock: bool,
}

impl Times {
    pub fn respond_within(&self) -> TimeDelta {
        TimeDelta::minutes(self.respond_minutes)
    }

    pub fn resolve_within(&self) -> TimeDelta {
        TimeDelta::minutes(self.resolve_minutes)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceLevels {
    pub default: Level,
    /// By kind as routes name it.
    #[serde(default)]
    pub kinds: BTreeMap<String, Level>,
    /// Where the desk has set another priority than the kind's own: by the word of [`PRIORITIES`].
    #[serde(default = "priorities")]
    pub priorities: BTreeMap<String, Times>,
    #[serde(default)]
    pub patience: Patience,
}

/// As they come with Tenure: a critical one in half a day, a low one in two weeks.
fn priorities() -> BTreeMap<String, Times> {
    let times = |respond_minutes, resolve_minutes| Times { respond_minutes, resolve_minutes, around_the_clock: false };
    let all = [times(30, 240), times(120, 960), times(480, 2880), times(960, 4800)];
    PRIORITIES.iter().zip(all).map(|((_, word), times)| ((*word).to_owned(), times)).collect()
}

/// What happens where a decision does not come, counted from when it was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Patience {
    /// Whoever is asked is reminded, again and again: after so many hours of their own working time.
    pub remind_hours: i64,
    /// Somebody above them is asked as well: after so many hours of the working time of those who were asked.
    pub escalate_hours: i64,
    /// The item lapses: days of the calendar.
    pub lapse_days: i64,
}

impl Default for Patience {
    /// A working day, three working days, a month.
    fn default() -> Self {
        Self { remind_hours: 8, escalate_hours: 24, lapse_days: 30 }
    }
}

impl Patience {
    pub fn remind(&self) -> TimeDelta {
        TimeDelta::hours(self.remind_hours)
    }

    pub fn escalate(&self) -> TimeDelta {
        TimeDelta::hours(self.escalate_hours)
    }

    pub fn lapse(&self) -> TimeDelta {
        TimeDelta::days(self.lapse_days)
    }
}

impl ServiceLevels {
    pub fn for_request(&self, kind: &str) -> Level {
        self.kinds.get(kind).copied().unwrap_or(self.default)
    }

    /// How soon a request of that kind and priority is answered and done.
    pub fn times(&self, kind: &str, priority: i16) -> Times {
        let Level { priority: own, respond_minutes, resolve_minutes, around_the_clock } = self.for_request(kind);
        let of_kind = Times { respond_minutes, resolve_minutes, around_the_clock };
        if own == priority {
            return of_kind;
        }
        let word = PRIORITIES.iter().find(|(known, _)| *known == priority).map_or("", |(_, word)| word);
        self.priorities.get(word).copied().unwrap_or(of_kind)
    }
}

fn minutes(name: &str, (respond, resolve): (i64, i64)) -> Option<Invalid> {
    let year = 366 * 24 * 60;
    if (1..=year).contains(&respond) && (respond..=year).contains(&resolve) {
        return None;
    }
    let message = "Minutes are from 1 to a year, and resolving takes no less than responding";
    Some(invalid(format!("{name}.resolve_minutes"), message))
}

impl Setting for ServiceLevels {
    const KIND: &'static str = "service_levels";

    fn wrong(&self) -> Vec<Invalid> {
        let mut wrong = Vec::new();
        let named = self.kinds.iter().map(|(name, level)| (format!("kinds.{name}"), level));
        for (name, level) in named.chain([("default".to_owned(), &self.default)]) {
            if !(1..=4).contains(&level.priority) {
                wrong.push(invalid(format!("{name}.priority"), "The priority is 1 to 4"));
            }
            wrong.extend(minutes(&name, (level.respond_minutes, level.resolve_minutes)));
        }
        for (priority, times) in &self.priorities {
            let name = format!("priorities.{priority}");
            if !PRIORITIES.iter().any(|(_, word)| word == priority) {
                wrong.push(invalid(&name, "A priority is critical, high, normal or low"));
            }
            wrong.extend(minutes(&name, (times.respond_minutes, times.resolve_minutes)));
        }
        let patience = &self.patience;
        if !(1..=8784).contains(&patience.remind_hours)
            || !(1..=8784).contains(&patience.escalate_hours)
            || !(1..=366).contains(&patience.lapse_days)
            || patience.escalate() >= patience.lapse()
        {
            let message = "Hours and days are from 1 to a year, and what lapses was asked higher before";
            wrong.push(invalid("patience.lapse_days", message));
        }
        wrong
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_priority_set_by_hand_has_its_own_times() {
        let levels: ServiceLevels = serde_json::from_str(include_str!("defaults/service_levels.json")).unwrap();
        assert_eq!(levels.wrong(), []);
        let minutes = |kind: &str, priority| levels.times(kind, priority).resolve_minutes;
        assert_eq!((minutes("joiner", 2), minutes("unlock", 2), minutes("access", 3)), (1440, 30, 2880));
        assert_eq!((minutes("joiner", 1), minutes("unlock", 4)), (240, 4800));
        assert!(levels.times("leaver_immediate", 1).around_the_clock);
        let wrong = |name: &str, respond| {
            let mut levels = levels.clone();
            let times = Times { respond_minutes: respond, resolve_minutes: 5, around_the_clock: false };
            levels.priorities.insert(name.to_owned(), times);
            levels.wrong().remove(0).field
        };
        assert_eq!(
            (wrong("urgent", 1).as_str(), wrong("low", 6).as_str()),
            ("priorities.urgent", "priorities.low.resolve_minutes")
        );
    }
}
