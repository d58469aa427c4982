//! Differences on their way to the plan component: the same words before submitting, on the request, when deciding.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::view::plan::{ChangeView, ItemView, Mark, StepAction, StepView};
use super::view::states;
use super::{Error, SignedIn, words};
use crate::changes::Step;
use crate::connectors::exchange::Places;
use crate::connectors::exchange::flavour::Flavour;
use crate::connectors::exchange::preview;
use crate::plan::{Plan, PlannedStep};
use crate::target::{Difference, Key, Kind, Presence, Reference, Value};

/// Names of objects that differences and keys refer to by id, and what is needed to show commands.
#[derive(Debug, Default)]
pub struct Names {
    known: HashMap<Uuid, String>,
    /// Of each Exchange organisation.
    organisations: HashMap<String, (Flavour, Places)>,
}

/// Everything in a step that may refer to an object.
fn ids<'a>(difference: &'a Difference, key: &'a Key) -> impl Iterator<Item = Uuid> {
    fn of(value: &Value) -> Vec<Uuid> {
        match value {
            Value::Text(text) => text.parse().into_iter().collect(),
            Value::List(values) => values.iter().flat_map(of).collect(),
            _ => Vec::new(),
        }
    }
    let end = |reference: &Reference| match reference {
        Reference::Native(id) => Some(*id),
        Reference::Step { .. } => None,
    };
    let ends = match key {
        Key::Native { id } => vec![Some(*id)],
        Key::Member { group, member } => vec![end(group), end(member)],
        Key::Permission { object, trustee, .. } => vec![end(object), end(trustee)],
        Key::Step { .. } | Key::New { .. } => Vec::new(),
    };
    let values = difference.changes.iter().flat_map(|change| [of(&change.from), of(&change.to)]).flatten();
    values.chain(ends.into_iter().flatten())
}

impl Names {
    /// The names of those objects that these steps mention.
    pub async fn of<'a>(
        conn: &mut PgConnection,
        steps: impl Iterator<Item = (&'a Difference, &'a Key)>,
    ) -> Result<Self, Error> {
        let ids: Vec<Uuid> = steps.flat_map(|(difference, key)| ids(difference, key)).collect();
        if ids.is_empty() {
            return Ok(Self::default());
        }
        let rows = sqlx::query!(
            r#"select native_id as "id!", display_name as "name!" from account
                where system in (select key from target_system) and native_id = any ($1)
                union all
               select native_id, display_name from mailbox
                where system in (select key from target_system) and native_id = any ($1)
                union all
               select native_id, display_name from mailing_list
                where system in (select key from target_system) and native_id = any ($1)"#,
            &ids
        )
        .fetch_all(&mut *conn)
        .await?;
        let organisation = |system: crate::catalog::TargetSystem| {
            let flavour = Flavour::parse(system.facts.flavour.as_deref()?)?;
            Some((system.key.0, (flavour, system.facts.places)))
        };
        Ok(Self {
            known: rows.into_iter().map(|row| (row.id, row.name)).collect(),
            organisations: crate::catalog::target_systems(conn).await?.into_iter().filter_map(organisation).collect(),
        })
    }

    /// The cmdlets that a step will send; none for what is no Exchange.
    fn commands(&self, system: &str, kind: Kind, step: (&Key, &Difference)) -> Vec<String> {
        let Some((flavour, places)) = self.organisations.get(system) else { return Vec::new() };
        preview::commands((*flavour, places), kind, step, &|reference| match reference {
            Reference::Native(id) => id.to_string(),
            Reference::Step { step } => format!("<{step}>"),
        })
    }

    fn text(&self, attribute: &str, value: &Value) -> Option<String> {
        match value {
            Value::Null => None,
            Value::Sealed { .. } => Some("a new one, sealed for whoever hands it over".to_owned()),
            Value::Text(text) => {
                let name = text.parse().ok().and_then(|id: Uuid| self.known.get(&id));
                let day = (attribute == "accountExpires").then(|| text.parse::<DateTime<Utc>>().ok()).flatten();
                let day = day.map(|at| at.format("%-d %B %Y, %H:%M UTC").to_string());
                Some(name.cloned().or(day).unwrap_or_else(|| text.clone()))
            }
            Value::List(values) if values.is_empty() => None,
            Value::List(values) => {
                let each: Vec<String> = values.iter().filter_map(|value| self.text(attribute, value)).collect();
                Some(each.join(", "))
            }
            Value::Number(bytes) if attribute.ends_with("Quota") => {
                Some(format!("{:.1} GB", *bytes as f64 / f64::from(1 << 30)))
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
        // What stays as it is was planned as a condition; it is no change.
        let moves = difference.changes.iter().filter(|change| change.from != change.to);
        let changes = moves.map(|change| ChangeView {
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
        commands: names.commands(&step.system.0, step.kind, (&step.key, &step.difference)),
        ..StepView::new(mark, &step.label, words::step_kind(step.kind.as_str()), &words::system(&step.system.0))
    }
}

/// A whole plan that is not there yet.
pub async fn of_plan(conn: &mut PgConnection, me: &SignedIn, plan: &Plan) -> Result<Vec<ItemView>, Error> {
    let steps = plan.items.iter().flat_map(|item| &item.steps).map(|step| (&step.difference, &step.key));
    let names = Names::of(conn, steps).await?;
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
    let native = step.native.as_ref().filter(|native| !native.commands.is_empty());
    let planned = || names.commands(&step.system, Kind::parse(&step.kind), (&step.key, &step.difference));
    StepView {
        commands: native.map_or_else(planned, |native| native.commands.clone()),
        warnings: native.map(|native| native.warnings.clone()).unwrap_or_default(),
        sent: native.is_some(),
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
