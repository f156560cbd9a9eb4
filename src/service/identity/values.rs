//! Bounds on what callers may put into identities, and defaults that depend on who asks.

use super::bootstrap::DEFAULT_DOMAIN;
use crate::base::limits::NAME_CHARS_MAX;
use crate::catalog::identity as catalog;
use crate::db::Rows;
use crate::model::DomainId;
use crate::model::identity::{Domain, Extra, Project, Scope};
use crate::service::{Actor, Error};

/// Bytes of all unknown members of one object: they are kept, so they must not grow forever.
const EXTRA_BYTES_MAX: usize = 64 << 10;

/// What a listing looks for by index; empty fields look for nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NameFilter {
    /// In this domain.
    pub domain: Option<DomainId>,
    /// With this name.
    pub name: Option<String>,
}

/// Refuses names that are empty, too long, or would break a line.
pub(super) fn check_name(kind: &str, name: &str) -> Result<(), Error> {
    let chars = name.chars().count();
    if chars == 0 || chars > NAME_CHARS_MAX || name.trim().is_empty() {
        return Err(Error::invalid(format!(
            "Invalid input for field/attribute name: a {kind}'s name has 1 to {NAME_CHARS_MAX} characters."
        )));
    }
    if name.chars().any(char::is_control) {
        return Err(Error::invalid(format!(
            "Invalid input for field/attribute name: a {kind}'s name has no control characters."
        )));
    }
    Ok(())
}

/// Adds `more` to what is kept.
pub(super) fn merge_extra(kept: &mut Extra, more: &Extra) -> Result<(), Error> {
    kept.extend(more.iter().map(|(name, value)| (name.clone(), value.clone())));
    let bytes: usize = kept.iter().map(|(name, value)| name.len() + value.len()).sum();
    if bytes > EXTRA_BYTES_MAX {
        return Err(Error::invalid(format!(
            "the members beyond the known ones have {bytes} bytes, at most {EXTRA_BYTES_MAX} are kept; send fewer"
        )));
    }
    Ok(())
}

/// The domain something new belongs to: the one named, or that of the caller's token.
pub(super) fn home_domain(
    rows: &impl Rows,
    actor: &Actor,
    named: Option<&DomainId>,
) -> Result<DomainId, Error> {
    let domain = match (named, &actor.scope) {
        (Some(named), _) => named.clone(),
        (None, Some(Scope::Domain(domain))) => domain.clone(),
        (None, Some(Scope::Project(project))) => catalog::get::<Project>(rows, project)?
            .map_or_else(|| DEFAULT_DOMAIN.into(), |project| project.domain),
        (None, Some(Scope::System)) => DEFAULT_DOMAIN.into(),
        (None, None) => actor.user_domain.clone(),
    };
    match catalog::get::<Domain>(rows, &domain)? {
        Some(_) => Ok(domain),
        None => Err(super::missing("domain", domain)),
    }
}

/// Nothing moves between domains: its name and rights would change under everyone's feet.
pub(super) fn check_same_domain(kind: &str, now: &DomainId, wanted: Option<&DomainId>) -> Result<(), Error> {
    if wanted.is_some_and(|wanted| wanted != now) {
        return Err(Error::invalid(format!("a {kind} cannot move to another domain; make a new one there")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_bounds() {
        assert!(check_name("user", "Ann Ö. (ops)").is_ok());
        for bad in ["", "  ", "a\nb", &"x".repeat(NAME_CHARS_MAX + 1)] {
            assert!(check_name("user", bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn kept_members_cannot_pile_up() {
        let mut kept = Extra::new();
        let piece = |n: u32| Extra::from([(format!("k{n}"), "x".repeat(EXTRA_BYTES_MAX / 4))]);
        assert!((0..3).all(|n| merge_extra(&mut kept, &piece(n)).is_ok()));
        assert!(merge_extra(&mut kept, &piece(3)).is_err());
    }
}
