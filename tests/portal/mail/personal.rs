//! A person's own mailbox: made on the account that is there, given back after it was taken away; and stubs of mailboxes
//! that are Online.

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use tenure::catalog::JoinerMailbox;
use tenure::plan::RequestKind;
use tenure::target::{Kind, Value};
use uuid::Uuid;

use super::{Stage, organisation};

const GUID: &str = "8c0f3c5e-2a51-4a64-9c3f-0f5e8f2d7a11";

/// Anna's mailbox as it was, and as it was taken away.
async fn anna_without(stage: &Stage) -> Uuid {
    let anna = stage.account_id("avogel").await;
    let more = [("directoryId", Value::from(anna.to_string())), ("exchangeGuid", GUID.into())];
    stage.sees_mailbox(anna, "user", ("Anna Vogel", "avogel@example.com"), &more).await;
    let taken = [("mailbox", "avogel@example.com"), ("owner", "avogel"), ("remove", "yes")];
    stage.carried_out(stage.company.desk, RequestKind::MailboxChange, &taken).await;
    anna
}

#[sqlx::test]
async fn it_is_made_on_the_account_and_the_earlier_one_can_be_given_back(
    options: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let stage = Stage::new(options, connect).await;
    let company = stage.company;
    let (again, new) =
        ([("type", "user"), ("owner", "avogel"), ("reconnect", "yes")], [("type", "user"), ("owner", "avogel")]);
    stage.refuses(company.desk, RequestKind::SharedMailbox, &new, ("owner", "has a mailbox there already")).await;
    let anna = anna_without(&stage).await;
    let address = [new.as_slice(), &[("address", "bvogt@example.com")]].concat();
    stage.refuses(company.desk, RequestKind::SharedMailbox, &address, ("address", "Ben Vogt")).await;

    let number = stage.ask(company.desk, RequestKind::SharedMailbox, &again).await;
    let step = stage.step(number, "mailbox").await;
    assert_eq!(step.key, serde_json::json!({"id": anna}), "on the account");
    assert_eq!(step.to("reconnect"), &Value::from(GUID));
    assert_eq!(step.to("primaryAddress"), &Value::from("avogel@example.com"), "her own address");
    assert!(stage.decides(company.anna, number, 1).await.is_none(), "it is about her");
    let asked = stage.ask(company.desk, RequestKind::SharedMailbox, &new).await;
    assert_eq!(stage.step(asked, "mailbox").await.to("reconnect"), &Value::Null, "empty, where that is asked");
}

#[sqlx::test]
async fn nothing_is_given_back_where_nothing_was(options: PgPoolOptions, connect: PgConnectOptions) {
    let stage = Stage::new(options, connect).await;
    let anna = stage.account_id("avogel").await;
    sqlx::query("delete from mailbox where native_id = $1").bind(anna).execute(&stage.portal.owner).await.unwrap();
    let asked = [("type", "user"), ("owner", "avogel"), ("reconnect", "yes")];
    stage.refuses(stage.company.desk, RequestKind::SharedMailbox, &asked, ("reconnect", "No earlier mailbox")).await;
}

#[sqlx::test]
async fn on_a_stub_nothing_is_set_that_belongs_online(options: PgPoolOptions, connect: PgConnectOptions) {
    let stage = Stage::with(options, connect, Some(organisation(JoinerMailbox::Remote))).await;
    let company = stage.company;
    let anna = stage.account_id("avogel").await;
    let id = [("directoryId", Value::from(anna.to_string()))];
    stage.sees_mailbox(anna, "remote", ("Anna Vogel", "avogel@example.com"), &id).await;
    let on = [("mailbox", "avogel@example.com"), ("owner", "avogel")];
    for inside in [("forward_to", "bvogt@example.com"), ("hold", "yes"), ("quota_gb", "50")] {
        let mut asked = on.to_vec();
        asked.push(inside);
        if inside.0 == "forward_to" {
            asked.push(("forward", "yes"));
        }
        stage.refuses(company.desk, RequestKind::MailboxChange, &asked, ("mailbox", "is Online")).await;
    }
    let access =
        [("person", "bvogt"), ("mailbox", "avogel@example.com"), ("owner", "avogel"), ("rights", "full_access")];
    stage.refuses(company.desk, RequestKind::MailboxAccess, &access, ("mailbox", "is Online")).await;
    let leaves = [("person", "avogel"), ("last_day", "2026-11-30"), ("mailbox", "convert"), ("forward_to", "bvogt")];
    stage.refuses(company.manager, RequestKind::Leaver, &leaves, ("forward_to", "is Online")).await;

    // The recipient itself is changed where it is.
    let hidden = [on.as_slice(), &[("hidden", "yes")]].concat();
    stage.carried_out(company.desk, RequestKind::MailboxChange, &hidden).await;
    let mut conn = stage.portal.owner.acquire().await.unwrap();
    let seen = tenure::mirror::mail::by_ids(&mut conn, &[anna]).await.unwrap();
    assert_eq!(seen[0].state.get("hidden"), &Value::Bool(true));
    let number = stage.ask(company.manager, RequestKind::Leaver, &leaves[..3]).await;
    let step = stage.steps(number).await.into_iter().find(|step| step.kind == Kind::Mailbox.as_str()).unwrap();
    assert_eq!(step.to("type"), &Value::from("remote_shared"), "converted as the stub that it is");
}
