//! What is shipped beside the program says the same as the program: every configuration key is in the guide, the guide's
//! example and the containers' files are configurations, the compose file and the units name what exists.

use std::fs;
use std::path::Path;
use std::process::Command;

use tenure::config::Config;

fn text(path: &str) -> String {
    let full = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&full).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Where each struct of the configuration stands in the file.
const PLACES: &[(&str, &str)] = &[
    ("Config", ""),
    ("DatabaseConfig", "database."),
    ("WebConfig", "web."),
    ("WorkerConfig", "worker."),
    ("AdTargetConfig", "target."),
    ("ExchangeOnPremisesConfig", "target."),
    ("ExchangeOnlineConfig", "target."),
    ("MailConfig", "mail."),
    ("EvidenceConfig", "evidence."),
    ("TimestampAuthorityConfig", "evidence.timestamp_authority."),
    ("WitnessConfig", "evidence.witness."),
    ("TelemetryConfig", "telemetry."),
    ("DemoConfig", "demo."),
];

#[test]
fn every_configuration_key_is_in_the_guide() {
    let (source, guide) = (text("src/config.rs"), text("docs/operating.md"));
    let (mut place, mut missing, mut seen) = (None, Vec::new(), 0);
    for line in source.split("#[cfg(test)]").next().unwrap().lines() {
        if let Some(name) = line.strip_prefix("pub struct ").and_then(|rest| rest.strip_suffix(" {")) {
            place = Some(PLACES.iter().find(|(known, _)| *known == name).unwrap_or_else(|| panic!("{name} is new")).1);
        } else if line.starts_with('}') {
            place = None;
        }
        let field = line.strip_prefix("    pub ").and_then(|rest| rest.split_once(": "));
        // The sections themselves are headings of the example.
        if let (Some(place), Some((field, _))) = (place.filter(|place| !place.is_empty()), field) {
            seen += 1;
            let section = guide.contains(&format!("[[{place}{field}]]"));
            if !section && !guide.contains(&format!("| `{place}{field}`")) {
                missing.push(format!("{place}{field}"));
            }
        }
    }
    assert!(seen > 50, "the search finds the keys: {seen}");
    assert!(missing.is_empty(), "docs/operating.md does not say what these are: {missing:?}");
}

#[test]
fn the_guides_example_is_a_configuration() {
    let guide = text("docs/operating.md");
    let example = guide.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), example).unwrap();
    let config = Config::load(Some(file.path()), std::iter::empty()).unwrap();
    assert_eq!((config.target.len(), config.evidence.map(|evidence| evidence.witness.len())), (1, Some(1)));
}

/// The script that makes the containers' configurations, run as its container runs it, owners apart.
#[test]
fn the_containers_configurations_are_configurations() {
    let place = tempfile::tempdir().unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for folder in ["bin", "database", "web", "work", "owner"] {
        fs::create_dir(place.path().join(folder)).unwrap();
    }
    let chown = place.path().join("bin/chown");
    fs::write(&chown, "#!/bin/sh\n").unwrap();
    fs::set_permissions(&chown, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", place.path().join("bin").display(), std::env::var("PATH").unwrap());
    let made = Command::new("bash")
        .arg(root.join("lab/container"))
        .arg("setup")
        .env("PATH", path)
        .env("LAB_DATA", place.path())
        .env("PROXY_ADDRESS", "172.30.82.10")
        .env("LAB_ADDRESS", "172.30.82.11")
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    for (part, signs) in [("web", false), ("work", true), ("owner", false)] {
        let config = Config::load(Some(&place.path().join(part).join("tenure.toml")), std::iter::empty());
        let config = config.unwrap_or_else(|error| panic!("{part}: {error}"));
        let evidence = config.evidence.unwrap_or_else(|| panic!("{part} names the log"));
        assert_eq!(evidence.signer_socket.is_some(), signs, "{part}: only the worker asks the signer");
        assert_eq!(config.database.owner_url.is_some(), part == "owner");
        assert!(config.target.len() == 1 && config.mail.is_some());
    }
}

#[test]
fn the_compose_file_and_the_units_name_what_exists() {
    let read = "import json, sys, yaml; print(json.dumps(yaml.safe_load(open(sys.argv[1]))))";
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let told =
        Command::new("/usr/bin/python3").args(["-c", read]).arg(root.join("docker-compose.yml")).output().unwrap();
    assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
    let compose: serde_json::Value = serde_json::from_slice(&told.stdout).unwrap();
    let (services, volumes) = (compose["services"].as_object().unwrap(), compose["volumes"].as_object().unwrap());
    for name in ["database", "directory", "exchange", "mail", "migrate", "signer", "web", "worker", "proxy"] {
        assert!(services.contains_key(name), "{name}");
    }
    let used: Vec<_> = services
        .iter()
        .flat_map(|(name, service)| {
            let all = service["volumes"].as_array().cloned().unwrap_or_default();
            all.into_iter().map(move |volume| (name.clone(), volume.as_str().unwrap().to_owned()))
        })
        .collect();
    for (service, volume) in &used {
        let source = volume.split(':').next().unwrap();
        let there = if source.starts_with("./") { root.join(source).exists() } else { volumes.contains_key(source) };
        assert!(there, "{service}: {volume}");
    }
    for (name, service) in services {
        for other in service["depends_on"].as_object().into_iter().flat_map(|all| all.keys()) {
            assert!(services.contains_key(other), "{name} depends on {other}");
        }
    }
    let signer_key: Vec<_> =
        used.iter().filter(|(_, volume)| volume.starts_with("signer:")).map(|(name, _)| name).collect();
    assert!(signer_key.iter().all(|name| name.starts_with("signer")), "only the signer sees its key: {signer_key:?}");

    let commands = text("src/main.rs");
    for unit in ["web", "work", "sign", "witness"] {
        let unit = text(&format!("deploy/systemd/tenure-{unit}.service"));
        let start = unit.lines().find_map(|line| line.strip_prefix("ExecStart=/usr/local/bin/tenure ")).unwrap();
        let command = start.split(' ').next().unwrap();
        let known = format!("    {}{}", command[..1].to_uppercase(), &command[1..]);
        assert!(commands.lines().any(|line| line.starts_with(&known)), "tenure {command}");
        for needed in ["NoNewPrivileges=yes", "ProtectSystem=strict", "CapabilityBoundingSet=\n", "User=tenure-"] {
            assert!(unit.contains(needed), "{needed}");
        }
    }
}
