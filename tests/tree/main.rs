//! Reads the source tree and checks the rules of the house: uses go upwards only, every table is written by one folder,
//! no module is called by a word that means nothing, every action is in the auditor's guide.

mod operating;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// From the ground up: a folder uses those before it, never those after.
const ORDER: &[&str] = &[
    "config",
    "clock",
    "ids",
    "numbers",
    "db",
    "telemetry",
    "target",
    "connectors",
    "evidence",
    "access",
    "people",
    "catalog",
    "grants",
    "mirror",
    "plan",
    "changes",
    "mail",
    "checks",
    "requests",
    "erasure",
    "targets",
    "seed",
    "worker",
    "doctor",
    "web",
];

fn files(folder: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// The folder (or file) directly below `src/` that a file belongs to.
fn room(path: &Path) -> String {
    let below = path.strip_prefix(Path::new(env!("CARGO_MANIFEST_DIR")).join("src")).unwrap();
    below.iter().next().unwrap().to_str().unwrap().trim_end_matches(".rs").to_owned()
}

/// A file's code without its unit tests, which may look anywhere.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    text.split("#[cfg(test)]").next().unwrap().to_owned()
}

/// The names that follow `crate::`, braces included.
fn used(code: &str) -> BTreeSet<String> {
    let mut used = BTreeSet::new();
    for line in code.lines().filter(|line| !line.trim_start().starts_with("//")) {
        for (at, _) in line.match_indices("crate::") {
            let rest = &line[at + "crate::".len()..];
            if let Some(group) = rest.strip_prefix('{') {
                let mut depth = 0;
                let mut name = String::new();
                for letter in group.chars() {
                    match letter {
                        '{' => depth += 1,
                        '}' if depth == 0 => break,
                        '}' => depth -= 1,
                        ',' if depth == 0 => {
                            used.insert(std::mem::take(&mut name).trim().to_owned());
                            continue;
                        }
                        _ => {}
                    }
                    if depth == 0 && letter != '}' {
                        name.push(letter);
                    }
                }
                used.insert(name.trim().to_owned());
            } else {
                used.insert(rest.chars().take_while(|letter| letter.is_alphanumeric() || *letter == '_').collect());
            }
        }
    }
    used.into_iter().map(|name| name.split("::").next().unwrap_or_default().to_owned()).collect()
}

#[test]
fn uses_go_upwards_only() {
    let place = |name: &str| ORDER.iter().position(|room| *room == name);
    let mut wrong = Vec::new();
    for path in files("src") {
        let room = room(&path);
        if room == "lib" || room == "main" {
            continue;
        }
        let own = place(&room).unwrap_or_else(|| panic!("{room} is not in the order of folders"));
        for name in used(&code(&path)) {
            if place(&name).is_some_and(|other| other > own) {
                wrong.push(format!("{} uses {name}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn connectors_use_target_alone() {
    let mut wrong = Vec::new();
    for path in files("src/connectors") {
        for name in used(&code(&path)) {
            if ORDER.contains(&name.as_str()) && name != "target" && name != "connectors" {
                wrong.push(format!("{} uses {name}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_table_is_written_by_one_folder() {
    let mut writers: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for path in files("src") {
        let words: Vec<String> = code(&path)
            .split(|letter: char| !(letter.is_alphanumeric() || letter == '_'))
            .filter(|word| !word.is_empty())
            .map(str::to_owned)
            .collect();
        for window in words.windows(4) {
            let table = match [window[0].as_str(), window[1].as_str(), window[2].as_str()] {
                ["insert", "into", table] | ["delete", "from", table] => table,
                ["update", table, "set"] => table,
                ["update", table, _] if window[3] == "set" => table,
                _ => continue,
            };
            writers.entry(table.to_owned()).or_default().insert(room(&path));
        }
    }
    let shared: Vec<_> = writers.iter().filter(|(_, rooms)| rooms.len() > 1).collect();
    assert!(shared.is_empty(), "{shared:#?}");
    assert!(writers.len() > 25, "the search finds the tables: {:?}", writers.keys());
}

#[test]
fn no_module_has_a_name_that_means_nothing() {
    for path in files("src") {
        for part in path.iter().filter_map(|part| part.to_str()) {
            let name = part.trim_end_matches(".rs");
            assert!(
                !["utils", "util", "helpers", "helper", "common", "service", "manager"].contains(&name),
                "{}",
                path.display()
            );
        }
    }
}

#[test]
fn every_action_is_in_the_auditors_guide() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let guide = fs::read_to_string(root.join("docs/auditors.md")).unwrap();
    let actions = fs::read_to_string(root.join("src/evidence/action.rs")).unwrap();
    let names: Vec<&str> = actions.lines().filter_map(|line| line.split('"').nth(1)).collect();
    assert!(names.len() > 30);
    let missing: Vec<_> = names.iter().filter(|name| !guide.contains(&format!("`{name}`"))).collect();
    assert!(missing.is_empty(), "{missing:?}");
}
