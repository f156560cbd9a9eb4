//! Settings as people are shown them: all of them, or those that are not the default.
//!
//! Invariant: no secret is in them, also where somebody put one into a place that has another purpose.

use serde_json::{Map, Value};

use super::settings::Settings;

/// What stands in a secret's place.
const HIDDEN: &str = "***";

impl Settings {
    /// By section and key, in the order of `config/tintype.toml`; `differing` leaves out what is the default.
    pub fn told(&self, differing: bool) -> Value {
        let table = |settings: &Settings| serde_json::to_value(settings).unwrap_or_default();
        let mut told = table(self);
        if differing {
            keep_differing(&mut told, &table(&Settings::default()));
        }
        // What a program is given to print a key with may be one itself.
        if let Some(command) = told.pointer_mut("/store/key_command").and_then(Value::as_array_mut) {
            command.iter_mut().skip(1).for_each(|argument| *argument = HIDDEN.into());
        }
        hide_in_urls(&mut told);
        told
    }

    /// The same as a settings file.
    pub fn told_as_file(&self, differing: bool) -> String {
        toml::to_string(&self.told(differing)).unwrap_or_default()
    }
}

fn keep_differing(found: &mut Value, default: &Value) {
    let Some(members) = found.as_object_mut() else { return };
    let kept = std::mem::take(members).into_iter().filter_map(|(name, mut value)| {
        let default = &default[&name];
        if value.is_object() && default.is_object() {
            keep_differing(&mut value, default);
        }
        let is_default = &value == default || value.as_object().is_some_and(Map::is_empty);
        (!is_default).then_some((name, value))
    });
    *members = kept.collect();
}

/// Hides who signs in, and with what, in addresses.
fn hide_in_urls(value: &mut Value) {
    match value {
        Value::String(text) => {
            if let Some((scheme, rest)) = text.split_once("://")
                && let Some((_, host)) = rest.split('/').next().and_then(|place| place.rsplit_once('@'))
            {
                let path = rest.find('/').map_or("", |at| &rest[at..]);
                *text = format!("{scheme}://{HIDDEN}@{host}{path}");
            }
        }
        Value::Array(items) => items.iter_mut().for_each(hide_in_urls),
        Value::Object(members) => members.values_mut().for_each(hide_in_urls),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_settings_are_told_as_a_file_that_is_one() {
        let settings = Settings::default();
        let read: Settings = toml::from_str(&settings.told_as_file(false)).unwrap();
        assert_eq!(read, settings);
        assert_eq!(settings.told_as_file(true), "");
    }

    #[test]
    fn what_differs_is_told_alone_and_no_secret_is() {
        let mut settings = Settings::default();
        settings.store.key_command = vec!["get-key".into(), "--pin=marked".into()];
        settings.images.bytes_max = 1 << 30;
        settings.identity.keystone.url = "https://me:marked@cloud.example:5000/v3".into();
        let told = settings.told_as_file(true);
        assert!(!told.contains("marked"), "{told}");
        let expected = "[store]\nkey_command = [\"get-key\", \"***\"]\n\n[identity.keystone]\nurl = \
                        \"https://***@cloud.example:5000/v3\"\n\n[images]\nbytes_max = 1073741824\n";
        assert_eq!(told, expected);
        assert!(!settings.told(false).to_string().contains("marked"));
        // No address: a name with such a mark in it.
        let mut plain = Value::from("a@b://c/d@e");
        hide_in_urls(&mut plain);
        assert_eq!(plain, "a@b://c/d@e");
    }
}
