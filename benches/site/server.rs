//! The optimised program as processes of its own, and what the system says that they use.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A process of the program's; killed when dropped.
pub struct Program {
    child: Child,
    /// `http://127.0.0.1:PORT`, of one that serves.
    pub address: String,
}

impl Program {
    /// Starts `tenure serve` and waits until it is ready; returns also how long that took, in milliseconds.
    pub async fn serve() -> (Self, f64) {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let address = format!("http://127.0.0.1:{port}");
        let began = Instant::now();
        let child = command("serve")
            .env("TENURE_WEB__LISTEN", format!("127.0.0.1:{port}"))
            .env("TENURE_WEB__BASE_URL", &address)
            .env("TENURE_WEB__API_PER_MINUTE", "1000000")
            .spawn()
            .unwrap();
        let program = Self { child, address };
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let ready = format!("{}/readyz", program.address);
        while !client.get(&ready).send().await.is_ok_and(|answer| answer.status().is_success()) {
            assert!(began.elapsed() < Duration::from_secs(20), "the server is not ready");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        (program, began.elapsed().as_secs_f64() * 1e3)
    }

    /// Starts `tenure work` with that many steps at a time.
    pub fn work(concurrency: usize) -> Self {
        let child = command("work")
            .env("TENURE_WORKER__CONCURRENCY", concurrency.to_string())
            .env("TENURE_WORKER__LISTEN", "127.0.0.1:0")
            .spawn()
            .unwrap();
        Self { child, address: String::new() }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Resident memory in MiB: now, and the most so far.
    pub fn memory(&self) -> (f64, f64) {
        memory(self.pid())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn command(what: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tenure"));
    // Errors alone: a log on a terminal is no part of the figures.
    command.arg(what).env("TENURE_TELEMETRY__FILTER", "error").stdout(Stdio::null());
    command
}

/// Resident memory of a process in MiB: now, and the most so far.
pub fn memory(pid: u32) -> (f64, f64) {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let field = |name: &str| -> f64 {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim().trim_end_matches(" kB").parse::<f64>().unwrap() / 1024.0
    };
    (field("VmRSS:"), field("VmHWM:"))
}

/// Processor seconds of a process and everything below it, by Linux's /proc (100 ticks a second).
pub fn processor(root: u32) -> f64 {
    let mut all: Vec<(u32, u32, f64)> = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Ok(stat) = std::fs::read_to_string(entry.path().join("stat")) else { continue };
        // The name stands in parentheses and may hold anything.
        let Some((pid, rest)) = stat.split_once(" (").and_then(|(pid, rest)| Some((pid, rest.rsplit_once(") ")?.1)))
        else {
            continue;
        };
        let fields: Vec<&str> = rest.split(' ').collect();
        let ticks: f64 = fields[11..15].iter().filter_map(|field| field.parse::<f64>().ok()).sum();
        all.push((pid.parse().unwrap(), fields[1].parse().unwrap(), ticks / 100.0));
    }
    let mut tree = vec![root];
    let mut at = 0;
    while at < tree.len() {
        let above = tree[at];
        tree.extend(all.iter().filter(|(_, parent, _)| *parent == above).map(|(pid, ..)| *pid));
        at += 1;
    }
    all.iter().filter(|(pid, ..)| tree.contains(pid)).map(|(.., seconds)| seconds).sum()
}
