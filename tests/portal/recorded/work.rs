//! What the worker does: passwords on their way, a leaver whose account somebody edits meanwhile, joiners.

use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::{Method, Request, header};
use serde_json::{Value, json};
use tenure::access::token;
use tenure::config::DemoConfig;
use tenure::ids::PersonId;
use tenure::target;
use tokio_util::sync::CancellationToken;

use super::asking::send as send_draft;
use super::walk::Walk;
use crate::support::browser::{Answer, send};

impl Walk {
    /// A worker runs until that query says true; the routine's record follows from it.
    pub async fn working(&mut self, name: &str, until: &'static str) {
        let (worker, owner) = (self.prepared(), self.portal.owner.clone());
        self.noted(name, async {
            // Only now, so that nothing is done before the first look.
            let stop = CancellationToken::new();
            let working = tokio::spawn(worker.run(stop.clone()));
            let began = Instant::now();
            while began.elapsed() < Duration::from_secs(60) {
                if sqlx::query_scalar::<_, bool>(until).fetch_one(&owner).await.unwrap() {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            stop.cancel();
            working.await.unwrap();
        })
        .await;
        self.wait(until).await;
    }

    async fn reset_password(&mut self) {
        let desk = self.portal.browser_of(self.company.desk).await;
        let fields = [("person", "Anna Vogel (avogel)"), ("go", "continue")];
        let begun = self.did("POST /requests/new/{kind}", desk.post("/requests/new/password_reset", &fields)).await;
        send_draft(self, "POST /requests", &desk, begun.location()).await;
        self.work("select exists (select from secret where usable_at is not null and revealed_at is null)").await;
    }

    async fn bearer(&self, person: PersonId) -> String {
        let demo = DemoConfig { enabled: true, ..DemoConfig::default() };
        let mut tx = self.portal.owner.begin().await.unwrap();
        let token = token::for_demo(&mut tx, self.portal.clock.now(), &demo, person).await.unwrap();
        tx.commit().await.unwrap();
        token
    }

    fn call(&self, token: &str, path: &str, body: &Value) -> impl Future<Output = Answer> + use<> {
        self.call_by(Method::POST, token, path, body)
    }

    fn call_by(&self, method: Method, token: &str, path: &str, body: &Value) -> impl Future<Output = Answer> + use<> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, "tenure.test")
            .header(header::AUTHORIZATION, format!("Bearer {token}"))
            .header(header::CONTENT_TYPE, "application/json")
            .body(Body::from(body.to_string()))
            .unwrap();
        let app = self.portal.app.clone();
        async move { send(&app, request).await }
    }
}

/// One is revealed, one runs out.
pub async fn passwords(walk: &mut Walk) {
    walk.reset_password().await;
    let id = walk.id("select id from secret where revealed_at is null").await;
    let desk = walk.portal.browser_of(walk.company.desk).await;
    let (stop, working) = walk.worker();
    let address = format!("/secrets/{id}");
    let shown = walk.did("POST /secrets/{id}", desk.post(&address, &[])).await;
    assert!(shown.find("#secret").is_some(), "{}", shown.text);
    stop.cancel();
    working.await.unwrap();
    // What was revealed had been sealed anew by the routine.
    walk.done.insert("routine: deliver-secrets".to_owned(), "secret.revealed".to_owned());
    walk.reset_password().await;
    walk.set("update secret set expires_at = now() where revealed_at is null").await;
    walk.working("routine: forget (a password)", "select not exists (select from secret where sealed is not null)")
        .await;
}

/// Somebody else unlocked it meanwhile.
pub async fn unlocked_already(walk: &mut Walk) {
    walk.set("update account set locked = true, attributes = attributes || '{\"locked\": true}'").await;
    walk.target.edit(walk.account, "locked", target::Value::from(false));
    let desk = walk.portal.browser_of(walk.company.desk).await;
    let fields = [("person", "Anna Vogel (avogel)"), ("go", "continue")];
    let begun = walk.did("POST /requests/new/{kind}", desk.post("/requests/new/unlock", &fields)).await;
    send_draft(walk, "POST /requests", &desk, begun.location()).await;
    walk.work("select exists (select from request where kind = 'unlock' and state = 'done')").await;
}

pub async fn a_leaver_who_drifts(walk: &mut Walk) {
    // Disabled already, so that one step is left, which comes out the same when it is planned again.
    walk.set("update account set attributes = '{\"enabled\": false, \"parent\": \"OU=Hamburg\"}' where user_name = 'avogel' or attributes ? 'enabled'").await;
    walk.target.edit(walk.account, "enabled", target::Value::from(false));
    walk.target.edit(walk.account, "parent", target::Value::from("OU=Elsewhere"));
    let desk = walk.portal.browser_of(walk.company.desk).await;
    let fields = [("person", "avogel"), ("when", "immediate"), ("go", "continue")];
    let begun = walk.did("POST /requests/new/{kind}", desk.post("/requests/new/leaver", &fields)).await;
    send_draft(walk, "POST /requests", &desk, begun.location()).await;
    walk.approve().await;
    walk.work("select exists (select from step where state = 'drifted')").await;
    // The mirror has looked since, and somebody put it back meanwhile.
    walk.set(
        "insert into mirror_cursor (system, looked_at) values ('ad:corp.example.com', now() + interval '1 minute')
         on conflict (system) do update set looked_at = excluded.looked_at",
    )
    .await;
    walk.target.edit(walk.account, "parent", target::Value::from("OU=Hamburg"));
    walk.working(
        "routine: replan-drifted",
        "select exists (select from request where kind = 'leaver' and state = 'done')",
    )
    .await;
}

fn joiner(number: &str) -> Value {
    json!({"kind": "joiner", "answers": {
        "given_name": "Lan", "family_name": format!("Nguyen{number}"), "employee_number": number, "type": "employee",
        "department": "Finance", "title": "Accountant", "site": "Hamburg", "manager": "mkeller", "start_on": "2026-11-30",
        "end_on": null,
    }})
}

/// One is turned down, one comes and begins.
pub async fn joiners(walk: &mut Walk) {
    let manager = walk.bearer(walk.company.manager).await;
    let asked = walk.call(&manager, "/api/v1/requests", &joiner("E-1"));
    let made = walk.did("POST /api/v1/requests", asked).await;
    let request: Value = serde_json::from_str(&made.text).unwrap();
    let desk = walk.bearer(walk.company.desk).await;
    let no = json!({"decision": "reject", "digest": request["items"][0]["digest"], "comment": "Not yet"});
    let decided = walk.call(&desk, &format!("{}/items/1/decisions", made.location()), &no);
    walk.did("POST /api/v1/requests/{number}/items/{item}/decisions", decided).await;

    let asked = walk.call(&manager, "/api/v1/requests", &joiner("E-3"));
    let other = walk.did("POST /api/v1/requests", asked).await.location().to_owned();
    let said = walk.call(&desk, &format!("{other}/comments"), &json!({"body": "Which group?"}));
    walk.did("POST /api/v1/requests/{number}/comments", said).await;
    let mut answers = joiner("E-3")["answers"].take();
    answers["title"] = json!("Controller");
    let changed = walk.call_by(Method::PUT, &manager, &format!("{other}/answers"), &json!({"answers": answers}));
    walk.did("PUT /api/v1/requests/{number}/answers", changed).await;
    let taken = walk.call(&manager, &format!("{other}/cancellation"), &json!({"reason": "Not needed"}));
    walk.did("POST /api/v1/requests/{number}/cancellation", taken).await;

    let asked = walk.call(&manager, "/api/v1/requests", &joiner("E-2"));
    walk.did("POST /api/v1/requests", asked).await;
    walk.approve().await;
    walk.set("update step set not_before = null").await;
    walk.set("update step set due_at = now() where state = 'ready'").await;
    walk.work("select exists (select from account a join person p on p.id = a.person where p.employee_number = 'E-2')")
        .await;
    walk.portal.clock.set("2026-12-01T08:00:00Z".parse().unwrap());
    walk.working(
        "routine: settle-persons",
        "select exists (select from person where employee_number = 'E-2' and state = 'active')",
    )
    .await;
    walk.portal.clock.set(crate::support::monday());
}
