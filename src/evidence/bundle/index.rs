//! A bundle for reading: the same rows as a page and as a workbook. Neither is proof; the records beside them are.

use askama::Template;
use chrono::{DateTime, Utc};
use rust_xlsxwriter::{Format, FormatAlign, Workbook, Worksheet};
use serde_json::Value as Json;

use super::BundleError;
use crate::evidence::history::Entry;

/// One record in words.
pub(super) struct Row {
    pub index: u64,
    /// RFC 3339, UTC.
    pub at: String,
    pub action: String,
    pub subject: String,
    pub request: String,
    pub item: String,
    pub by: String,
    pub on_behalf_of: String,
    pub object: String,
    pub reason: String,
    pub before: String,
    pub after: String,
    /// Drawn, where the bundle is a sample.
    pub drawn: bool,
}

impl Row {
    pub(super) fn new(index: u64, entry: &Entry, drawn: bool) -> Self {
        Self {
            index,
            at: entry.text("/at"),
            action: entry.action.clone(),
            subject: entry.subject.clone(),
            request: entry.request.map_or(String::new(), |number| format!("REQ-{number:06}")),
            item: entry.item.map_or(String::new(), |item| item.to_string()),
            by: entry.actor_name.clone().unwrap_or_else(|| entry.via.clone()),
            on_behalf_of: entry.on_behalf_of_name.clone().unwrap_or_default(),
            object: entry.object.clone().unwrap_or_default(),
            reason: text(entry.record.get("reason")),
            before: facts(entry.record.get("before")),
            after: facts(entry.record.get("after")),
            drawn,
        }
    }

    fn cells(&self) -> [&str; 11] {
        [
            &self.at,
            &self.action,
            &self.subject,
            &self.request,
            &self.item,
            &self.by,
            &self.on_behalf_of,
            &self.object,
            &self.reason,
            &self.before,
            &self.after,
        ]
    }
}

fn facts(part: Option<&Json>) -> String {
    let Some(Json::Object(facts)) = part else { return String::new() };
    facts.iter().map(|(name, value)| format!("{name}: {}", text(Some(value)))).collect::<Vec<_>>().join("; ")
}

fn text(value: Option<&Json>) -> String {
    match value {
        None | Some(Json::Null) => String::new(),
        Some(Json::String(text)) => text.clone(),
        Some(Json::Array(values)) => values.iter().map(|value| text(Some(value))).collect::<Vec<_>>().join(", "),
        Some(Json::Object(object)) if object.contains_key("hmac") => "(withheld or erased)".to_owned(),
        Some(other) => other.to_string(),
    }
}

/// What stands above the rows.
pub(super) struct Cover {
    pub origin: String,
    pub size: u64,
    pub made_at: DateTime<Utc>,
    pub selection: String,
    pub population: usize,
    pub population_digest: String,
    pub seed: String,
    pub report: String,
    pub sample: bool,
}

#[derive(Template)]
#[template(path = "bundle/index.html")]
pub(super) struct Page<'a> {
    pub cover: &'a Cover,
    pub rows: &'a [Row],
}

#[derive(Template)]
#[template(path = "bundle/README.md", escape = "none")]
pub(super) struct Readme<'a> {
    pub origin: &'a str,
    pub size: u64,
    pub made_at: String,
    pub selection: &'a str,
    pub records: usize,
}

const HEADINGS: [&str; 16] = [
    "Record",
    "Time (UTC)",
    "Action",
    "Subject",
    "Request",
    "Item",
    "By",
    "On behalf of",
    "Object",
    "Reason",
    "Before",
    "After",
    "Drawn",
    "Tested by",
    "Result",
    "Remark",
];

const WIDTHS: [f64; 16] = [9.0, 28.0, 22.0, 30.0, 13.0, 6.0, 24.0, 18.0, 30.0, 30.0, 40.0, 40.0, 8.0, 14.0, 12.0, 30.0];

/// The workbook: a cover sheet, and a row per record with columns for the auditor's tick-marks.
pub(super) fn workbook(cover: &Cover, rows: &[Row]) -> Result<Vec<u8>, BundleError> {
    let mut book = Workbook::new();
    let bold = Format::new().set_bold();
    let wrapped = Format::new().set_text_wrap().set_align(FormatAlign::Top);
    let sheet = book.add_worksheet().set_name("Cover")?;
    let facts = [
        ("Log", cover.origin.clone()),
        ("Leaves of the signed checkpoint", cover.size.to_string()),
        ("Made at (UTC)", cover.made_at.to_rfc3339()),
        ("Selection", cover.selection.clone()),
        ("Records in the population", cover.population.to_string()),
        ("SHA-256 of the population's ids", cover.population_digest.clone()),
        ("Seed", cover.seed.clone()),
        ("Records in this bundle", rows.len().to_string()),
        ("Recorded as", cover.report.clone()),
        ("How to check", "README.md, beside this file".to_owned()),
    ];
    for (row, (term, fact)) in (0u32..).zip(&facts) {
        sheet.write_string_with_format(row, 0, *term, &bold)?;
        sheet.write_string(row, 1, fact)?;
    }
    sheet.set_column_width(0, 34.0)?.set_column_width(1, 90.0)?;
    let sheet = book.add_worksheet().set_name("Records")?;
    heading(sheet, &bold)?;
    for (line, row) in (1u32..).zip(rows) {
        // Everything else is written as text: a value that begins with "=" is no formula.
        sheet.write_string(line, 0, row.index.to_string())?;
        for (column, cell) in (1u16..).zip(row.cells()) {
            // A cell of the format holds 32,767 characters; the record itself holds all of it.
            let cell: String = cell.chars().take(32_000).collect();
            sheet.write_string_with_format(line, column, cell, &wrapped)?;
        }
        sheet.write_string(line, 12, if row.drawn && cover.sample { "drawn" } else { "" })?;
    }
    sheet.autofilter(0, 0, u32::try_from(rows.len()).unwrap_or(u32::MAX), 15)?;
    sheet.set_freeze_panes(1, 1)?;
    Ok(book.save_to_buffer()?)
}

fn heading(sheet: &mut Worksheet, bold: &Format) -> Result<(), BundleError> {
    for (column, (name, width)) in (0u16..).zip(HEADINGS.iter().zip(WIDTHS)) {
        sheet.write_string_with_format(0, column, *name, bold)?;
        sheet.set_column_width(column, width)?;
    }
    Ok(())
}
