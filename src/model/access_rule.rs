//! What an application credential may ask for, as a list of what is let through.
//!
//! Invariant: a path is compared as it stands in the request line, escapes included, so that what matches here is
//! what the routes see. Must not know which service a path belongs to.

/// A kind of request that is let through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessRule {
    /// 32 hex digits.
    pub id: String,
    /// The type of the service that is asked, as the catalog has it.
    pub service: String,
    /// The HTTP method, in capitals.
    pub method: String,
    /// The path below the service's address: `*` and `{name}` stand for one segment, `**` for anything.
    pub path: String,
}

/// A piece of a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Piece {
    Byte(u8),
    /// One or more bytes without a slash.
    Segment,
    /// Any bytes, or none.
    Anything,
}

impl AccessRule {
    /// The methods that a rule can be about.
    pub const METHODS: [&str; 6] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"];

    /// Whether a request is of this kind. Takes time in proportion to the pattern times the path, whatever both are.
    pub fn covers(&self, service: &str, method: &str, path: &str) -> bool {
        self.service == service && self.method == method && matches(&pieces(&self.path), path.as_bytes())
    }

    /// Whether it lets the same through as another one.
    pub fn equals(&self, other: &AccessRule) -> bool {
        (&self.service, &self.method, &self.path) == (&other.service, &other.method, &other.path)
    }
}

fn pieces(pattern: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut rest = pattern.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let (piece, left) = match first {
            b'*' if after.first() == Some(&b'*') => (Piece::Anything, &after[1..]),
            b'*' => (Piece::Segment, after),
            b'{' => match after.iter().position(|byte| *byte == b'}' || *byte == b'/') {
                Some(end) if end > 0 && after[end] == b'}' => (Piece::Segment, &after[end + 1..]),
                _ => (Piece::Byte(first), after),
            },
            _ => (Piece::Byte(first), after),
        };
        pieces.push(piece);
        rest = left;
    }
    pieces
}

/// Compares by keeping all places in the pattern that the bytes so far lead to.
fn matches(pieces: &[Piece], path: &[u8]) -> bool {
    // `at[n]`: what was read is the first n pieces, of which the last may go on.
    let mut at = vec![false; pieces.len() + 1];
    at[0] = true;
    pass_over(pieces, &mut at);
    for &byte in path {
        let mut next = vec![false; pieces.len() + 1];
        for (n, piece) in pieces.iter().enumerate() {
            let (is_before, is_within) = (at[n], at[n + 1]);
            next[n + 1] = match piece {
                Piece::Byte(wanted) => is_before && *wanted == byte,
                Piece::Segment => (is_before || is_within) && byte != b'/',
                Piece::Anything => is_before || is_within,
            };
        }
        pass_over(pieces, &mut next);
        at = next;
    }
    at[pieces.len()]
}

/// What may be nothing is passed over.
fn pass_over(pieces: &[Piece], at: &mut [bool]) {
    for (n, piece) in pieces.iter().enumerate() {
        if *piece == Piece::Anything && at[n] {
            at[n + 1] = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn covers(pattern: &str, path: &str) -> bool {
        let [id, service, method] = ["i", "image", "GET"].map(str::to_owned);
        AccessRule { id, service, method, path: pattern.into() }.covers("image", "GET", path)
    }

    #[test]
    fn wildcards_stand_for_a_segment_or_for_anything() {
        for (pattern, path, expected) in [
            ("/v2/images", "/v2/images", true),
            ("/v2/images", "/v2/images/", false),
            ("/v2/images/*", "/v2/images/x", true),
            ("/v2/images/*", "/v2/images/", false),
            ("/v2/images/*", "/v2/images/x/file", false),
            ("/v2/images/{image_id}/file", "/v2/images/x/file", true),
            ("/v2/images/{image_id}/file", "/v2/images/x/y/file", false),
            ("/v2/images/*/members/*", "/v2/images/a/members/b", true),
            ("/v2/**", "/v2/images/x/file", true),
            ("/v2/**", "/v2/", true),
            ("/v2/**", "/v3/", false),
            ("/**/file", "/v2/images/x/file", true),
            ("**", "", true),
            ("/a{}", "/a{}", true),
            ("/v2/images/*", "/v2/images/x%2Ffile", true),
        ] {
            assert_eq!(covers(pattern, path), expected, "{pattern} {path}");
        }
    }

    #[test]
    fn service_and_method_are_compared_exactly() {
        let rule =
            AccessRule { id: "i".into(), service: "image".into(), method: "GET".into(), path: "/**".into() };
        assert!(rule.covers("image", "GET", "/x"));
        assert!(!rule.covers("identity", "GET", "/x") && !rule.covers("image", "HEAD", "/x"));
    }

    #[test]
    fn a_hostile_pattern_takes_no_longer_than_its_size() {
        assert!(!covers(&"**a*".repeat(60), &"a".repeat(8000)) || covers("/**", "/"));
    }
}
