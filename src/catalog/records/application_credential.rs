//! Records of application credentials, and of the access rules of their users.

use serde::{Deserialize, Serialize};

use crate::base::Time;
use crate::db::codec::Record;
use crate::model::application_credential::SecretHash;
use crate::model::identity::PasswordHash;
use crate::model::{AccessRule, ApplicationCredential, ApplicationCredentialId, ProjectId, RoleId, UserId};

/// What a secret is compared with. The order of the variants is part of the form.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
enum SecretForm {
    Random([u8; 32]),
    Chosen(String),
}

/// An application credential without its id.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApplicationCredentialRecord {
    user: String,
    project: String,
    name: String,
    description: Option<String>,
    secret: SecretForm,
    roles: Vec<String>,
    has_policies: bool,
    is_unrestricted: bool,
    access_rules: Vec<String>,
    created_at: i64,
    expires_at: Option<i64>,
}

impl Record for ApplicationCredentialRecord {
    const VERSION: u8 = 1;
    const NAME: &'static str = "application credential";
}

impl ApplicationCredentialRecord {
    pub fn of(credential: &ApplicationCredential) -> ApplicationCredentialRecord {
        ApplicationCredentialRecord {
            user: credential.user.0.clone(),
            project: credential.project.0.clone(),
            name: credential.name.clone(),
            description: credential.description.clone(),
            secret: match &credential.secret {
                SecretHash::Random(hash) => SecretForm::Random(*hash),
                SecretHash::Chosen(hash) => SecretForm::Chosen(hash.0.clone()),
            },
            roles: credential.roles.iter().map(|role| role.0.clone()).collect(),
            has_policies: credential.has_policies,
            is_unrestricted: credential.is_unrestricted,
            access_rules: credential.access_rules.clone(),
            created_at: credential.created_at.0,
            expires_at: credential.expires_at.map(|time| time.0),
        }
    }

    pub fn into_credential(self, id: ApplicationCredentialId) -> ApplicationCredential {
        ApplicationCredential {
            id,
            user: UserId(self.user),
            project: ProjectId(self.project),
            name: self.name,
            description: self.description,
            secret: match self.secret {
                SecretForm::Random(hash) => SecretHash::Random(hash),
                SecretForm::Chosen(hash) => SecretHash::Chosen(PasswordHash(hash)),
            },
            roles: self.roles.into_iter().map(RoleId).collect(),
            has_policies: self.has_policies,
            is_unrestricted: self.is_unrestricted,
            access_rules: self.access_rules,
            created_at: Time(self.created_at),
            expires_at: self.expires_at.map(Time),
        }
    }
}

/// An access rule without its user and id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessRuleRecord {
    service: String,
    method: String,
    path: String,
}

impl Record for AccessRuleRecord {
    const VERSION: u8 = 1;
    const NAME: &'static str = "access rule";
}

impl AccessRuleRecord {
    pub fn of(rule: &AccessRule) -> AccessRuleRecord {
        let AccessRule { service, method, path, .. } = rule.clone();
        AccessRuleRecord { service, method, path }
    }

    pub fn into_rule(self, id: String) -> AccessRule {
        AccessRule { id, service: self.service, method: self.method, path: self.path }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::codec::{decode, encode};

    const ONE: &str = "0100000000000000";

    #[test]
    fn the_credentials_form_is_golden() {
        let mut credential = ApplicationCredential {
            id: "i".into(),
            user: "u".into(),
            project: "p".into(),
            name: "n".into(),
            description: Some("d".into()),
            secret: SecretHash::Random([7; 32]),
            roles: vec!["r".into()],
            has_policies: true,
            is_unrestricted: false,
            access_rules: vec!["a".into()],
            created_at: Time(1),
            expires_at: Some(Time(-1)),
        };
        let start = format!("01{ONE}75{ONE}70{ONE}6e01{ONE}64");
        let end = format!("{ONE}{ONE}720100{ONE}{ONE}61{ONE}01ffffffffffffffff");
        let random = format!("{start}00000000{}{end}", "07".repeat(32));
        let bytes = encode(&ApplicationCredentialRecord::of(&credential));
        assert_eq!(hex::encode(&bytes), random);
        let read: ApplicationCredentialRecord = decode(&bytes).unwrap();
        assert_eq!(read.into_credential("i".into()), credential);
        credential.secret = SecretHash::Chosen(PasswordHash("h".into()));
        let bytes = encode(&ApplicationCredentialRecord::of(&credential));
        assert_eq!(hex::encode(&bytes), format!("{start}01000000{ONE}68{end}"));
        let read: ApplicationCredentialRecord = decode(&bytes).unwrap();
        assert_eq!(read.into_credential("i".into()), credential);
    }

    #[test]
    fn the_rules_form_is_golden() {
        let [id, service, method, path] = ["i", "s", "m", "p"].map(str::to_owned);
        let rule = AccessRule { id: id.clone(), service, method, path };
        let bytes = encode(&AccessRuleRecord::of(&rule));
        assert_eq!(hex::encode(&bytes), format!("01{ONE}73{ONE}6d{ONE}70"));
        assert_eq!(decode::<AccessRuleRecord>(&bytes).unwrap().into_rule(id), rule);
    }
}
