//! A small company to test with: one of each role, and who reports to whom.
//!
//! ```text
//! Maria Keller (manager) ── Anna Vogel ── Ben Vogt (reports to Anna)
//! Olaf Brandt (owner of "Ledger") · Dana Weiss (desk) · Lena Roth (desk lead) · Sven Holm (security)
//! Aude Petit (auditor) · Adam Kern (administrator) · Emil Lang (nothing but an employee)
//! ```

use sqlx::PgPool;
use tenure::ids::{EntitlementId, PersonId};
use uuid::Uuid;

use super::Portal;

/// The company's people and things.
#[derive(Debug, Clone, Copy)]
pub struct Company {
    pub manager: PersonId,
    pub anna: PersonId,
    pub ben: PersonId,
    pub owner: PersonId,
    pub desk: PersonId,
    pub lead: PersonId,
    pub security: PersonId,
    pub auditor: PersonId,
    pub admin: PersonId,
    pub employee: PersonId,
    pub site: Uuid,
    pub department: Uuid,
    pub ledger: EntitlementId,
}

pub const SYSTEM: &str = "ad:corp.example.com";

impl Company {
    /// Everybody who can sign in, with the word for their role.
    pub fn everybody(&self) -> [(&'static str, PersonId); 9] {
        [
            ("employee", self.employee),
            ("manager", self.manager),
            ("owner", self.owner),
            ("desk", self.desk),
            ("desk lead", self.lead),
            ("security", self.security),
            ("auditor", self.auditor),
            ("administrator", self.admin),
            ("report", self.anna),
        ]
    }
}

impl Portal {
    /// Fills the database with the company.
    pub async fn company(&self) -> Company {
        company(&self.owner).await
    }
}

/// Fills a database with the company, as its owner.
pub async fn company(db: &PgPool) -> Company {
    let (site, department) = (Uuid::now_v7(), Uuid::now_v7());
    sqlx::query(
        "insert into site (id, code, name, zone, country) values ($1, 'Hamburg', 'Hamburg', 'Europe/Berlin', 'DE')",
    )
    .bind(site)
    .execute(db)
    .await
    .unwrap();
    sqlx::query("insert into department (id, name) values ($1, 'Finance')").bind(department).execute(db).await.unwrap();
    sqlx::query("insert into target_system (key, family, name) values ($1, 'ad', 'Active Directory')")
        .bind(SYSTEM)
        .execute(db)
        .await
        .unwrap();
    let place = (site, department);
    let manager = person(db, place, ("Maria", "Keller", "mkeller"), None).await;
    let anna = person(db, place, ("Anna", "Vogel", "avogel"), Some(manager)).await;
    let ben = person(db, place, ("Ben", "Vogt", "bvogt"), Some(anna)).await;
    let owner = person(db, place, ("Olaf", "Brandt", "obrandt"), None).await;
    let desk = person(db, place, ("Dana", "Weiss", "dweiss"), None).await;
    let lead = person(db, place, ("Lena", "Roth", "lroth"), None).await;
    let security = person(db, place, ("Sven", "Holm", "sholm"), None).await;
    let auditor = person(db, place, ("Aude", "Petit", "apetit"), None).await;
    let admin = person(db, place, ("Adam", "Kern", "akern"), None).await;
    let employee = person(db, place, ("Emil", "Lang", "elang"), None).await;
    for (who, role) in
        [(desk, "desk"), (lead, "desk_lead"), (security, "security"), (auditor, "auditor"), (admin, "administrator")]
    {
        sqlx::query("insert into role_holding (person, role) values ($1, $2)")
            .bind(who)
            .bind(role)
            .execute(db)
            .await
            .unwrap();
    }
    let ledger = EntitlementId::new();
    sqlx::query(
        "insert into entitlement (id, system, kind, native_id, name, owner, risk, sox)
         values ($1, $2, 'group_membership', $3, 'Ledger', $4, 'high', true)",
    )
    .bind(ledger)
    .bind(SYSTEM)
    .bind(Uuid::now_v7())
    .bind(owner)
    .execute(db)
    .await
    .unwrap();
    Company { manager, anna, ben, owner, desk, lead, security, auditor, admin, employee, site, department, ledger }
}

/// A person with an employment and a sign-in (without a password).
pub async fn person(
    db: &PgPool,
    (site, department): (Uuid, Uuid),
    (given, family, user_name): (&str, &str, &str),
    manager: Option<PersonId>,
) -> PersonId {
    let id = PersonId::new();
    let name = format!("{given} {family}");
    sqlx::query(
        "insert into person (id, given_name, family_name, display_name, mail, state, source, folded)
         values ($1, $2, $3, $4, $5, 'active', 'seed', lower($4))",
    )
    .bind(id)
    .bind(given)
    .bind(family)
    .bind(name)
    .bind(format!("{user_name}@example.com"))
    .execute(db)
    .await
    .unwrap();
    sqlx::query(
        "insert into employment (id, person, type, site, department, title, manager, first_day, source)
         values ($1, $2, 'employee', $3, $4, 'Accountant', $5, '2020-01-01', 'seed')",
    )
    .bind(Uuid::now_v7())
    .bind(id)
    .bind(site)
    .bind(department)
    .bind(manager)
    .execute(db)
    .await
    .unwrap();
    sqlx::query("insert into sign_in (person, user_name, user_name_folded) values ($1, $2, $2)")
        .bind(id)
        .bind(user_name)
        .execute(db)
        .await
        .unwrap();
    id
}

/// Releases the rules as they come with the program, with one birthright rule for everybody, and an account for Anna.
/// Returns the entitlement that comes by rule, and Anna's account.
pub async fn rules(portal: &Portal, company: &Company) -> (EntitlementId, Uuid) {
    use tenure::catalog::{self, Birthright, BirthrightRule, Condition, Naming, Routes, ServiceLevels};
    use tenure::evidence::By;
    let everybody = EntitlementId::new();
    sqlx::query(
        "insert into entitlement (id, system, kind, native_id, name, owner, requestable, folded)
         values ($1, $2, 'group_membership', $3, 'All Hamburg', $4, false, 'all hamburg')",
    )
    .bind(everybody)
    .bind(SYSTEM)
    .bind(Uuid::now_v7())
    .bind(company.owner)
    .execute(&portal.owner)
    .await
    .unwrap();
    let read = |name: &str| {
        std::fs::read_to_string(format!("{}/src/catalog/defaults/{name}.json", env!("CARGO_MANIFEST_DIR"))).unwrap()
    };
    let routes: Routes = serde_json::from_str(&read("routes")).unwrap();
    let naming: Naming = serde_json::from_str(&read("naming")).unwrap();
    let levels: ServiceLevels = serde_json::from_str(&read("service_levels")).unwrap();
    let when = Condition { site: Some("Hamburg".to_owned()), ..Condition::default() };
    let rule = BirthrightRule { name: "location".to_owned(), when, entitlements: vec![everybody] };
    let mut conn = portal.owner.acquire().await.unwrap();
    let (now, by) = (portal.clock.now(), By::routine("test"));
    catalog::release(&mut conn, now, &by, &routes, "").await.unwrap();
    catalog::release(&mut conn, now, &by, &naming, "").await.unwrap();
    catalog::release(&mut conn, now, &by, &levels, "").await.unwrap();
    catalog::release(&mut conn, now, &by, &Birthright { rules: vec![rule] }, "").await.unwrap();
    let account = Uuid::now_v7();
    sqlx::query(
        "insert into account (system, native_id, person, kind, linked_by_rule, user_name, display_name, dn, enabled, attributes)
         values ($1, $2, $3, 'person', 'hand', 'avogel', 'Anna Vogel', 'CN=Anna Vogel,DC=corp', true, '{\"enabled\": true}')",
    )
    .bind(SYSTEM)
    .bind(account)
    .bind(company.anna)
    .execute(&portal.owner)
    .await
    .unwrap();
    (everybody, account)
}

/// Makes somebody an administrator as well.
pub async fn administrator(db: &PgPool, person: PersonId) {
    sqlx::query("insert into role_holding (person, role) values ($1, 'administrator')")
        .bind(person)
        .execute(db)
        .await
        .unwrap();
}
