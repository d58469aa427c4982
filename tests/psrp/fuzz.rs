//! Hostile peers: random and damaged fragments, messages and CLIXML, and the bombs that are known. Whatever comes, there is
//! an answer in bounded time and memory, never a panic.
//!
//! A second or two in every run; `TENURE_FUZZ_SECONDS=600 scripts/test --test psrp -E 'test(fuzz)'` goes on for longer. A
//! failure names its seed.

use std::time::{Duration, Instant};

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};
use tenure::connectors::exchange::psrp::clixml::{self, Base, Object, Value};
use tenure::connectors::exchange::psrp::{Argument, Command, Limits, Pool, PoolOptions, ProtocolError};
use uuid::Uuid;

use crate::values::value;

/// Small, so that going over them is found at once.
const LIMITS: Limits = Limits {
    message_bytes: 256 << 10,
    open_messages: 8,
    open_bytes: 512 << 10,
    depth: 48,
    nodes: 5_000,
    text_bytes: 256 << 10,
    pipelines: 4,
};

const POOL: Uuid = Uuid::from_u128(0x5001);
const PIPELINE: Uuid = Uuid::from_u128(0x51e);

fn seconds() -> Duration {
    let seconds = std::env::var("TENURE_FUZZ_SECONDS").ok().and_then(|text| text.parse().ok());
    Duration::from_millis(seconds.map_or(1500, |seconds: u64| seconds * 1000))
}

/// Runs `once` with one seed after the other until the time is over; gives how often.
fn each_seed(mut once: impl FnMut(&mut StdRng)) -> u64 {
    let end = Instant::now() + seconds();
    let mut seed = 0;
    while seed < 300 || Instant::now() < end {
        let mut rng = StdRng::seed_from_u64(seed);
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| once(&mut rng)));
        assert!(result.is_ok(), "seed {seed}");
        seed += 1;
    }
    seed
}

/// Elements and bytes of text of a value, and how deep it is.
fn weigh(value: &Value) -> (usize, usize, usize) {
    fn add(total: &mut (usize, usize, usize), part: (usize, usize, usize)) {
        *total = (total.0 + part.0, total.1 + part.1, total.2.max(part.2 + 1));
    }
    let mut total = (1, 0, 0);
    let object = |total: &mut (usize, usize, usize), object: &Object| {
        for (name, value) in object.properties() {
            total.1 += name.len();
            add(total, weigh(value));
        }
        match &object.base {
            Base::Primitive(value) => add(total, weigh(value)),
            Base::Dict(entries) => entries.iter().for_each(|(key, value)| {
                add(total, weigh(key));
                add(total, weigh(value));
            }),
            _ => object.items().unwrap_or_default().iter().for_each(|item| add(total, weigh(item))),
        }
        total.1 += object.to_string.as_ref().map_or(0, String::len);
    };
    match value {
        Value::Object(boxed) => object(&mut total, boxed),
        Value::List(items) => items.iter().for_each(|item| add(&mut total, weigh(item))),
        Value::Dict(entries) => entries.iter().for_each(|(key, value)| {
            add(&mut total, weigh(key));
            add(&mut total, weigh(value));
        }),
        Value::Bytes(bytes) | Value::SecureString(bytes) => total.1 += bytes.len(),
        // Rust writes floats longer than they came; numbers weigh nothing beyond their place.
        Value::F32(_) | Value::F64(_) => {}
        _ => total.1 += value.text().map_or(0, |text| text.len()),
    }
    total
}

fn check(result: Result<Value, ProtocolError>) {
    if let Ok(value) = result {
        let (nodes, text, depth) = weigh(&value);
        // U+FFFD in the place of a lone surrogate's seven characters is shorter; nothing gets longer but `True` and GUIDs.
        assert!(nodes <= LIMITS.nodes && text <= LIMITS.text_bytes + 40 * nodes && depth <= LIMITS.depth + 1);
        clixml::write(&value).expect("what was read can be written");
    }
}

/// CLIXML to be damaged: random values, and the odd corners by hand.
fn corpus() -> Vec<Vec<u8>> {
    let mut runner = TestRunner::new_with_rng(Config::default(), TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let values =
        (0..60).map(|_| clixml::write(&value().new_tree(&mut runner).unwrap().current()).unwrap().into_bytes());
    let by_hand = [
        "<Obj RefId=\"0\"><MS><I32 N=\"RunspaceState\">2</I32></MS></Obj>",
        "<Obj RefId=\"0\"><MS><I32 N=\"PipelineState\">5</I32><Obj N=\"ExceptionAsErrorRecord\" RefId=\"1\"><TN RefId=\"0\">\
         <T>System.Management.Automation.ErrorRecord</T></TN><ToString>x</ToString><MS><Obj N=\"Exception\" RefId=\"2\"><TNRef RefId=\"0\"/>\
         <Props><S N=\"Message\">m</S><Ref N=\"InnerException\" RefId=\"2\"/></Props></Obj></MS></Obj></MS></Obj>",
        "<Obj RefId=\"0\"><LST><Obj RefId=\"1\"><DCT><En><S N=\"Key\">a</S><Ref N=\"Value\" RefId=\"0\"/></En></DCT></Obj><Ref RefId=\"1\"/>\
         <Ref RefId='1' /></LST></Obj>",
        "<Obj RefId=\"0\"><MS><I64 N=\"ci\">1</I64><Obj N=\"mi\" RefId=\"1\"><I32>11</I32></Obj></MS></Obj>",
        "\u{feff}<?xml version=\"1.0\"?><!-- c --><S>_xD83C_&#x41;&amp;<![CDATA[<x>]]>_x00</S>",
        "<PR N=\"x\"><AV>a</AV><AI>1</AI><Nil/><PI>-1</PI><PC>5</PC><T>Processing</T><SR>-1</SR><SD>s</SD></PR>",
        "<Obj><MS><S N=\"EncryptedSessionKey\">AQIAABBmAAAApAAA</S><Version N=\"protocolversion\">2.3</Version></MS></Obj>",
    ];
    values.chain(by_hand.map(|xml| xml.as_bytes().to_vec())).collect()
}

/// Cuts, doubles, swaps and overwrites.
fn damage(rng: &mut StdRng, corpus: &[Vec<u8>], limit: usize) -> Vec<u8> {
    const TOKENS: [&str; 20] = [
        "<Obj RefId=\"0\">",
        "</Obj>",
        "<Ref RefId=\"0\"/>",
        "<TNRef RefId=\"0\"/>",
        "<LST>",
        "</LST>",
        "<MS>",
        "</MS>",
        "<DCT>",
        "<En>",
        "<S>",
        "</S>",
        "_xD800_",
        "_x",
        "&lt;",
        "&#0;",
        "<![CDATA[",
        "<!DOCTYPE a [<!ENTITY b 'c'>]>",
        "\u{0}",
        "9999999999999999999999",
    ];
    let mut bytes = corpus[rng.random_range(0..corpus.len())].clone();
    for _ in 0..rng.random_range(0..8) {
        let at = rng.random_range(0..=bytes.len());
        let to = rng.random_range(at..=bytes.len().min(at + 200));
        match rng.random_range(0..6) {
            0 => drop(bytes.drain(at..to)),
            1 => drop(bytes.splice(at..at, TOKENS[rng.random_range(0..TOKENS.len())].bytes())),
            2 => {
                let piece = bytes[at..to].to_vec();
                let place = rng.random_range(0..=bytes.len());
                drop(bytes.splice(place..place, piece.repeat(rng.random_range(1..40))));
            }
            3 if at < bytes.len() => bytes[at] = rng.random(),
            4 if at < bytes.len() => bytes[at] ^= 1 << rng.random_range(0..8),
            _ => bytes.truncate(at.max(bytes.len() / 2)),
        }
        bytes.truncate(limit);
    }
    bytes
}

#[test]
fn fuzz_clixml() {
    let corpus = corpus();
    let (mut read, mut refused) = (0u64, 0u64);
    let times = each_seed(|rng| {
        let mut bytes = damage(rng, &corpus, 64 << 10);
        if rng.random_range(0..50) == 0 {
            bytes = vec![0; rng.random_range(0..400)];
            rng.fill_bytes(&mut bytes);
        }
        let result = clixml::read(&bytes, &LIMITS);
        *if result.is_ok() { &mut read } else { &mut refused } += 1;
        check(result);
    });
    assert!(
        read > times / 50 && refused > times / 50,
        "{read} read and {refused} refused of {times}: too one-sided to say much"
    );
    println!("fuzz_clixml: {times} inputs, {read} read, {refused} refused");
}

/// One fragment, or several, of a message.
fn fragments(rng: &mut StdRng, object: u64, kind: u32, pipeline: Option<Uuid>, body: &[u8]) -> Vec<Vec<u8>> {
    let mut message = [1u32.to_le_bytes(), kind.to_le_bytes()].concat();
    message.extend(POOL.to_bytes_le());
    message.extend(pipeline.unwrap_or(Uuid::nil()).to_bytes_le());
    message.extend(body);
    let pieces: Vec<_> = message.chunks(rng.random_range(1..=message.len())).collect();
    let last = pieces.len() - 1;
    let each = pieces.iter().enumerate().map(|(index, piece)| {
        let mut fragment = object.to_be_bytes().to_vec();
        fragment.extend((index as u64).to_be_bytes());
        fragment.push(u8::from(index == 0) | if index == last { 2 } else { 0 });
        fragment.extend((piece.len() as u32).to_be_bytes());
        fragment.extend(*piece);
        fragment
    });
    each.collect()
}

/// A pool that is open and has one pipeline, as far as the server let it come.
fn pool() -> Pool {
    let mut pool = Pool::new(POOL, PoolOptions { limits: LIMITS, ..PoolOptions::default() });
    pool.open().unwrap();
    let mut rng = StdRng::seed_from_u64(0);
    let capability = b"<Obj><MS><Version N=\"protocolversion\">2.3</Version></MS></Obj>";
    let opened = b"<Obj><MS><I32 N=\"RunspaceState\">2</I32></MS></Obj>";
    for (object, (kind, body)) in [(0x10002, &capability[..]), (0x21005, &opened[..])].into_iter().enumerate() {
        pool.receive(&fragments(&mut rng, object as u64, kind, None, body).concat()).unwrap();
    }
    let parameters = vec![("Identity".to_owned(), Argument::Value("x".into()))];
    pool.pipeline(PIPELINE, &Command { name: "Get-Mailbox".to_owned(), parameters }).unwrap();
    pool
}

#[test]
fn fuzz_fragments_and_messages() {
    const KINDS: [u32; 24] = [
        0x10002,
        0x10004,
        0x10005,
        0x10006,
        0x10007,
        0x21004,
        0x21005,
        0x21006,
        0x21008,
        0x21009,
        0x2100b,
        0x21100,
        0x41002,
        0x41004,
        0x41005,
        0x41006,
        0x41007,
        0x41008,
        0x41009,
        0x41010,
        0x41011,
        0x41100,
        0,
        u32::MAX,
    ];
    let corpus = corpus();
    let (mut taken, mut refused) = (0u64, 0u64);
    let times = each_seed(|rng| {
        let mut pool = pool();
        for object in 0..rng.random_range(1..6) {
            // As it should be as often as not, so that what comes after is reached.
            let sound = rng.random::<bool>();
            let body =
                if sound { corpus[rng.random_range(0..corpus.len())].clone() } else { damage(rng, &corpus, 8 << 10) };
            let pipeline =
                [None, Some(PIPELINE), Some(PIPELINE), Some(POOL)][rng.random_range(0..if sound { 3 } else { 4 })];
            let kind = match pipeline {
                Some(_) if sound => rng.random_range(0x41004..=0x41009),
                _ => KINDS[rng.random_range(0..KINDS.len())],
            };
            let mut wire = fragments(rng, object, kind, pipeline, &body).concat();
            if rng.random_range(0..6) == 0 {
                let at = rng.random_range(0..wire.len());
                wire[at] = rng.random();
            }
            if rng.random_range(0..12) == 0 {
                wire.truncate(rng.random_range(0..=wire.len()));
            }
            match pool.receive(&wire) {
                Ok(_) => taken += 1,
                Err(_) => {
                    refused += 1;
                    break;
                }
            }
        }
    });
    assert!(
        taken > times / 50 && refused > times / 50,
        "{taken} taken and {refused} refused: too one-sided to say much"
    );
    println!("fuzz_fragments_and_messages: {times} pools, {taken} pieces taken, {refused} refused");
}

/// The process's peak of resident memory, in bytes. Where the runner gives each test a process, it is this test's own.
fn peak() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() << 10
}

fn nested(open: &str, close: &str, times: usize) -> String {
    format!("{}<Nil/>{}", open.repeat(times), close.repeat(times))
}

/// Each of these is small on the wire and would be gigabytes, or a stack's end, for a reader that takes it as it says.
fn bombs() -> Vec<(&'static str, String)> {
    // A list of two references to the list before, forty times over: 2^40 values.
    let doubling: String = (1..40)
        .map(|id| format!("<Obj RefId=\"{id}\"><LST><Ref RefId=\"{0}\"/><Ref RefId=\"{0}\"/></LST></Obj>", id - 1))
        .collect();
    let doubling = format!("<Obj><LST><Obj RefId=\"0\"><LST><S>boom</S></LST></Obj>{doubling}</LST></Obj>");
    let text = "x".repeat(100_000);
    let repeated =
        format!("<Obj><LST><Obj RefId=\"0\"><S>{text}</S></Obj>{}</LST></Obj>", "<Ref RefId=\"0\"/>".repeat(100_000));
    let chain: String = (0..20_000).map(|id| format!("<Obj RefId=\"{id}\"><LST>")).collect();
    let types = format!(
        "<Obj><TN RefId=\"0\">{}</TN><LST>{}</LST></Obj>",
        "<T>System.Object</T>".repeat(10_000),
        "<Obj><TNRef RefId=\"0\"/></Obj>".repeat(80_000)
    );
    let attributes: String = (0..50_000).map(|n| format!(" a{n}=\"\"")).collect();
    vec![
        ("references to references", doubling),
        ("one long text many times", repeated),
        ("deep lists", nested("<Obj><LST>", "</LST></Obj>", 200_000)),
        ("deep properties", nested("<Obj><MS><Obj N=\"a\"><MS>", "</MS></Obj></MS></Obj>", 100_000)),
        ("deep elements that never end", chain),
        ("deep unknown elements", nested("<x>", "</x>", 500_000)),
        ("many type names many times", types),
        ("many empty objects", format!("<Obj><LST>{}</LST></Obj>", "<Obj/>".repeat(1_000_000))),
        ("many ids", (0..900_000).map(|n| format!("<Ref RefId=\"{n}\"")).collect()),
        ("many attributes", format!("<S{attributes}>x</S>")),
        ("entities of its own", format!("<!DOCTYPE a [<!ENTITY b \"{text}\">]><S>{}</S>", "&b;".repeat(10_000))),
        ("a long name", format!("<Obj><MS><S N=\"{}\">x</S></MS></Obj>", "_x0000_".repeat(1_000_000))),
    ]
}

#[test]
fn fuzz_bombs_do_not_go_off() {
    let bombs = bombs();
    for limits in [LIMITS, Limits::default()] {
        for (name, xml) in &bombs {
            let (before, start) = (peak(), Instant::now());
            let result = clixml::read(xml.as_bytes(), &limits);
            let grown = (peak() - before) >> 20;
            let taken = start.elapsed();
            assert!(grown < 300, "{name} took {grown} MB");
            assert!(taken < Duration::from_secs(20), "{name} took {taken:?}");
            if let Ok(value) = result {
                let (nodes, text, _) = weigh(&value);
                assert!(
                    nodes <= limits.nodes && text <= limits.text_bytes,
                    "{name}: {nodes} elements, {text} bytes of text"
                );
            }
        }
    }
}

/// The limits hold for a message; one envelope full of small ones must not add up to more.
#[test]
fn fuzz_many_small_bombs_do_not_add_up() {
    let mut rng = StdRng::seed_from_u64(0);
    let xml = format!(
        "<Obj><LST><Obj RefId=\"0\"><S>{}</S></Obj>{}</LST></Obj>",
        "x".repeat(900),
        "<Ref RefId=\"0\"/>".repeat(6)
    );
    let mut pool = pool();
    let wire: Vec<u8> = (10..1000)
        .flat_map(|object| fragments(&mut rng, object, 0x41004, Some(PIPELINE), xml.as_bytes()).concat())
        .collect();
    let before = peak();
    let events = pool.receive(&wire).unwrap();
    assert_eq!(events.len(), 990, "what is shared seven times is still read");
    assert!(peak() - before < wire.len() * 40, "{} bytes became {}", wire.len(), peak() - before);
    let bomb = xml.replace("</LST>", &("<Ref RefId=\"0\"/>".repeat(60) + "</LST>"));
    let refused =
        pool.receive(&fragments(&mut rng, 2000, 0x41004, Some(PIPELINE), bomb.as_bytes()).concat()).unwrap_err();
    assert!(matches!(refused, ProtocolError::TooMuch(_)), "{refused}");
}

#[test]
fn fuzz_lengths_that_lie_cost_nothing() {
    let limits = Limits::default();
    let mut pool = pool();
    let before = peak();
    let mut header = [0u8; 21];
    header[16] = 1;
    header[17..].copy_from_slice(&u32::MAX.to_be_bytes());
    let error = pool.receive(&header).unwrap_err();
    assert_eq!(error.to_string(), "the server sent a malformed fragment: it says 4294967295 bytes and 0 are left");
    assert!(peak() - before < 16 << 20);
    assert!(limits.message_bytes < u32::MAX as usize);
}

/// Messages that begin and never end are held up to a bound, then refused.
#[test]
fn fuzz_messages_without_an_end_are_bounded() {
    let mut pool = pool();
    let start = |object: u64| {
        let mut fragment = object.to_be_bytes().to_vec();
        fragment.extend([0; 8]);
        fragment.push(1);
        fragment.extend(1000u32.to_be_bytes());
        fragment.extend([0; 1000]);
        fragment
    };
    let refused = (100..200).find_map(|object| pool.receive(&start(object)).err()).expect("not a hundred of them");
    assert_eq!(refused.to_string(), "the server sent more than is taken: 8 messages begun at a time");
}
