//! A token's record. The token itself is nowhere: its hash is the row's key.

use serde::{Deserialize, Serialize};

use crate::base::Time;
use crate::db::codec::{Record, Unreadable, decode_body};
use crate::model::identity::{Scope, Token};
use crate::model::{ApplicationCredentialId, DomainId, ProjectId, UserId};

/// Where a token holds. The order of the variants is part of the form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
enum ScopeForm {
    Project(String),
    Domain(String),
    System,
}

/// A token without its hash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenRecord {
    user: String,
    scope: Option<ScopeForm>,
    methods: Vec<String>,
    audit_ids: Vec<String>,
    application_credential: Option<String>,
    issued_at: i64,
    expires_at: i64,
}

impl Record for TokenRecord {
    const VERSION: u8 = 2;
    const NAME: &'static str = "token";

    fn decode_other(version: u8, bytes: &[u8]) -> Result<TokenRecord, Unreadable> {
        match version {
            1 => Ok(decode_body::<TokenRecord1>(bytes)?.into()),
            _ => Err(Unreadable { name: Self::NAME, reason: format!("version {version} is unknown") }),
        }
    }
}

/// Before there were application credentials.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct TokenRecord1 {
    user: String,
    scope: Option<ScopeForm>,
    methods: Vec<String>,
    audit_ids: Vec<String>,
    issued_at: i64,
    expires_at: i64,
}

impl Record for TokenRecord1 {
    const VERSION: u8 = 1;
    const NAME: &'static str = "token";
}

impl From<TokenRecord1> for TokenRecord {
    fn from(old: TokenRecord1) -> TokenRecord {
        let TokenRecord1 { user, scope, methods, audit_ids, issued_at, expires_at } = old;
        TokenRecord { user, scope, methods, audit_ids, application_credential: None, issued_at, expires_at }
    }
}

impl From<&Token> for TokenRecord {
    fn from(token: &Token) -> TokenRecord {
        TokenRecord {
            user: token.user.0.clone(),
            scope: token.scope.as_ref().map(|scope| match scope {
                Scope::Project(project) => ScopeForm::Project(project.0.clone()),
                Scope::Domain(domain) => ScopeForm::Domain(domain.0.clone()),
                Scope::System => ScopeForm::System,
            }),
            methods: token.methods.clone(),
            audit_ids: token.audit_ids.clone(),
            application_credential: token.application_credential.as_ref().map(|id| id.0.clone()),
            issued_at: token.issued_at.0,
            expires_at: token.expires_at.0,
        }
    }
}

impl From<TokenRecord> for Token {
    fn from(record: TokenRecord) -> Token {
        Token {
            user: UserId(record.user),
            scope: record.scope.map(|scope| match scope {
                ScopeForm::Project(project) => Scope::Project(ProjectId(project)),
                ScopeForm::Domain(domain) => Scope::Domain(DomainId(domain)),
                ScopeForm::System => Scope::System,
            }),
            methods: record.methods,
            audit_ids: record.audit_ids,
            application_credential: record.application_credential.map(ApplicationCredentialId),
            issued_at: Time(record.issued_at),
            expires_at: Time(record.expires_at),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::codec::{decode, encode};

    #[test]
    fn the_form_is_golden() {
        let token = Token {
            user: "u".into(),
            scope: Some(Scope::Domain("d".into())),
            methods: vec!["m".into()],
            audit_ids: vec!["a".into()],
            application_credential: Some("c".into()),
            issued_at: Time(1),
            expires_at: Time(-1),
        };
        let bytes = encode(&TokenRecord::from(&token));
        let one = "0100000000000000";
        assert_eq!(
            hex::encode(&bytes),
            format!("02{one}750101000000{one}64{one}{one}6d{one}{one}6101{one}63{one}ffffffffffffffff")
        );
        assert_eq!(Token::from(decode::<TokenRecord>(&bytes).unwrap()), token);
        // The form before.
        let old =
            hex::decode(format!("01{one}750101000000{one}64{one}{one}6d{one}{one}61{one}ffffffffffffffff"));
        let read = Token::from(decode::<TokenRecord>(&old.unwrap()).unwrap());
        assert_eq!(read, Token { application_credential: None, ..token });
    }
}
