//! Mailboxes, lists and rights through the whole product: asked, decided, done by a worker that is killed after each write and
//! before it could say so; then looked at from outside, in the directory, and through the connector.

use std::process::Command;

use tenure::changes::boundary::Boundary;
use tenure::connectors::exchange::Exchange;
use tenure::ids::RequestNumber;
use tenure::plan::RequestKind;
use tenure::target::{Address, Connector as _, Kind, Resource, State, SystemKey, Value, Wish};
use uuid::Uuid;

use crate::ad_lab::env;
use crate::site::{Process, Site};

const ORGANISATION: &str = "exchange:onprem";

fn connector(site: &Site) -> Exchange {
    let target =
        site.config.target.iter().find(|target| target.key() == ORGANISATION).expect("the lab has an Exchange");
    tenure::targets::exchange_connector(target).unwrap()
}

async fn seen(exchange: &Exchange, kind: Kind, address: Address) -> Option<State> {
    let at = exchange.server(Wish::default()).await.unwrap();
    let what = Resource { system: SystemKey(ORGANISATION.to_owned()), kind, address };
    exchange.observe(&at, &what).await.unwrap().map(|seen| seen.state)
}

/// What the directory itself shows of the object with that address.
fn in_directory(address: &str) -> String {
    let found = Command::new("ldapsearch")
        .args(["-x", "-LLL", "-o", "ldif-wrap=no", "-H", &env("LDAP_URL"), "-D", &env("LDAP_BIND_DN")])
        .args(["-y", &env("LDAP_PASSWORD_FILE"), "-b", &env("LDAP_BASE_DN"), &format!("(mail={address})")])
        .output()
        .unwrap();
    String::from_utf8(found.stdout).unwrap()
}

/// Each step is done by a worker that dies right after its write; then one finishes what is left. Everything is done once.
async fn killed_after_each_write(site: &Site, number: RequestNumber) {
    for step in site.steps(number).await.iter().filter(|step| step.system == ORGANISATION) {
        let at = format!("{}:{}", Boundary::Applied.as_str(), step.name);
        Process::start(Some(&at)).dies(&at).await;
    }
    let _worker = Process::start(None);
    site.until(number, "done").await;
    for step in site.steps(number).await {
        assert!(["applied", "unchanged"].contains(&step.state.as_str()), "{}: {}", step.name, step.state);
        let outcomes: Vec<Option<String>> =
            sqlx::query_scalar("select outcome from attempt where step = $1 order by number")
                .bind(step.id)
                .fetch_all(&site.pool)
                .await
                .unwrap();
        assert!(outcomes.iter().all(Option::is_some), "{}: {outcomes:?}", step.name);
        assert_eq!(outcomes.iter().flatten().filter(|outcome| *outcome == "applied").count(), 1, "{outcomes:?}");
    }
}

fn resolved(steps: &[tenure::changes::Step], name: &str) -> Uuid {
    steps.iter().find(|step| step.name == name).and_then(|step| step.resolved).expect("it was made")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_room_with_rights_survives_a_worker_that_dies_after_each_write() {
    let site = Site::open().await;
    let exchange = connector(&site);
    let address = format!("room.{}@example.com", site.tag);
    let number = site
        .ask(
            "manager",
            RequestKind::SharedMailbox,
            &[
                ("type", "room"),
                ("name", "Raum “Elbe”; $(x) 'y'"),
                ("address", &address),
                ("owner", "manager"),
                ("capacity", "8"),
                ("window_days", "120"),
                ("full_access", "owner"),
                ("send_as", "owner"),
            ],
        )
        .await;
    site.approve("desk", number, 1).await;
    killed_after_each_write(&site, number).await;
    let steps = site.steps(number).await;
    let room = resolved(&steps, "mailbox");
    let state = seen(&exchange, Kind::Mailbox, Address::Native(room)).await.expect("it is there");
    assert_eq!(state.get("type").as_text(), Some("room"));
    assert_eq!(state.get("displayName").as_text(), Some("Raum “Elbe”; $(x) 'y'"), "text is data, letter by letter");
    assert_eq!(state.get("capacity"), &Value::Number(8));
    let booking = seen(&exchange, Kind::Booking, Address::Native(room)).await.unwrap();
    assert_eq!(booking.get("processing").as_text(), Some("auto_accept"));
    assert_eq!(booking.get("bookingWindowDays"), &Value::Number(120));
    for step in steps.iter().filter(|step| step.kind == "mailbox_permission") {
        let address = tenure::plan::address(&step.key, room, &[("mailbox".to_owned(), room)].into()).unwrap();
        assert!(seen(&exchange, Kind::MailboxPermission, address).await.is_some(), "{}", step.name);
    }
    let entry = in_directory(&address);
    assert!(entry.contains("msExchRecipientTypeDetails: 16"), "{entry}");
    assert_eq!(entry.matches("dn:").count(), 1, "one object: {entry}");
    let native = steps[0].native.as_ref().unwrap();
    assert!(native.commands.iter().all(|command| command.contains("-Confirm:$false")), "{native:?}");

    // What was made can be asked for, and its settings change with an answer while away and a role on the calendar.
    let number = site
        .ask(
            "manager",
            RequestKind::MailboxChange,
            &[
                ("mailbox", &address),
                ("hidden", "yes"),
                ("auto_reply", "yes"),
                ("auto_reply_text", "Closed <today> & tomorrow"),
            ],
        )
        .await;
    site.approve("desk", number, 1).await;
    killed_after_each_write(&site, number).await;
    let reply = seen(&exchange, Kind::AutoReply, Address::Native(room)).await.unwrap();
    assert_eq!(reply.get("internal").as_text(), Some("Closed <today> & tomorrow"));
    assert_eq!(seen(&exchange, Kind::Mailbox, Address::Native(room)).await.unwrap().get("hidden"), &Value::Bool(true));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_and_a_calendar_survive_a_worker_that_dies_after_each_write() {
    let site = Site::open().await;
    let exchange = connector(&site);
    let address = format!("news.{}@example.com", site.tag);
    let number = site
        .ask(
            "manager",
            RequestKind::MailingList,
            &[
                ("type", "distribution"),
                ("name", "News"),
                ("address", &address),
                ("owner", "manager"),
                ("members", "owner\ndesk"),
                ("moderated", "yes"),
                ("moderators", "manager"),
                ("description", "What is new"),
            ],
        )
        .await;
    site.approve("desk2", number, 1).await;
    killed_after_each_write(&site, number).await;
    let list = resolved(&site.steps(number).await, "list");
    let state = seen(&exchange, Kind::List, Address::Native(list)).await.expect("it is there");
    assert_eq!(state.get("moderated"), &Value::Bool(true));
    let entry = in_directory(&address);
    assert_eq!(entry.matches("\nmember: ").count() + entry.matches("\nmember:: ").count(), 2, "{entry}");
    assert!(entry.contains("msExchEnableModeration: TRUE"), "{entry}");

    let number = site
        .ask(
            "manager",
            RequestKind::MailboxAccess,
            &[("person", "manager"), ("mailbox", "owner"), ("rights", "send_on_behalf"), ("calendar", "Reviewer")],
        )
        .await;
    for item in [1, 2] {
        site.approve("owner", number, item).await;
    }
    killed_after_each_write(&site, number).await;
    for step in site.steps(number).await {
        let address = tenure::plan::address(&step.key, list, &[].into()).unwrap();
        let state = seen(&exchange, Kind::parse(&step.kind), address).await.expect("the right is held");
        if step.kind == "folder_permission" {
            assert_eq!(state.get("role").as_text(), Some("Reviewer"));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_persons_mailbox_is_taken_away_and_given_back_with_its_messages() {
    let site = Site::open().await;
    let exchange = connector(&site);
    let _worker = Process::start(None);
    let took = site.ask("desk", RequestKind::MailboxChange, &[("mailbox", "elind"), ("remove", "yes")]).await;
    let id = site.steps(took).await.iter().find_map(|step| match step.key {
        tenure::target::Key::Native { id } => Some(id),
        _ => None,
    });
    let id = id.expect("the mailbox is there");
    let before = seen(&exchange, Kind::Mailbox, Address::Native(id)).await.expect("she has a mailbox");
    site.approve("lead", took, 1).await;
    site.approve("security", took, 1).await;
    site.until(took, "done").await;
    assert!(seen(&exchange, Kind::Mailbox, Address::Native(id)).await.is_none(), "the account stays, the mailbox went");
    let back = site
        .ask("desk", RequestKind::SharedMailbox, &[("type", "user"), ("owner", "elind"), ("reconnect", "yes")])
        .await;
    site.approve("lead", back, 1).await;
    site.until(back, "done").await;
    let after = seen(&exchange, Kind::Mailbox, Address::Native(id)).await.expect("it is back");
    assert_eq!(after.get("exchangeGuid"), before.get("exchangeGuid"), "the same mailbox, with what is in it");
    assert_eq!(after.get("primaryAddress"), before.get("primaryAddress"));
}
