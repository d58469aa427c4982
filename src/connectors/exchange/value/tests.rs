use chrono::TimeDelta;
use proptest::prelude::*;
use serde_json::json;

use super::*;

#[test]
fn sizes_in_every_spelling() {
    let exact = Quota::Bytes(106_300_440_576);
    for spelled in [
        json!("99 GB (106,300,440,576 bytes)"),
        json!("99 GB (106.300.440.576 Bytes)"),
        json!("99 GB (106\u{a0}300\u{a0}440\u{a0}576 octets)"),
        json!("99 GB (106\u{202f}300\u{202f}440\u{202f}576 octets)"),
        json!("99 GB (106'300'440'576 Bytes)"),
        json!("99 GB (1,06,30,04,40,576 bytes)"),
        json!("99 GB (106300440576 bytes)"),
        json!("99GB"),
        json!("106300440576"),
        json!(106_300_440_576_u64),
        json!({"Value": "99 GB (106,300,440,576 bytes)"}),
        json!({"IsUnlimited": false, "Value": {"Value": "99 GB (106,300,440,576 bytes)"}}),
    ] {
        assert_eq!(bytes(&spelled).as_ref(), Ok(&exact), "{spelled}");
    }
    assert_eq!(bytes(&json!("4.395 GB (4,719,000,001 bytes)")), Ok(Quota::Bytes(4_719_000_001)));
    assert_eq!(bytes(&json!("0 B (0 bytes)")), Ok(Quota::Bytes(0)));
    for spelled in [json!("Unlimited"), json!("unlimited"), json!({"IsUnlimited": true, "Value": null})] {
        assert_eq!(bytes(&spelled), Ok(Quota::Unlimited), "{spelled}");
    }
    assert!(Quota::Unlimited > Quota::Bytes(u64::MAX));
}

#[test]
fn sizes_that_are_none() {
    for wrong in [
        json!("1.5 GB"),
        json!("lots"),
        json!(""),
        json!("99 GB ()"),
        json!("99 GB (12,34 bytes)"),
        json!("99 GB (106,300.440 bytes)"),
        json!("99 GB (106,300,440,576 bytes) more"),
        json!("99 XB (106,300,440,576 bytes)"),
        json!("-1"),
        json!(-1),
        json!(1.5),
        json!(true),
        json!(["1"]),
        json!(null),
        json!("99999999999999999999 GB"),
        json!("20000000 TB"),
    ] {
        assert!(bytes(&wrong).is_err(), "{wrong}");
    }
}

#[test]
fn errors_name_the_property() {
    let object = json!({"IssueWarningQuota": "much"});
    let error = Properties(object.as_object().unwrap()).bytes("issuewarningquota").unwrap_err();
    assert_eq!(error.to_string(), "issuewarningquota should be a size in bytes or Unlimited, but is “much”");
}

#[test]
fn timespans() {
    let of = |seconds, millis| Timespan::Of(TimeDelta::seconds(seconds) + TimeDelta::milliseconds(millis));
    let long = 26 * 3600 + 3 * 60 + 4;
    for (spelled, wanted) in [
        ("1.02:03:04.5", of(long, 500)),
        ("1.02:03:04.5000000", of(long, 500)),
        ("P1DT2H3M4.5S", of(long, 500)),
        ("-1.02:03:04.5", of(-long, -500)),
        ("-P1DT2H3M4.5S", of(-long, -500)),
        ("00:15:00", of(900, 0)),
        ("00:15", of(900, 0)),
        ("PT15M", of(900, 0)),
        ("365.00:00:00", of(365 * 86_400, 0)),
        ("365", of(365 * 86_400, 0)),
        ("P365D", of(365 * 86_400, 0)),
        ("Unlimited", Timespan::Unlimited),
    ] {
        assert_eq!(timespan(&json!(spelled)), Ok(wanted), "{spelled}");
    }
    for wrong in
        ["", "P", "PT", "P1M", "P1Y", "P1.5D", "24:00:00", "00:60:00", "1:2:3:4", "PT1S2H", "soon", "1.5", "+1", "P1DT"]
    {
        assert!(timespan(&json!(wrong)).is_err(), "{wrong}");
    }
    assert!(timespan(&json!(365)).is_err());
    assert_eq!(timespan_text(of(365 * 86_400, 0)), "365.00:00:00");
}

#[test]
fn flags_guids_and_texts() {
    assert_eq!(flag(&json!("True")), Ok(true));
    assert_eq!(flag(&json!(false)), Ok(false));
    assert!(flag(&json!(1)).is_err());
    assert!(flag(&json!("yes")).is_err());
    let wanted = Uuid::parse_str("0bb558c3-597f-14cb-98ff-7d53741dc928").unwrap();
    for spelled in [
        "0bb558c3-597f-14cb-98ff-7d53741dc928",
        "{0BB558C3-597F-14CB-98FF-7D53741DC928}",
        "(0bb558c3-597f-14cb-98ff-7d53741dc928)",
        "0bb558c3597f14cb98ff7d53741dc928",
    ] {
        assert_eq!(guid(&json!(spelled)), Ok(wanted), "{spelled}");
        assert_eq!(Identity::from(spelled), Identity::Guid(wanted));
    }
    assert!(guid(&json!("0bb558c3")).is_err());
    assert_eq!(text(&json!(5)), Ok("5".to_owned()));
    assert!(text(&json!({"a": 1})).is_err());
}

#[test]
fn lists() {
    let two = vec!["a".to_owned(), "b".to_owned()];
    assert_eq!(list(&json!(["a", "b"])), Ok(two.clone()));
    assert_eq!(list(&json!({"value": ["a", "b"]})), Ok(two));
    assert_eq!(list(&json!("a")), Ok(vec!["a".to_owned()]));
    assert_eq!(list(&json!(null)), Ok(vec![]));
    assert_eq!(list(&json!("")), Ok(vec![]));
    assert!(list(&json!([{"a": 1}])).is_err());
    assert!(list(&json!(["a", null])).is_err());
    let object = json!({"Empty": null});
    let properties = Properties(object.as_object().unwrap());
    assert!(properties.has("empty") && !properties.has("absent"));
    assert_eq!(properties.list("Empty"), Ok(vec![]));
    assert_eq!(properties.text("Absent"), Ok(None));
}

#[test]
fn proxy_addresses() {
    let read = addresses(&json!([
        "SMTP:Amelie@example.com",
        "smtp:a.martin@example.com",
        "X500:/o=Example/cn=amelie",
        "SIP:amelie@example.com"
    ]))
    .unwrap();
    assert_eq!(read.primary(), Some("Amelie@example.com"));
    assert_eq!(read.aliases().collect::<Vec<_>>(), ["a.martin@example.com"]);
    assert!(read.has("AMELIE@EXAMPLE.COM") && read.has("A.Martin@example.com") && !read.has("/o=Example/cn=amelie"));
    assert_eq!(read.0[1].prefixed(), "smtp:a.martin@example.com");
    assert_eq!(read.0[0].folded(), "smtp:amelie@example.com");
    for wrong in
        [json!(["amelie@example.com"]), json!(["SMTP:"]), json!(["smtp:amelie"]), json!(["SMTP:a@x", "SMTP:b@x"])]
    {
        assert!(addresses(&wrong).is_err(), "{wrong}");
    }
}

#[test]
fn identities() {
    assert_eq!(Identity::from("EXAMPLE\\amelie"), Identity::Account("EXAMPLE\\amelie".to_owned()));
    assert_eq!(Identity::from("S-1-5-21-1-2-3"), Identity::Sid("S-1-5-21-1-2-3".to_owned()));
    assert_eq!(Identity::from("example.com/Users/A"), Identity::CanonicalName("example.com/Users/A".to_owned()));
    assert_eq!(Identity::from("Martin, Amelie"), Identity::Name("Martin, Amelie".to_owned()));
    assert_eq!(Identity::from("smtp:a@example.com"), Identity::Smtp("a@example.com".to_owned()));
    assert!(Identity::from("A@Example.com").same(&Identity::from("a@example.com")));
    assert!(!Identity::from("amelie").same(&Identity::from("EXAMPLE\\amelie")));
    let given = json!({"Name": "Amelie", "DistinguishedName": "CN=Amelie,DC=example,DC=com"});
    assert_eq!(identity(&given), Ok(Identity::DistinguishedName("CN=Amelie,DC=example,DC=com".to_owned())));
    assert!(identity(&json!(" ")).is_err());
}

fn with_groups(number: u64, separator: char) -> String {
    let digits = number.to_string();
    let first = digits.len() % 3;
    digits.char_indices().fold(String::new(), |mut text, (at, digit)| {
        if at > 0 && at % 3 == first {
            text.push(separator);
        }
        text.push(digit);
        text
    })
}

proptest! {
    #[test]
    fn sizes_come_back(number: u64, at in 0..SEPARATORS.len()) {
        let shown = format!("1.5 GB ({} bytes)", with_groups(number, SEPARATORS[at]));
        prop_assert_eq!(bytes(&json!(shown)), Ok(Quota::Bytes(number)));
        prop_assert_eq!(bytes(&json!(quota_text(Quota::Bytes(number)))), Ok(Quota::Bytes(number)));
    }

    #[test]
    fn timespans_come_back(seconds in -8_000_000_000_000i64..8_000_000_000_000, ticks in 0..10_000_000i64) {
        let span = Timespan::Of(TimeDelta::seconds(seconds) + TimeDelta::nanoseconds(ticks * 100));
        prop_assert_eq!(timespan(&json!(timespan_text(span))), Ok(span));
    }

    #[test]
    fn nothing_panics(text in "\\PC*") {
        let value = json!(text);
        let _ = (bytes(&value), timespan(&value), flag(&value), guid(&value), addresses(&value), identity(&value));
    }

    #[test]
    fn near_misses_do_not_panic(text in "[-PTDHMS0-9.,:() GKB'unlimited]{0,24}") {
        let value = json!(text);
        let _ = (bytes(&value), timespan(&value), guid(&value));
    }
}
