//! A permit: the proof, made inside the operation's own transaction, that this actor may do this to this object.
//!
//! Operations take `&Permit<op::…>`, and only [`permit`] makes one, so an operation without a check does not compile.
//! For whatever changes something the session's (or token's) row is held `FOR SHARE` until the transaction ends: a
//! session that is ended meanwhile waits, and no operation outlives the right to do it.

use std::marker::PhantomData;

use sqlx::{PgConnection, Postgres, QueryBuilder, Row as _};
use uuid::Uuid;

use super::matrix::{Operation, Reach};
use super::{Actor, Role, Viewer, roles, scope};
use crate::evidence::By;
use crate::ids::{EntitlementId, ItemId, PersonId, RequestId};

/// What somebody asks for; the kinds have rows of their own in the matrix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    Joiner,
    Leaver,
    ImmediateLeaver,
    Access,
    PasswordReset,
    Unlock,
}

impl Ask {
    pub fn operation(self) -> Operation {
        match self {
            Self::Joiner => Operation::AskJoiner,
            Self::Leaver => Operation::AskLeaver,
            Self::ImmediateLeaver => Operation::AskImmediateLeaver,
            Self::Access => Operation::AskAccess,
            Self::PasswordReset => Operation::AskPasswordReset,
            Self::Unlock => Operation::AskUnlock,
        }
    }
}

/// What the operation is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Object {
    /// Asking, about this person; a joiner does not exist yet.
    Ask(Ask, Option<PersonId>),
    Person(PersonId),
    Request(RequestId),
    Item(ItemId),
    Entitlement(EntitlementId),
    Secret(Uuid),
    /// Nothing in particular: a list, whose rows come through [`scope`]. Allowed where anything at all is.
    None,
}

/// Marks a type as an operation.
pub trait Op {
    /// The matrix row for that object; None where the object does not fit the operation.
    fn operation(object: &Object) -> Option<Operation>;
}

/// One type per operation, so that a permit for one is not taken for another.
pub mod op {
    use super::{Object, Op, Operation};

    macro_rules! operations {
        ($($(#[$doc:meta])* $name:ident => $operation:ident;)*) => {$(
            $(#[$doc])*
            #[derive(Debug, Clone, Copy)]
            pub enum $name {}
            impl Op for $name {
                fn operation(_: &Object) -> Option<Operation> {
                    Some(Operation::$operation)
                }
            }
        )*};
    }

    /// Asking for something: [`Object::Ask`].
    #[derive(Debug, Clone, Copy)]
    pub enum Submit {}
    impl Op for Submit {
        fn operation(object: &Object) -> Option<Operation> {
            match object {
                Object::Ask(ask, _) => Some(ask.operation()),
                _ => None,
            }
        }
    }

    operations! {
        /// Looking at a request.
        See => SeeRequest;
        /// Deciding about an item: [`Object::Item`].
        Decide => Decide;
        Comment => Comment;
        Cancel => Cancel;
        /// Changing the answers of a request that was sent back.
        Change => ChangeAnswers;
        Assign => Assign;
        /// Setting a priority by hand.
        Prioritise => Prioritise;
        Retry => RetryStep;
        Skip => SkipStep;
        Replan => Replan;
        /// Asking for a secret's delivery and reading it: [`Object::Secret`].
        Reveal => RevealSecret;
        SeeQueue => SeeQueue;
        SearchPeople => SearchPeople;
        /// Name, position and how to reach them.
        SeePerson => SeePerson;
        /// Accounts, access, requests, dates too.
        SeePersonFully => SeePersonFully;
        SeeTeam => SeeTeam;
        SeeCatalogue => SeeCatalogue;
        /// Who holds an entitlement.
        SeeHolders => SeeHolders;
        SeeSettings => SeeSettings;
        /// Drafting and proposing a setting.
        ProposeSetting => ProposeSetting;
        /// Releasing, rejecting or withdrawing a proposal; releasing never one's own.
        ReleaseSetting => ReleaseSetting;
        SeeHistory => SeeHistory;
        /// Taking records away, as a bundle.
        TakeReport => TakeReport;
        SeeAdoption => SeeAdoption;
        /// Saying whose an account is; the object is that person, None to say "nobody's".
        LinkAccount => LinkAccount;
        SeeOutbox => SeeOutbox;
        SeeSystem => SeeSystem;
        /// Having a worker check a target system's connection.
        CheckSystem => CheckSystem;
        /// Sending a letter again that was given up.
        SendMailAgain => SendMailAgain;
        EndSession => EndSession;
        MakeToken => MakeToken;
        Delegate => Delegate;
        /// Setting who stands in for somebody else; the object is that person.
        DelegateFor => DelegateFor;
        /// Setting whether a rule of adoption links by itself.
        SwitchAdoption => SwitchAdoption;
        ImportPeople => ImportPeople;
        /// Writing a person and their employments by hand; [`Object::None`] for somebody new.
        ChangePerson => ChangePerson;
        ManageSignIns => ManageSignIns;
        GiveRole => GiveRole;
        /// Proposing that somebody's values be erased; the object is that person.
        ProposeErasure => ProposeErasure;
        /// Approving or rejecting that: never the proposer, never the person.
        DecideErasure => DecideErasure;
        SeeErasures => SeeErasures;
    }
}

/// Why not.
#[derive(Debug, thiserror::Error)]
pub enum Denied {
    /// They may not even know of it: shown as any page that does not exist.
    #[error("There is nothing here, or it is not yours to see.")]
    NotFound,
    #[error("{0}")]
    Forbidden(&'static str),
    #[error("You have been signed out. Sign in again; what you typed is kept by your browser.")]
    SessionEnded,
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// The proof. Holds for the transaction that it was made in, and for that object.
#[derive(Debug, Clone)]
pub struct Permit<O> {
    actor: Actor,
    object: Object,
    roles: Vec<Role>,
    operation: PhantomData<O>,
}

impl<O> Permit<O> {
    /// How evidence names who acts.
    pub fn by(&self) -> By {
        self.actor.by()
    }

    /// The person who acts.
    ///
    /// # Errors
    /// [`Denied::Forbidden`] where a routine acts and the operation needs a person.
    pub fn person(&self) -> Result<PersonId, Denied> {
        self.actor.person().ok_or(Denied::Forbidden("Only a person can do that."))
    }

    pub fn actor(&self) -> &Actor {
        &self.actor
    }

    /// What it is for.
    pub fn object(&self) -> Object {
        self.object
    }

    /// The actor's roles as they are now, read in this transaction.
    pub fn roles(&self) -> &[Role] {
        &self.roles
    }

    /// The browser's session, where there is one.
    pub fn session(&self) -> Option<Uuid> {
        match &self.actor {
            Actor::Person(viewer) => viewer.session,
            Actor::Routine(_) => None,
        }
    }
}

/// Checks inside the caller's transaction and yields the permit.
///
/// # Errors
/// [`Denied::SessionEnded`] where session or token no longer hold, [`Denied::NotFound`] where the actor may not even
/// see the object (or it does not exist), [`Denied::Forbidden`] with the reason otherwise.
pub async fn permit<O: Op>(conn: &mut PgConnection, actor: &Actor, object: Object) -> Result<Permit<O>, Denied> {
    let operation = O::operation(&object).ok_or(Denied::Forbidden("That cannot be done to this."))?;
    let viewer = match actor {
        Actor::Routine(_) if operation.by_routine() => {
            return Ok(Permit { actor: actor.clone(), object, roles: Vec::new(), operation: PhantomData });
        }
        Actor::Routine(_) => return Err(Denied::Forbidden("Only a person can do that.")),
        Actor::Person(viewer) => viewer,
    };
    let (scopes, roles) = hold(conn, viewer, !operation.reads()).await?;
    within(scopes.as_deref(), operation)?;
    if reaches(conn, operation, viewer.person, &roles, &object).await? {
        return Ok(Permit { actor: actor.clone(), object, roles, operation: PhantomData });
    }
    let seen = match object {
        Object::Request(_) | Object::Item(_) => {
            operation != Operation::SeeRequest
                && reaches(conn, Operation::SeeRequest, viewer.person, &roles, &object).await?
        }
        Object::Secret(_) => false,
        Object::Entitlement(_) | Object::Person(_) | Object::Ask(..) | Object::None => true,
    };
    if seen { Err(Denied::Forbidden(operation.refusal())) } else { Err(Denied::NotFound) }
}

/// Which of the operations the actor could do to the object now, in that order: for buttons and menus. Asks the same as
/// [`permit`] does, in two statements for all; doing one of them takes its own permit.
///
/// # Errors
/// Where the database does not answer.
pub async fn allowed<const N: usize>(
    conn: &mut PgConnection,
    actor: &Actor,
    object: Object,
    operations: [Operation; N],
) -> Result<[bool; N], sqlx::Error> {
    let Actor::Person(viewer) = actor else { return Ok(operations.map(Operation::by_routine)) };
    let (scopes, roles) = match hold(conn, viewer, false).await {
        Ok(held) => held,
        Err(Denied::Database(error)) => return Err(error),
        Err(_) => return Ok([false; N]),
    };
    let who = scope::Who { person: viewer.person, roles: &roles };
    let mut query = QueryBuilder::<Postgres>::new("select array[");
    for (at, operation) in operations.iter().enumerate() {
        query.push(if at > 0 { ", " } else { "" });
        let reaches = match within(scopes.as_deref(), *operation) {
            Ok(()) => operation.reaches(&roles),
            Err(_) => Vec::new(),
        };
        covers(&mut query, &who, &reaches, &object);
    }
    query.push("]::bool[]");
    let allowed: Vec<bool> = query.build_query_scalar().fetch_one(conn).await?;
    Ok(std::array::from_fn(|at| allowed.get(at).copied().unwrap_or(false)))
}

/// A token does only what it was made for; a session is asked nothing.
fn within(scopes: Option<&[String]>, operation: Operation) -> Result<(), Denied> {
    let Some(scopes) = scopes else { return Ok(()) };
    let needed = operation.scope().ok_or(Denied::Forbidden("That is not possible with an API token."))?;
    if scopes.iter().any(|scope| scope == needed) {
        Ok(())
    } else {
        Err(Denied::Forbidden("This API token was not made for that: it lacks the scope."))
    }
}

/// Whether session or token still hold, keeping the row from changing until the transaction ends where `lock`.
/// Returns a token's scopes, and the person's roles.
async fn hold(
    conn: &mut PgConnection,
    viewer: &Viewer,
    lock: bool,
) -> Result<(Option<Vec<String>>, Vec<Role>), Denied> {
    let mut query = QueryBuilder::<Postgres>::new("select ");
    query.push(roles::BASIS);
    if let Some(token) = viewer.token {
        query.push(
            ", t.scopes from api_token t join sign_in s on s.person = t.person join person p on p.id = t.person
              where t.revoked_at is null and t.expires_at > now() and s.disabled_at is null and t.id = ",
        );
        query.push_bind(token).push(" and t.person = ").push_bind(viewer.person);
        query.push(" and ").push(roles::HERE).push(if lock { " for share of t, s" } else { "" });
    } else if let Some(session) = viewer.session {
        query.push(
            ", null::text[] as scopes
               from session e join sign_in s on s.person = e.person join person p on p.id = e.person
              where e.ended_at is null and e.expires_at > now() and e.last_seen_at > now() - interval '30 minutes'
                and s.disabled_at is null and e.id = ",
        );
        query.push_bind(session).push(" and e.person = ").push_bind(viewer.person);
        query.push(" and ").push(roles::HERE).push(if lock { " for share of e, s" } else { "" });
    } else {
        return Err(Denied::SessionEnded);
    }
    let row = query.build().fetch_optional(conn).await?.ok_or(Denied::SessionEnded)?;
    Ok((row.try_get("scopes")?, roles::of_row(&row)?))
}

/// Whether one of the roles' reaches covers the object.
async fn reaches(
    conn: &mut PgConnection,
    operation: Operation,
    person: PersonId,
    roles: &[Role],
    object: &Object,
) -> Result<bool, sqlx::Error> {
    let reaches = operation.reaches(roles);
    if reaches.is_empty() || matches!(object, Object::None | Object::Ask(_, None)) {
        return Ok(!reaches.is_empty());
    }
    let mut query = QueryBuilder::<Postgres>::new("select ");
    covers(&mut query, &scope::Who { person, roles }, &reaches, object);
    query.build_query_scalar().fetch_one(conn).await
}

/// That as one expression.
fn covers(query: &mut QueryBuilder<Postgres>, who: &scope::Who<'_>, reaches: &[Reach], object: &Object) {
    if reaches.is_empty() {
        query.push("false");
        return;
    }
    query.push("exists (select from ");
    match object {
        Object::None | Object::Ask(_, None) => {
            query.push("(values (1)) nothing");
        }
        Object::Ask(_, Some(id)) | Object::Person(id) => {
            query.push("person p where p.id = ").push_bind(*id).push(" and ");
            scope::persons(query, who, reaches);
        }
        Object::Request(id) => {
            query.push("request r where r.id = ").push_bind(*id).push(" and ");
            scope::requests(query, who, reaches);
        }
        Object::Item(id) => {
            query.push("request r join item i on i.request = r.id where i.id = ").push_bind(*id).push(" and ");
            scope::items(query, who, reaches);
        }
        Object::Entitlement(id) => {
            query.push("entitlement e where e.id = ").push_bind(*id).push(" and ");
            scope::entitlements(query, who, reaches);
        }
        Object::Secret(id) => {
            query.push("secret x where x.id = ").push_bind(*id).push(" and ");
            scope::secrets(query, who, reaches);
        }
    }
    query.push(")");
}
