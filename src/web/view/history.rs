//! The change history for auditors, and one record of it.

use askama::Template;

use super::forms::Choice;
use super::parts::{Badge, Crumb, Empty, Facts, Link, Pager, When};
use super::plan::PlanView;
use super::shell::Shell;

/// A record in the list.
#[derive(Clone, Debug)]
pub struct HistoryRow {
    /// Its number or id, as shown: "1,204,106".
    pub record: String,
    /// `/history/{record}`.
    pub href: String,
    /// When it happened.
    pub when: When,
    /// "membership applied", "approval granted".
    pub what: String,
    /// It is about something that went wrong.
    pub alarm: bool,
    /// The object: "All Hamburg".
    pub object: String,
    /// A line more: "Nguyễn Thị Lan · REQ-000482".
    pub object_detail: String,
    /// Who: "worker", "Ravi Menon".
    pub by: String,
    /// "approved by R. Menon"; may be empty.
    pub by_detail: String,
    /// Where it stands in the proof: "in log", "recorded".
    pub proof: Badge,
}

/// The filters as typed. All are query parameters of `GET /history`.
#[derive(Clone, Debug, Default)]
pub struct HistoryFilter {
    /// `q`: object, person, request number.
    pub query: String,
    /// `from`: ISO day.
    pub from: String,
    /// `to`: ISO day.
    pub to: String,
    /// `kind`: kinds of records, one chosen.
    pub kinds: Vec<Choice>,
    /// `actor`: persons, the worker, outside; one chosen.
    pub actors: Vec<Choice>,
    /// `sox`: only SOX entitlements.
    pub sox: bool,
    /// The whole filter in words: "SOX entitlements · this quarter"; empty for all.
    pub words: String,
    /// Problems with a date, in words; empty for none.
    pub error: String,
}

/// Taking what is listed, or a sample of it, to `POST /history/bundle`.
#[derive(Clone, Debug)]
pub struct BundleForms {
    /// "1,204 records".
    pub records: String,
    /// More than one bundle holds.
    pub too_many: bool,
    /// The filter's fields, as hidden inputs.
    pub fields: Vec<(String, String)>,
    /// A random seed to begin with.
    pub seed: String,
}

/// `GET /history`.
#[derive(Template)]
#[template(path = "history/history.html")]
pub struct HistoryPage {
    /// Surroundings.
    pub shell: Shell,
    /// "1,204 records".
    pub summary: String,
    /// Taking them away; none where the viewer may not, nothing is listed, or there is no log.
    pub bundle: Option<BundleForms>,
    /// The filters.
    pub filter: HistoryFilter,
    /// The page's rows.
    pub rows: Vec<HistoryRow>,
    /// Neighbouring pages.
    pub pager: Pager,
    /// What to say when there are none.
    pub empty: Empty,
}

/// What `static/verify.js` is told, and what to run without it.
#[derive(Clone, Debug)]
pub struct VerifyView {
    /// The log's verifier keys, oldest first, with blanks between.
    pub keys: String,
    /// The witnesses'.
    pub witnesses: String,
    /// What to run elsewhere.
    pub commands: Option<Elsewhere>,
}

/// Commands that check a record's two files with Python's standard library and openssl.
#[derive(Clone, Debug, Template)]
#[template(path = "history/elsewhere.txt")]
pub struct Elsewhere {
    /// The record's id, of which its files' names are made.
    pub id: String,
    /// The key's name, which is the log's origin.
    pub name: String,
    /// The verifier key whose signature is looked at.
    pub key: String,
    /// The letters that this key's signatures begin with.
    pub begins: String,
}

/// `GET /history/{record}`.
#[derive(Template)]
#[template(path = "history/record.html")]
pub struct RecordPage {
    /// Surroundings.
    pub shell: Shell,
    /// The path above the heading.
    pub crumbs: Vec<Crumb>,
    /// "Membership applied".
    pub title: String,
    /// "All Hamburg · Nguyễn Thị Lan · today 14:02:16".
    pub summary: String,
    /// Where it stands in the proof.
    pub proof: Badge,
    /// Before and after, as a bare plan; none if the record is about no object's state.
    pub change: Option<PlanView>,
    /// Who, on whose behalf, from where, under which session, which setting versions …
    pub facts: Facts,
    /// Place, checkpoint, anchors, subject and number …
    pub proof_facts: Facts,
    /// What is to be known about how it stands; empty where everything is as it should be.
    pub standing: String,
    /// Its id, for addresses.
    pub id: String,
    /// There is a proof to download.
    pub proved: bool,
    /// What to verify it with; none before it is in the published log.
    pub verify: Option<VerifyView>,
    /// Why it cannot be verified from here although it is in the log; empty for nothing.
    pub cannot_verify: String,
    /// Records that belong with it: intent, decision, request.
    pub related: Vec<(When, Link)>,
    /// The canonical bytes (RFC 8785) as text.
    pub canonical: String,
    /// Their SHA-256 in hexadecimal.
    pub canonical_hash: String,
    /// A note about fields that the viewer may not see or that were erased; empty for none.
    pub withheld: String,
    /// The neighbours in the subject's own sequence.
    pub pager: Pager,
}
