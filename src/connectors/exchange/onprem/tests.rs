use serde_json::json;

use super::super::psrp::clixml::{Base, Object};
use super::*;

fn typed(base: Base, names: &[&str], text: Option<&str>) -> Value {
    let object = Object { base, to_string: text.map(str::to_owned), ..Object::default() };
    object.typed(names).into()
}

#[test]
fn parameters_travel_as_data() {
    let cmdlet = Cmdlet::write("Set-Mailbox")
        .text("Identity", "'; Remove-Mailbox *")
        .with("EmailAddresses", Param::Delta { add: vec!["smtp:a@example.com".to_owned()], remove: vec![] })
        .with("ForwardingAddress", Param::Null)
        .switch("Force")
        .with("IssueWarningQuota", Param::Number(1 << 40));
    let command = command(&cmdlet).unwrap();
    let value = |name: &str| match &command.parameters.iter().find(|(given, _)| given == name).unwrap().1 {
        Argument::Value(value) => value.clone(),
        Argument::Secret(_) => panic!(),
    };
    assert_eq!(command.name, "Set-Mailbox");
    assert_eq!(value("Identity"), Value::from("'; Remove-Mailbox *"));
    let added = Value::List(vec![Value::from("smtp:a@example.com")]);
    assert_eq!(value("EmailAddresses"), Value::Dict(vec![(Value::from("Add"), added)]));
    assert_eq!(value("ForwardingAddress"), Value::Null);
    assert_eq!(value("Force"), Value::Bool(true));
    assert_eq!(value("IssueWarningQuota"), Value::I64(1 << 40));
    assert_eq!(value("Confirm"), Value::Bool(false));
}

#[test]
fn nobody_is_asked_unless_the_cmdlet_only_reads() {
    let confirms = |cmdlet: &Cmdlet| {
        command(cmdlet).unwrap().parameters.iter().filter(|(name, _)| name.eq_ignore_ascii_case("Confirm")).count()
    };
    assert_eq!(confirms(&Cmdlet::read("Get-Mailbox")), 0);
    assert_eq!(confirms(&Cmdlet::destructive("Remove-Mailbox")), 1);
    assert_eq!(confirms(&Cmdlet::write("Set-Mailbox").flag("confirm", true)), 1);
}

#[test]
fn names_are_names() {
    for name in ["Get-Mailbox;x", "Get", "-", "", "Get-Mailbox | x", "& x-y", "Get-Mail box", "Gét-Mailbox"] {
        assert!(command(&Cmdlet::read(name)).is_err(), "{name}");
    }
    for name in ["-Identity", "", "a b", "a:b"] {
        assert!(command(&Cmdlet::read("Get-Mailbox").text(name, "x")).is_err(), "{name}");
    }
}

#[test]
fn objects_become_what_people_read() {
    let quota = typed(
        Base::None,
        &[
            "Deserialized.Microsoft.Exchange.Data.Unlimited`1[[Microsoft.Exchange.Data.ByteQuantifiedSize, Microsoft.Exchange.Data]]",
        ],
        Some("99 GB (106,300,440,576 bytes)"),
    );
    let kind = typed(
        Base::Primitive(Value::I32(1)),
        &["Deserialized.Microsoft.Exchange.Data.Directory.Recipient.RecipientTypeDetails", "Deserialized.System.Enum"],
        Some("UserMailbox"),
    );
    let bare = Object {
        extended: vec![(HIDDEN_NAME.to_owned(), Value::Bytes(vec![1]))],
        to_string: Some("corp.example.com/Amelie".to_owned()),
        ..Object::default()
    };
    let nested = Object::of(vec![("DisplayName", Value::from("Amelie")), ("UserType", kind.clone())]);
    let both = Object {
        adapted: vec![("Name".to_owned(), Value::from("the object's")), ("Count".to_owned(), Value::U8(3))],
        extended: vec![
            ("Name".to_owned(), Value::from("PowerShell's")),
            ("Quota".to_owned(), quota),
            ("Kind".to_owned(), kind),
            ("Where".to_owned(), bare.into()),
            ("User".to_owned(), nested.into()),
            (
                "Many".to_owned(),
                typed(
                    Base::Enumerable(vec![Value::from("a"), Value::Bool(false)]),
                    &["Deserialized.X"],
                    Some("System.Object"),
                ),
            ),
            ("Nothing".to_owned(), Value::Null),
            ("Secret".to_owned(), Value::SecureString(vec![1, 2])),
            ("Big".to_owned(), Value::U64(u64::MAX)),
        ],
        to_string: Some("Amelie".to_owned()),
        ..Object::default()
    };
    let expected = json!({
        "Name": "PowerShell's", "Count": 3, "Quota": "99 GB (106,300,440,576 bytes)", "Kind": "UserMailbox",
        "Where": "corp.example.com/Amelie", "User": {"DisplayName": "Amelie", "UserType": "UserMailbox"},
        "Many": ["a", false], "Nothing": null, "Secret": null, "Big": u64::MAX,
    });
    assert_eq!(serde_json::Value::Object(object(&both.into())), expected);
    assert_eq!(serde_json::Value::Object(object(&Value::from("text"))), json!({"Value": "text"}));
}

const HIDDEN_NAME: &str = "SerializationData";

#[test]
fn errors_are_classed_by_type_and_reason() {
    let record = |types: &[&str], reason: &str, message: &str| ErrorRecord {
        exception_types: types.iter().map(|name| (*name).to_owned()).collect(),
        reason: reason.to_owned(),
        message: message.to_owned(),
        ..ErrorRecord::default()
    };
    let found =
        cmdlet_error(&record(&["Microsoft.Exchange.Configuration.Tasks.ManagementObjectNotFoundException"], "", "weg"));
    assert_eq!((found.type_name.as_str(), found.class), ("ManagementObjectNotFoundException", Class::NotFound));
    let found = cmdlet_error(&record(
        &["System.Management.Automation.RemoteException"],
        "MemberAlreadyExistsException",
        "schon da",
    ));
    assert_eq!((found.type_name.as_str(), found.class), ("MemberAlreadyExistsException", Class::AlreadyMember));
    let found = cmdlet_error(&record(&[], "OverBudgetException", "mindestens 1500 Millisekunden"));
    assert_eq!(found.class, Class::Throttled { after: Some(Duration::from_millis(1500)) });
    // A message in the words of another class changes nothing.
    let found = cmdlet_error(&record(&["X.RecipientTaskException"], "RecipientTaskException", "couldn't be found"));
    assert_eq!(found.class, Class::Other);
}
