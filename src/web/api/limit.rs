//! How often a token may call: a bucket each, that fills evenly and holds a minute's worth.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use uuid::Uuid;

/// Tokens that are remembered at most before those that rest are forgotten.
const MOST: usize = 10_000;

struct Bucket {
    left: f64,
    at: Instant,
}

/// The buckets of this process.
#[derive(Default)]
pub struct Calls(Mutex<HashMap<Uuid, Bucket>>);

impl Calls {
    /// One call by that token; or the seconds after which the next may come.
    pub fn take(&self, token: Uuid, per_minute: NonZeroU32) -> Result<(), u64> {
        self.take_at(token, per_minute, Instant::now())
    }

    fn take_at(&self, token: Uuid, per_minute: NonZeroU32, now: Instant) -> Result<(), u64> {
        let (most, per_second) = (f64::from(per_minute.get()), f64::from(per_minute.get()) / 60.0);
        // Nothing in here panics halfway; a poisoned lock holds whole buckets.
        let mut buckets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= MOST {
            // A full bucket is as good as none.
            buckets.retain(|_, bucket| now.duration_since(bucket.at).as_secs() < 60);
        }
        let bucket = buckets.entry(token).or_insert(Bucket { left: most, at: now });
        bucket.left = (bucket.left + now.duration_since(bucket.at).as_secs_f64() * per_second).min(most);
        bucket.at = now;
        if bucket.left < 1.0 {
            let wait = ((1.0 - bucket.left) / per_second).ceil();
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 1 and 60")]
            return Err(wait.clamp(1.0, 60.0) as u64);
        }
        bucket.left -= 1.0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_bucket_empties_and_fills_again() {
        let (calls, token, now) = (Calls::default(), Uuid::now_v7(), Instant::now());
        let six = NonZeroU32::new(6).unwrap();
        for _ in 0..6 {
            assert_eq!(calls.take_at(token, six, now), Ok(()));
        }
        assert_eq!(calls.take_at(token, six, now), Err(10));
        assert_eq!(calls.take_at(Uuid::now_v7(), six, now), Ok(()), "another's is another's");
        let later = now + Duration::from_secs(10);
        assert_eq!((calls.take_at(token, six, later), calls.take_at(token, six, later)), (Ok(()), Err(10)));
        let much_later = now + Duration::from_secs(1000);
        assert_eq!((0..9).filter(|_| calls.take_at(token, six, much_later).is_ok()).count(), 6);
    }
}
