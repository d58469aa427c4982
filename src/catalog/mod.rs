//! What can be asked for, who owns it, and the rules.
//!
//! An *entitlement* is something that can be held (a group's membership, a right on a mailbox), with an owner, a risk and a SOX flag. The rules
//! (routes, naming, birthright, separation of duties, service levels, wording) are data in immutable *versions*, proposed by one and released by another: a plan names the versions that it was made
//! from, and a version once released is never changed, only followed by another.

mod birthright;
mod entitlements;
mod erase;
pub mod naming;
pub mod proposals;
mod retention;
pub mod routes;
mod scope;
mod separation;
mod service_levels;
mod settings;
mod systems;
mod wording;

pub use birthright::{Birthright, BirthrightInput, BirthrightRule, Condition};
pub use entitlements::{
    Entitlement, Held, NewEntitlement, Risk, add, by_name, by_native, find, find_many, list, of_object, owned_by,
};
pub use erase::erase;
pub use naming::{NameInput, Names, Naming, NamingError};
pub use retention::Retention;
pub use routes::{About, DeciderRole, Needed, RouteInput, Routes, StageRule};
pub use scope::UnitScope;
pub use separation::{Conflict, Consequence, Separation, SeparationRule};
pub use service_levels::{Level, PRIORITIES, Patience, ServiceLevels, Times};
pub use settings::{
    CatalogError, Invalid, Rules, Setting, Versioned, history, release, retention, rules, separation, service_levels,
    wording,
};
pub use systems::{JoinerMailbox, SystemFacts, TargetSystem, find_system, target_system, target_systems};
pub use wording::{About as MailAbout, LETTERS, Letter, Said, VARIABLES, Wording};
