//! What looks found a moment ago, for the writes that follow them.
//!
//! The worker looks, and then has a difference ensured: an account need not be read twice in a row for that. A write takes the
//! look, so it serves once, and carries the old values, so what somebody changed in between is refused by the directory. Groups
//! that were looked at together are asked about together: whether one is inside a protected one.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use uuid::Uuid;

use super::observe::Account;

/// How long a moment is.
const MOMENT: Duration = Duration::from_secs(1);

/// An account, where there is one, and whether its creation came to an end.
pub type Found = Option<(Account, bool)>;

#[derive(Default)]
pub struct Looked {
    /// By server, and by id or correlation id.
    accounts: HashMap<(String, Uuid), (Instant, Found)>,
    together: HashMap<Uuid, (Instant, Arc<[Uuid]>)>,
    harmless: HashMap<Uuid, Instant>,
}

/// What is known of a group that is about to be written to.
pub enum Group {
    /// It was found to be in no protected one.
    Harmless,
    /// To be asked about with these; it is among them.
    With(Vec<Uuid>),
}

impl Looked {
    /// An account was looked at; `id` is what it was asked for by.
    pub fn account(&mut self, url: &str, id: Uuid, found: Found) {
        self.accounts.retain(|_, (at, _)| at.elapsed() < MOMENT);
        self.accounts.insert((url.to_owned(), id), (Instant::now(), found));
    }

    /// What was found a moment ago, once.
    pub fn take_account(&mut self, url: &str, id: Uuid) -> Option<Found> {
        let (at, found) = self.accounts.remove(&(url.to_owned(), id))?;
        (at.elapsed() < MOMENT).then_some(found)
    }

    /// Memberships of these groups were looked at in one question.
    pub fn groups(&mut self, groups: &[Uuid]) {
        self.together.retain(|_, (at, _)| at.elapsed() < MOMENT);
        let all: Arc<[Uuid]> = groups.into();
        self.together.extend(groups.iter().map(|group| (*group, (Instant::now(), all.clone()))));
    }

    /// What is known of a group, once.
    pub fn take_group(&mut self, group: Uuid) -> Group {
        if self.harmless.remove(&group).is_some_and(|at| at.elapsed() < MOMENT) {
            return Group::Harmless;
        }
        let together = self.together.remove(&group).filter(|(at, _)| at.elapsed() < MOMENT);
        Group::With(together.map_or_else(|| vec![group], |(_, groups)| groups.to_vec()))
    }

    /// These are in no protected group.
    pub fn harmless(&mut self, groups: impl Iterator<Item = Uuid>) {
        self.harmless.retain(|_, at| at.elapsed() < MOMENT);
        self.harmless.extend(groups.map(|group| (group, Instant::now())));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_serves_one_write() {
        let (mut looked, id) = (Looked::default(), Uuid::from_u128(1));
        looked.account("ldaps://dc1", id, None);
        assert!(looked.take_account("ldaps://dc2", id).is_none(), "another server");
        assert!(matches!(looked.take_account("ldaps://dc1", id), Some(None)), "it was not there");
        assert!(looked.take_account("ldaps://dc1", id).is_none(), "it is looked at anew");
    }

    #[test]
    fn groups_are_asked_about_together_once() {
        let (mut looked, [one, other]) = (Looked::default(), [1, 2].map(Uuid::from_u128));
        looked.groups(&[one, other]);
        let Group::With(beside) = looked.take_group(one) else { panic!("not asked about yet") };
        assert_eq!(beside, [one, other]);
        looked.harmless(std::iter::once(other));
        assert!(matches!(looked.take_group(other), Group::Harmless));
        assert!(matches!(looked.take_group(one), Group::With(alone) if alone == [one]), "each write asks anew");
    }
}
