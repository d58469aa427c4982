//! Every field of a mailbox changes; what is so already is said; a hold is kept.

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use tenure::plan::RequestKind;
use tenure::target::Value;
use uuid::Uuid;

use super::{Stage, texts};

const GIB: i64 = 1 << 30;
/// What is asked, and what the mailbox shows then.
type Case<'a> = (Vec<(&'a str, &'a str)>, Vec<(&'a str, Value)>);

async fn stage(options: PgPoolOptions, connect: PgConnectOptions) -> (Stage, Uuid) {
    let stage = Stage::new(options, connect).await;
    let billing = Uuid::now_v7();
    let more = [("addresses", texts(&["old@example.com"])), ("archive", false.into())];
    stage.sees_mailbox(billing, "shared", ("Billing", "billing@example.com"), &more).await;
    stage.offers("mailbox_permission", billing, "full_access", "Full access – Billing", stage.company.anna).await;
    (stage, billing)
}

#[sqlx::test]
async fn every_field_becomes_what_was_asked(options: PgPoolOptions, connect: PgConnectOptions) {
    let (stage, billing) = stage(options, connect).await;
    let ben = stage.account_id("bvogt").await;
    let id = ben.to_string();
    let table: Vec<Case<'_>> = vec![
        (vec![("name", "Billing & Dunning")], vec![("displayName", "Billing & Dunning".into())]),
        (
            vec![("address", "invoices")],
            vec![
                ("primaryAddress", "invoices@example.com".into()),
                ("addresses", texts(&["billing@example.com", "old@example.com"])),
            ],
        ),
        (
            vec![("add_addresses", "dunning, money@example.com"), ("remove_addresses", "old@example.com")],
            vec![("addresses", texts(&["billing@example.com", "dunning@example.com", "money@example.com"]))],
        ),
        // A further address becomes the primary one; the two change places.
        (
            vec![("address", "billing@example.com")],
            vec![
                ("primaryAddress", "billing@example.com".into()),
                ("addresses", texts(&["dunning@example.com", "invoices@example.com", "money@example.com"])),
            ],
        ),
        (vec![("hidden", "yes")], vec![("hidden", true.into())]),
        (vec![("archive", "yes")], vec![("archive", true.into())]),
        (
            vec![("hold", "yes"), ("hold_days", "365")],
            vec![("litigationHold", true.into()), ("litigationHoldDays", Value::Number(365))],
        ),
        (vec![("hold", "no")], vec![("litigationHold", false.into())]),
        (
            vec![("quota_gb", "50")],
            vec![("warningQuota", Value::Number(45 * GIB)), ("sendReceiveQuota", Value::Number(50 * GIB))],
        ),
        (vec![("quota_gb", "1")], vec![("sendReceiveQuota", Value::Number(GIB))]),
        (vec![("quota_gb", "0")], vec![("sendReceiveQuota", Value::Null), ("warningQuota", Value::Null)]),
        (
            vec![("forward", "yes"), ("forward_to", "bvogt")],
            vec![("forwardTo", Value::Text(id)), ("deliverAndForward", true.into())],
        ),
        (
            vec![("forward_to", "Box@Outside.example")],
            vec![("forwardTo", Value::Null), ("forwardToAddress", "box@outside.example".into())],
        ),
        (
            vec![("forward", "no")],
            vec![("forwardTo", Value::Null), ("forwardToAddress", Value::Null), ("deliverAndForward", false.into())],
        ),
        (
            vec![
                ("auto_reply", "yes"),
                ("auto_reply_text", "We are away.\nüber"),
                ("auto_reply_from", "2026-12-21"),
                ("auto_reply_until", "2026-12-31"),
            ],
            vec![
                ("state", "scheduled".into()),
                ("internal", "We are away.\nüber".into()),
                ("external", "We are away.\nüber".into()),
                ("from", "2026-12-20T23:00:00Z".into()),
                ("until", "2026-12-31T23:00:00Z".into()),
            ],
        ),
        (vec![("auto_reply", "yes"), ("auto_reply_text", "Gone")], vec![("state", "enabled".into())]),
        (vec![("auto_reply", "no")], vec![("state", "disabled".into())]),
        (vec![("type", "room")], vec![("type", "room".into())]),
    ];
    for (fields, shows) in table {
        let asked = [&[("mailbox", "billing@example.com")], fields.as_slice()].concat();
        let by = stage.company.anna;
        // By its other address after the primary one changed.
        stage.carried_out(by, RequestKind::MailboxChange, &asked).await;
        let state = stage.exchange.object(billing).unwrap();
        for (attribute, value) in shows {
            assert!(
                tenure::target::same(state.get(attribute), &value),
                "{fields:?}: {attribute} is {:?}",
                state.get(attribute)
            );
        }
        if !fields[0].0.starts_with("auto_reply") {
            let errors = stage.wrong(by, RequestKind::MailboxChange, &asked).await;
            assert_eq!(
                errors[0].message,
                if fields[0].0 == "add_addresses" {
                    "old@example.com is not an address of this mailbox"
                } else {
                    "Nothing would change: it is so already"
                },
                "{fields:?}"
            );
        }
    }
    let reserved: i64 =
        sqlx::query_scalar("select count(*) from reservation").fetch_one(&stage.portal.owner).await.unwrap();
    assert_eq!(reserved, 0);
}

#[sqlx::test]
async fn forwarding_until_a_day_ends_with_it(options: PgPoolOptions, connect: PgConnectOptions) {
    let (stage, billing) = stage(options, connect).await;
    let asked = [("mailbox", "billing"), ("forward_to", "bvogt"), ("forward_until", "2026-12-31")];
    let number = stage.ask(stage.company.anna, RequestKind::MailboxChange, &asked).await;
    let ends = stage.step(number, "stop-forwarding").await;
    assert_eq!(ends.not_before, Some("2026-12-31T23:00:00Z".parse().unwrap()));
    stage.approve(number).await;
    stage.forwarding_ends_much_later().await;
    stage.work("select exists (select from step where name = 'mailbox' and state = 'applied')").await;
    assert_ne!(stage.exchange.object(billing).unwrap().get("forwardTo"), &Value::Null);
    stage.the_day_has_come().await;
    stage.done(number).await;
    assert_eq!(stage.exchange.object(billing).unwrap().get("forwardTo"), &Value::Null);
    // Changed by somebody meanwhile: their forwarding is not ended by ours.
    let number = stage.ask(stage.company.anna, RequestKind::MailboxChange, &asked).await;
    stage.approve(number).await;
    stage.forwarding_ends_much_later().await;
    stage.work(&format!("select exists (select from step s join request r on r.id = s.request where r.number = {} and s.name = 'mailbox' and s.state = 'applied')", number.0)).await;
    let other = Value::Text(Uuid::now_v7().to_string());
    stage.exchange.edit(billing, "forwardTo", other.clone());
    stage.the_day_has_come().await;
    stage.work("select exists (select from step where state = 'drifted')").await;
    assert_eq!(stage.exchange.object(billing).unwrap().get("forwardTo"), &other);
}

#[sqlx::test]
async fn a_mailbox_on_hold_is_not_taken_away(options: PgPoolOptions, connect: PgConnectOptions) {
    let (stage, billing) = stage(options, connect).await;
    let anna = stage.company.anna;
    let held = [("litigationHold", true.into())];
    stage.sees_mailbox(billing, "shared", ("Billing", "billing@example.com"), &held).await;
    let remove = [("mailbox", "billing"), ("remove", "yes")];
    stage.refuses(anna, RequestKind::MailboxChange, &remove, ("remove", "on legal hold")).await;
    let both = [remove.as_slice(), &[("hold", "no")]].concat();
    stage.refuses(anna, RequestKind::MailboxChange, &both, ("remove", "two requests")).await;
    stage.carried_out(anna, RequestKind::MailboxChange, &[("mailbox", "billing"), ("hold", "no")]).await;
    let number = stage.carried_out(anna, RequestKind::MailboxChange, &remove).await;
    let step = stage.step(number, "mailbox").await;
    assert_eq!(step.presence(), r#"["present","absent"]"#);
    assert_eq!(step.to("removal"), &Value::from("remove"), "its account was made for it and goes with it");
    assert!(stage.exchange.object(billing).is_none());
    let gone: bool = sqlx::query_scalar("select gone_at is not null from mailbox where native_id = $1")
        .bind(billing)
        .fetch_one(&stage.portal.owner)
        .await
        .unwrap();
    assert!(gone);
    // A person's account stays.
    let number =
        stage.ask(stage.company.desk, RequestKind::MailboxChange, &[("mailbox", "elang"), ("remove", "yes")]).await;
    assert_eq!(stage.step(number, "mailbox").await.to("removal"), &Value::Null);
    assert_eq!(stage.roles(number, 1).await, ["desk", "security"], "a mailbox that goes is looked at by security");
    // Made into a shared one, it is a person's all the same: with `Remove-Mailbox` the account would go.
    let emil = stage.account_id("elang").await;
    let id = [("directoryId", emil.to_string().into())];
    stage.sees_mailbox(emil, "shared", ("Emil Lang", "elang@example.com"), &id).await;
    let remove = [("mailbox", "elang@example.com"), ("remove", "yes")];
    let number = stage.ask(stage.company.lead, RequestKind::MailboxChange, &remove).await;
    assert_eq!(stage.step(number, "mailbox").await.to("removal"), &Value::Null);
}

/// On hold after it was asked for and before it is done: what was approved was a mailbox without.
#[sqlx::test]
async fn a_hold_that_comes_meanwhile_stops_the_removal(options: PgPoolOptions, connect: PgConnectOptions) {
    let (stage, billing) = stage(options, connect).await;
    let number =
        stage.ask(stage.company.anna, RequestKind::MailboxChange, &[("mailbox", "billing"), ("remove", "yes")]).await;
    stage.approve(number).await;
    stage.exchange.edit(billing, "litigationHold", true.into());
    stage.work("select exists (select from step where state in ('drifted', 'blocked', 'applied'))").await;
    assert!(stage.exchange.object(billing).is_some(), "it is still there");
}

#[sqlx::test]
async fn what_cannot_be_is_said_at_its_field(options: PgPoolOptions, connect: PgConnectOptions) {
    let (stage, _) = stage(options, connect).await;
    let anna = stage.company.anna;
    for (fields, (field, says)) in [
        (vec![("name", "")], ("mailbox", "Nothing would change")),
        (vec![("name", "a\u{202e}b")], ("name", "invisible character")),
        (vec![("address", "x@other.example")], ("address", "not a domain")),
        (vec![("remove_addresses", "billing")], ("remove_addresses", "is the primary address")),
        (vec![("remove_addresses", "who@example.com")], ("remove_addresses", "not an address of this mailbox")),
        (vec![("hidden", "perhaps")], ("hidden", "neither yes nor no")),
        (vec![("hold", "yes"), ("hold_days", "0")], ("hold_days", "whole number")),
        (vec![("quota_gb", "-1")], ("quota_gb", "whole number")),
        (vec![("forward", "yes")], ("forward_to", "Name who gets")),
        (vec![("forward_to", "billing")], ("forward_to", "cannot forward to itself")),
        (vec![("forward_to", "a b@c")], ("forward_to", "not an address")),
        (vec![("forward_to", "nobody")], ("forward_to", "Nobody is found")),
        (vec![("auto_reply", "yes")], ("auto_reply_text", "Write what people")),
        (
            vec![("auto_reply", "yes"), ("auto_reply_text", "x"), ("auto_reply_from", "2026-12-21")],
            ("auto_reply_until", "last day as well"),
        ),
        (
            vec![
                ("auto_reply", "yes"),
                ("auto_reply_text", "x"),
                ("auto_reply_from", "2026-12-21"),
                ("auto_reply_until", "2026-12-20"),
            ],
            ("auto_reply_until", "cannot be before"),
        ),
        (vec![("type", "yacht")], ("type", "Choose user")),
        (vec![("mailbox", "finance")], ("mailbox", "No one mailbox")),
    ] {
        let mailbox = if fields[0].0 == "mailbox" { vec![] } else { vec![("mailbox", "billing")] };
        stage.refuses(anna, RequestKind::MailboxChange, &[mailbox, fields].concat(), (field, says)).await;
    }
}
