//! How long a person's values are kept after they have left. Pure.

use chrono::{Months, NaiveDate};
use serde::{Deserialize, Serialize};

use super::settings::{Invalid, Setting, invalid};

/// Counted from the last day of the last employment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retention {
    pub years: u32,
}

impl Default for Retention {
    /// Seven years, what auditors of financial reporting ask for.
    fn default() -> Self {
        Self { years: 7 }
    }
}

impl Retention {
    /// The first day on which values may be erased without another reason.
    pub fn ends(&self, last_day: NaiveDate) -> NaiveDate {
        last_day.checked_add_months(Months::new(self.years * 12)).unwrap_or(NaiveDate::MAX)
    }
}

impl Setting for Retention {
    const KIND: &'static str = "retention";

    fn wrong(&self) -> Vec<Invalid> {
        if (1..=30).contains(&self.years) { Vec::new() } else { vec![invalid("years", "Years are from 1 to 30")] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seven_years_end_on_the_same_day_of_the_year() {
        let day = |text: &str| text.parse::<NaiveDate>().unwrap();
        assert_eq!(Retention::default().ends(day("2019-11-23")), day("2026-11-23"));
        assert_eq!(Retention { years: 1 }.ends(day("2024-02-29")), day("2025-02-28"));
        assert!(!Retention { years: 0 }.wrong().is_empty() && Retention { years: 7 }.wrong().is_empty());
    }
}
