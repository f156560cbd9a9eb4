//! JSON from strangers: one value, of bounded depth, in UTF-8.
//!
//! Invariant: nothing deeper than [`JSON_DEPTH_MAX`] reaches the parser's stack. Must not know
//! what the value means; the caller has bounded its length already.

use serde_json::Value;

use crate::base::limits::JSON_DEPTH_MAX;

/// Reads one JSON value.
///
/// # Errors
/// What is wrong with it, in words for the client.
pub fn parse(bytes: &[u8]) -> Result<Value, String> {
    if bytes.is_empty() {
        return Err("this request needs a JSON body".into());
    }
    if depth(bytes) > JSON_DEPTH_MAX {
        return Err(format!("the JSON body is nested deeper than {JSON_DEPTH_MAX} levels"));
    }
    serde_json::from_slice(bytes).map_err(|error| format!("the body is not valid JSON: {error}"))
}

/// The deepest nesting of brackets outside strings; no parser's stack is at stake in counting.
fn depth(bytes: &[u8]) -> usize {
    let (mut depth, mut deepest, mut in_string, mut escaped) = (0usize, 0, false, false);
    for &byte in bytes {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nesting_is_counted_outside_strings() {
        assert_eq!(depth(br#"{"a":["[[[[",{"b":"\"]"}]}"#), 3);
        assert_eq!(depth(b"1]]"), 0);
    }

    #[test]
    fn json_that_is_too_deep_or_broken_is_refused() {
        let deep = "[".repeat(JSON_DEPTH_MAX + 1) + &"]".repeat(JSON_DEPTH_MAX + 1);
        for bad in [deep.as_str(), "", "{", "{} {}", "\u{feff}{}"] {
            assert!(parse(bad.as_bytes()).is_err(), "{bad:?}");
        }
        assert!(parse(b"\"\xff\"").is_err());
        assert!(parse(b" {} ").is_ok());
    }
}
