//! The body of a sign-in, read into a use case's terms.

use serde_json::{Map, Value};

use super::error::Refusal;
use crate::model::ApplicationCredentialId;
use crate::service::identity::{
    CredentialRef, DomainRef, Password, ProjectRef, Proof, ScopeWish, SignIn, UserRef,
};

type Object = Map<String, Value>;

/// Reads `{"auth": {"identity": …, "scope": …}}`.
pub(super) fn read(body: &Object) -> Result<SignIn, Refusal> {
    let auth = body.get("auth").ok_or_else(|| {
        Refusal::invalid(
            "Expecting to find auth in request body. The server could not comply with the request since \
             it is either malformed or otherwise incorrect. The client is assumed to be in error.",
        )
    })?;
    let auth = object(auth, "auth")?;
    let identity = member(auth, "identity", "auth")?;
    Ok(SignIn { proof: proof(identity)?, scope: scope(auth.get("scope"))? })
}

fn proof(identity: &Object) -> Result<Proof, Refusal> {
    let methods = identity.get("methods").and_then(Value::as_array);
    let methods = methods.ok_or_else(|| wanted("auth.identity.methods", "a list of method names"))?;
    match methods.as_slice() {
        [] => Err(Refusal::unauthenticated()),
        [one] if one == "password" => {
            let user = member(member(identity, "password", "auth.identity")?, "user", "password")?;
            let password = text(user, "password")?.ok_or_else(|| wanted("user.password", "a text"))?;
            Ok(Proof::Password(user_ref(user)?, Password::new(password)?))
        }
        [one] if one == "token" => {
            let token = text(member(identity, "token", "auth.identity")?, "id")?;
            Ok(Proof::Token(token.ok_or_else(|| wanted("token.id", "a text"))?))
        }
        [one] if one == "application_credential" => {
            application_credential(member(identity, "application_credential", "auth.identity")?)
        }
        _ => Err(Refusal::unsupported_method()),
    }
}

fn application_credential(named: &Object) -> Result<Proof, Refusal> {
    let secret = text(named, "secret")?;
    let secret = secret.ok_or_else(|| wanted("application_credential.secret", "a text"))?;
    let credential = match (text(named, "id")?, text(named, "name")?) {
        (Some(id), _) => CredentialRef::Id(ApplicationCredentialId(id)),
        (None, Some(name)) => {
            CredentialRef::Name(name, user_ref(member(named, "user", "application_credential")?)?)
        }
        (None, None) => return Err(wanted("application_credential", "an id, or a name and a user")),
    };
    Ok(Proof::ApplicationCredential(credential, Password::new(secret)?))
}

fn scope(scope: Option<&Value>) -> Result<ScopeWish, Refusal> {
    let scope = match scope {
        None | Some(Value::Null) => return Ok(ScopeWish::Default),
        Some(Value::String(word)) if word == "unscoped" => return Ok(ScopeWish::Unscoped),
        Some(scope) => object(scope, "auth.scope")?,
    };
    if let Some(project) = scope.get("project") {
        return Ok(ScopeWish::Project(project_ref(object(project, "scope.project")?)?));
    }
    if let Some(domain) = scope.get("domain") {
        return Ok(ScopeWish::Domain(domain_ref(object(domain, "scope.domain")?)?));
    }
    match scope.get("system").and_then(|system| system.get("all")) {
        Some(Value::Bool(true)) => Ok(ScopeWish::System),
        _ => Err(wanted("auth.scope", "one of project, domain, system or \"unscoped\"")),
    }
}

// Clients send a domain beside an id too, sometimes a wrong one: the id decides alone.
fn user_ref(user: &Object) -> Result<UserRef, Refusal> {
    match (text(user, "id")?, text(user, "name")?) {
        (Some(id), _) => Ok(UserRef::Id(crate::model::UserId(id))),
        (None, Some(name)) => Ok(UserRef::Name(name, domain_ref(member(user, "domain", "user")?)?)),
        (None, None) => Err(wanted("user", "an id, or a name and a domain")),
    }
}

fn project_ref(project: &Object) -> Result<ProjectRef, Refusal> {
    match (text(project, "id")?, text(project, "name")?) {
        (Some(id), _) => Ok(ProjectRef::Id(crate::model::ProjectId(id))),
        (None, Some(name)) => Ok(ProjectRef::Name(name, domain_ref(member(project, "domain", "project")?)?)),
        (None, None) => Err(wanted("project", "an id, or a name and a domain")),
    }
}

fn domain_ref(domain: &Object) -> Result<DomainRef, Refusal> {
    match (text(domain, "id")?, text(domain, "name")?) {
        (Some(id), _) => Ok(DomainRef::Id(crate::model::DomainId(id))),
        (None, Some(name)) => Ok(DomainRef::Name(name)),
        (None, None) => Err(wanted("domain", "an id or a name")),
    }
}

fn object<'a>(value: &'a Value, what: &str) -> Result<&'a Object, Refusal> {
    value.as_object().ok_or_else(|| wanted(what, "an object"))
}

fn member<'a>(parent: &'a Object, name: &str, of: &str) -> Result<&'a Object, Refusal> {
    let what = format!("{of}.{name}");
    object(parent.get(name).ok_or_else(|| wanted(&what, "an object"))?, &what)
}

fn text(parent: &Object, name: &str) -> Result<Option<String>, Refusal> {
    match parent.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(wanted(name, "a text")),
    }
}

fn wanted(what: &str, form: &str) -> Refusal {
    Refusal::invalid(format!("Invalid input for field/attribute {what}: it must be {form}."))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read_scope(value: Value) -> Result<ScopeWish, Refusal> {
        scope(Some(&value))
    }

    #[test]
    fn every_form_of_scope_is_read() {
        let domain = || DomainRef::Name("Default".into());
        let named = json!({"project": {"name": "p", "domain": {"name": "Default"}}});
        let both = json!({"project": {"id": "P", "name": "p", "domain": {"id": "wrong"}}});
        assert_eq!(scope(None).unwrap(), ScopeWish::Default);
        assert_eq!(read_scope(json!("unscoped")).unwrap(), ScopeWish::Unscoped);
        assert_eq!(read_scope(json!({"system": {"all": true}})).unwrap(), ScopeWish::System);
        assert_eq!(read_scope(named).unwrap(), ScopeWish::Project(ProjectRef::Name("p".into(), domain())));
        assert_eq!(read_scope(both).unwrap(), ScopeWish::Project(ProjectRef::Id("P".into())));
        assert_eq!(read_scope(json!({"domain": {"name": "Default"}})).unwrap(), ScopeWish::Domain(domain()));
        for bad in [json!({}), json!("all"), json!({"project": {}}), json!({"project": {"name": "p"}})] {
            assert_eq!(read_scope(bad).err().map(|r| r.status.as_u16()), Some(400));
        }
    }

    #[test]
    fn unknown_methods_are_told_from_wrong_bodies() {
        let status = |identity: Value| {
            let body = json!({"auth": {"identity": identity}});
            read(body.as_object().unwrap()).err().map(|r| r.status.as_u16())
        };
        assert_eq!(status(json!({"methods": []})), Some(401));
        assert_eq!(status(json!({"methods": ["magic"]})), Some(401));
        assert_eq!(status(json!({"methods": ["password"]})), Some(400));
        assert_eq!(status(json!({"methods": "password"})), Some(400));
        assert_eq!(read(&Map::new()).err().map(|r| r.status.as_u16()), Some(400));
    }
}
