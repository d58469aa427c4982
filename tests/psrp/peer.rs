//! psrpcore as the other end, in a Python process of its own (`peer.py`).

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

pub struct Peer {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Peer {
    pub fn start() -> Self {
        let python = std::env::var("TENURE_LAB_PYTHON").unwrap_or_else(|_| panic!(
            "TENURE_LAB_PYTHON is not set: it names a Python with psrpcore. scripts/test sets it: run scripts/test --test psrp"
        ));
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/psrp/peer.py");
        let mut child = Command::new(&python)
            .arg(script)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{python} does not start: {error}"));
        let (input, output) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        Self { child, input, output }
    }

    /// One request, one answer; what the peer found wrong is an `Err`.
    pub fn ask(&mut self, request: &Value) -> Result<Value, String> {
        writeln!(self.input, "{request}").expect("the peer listens");
        self.input.flush().expect("the peer listens");
        let mut line = String::new();
        self.output.read_line(&mut line).expect("the peer answers");
        let answer: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("the peer ended at {request}"));
        match answer.get("error") {
            Some(error) => Err(error.as_str().unwrap().to_owned()),
            None => Ok(answer),
        }
    }

    /// As [`Peer::ask`] with bytes to go along.
    pub fn send(&mut self, what: &str, data: &[u8]) -> Result<Value, String> {
        self.ask(&json!({"do": what, "data": STANDARD.encode(data)}))
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The bytes of a field.
pub fn bytes(answer: &Value) -> Vec<u8> {
    STANDARD.decode(answer.as_str().unwrap()).unwrap()
}
