//! The house rules that no compiler knows: which layer may import which, what every file says
//! first, how long it may be, which names it may not have, and that written settings are the
//! real ones.

use std::path::{Path, PathBuf};

/// Each line imports only lines below it; siblings on one line never import each other.
const LAYERS: [&[&str]; 8] = [
    &["cli"],
    &["daemon"],
    &["api", "nbd", "console"],
    &["service"],
    &["store", "catalog"],
    &["db", "objects", "disk", "keystone", "peers", "web"],
    &["model"],
    &["base"],
];

/// Longest file, in lines.
const LINES_MAX: usize = 700;

/// Names that say nothing of what is inside.
const EMPTY_NAMES: [&str; 6] = ["utils", "util", "helper", "helpers", "manager", "common"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

/// Every Rust file below `folder`, as path relative to the package and its text.
fn rust_files(folder: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut waiting = vec![root().join(folder)];
    while let Some(dir) = waiting.pop() {
        let Ok(entries) = std::fs::read_dir(&dir) else { continue };
        for entry in entries {
            let path = entry.unwrap().path();
            if path.is_dir() {
                waiting.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let name = path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
                found.push((name, std::fs::read_to_string(&path).unwrap()));
            }
        }
    }
    found.sort();
    found
}

fn all_rust_files() -> Vec<(String, String)> {
    ["src", "tests", "benches"].into_iter().flat_map(rust_files).collect()
}

fn rank(module: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&module))
}

/// The top-level modules a source text names through `crate::`, with `use crate::{a, b::c}` opened.
fn imports(text: &str) -> Vec<String> {
    let code: String =
        text.lines().filter(|l| !l.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
    let mut modules = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        match rest.strip_prefix('{') {
            Some(group) => modules.extend(group_heads(group)),
            None => modules.push(head(rest)),
        }
    }
    modules
}

/// The first names of the entries of `{a, b::{c, d}}`, given what follows its opening brace.
fn group_heads(group: &str) -> Vec<String> {
    let (mut depth, mut start, mut heads) = (0, 0, Vec::new());
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => {
                heads.push(head(group[start..at].trim()));
                break;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                heads.push(head(group[start..at].trim()));
                start = at + 1;
            }
            _ => {}
        }
    }
    heads.retain(|h| !h.is_empty());
    heads
}

fn head(path: &str) -> String {
    path.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

#[test]
fn imports_point_down_only() {
    let mut broken = Vec::new();
    for (name, text) in rust_files("src") {
        let Some(own) = name.strip_prefix("src/").and_then(|rest| rest.split_once('/')).map(|(m, _)| m)
        else {
            continue;
        };
        let own_rank = rank(own).unwrap_or_else(|| panic!("{name}: \"{own}\" is in no layer"));
        for module in imports(&text) {
            let Some(other) = rank(&module) else { continue };
            if module != own && other <= own_rank {
                broken.push(format!("{name} ({own}) imports {module}"));
            }
        }
    }
    assert!(broken.is_empty(), "imports must point down:\n{}", broken.join("\n"));
}

#[test]
fn the_import_reader_sees_groups_and_paths() {
    let text = "use crate::{db::{self, Db}, store};\nlet x = crate::api::router();\n// crate::cli\n";
    assert_eq!(imports(text), ["db", "store", "api"]);
}

#[test]
fn wire_and_record_crates_stay_in_their_rooms() {
    let rooms: [(&str, &[&str]); 3] = [
        ("bincode::", &["src/db/codec.rs"]),
        ("redb::", &["src/db/"]),
        ("axum::", &["src/api/", "src/console/", "src/daemon/", "src/cli/"]),
    ];
    for (name, text) in all_rust_files() {
        // Tests may bring media and requests of their own.
        if name.starts_with("tests/") || name.ends_with("tests.rs") || name.ends_with("testing.rs") {
            continue;
        }
        for (needle, allowed) in rooms {
            let uses = text.lines().any(|l| !l.trim_start().starts_with("//") && l.contains(needle));
            assert!(!uses || allowed.iter().any(|a| name.starts_with(a)), "{name} uses {needle}");
        }
    }
}

#[test]
fn every_file_says_first_what_it_owns() {
    for (name, text) in all_rust_files() {
        let first = text.lines().next().unwrap_or_default();
        assert!(first.starts_with("//!") && first.len() > 10, "{name} starts with {first:?}");
    }
}

#[test]
fn no_file_is_longer_than_a_room() {
    for (name, text) in all_rust_files() {
        let lines = text.lines().count();
        assert!(lines <= LINES_MAX, "{name} has {lines} lines, {LINES_MAX} is the most");
    }
}

#[test]
fn no_file_has_an_empty_name() {
    for (name, _) in all_rust_files() {
        for part in Path::new(&name).with_extension("").iter().filter_map(|p| p.to_str()) {
            let empty = part.split('_').any(|word| EMPTY_NAMES.contains(&word));
            assert!(!empty, "{name}: \"{part}\" says nothing of what is inside");
        }
    }
}

#[test]
fn the_settings_file_shows_every_key_with_its_default() {
    let written: toml::Table =
        std::fs::read_to_string(root().join("config/tintype.toml")).unwrap().parse().unwrap();
    let real = toml::Table::try_from(tintype::daemon::Settings::default()).unwrap();
    assert_eq!(written, real);
}

/// Writes of the use cases that leave no audit record of their own, each with the reason. All others go through
/// `Service::recorded`, which takes one along.
const UNRECORDED: [(&str, usize, &str); 24] = [
    ("src/service/audit/mod.rs", 4, "the way itself, and records that are no change"),
    ("src/service/audit/queries.rs", 1, "how far records were forwarded"),
    ("src/service/jobs/mod.rs", 2, "upkeep begins, and tasks that were asked for, each with its record"),
    ("src/service/jobs/at_work.rs", 1, "how far a job is: whoever asked for it is on record"),
    ("src/service/jobs/settle.rs", 1, "how a job ended: what it did not fill is recorded with it"),
    ("src/service/jobs/recover.rs", 2, "jobs after a restart, and those that are old"),
    ("src/service/jobs/shared.rs", 1, "what came of shares, each of which has its record"),
    (
        "src/service/images/importing/intake.rs",
        2,
        "an import's first byte, and staged data that is looked at: its end is on record",
    ),
    (
        "src/service/images/importing/stage.rs",
        3,
        "staging begins and ends: the import of what came is on record",
    ),
    (
        "src/service/images/importing/converting.rs",
        1,
        "room for a conversion: the end of its import is on record",
    ),
    (
        "src/service/images/importing/spreading.rs",
        1,
        "which stores an import has reached so far: its end is on record",
    ),
    ("src/service/images/transfer/import.rs", 1, "an import's first byte: its end is on record"),
    (
        "src/service/identity/sign_in.rs",
        2,
        "a token, or one that opens nothing: those that are refused are on record",
    ),
    (
        "src/service/custom_keys/life.rs",
        1,
        "keys whose time has come: each is recorded in the same transaction",
    ),
    ("src/service/images/retained.rs", 1, "images whose time has come: likewise"),
    ("src/service/images/links/mod.rs", 1, "links whose time has come: the record of each says when that is"),
    ("src/service/identity/access_keys/temporary.rs", 1, "the root that a box makes with its first key"),
    ("src/service/identity/access_keys/signed.rs", 1, "the day of a key's last use"),
    (
        "src/service/images/caching/bringing.rs",
        1,
        "a note on what a download, or a job that is on record, brought near",
    ),
    (
        "src/service/identity/cloud/limits.rs",
        2,
        "what the Keystone of a cloud told of limits: it has records of its own",
    ),
    ("src/service/images/upload.rs", 1, "an upload begins: its end is on record, whatever it is"),
    ("src/service/images/reserving.rs", 1, "room for data on its way: its end is on record"),
    ("src/service/images/resumable/mod.rs", 2, "an upload in parts begins, or is forgotten after its end"),
    ("src/service/images/resumable/commits.rs", 2, "a part of an upload"),
];

#[test]
fn no_use_case_changes_anything_beside_the_audit_chain() {
    for (name, text) in rust_files("src/service").into_iter().chain(rust_files("src/api")) {
        if name.ends_with("tests.rs") || name.ends_with("testing.rs") {
            continue;
        }
        let product = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        let squeezed: String = product.split_whitespace().collect();
        let writes = squeezed.matches("db.write(").count() + squeezed.matches("db().write(").count();
        let known = UNRECORDED.iter().find(|(file, ..)| *file == name).map_or(0, |(_, count, _)| *count);
        assert_eq!(
            writes, known,
            "{name} writes {writes} times beside Service::recorded, and {known} are known: let it take a record along, \
             or say in UNRECORDED why not"
        );
    }
}

/// Names in backticks of the last cell of a table's row.
fn cited(row: &str) -> Vec<&str> {
    let last = row.trim_end().trim_end_matches('|').rsplit('|').next().unwrap_or_default();
    last.split('`').skip(1).step_by(2).collect()
}

#[test]
fn the_page_of_what_is_there_cites_tests_that_are() {
    let page = std::fs::read_to_string(root().join("src/docs/COVERAGE.md")).unwrap();
    let code: String = all_rust_files().into_iter().map(|(_, text)| text).collect();
    let rows: Vec<&str> =
        page.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| Row")).collect();
    assert!(rows.len() > 60, "{} rows", rows.len());
    let mut cites = 0;
    for row in rows {
        let cells = row.matches(" |").count();
        assert_eq!(cells, 4, "{row}");
        for name in cited(row) {
            cites += 1;
            let is_there = match name.starts_with("tests/") {
                true => root().join(name).exists(),
                false => code.contains(&format!("fn {name}(")),
            };
            assert!(is_there, "no test is called {name}: {row}");
        }
    }
    assert!(cites > 40, "{cites} tests are cited");
}

/// Codes that no request of this API can end with: whoever reads members of an image that cannot have some hears that
/// it has none.
const UNREACHED_CODES: [&str; 1] = ["IMG.0084"];

#[test]
fn every_code_of_the_image_management_api_is_in_a_test() {
    let mut code = String::new();
    let mut tests = std::fs::read_to_string(root().join("tests/clients/ims")).unwrap();
    for (name, text) in rust_files("src/api/ims") {
        // A file's own tests come last in it.
        let at = if name.ends_with("tests.rs") { Some(0) } else { text.find("#[cfg(test)]") };
        let (own, tested) = text.split_at(at.unwrap_or(text.len()));
        code.push_str(own);
        tests.push_str(tested);
    }
    let literals = code.match_indices("\"IMG.").filter_map(|(at, _)| code.get(at + 1..at + 9));
    let codes: std::collections::BTreeSet<&str> =
        literals.filter(|code| code[4..].bytes().all(|byte| byte.is_ascii_digit())).collect();
    assert!(codes.len() > 60, "{codes:?}");
    for code in codes {
        assert_eq!(tests.contains(code), !UNREACHED_CODES.contains(&code), "{code}");
    }
}
