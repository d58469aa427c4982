//! Who may: actors, roles, permits, sessions and the ways to sign in.
//!
//! Somebody signs in ([`sign_in`]) and gets a session, or shows an API token; both are read anew with every HTTP request
//! into a [`Viewer`]. An operation asks [`permit`] inside its own transaction: the session's row is held, the roles are
//! read again, and the [`matrix`] says how far they reach. Lists are filtered by the same words ([`scope`]).

pub mod delegation;
pub mod erase;
pub mod matrix;
mod permit;
pub mod roles;
pub mod scope;
pub mod session;
pub mod sign_in;
pub mod token;

pub use matrix::Operation;
pub use permit::{Ask, Denied, Object, Op, Permit, allowed, op, permit};

use crate::evidence::By;
use crate::ids::PersonId;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// What somebody is to Tenure. Employee, manager and owner follow from people and catalogue; the rest are given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    Employee,
    Manager,
    Owner,
    Desk,
    DeskLead,
    Security,
    Auditor,
    Administrator,
}

impl Role {
    /// The word in tables and records.
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Employee => "employee",
            Role::Manager => "manager",
            Role::Owner => "owner",
            Role::Desk => "desk",
            Role::DeskLead => "desk_lead",
            Role::Security => "security",
            Role::Auditor => "auditor",
            Role::Administrator => "administrator",
        }
    }
}

/// A signed-in person, as read with the session for this one HTTP request.
#[derive(Debug, Clone)]
pub struct Viewer {
    pub person: PersonId,
    pub name: String,
    pub user_name: String,
    pub roles: Vec<Role>,
    /// Set in the browser.
    pub session: Option<Uuid>,
    /// Set at the API, with the token's scopes.
    pub token: Option<Uuid>,
    pub scopes: Vec<String>,
    pub address: Option<String>,
}

impl Viewer {
    pub fn has(&self, role: Role) -> bool {
        self.roles.contains(&role)
    }
}

/// Who acts: a person, or work that nobody asked for in person.
#[derive(Debug, Clone)]
pub enum Actor {
    Person(Viewer),
    Routine(&'static str),
}

impl Actor {
    pub fn person(&self) -> Option<PersonId> {
        match self {
            Actor::Person(viewer) => Some(viewer.person),
            Actor::Routine(_) => None,
        }
    }

    /// The person's name, or the routine's.
    pub fn name(&self) -> &str {
        match self {
            Actor::Person(viewer) => &viewer.name,
            Actor::Routine(name) => name,
        }
    }

    /// How evidence names this actor.
    pub fn by(&self) -> By {
        match self {
            Actor::Person(viewer) => By {
                person: Some(viewer.person.0),
                on_behalf_of: None,
                via: if viewer.token.is_some() { "token" } else { "person" }.to_owned(),
                session: viewer.session.or(viewer.token),
                address: viewer.address.clone(),
            },
            Actor::Routine(name) => By::routine(name),
        }
    }
}
