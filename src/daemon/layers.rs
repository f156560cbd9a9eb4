//! Puts settings together: defaults, then a file, then the environment, then flags.
//!
//! Works on TOML tables, so that every layer is checked by the same rules: a key must exist in
//! the defaults and a value must have the default's type. Invariant: nothing a user wrote is
//! silently ignored.

use std::path::Path;

use toml::{Table, Value};

use super::master_key::KEY_VARIABLE;
use super::settings::Settings;

/// Variables that start with `TINTYPE_` but are no setting of the server.
const OTHER_VARIABLES: [&str; 2] = ["TINTYPE_CONFIG", KEY_VARIABLE];

/// Short names for the settings that are set most often.
const SHORT_VARIABLES: [(&str, &str); 2] =
    [("TINTYPE_DATA", "server.data"), ("TINTYPE_LISTEN", "server.listen")];

/// Settings from all layers, checked. `flags` holds `section.key` and its text.
///
/// # Errors
/// The text to show: which layer, which key, what is wrong, what was probably meant.
pub fn load(
    file: Option<&Path>,
    environment: impl IntoIterator<Item = (String, String)>,
    flags: &[(&str, String)],
) -> Result<Settings, String> {
    let mut table = Table::try_from(Settings::default()).map_err(|e| e.to_string())?;
    let known = keys(&table);
    if let Some(path) = file {
        let text = std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
        let layer: Table = text.parse().map_err(|e| format!("{}: {e}", path.display()))?;
        merge_file(&mut table, &known, layer).map_err(|e| format!("{}: {e}", path.display()))?;
    }
    for (name, text) in environment {
        let Some(key) = variable_key(&name, &known)? else { continue };
        set_text(&mut table, &key, &text).map_err(|e| format!("{name}: {e}"))?;
    }
    for (key, text) in flags {
        set_text(&mut table, key, text)?;
    }
    let settings: Settings = table.try_into().map_err(|e: toml::de::Error| one_line(&e))?;
    settings.check()?;
    Ok(settings)
}

/// The last line of what the crate says names the key.
fn one_line(error: &toml::de::Error) -> String {
    error.to_string().trim_end().replace('\n', " ")
}

/// Every `section.key`, and every `section.part.key` of a section with parts.
fn keys(table: &Table) -> Vec<String> {
    let mut keys = Vec::new();
    for (section, value) in table {
        for (key, value) in value.as_table().into_iter().flatten() {
            match value.as_table() {
                Some(part) => keys.extend(part.keys().map(|name| format!("{section}.{key}.{name}"))),
                None => keys.push(format!("{section}.{key}")),
            }
        }
    }
    keys
}

fn merge_file(table: &mut Table, known: &[String], layer: Table) -> Result<(), String> {
    for (section, value) in layer {
        if LISTED_SECTIONS.contains(&section.as_str()) && is_list_of_sections(&value) {
            // There is no default to compare it with: reading the settings checks every key.
            table.insert(section, value);
            continue;
        }
        let Value::Table(entries) = value else { return Err(unknown("key", &section, known)) };
        if !table.contains_key(&section) {
            let sections: Vec<String> = table.keys().cloned().collect();
            return Err(unknown("section", &section, &sections));
        }
        for (key, value) in entries {
            merge(table, known, &format!("{section}.{key}"), value)?;
        }
    }
    Ok(())
}

fn merge(table: &mut Table, known: &[String], path: &str, value: Value) -> Result<(), String> {
    let place = place(table, path).ok_or_else(|| unknown("key", path, known))?;
    if place.type_str() != value.type_str() {
        return Err(format!("{path}: expected {}, found {}", a(place), a(&value)));
    }
    // Where the default names no key, the keys are the operator's own.
    let is_open = place.as_table().is_some_and(Table::is_empty);
    let part = match value {
        Value::Table(part) if !is_open => part,
        value => {
            *place = value;
            return Ok(());
        }
    };
    part.into_iter().try_for_each(|(key, value)| merge(table, known, &format!("{path}.{key}"), value))
}

/// Sections that may be there several times, as `[[exchange]]`.
const LISTED_SECTIONS: [&str; 3] = ["exchange", "peer", "place"];

fn is_list_of_sections(value: &Value) -> bool {
    value.as_array().is_some_and(|list| list.iter().all(Value::is_table))
}

/// The setting an environment variable names; `None` when it is none of ours.
fn variable_key(name: &str, known: &[String]) -> Result<Option<String>, String> {
    if !name.starts_with("TINTYPE_") || OTHER_VARIABLES.contains(&name) {
        return Ok(None);
    }
    if let Some((_, key)) = SHORT_VARIABLES.iter().find(|(short, _)| *short == name) {
        return Ok(Some((*key).to_owned()));
    }
    match known.iter().find(|key| variable(key) == name) {
        Some(key) => Ok(Some(key.clone())),
        None => {
            let variables: Vec<String> = known.iter().map(|key| variable(key)).collect();
            Err(unknown("variable", name, &variables))
        }
    }
}

fn variable(key: &str) -> String {
    format!("TINTYPE_{}", key.replace('.', "_").to_uppercase())
}

/// Sets a key from text, read as the type its default has.
fn set_text(table: &mut Table, key: &str, text: &str) -> Result<(), String> {
    let place = place(table, key).ok_or_else(|| format!("unknown key \"{key}\""))?;
    *place = match place {
        Value::Integer(_) => text.trim().parse().map(Value::Integer).ok(),
        Value::Boolean(_) => text.trim().parse().map(Value::Boolean).ok(),
        Value::Array(_) => list(text),
        _ => Some(Value::String(text.to_owned())),
    }
    .ok_or_else(|| format!("expected {}, found \"{text}\"", a(place)))?;
    Ok(())
}

/// A list as a settings file writes it: `["a", "b"]`.
fn list(text: &str) -> Option<Value> {
    let mut table: Table = format!("list = {text}").parse().ok()?;
    table.remove("list").filter(|value| value.is_array() && table.is_empty())
}

fn place<'a>(table: &'a mut Table, path: &str) -> Option<&'a mut Value> {
    let (sections, key) = path.rsplit_once('.')?;
    let mut table = table;
    for section in sections.split('.') {
        table = table.get_mut(section)?.as_table_mut()?;
    }
    table.get_mut(key)
}

fn a(value: &Value) -> &'static str {
    match value {
        Value::Integer(_) => "an integer",
        Value::Boolean(_) => "true or false",
        Value::String(_) => "a text in quotes",
        Value::Float(_) => "a number with a fraction",
        Value::Datetime(_) => "a date",
        Value::Array(_) => "a list",
        Value::Table(_) => "a section",
    }
}

fn unknown(what: &str, name: &str, known: &[String]) -> String {
    let nearest = known
        .iter()
        .map(|candidate| (strsim::jaro_winkler(candidate, name), candidate))
        .filter(|(likeness, _)| *likeness > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0));
    match nearest {
        Some((_, candidate)) => format!("unknown {what} \"{name}\"; did you mean \"{candidate}\"?"),
        None => format!("unknown {what} \"{name}\"; config/tintype.toml lists them all"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> Result<Settings, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.toml");
        std::fs::write(&path, text).unwrap();
        load(Some(&path), [], &[])
    }

    fn pair(name: &str, value: &str) -> (String, String) {
        (name.into(), value.into())
    }

    #[test]
    fn later_layers_win() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.toml");
        std::fs::write(&path, "[server]\nlisten = \"127.0.0.1:1\"\ndrain_s = 1\nconnections_max = 7\n")
            .unwrap();
        let environment = [pair("TINTYPE_LISTEN", "127.0.0.1:2"), pair("TINTYPE_SERVER_DRAIN_S", "2")];
        let settings = load(Some(&path), environment, &[("server.listen", "127.0.0.1:3".into())]).unwrap();
        assert_eq!(settings.server.connections_max, 7);
        assert_eq!(settings.server.drain_s, 2);
        assert_eq!(settings.server.listen, "127.0.0.1:3");
        assert_eq!(settings.store, Settings::default().store);
    }

    #[test]
    fn a_map_takes_keys_of_the_operators_own() {
        let text = "[nbd]\ntls_cert = \"c\"\ntls_key = \"k\"\ntls_client_ca = \"a\"\n\
                    tls_users = { \"host.example\" = \"ann@Default/lab\" }\n";
        assert_eq!(file(text).unwrap().nbd.tls_users["host.example"], "ann@Default/lab");
        let error = file("[nbd]\ntls_users = { host = 1 }\n").unwrap_err();
        assert!(error.contains("tls_users"), "{error}");
    }

    #[test]
    fn an_unknown_key_is_refused_with_the_one_probably_meant() {
        let error = file("[server]\nlisten_on = \"x\"\n").unwrap_err();
        assert!(
            error.contains("unknown key \"server.listen_on\"; did you mean \"server.listen\"?"),
            "{error}"
        );
        let error = file("[sever]\nlisten = \"x\"\n").unwrap_err();
        assert!(error.contains("unknown section \"sever\"; did you mean \"server\"?"), "{error}");
        let error = load(None, [pair("TINTYPE_SERVER_DRAINS", "1")], &[]).unwrap_err();
        assert!(error.contains("did you mean \"TINTYPE_SERVER_DRAIN_S\"?"), "{error}");
    }

    #[test]
    fn a_value_of_the_wrong_type_names_its_key() {
        let error = file("[store]\nzstd_level = \"high\"\n").unwrap_err();
        assert!(error.contains("store.zstd_level: expected an integer, found a text"), "{error}");
        let error = load(None, [pair("TINTYPE_IMAGES_REQUIRE_FORMAT_MATCH", "maybe")], &[]).unwrap_err();
        assert!(error.contains("expected true or false, found \"maybe\""), "{error}");
        let error = file("[log]\nformat = \"xml\"\n").unwrap_err();
        assert_eq!(error, "unknown variant `xml`, expected `text` or `json` in `log.format`");
        let error = load(None, [pair("TINTYPE_STORE_HASH_ALGORITHM", "md5")], &[]).unwrap_err();
        assert_eq!(error, "unknown variant `md5`, expected `sha512` or `sha256` in `store.hash_algorithm`");
        let error = file("[store]\nmd5 = \"off\"\n").unwrap_err();
        assert!(error.contains("store.md5: expected true or false, found a text in quotes"), "{error}");
    }

    #[test]
    fn a_list_is_written_as_in_the_file() {
        let set = |text| load(None, [pair("TINTYPE_STORE_KEY_COMMAND", text)], &[]);
        assert_eq!(set(r#"["get-key", "a b"]"#).unwrap().store.key_command, ["get-key", "a b"]);
        for wrong in ["get-key", "[1]", "[\"a\"]\nx = 1", ""] {
            assert!(set(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_section_that_is_there_several_times_is_read_and_checked() {
        let one =
            |more: &str| format!("[[exchange]]\nname = \"a\"\nlocation = \"/srv/a\"\nread = [\"*\"]\n{more}");
        let settings = file(&one("[[exchange]]\nname = \"b\"\nlocation = \"s3://b/x\"\n")).unwrap();
        assert_eq!(settings.exchange.len(), 2);
        assert_eq!(
            (settings.exchange[0].read.as_slice(), &settings.exchange[1].write),
            (&["*".to_owned()][..], &vec![])
        );
        for (wrong, said) in [
            (one("reed = []\n"), "unknown field `reed`"),
            (one("[[exchange]]\nname = \"a\"\nlocation = \"/b\"\n"), "twice"),
            ("[exchange]\nname = \"a\"\n".to_owned(), "exchange"),
            ("exchange = 1\n".to_owned(), "exchange"),
        ] {
            let error = file(&wrong).unwrap_err();
            assert!(error.contains(said), "{error}");
        }
    }

    #[test]
    fn a_part_of_a_section_is_merged_key_by_key() {
        let part = |more: &str| format!("[identity]\nmode = \"embedded\"\n[identity.keystone]\n{more}");
        let settings = file(&part("url = \"http://a\"\ncache_s = 7\n")).unwrap();
        assert_eq!(settings.identity.keystone.cache_s, 7);
        assert_eq!(settings.identity.keystone.project, "service");
        let set = load(None, [pair("TINTYPE_IDENTITY_KEYSTONE_CACHE_S", "8")], &[]).unwrap();
        assert_eq!(set.identity.keystone.cache_s, 8);
        let error = file(&part("pasword_file = \"x\"\n")).unwrap_err();
        assert!(error.contains("did you mean \"identity.keystone.password_file\"?"), "{error}");
        let error = file(&part("cache_s = \"7\"\n")).unwrap_err();
        assert!(error.contains("identity.keystone.cache_s: expected an integer"), "{error}");
        let error = file("[identity]\nkeystone = \"http://a\"\n").unwrap_err();
        assert!(error.contains("identity.keystone: expected a section"), "{error}");
        assert!(file("[identity]\nmode = \"keystone\"\n").unwrap_err().contains("identity.keystone.url"));
    }

    #[test]
    fn the_key_itself_is_no_setting() {
        assert_eq!(load(None, [pair("TINTYPE_STORE_KEY", "secret")], &[]), Ok(Settings::default()));
        assert!(file("[store]\nkey = \"secret\"\n").is_err());
    }

    #[test]
    fn variables_of_others_are_left_alone() {
        assert_eq!(
            load(None, [pair("PATH", "/bin"), pair("TINTYPE_CONFIG", "x")], &[]),
            Ok(Settings::default())
        );
    }
}
