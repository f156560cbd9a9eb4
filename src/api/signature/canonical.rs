//! SDK-HMAC-SHA256 on paper: reading the header, and the text that a client signed.
//!
//! Pure. Invariant: whatever of a request means something to a route is in the text in one form only, so
//! that no other request has the same text, but for an encoded slash, which counts as a separator.

use axum::http::header::HOST;
use axum::http::request::Parts;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode, percent_encode};
use sha2::{Digest, Sha256};

use crate::base::Time;
use crate::model::AccessId;

/// The one algorithm that is spoken here.
pub(super) const ALGORITHM: &str = "SDK-HMAC-SHA256";
/// The date of a signed request.
pub(super) const DATE: &str = "x-sdk-date";

const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// What stays in a path: slashes too, those that were encoded included.
const IN_PATH: &AsciiSet = &UNRESERVED.remove(b'/');

/// Longest list of signed headers that is read; real clients sign five to eight.
const SIGNED_HEADERS_MAX: usize = 64;

/// What the header says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Authorization {
    /// Whose key it is.
    pub access: AccessId,
    /// Names of the headers that were signed: lower case, in order, each once.
    pub signed: Vec<String>,
    /// The signature.
    pub signature: [u8; 32],
}

/// Why there is nothing to check.
pub(super) type Malformed = String;

impl Authorization {
    /// Reads the value of the header, which starts with [`ALGORITHM`].
    pub(super) fn parse(value: &str) -> Result<Authorization, Malformed> {
        let rest = value.strip_prefix(ALGORITHM).and_then(|rest| rest.strip_prefix(' '));
        let rest = rest.ok_or("the Authorization header lacks a blank after the algorithm")?;
        let mut parts = rest.split(", ");
        let mut part = |name: &str| {
            let found = parts.next().and_then(|part| part.strip_prefix(name)).filter(|v| !v.is_empty());
            found.ok_or(format!(
                "the Authorization header must read {ALGORITHM} Access=, SignedHeaders=, Signature=; {name} is missing"
            ))
        };
        let (access, signed, signature) = (part("Access=")?, part("SignedHeaders=")?, part("Signature=")?);
        if parts.next().is_some() {
            return Err("the Authorization header goes on after the signature".into());
        }
        Ok(Authorization {
            access: access_id(access)?,
            signed: signed_headers(signed)?,
            signature: hex_32(signature).ok_or("the signature is not 64 hex digits in lower case")?,
        })
    }
}

fn access_id(text: &str) -> Result<AccessId, Malformed> {
    let is_id = text.len() <= 128 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
    if is_id { Ok(AccessId(text.to_owned())) } else { Err("the access key id is none".into()) }
}

fn signed_headers(text: &str) -> Result<Vec<String>, Malformed> {
    let names: Vec<String> = text.split(';').map(str::to_owned).collect();
    let is_name = |name: &String| !name.is_empty() && name.bytes().all(|b| b.is_ascii_graphic());
    let is_lower = |name: &String| !name.bytes().any(|b| b.is_ascii_uppercase());
    if names.len() > SIGNED_HEADERS_MAX || !names.iter().all(|name| is_name(name) && is_lower(name)) {
        return Err("SignedHeaders must name headers in lower case, with semicolons between".into());
    }
    if !names.is_sorted_by(|a, b| a < b) {
        return Err("SignedHeaders must be in order, each header once".into());
    }
    match ["host", DATE].into_iter().find(|must| !names.iter().any(|name| name == must)) {
        Some(absent) => Err(format!("{absent} must be among the signed headers")),
        None => Ok(names),
    }
}

/// 32 bytes in 64 hex digits of lower case.
pub(super) fn hex_32(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    let is_lower = text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    (is_lower && hex::decode_to_slice(text, &mut bytes).is_ok()).then_some(bytes)
}

/// `YYYYMMDDTHHMMSSZ`, in UTC.
pub(super) fn date(text: &str) -> Option<Time> {
    let bytes = text.as_bytes();
    let is_form = bytes.len() == 16
        && bytes.iter().enumerate().all(|(at, b)| match at {
            8 => *b == b'T',
            15 => *b == b'Z',
            _ => b.is_ascii_digit(),
        });
    if !is_form {
        return None;
    }
    let cut = |from: usize, to: usize| text.get(from..to).unwrap_or_default();
    let (day, time) = ((cut(0, 4), cut(4, 6), cut(6, 8)), (cut(9, 11), cut(11, 13), cut(13, 15)));
    Time::parse(&format!("{}-{}-{}T{}:{}:{}Z", day.0, day.1, day.2, time.0, time.1, time.2))
}

/// The one value of a header.
pub(super) fn header<'a>(parts: &'a Parts, name: &str) -> Result<&'a str, Malformed> {
    let mut values = parts.headers.get_all(name).iter();
    let found = match (values.next(), values.next()) {
        (Some(value), None) => value.as_bytes(),
        (Some(_), Some(_)) => return Err(format!("the header {name} was sent more than once")),
        // HTTP/2 has the host in the address.
        (None, _) if name == HOST.as_str() => match parts.uri.authority() {
            Some(authority) => authority.as_str().as_bytes(),
            None => return Err("the request names no host".into()),
        },
        (None, _) => return Err(format!("the header {name} is signed but was not sent")),
    };
    let text = std::str::from_utf8(found).map_err(|_| format!("the header {name} is not text"))?;
    Ok(text.trim_matches([' ', '\t']))
}

/// The text that was signed, given the digest that stands for the body in it.
pub(super) fn text(parts: &Parts, signed: &[String], body: &str) -> Result<String, Malformed> {
    let request = canonical_request(parts, signed, body)?;
    let digest = hex::encode(Sha256::digest(request.as_bytes()));
    Ok(format!("{ALGORITHM}\n{}\n{digest}", header(parts, DATE)?))
}

fn canonical_request(parts: &Parts, signed: &[String], body: &str) -> Result<String, Malformed> {
    let mut out = String::with_capacity(512);
    out.push_str(parts.method.as_str());
    out.push('\n');
    let path: Vec<u8> = percent_decode(parts.uri.path().as_bytes()).collect();
    out.extend(percent_encode(&path, IN_PATH));
    if !path.ends_with(b"/") {
        out.push('/');
    }
    out.push('\n');
    out.push_str(&canonical_query(parts.uri.query().unwrap_or_default()));
    out.push('\n');
    for name in signed {
        out.push_str(name);
        out.push(':');
        out.push_str(header(parts, name)?);
        out.push('\n');
    }
    out.push('\n');
    out.push_str(&signed.join(";"));
    out.push('\n');
    out.push_str(body);
    Ok(out)
}

fn canonical_query(query: &str) -> String {
    // Routes read a plus as a blank, so it has to count as one here.
    let decoded = |text: &str| percent_decode(text.replace('+', " ").as_bytes()).collect::<Vec<u8>>();
    let mut pairs: Vec<(Vec<u8>, Vec<u8>)> = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (decoded(name), decoded(value)))
        .collect();
    pairs.sort();
    let mut out = String::with_capacity(query.len());
    for (name, value) in &pairs {
        if !out.is_empty() {
            out.push('&');
        }
        out.extend(percent_encode(name, UNRESERVED));
        out.push('=');
        out.extend(percent_encode(value, UNRESERVED));
    }
    out
}

#[cfg(test)]
mod tests {
    use axum::http::Request;
    use hmac::{Hmac, KeyInit, Mac};

    use super::*;

    const ACCESS: &str = "AKTINTYPE00000000001";
    const SECRET: &str = "tintype-example-secret-key-0000000000001";

    fn vector(method: &str, uri: &str, media: &str) -> Parts {
        Request::builder()
            .method(method)
            .uri(uri)
            .header("content-type", media)
            .header("x-project-id", "0123456789abcdef0123456789abcdef")
            .header(DATE, "20260102T030405Z")
            .header("user-agent", "tintype-doc/1")
            .header("host", "127.0.0.1:9292")
            .body(())
            .unwrap()
            .into_parts()
            .0
    }

    /// Digest of the canonical request, and the signature.
    fn signed(parts: &Parts, body: &str) -> (String, String) {
        let names = signed_headers("content-type;host;user-agent;x-project-id;x-sdk-date").unwrap();
        let body = hex::encode(Sha256::digest(body));
        let request = canonical_request(parts, &names, &body).unwrap();
        let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
        mac.update(text(parts, &names, &body).unwrap().as_bytes());
        (hex::encode(Sha256::digest(request)), hex::encode(mac.finalize().into_bytes()))
    }

    #[test]
    fn the_reference_vectors_come_out() {
        let image = "33ad552d-1149-471c-8190-ff6776174a00";
        let project = "0123456789abcdef0123456789abcdef";
        let json = "application/json;charset=utf-8";
        for (parts, body, digest, signature) in [
            (
                vector(
                    "GET",
                    "/v2/cloudimages?__imagetype=private&limit=5&name=a%20b%2F%C3%A9~%2A",
                    "application/json",
                ),
                "",
                "243a0e03ce02ece345fbc636ffab834dc8db4e69bc8f87cfa70ed39af735d392",
                "4559dfd9718a882dbde492d1bc19130178339cdb48d69317477ca6982fdcb2c0",
            ),
            (
                vector("POST", &format!("/v1/cloudimages/{image}/file"), json),
                r#"{"bucket_url": "bkt:f.qcow2", "file_format": "qcow2"}"#,
                "628216120f8085b4a834f3442305cc7eb7219d5b4649abfff8539df913b09651",
                "4aa43758d27dcb484d812fbe7a08777213644e03745dadf3197b029b14179b4b",
            ),
            (
                vector(
                    "DELETE",
                    &format!("/v2/{project}/images/33ad552d/tags/k%2F%C3%A9%20k"),
                    "application/json",
                ),
                "",
                "4ca951b959ca368d2e37e34a10a67bc3e1756ed896118a1bb1f329351f76fb06",
                "8904e549ed9dab2231685e76f03311d903587339690156dd0736e01a1f53f20e",
            ),
        ] {
            assert_eq!(signed(&parts, body), (digest.to_owned(), signature.to_owned()), "{}", parts.uri);
        }
    }

    #[test]
    fn the_header_is_read_strictly() {
        let signature = "4559dfd9718a882dbde492d1bc19130178339cdb48d69317477ca6982fdcb2c0";
        let good =
            format!("{ALGORITHM} Access={ACCESS}, SignedHeaders=host;x-sdk-date, Signature={signature}");
        let read = Authorization::parse(&good).unwrap();
        assert_eq!((read.access.as_str(), read.signed.len()), (ACCESS, 2));
        for bad in [
            ALGORITHM.to_owned(),
            good.replace("Access=", "access="),
            good.replace(ACCESS, ""),
            good.replace(ACCESS, "a b"),
            good.replace(", ", ","),
            good.replace("host;", ""),
            good.replace("host;x-sdk-date", "x-sdk-date;host"),
            good.replace("host;", "host;host;"),
            good.replace("host", "Host"),
            good.replace("4559", "4559X"),
            good.to_uppercase(),
            good.replace(signature, &signature.to_uppercase()),
            good.replace(&signature[..2], ""),
            format!("{good}, Signature={signature}"),
            format!("{good},"),
        ] {
            assert!(Authorization::parse(&bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn dates_have_one_form() {
        assert_eq!(date("20231114T221320Z"), Some(Time(1_700_000_000 * Time::SECOND)));
        for bad in ["", "20231114T221320", "2023-11-14T22:13:20Z", "20231314T221320Z", "2023111aT221320Z"] {
            assert_eq!(date(bad), None, "{bad}");
        }
    }

    #[test]
    fn queries_have_one_form() {
        assert_eq!(canonical_query("b=2&a=x+y&&a=%41&c"), "a=A&a=x%20y&b=2&c=");
        assert_eq!(canonical_query("a=%2B"), "a=%2B");
        assert_eq!(canonical_query(""), "");
    }

    #[test]
    fn a_header_that_is_missing_or_there_twice_is_refused() {
        let mut parts = vector("GET", "/", "x");
        let names = signed_headers("host;x-other;x-sdk-date").unwrap();
        assert!(text(&parts, &names, "").unwrap_err().contains("x-other"));
        parts.headers.append(DATE, "20260102T030405Z".parse().unwrap());
        assert!(header(&parts, DATE).unwrap_err().contains("more than once"));
    }
}
