//! Routes: who must decide about what, in which order, and why policy asks them. Pure.

use serde::{Deserialize, Serialize};

use super::Risk;
use super::settings::{Invalid, Setting, invalid};

/// Whom a stage asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeciderRole {
    Manager,
    Owner,
    Desk,
    Security,
}

/// How many of those who may must agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Needed {
    One,
    All,
    Count(u32),
}

/// One stage of a route.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StageRule {
    pub role: DeciderRole,
    #[serde(default = "one")]
    pub needed: Needed,
    /// Shown to whoever is asked: why policy asks them.
    pub reason: String,
    /// Left out where the subject's own manager (or one above) asked: they have said so by asking.
    #[serde(default)]
    pub unless_asked_by_manager: bool,
    /// Left out where whoever owns it asked.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unless_asked_by_owner: bool,
}

impl StageRule {
    fn may_be_left_out(&self) -> bool {
        self.unless_asked_by_manager || self.unless_asked_by_owner
    }
}

fn one() -> Needed {
    Needed::One
}

/// A row of the routes: for these, these stages. The first row that fits counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Route {
    pub name: String,
    /// Kinds of request: `joiner`, `leaver`, `leaver_immediate`, `access`, `password_reset`, `unlock`,
    /// `shared_mailbox`, `mailbox_access`, `mailbox_change`, `mailbox_change_sensitive` (legal hold, forwarding outside, taking
    /// away), `mailing_list`, `list_change`; empty: all.
    #[serde(default)]
    pub kinds: Vec<String>,
    /// `account` or `entitlement`; absent: both.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about: Option<AboutWord>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sox: Option<bool>,
    /// Risks; empty: all.
    #[serde(default)]
    pub risks: Vec<Risk>,
    /// Only where the subject decides here, holds a role or a SOX entitlement.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub privileged: Option<bool>,
    /// No stage: allowed only for roles that the permission matrix names, and looked at afterwards.
    pub stages: Vec<StageRule>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AboutWord {
    Account,
    Entitlement,
}

/// Every route, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Routes {
    pub routes: Vec<Route>,
}

/// What an item is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum About {
    Account,
    Entitlement { risk: Risk, sox: bool },
}

/// What a route is chosen by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteInput {
    pub kind: String,
    pub about: About,
    pub asked_by_manager: bool,
    /// Whoever owns it asked.
    pub asked_by_owner: bool,
    pub privileged: bool,
}

impl Route {
    fn fits(&self, input: &RouteInput) -> bool {
        let (word, risk, sox) = match input.about {
            About::Account => (AboutWord::Account, None, false),
            About::Entitlement { risk, sox } => (AboutWord::Entitlement, Some(risk), sox),
        };
        (self.kinds.is_empty() || self.kinds.contains(&input.kind))
            && self.about.is_none_or(|about| about == word)
            && self.sox.is_none_or(|wanted| wanted == sox)
            && (self.risks.is_empty() || risk.is_some_and(|risk| self.risks.contains(&risk)))
            && self.privileged.is_none_or(|wanted| wanted == input.privileged)
    }
}

impl Route {
    fn wrong(&self) -> Vec<Invalid> {
        // What nobody decides beforehand can only be what the matrix binds to a role.
        let without = ["leaver_immediate", "password_reset", "unlock"];
        let only_those = !self.kinds.is_empty() && self.kinds.iter().all(|kind| without.contains(&kind.as_str()));
        let mut wrong = Vec::new();
        if self.name.trim().is_empty() {
            wrong.push(invalid("name", "Give the route a name, such as “Joiner’s account”"));
        }
        if self.stages.is_empty() && !only_those {
            let message = format!("Route “{}” asks nobody; only {} may ask nobody", self.name, without.join(", "));
            wrong.push(invalid("stages", message));
        }
        if !self.stages.is_empty() && self.stages.iter().all(StageRule::may_be_left_out) && !only_those {
            let message = format!("Route “{}” would ask nobody when a manager or an owner asks", self.name);
            wrong.push(invalid("stages", message));
        }
        for (at, _) in self.stages.iter().enumerate().filter(|(_, stage)| stage.reason.trim().is_empty()) {
            wrong.push(invalid(format!("stages.{at}.reason"), "Say why policy asks them: they read it"));
        }
        wrong
    }
}

impl Routes {
    /// The stages for this item, in order. Where no row fits, the desk decides: nothing is approved by default.
    pub fn stages(&self, input: &RouteInput) -> Vec<StageRule> {
        match self.routes.iter().find(|route| route.fits(input)) {
            Some(route) => route
                .stages
                .iter()
                .filter(|stage| !(stage.unless_asked_by_manager && input.asked_by_manager))
                .filter(|stage| !(stage.unless_asked_by_owner && input.asked_by_owner))
                .cloned()
                .collect(),
            None => vec![StageRule {
                role: DeciderRole::Desk,
                needed: Needed::One,
                reason: "No route names this, so the service desk decides.".to_owned(),
                unless_asked_by_manager: false,
                unless_asked_by_owner: false,
            }],
        }
    }
}

impl Setting for Routes {
    const KIND: &'static str = "routes";

    fn wrong(&self) -> Vec<Invalid> {
        if self.routes.is_empty() {
            return vec![invalid("", "There is no route at all: the service desk would decide everything")];
        }
        let of = |(at, route): (usize, &Route)| {
            let named = move |wrong: Invalid| invalid(format!("routes.{at}.{}", wrong.field), wrong.message);
            route.wrong().into_iter().map(named)
        };
        self.routes.iter().enumerate().flat_map(of).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn defaults() -> Routes {
        serde_json::from_str(include_str!("defaults/routes.json")).unwrap()
    }

    fn roles(kind: &str, about: About, asked_by_manager: bool, privileged: bool) -> Vec<DeciderRole> {
        let input = RouteInput { kind: kind.to_owned(), about, asked_by_manager, asked_by_owner: false, privileged };
        defaults().stages(&input).into_iter().map(|stage| stage.role).collect()
    }

    #[test]
    fn the_routes_that_come_with_tenure() {
        use DeciderRole::{Desk, Manager, Owner, Security};
        let normal = About::Entitlement { risk: Risk::Normal, sox: false };
        let sox = About::Entitlement { risk: Risk::Normal, sox: true };
        let high = About::Entitlement { risk: Risk::High, sox: false };
        assert_eq!(defaults().wrong(), []);
        assert_eq!(roles("joiner", About::Account, true, false), [Desk]);
        assert_eq!(roles("joiner", About::Account, false, false), [Manager, Desk]);
        assert_eq!(roles("joiner", sox, true, false), [Owner]);
        assert_eq!(roles("access", sox, false, false), [Manager, Owner]);
        assert_eq!(roles("access", high, true, false), [Owner, Security]);
        assert_eq!(roles("access", normal, false, false), [Manager, Owner]);
        assert_eq!(roles("access", normal, true, false), [Owner]);
        assert_eq!(roles("leaver", About::Account, true, false), [Desk]);
        assert_eq!(roles("leaver_immediate", About::Account, false, true), []);
        assert_eq!(roles("unlock", About::Account, false, true), []);
        assert_eq!(roles("password_reset", About::Account, false, false), []);
        assert_eq!(roles("password_reset", About::Account, false, true), [Desk]);
        assert_eq!(
            roles("something new", normal, false, false),
            [Manager, Owner].into_iter().filter(|_| false).chain([Desk]).collect::<Vec<_>>()
        );
    }

    #[test]
    fn a_route_that_asks_nobody_is_not_released() {
        let mut routes = defaults();
        routes.routes[0].stages.clear();
        routes.routes[0].kinds = vec!["joiner".to_owned()];
        assert!(routes.wrong()[0].message.contains("asks nobody"));
    }
}
