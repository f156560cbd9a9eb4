//! How long something that is handed out may be used, as people write it.

/// Seconds: a number with `s`, `m`, `h` or `d` behind it, or with none.
///
/// # Errors
/// In words, for any other text. What a box allows is the box's to say.
pub fn seconds(text: &str) -> Result<i64, String> {
    let (number, unit_s) = match text.chars().last() {
        Some('s') => (&text[..text.len() - 1], 1),
        Some('m') => (&text[..text.len() - 1], 60),
        Some('h') => (&text[..text.len() - 1], 3600),
        Some('d') => (&text[..text.len() - 1], 86_400),
        _ => (text, 1),
    };
    let seconds = number.parse::<u32>().ok().and_then(|number| i64::from(number).checked_mul(unit_s));
    seconds.ok_or_else(|| "a time is a number with s, m, h or d behind it, such as 12h".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_a_unit() {
        for (text, expected) in [
            ("90s", 90),
            ("30m", 1800),
            ("12h", 43_200),
            ("7d", 604_800),
            ("60", 60),
            ("4294967295d", 371_085_174_288_000),
        ] {
            assert_eq!(seconds(text), Ok(expected), "{text}");
        }
        for wrong in ["", "h", "-1h", "1.5h", "1w", "4294967296", "1 h", "1ü"] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
    }
}
