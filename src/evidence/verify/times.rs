//! Between which two moments a record must have been written.
//!
//! What stands before the size of a timestamped checkpoint existed when it was stamped. What stands behind the heartbeat
//! that holds a token's digest came after the token. A witness's cosignature bounds both ways: the log had exactly that
//! size then.

use chrono::{DateTime, SecondsFormat};

use super::SKEW;

/// The bounds as they are known before the records are walked, in order of their index.
#[derive(Default)]
pub(super) struct Times {
    /// (size, time): leaves below the size existed at that time. Microseconds.
    existed: Vec<(u64, i64)>,
    /// (index, time): leaves from that index on came after that time.
    after: Vec<(u64, i64)>,
    /// Grows while a whole log is walked: the newest heartbeat so far.
    floor: Option<i64>,
    ready: bool,
}

impl Times {
    pub(super) fn existed(&mut self, size: u64, at: i64) {
        self.existed.push((size, at));
        self.ready = false;
    }

    pub(super) fn after(&mut self, index: u64, at: i64) {
        self.after.push((index, at));
        self.ready = false;
    }

    /// From here on everything came after that time.
    pub(super) fn raise(&mut self, at: i64) {
        self.floor = self.floor.max(Some(at));
    }

    /// Sorts, and keeps of each place the tightest bound that holds there.
    fn prepare(&mut self) {
        self.existed.sort_unstable();
        for place in (1..self.existed.len()).rev() {
            self.existed[place - 1].1 = self.existed[place - 1].1.min(self.existed[place].1);
        }
        self.after.sort_unstable();
        for place in 1..self.after.len() {
            self.after[place].1 = self.after[place].1.max(self.after[place - 1].1);
        }
        self.ready = true;
    }

    /// Whether a record at that index may carry that time (microseconds). True where it is bounded from above.
    pub(super) fn allow(&mut self, index: u64, at: i64) -> Result<bool, String> {
        if !self.ready {
            self.prepare();
        }
        let latest = self.existed.get(self.existed.partition_point(|(size, _)| *size <= index)).map(|(_, at)| *at);
        let earliest = self
            .after
            .partition_point(|(from, _)| *from <= index)
            .checked_sub(1)
            .map(|place| self.after[place].1)
            .max(self.floor);
        if let Some(latest) = latest.filter(|latest| at > latest + SKEW * 1_000_000) {
            return Err(format!("it says {}, but was in the log by {}: post-dated", words(at), words(latest)));
        }
        if let Some(earliest) = earliest.filter(|earliest| at < earliest - SKEW * 1_000_000) {
            return Err(format!("it says {}, but came into the log after {}: back-dated", words(at), words(earliest)));
        }
        Ok(latest.is_some())
    }
}

fn words(micros: i64) -> String {
    DateTime::from_timestamp_micros(micros)
        .map_or(micros.to_string(), |at| at.to_rfc3339_opts(SecondsFormat::Secs, true))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tightest_bounds_hold() {
        let hour = 3_600_000_000;
        let mut times = Times::default();
        // Stamped at 10 leaves at 1:00 and at 20 leaves at 2:00; the heartbeat of the first is leaf 12.
        times.existed(10, hour);
        times.existed(20, 2 * hour);
        times.after(13, hour);
        assert_eq!(times.allow(5, hour), Ok(true));
        assert!(times.allow(5, hour + hour / 2).unwrap_err().contains("post-dated"));
        assert_eq!(times.allow(11, hour + hour / 2), Ok(true), "between 10 and 20 leaves: until 2:00");
        assert_eq!(times.allow(11, 0), Ok(true), "before the heartbeat nothing is known from below");
        assert!(times.allow(13, hour / 2).unwrap_err().contains("back-dated"));
        assert_eq!(times.allow(13, hour - SKEW * 1_000_000), Ok(true));
        assert_eq!(times.allow(25, 9 * hour), Ok(false), "not yet anchored");
    }
}
