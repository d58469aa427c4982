//! Writing several records of one transaction at once: two round trips, however many they are.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::record::{EvidenceError, Record, canonical};

/// Columns of `evidence_record`, a value for each record.
#[derive(Default)]
struct Rows<'a> {
    ids: Vec<Uuid>,
    actions: Vec<&'static str>,
    subjects: Vec<&'a str>,
    seqs: Vec<i64>,
    actors: Vec<Option<Uuid>>,
    vias: Vec<&'a str>,
    on_behalf: Vec<Option<Uuid>>,
    requests: Vec<Option<i64>>,
    items: Vec<Option<i32>>,
    steps: Vec<Option<Uuid>>,
    attempts: Vec<Option<i32>>,
    systems: Vec<Option<&'a str>>,
    kinds: Vec<Option<&'a str>>,
    objects: Vec<Option<&'a str>>,
    canonical: Vec<Vec<u8>>,
}

/// What opens the commitments of the records.
#[derive(Default)]
struct Openings {
    records: Vec<Uuid>,
    paths: Vec<String>,
    values: Vec<String>,
    keys: Vec<Vec<u8>>,
}

/// Writes the records in the caller's transaction, in their order, as [`super::append`] writes each.
///
/// Takes the row locks of their subjects in the order in which they first appear.
///
/// # Errors
/// Where the database refuses, or a record is larger than an entry of the log may be.
pub async fn append_all(conn: &mut PgConnection, now: DateTime<Utc>, records: &[Record]) -> Result<(), EvidenceError> {
    if records.is_empty() {
        return Ok(());
    }
    let mut next = numbers(conn, records).await?;
    let (mut rows, mut openings) = (Rows::default(), Openings::default());
    for record in records {
        let known = next.iter_mut().find(|(subject, _)| subject == &record.subject);
        let seq = known.map(|(_, seq)| std::mem::replace(seq, *seq + 1)).ok_or(sqlx::Error::RowNotFound)?;
        // Made under the subject's lock: ids of a subject come in its order.
        let id = Uuid::now_v7();
        let (bytes, disclosures) = canonical(record, id, seq, now)?;
        rows.add(record, (id, seq, bytes));
        for disclosure in disclosures {
            openings.records.push(id);
            openings.paths.push(disclosure.path);
            openings.values.push(disclosure.value);
            openings.keys.push(disclosure.key.to_vec());
        }
    }
    write(conn, now, &rows, &openings).await?;
    Ok(())
}

/// The first number that each subject's records get, under its lock.
async fn numbers(conn: &mut PgConnection, records: &[Record]) -> Result<Vec<(String, i64)>, sqlx::Error> {
    let mut many: Vec<(&str, i64)> = Vec::new();
    for record in records {
        match many.iter_mut().find(|(subject, _)| *subject == record.subject) {
            Some((_, count)) => *count += 1,
            None => many.push((&record.subject, 1)),
        }
    }
    let subjects: Vec<&str> = many.iter().map(|(subject, _)| *subject).collect();
    let counts: Vec<i64> = many.iter().map(|(_, count)| *count).collect();
    let last = sqlx::query!(
        "insert into evidence_subject (subject, seq)
         select subject, many from unnest($1::text[], $2::bigint[]) with ordinality as given (subject, many, at) order by at
         on conflict (subject) do update set seq = evidence_subject.seq + excluded.seq
         returning subject, seq",
        &subjects as &[&str],
        &counts
    )
    .fetch_all(conn)
    .await?;
    let first = last.into_iter().map(|row| {
        let count = many.iter().find(|(subject, _)| *subject == row.subject).map_or(0, |(_, count)| *count);
        (row.subject, row.seq - count + 1)
    });
    Ok(first.collect())
}

impl<'a> Rows<'a> {
    fn add(&mut self, record: &'a Record, (id, seq, canonical): (Uuid, i64, Vec<u8>)) {
        let target = record.target.as_ref();
        self.ids.push(id);
        self.actions.push(record.action);
        self.subjects.push(&record.subject);
        self.seqs.push(seq);
        self.actors.push(record.by.person);
        self.vias.push(&record.by.via);
        self.on_behalf.push(record.by.on_behalf_of);
        self.requests.push(record.request);
        self.items.push(record.item);
        self.steps.push(record.step);
        self.attempts.push(record.attempt);
        self.systems.push(target.map(|target| target.system.as_str()));
        self.kinds.push(target.map(|target| target.kind.as_str()));
        self.objects.push(target.and_then(|target| target.id.as_deref()));
        self.canonical.push(canonical);
    }
}

async fn write(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    rows: &Rows<'_>,
    openings: &Openings,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "with record as (
             insert into evidence_record (id, at, action, subject, seq, actor, via, on_behalf_of, request, item, step,
                                          attempt, system, kind, object, canonical)
             select id, $1, action, subject, seq, actor, via, on_behalf_of, request, item, step, attempt, system, kind, object,
                    canonical
               from unnest($2::uuid[], $3::text[], $4::text[], $5::bigint[], $6::uuid[], $7::text[], $8::uuid[], $9::bigint[],
                           $10::int[], $11::uuid[], $12::int[], $13::text[], $14::text[], $15::text[], $16::bytea[])
                    as given (id, action, subject, seq, actor, via, on_behalf_of, request, item, step, attempt, system, kind,
                              object, canonical)
         )
         insert into evidence_disclosure (record, path, value, key)
         select record, path, value, key
           from unnest($17::uuid[], $18::text[], $19::text[], $20::bytea[]) as given (record, path, value, key)",
        now,
        &rows.ids,
        &rows.actions as &[&str],
        &rows.subjects as &[&str],
        &rows.seqs,
        &rows.actors as &[Option<Uuid>],
        &rows.vias as &[&str],
        &rows.on_behalf as &[Option<Uuid>],
        &rows.requests as &[Option<i64>],
        &rows.items as &[Option<i32>],
        &rows.steps as &[Option<Uuid>],
        &rows.attempts as &[Option<i32>],
        &rows.systems as &[Option<&str>],
        &rows.kinds as &[Option<&str>],
        &rows.objects as &[Option<&str>],
        &rows.canonical,
        &openings.records,
        &openings.paths,
        &openings.values,
        &openings.keys,
    )
    .execute(conn)
    .await?;
    Ok(())
}
