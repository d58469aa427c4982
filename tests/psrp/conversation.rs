//! Whole conversations with psrpcore's server: what one side writes the other understands, whatever the pieces are.

use serde_json::{Value as Json, json};
use tenure::connectors::exchange::psrp::clixml::Value;
use tenure::connectors::exchange::psrp::{
    Argument, Command, Event, PipelineState, Pool, PoolOptions, PoolState, ProtocolError,
};
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::peer::{Peer, bytes};

struct Talk {
    peer: Peer,
    pool: Pool,
    /// The most bytes that the server sends at a time.
    amount: Option<usize>,
    /// What the server made of everything it was sent.
    understood: Vec<String>,
}

impl Talk {
    /// A pool that is open, both sides cutting to `amount`.
    fn open(amount: Option<usize>) -> Self {
        let mut peer = Peer::start();
        peer.ask(&json!({"do": "server"})).unwrap();
        let options = PoolOptions { min_runspaces: 1, max_runspaces: 3, ..PoolOptions::default() };
        let mut pool = Pool::new(Uuid::new_v4(), options);
        if let Some(amount) = amount {
            pool.set_max_fragment(amount);
        }
        let mut talk = Talk { peer, pool, amount, understood: Vec::new() };
        let creation = talk.pool.open().unwrap();
        assert_eq!(talk.pool.state(), PoolState::NegotiationSent);
        let events = talk.feed(None, &creation);
        assert!(matches!(&events[..], [Event::ApplicationData(_), Event::Opened]), "{events:?}");
        assert_eq!(talk.understood, ["SessionCapabilityEvent", "InitRunspacePoolEvent"]);
        assert_eq!(talk.pool.state(), PoolState::Opened);
        let Event::ApplicationData(data) = &events[0] else { unreachable!() };
        assert_eq!(data.property("lab"), Some(&"Zürich 🎉".into()));
        talk
    }

    fn feed(&mut self, pipeline: Option<Uuid>, data: &[u8]) -> Vec<Event> {
        use base64::Engine as _;
        let data = base64::engine::general_purpose::STANDARD.encode(data);
        let answer = self.ask(json!({"do": "feed", "data": data, "pipeline": pipeline}));
        let names = answer["events"].as_array().unwrap().iter();
        self.understood.extend(names.map(|name| name.as_str().unwrap().to_owned()));
        self.receive(&answer)
    }

    fn ask(&mut self, mut request: Json) -> Json {
        request["amount"] = json!(self.amount);
        self.peer.ask(&request).unwrap()
    }

    fn receive(&mut self, answer: &Json) -> Vec<Event> {
        let pieces: Vec<_> = answer["out"].as_array().unwrap().iter().map(bytes).collect();
        pieces.iter().flat_map(|piece| self.pool.receive(piece).unwrap()).collect()
    }

    /// Sends a command, piece by piece, and gives the pipeline with what came of it.
    fn run(&mut self, name: &str, parameters: &[(&str, Argument)]) -> (Uuid, Vec<Event>) {
        let id = Uuid::new_v4();
        let fragments = self.pool.pipeline(id, &command(name, parameters)).unwrap();
        let events = fragments.iter().flat_map(|fragment| self.feed(Some(id), fragment)).collect();
        (id, events)
    }

    fn exchange_keys(&mut self) {
        let bytes = self.pool.key_exchange().unwrap().unwrap();
        assert_eq!(self.pool.key_exchange(), Ok(None), "it is under way");
        assert_eq!(self.feed(None, &bytes), [Event::SessionKey]);
        assert!(self.pool.has_session_key());
        assert_eq!(self.pool.key_exchange(), Ok(None), "it is there");
    }
}

fn command(name: &str, parameters: &[(&str, Argument)]) -> Command {
    let parameters = parameters.iter().map(|(name, argument)| ((*name).to_owned(), argument.clone())).collect();
    Command { name: name.to_owned(), parameters }
}

fn completed(pipeline: Uuid) -> Event {
    Event::PipelineState { pipeline, state: PipelineState::Completed, reason: None }
}

fn running(pipeline: Uuid) -> Event {
    Event::PipelineState { pipeline, state: PipelineState::Running, reason: None }
}

#[test]
fn a_pool_opens_as_it_was_asked_for() {
    let mut talk = Talk::open(None);
    let pool = talk.peer.ask(&json!({"do": "pool"})).unwrap();
    assert_eq!((&pool["min"], &pool["max"], &pool["state"]), (&json!(1), &json!(3), &json!("Opened")));
    assert!(pool["host"].as_str().unwrap().contains("IsHostNull=True") || pool["host"] != json!(null), "{pool}");
    assert_eq!(talk.pool.version().as_deref(), Some("2.3"));
    let again = talk.pool.open().unwrap_err();
    assert_eq!(again.to_string(), "the runspace pool is open: it is opened once");
}

#[test]
fn two_hundred_objects_arrive_whole_however_they_are_cut() {
    for amount in [None, Some(4096), Some(100), Some(22)] {
        let mut talk = Talk::open(amount);
        let (id, events) = talk.run("Get-Many", &[("Count", Argument::Value(200.into()))]);
        assert_eq!(events.len(), 202, "{:?}", events.last());
        assert_eq!(events[0], running(id));
        for (number, event) in events[1..201].iter().enumerate() {
            let Event::Output { pipeline, value } = event else { panic!("{event:?}") };
            assert_eq!(*pipeline, id);
            assert_eq!(value.property("number").and_then(Value::number), Some(number as i64));
            let name = format!("Zoë Łuczak 漢字 🎉 _x0041_ \r\n{}", "x".repeat(number % 50));
            assert_eq!(value.property("Name"), Some(&Value::String(name)));
            assert!(value.object().unwrap().is("Microsoft.Exchange.Data.Directory.Management.Mailbox"));
        }
        assert_eq!(events[201], completed(id));
    }
}

#[test]
fn parameters_reach_the_server_as_they_are() {
    let delta = Value::Dict(vec![
        ("Add".into(), Value::List(vec!["smtp:ä@example.test".into(), "b_x0041_".into()])),
        ("Remove".into(), Value::List(vec![])),
    ]);
    let values = [
        ("Identity", "'; Remove-Mailbox * -Confirm:$false #\r\n\0🎉".into()),
        ("Confirm", false.into()),
        ("ResultSize", 7.into()),
        ("Nothing", Value::Null),
        ("EmailAddresses", delta),
    ];
    let arguments = values.clone().map(|(name, value)| (name, Argument::Value(value)));
    let mut talk = Talk::open(Some(300));
    let (id, events) = talk.run("Get-Echo", &arguments);
    let outputs = values.map(|(_, value)| Event::Output { pipeline: id, value });
    assert_eq!(events, [vec![running(id)], outputs.to_vec(), vec![completed(id)]].concat());
    let seen = talk.peer.ask(&json!({"do": "seen"})).unwrap();
    let names: Vec<_> = seen["seen"].as_array().unwrap().iter().map(|pair| pair[0].as_str().unwrap()).collect();
    assert_eq!(names, ["Identity", "Confirm", "ResultSize", "Nothing", "EmailAddresses"]);
}

#[test]
fn every_stream_is_told_apart() {
    let mut talk = Talk::open(Some(500));
    let (pipeline, events) = talk.run("Write-All", &[]);
    let mut events = events.into_iter();
    assert_eq!(events.next(), Some(running(pipeline)));
    assert_eq!(events.next(), Some(Event::Warning { pipeline, text: "Vorsicht: 🎉\r\n_x0041_".to_owned() }));
    assert_eq!(events.next(), Some(Event::Verbose { pipeline, text: "ausführlich".to_owned() }));
    assert_eq!(events.next(), Some(Event::Debug { pipeline, text: "genau".to_owned() }));
    let Some(Event::Progress { progress, .. }) = events.next() else { panic!() };
    assert_eq!((progress.activity.as_str(), progress.activity_id, progress.parent_activity_id), ("Umzug", 7, -1));
    assert_eq!((progress.status.as_str(), progress.operation.as_str()), ("3 von 9", "Postfach"));
    assert_eq!((progress.percent, progress.seconds_remaining, progress.completed), (33, 9, false));
    let Some(Event::Information { information, .. }) = events.next() else { panic!() };
    assert_eq!((information.message, information.source.as_str()), ("Hinweis".into(), "Quelle"));
    assert_eq!(information.tags, ["PSHOST", "ü"]);
    let Some(Event::Error { record, .. }) = events.next() else { panic!() };
    assert_eq!(record.type_name(), "ManagementObjectNotFoundException");
    assert_eq!(record.reason, "ManagementObjectNotFoundException");
    assert_eq!(record.exception_types[0], "Microsoft.Exchange.Configuration.Tasks.ManagementObjectNotFoundException");
    assert_eq!(record.message, "Das Objekt »x« wurde nicht gefunden.");
    assert_eq!(record.fully_qualified_id, "[Server=EX1],Get-Mailbox");
    assert_eq!((record.category, record.activity.as_str()), (13, "Get-Mailbox"));
    assert_eq!((record.target_name.as_str(), record.target_type.as_str()), ("x", "String"));
    assert_eq!(record.target, "x".into());
    assert_eq!(events.next(), Some(Event::Output { pipeline, value: "fertig".into() }));
    assert_eq!(events.next(), Some(completed(pipeline)));
    assert_eq!(events.next(), None);
}

#[test]
fn a_secret_travels_under_the_session_key_alone() {
    let secret = "Pässwort 🎉 _x0041_ \0 \r\n";
    let argument = || Argument::Secret(Zeroizing::new(secret.to_owned()));
    let mut talk = Talk::open(Some(200));
    let early = talk.pool.pipeline(Uuid::new_v4(), &command("Test-Secret", &[("Password", argument())]));
    assert_eq!(early, Err(ProtocolError::NoSessionKey));
    talk.exchange_keys();
    let (pipeline, events) = talk.run("Test-Secret", &[("Password", argument()), ("Other", Argument::Value(1.into()))]);
    assert_eq!(events[1], Event::Output { pipeline, value: secret.into() }, "the server decrypts it");
    let Event::Output { value: Value::SecureString(ciphertext), .. } = &events[2] else { panic!("{events:?}") };
    assert_eq!(talk.pool.reveal(ciphertext).unwrap().as_str(), "vom Server: 🎉 _x0041_");
    assert_eq!(events[3], completed(pipeline));
    let shown = format!("{:?} {:?}", talk.pool, command("Test-Secret", &[("Password", argument())]));
    assert!(shown.contains("********") && !shown.contains("wort"), "{shown}");
}

#[test]
fn a_server_may_ask_for_the_key() {
    let mut talk = Talk::open(None);
    let asked = talk.ask(json!({"do": "ask-key"}));
    assert_eq!(talk.receive(&asked), [Event::KeyAsked]);
    talk.exchange_keys();
}

#[test]
fn a_pipeline_that_is_stopped_says_so() {
    let mut talk = Talk::open(None);
    let (pipeline, events) = talk.run("Wait-Event", &[]);
    assert_eq!(events, [running(pipeline), Event::Output { pipeline, value: "wartet".into() }]);
    let answer = talk.ask(json!({"do": "stop", "pipeline": pipeline}));
    let events = talk.receive(&answer);
    let [Event::PipelineState { state: PipelineState::Stopped, reason: Some(reason), .. }] = &events[..] else {
        panic!("{events:?}")
    };
    assert_eq!(reason.type_name(), "PipelineStoppedException");
    assert_eq!(reason.fully_qualified_id, "PipelineStopped");
}

#[test]
fn an_abandoned_pipeline_is_passed_over_and_the_pool_goes_on() {
    let mut talk = Talk::open(None);
    let (abandoned, _) = talk.run("Wait-Event", &[]);
    talk.pool.stopped(abandoned);
    let answer = talk.ask(json!({"do": "stop", "pipeline": abandoned}));
    assert_eq!(talk.receive(&answer), []);
    let (pipeline, events) = talk.run("Get-Echo", &[("It", Argument::Value("weiter".into()))]);
    assert_eq!(events[1..], [Event::Output { pipeline, value: "weiter".into() }, completed(pipeline)]);
    assert!(talk.pool.pipeline(abandoned, &command("Get-Echo", &[])).is_err(), "an id is used once");
}

#[test]
fn a_question_to_the_host_is_told_as_one() {
    let mut talk = Talk::open(None);
    let (id, events) = talk.run("Read-Host", &[]);
    let pipeline = Some(id);
    assert_eq!(
        events[1..],
        [
            Event::HostCall { pipeline, method: 16, name: "WriteLine", expects_answer: false },
            Event::HostCall { pipeline, method: 11, name: "ReadLine", expects_answer: true },
        ]
    );
}

#[test]
fn a_pool_that_breaks_says_why() {
    let mut talk = Talk::open(None);
    let answer = talk.ask(json!({"do": "break"}));
    let events = talk.receive(&answer);
    let [Event::PoolState { state: PoolState::Broken, reason: Some(reason) }] = &events[..] else {
        panic!("{events:?}")
    };
    assert_eq!(reason.message, "kaputt");
    let late = talk.pool.pipeline(Uuid::new_v4(), &command("Get-Echo", &[])).unwrap_err();
    assert_eq!(late.to_string(), "the runspace pool is broken: pipelines are created once it is open");
}
