//! Mailboxes, lists and rights on them: asked for, decided, applied by a worker, and kept in the books and the mirror; against
//! a directory and an Exchange organisation in memory.

mod access;
mod change;
mod forms;
mod joiner;
mod leaver;
mod lists;
mod mirrored;
mod personal;
mod shared_mailbox;
mod steps;

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use serde_json::Value as Json;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use tenure::access::{Actor, session};
use tenure::catalog::{self, JoinerMailbox, SystemFacts};
use tenure::changes::secret::Vault;
use tenure::evidence::By;
use tenure::ids::{EntitlementId, PersonId, RequestNumber};
use tenure::mirror;
use tenure::plan::RequestKind;
use tenure::plan::field::{FieldError, Raw};
use tenure::requests::decide::{Deciding, Verdict, decide};
use tenure::requests::submit::{Asked, submit};
use tenure::requests::{self, RequestError};
use tenure::target::{Address, Difference, Kind, Native, State, SystemKey, Value};
use tenure::worker::Worker;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::support::Portal;
use crate::support::company::{Company, SYSTEM, rules};
use crate::support::scripted::Scripted;

pub const EXCHANGE: &str = "exchange:onprem";

/// A company with a directory and an Exchange organisation, in which Anna, Ben, Maria, Olaf and Emil have mailboxes.
pub struct Stage {
    pub portal: Portal,
    pub company: Company,
    pub directory: Arc<Scripted>,
    pub exchange: Arc<Scripted>,
    /// Given by rule to everybody in Hamburg.
    pub everybody: EntitlementId,
    _dir: tempfile::TempDir,
}

/// A step as it is written.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct Row {
    pub name: String,
    pub item: i32,
    pub system: String,
    pub kind: String,
    pub key: Json,
    #[sqlx(json)]
    pub difference: Difference,
    pub after: Vec<String>,
    pub not_before: Option<DateTime<Utc>>,
    pub state: String,
    pub resolved: Option<Uuid>,
}

impl Row {
    /// What an attribute becomes.
    pub fn to(&self, attribute: &str) -> &Value {
        self.difference.change(attribute).map_or(&Value::Null, |change| &change.to)
    }

    pub fn presence(&self) -> String {
        serde_json::to_string(&self.difference.presence).unwrap()
    }
}

pub fn organisation(joiner_mailbox: JoinerMailbox) -> SystemFacts {
    SystemFacts {
        flavour: Some("on_premises".to_owned()),
        directory: Some(SystemKey(SYSTEM.to_owned())),
        joiner_mailbox,
        licence_group: None,
        mail_domain: Some("example.com".to_owned()),
        ..SystemFacts::default()
    }
}

/// A step's name with the recipient that it is about.
pub fn on(name: &str, recipient: Uuid) -> String {
    format!("{name}-{}", tenure::plan::mail::code(recipient))
}

pub fn state(pairs: &[(&str, Value)]) -> State {
    State(pairs.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect())
}

pub fn texts(values: &[&str]) -> Value {
    Value::List(values.iter().map(|text| Value::from(*text)).collect())
}

pub fn ids(values: &[Uuid]) -> Value {
    Value::List(values.iter().map(|id| Value::Text(id.to_string())).collect())
}

impl Stage {
    pub async fn new(options: PgPoolOptions, connect: PgConnectOptions) -> Self {
        Self::with(options, connect, Some(organisation(JoinerMailbox::Mailbox))).await
    }

    /// With that organisation; None: a site without Exchange.
    pub async fn with(options: PgPoolOptions, connect: PgConnectOptions, facts: Option<SystemFacts>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let key_file = dir.path().join("worker.key");
        std::fs::write(&key_file, Vault::generate().as_bytes()).unwrap();
        std::fs::set_permissions(&key_file, std::fs::Permissions::from_mode(0o600)).unwrap();
        let portal = Portal::with(options, connect, |config| config.worker.key_file = Some(key_file)).await;
        let company = portal.company().await;
        let (everybody, account) = rules(&portal, &company).await;
        let stage = Self {
            portal,
            company,
            directory: Arc::new(Scripted::new(SYSTEM)),
            exchange: Arc::new(Scripted::new(EXCHANGE)),
            everybody,
            _dir: dir,
        };
        stage.directory.put(account, state(&[("enabled", true.into())]));
        if let Some(facts) = facts {
            let mut tx = stage.portal.pool.begin().await.unwrap();
            let key = SystemKey(EXCHANGE.to_owned());
            let (now, by) = (stage.portal.clock.now(), By::routine("test"));
            catalog::target_system(&mut tx, now, &by, &key, ("Exchange", false), &facts).await.unwrap();
            tx.commit().await.unwrap();
            for (person, user, name) in stage.with_mailboxes() {
                stage.account(person, user, name).await;
                let mailbox = stage.account_id(user).await;
                stage
                    .sees_mailbox(
                        mailbox,
                        "user",
                        (name, &format!("{user}@example.com")),
                        &[("directoryId", mailbox.to_string().into())],
                    )
                    .await;
            }
        }
        stage
    }

    fn with_mailboxes(&self) -> [(PersonId, &'static str, &'static str); 5] {
        let company = &self.company;
        [
            (company.anna, "avogel", "Anna Vogel"),
            (company.ben, "bvogt", "Ben Vogt"),
            (company.manager, "mkeller", "Maria Keller"),
            (company.owner, "obrandt", "Olaf Brandt"),
            (company.employee, "elang", "Emil Lang"),
        ]
    }

    async fn account(&self, person: PersonId, user: &str, name: &str) {
        let id = Uuid::now_v7();
        let made = sqlx::query(
            "insert into account (system, native_id, person, kind, linked_by_rule, user_name, display_name, dn, enabled, mail, upn, attributes)
             select $1, $2, $3, 'person', 'hand', $4, $5, 'CN=' || $5, true, $4 || '@example.com', $4 || '@corp.example.com', '{\"enabled\": true}'
              where not exists (select from account where user_name = $4)",
        )
        .bind(SYSTEM)
        .bind(id)
        .bind(person)
        .bind(user)
        .bind(name)
        .execute(&self.portal.owner)
        .await
        .unwrap();
        if made.rows_affected() == 1 {
            self.directory.put(id, state(&[("enabled", true.into())]));
        }
    }

    /// A person's account, which is their mailbox as well.
    pub async fn account_id(&self, user: &str) -> Uuid {
        sqlx::query_scalar("select native_id from account where user_name = $1")
            .bind(user)
            .fetch_one(&self.portal.owner)
            .await
            .unwrap()
    }

    /// The organisation has that mailbox, and the mirror has seen it.
    pub async fn sees_mailbox(&self, id: Uuid, of_type: &str, (name, address): (&str, &str), more: &[(&str, Value)]) {
        let mut pairs = vec![
            ("type", Value::from(of_type)),
            ("displayName", name.into()),
            ("alias", address.split('@').next().unwrap().into()),
            ("primaryAddress", address.into()),
            ("addresses", Value::List(Vec::new())),
            ("hidden", false.into()),
            ("litigationHold", false.into()),
        ];
        pairs.extend(more.iter().cloned());
        self.sees(Kind::Mailbox, id, &state(&pairs)).await;
    }

    pub async fn sees_list(&self, id: Uuid, name: &str, members: &[Uuid], more: &[(&str, Value)]) {
        let address = format!("{}@example.com", name.to_lowercase().replace(' ', "."));
        let mut pairs = vec![
            ("type", Value::from("distribution")),
            ("displayName", name.into()),
            ("alias", address.split('@').next().unwrap().into()),
            ("primaryAddress", address.as_str().into()),
            ("addresses", Value::List(Vec::new())),
            ("hidden", false.into()),
            ("moderated", false.into()),
            ("internalOnly", true.into()),
        ];
        pairs.extend(more.iter().cloned());
        self.sees(Kind::List, id, &state(&pairs)).await;
        for member in members {
            self.exchange.hold(&Address::Member { group: id, member: *member }, State::default());
            let mut conn = self.portal.owner.acquire().await.unwrap();
            mirror::mail::saw_member(&mut conn, &SystemKey(EXCHANGE.to_owned()), (id, *member), true).await.unwrap();
        }
    }

    pub async fn sees(&self, kind: Kind, id: Uuid, state: &State) {
        self.exchange.put(id, state.clone());
        let mut conn = self.portal.owner.acquire().await.unwrap();
        let system = SystemKey(EXCHANGE.to_owned());
        mirror::saw(&mut conn, &system, kind, id, state, &Native::default()).await.unwrap();
    }

    pub async fn sees_right(&self, kind: Kind, (object, trustee, right): (Uuid, Uuid, &str), state: &State) {
        self.exchange.hold(&Address::Permission { object, trustee, right: right.to_owned() }, state.clone());
        let mut conn = self.portal.owner.acquire().await.unwrap();
        let system = SystemKey(EXCHANGE.to_owned());
        mirror::mail::saw_right(&mut conn, &system, (kind, object, trustee, right), Some(state)).await.unwrap();
    }

    /// Something in the catalogue that the organisation has.
    pub async fn offers(&self, kind: &str, object: Uuid, right: &str, name: &str, owner: PersonId) -> EntitlementId {
        let id = EntitlementId::new();
        sqlx::query(
            "insert into entitlement (id, system, kind, native_id, right_name, name, owner, folded)
             values ($1, $2, $3, $4, $5, $6, $7, lower($6))",
        )
        .bind(id)
        .bind(EXCHANGE)
        .bind(kind)
        .bind(object)
        .bind(right)
        .bind(name)
        .bind(owner)
        .execute(&self.portal.owner)
        .await
        .unwrap();
        id
    }

    pub async fn actor(&self, person: PersonId) -> Actor {
        let mut conn = self.portal.owner.acquire().await.unwrap();
        let token = session::open(&mut conn, self.portal.clock.now(), person, &session::From::default()).await.unwrap();
        Actor::Person(session::resume(&mut conn, &token, None).await.unwrap().unwrap().viewer)
    }

    pub async fn try_ask(
        &self,
        who: PersonId,
        kind: RequestKind,
        pairs: &[(&str, &str)],
    ) -> Result<RequestNumber, RequestError> {
        let raw = Raw::from_pairs(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let asked = Asked { kind, raw, nonce: Uuid::now_v7().to_string(), sent: None, seen: None };
        submit(&self.portal.pool, self.portal.clock.now(), &self.actor(who).await, &asked).await
    }

    pub async fn ask(&self, who: PersonId, kind: RequestKind, pairs: &[(&str, &str)]) -> RequestNumber {
        self.try_ask(who, kind, pairs).await.unwrap_or_else(|error| panic!("{error:?}"))
    }

    /// What is wrong with it, by field.
    pub async fn wrong(&self, who: PersonId, kind: RequestKind, pairs: &[(&str, &str)]) -> Vec<FieldError> {
        match self.try_ask(who, kind, pairs).await {
            Err(RequestError::Fields(errors)) => errors,
            other => panic!("{other:?}"),
        }
    }

    /// That one field is wrong, and that its error says this.
    pub async fn refuses(&self, who: PersonId, kind: RequestKind, pairs: &[(&str, &str)], (field, says): (&str, &str)) {
        let errors = self.wrong(who, kind, pairs).await;
        assert!(
            errors.len() == 1 && errors[0].field == field && errors[0].message.contains(says),
            "{field}, {says}: {errors:?}"
        );
    }

    pub async fn steps(&self, number: RequestNumber) -> Vec<Row> {
        sqlx::query_as(
            "select s.name, i.ordinal as item, s.system, s.kind, s.key, s.difference, s.after, s.not_before, s.state, s.resolved
               from step s join request r on r.id = s.request join item i on i.id = s.item
              where r.number = $1 and s.state <> 'superseded' order by i.ordinal, s.ordinal",
        )
        .bind(number.0)
        .fetch_all(&self.portal.owner)
        .await
        .unwrap()
    }

    pub async fn step(&self, number: RequestNumber, name: &str) -> Row {
        let steps = self.steps(number).await;
        let names: Vec<&str> = steps.iter().map(|step| step.name.as_str()).collect();
        steps.iter().find(|step| step.name == name).unwrap_or_else(|| panic!("{name}: {names:?}")).clone()
    }

    pub async fn names(&self, number: RequestNumber) -> Vec<String> {
        self.steps(number).await.into_iter().map(|step| step.name).collect()
    }

    /// The step of that name and that recipient.
    pub async fn step_on(&self, number: RequestNumber, name: &str, recipient: Uuid) -> Row {
        self.step(number, &on(name, recipient)).await
    }

    /// The roles of an item's stages, in order.
    pub async fn roles(&self, number: RequestNumber, item: i32) -> Vec<String> {
        sqlx::query_scalar(
            "select s.role from stage s join item i on i.id = s.item join request r on r.id = i.request
              where r.number = $1 and i.ordinal = $2 and s.plan_number = i.plan_number order by s.ordinal",
        )
        .bind(number.0)
        .bind(item)
        .fetch_all(&self.portal.owner)
        .await
        .unwrap()
    }

    /// One voice. None: this person may not decide it.
    pub async fn decides(&self, who: PersonId, number: RequestNumber, item: i32) -> Option<()> {
        let mut conn = self.portal.owner.acquire().await.unwrap();
        let request = requests::find(&mut conn, number).await.unwrap().unwrap();
        let items = requests::items(&mut conn, request.id).await.unwrap();
        let digest = items[usize::try_from(item - 1).unwrap()].digest.clone();
        drop(conn);
        let deciding = Deciding { number, item, verdict: Verdict::Approve, digest, comment: "Looked at".to_owned() };
        let actor = self.actor(who).await;
        decide(&self.portal.pool, self.portal.clock.now(), &actor, &deciding).await.ok().map(drop)
    }

    /// Approves every item, stage by stage, by whoever may.
    pub async fn approve(&self, number: RequestNumber) {
        let company = &self.company;
        let everybody = [
            company.owner,
            company.desk,
            company.lead,
            company.manager,
            company.anna,
            company.employee,
            company.security,
            company.admin,
        ];
        for (item, _) in self.items(number).await {
            for _ in 0..3 {
                for who in everybody {
                    if self.items(number).await.iter().any(|(ordinal, state)| *ordinal == item && state == "deciding") {
                        self.decides(who, number, item).await;
                    }
                }
            }
        }
        let items = self.items(number).await;
        assert!(items.iter().all(|(_, state)| state != "deciding"), "{number:?} is decided: {items:?}");
    }

    pub async fn items(&self, number: RequestNumber) -> Vec<(i32, String)> {
        sqlx::query_as(
            "select i.ordinal, i.state from item i join request r on r.id = i.request where r.number = $1 order by 1",
        )
        .bind(number.0)
        .fetch_all(&self.portal.owner)
        .await
        .unwrap()
    }

    /// A worker runs until the request is done.
    pub async fn done(&self, number: RequestNumber) {
        self.work(&format!("select state = 'done' from request where number = {}", number.0)).await;
    }

    /// Approved and done.
    pub async fn carried_out(&self, who: PersonId, kind: RequestKind, pairs: &[(&str, &str)]) -> RequestNumber {
        let number = self.ask(who, kind, pairs).await;
        self.approve(number).await;
        self.done(number).await;
        number
    }

    /// A worker runs until that query, as the schema's owner, says true.
    pub async fn work(&self, until: &str) {
        let portal = &self.portal;
        let worker = Worker::new(&portal.config, portal.pool.clone(), portal.clock.clone()).unwrap();
        let worker = Arc::new(worker.with(self.directory.clone()).with(self.exchange.clone()));
        let stop = CancellationToken::new();
        let working = tokio::spawn(worker.run(stop.clone()));
        let (mut came, began) = (false, Instant::now());
        while !came && began.elapsed() < Duration::from_secs(60) {
            self.set("update step set due_at = now() where state = 'retrying' and due_at > now()").await;
            came = sqlx::query_scalar::<_, bool>(sqlx::AssertSqlSafe(until.to_owned()))
                .fetch_one(&portal.owner)
                .await
                .unwrap();
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        stop.cancel();
        working.await.unwrap();
        let steps: Vec<(i64, String, String, Option<String>)> = sqlx::query_as(
            "select r.number, s.name, s.state, s.told from step s join request r on r.id = s.request order by 1, s.ordinal",
        )
        .fetch_all(&portal.owner)
        .await
        .unwrap();
        assert!(came, "the worker does not come to: {until}\n{steps:#?}");
    }

    /// No record says anybody's name or address in clear: what is personal in them can be erased.
    pub async fn records_name_nobody(&self) {
        let told: Vec<(String, String)> = sqlx::query_as(
            "select action, convert_from(canonical, 'UTF8') from evidence_record
              where convert_from(canonical, 'UTF8') ~* 'vogel|vogt|keller|brandt|obrandt|lang[^u]|elang'",
        )
        .fetch_all(&self.portal.owner)
        .await
        .unwrap();
        assert!(told.is_empty(), "{told:#?}");
    }

    pub async fn set(&self, query: &'static str) {
        sqlx::query(query).execute(&self.portal.owner).await.unwrap_or_else(|error| panic!("{query}: {error}"));
    }

    /// Its day has not come by the database's clock either, whenever the test runs.
    pub async fn forwarding_ends_much_later(&self) {
        self.set("update step set not_before = now() + interval '30 days' where name like 'stop-forwarding%'").await;
    }

    /// What waits for a day is due.
    pub async fn the_day_has_come(&self) {
        self.set("update step set due_at = now() where state = 'ready'").await;
        self.set("update access_grant set until_at = starts_at where until_at is not null").await;
    }

    /// What the person holds, by the catalogue's name, with the last day.
    pub async fn holds(&self, person: PersonId) -> BTreeMap<String, Option<String>> {
        let rows: Vec<(String, Option<String>)> = sqlx::query_as(
            "select e.name, g.until_on::text from access_grant g join entitlement e on e.id = g.entitlement
              where g.person = $1 and g.ended_at is null",
        )
        .bind(person)
        .fetch_all(&self.portal.owner)
        .await
        .unwrap();
        rows.into_iter().collect()
    }

    /// The catalogue's entries of the organisation: name, kind, right, owner.
    pub async fn catalogue(&self) -> Vec<(String, String, String, Option<PersonId>)> {
        sqlx::query_as("select name, kind, right_name, owner from entitlement where system = $1 order by name")
            .bind(EXCHANGE)
            .fetch_all(&self.portal.owner)
            .await
            .unwrap()
    }

    pub async fn entitlement(&self, name: &str) -> EntitlementId {
        sqlx::query_scalar("select id from entitlement where name = $1")
            .bind(name)
            .fetch_one(&self.portal.owner)
            .await
            .unwrap()
    }
}
