//! Random values.

use proptest::collection::vec;
use proptest::prelude::*;
use tenure::connectors::exchange::psrp::clixml::{Base, Object, Value};
use uuid::Uuid;

/// Text that CLIXML has to take care of, more often than not.
pub fn text() -> impl Strategy<Value = String> {
    vec(
        prop_oneof![
            "\\PC{0,8}",
            "[ -~]{0,8}",
            "[\u{0}-\u{1f}\u{7f}-\u{9f}]{1,4}",
            "(_x|_X)?[0-9A-Fa-f]{0,4}_?",
            "[\u{10000}-\u{10ffff}]{1,3}",
            Just("_x005F_".to_owned()),
            Just("\u{feff}\u{fffd}\u{2028}\r\n".to_owned()),
            Just("Zoë Müller <ü@example.test> & \"Söhne\"".to_owned()),
        ],
        0..5,
    )
    .prop_map(|pieces| pieces.concat())
}

/// U+FFFE and U+FFFF are no characters of XML; ours are escaped, and psrpcore reads them but writes them bare.
fn characters(text: &str) -> bool {
    !text.contains(['\u{fffe}', '\u{ffff}'])
}

/// Values of every primitive, in the spelling in which psrpcore gives them back.
pub fn primitive() -> impl Strategy<Value = Value> {
    let text = || text().prop_filter("a character of XML", |text| characters(text));
    let float = prop_oneof![any::<f64>().prop_filter("equal to itself", |n| !n.is_nan()), Just(f64::INFINITY)];
    let single = prop_oneof![any::<f32>().prop_filter("equal to itself", |n| !n.is_nan()), Just(f32::NEG_INFINITY)];
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<u16>().prop_map(Value::Char),
        text().prop_map(Value::String),
        any::<i8>().prop_map(Value::I8),
        any::<u8>().prop_map(Value::U8),
        any::<i16>().prop_map(Value::I16),
        any::<u16>().prop_map(Value::U16),
        any::<i32>().prop_map(Value::I32),
        any::<u32>().prop_map(Value::U32),
        any::<i64>().prop_map(Value::I64),
        any::<u64>().prop_map(Value::U64),
        single.prop_map(Value::F32),
        float.prop_map(Value::F64),
        "-?[1-9][0-9]{0,12}(\\.[0-9]{1,8})?".prop_map(Value::Decimal),
        vec(any::<u8>(), 0..40).prop_map(Value::Bytes),
        any::<u128>().prop_map(|id| Value::Guid(Uuid::from_u128(id))),
        "(0|[1-9][0-9]{0,4})(\\.(0|[1-9][0-9]{0,4})){1,3}".prop_map(Value::Version),
        text().prop_map(|path| Value::Uri(format!("https://example.test/{path}"))),
        date().prop_map(Value::DateTime),
        duration().prop_map(Value::Duration),
        text().prop_map(|text| Value::Xml(format!("<a>{text}</a>"))),
        text().prop_map(Value::Script),
    ]
}

fn date() -> impl Strategy<Value = String> {
    let fraction = prop_oneof![Just(String::new()), "\\.[0-9]{6}[1-9]"];
    let zone = prop_oneof![Just(String::new()), Just("Z".to_owned()), "[+-](0[1-9]|1[0-2]):[0-5][05]"];
    ("[1-9][0-9]{3}-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]", fraction, zone)
        .prop_map(|(date, fraction, zone)| format!("{date}{fraction}{zone}"))
}

/// Seconds with a last digit: psrpcore 0.3 strips zeros from the left of the point, too.
fn duration() -> impl Strategy<Value = String> {
    "-?P[1-9][0-9]{0,3}DT([1-9]|1[0-9]|2[0-3])H[1-9]M[1-9]\\.[0-9]{6}[1-9]S"
}

/// Values nested up to four deep: lists, dictionaries, objects with properties of both kinds, extended primitives.
pub fn value() -> impl Strategy<Value = Value> {
    primitive().prop_recursive(4, 48, 6, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(Value::List),
            entries(inner.clone()).prop_map(Value::Dict),
            (types(), base(inner.clone()), properties(inner.clone())).prop_map(|(names, base, extended)| {
                Value::from(Object { base, extended, ..Object::default() }.typed(&[&names, "System.Object"]))
            }),
            (types(), prop::option::of("[A-Za-zäöü<&> ]{1,12}"), properties(inner.clone()), properties(inner.clone()))
                .prop_map(|(names, to_string, adapted, extended)| {
                    let object = Object { to_string, adapted, extended, ..Object::default() };
                    Value::from(object.typed(&[&names, "System.Object"]))
                }),
            // psrpcore takes extended primitives of equal content for one object: numbers that do not come twice.
            (any::<i64>(), properties(inner).prop_filter("some", |properties| !properties.is_empty())).prop_map(
                |(number, extended)| {
                    Value::from(Object { base: Base::Primitive(Value::I64(number)), extended, ..Object::default() })
                }
            ),
        ]
    })
}

/// One name per list of names: psrpcore goes by the first.
fn types() -> impl Strategy<Value = String> {
    "Test\\.Kind[A-D](`1\\[\\[System\\.String, mscorlib\\]\\])?"
}

fn base(inner: impl Strategy<Value = Value> + Clone + 'static) -> impl Strategy<Value = Base> {
    prop_oneof![
        vec(inner.clone(), 0..5).prop_map(Base::List),
        vec(inner.clone(), 0..5).prop_map(Base::Stack),
        vec(inner.clone(), 0..5).prop_map(Base::Enumerable),
        entries(inner).prop_map(Base::Dict),
    ]
}

fn properties(inner: impl Strategy<Value = Value>) -> impl Strategy<Value = Vec<(String, Value)>> {
    let name = text().prop_filter("a character of XML", |text| characters(text));
    vec((name, inner), 0..5).prop_map(|properties| {
        let named = properties.into_iter().enumerate();
        named.map(|(number, (name, value))| (format!("P{number}{name}"), value)).collect()
    })
}

fn entries(inner: impl Strategy<Value = Value>) -> impl Strategy<Value = Vec<(Value, Value)>> {
    let key = text().prop_filter("a character of XML", |text| characters(text));
    vec((key, inner), 0..5).prop_map(|entries| {
        let keyed = entries.into_iter().enumerate();
        keyed.map(|(number, (key, value))| (Value::String(format!("{key}{number}")), value)).collect()
    })
}
