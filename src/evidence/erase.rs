//! Forgetting what evidence holds aside about a person: values and keys go, records and proofs stay.
//!
//! The application's role cannot update evidence; the schema's function `erase_evidence` can, for a person whose erasure
//! two people made, and works out by itself which values are theirs. Every other folder forgets its own rows by the
//! same [`Traces`].

use sqlx::PgConnection;
use uuid::Uuid;

use crate::ids::PersonId;

/// What names a person, read before anything of theirs is gone.
#[derive(Debug, Clone)]
pub struct Traces {
    pub person: PersonId,
    /// A PostgreSQL regular expression that finds the words that name them and nobody else.
    pub pattern: String,
}

/// What stands where a value was.
pub const GONE: &str = "erased";

impl Traces {
    /// Reads what names that person.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn of(conn: &mut PgConnection, person: PersonId) -> Result<Self, sqlx::Error> {
        let pattern =
            sqlx::query_scalar!(r#"select erasure_pattern($1) as "pattern!""#, person.0).fetch_one(conn).await?;
        Ok(Self { person, pattern })
    }

    /// How the person is called from then on: "Erased person 1f0c9a3e".
    pub fn name(&self) -> String {
        format!("Erased person {}", self.short())
    }

    /// The end of the id, which is random also in ids that are made one after another.
    pub fn short(&self) -> String {
        let id = self.person.0.simple().to_string();
        id[24..].to_owned()
    }
}

/// Forgets values and keys of everything recorded about the person of that erasure, comments of decisions included.
/// Returns how many values.
///
/// # Errors
/// `insufficient_privilege` where that erasure is not approved by somebody else than its proposer.
pub async fn forget(conn: &mut PgConnection, erasure: Uuid) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!(r#"select erase_evidence($1) as "erased!""#, erasure).fetch_one(conn).await
}
