//! The anchors around records: the heartbeat before each, the timestamp after it.

use std::collections::BTreeSet;

use sqlx::PgConnection;
use uuid::Uuid;

/// A heartbeat's place and the checkpoint that its timestamp is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Beat {
    pub index: u64,
    pub record: Uuid,
    pub size: u64,
}

/// Every timestamp of a log that has its heartbeat, in order of their places.
pub(super) async fn beats(conn: &mut PgConnection, log: i32) -> Result<Vec<Beat>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"select l.leaf_index, l.record_id, a.size
             from evidence_anchor a join evidence_leaf l on l.record_id = a.record_id and l.log = a.log
            where a.log = $1 order by l.leaf_index"#,
        log
    )
    .fetch_all(conn)
    .await?;
    let beat =
        |index: i64, record, size: i64| Beat { index: index.cast_unsigned(), record, size: size.cast_unsigned() };
    Ok(rows.into_iter().map(|row| beat(row.leaf_index, row.record_id, row.size)).collect())
}

/// What these records need: the heartbeats before them, and the sizes of all anchors.
pub(super) fn around(beats: &[Beat], indexes: &[u64]) -> (Vec<Beat>, BTreeSet<u64>) {
    let mut needed = BTreeSet::new();
    let mut sizes = BTreeSet::new();
    let mut by_size: Vec<u64> = beats.iter().map(|beat| beat.size).collect();
    by_size.sort_unstable();
    for index in indexes {
        if let Some(place) = beats.partition_point(|beat| beat.index < *index).checked_sub(1) {
            // Each authority has its own heartbeat for the same checkpoint.
            needed.extend(beats.iter().filter(|beat| beat.size == beats[place].size && beat.index < *index).copied());
        }
        sizes.extend(by_size.get(by_size.partition_point(|size| size <= index)));
    }
    // A chosen record may itself be a heartbeat: its timestamp comes along.
    needed.extend(beats.iter().filter(|beat| indexes.binary_search(&beat.index).is_ok()).copied());
    sizes.extend(needed.iter().map(|beat| beat.size));
    (needed.into_iter().collect(), sizes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_record_gets_the_heartbeat_before_and_the_timestamp_after() {
        let beat = |index, size| Beat { index, record: Uuid::from_u128(u128::from(index)), size };
        let beats = [beat(12, 10), beat(25, 20), beat(26, 20), beat(40, 35)];
        let (needed, sizes) = around(&beats, &[5]);
        assert_eq!((needed.len(), sizes), (0, BTreeSet::from([10])));
        let (needed, sizes) = around(&beats, &[30]);
        assert_eq!((needed, sizes), (vec![beats[1], beats[2]], BTreeSet::from([20, 35])));
        let (needed, sizes) = around(&beats, &[50]);
        assert_eq!((needed, sizes), (vec![beats[3]], BTreeSet::from([35])), "not anchored yet from above");
    }
}
