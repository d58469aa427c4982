//! Differences on their way to the plan component: the same words before submitting, on the request, when deciding.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::view::plan::{ChangeView, ItemView, Mark, StepAction, StepView};
use super::view::states;
use super::{Error, SignedIn, words};
use crate::changes::Step;
use crate::plan::{Plan, PlannedStep};
use crate::target::{Difference, Presence, Value};

/// Names of objects that values refer to by id.
#[derive(Debug, Default)]
pub struct Names(HashMap<Uuid, String>);

impl Names {
    /// The names of those objects that these differences mention.
    pub async fn of<'a>(
        conn: &mut PgConnection,
        differences: impl Iterator<Item = &'a Difference>,
    ) -> Result<Self, Error> {
        let values =
            differences.flat_map(|difference| &difference.changes).flat_map(|change| [&change.from, &change.to]);
        let ids: Vec<Uuid> = values.filter_map(|value| value.as_text()?.parse().ok()).collect();
        if ids.is_empty() {
            return Ok(Self::default());
        }
        let rows = sqlx::query!("select native_id, display_name from account where native_id = any($1)", &ids)
            .fetch_all(conn)
            .await?;
        Ok(Self(rows.into_iter().map(|row| (row.native_id, row.display_name)).collect()))
    }

    fn text(&self, attribute: &str, value: &Value) -> Option<String> {
        match value {
            Value::Null => None,
            Value::Sealed { .. } => Some("a new one, sealed for whoever hands it over".to_owned()),
            Value::Text(text) => {
                let name = text.parse().ok().and_then(|id: Uuid| self.0.get(&id));
                let day = (attribute == "accountExpires").then(|| text.parse::<DateTime<Utc>>().ok()).flatten();
                let day = day.map(|at| at.format("%-d %B %Y, %H:%M UTC").to_string());
                Some(name.cloned().or(day).unwrap_or_else(|| text.clone()))
            }
            other => Some(other.to_string()),
        }
    }

    fn difference(&self, difference: &Difference) -> (Mark, Vec<ChangeView>) {
        let mark = match difference.presence {
            Some((_, Presence::Present)) => Mark::Added,
            Some((_, Presence::Absent)) => Mark::Removed,
            None => Mark::Changed,
        };
        let changes = difference.changes.iter().map(|change| ChangeView {
            attribute_words: words::attribute(&change.attribute).to_owned(),
            raw_name: change.attribute.clone(),
            from: self.text(&change.attribute, &change.from),
            to: self.text(&change.attribute, &change.to),
        });
        (mark, changes.collect())
    }
}

/// An instant in the future, written out in the viewer's zone; empty for now and before.
pub fn later(me: &SignedIn, at: Option<DateTime<Utc>>) -> String {
    let zone = me.live.zone;
    at.filter(|at| *at > me.now).map_or(String::new(), |at| {
        let place = zone.name().rsplit('/').next().unwrap_or_default().replace('_', " ");
        format!("{}, {place}", at.with_timezone(&zone).format("%A %-d %B %Y %H:%M"))
    })
}

/// A step that is not there yet: on "check your answers".
pub fn planned(me: &SignedIn, names: &Names, step: &PlannedStep) -> StepView {
    let (mark, changes) = names.difference(&step.difference);
    StepView {
        changes,
        why: step.why.clone(),
        when: later(me, step.not_before),
        ..StepView::new(mark, &step.label, words::step_kind(step.kind.as_str()), &words::system(&step.system.0))
    }
}

/// A whole plan that is not there yet.
pub async fn of_plan(conn: &mut PgConnection, me: &SignedIn, plan: &Plan) -> Result<Vec<ItemView>, Error> {
    let differences = plan.items.iter().flat_map(|item| &item.steps).map(|step| &step.difference);
    let names = Names::of(conn, differences).await?;
    let items = (1..).zip(&plan.items).map(|(ordinal, item)| ItemView {
        ordinal,
        label: item.label.clone(),
        sox: item.sox,
        ..ItemView::bare(item.steps.iter().map(|step| planned(me, &names, step)).collect())
    });
    Ok(items.collect())
}

/// A step of a request, with how it stands and what the viewer may do about it.
pub fn step(me: &SignedIn, names: &Names, step: &Step, actions: Vec<StepAction>) -> StepView {
    let (mark, changes) = names.difference(&step.difference);
    let stopped = matches!(step.state.as_str(), "blocked" | "drifted");
    let told = step.told.clone().unwrap_or_default();
    let again =
        step.due_at.filter(|_| step.state == "retrying").map(|at| format!("Tried again {}.", me.when(at).relative));
    StepView {
        changes,
        badge: Some(states::step(&step.state)),
        why: step.why.clone(),
        when: later(me, step.not_before),
        outcome_note: [told, again.unwrap_or_default()].join(" ").trim().to_owned(),
        alarm: stopped,
        actions,
        ..StepView::new(mark, &step.label, words::step_kind(&step.kind), &words::system(&step.system))
    }
}
