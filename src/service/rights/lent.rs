//! What a caller may not do because it acts with something that its user lent it: an application credential.
//!
//! Invariant: what is lent never makes anything that outlives it or is worth more than it, unless its user said so.

use super::held::Rights;
use crate::model::trace::Interface;
use crate::model::{AccessRule, ApplicationCredentialId};
use crate::service::{Error, Origin};

/// An application credential, as far as it takes something away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lent {
    /// Which one.
    pub credential: ApplicationCredentialId,
    /// Whether it may make and delete application credentials.
    pub is_unrestricted: bool,
    /// Whether what policies allow its user counts; what they deny does in any case.
    pub has_policies: bool,
    /// The requests that it is for; without any it is for all.
    pub access_rules: Vec<AccessRule>,
}

impl Lent {
    fn covers(&self, origin: &Origin) -> bool {
        let Some((method, path)) = origin.call.split_once(' ') else { return false };
        let Some(service) = origin.interface.and_then(service_type) else { return false };
        // Both roots of the Identity API are the same one.
        let path = path.strip_prefix("/identity").filter(|_| service == "identity").unwrap_or(path);
        self.access_rules.iter().any(|rule| {
            let rule_path = rule.path.strip_prefix("/identity").filter(|_| service == "identity");
            match rule_path {
                Some(below) => {
                    AccessRule { path: below.to_owned(), ..rule.clone() }.covers(service, method, path)
                }
                None => rule.covers(service, method, path),
            }
        })
    }
}

/// The type by which access rules name the service behind a protocol.
fn service_type(interface: Interface) -> Option<&'static str> {
    match interface {
        Interface::Image => Some("image"),
        Interface::Identity => Some("identity"),
        Interface::Ims => Some("ims"),
        Interface::Native => Some("tintype"),
        Interface::Cts => Some("cts"),
        // Nobody gets there with what was lent.
        Interface::Nbd | Interface::None => None,
    }
}

impl Rights {
    /// Refuses a request that the access rules of the caller's application credential do not let through.
    ///
    /// # Errors
    /// `Forbidden`, also when nothing is known of the request.
    pub fn admit(&self, origin: &Origin) -> Result<(), Error> {
        match self.lent() {
            Some(lent) if !lent.access_rules.is_empty() && !lent.covers(origin) => {
                Err(Error::forbidden(format!(
                    "none of the access rules of the application credential {} lets {:?} through; use one that does",
                    lent.credential, origin.call
                )))
            }
            _ => Ok(()),
        }
    }

    /// Refuses whoever acts with an application credential: `what` is worth all that its user is.
    ///
    /// # Errors
    /// `Forbidden`.
    pub fn expect_own(&self, what: &str) -> Result<(), Error> {
        match self.lent() {
            None => Ok(()),
            Some(lent) => Err(Error::forbidden(format!(
                "{what} is worth all that its user is, so that it is nothing for the application credential {}; sign in \
                 with the password",
                lent.credential
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::Source;

    #[test]
    fn rules_are_looked_for_by_protocol_and_path() {
        let rule = |service: &str, path: &str| AccessRule {
            id: "r".into(),
            service: service.into(),
            method: "GET".into(),
            path: path.into(),
        };
        let lent = Lent {
            credential: "c".into(),
            is_unrestricted: false,
            has_policies: false,
            access_rules: vec![rule("image", "/v2/images/*"), rule("identity", "/identity/v3/auth/tokens")],
        };
        let covers = |interface, call: &str| {
            lent.covers(&Origin::new(interface, Source::Box, String::new(), call.into()))
        };
        assert!(covers(Interface::Image, "GET /v2/images/x"));
        assert!(!covers(Interface::Image, "DELETE /v2/images/x"));
        assert!(!covers(Interface::Ims, "GET /v2/images/x"));
        assert!(covers(Interface::Identity, "GET /identity/v3/auth/tokens"));
        assert!(covers(Interface::Identity, "GET /v3/auth/tokens"));
        assert!(!covers(Interface::Identity, "GET /identity/v3/users"));
        assert!(!lent.covers(&Origin::default()));
    }
}
