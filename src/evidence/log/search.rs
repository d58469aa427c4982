//! Finding the records that have no place in the log yet, in the order in which they get one.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

/// Records that get their places in one transaction.
pub(super) const BATCH: i64 = 2000;

/// How far behind the newest record that has a place is looked for late ones, and how often: a transaction that commits
/// late shows a record that is older than others already in the log. Ids carry the time at which they were made.
const SWEEPS: [(Duration, Duration); 4] = [
    (Duration::ZERO, Duration::from_secs(1)),
    (Duration::from_millis(400), Duration::from_secs(3)),
    (Duration::from_secs(2), Duration::from_mins(5)),
    (Duration::from_mins(10), Duration::from_hours(24)),
];

/// Once a day, and after each opening, everything is looked through: so many records a turn, so that a large log does not
/// wait for it.
const WHOLE: Duration = Duration::from_hours(24);
const STRETCH: i64 = 20_000;

/// A record without a place.
pub(super) struct Found {
    pub id: Uuid,
    pub at: DateTime<Utc>,
    pub subject: String,
    pub seq: i64,
    pub canonical: Vec<u8>,
}

/// How far it has looked.
pub(super) struct Search {
    /// The newest id that has a place.
    newest: Option<Uuid>,
    /// When each of [`SWEEPS`] was last made.
    swept: [Option<Instant>; SWEEPS.len()],
    /// How far the look through everything has come; at its beginning from the nil id.
    stretch: Uuid,
    /// When it last came to its end.
    whole: Option<Instant>,
}

impl Search {
    /// Everything up to about this record was looked at before.
    pub(super) fn after(newest: Option<Uuid>) -> Self {
        Self { newest, swept: [None; SWEEPS.len()], stretch: Uuid::nil(), whole: None }
    }

    /// These have their places by now; the newest of them.
    pub(super) fn placed(&mut self, newest: Option<Uuid>) {
        self.newest = self.newest.max(newest);
    }

    /// Records that have no place yet, in the order in which they get them.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub(super) async fn next(&mut self, conn: &mut PgConnection, log: i32) -> Result<Vec<Found>, sqlx::Error> {
        let due = (0..SWEEPS.len())
            .rfind(|sweep| self.swept[*sweep].is_none_or(|at| at.elapsed() >= SWEEPS[*sweep].0))
            .unwrap_or(0);
        let low = self.newest.map_or(Uuid::nil(), |newest| before(newest, SWEEPS[due].1));
        let mut found = unplaced(conn, log, low, Uuid::max()).await?;
        if !is_full(&found) {
            // Everything that this sweep looks at has been seen, and with it what the shorter ones look at.
            self.swept[..=due].fill(Some(Instant::now()));
            found.extend(self.stretch(conn, log).await?);
        }
        found.sort_by_key(|one| one.id);
        found.dedup_by_key(|one| one.id);
        loop {
            let earlier = predecessors(conn, log, &found).await?;
            if earlier.is_empty() {
                break;
            }
            found.extend(earlier);
        }
        in_subject_order(&mut found);
        Ok(found)
    }

    /// The next stretch of the look through everything, where that is due.
    async fn stretch(&mut self, conn: &mut PgConnection, log: i32) -> Result<Vec<Found>, sqlx::Error> {
        if self.whole.is_some_and(|at| at.elapsed() < WHOLE) {
            return Ok(Vec::new());
        }
        let end = sqlx::query_scalar!(
            "select id from evidence_record where id > $1 order by id offset $2 limit 1",
            self.stretch,
            STRETCH
        )
        .fetch_optional(&mut *conn)
        .await?;
        let found = unplaced(conn, log, self.stretch, end.unwrap_or(Uuid::max())).await?;
        // A full batch: the same stretch once more, when these have their places.
        if !is_full(&found) {
            self.stretch = end.unwrap_or(Uuid::nil());
            self.whole = if end.is_none() { Some(Instant::now()) } else { None };
        }
        Ok(found)
    }
}

fn is_full(found: &[Found]) -> bool {
    i64::try_from(found.len()).unwrap_or(i64::MAX) >= BATCH
}

/// Records without a place between two ids, both included, at most [`BATCH`].
///
/// The subquery is asked row by row through its index. As an anti-join the planner hashes the whole log for a few
/// thousand records (seen at two million: 350 ms instead of 60).
async fn unplaced(conn: &mut PgConnection, log: i32, from: Uuid, to: Uuid) -> Result<Vec<Found>, sqlx::Error> {
    sqlx::query_as!(
        Found,
        "select r.id, r.at, r.subject, r.seq, r.canonical from evidence_record r
          where r.id >= $2 and r.id <= $3
            and (select l.leaf_index from evidence_leaf l where l.log = $1 and l.record_id = r.id) is null
          order by r.id limit $4",
        log,
        from,
        to,
        BATCH
    )
    .fetch_all(conn)
    .await
}

/// The lowest id that may have been made so long before that one (UUIDv7: its first 48 bits are milliseconds).
fn before(id: Uuid, behind: Duration) -> Uuid {
    let millis = (id.as_u128() >> 80).saturating_sub(behind.as_millis());
    Uuid::from_u128(millis << 80)
}

/// For each subject the record before the first one found, where that has no place yet either.
async fn predecessors(conn: &mut PgConnection, log: i32, found: &[Found]) -> Result<Vec<Found>, sqlx::Error> {
    let mut first: HashMap<&str, i64> = HashMap::new();
    for one in found {
        first.entry(&one.subject).and_modify(|seq| *seq = one.seq.min(*seq)).or_insert(one.seq);
    }
    first.retain(|_, seq| *seq > 1);
    if first.is_empty() {
        return Ok(Vec::new());
    }
    let subjects: Vec<String> = first.keys().map(|subject| (*subject).to_owned()).collect();
    let numbers: Vec<i64> = first.values().map(|seq| seq - 1).collect();
    sqlx::query_as!(
        Found,
        r#"select r.id, r.at, r.subject, r.seq, r.canonical
             from unnest($2::text[], $3::bigint[]) as need (subject, seq)
             join evidence_record r on r.subject = need.subject and r.seq = need.seq
            where not exists (select from evidence_leaf l where l.log = $1 and l.record_id = r.id)"#,
        log,
        &subjects,
        &numbers
    )
    .fetch_all(conn)
    .await
}

/// By time of making; among a subject's records by their number, in the places that the subject has.
fn in_subject_order(found: &mut [Found]) {
    found.sort_by_key(|one| one.id);
    let mut places: HashMap<String, Vec<usize>> = HashMap::new();
    for (place, one) in found.iter().enumerate() {
        places.entry(one.subject.clone()).or_default().push(place);
    }
    for places in places.into_values().filter(|places| places.len() > 1) {
        let sorted = |found: &[Found]| places.windows(2).all(|pair| found[pair[0]].seq < found[pair[1]].seq);
        // Two machines' clocks differ by little: there is hardly ever anything to exchange.
        while !sorted(found) {
            for pair in places.windows(2) {
                if found[pair[0]].seq > found[pair[1]].seq {
                    found.swap(pair[0], pair[1]);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(id: u128, subject: &str, seq: i64) -> Found {
        Found {
            id: Uuid::from_u128(id),
            at: DateTime::UNIX_EPOCH,
            subject: subject.to_owned(),
            seq,
            canonical: Vec::new(),
        }
    }

    #[test]
    fn a_subjects_records_keep_their_order_whatever_the_clocks_said() {
        let mut all = vec![found(5, "a", 1), found(1, "a", 3), found(2, "b", 7), found(3, "a", 2), found(4, "b", 8)];
        in_subject_order(&mut all);
        let order: Vec<(&str, i64)> = all.iter().map(|one| (one.subject.as_str(), one.seq)).collect();
        assert_eq!(order, [("a", 1), ("b", 7), ("a", 2), ("b", 8), ("a", 3)]);
    }

    #[test]
    fn an_id_knows_its_time() {
        let id = Uuid::now_v7();
        let earlier = before(id, Duration::from_secs(3));
        assert_eq!((id.as_u128() >> 80) - (earlier.as_u128() >> 80), 3000);
        assert_eq!(before(Uuid::nil(), Duration::from_secs(3)), Uuid::nil());
    }
}
