//! Service levels: how soon somebody answers and how soon it is done, by kind of request. Pure.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use super::settings::{Invalid, Setting, invalid};

/// Priority and clocks of a kind of request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Level {
    /// 1 critical, 2 high, 3 normal, 4 low
    pub priority: i16,
    /// Minutes until the first response, by the calendar.
    pub respond_minutes: i64,
    /// Minutes until it is done, by the calendar.
    pub resolve_minutes: i64,
}

impl Level {
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
    #[serde(default)]
    pub patience: Patience,
}

/// What happens where a decision does not come, counted from when it was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Patience {
    /// Whoever is asked is reminded, again and again.
    pub remind_hours: i64,
    /// Somebody above them is asked as well.
    pub escalate_hours: i64,
    /// The item lapses.
    pub lapse_days: i64,
}

impl Default for Patience {
    fn default() -> Self {
        Self { remind_hours: 24, escalate_hours: 72, lapse_days: 30 }
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
}

impl Setting for ServiceLevels {
    const KIND: &'static str = "service_levels";

    fn check(&self) -> Result<(), Invalid> {
        let named = self.kinds.iter().map(|(name, level)| (format!("kinds.{name}"), level));
        for (name, level) in named.chain([("default".to_owned(), &self.default)]) {
            if !(1..=4).contains(&level.priority) {
                return Err(invalid(format!("{name}.priority"), "The priority is 1 to 4"));
            }
            let year = 366 * 24 * 60;
            if !(1..=year).contains(&level.respond_minutes)
                || !(level.respond_minutes..=year).contains(&level.resolve_minutes)
            {
                return Err(invalid(
                    format!("{name}.resolve_minutes"),
                    "Minutes are from 1 to a year, and resolving takes no less than responding",
                ));
            }
        }
        let patience = &self.patience;
        if !(1..=8784).contains(&patience.remind_hours)
            || !(1..=8784).contains(&patience.escalate_hours)
            || !(1..=366).contains(&patience.lapse_days)
            || patience.escalate() >= patience.lapse()
        {
            return Err(invalid(
                "patience.lapse_days",
                "Hours and days are from 1 to a year, and what lapses was asked higher before",
            ));
        }
        Ok(())
    }
}
