//! Lengths of time.

use chrono::TimeDelta;
use serde_json::Value;

use super::{ValueError, unlimited, unwrapped};

/// A length of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Timespan {
    Of(TimeDelta),
    Unlimited,
}

const A_TIMESPAN: &str = "a length of time or Unlimited";

/// A length of time: `[-][d.]hh:mm:ss[.fffffff]` and days alone (.NET's constant form), `P1DT2H3M4.5S` (CLIXML), `Unlimited`.
///
/// # Errors
/// Anything else; also ISO months and years, which have no length, and bare numbers of JSON.
pub fn timespan(value: &Value) -> Result<Timespan, ValueError> {
    let value = unwrapped(value);
    if unlimited(value) {
        return Ok(Timespan::Unlimited);
    }
    let read = value.as_str().map(str::trim).and_then(|text| {
        let (sign, text) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
        let span = if text.starts_with('P') { iso_span(text)? } else { net_span(text)? };
        Some(span * sign)
    });
    read.map(Timespan::Of).ok_or_else(|| ValueError::new(A_TIMESPAN, value))
}

/// A length of time as a parameter takes it: `365.00:00:00`.
pub fn timespan_text(span: Timespan) -> String {
    let Timespan::Of(span) = span else { return "Unlimited".to_owned() };
    let (sign, whole) = if span < TimeDelta::zero() { ("-", -span) } else { ("", span) };
    let mut text = format!(
        "{sign}{}.{:02}:{:02}:{:02}",
        whole.num_days(),
        whole.num_hours() % 24,
        whole.num_minutes() % 60,
        whole.num_seconds() % 60
    );
    // .NET counts in steps of 100 ns.
    let ticks = whole.subsec_nanos() / 100;
    if ticks > 0 {
        text.push_str(&format!(".{ticks:07}"));
    }
    text
}

fn digits(text: &str, most: usize) -> Option<i64> {
    let plain = !text.is_empty() && text.len() <= most && text.bytes().all(|b| b.is_ascii_digit());
    plain.then(|| text.parse().ok()).flatten()
}

/// `.5` → 500 000 000; up to nine digits.
fn nanos(text: &str) -> Option<i64> {
    let value = digits(text, 9)?;
    Some(value * 10i64.pow(9 - u32::try_from(text.len()).ok()?))
}

fn span(days: i64, hours: i64, minutes: i64, seconds: i64, nanos: i64) -> Option<TimeDelta> {
    TimeDelta::try_days(days)?
        .checked_add(&TimeDelta::try_hours(hours)?)?
        .checked_add(&TimeDelta::try_minutes(minutes)?)?
        .checked_add(&TimeDelta::try_seconds(seconds)?)?
        .checked_add(&TimeDelta::nanoseconds(nanos))
}

fn net_span(text: &str) -> Option<TimeDelta> {
    let Some((before, rest)) = text.split_once(':') else { return span(digits(text, 8)?, 0, 0, 0, 0) };
    let (days, hours) = match before.split_once('.') {
        Some((days, hours)) => (digits(days, 8)?, digits(hours, 2)?),
        None => (0, digits(before, 2)?),
    };
    let (minutes, seconds) = rest.split_once(':').unwrap_or((rest, "0"));
    let (seconds, fraction) = match seconds.split_once('.') {
        Some((seconds, fraction)) => (digits(seconds, 2)?, nanos(fraction)?),
        None => (digits(seconds, 2)?, 0),
    };
    let minutes = digits(minutes, 2)?;
    (hours < 24 && minutes < 60 && seconds < 60).then(|| span(days, hours, minutes, seconds, fraction)).flatten()
}

fn iso_span(text: &str) -> Option<TimeDelta> {
    let rest = text.strip_prefix('P')?;
    let (date, time) = rest.split_once('T').map_or((rest, None), |(date, time)| (date, Some(time)));
    if time == Some("") || (date.is_empty() && time.is_none()) {
        return None;
    }
    let [days] = designated(date, ['D'])?;
    let [hours, minutes, seconds] = designated(time.unwrap_or(""), ['H', 'M', 'S'])?;
    for whole in [days, hours, minutes] {
        if whole.1 != 0 {
            return None;
        }
    }
    span(days.0, hours.0, minutes.0, seconds.0, seconds.1)
}

/// `1H30M` → whole and billionths by designator, in the order of the designators; absent ones are zero.
fn designated<const N: usize>(mut text: &str, designators: [char; N]) -> Option<[(i64, i64); N]> {
    let mut found = [(0, 0); N];
    for (slot, designator) in found.iter_mut().zip(designators) {
        let Some((number, rest)) = text.split_once(designator) else { continue };
        *slot = match number.split_once('.') {
            Some((whole, fraction)) => (digits(whole, 12)?, nanos(fraction)?),
            None => (digits(number, 12)?, 0),
        };
        text = rest;
    }
    text.is_empty().then_some(found)
}
