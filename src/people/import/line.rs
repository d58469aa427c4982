//! A line of a file as a person, or what is wrong with its cells.

use std::collections::{BTreeMap, BTreeSet};

use chrono::NaiveDate;

use super::mapping::Mapping;
use super::table::Table;
use super::{Known, RowError};
use crate::people::{EmploymentType, NewPerson};

/// A line that can be taken; the manager is still a number.
pub(super) struct Line {
    pub line: u64,
    pub number: String,
    pub manager: Option<String>,
    pub phone: Option<String>,
    pub person: NewPerson,
}

/// Every line that can be taken, and what is wrong with the others.
pub(super) fn lines(table: &Table, mapping: &Mapping, sites: &BTreeSet<String>) -> (Vec<Line>, Vec<RowError>) {
    let mut errors = table.odd.clone();
    let mut lines: Vec<Line> = Vec::new();
    let mut seen: BTreeMap<String, u64> = BTreeMap::new();
    for (at, row) in &table.rows {
        let mut cells = Cells { line: *at, row, mapping, errors: &mut errors };
        let Some(line) = cells.line(sites) else { continue };
        if let Some(first) = seen.insert(line.number.clone(), *at) {
            let message = format!("{} stands on line {first} as well; keep one of them", line.number);
            errors.push(RowError::new(*at, "employee_number", message));
        }
        lines.push(line);
    }
    (lines, errors)
}

/// A text as typed, without surrounding space; None where it is empty. The same characters are refused as in forms:
/// control characters, direction overrides, zero-width ones.
///
/// # Errors
/// What is wrong, and how to mend it.
pub fn text(typed: &str, max: usize) -> Result<Option<String>, String> {
    let text = typed.trim().to_owned();
    let length = text.chars().count();
    if length > max {
        return Err(format!("can be at most {max} characters; this has {length}"));
    }
    let hidden = |letter: char| {
        letter.is_control()
            || matches!(letter, '\u{200B}' | '\u{200E}' | '\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{FEFF}')
    };
    if let Some(letter) = text.chars().find(|letter| hidden(*letter)) {
        return Err(format!("contains an invisible character (U+{:04X}); type it anew", letter as u32));
    }
    Ok((!text.is_empty()).then_some(text))
}

struct Cells<'a> {
    line: u64,
    row: &'a [String],
    mapping: &'a Mapping,
    errors: &'a mut Vec<RowError>,
}

impl Cells<'_> {
    fn fail(&mut self, field: &str, message: impl Into<String>) {
        self.errors.push(RowError::new(self.line, field, message.into()));
    }

    fn cell(&self, field: &str) -> &str {
        self.mapping.column(field).and_then(|at| self.row.get(at)).map_or("", |cell| cell.trim())
    }

    fn text(&mut self, field: &str, max: usize) -> Option<String> {
        match text(self.cell(field), max) {
            Ok(text) => text,
            Err(message) => {
                self.fail(field, message);
                None
            }
        }
    }

    fn required(&mut self, field: &str, max: usize) -> Option<String> {
        let before = self.errors.len();
        let text = self.text(field, max);
        if text.is_none() && self.errors.len() == before {
            self.fail(field, "is empty");
        }
        text
    }

    fn day(&mut self, field: &str) -> Option<NaiveDate> {
        let text = self.text(field, 10)?;
        let day = NaiveDate::parse_from_str(&text, "%Y-%m-%d").ok();
        if day.is_none() {
            self.fail(field, format!("“{text}” is not a day such as 2026-11-30"));
        }
        day
    }

    fn line(&mut self, sites: &BTreeSet<String>) -> Option<Line> {
        let before = self.errors.len();
        let number = self.required("employee_number", 32);
        let given_name = self.required("given_name", 64);
        let family_name = self.required("family_name", 64);
        let kind = self.required("type", 20).and_then(|text| {
            let kind = EmploymentType::parse(&text);
            if kind.is_none() {
                self.fail("type", format!("“{text}” is neither employee, contractor nor intern"));
            }
            kind
        });
        let department = self.required("department", 100);
        let title = self.required("title", 100);
        let site = self.required("site", 100);
        if let Some(site) = site.as_ref().filter(|site| !sites.contains(*site)) {
            let known = sites.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
            self.fail("site", format!("“{site}” is not a site here; known: {known}"));
        }
        let manager = self.text("manager_employee_number", 32);
        let (first_day, last_day) = self.days();
        let mail = self.text("mail", 254);
        if mail.as_ref().is_some_and(|mail| !crate::people::is_mail(mail)) {
            self.fail("mail", "is not a mail address");
        }
        let phone = self.text("phone", 40);
        if self.errors.len() > before {
            return None;
        }
        let (given_name, family_name) = (given_name?, family_name?);
        Some(Line {
            line: self.line,
            number: number.clone()?,
            manager,
            phone,
            person: NewPerson {
                employee_number: number,
                display_name: format!("{given_name} {family_name}"),
                given_name,
                family_name,
                kind: kind?,
                site: site?,
                department: department?,
                title: title?,
                manager: None,
                first_day: first_day?,
                last_day,
                mail,
            },
        })
    }

    fn days(&mut self) -> (Option<NaiveDate>, Option<NaiveDate>) {
        let first_day = self.day("first_day");
        if first_day.is_none() && self.cell("first_day").is_empty() {
            self.fail("first_day", "is empty");
        }
        let last_day = self.day("last_day");
        if first_day.zip(last_day).is_some_and(|(first, last)| last < first) {
            self.fail("last_day", "lies before the first day");
        }
        (first_day, last_day)
    }
}

/// Managers exist, and nobody is above themselves.
pub(super) fn check_managers(lines: &[Line], known: &BTreeMap<String, Known>, errors: &mut Vec<RowError>) {
    let mut above: BTreeMap<&str, Option<&str>> =
        known.iter().map(|(number, known)| (number.as_str(), known.manager.as_deref())).collect();
    above.extend(lines.iter().map(|line| (line.number.as_str(), line.manager.as_deref())));
    for line in lines {
        let Some(manager) = &line.manager else { continue };
        let fail = |message| RowError::new(line.line, "manager_employee_number", message);
        if !above.contains_key(manager.as_str()) {
            errors.push(fail(format!("{manager} is neither in this file nor known")));
            continue;
        }
        let mut at = Some(manager.as_str());
        let mut steps = 0;
        while let Some(number) = at {
            steps += 1;
            if number == line.number || steps > above.len() {
                errors.push(fail(format!("{} would be above themselves, through {manager}", line.number)));
                break;
            }
            at = above.get(number).copied().flatten();
        }
    }
}
