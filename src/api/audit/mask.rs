//! Copies of what was said, without secrets.
//!
//! Invariant: a value under a name that speaks of a secret is not in the copy, wherever it stands. What is no JSON
//! is not copied at all.

use serde_json::{Map, Value};

/// Stands for what is not told.
const MASK: &str = "***";
/// Parts of names under which secrets are.
const SECRET_WORDS: [&str; 16] = [
    "password",
    "passwd",
    "passphrase",
    "secret",
    "token",
    "credential",
    "private",
    "cookie",
    "signature",
    "authorization",
    "api_key",
    "apikey",
    "master",
    "user_data",
    "key_command",
    "adminpass",
];
/// Members whose value names the thing that the member `value` beside them is of.
const NAMING: [&str; 6] = ["path", "key", "name", "add", "replace", "remove"];
/// Longest text that is copied whole, in bytes.
const TEXT_BYTES_MAX: usize = 256;

/// A JSON body without its secrets; `None` when it is no JSON.
pub fn masked(body: &[u8]) -> Option<String> {
    let mut value: Value = super::super::json::parse(body).ok()?;
    mask(&mut value);
    Some(value.to_string())
}

fn is_secret(name: &str) -> bool {
    let name = name.to_lowercase();
    SECRET_WORDS.iter().any(|word| name.contains(word))
}

fn mask(value: &mut Value) {
    match value {
        Value::Object(members) => mask_members(members),
        Value::Array(items) => items.iter_mut().for_each(mask),
        Value::String(text) if text.len() > TEXT_BYTES_MAX => {
            *text = crate::service::audit::cut(std::mem::take(text), TEXT_BYTES_MAX);
        }
        _ => {}
    }
}

fn mask_members(members: &mut Map<String, Value>) {
    let names_secret = |name: &str| members.get(name).and_then(Value::as_str).is_some_and(is_secret);
    let is_pair_of_secret = NAMING.iter().any(|name| names_secret(name));
    for (name, value) in members.iter_mut() {
        let hides =
            (is_secret(name) && !holds_account(name, value)) || (is_pair_of_secret && name == "value");
        match value {
            Value::Null => {}
            _ if hides => *value = MASK.into(),
            _ => mask(value),
        }
    }
}

/// A sign-in has the account under the name of the method, and only the password in it is secret.
fn holds_account(name: &str, value: &Value) -> bool {
    name == "password" && value.get("user").is_some_and(Value::is_object)
}

/// Whom a sign-in says that it is of, out of its masked body.
pub(super) fn claimed_user(masked: &str) -> Option<String> {
    let body: Value = serde_json::from_str(masked).ok()?;
    let user = body.pointer("/auth/identity/password/user")?;
    let claimed = user.get("name").or_else(|| user.get("id"))?;
    claimed.as_str().map(str::to_owned)
}

/// What an answer says: its message where it has one, else its text.
pub(super) fn told(answer: &[u8]) -> String {
    if let Ok(value) = serde_json::from_slice::<Value>(answer) {
        return message(&value).unwrap_or_default();
    }
    let text = String::from_utf8_lossy(answer);
    let mut words = String::new();
    let mut in_tag = false;
    for c in text.chars() {
        match c {
            '<' => in_tag = true,
            '>' if in_tag => {
                in_tag = false;
                words.push(' ');
            }
            _ if !in_tag => words.push(c),
            _ => {}
        }
    }
    words.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn message(value: &Value) -> Option<String> {
    let members = value.as_object()?;
    let text = |name: &str| members.get(name).and_then(Value::as_str);
    if let Some(message) = text("message").or_else(|| text("error_msg")) {
        let code = text("code").or_else(|| text("error_code"));
        return Some(code.map_or_else(|| message.to_owned(), |code| format!("{code}: {message}")));
    }
    members.values().find_map(message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn copy(body: &str) -> String {
        masked(body.as_bytes()).unwrap()
    }

    #[test]
    fn secrets_are_not_in_the_copy_and_the_rest_is() {
        for (body, expected) in [
            (
                r#"{"auth":{"identity":{"methods":["password"],"password":{"user":{"name":"ann","password":"x"}}}}}"#,
                r#"{"auth":{"identity":{"methods":["password"],"password":{"user":{"name":"ann","password":"***"}}}}}"#,
            ),
            (r#"{"token":{"id":"x"}}"#, r#"{"token":"***"}"#),
            (
                r#"{"user":{"original_password":"x","password":"y"}}"#,
                r#"{"user":{"original_password":"***","password":"***"}}"#,
            ),
            (
                r#"[{"op":"add","path":"/my_secret","value":"x"},{"replace":"/admin_password","value":"y"}]"#,
                r#"[{"op":"add","path":"/my_secret","value":"***"},{"replace":"/admin_password","value":"***"}]"#,
            ),
            (r#"{"tags":[{"key":"apikey","value":"x"}]}"#, r#"{"tags":[{"key":"apikey","value":"***"}]}"#),
            (r#"{"name":"n","min_disk":1,"password":null}"#, r#"{"name":"n","min_disk":1,"password":null}"#),
        ] {
            assert_eq!(copy(body), expected);
        }
    }

    #[test]
    fn long_texts_are_cut_and_other_data_is_not_copied() {
        assert!(copy(&format!(r#"{{"a":"{}"}}"#, "x".repeat(5000))).len() < 300);
        assert_eq!(masked(b"\x00\x01"), None);
    }

    #[test]
    fn an_answers_message_is_found_in_every_protocols_form() {
        assert_eq!(told(br#"{"error":{"code":"IMG.0027","message":"gone"}}"#), "IMG.0027: gone");
        assert_eq!(told(br#"{"error_code":"APIGW.0301","error_msg":"no"}"#), "APIGW.0301: no");
        assert_eq!(told(br#"{"error":{"code":403,"message":"no","title":"Forbidden"}}"#), "no");
        let html = "<html><head><title>409 Conflict</title></head><body><h1>409 Conflict</h1>taken<br/></body></html>";
        assert_eq!(told(html.as_bytes()), "409 Conflict 409 Conflict taken");
    }
}
