//! `/v2/images/{id}/locations`: addresses that images get their data from.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use super::call::{Call, json_response};
use super::error::Refusal;
use super::patch::Op;
use super::wire::object;
use crate::model::image::{Declared, Located, Location};
use crate::model::{HashAlgorithm, ImageId, SecureHash};
use crate::service::images::{LocationChange, NewLocation, Validation};

/// Algorithms that the reference takes, with the length of what they make, in hex digits. The box compares what it
/// computes itself, which is the last two.
const ALGORITHMS: [(&str, usize); 4] = [("md5", 32), ("sha1", 40), ("sha256", 64), ("sha512", 128)];

/// Has a job fetch an image's data from an address.
pub(super) async fn add(mut call: Call, id: ImageId) -> Result<Response, Refusal> {
    let body = object(call.json().await?)?;
    let url = body.get("url").and_then(Value::as_str).filter(|url| !url.is_empty());
    let url = url.ok_or_else(|| Refusal::bad("a location needs an url"))?.to_owned();
    let expected = match body.get("validation_data") {
        None | Some(Value::Null) => None,
        Some(Value::Object(data)) => expected(data)?,
        Some(_) => return Err(Refusal::bad("validation_data must be an object")),
    };
    let said = body.get("validation_data").cloned().unwrap_or_default();
    let input = json!({"image_id": id.to_string(), "loc_url": url, "validation_data": said}).to_string();
    let declared = Declared { md5: None, secure: expected };
    let located = Located { locations: vec![Location { url, ..Location::default() }], declared };
    call.run(move |service, actor| service.add_image_location(actor, &id, located, input)).await?;
    Ok(StatusCode::ACCEPTED.into_response())
}

/// The locations of an image.
pub(super) async fn list(mut call: Call, id: ImageId) -> Result<Response, Refusal> {
    call.expect_no_body().await?;
    let store = call.state.service.web_store().map(str::to_owned);
    let found = call.run(move |service, actor| service.image_locations(actor, &id)).await?;
    let told = found.iter().map(|location| {
        let mut metadata = json!(location.metadata);
        metadata["store"] = json!(store);
        json!({"url": location.url, "metadata": metadata})
    });
    Ok(json_response(StatusCode::OK, Value::from(told.collect::<Vec<_>>()).to_string().into_bytes()))
}

/// Reads a change of a record's locations, in the old way of them; `rest` of the path comes behind `/locations`.
pub(super) fn read_change(op: Op, rest: &str, value: Option<&Value>) -> Result<LocationChange, Refusal> {
    let index = match rest.strip_prefix('/') {
        None => None,
        Some("-") => Some(None),
        Some(text) => Some(Some(text.parse::<usize>().map_err(|_| {
            Refusal::bad(format!("path /locations/{text} names no location: a number, or - for the end"))
        })?)),
    };
    let value = || value.ok_or_else(|| Refusal::bad("operation on /locations needs a value"));
    match (op, index) {
        (Op::Add, Some(at)) => Ok(LocationChange::Add(at, new_location(value()?)?)),
        (Op::Add, None) => Err(Refusal::bad("a location is added at a number, or at the end: /locations/-")),
        (Op::Replace, None) => match value()? {
            Value::Array(all) => {
                Ok(LocationChange::Replace(all.iter().map(new_location).collect::<Result<_, _>>()?))
            }
            _ => Err(Refusal::bad("locations must be a list")),
        },
        (Op::Replace, Some(_)) => {
            Err(Refusal::bad("locations are replaced all together, or added and removed"))
        }
        (Op::Remove, Some(Some(at))) => Ok(LocationChange::Remove(at)),
        (Op::Remove, Some(None)) => Err(Refusal::bad("a location is removed by its number")),
        (Op::Remove, None) => Err(Refusal::forbidden("attribute locations cannot be removed")),
    }
}

/// `{"url": "…", "metadata": {…}, "validation_data": {…}}`, of which the last may be left out.
fn new_location(value: &Value) -> Result<NewLocation, Refusal> {
    let bad = || Refusal::bad("a location needs an url and metadata, which is an object of texts");
    let Value::Object(keys) = value else { return Err(bad()) };
    let known = ["url", "metadata", "validation_data"];
    if let Some(other) = keys.keys().find(|key| !known.contains(&key.as_str())) {
        let shown: String = other.chars().take(40).collect();
        return Err(Refusal::bad(format!("a location has no {shown:?}")));
    }
    let url = keys.get("url").and_then(Value::as_str).filter(|url| !url.is_empty()).ok_or_else(bad)?;
    let metadata = keys.get("metadata").and_then(Value::as_object).ok_or_else(bad)?;
    let text = |(key, value): (&String, &Value)| Some((key.clone(), value.as_str()?.to_owned()));
    let metadata = metadata.iter().map(text).collect::<Option<_>>().ok_or_else(bad)?;
    let validation = match keys.get("validation_data") {
        None | Some(Value::Null) => None,
        Some(Value::Object(said)) => Some(validation(said)?),
        Some(_) => return Err(Refusal::bad("validation_data must be an object")),
    };
    Ok(NewLocation { location: Location { url: url.to_owned(), metadata }, validation })
}

/// What a caller says that data is. Whether it can be so is the use case's to say.
fn validation(said: &Map<String, Value>) -> Result<Validation, Refusal> {
    let text = |key: &str| said.get(key).and_then(Value::as_str).map(str::to_owned);
    let needs =
        || Refusal::bad("validation_data needs os_hash_algo and os_hash_value, and may have a checksum");
    let known = ["checksum", "os_hash_algo", "os_hash_value"];
    let is_known = said.iter().all(|(key, value)| known.contains(&key.as_str()) && value.is_string());
    let (algorithm, value) = text("os_hash_algo").zip(text("os_hash_value")).ok_or_else(needs)?;
    if !is_known {
        return Err(needs());
    }
    Ok(Validation { checksum: text("checksum"), algorithm, value })
}

/// The hash that the data must have.
fn expected(data: &Map<String, Value>) -> Result<Option<SecureHash>, Refusal> {
    let text = |key: &str| data.get(key).and_then(Value::as_str);
    let (algorithm, value) = match (text("os_hash_algo"), text("os_hash_value")) {
        (None, None) => return Ok(None),
        (Some(algorithm), Some(value)) => (algorithm, value),
        _ => return Err(Refusal::bad("validation_data needs both os_hash_algo and os_hash_value")),
    };
    let known = ALGORITHMS.iter().find(|(name, _)| *name == algorithm);
    let Some((_, digits)) = known else {
        let shown: String = algorithm.chars().take(40).collect();
        return Err(Refusal::bad(format!("os_hash_algo {shown:?} is none of sha256 and sha512")));
    };
    let bytes = hex::decode(value).ok().filter(|_| value.len() == *digits);
    let Some(bytes) = bytes else {
        return Err(Refusal::bad(format!(
            "os_hash_value must be {digits} hex digits, as {algorithm} makes them"
        )));
    };
    let hash = HashAlgorithm::parse(algorithm).and_then(|algorithm| SecureHash::new(algorithm, &bytes));
    match hash {
        Some(hash) => Ok(Some(hash)),
        None => Err(Refusal::bad(format!("data is compared by sha256 or sha512, not by {algorithm}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(data: Value) -> Result<Option<SecureHash>, u16> {
        expected(data.as_object().unwrap()).map_err(|refusal| refusal.status.as_u16())
    }

    #[test]
    fn a_hash_is_read_where_it_can_be_one() {
        assert_eq!(read(json!({})).unwrap(), None);
        let good = json!({"os_hash_algo": "sha256", "os_hash_value": "07".repeat(32)});
        assert_eq!(read(good).unwrap(), Some(SecureHash::Sha256([7; 32])));
        for bad in [
            json!({"os_hash_algo": "sha256"}),
            json!({"os_hash_value": "07"}),
            json!({"os_hash_algo": "sha123", "os_hash_value": "07".repeat(32)}),
            json!({"os_hash_algo": "sha512", "os_hash_value": "07".repeat(32)}),
            json!({"os_hash_algo": "sha256", "os_hash_value": "0x".repeat(32)}),
            json!({"os_hash_algo": "md5", "os_hash_value": "07".repeat(16)}),
        ] {
            assert_eq!(read(bad.clone()), Err(400), "{bad}");
        }
    }
}
