//! Values through our writer and reader alone, and through psrpcore's between them, both ways round.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::json;
use tenure::connectors::exchange::psrp::Limits;
use tenure::connectors::exchange::psrp::clixml::{self, Base, Object, Value};

use crate::peer::{Peer, bytes};
use crate::values::{primitive, text, value};

fn read(xml: &[u8]) -> Value {
    clixml::read(xml, &Limits::default()).unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(xml)))
}

/// What psrpcore does to every object that it has no class for: `Deserialized.` before its type names.
fn without_prefix(value: Value) -> Value {
    let each = |items: Vec<Value>| items.into_iter().map(without_prefix).collect();
    let pairs = |entries: Vec<(Value, Value)>| {
        entries.into_iter().map(|(key, value)| (without_prefix(key), without_prefix(value))).collect()
    };
    let properties =
        |list: Vec<(String, Value)>| list.into_iter().map(|(name, value)| (name, without_prefix(value))).collect();
    match value {
        Value::List(items) => Value::List(each(items)),
        Value::Dict(entries) => Value::Dict(pairs(entries)),
        Value::Object(object) => {
            let base = match object.base {
                Base::List(items) => Base::List(each(items)),
                Base::Stack(items) => Base::Stack(each(items)),
                Base::Queue(items) => Base::Queue(each(items)),
                Base::Enumerable(items) => Base::Enumerable(each(items)),
                Base::Dict(entries) => Base::Dict(pairs(entries)),
                base => base,
            };
            let names = object.type_names.iter();
            Value::from(Object {
                type_names: names.map(|name| name.trim_start_matches("Deserialized.").to_owned()).collect(),
                to_string: object.to_string,
                base,
                adapted: properties(object.adapted),
                extended: properties(object.extended),
            })
        }
        value => value,
    }
}

fn through_psrpcore(values: impl Strategy<Value = Value>, cases: u32) {
    let peer = std::cell::RefCell::new(Peer::start());
    let mut runner = TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() });
    let checked = runner.run(&values, |value| {
        let xml = clixml::write(&value).unwrap();
        let back = peer
            .borrow_mut()
            .send("echo", xml.as_bytes())
            .map_err(|error| TestCaseError::fail(format!("{error}: {xml}")))?;
        let back = bytes(&back["data"]);
        prop_assert_eq!(without_prefix(read(&back)), value, "{} became {}", xml, String::from_utf8_lossy(&back));
        Ok(())
    });
    checked.unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn primitives_go_to_psrpcore_and_back() {
    through_psrpcore(primitive(), 2000);
}

#[test]
fn nested_values_go_to_psrpcore_and_back() {
    through_psrpcore(value(), 600);
}

/// What psrpcore understands a string to be is what was meant, unit by unit.
#[test]
fn psrpcore_reads_the_text_that_was_meant() {
    let peer = std::cell::RefCell::new(Peer::start());
    let mut runner = TestRunner::new(Config { cases: 1500, failure_persistence: None, ..Config::default() });
    let checked = runner.run(&text(), |text| {
        let xml = clixml::write(&Value::String(text.clone())).unwrap();
        let answer = peer
            .borrow_mut()
            .send("text", xml.as_bytes())
            .map_err(|error| TestCaseError::fail(format!("{error}: {xml}")))?;
        let units: String = text.encode_utf16().map(|unit| format!("{unit:04x}")).collect();
        prop_assert_eq!(answer["units"].as_str().unwrap(), units);
        Ok(())
    });
    checked.unwrap_or_else(|error| panic!("{error}"));
}

/// psrpcore makes values of its own, shared objects among them, and finds them again in what we write.
#[test]
fn what_psrpcore_writes_comes_back_to_it() {
    let mut peer = Peer::start();
    let mut references = 0;
    for seed in 0..1500 {
        let made = bytes(&peer.ask(&json!({"do": "make", "seed": seed})).unwrap()["data"]);
        references += usize::from(made.windows(5).any(|window| window == b"<Ref "));
        let xml = clixml::write(&read(&made)).unwrap();
        use base64::Engine as _;
        let data = base64::engine::general_purpose::STANDARD.encode(&xml);
        let answer = peer.ask(&json!({"do": "same", "seed": seed, "data": data})).unwrap();
        let original = String::from_utf8_lossy(&made);
        assert_eq!(answer["same"], true, "seed {seed}\n{original}\n{xml}\n{}\n{}", answer["made"], answer["back"]);
    }
    assert!(references > 100, "only {references} of the values had references in them");
}

proptest! {
    #![proptest_config(Config { cases: 400, failure_persistence: None, ..Config::default() })]

    /// Without a second implementation: also what psrpcore has no word for.
    #[test]
    fn every_value_comes_back(value in value(), ciphertext: Vec<u8>, odd in text(), items in prop::collection::vec(primitive(), 0..4)) {
        let queue = Object { base: Base::Queue(items), to_string: Some(odd.clone()), ..Object::default() };
        let number = Object { base: Base::Primitive(Value::I32(4)), to_string: Some(odd), ..Object::default() };
        let number = number.typed(&["Test.Colour", "System.Enum"]);
        let all = Value::List(vec![value, Value::SecureString(ciphertext), queue.into(), number.clone().into(), number.into()]);
        prop_assert_eq!(read(clixml::write(&all).unwrap().as_bytes()), all);
    }
}

#[test]
fn a_number_that_is_none_stays_none() {
    let mut peer = Peer::start();
    for value in [Value::F32(f32::NAN), Value::F64(f64::NAN)] {
        let xml = clixml::write(&value).unwrap();
        assert!(xml.contains(">NaN<"), "{xml}");
        let back = read(&bytes(&peer.send("echo", xml.as_bytes()).unwrap()["data"]));
        assert!(matches!(back, Value::F32(n) if n.is_nan()) || matches!(back, Value::F64(n) if n.is_nan()), "{back:?}");
    }
}
