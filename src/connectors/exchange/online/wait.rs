//! How long to wait before another try: as the server says where it does, longer each time where it does not, never
//! longer than is left.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};
use tokio::time::Instant;

/// The longest wait that is taken over from a server; more is a mistake of its.
const LONGEST: Duration = Duration::from_secs(3600);

/// What the answer asks for: the longer of `Retry-After` (seconds or a date, RFC 9110 section 10.2.3) and
/// `Rate-Limit-Reset` (seconds, a length of time, or a date). Dates count from the answer's own `Date`.
pub(super) fn asked(headers: &HeaderMap) -> Option<Duration> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let date = text(DATE.as_str()).and_then(moment);
    let found = [RETRY_AFTER.as_str(), "rate-limit-reset"].into_iter().filter_map(text);
    found.filter_map(|value| length(value, date)).max().map(|wait| wait.min(LONGEST))
}

fn length(text: &str, date: Option<DateTime<Utc>>) -> Option<Duration> {
    if let Ok(seconds) = text.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    if let Some(at) = moment(text) {
        return (at - date?).to_std().ok();
    }
    let parts: Vec<i64> = text.split(':').map(|part| part.parse().ok()).collect::<Option<_>>()?;
    let [hours, minutes, seconds] = parts[..] else { return None };
    let limits = (0..=24).contains(&hours) && (0..60).contains(&minutes) && (0..60).contains(&seconds);
    limits.then(|| TimeDelta::seconds(hours * 3600 + minutes * 60 + seconds).to_std().ok()).flatten()
}

fn moment(text: &str) -> Option<DateTime<Utc>> {
    let read = DateTime::parse_from_rfc2822(text).or_else(|_| DateTime::parse_from_rfc3339(text));
    read.ok().map(|at| at.to_utc())
}

/// One call's tries.
pub(super) struct Tries {
    left: u32,
    until: Instant,
    next: Duration,
}

impl Tries {
    pub(super) fn new(tries: u32, patience: Duration, first: Duration) -> Self {
        Self { left: tries.max(1) - 1, until: Instant::now() + patience, next: first }
    }

    /// Waits before another try; false where there is none left, or no time for what the server asked for.
    pub(super) async fn another(&mut self, asked: Option<Duration>) -> bool {
        // Up to a half more, so that many callers who were refused together do not come back together.
        let spread = self.next.mul_f64(1.0 + rand::random::<f64>() / 2.0);
        let wait = asked.map_or(spread, |asked| asked + self.next / 10);
        if self.left == 0 || Instant::now() + wait > self.until {
            return false;
        }
        self.left -= 1;
        self.next = (self.next * 2).min(Duration::from_secs(30));
        tokio::time::sleep(wait).await;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn what_servers_ask_for() {
        let seconds = |n| Some(Duration::from_secs(n));
        assert_eq!(asked(&headers(&[("retry-after", "7")])), seconds(7));
        assert_eq!(asked(&headers(&[("retry-after", "7"), ("rate-limit-reset", "9")])), seconds(9));
        assert_eq!(asked(&headers(&[("rate-limit-reset", "00:01:05")])), seconds(65));
        let date = ("date", "Mon, 23 Nov 2026 10:00:00 GMT");
        assert_eq!(asked(&headers(&[date, ("retry-after", "Mon, 23 Nov 2026 10:00:30 GMT")])), seconds(30));
        assert_eq!(asked(&headers(&[date, ("rate-limit-reset", "2026-11-23T10:00:31Z")])), seconds(31));
        assert_eq!(asked(&headers(&[date, ("retry-after", "Mon, 23 Nov 2026 09:00:30 GMT")])), None);
        assert_eq!(asked(&headers(&[("retry-after", "99999999")])), seconds(3600));
        assert_eq!(asked(&headers(&[("retry-after", "-5")])), None);
        assert_eq!(asked(&headers(&[("retry-after", "soon")])), None);
        assert_eq!(asked(&headers(&[])), None);
    }

    #[tokio::test]
    async fn tries_end() {
        let mut tries = Tries::new(3, Duration::from_secs(100), Duration::from_millis(1));
        assert!(tries.another(None).await && tries.another(Some(Duration::from_millis(2))).await);
        assert!(!tries.another(None).await);
        let mut hurried = Tries::new(3, Duration::from_secs(10), Duration::from_millis(1));
        assert!(!hurried.another(Some(Duration::from_secs(60))).await);
    }
}
