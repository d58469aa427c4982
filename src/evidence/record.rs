//! One record: its fields, its canonical bytes, its commitments, and writing it.

use std::collections::BTreeMap;

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Map, Value as Json, json};
use sqlx::PgConnection;
use unicode_normalization::UnicodeNormalization;
use uuid::Uuid;

use super::commitment::commitment;
use crate::target::{State, Value};

/// The version of the record's shape; readers of every past version are kept.
const VERSION: i64 = 1;

/// Who did it and how it reached us.
#[derive(Debug, Clone, Default)]
pub struct By {
    pub person: Option<Uuid>,
    pub on_behalf_of: Option<Uuid>,
    /// `person`, `token`, `routine:NAME`, `worker:NAME`, `command`.
    pub via: String,
    pub session: Option<Uuid>,
    /// Network address; personal, so committed.
    pub address: Option<String>,
}

impl By {
    /// Work that nobody asked for in person: a periodic task, the worker.
    pub fn routine(name: &str) -> Self {
        Self { via: format!("routine:{name}"), ..Self::default() }
    }
}

/// A value in a record: in clear, or committed because it is somebody's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact {
    Plain(Value),
    Personal(Value),
}

/// Named values of a record's `before`, `after` or `detail`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts(pub BTreeMap<String, Fact>);

impl Facts {
    #[must_use]
    pub fn plain(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.0.insert(name.to_owned(), Fact::Plain(value.into()));
        self
    }

    #[must_use]
    pub fn personal(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.0.insert(name.to_owned(), Fact::Personal(value.into()));
        self
    }

    /// A sighting: whatever is text may name somebody and is committed; yes/no, numbers and nothing stand in clear.
    pub fn of_state(state: Option<&State>) -> Self {
        let mut facts = Self::default().plain("present", state.is_some());
        for (name, value) in state.map(|state| &state.0).into_iter().flatten() {
            let fact = match value {
                Value::Text(_) | Value::List(_) => Fact::Personal(value.clone()),
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::Sealed { .. } => Fact::Plain(value.clone()),
            };
            facts.0.insert(name.clone(), fact);
        }
        facts
    }
}

/// The object in a target system that it is about.
#[derive(Debug, Clone)]
pub struct Target {
    pub system: String,
    pub kind: String,
    /// Immutable id, or group/member for a membership; None before an object exists.
    pub id: Option<String>,
    pub server: Option<String>,
}

/// What is to be written down. `subject` and `action` are required; the rest as it applies.
#[derive(Debug, Clone, Default)]
pub struct Record {
    pub action: &'static str,
    /// Pseudonymous: `request:482`, `person:<uuid>`, `account:<system>/<guid>`, `setting:<kind>`.
    pub subject: String,
    pub by: By,
    pub request: Option<i64>,
    pub item: Option<i32>,
    pub plan_digest: Option<String>,
    pub step: Option<Uuid>,
    pub attempt: Option<i32>,
    pub target: Option<Target>,
    pub before: Option<Facts>,
    pub after: Option<Facts>,
    /// The target's own change identifiers, `target::Native` as JSON.
    pub native: Option<Json>,
    /// A comment or reason as somebody wrote it; committed.
    pub reason: Option<String>,
    pub detail: Facts,
    /// The digests of the rule versions that it was planned by, by kind of rule; stands beside the program's version.
    pub rules: BTreeMap<String, String>,
}

impl Record {
    pub fn new(action: &'static str, subject: impl Into<String>, by: By) -> Self {
        Self { action, subject: subject.into(), by, ..Self::default() }
    }

    /// A record about a request: subject and number in one.
    pub fn of_request(action: &'static str, number: i64, by: By) -> Self {
        Self { request: Some(number), ..Self::new(action, format!("request:{number}"), by) }
    }
}

/// What opens one commitment.
pub(super) struct Disclosure {
    pub path: String,
    pub value: String,
    pub key: [u8; 32],
}

/// Why a record could not be written; the transaction that it belongs to must not commit.
#[derive(Debug, thiserror::Error)]
pub enum EvidenceError {
    #[error(transparent)]
    Database(#[from] sqlx::Error),
    #[error("evidence record cannot be made canonical: {0}")]
    Canonical(#[from] serde_json::Error),
    #[error("evidence record of {0} bytes is larger than 65,535")]
    TooLarge(usize),
}

impl From<EvidenceError> for sqlx::Error {
    fn from(error: EvidenceError) -> Self {
        match error {
            EvidenceError::Database(error) => error,
            other => sqlx::Error::Encode(Box::new(other)),
        }
    }
}

/// Writes the record in the caller's transaction and returns its id.
///
/// Takes the subject's row lock: records of one subject are numbered one after another. An operation writes its first
/// record before its other rows where it can, so that the lock order is the same everywhere.
///
/// # Errors
/// Where the database refuses, or the record is larger than an entry of the log may be.
pub async fn append(conn: &mut PgConnection, now: DateTime<Utc>, record: &Record) -> Result<Uuid, EvidenceError> {
    let ids = append_all(conn, now, std::slice::from_ref(record)).await?;
    Ok(ids[0])
}

/// Writes several records of one operation, in two statements for all; returns their ids, in the same order.
///
/// # Errors
/// As [`append`].
pub async fn append_all(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    records: &[Record],
) -> Result<Vec<Uuid>, EvidenceError> {
    // By subject, so that two operations lock in one order.
    let mut wanted: BTreeMap<&str, i64> = BTreeMap::new();
    for record in records {
        *wanted.entry(&record.subject).or_default() += 1;
    }
    let (subjects, counts): (Vec<&str>, Vec<i64>) = wanted.into_iter().unzip();
    let taken = sqlx::query!(
        "insert into evidence_subject as s (subject, seq)
         select w.subject, w.records from unnest($1::text[], $2::bigint[]) as w (subject, records)
         on conflict (subject) do update set seq = s.seq + excluded.seq
         returning subject, seq",
        &subjects as &[&str],
        &counts
    )
    .fetch_all(&mut *conn)
    .await?;
    let counted: BTreeMap<&str, i64> = subjects.iter().copied().zip(counts).collect();
    let mut next: BTreeMap<&str, i64> = taken
        .iter()
        .map(|row| (row.subject.as_str(), row.seq - counted.get(row.subject.as_str()).copied().unwrap_or(0)))
        .collect();
    let mut rows = Rows::default();
    for record in records {
        let seq = next.entry(&record.subject).or_default();
        *seq += 1;
        // Made under the subject's lock: ids of a subject come in its order.
        rows.add(record, (Uuid::now_v7(), *seq, now))?;
    }
    rows.write(conn, now).await?;
    Ok(rows.ids)
}

/// Records as columns, so that one round trip writes them all and what opens their commitments.
#[derive(Default)]
struct Rows<'a> {
    ids: Vec<Uuid>,
    records: Vec<&'a Record>,
    seqs: Vec<i64>,
    canonical: Vec<Vec<u8>>,
    opens: Vec<Uuid>,
    disclosures: Vec<Disclosure>,
}

impl<'a> Rows<'a> {
    fn add(&mut self, record: &'a Record, (id, seq, now): (Uuid, i64, DateTime<Utc>)) -> Result<(), EvidenceError> {
        let (canonical, disclosures) = canonical(record, id, seq, now)?;
        self.ids.push(id);
        self.records.push(record);
        self.seqs.push(seq);
        self.canonical.push(canonical);
        self.opens.extend(disclosures.iter().map(|_| id));
        self.disclosures.extend(disclosures);
        Ok(())
    }

    fn column<T>(&self, of: impl Fn(&'a Record) -> T) -> Vec<T> {
        self.records.iter().map(|record| of(record)).collect()
    }

    fn target(&self, of: impl Fn(&'a Target) -> Option<&'a str>) -> Vec<Option<&'a str>> {
        self.column(|record| record.target.as_ref().and_then(&of))
    }

    async fn write(&self, conn: &mut PgConnection, now: DateTime<Utc>) -> Result<(), sqlx::Error> {
        let paths: Vec<&str> = self.disclosures.iter().map(|disclosure| disclosure.path.as_str()).collect();
        let values: Vec<&str> = self.disclosures.iter().map(|disclosure| disclosure.value.as_str()).collect();
        let keys: Vec<&[u8]> = self.disclosures.iter().map(|disclosure| disclosure.key.as_slice()).collect();
        sqlx::query!(
            "with record as (
                 insert into evidence_record (id, at, action, subject, seq, actor, via, on_behalf_of, request, item, step,
                                              attempt, system, kind, object, canonical)
                 select r.id, $1, r.action, r.subject, r.seq, r.actor, r.via, r.on_behalf_of, r.request, r.item, r.step,
                        r.attempt, r.system, r.kind, r.object, r.canonical
                   from unnest($2::uuid[], $3::text[], $4::text[], $5::bigint[], $6::uuid[], $7::text[], $8::uuid[],
                               $9::bigint[], $10::integer[], $11::uuid[], $12::integer[], $13::text[], $14::text[],
                               $15::text[], $16::bytea[])
                        as r (id, action, subject, seq, actor, via, on_behalf_of, request, item, step, attempt, system, kind,
                              object, canonical)
             )
             insert into evidence_disclosure (record, path, value, key)
             select d.record, d.path, d.value, d.key
               from unnest($17::uuid[], $18::text[], $19::text[], $20::bytea[]) as d (record, path, value, key)",
            now,
            &self.ids,
            &self.column(|record| record.action) as &[&str],
            &self.column(|record| record.subject.as_str()) as &[&str],
            &self.seqs,
            &self.column(|record| record.by.person) as &[Option<Uuid>],
            &self.column(|record| record.by.via.as_str()) as &[&str],
            &self.column(|record| record.by.on_behalf_of) as &[Option<Uuid>],
            &self.column(|record| record.request) as &[Option<i64>],
            &self.column(|record| record.item) as &[Option<i32>],
            &self.column(|record| record.step) as &[Option<Uuid>],
            &self.column(|record| record.attempt) as &[Option<i32>],
            &self.target(|target| Some(&target.system)) as &[Option<&str>],
            &self.target(|target| Some(&target.kind)) as &[Option<&str>],
            &self.target(|target| target.id.as_deref()) as &[Option<&str>],
            &self.canonical,
            &self.opens,
            &paths as &[&str],
            &values as &[&str],
            &keys as &[&[u8]],
        )
        .execute(conn)
        .await?;
        Ok(())
    }
}

/// Takes a subject's lock before anything else is read or written about it, so that every operation locks in one order.
///
/// # Errors
/// Where the database does not answer.
pub async fn hold(conn: &mut PgConnection, subject: &str) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into evidence_subject (subject, seq) values ($1, 0)
         on conflict (subject) do update set seq = evidence_subject.seq",
        subject
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// The record's canonical bytes, and what its commitments hide.
pub(super) fn canonical(
    record: &Record,
    id: Uuid,
    seq: i64,
    now: DateTime<Utc>,
) -> Result<(Vec<u8>, Vec<Disclosure>), EvidenceError> {
    let mut hidden = Vec::new();
    let mut root = Map::new();
    let mut put = |name: &str, value: Option<Json>| {
        if let Some(value) = value {
            root.insert(name.to_owned(), value);
        }
    };
    let by = &record.by;
    let address = match &by.address {
        Some(address) => Some(commit("/actor/address", &Value::text(address.clone()), &mut hidden)?),
        None => None,
    };
    put("v", Some(json!(VERSION)));
    put("id", Some(json!(id)));
    put("at", Some(json!(now.to_rfc3339_opts(SecondsFormat::Micros, true))));
    put("action", Some(json!(record.action)));
    put("subject", Some(json!(record.subject)));
    put("seq", Some(number(seq)));
    put(
        "actor",
        Some(without_nulls(json!({
            "person": by.person, "on_behalf_of": by.on_behalf_of, "via": by.via, "session": by.session, "address": address,
        }))),
    );
    put("request", record.request.map(number));
    put("item", record.item.map(|item| json!(item)));
    put("plan_digest", record.plan_digest.as_ref().map(|digest| json!(digest)));
    put("step", record.step.map(|step| json!(step)));
    put("attempt", record.attempt.map(|attempt| json!(attempt)));
    put(
        "target",
        record.target.as_ref().map(|target| {
            without_nulls(json!({
                "system": target.system, "kind": target.kind, "id": target.id, "server": target.server,
            }))
        }),
    );
    for (name, facts) in [("before", record.before.as_ref()), ("after", record.after.as_ref())] {
        if let Some(facts) = facts {
            put(name, Some(facts_json(name, facts, &mut hidden)?));
        }
    }
    if !record.detail.0.is_empty() {
        put("detail", Some(facts_json("detail", &record.detail, &mut hidden)?));
    }
    put("native", record.native.clone().map(without_nulls));
    if let Some(reason) = record.reason.as_deref().filter(|reason| !reason.is_empty()) {
        put("reason", Some(commit("/reason", &Value::text(reason), &mut hidden)?));
    }
    let mut software = json!({"version": env!("CARGO_PKG_VERSION")});
    if !record.rules.is_empty() {
        software["rules"] = json!(record.rules);
    }
    put("software", Some(software));
    let bytes = serde_json_canonicalizer::to_vec(&Json::Object(root))?;
    if bytes.len() > 65_535 {
        return Err(EvidenceError::TooLarge(bytes.len()));
    }
    Ok((bytes, hidden))
}

fn facts_json(section: &str, facts: &Facts, hidden: &mut Vec<Disclosure>) -> Result<Json, EvidenceError> {
    let mut object = Map::new();
    for (name, fact) in &facts.0 {
        let value = match fact {
            Fact::Plain(value) => plain(value),
            Fact::Personal(value) => commit(&format!("/{section}/{}", pointer_part(name)), value, hidden)?,
        };
        object.insert(name.clone(), value);
    }
    Ok(Json::Object(object))
}

/// Puts `{"hmac": …}` in the value's place and keeps value and key aside.
fn commit(path: &str, value: &Value, hidden: &mut Vec<Disclosure>) -> Result<Json, EvidenceError> {
    let value = serde_json_canonicalizer::to_string(&plain(value))?;
    let key: [u8; 32] = rand::random();
    let hmac = json!({ "hmac": hex::encode(commitment(&key, value.as_bytes())) });
    hidden.push(Disclosure { path: path.to_owned(), value, key });
    Ok(hmac)
}

/// JSON of a value: text in NFC, integers beyond 2^53 as text (RFC 8785 has only doubles).
fn plain(value: &Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Bool(value) => json!(value),
        Value::Number(value) => number(*value),
        Value::Text(text) => json!(text.nfc().collect::<String>()),
        Value::List(values) => values.iter().map(plain).collect(),
        Value::Sealed { .. } => json!({"sealed": true}),
    }
}

fn number(value: i64) -> Json {
    if value.unsigned_abs() < 1 << 53 { json!(value) } else { json!(value.to_string()) }
}

fn without_nulls(value: Json) -> Json {
    match value {
        Json::Object(map) => Json::Object(map.into_iter().filter(|(_, value)| !value.is_null()).collect()),
        other => other,
    }
}

/// RFC 6901 escaping of one part of a pointer.
fn pointer_part(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Record {
        Record {
            before: Some(Facts::default().plain("enabled", false).personal("displayName", "Zoe\u{308}")),
            reason: Some("because".to_owned()),
            native: Some(json!({"usn": "12", "server": null})),
            ..Record::of_request(action::STEP_APPLIED, 482, By::routine("worker"))
        }
    }
    use crate::evidence::action;

    #[test]
    fn canonical_bytes_hide_personal_values_and_can_be_opened() {
        let at = DateTime::from_timestamp_micros(1_800_000_000_000_001).unwrap();
        let (bytes, hidden) = canonical(&sample(), Uuid::nil(), 7, at).unwrap();
        let text = String::from_utf8(bytes.clone()).unwrap();
        assert!(!text.contains("Zo") && !text.contains("because"), "{text}");
        let json: Json = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(json["at"], "2027-01-15T08:00:00.000001Z");
        assert_eq!(json["native"], json!({"usn": "12"}));
        assert_eq!(serde_json_canonicalizer::to_vec(&json).unwrap(), bytes, "already canonical");
        assert_eq!(hidden.len(), 2);
        for disclosure in hidden {
            let stands = json.pointer(&disclosure.path).unwrap()["hmac"].as_str().unwrap().to_owned();
            assert_eq!(stands, hex::encode(commitment(&disclosure.key, disclosure.value.as_bytes())));
            assert!(disclosure.value.is_ascii() == (disclosure.path == "/reason"));
        }
    }

    #[test]
    fn a_value_is_committed_in_its_composed_form() {
        assert_eq!(plain(&Value::text("Zoe\u{308}")), json!("Zo\u{eb}"));
        assert_eq!(plain(&Value::Number(1 << 53)), json!("9007199254740992"));
    }
}
