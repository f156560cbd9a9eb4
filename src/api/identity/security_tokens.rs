//! `POST /v3.0/OS-CREDENTIAL/securitytokens`: a temporary access key for a token, as the clouds of the image
//! management SDKs give it.

use serde_json::{Map, Value, json};

use super::call::{Answer, Call, Outcome};
use super::error::Refusal;
use crate::base::Time;
use crate::service::identity::TEMPORARY_LIFE_S;

/// Makes one. Not for a signed request: a temporary key could prolong itself for ever.
pub(super) async fn create(call: Call) -> Outcome {
    if call.is_signed() {
        return Err(Refusal::invalid("a temporary key is made with a token, not with an access key"));
    }
    let wish = Wish::read(&call.json()?)?;
    let made = match wish.token {
        Some(token) => {
            let work = move |service: &crate::service::Service| {
                let actor = service.authenticate_token(&token)?;
                service.create_temporary_key(&actor, wish.life_s)
            };
            call.state.blocking(work).await?
        }
        None => call.act(move |service, actor| service.create_temporary_key(&actor, wish.life_s)).await?,
    };
    Ok(Answer::created(json!({"credential": {
        "access": made.access.as_str(),
        "secret": made.secret.expose(),
        "securitytoken": made.token.expose(),
        "expires_at": Time::rfc3339_micros(made.expires_at),
    }})))
}

struct Wish {
    /// The token that stands for the caller; else the header's.
    token: Option<String>,
    life_s: i64,
}

impl Wish {
    fn read(body: &Map<String, Value>) -> Result<Wish, Refusal> {
        let identity = &body.get("auth").unwrap_or(&Value::Null)["identity"];
        let methods = identity["methods"].as_array().map_or(&[][..], Vec::as_slice);
        if methods != [json!("token")] {
            return Err(Refusal::invalid(
                "auth.identity.methods must be [\"token\"]: no other way is offered",
            ));
        }
        let token = &identity["token"];
        let life_s = match &token["duration_seconds"] {
            Value::Null => Some(*TEMPORARY_LIFE_S.start()),
            Value::Number(number) => number.as_i64(),
            Value::String(text) => text.parse().ok(),
            _ => None,
        };
        let life_s = life_s
            .ok_or_else(|| Refusal::invalid("auth.identity.token.duration_seconds must be a number"))?;
        let token = match &token["id"] {
            Value::Null => None,
            Value::String(text) => Some(text.clone()),
            _ => return Err(Refusal::invalid("auth.identity.token.id must be a text")),
        };
        Ok(Wish { token, life_s })
    }
}
