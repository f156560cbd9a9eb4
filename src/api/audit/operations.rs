//! Which operation a request asks for, by its method and path: for records of what was refused before any use
//! case could say so.
//!
//! Invariants: each request that changes something when it is taken has a name here; a test drives all of them and
//! compares with what the use cases record. Where somebody may have put a secret in the place of an id, an id alone is taken.

use axum::http::Method;
use percent_encoding::percent_decode_str;

use crate::model::disk_export::is_export_id;
use crate::model::{Interface, LinkId, Operation};

/// What is known of a request by its path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Known {
    /// It changes nothing.
    Reads,
    /// It asks for this, on the thing with this id.
    Does(Operation, String),
    /// No protocol has it.
    Unknown,
}

/// The protocol that a path belongs to.
pub(super) fn interface(path: &str) -> Interface {
    let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
    match segments[..] {
        ["tintype", ..] => Interface::Native,
        ["v3", _, "traces"] => Interface::Cts,
        ["identity" | "v3", ..] => Interface::Identity,
        ["v1", ..] | ["v2" | "v2.1", "cloudimages", ..] | ["v2", _, "images", ..] => Interface::Ims,
        _ => Interface::Image,
    }
}

/// What a request asks for.
pub(super) fn find(method: &Method, path: &str) -> Known {
    if matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS) {
        // A copy of the key ring leaves the box.
        // So does what a link leads to.
        let link = path.strip_prefix("/tintype/v1/links/").and_then(|behind| behind.split('/').next());
        return match (path, link) {
            ("/tintype/v1/key/backup", _) => Known::Does(Operation::BackupKeyRing, String::new()),
            (_, Some(link)) => does(Operation::UseImageLink, link_id(link)),
            _ => Known::Reads,
        };
    }
    let decoded: Vec<String> = path
        .split('/')
        .filter(|segment| !segment.is_empty())
        .map(|segment| percent_decode_str(segment).decode_utf8_lossy().into_owned())
        .collect();
    let segments: Vec<&str> = decoded.iter().map(String::as_str).collect();
    match (interface(path), &segments[..]) {
        (Interface::Native, ["tintype", "v1", below @ ..]) => native(method, below),
        (_, ["v3.0", "OS-CREDENTIAL", "securitytokens"]) => does(Operation::CreateTemporaryKey, ""),
        (Interface::Identity, ["identity", "v3", below @ ..] | ["v3", below @ ..]) => identity(method, below),
        (Interface::Ims, [_, below @ ..]) => ims(method, below),
        (Interface::Image, ["images", below @ ..] | [_, "images", below @ ..]) => image(method, below),
        (Interface::Image, ["tasks"] | [_, "tasks"]) if method == Method::POST => {
            does(Operation::CreateImage, "")
        }
        (Interface::Image, ["metadefs", below @ ..] | [_, "metadefs", below @ ..]) => metadef(method, below),
        (Interface::Image, ["stores", _, id] | [_, "stores", _, id]) if *method == Method::DELETE => {
            does(Operation::DropImageCopy, id)
        }
        (Interface::Image, ["cache", below @ ..] | [_, "cache", below @ ..]) => cache(method, below),
        _ => Known::Unknown,
    }
}

fn does(operation: Operation, id: &str) -> Known {
    Known::Does(operation, id.to_owned())
}

/// The id of a link, where that is what it is: whoever takes its whole address for one has the signature in it.
fn link_id(segment: &str) -> &str {
    if LinkId::parse(segment).is_some() { segment } else { "" }
}

/// The id of an export of a disk, where that is what it is: its name is a secret.
fn export_id(segment: &str) -> &str {
    if is_export_id(segment) { segment } else { "" }
}

fn image(method: &Method, below: &[&str]) -> Known {
    match (method.as_str(), below) {
        ("POST", []) => does(Operation::CreateImage, ""),
        ("PATCH", [id]) | ("PUT", [id, "file" | "stage"]) => does(Operation::UpdateImage, id),
        ("POST", [id, "import" | "locations"]) => does(Operation::UpdateImage, id),
        ("POST", [id, "actions", "deactivate" | "reactivate"]) => does(Operation::UpdateImage, id),
        ("DELETE", [id]) => does(Operation::DeleteImage, id),
        ("POST", [id, "members"]) => does(Operation::AddMember, id),
        ("PUT", [id, "members", _]) => does(Operation::UpdateMember, id),
        ("DELETE", [id, "members", _]) => does(Operation::DeleteMember, id),
        ("PUT", [id, "tags", _]) => does(Operation::AddTag, id),
        ("DELETE", [id, "tags", _]) => does(Operation::DeleteTag, id),
        _ => Known::Unknown,
    }
}

fn cache(method: &Method, below: &[&str]) -> Known {
    match (method.as_str(), below) {
        ("PUT", [id]) => does(Operation::CacheImage, id),
        ("DELETE", [id]) => does(Operation::DropCachedImage, id),
        ("DELETE", []) | ("POST", ["clean" | "prune"]) => does(Operation::ClearCache, ""),
        _ => Known::Unknown,
    }
}

fn metadef(method: &Method, below: &[&str]) -> Known {
    match (method.as_str(), below) {
        ("POST", ["namespaces"]) => does(Operation::CreateMetadef, ""),
        ("PUT", ["namespaces", name]) => does(Operation::UpdateMetadef, name),
        ("DELETE", ["namespaces", name]) => does(Operation::DeleteMetadef, name),
        // What is in a namespace is part of it.
        ("POST" | "PUT" | "DELETE", ["namespaces", name, _, ..]) => does(Operation::UpdateMetadef, name),
        _ => Known::Unknown,
    }
}

fn ims(method: &Method, below: &[&str]) -> Known {
    match (method.as_str(), below) {
        ("POST", ["cloudimages", "action"]) => does(Operation::CreateImage, ""),
        ("POST", ["cloudimages", "quickimport" | "dataimages" | "wholeimages", "action"]) => {
            does(Operation::CreateImage, "")
        }
        ("POST", ["cloudimages", "members"]) => does(Operation::AddMember, ""),
        ("PUT", ["cloudimages", "members"]) => does(Operation::UpdateMember, ""),
        ("DELETE", ["cloudimages", "members"]) => does(Operation::DeleteMember, ""),
        ("PUT", ["cloudimages", "tags"]) => does(Operation::AddTag, ""),
        ("PATCH", ["cloudimages", id]) | ("PUT", ["cloudimages", id, "upload"]) => {
            does(Operation::UpdateImage, id)
        }
        ("POST", ["cloudimages", id, "file"]) => does(Operation::ExportImage, id),
        ("POST", ["cloudimages", id, "copy" | "cross_region_copy"]) => does(Operation::CopyImage, id),
        ("DELETE", [_, "cloudimages", id, "tags", "delete"]) => does(Operation::DeleteTag, id),
        ("POST", [_, "images", "resource_instances", "action"]) => Known::Reads,
        ("POST", [_, "images", id, "tags"] | [_, "images", id, "tags", "action"]) => {
            does(Operation::AddTag, id)
        }
        ("DELETE", [_, "images", id, "tags", _]) => does(Operation::DeleteTag, id),
        _ => Known::Unknown,
    }
}

fn identity(method: &Method, below: &[&str]) -> Known {
    match (method.as_str(), below) {
        ("POST", ["auth", "tokens"]) => does(Operation::SignIn, ""),
        ("DELETE", ["auth", "tokens"]) => does(Operation::RevokeToken, ""),
        ("POST", ["users", id, "password"]) => does(Operation::ChangePassword, id),
        ("PUT", [.., "users", user, "roles", _]) => does(Operation::GrantRole, user),
        ("DELETE", [.., "users", user, "roles", _]) => does(Operation::RevokeRole, user),
        ("POST", ["users", _, "application_credentials"]) => does(Operation::CreateApplicationCredential, ""),
        ("DELETE", ["users", _, "application_credentials", id]) => {
            does(Operation::DeleteApplicationCredential, id)
        }
        ("DELETE", ["users", _, "access_rules", id]) => does(Operation::DeleteAccessRule, id),
        ("PUT", ["roles", prior, "implies", _]) => does(Operation::ImplyRole, prior),
        ("DELETE", ["roles", prior, "implies", _]) => does(Operation::EndImpliedRole, prior),
        ("POST", ["users", _, "credentials", "OS-EC2"]) => does(Operation::CreateCredential, ""),
        ("DELETE", ["users", _, "credentials", "OS-EC2", access]) => {
            does(Operation::DeleteCredential, access)
        }
        ("POST", ["credentials"]) => does(Operation::CreateCredential, ""),
        ("PATCH", ["credentials", id]) => does(Operation::UpdateCredential, id),
        ("DELETE", ["credentials", id]) => does(Operation::DeleteCredential, id),
        ("POST", ["services"]) => does(Operation::CreateService, ""),
        ("PATCH", ["services", id]) => does(Operation::UpdateService, id),
        ("DELETE", ["services", id]) => does(Operation::DeleteService, id),
        ("POST", ["endpoints"]) => does(Operation::CreateEndpoint, ""),
        ("PATCH", ["endpoints", id]) => does(Operation::UpdateEndpoint, id),
        ("DELETE", ["endpoints", id]) => does(Operation::DeleteEndpoint, id),
        ("POST", ["regions"]) => does(Operation::CreateRegion, ""),
        ("PATCH", ["regions", id]) => does(Operation::UpdateRegion, id),
        ("DELETE", ["regions", id]) => does(Operation::DeleteRegion, id),
        ("POST", ["users"]) => does(Operation::CreateUser, ""),
        ("PATCH", ["users", id]) => does(Operation::UpdateUser, id),
        ("DELETE", ["users", id]) => does(Operation::DeleteUser, id),
        ("PUT", [.., "groups", group, "roles", _]) => does(Operation::GrantRole, group),
        ("DELETE", [.., "groups", group, "roles", _]) => does(Operation::RevokeRole, group),
        ("POST", ["groups"]) => does(Operation::CreateGroup, ""),
        ("PATCH", ["groups", id]) => does(Operation::UpdateGroup, id),
        ("DELETE", ["groups", id]) => does(Operation::DeleteGroup, id),
        ("PUT", ["groups", id, "users", _]) => does(Operation::AddGroupMember, id),
        ("DELETE", ["groups", id, "users", _]) => does(Operation::RemoveGroupMember, id),
        ("POST", ["projects"]) => does(Operation::CreateProject, ""),
        ("PATCH", ["projects", id]) => does(Operation::UpdateProject, id),
        ("DELETE", ["projects", id]) => does(Operation::DeleteProject, id),
        ("POST", ["domains"]) => does(Operation::CreateDomain, ""),
        ("PATCH", ["domains", id]) => does(Operation::UpdateDomain, id),
        ("DELETE", ["domains", id]) => does(Operation::DeleteDomain, id),
        ("POST", ["roles"]) => does(Operation::CreateRole, ""),
        ("PATCH", ["roles", id]) => does(Operation::UpdateRole, id),
        ("DELETE", ["roles", id]) => does(Operation::DeleteRole, id),
        ("POST", ["registered_limits"]) => does(Operation::CreateRegisteredLimit, ""),
        ("PATCH", ["registered_limits", id]) => does(Operation::UpdateRegisteredLimit, id),
        ("DELETE", ["registered_limits", id]) => does(Operation::DeleteRegisteredLimit, id),
        ("POST", ["limits"]) => does(Operation::CreateLimit, ""),
        ("PATCH", ["limits", id]) => does(Operation::UpdateLimit, id),
        ("DELETE", ["limits", id]) => does(Operation::DeleteLimit, id),
        _ => Known::Unknown,
    }
}

fn native(method: &Method, below: &[&str]) -> Known {
    match (method.as_str(), below) {
        ("POST", ["check"]) => does(Operation::Check, ""),
        ("POST", ["scrub"]) => does(Operation::Scrub, ""),
        ("POST", ["gc"]) => does(Operation::Reclaim, ""),
        ("POST", ["key", "rotate"]) => does(Operation::RotateMasterKey, ""),
        ("DELETE", ["key", "domains", domain]) => does(Operation::EraseKeyDomain, domain),
        ("POST", ["key", "domains", domain, "rotate"]) => does(Operation::RotateKeyDomain, domain),
        ("DELETE", ["jobs", job]) => does(Operation::CancelJob, job),
        ("POST", ["jobs", job, "retry"]) => does(Operation::RetryJob, job),
        ("POST", ["jobs", job, "pause"]) => does(Operation::PauseJob, job),
        ("POST", ["jobs", job, "resume"]) => does(Operation::ResumeJob, job),
        ("POST", ["policies"]) => does(Operation::CreatePolicy, ""),
        ("PATCH", ["policies", policy]) => does(Operation::UpdatePolicy, policy),
        ("DELETE", ["policies", policy]) => does(Operation::DeletePolicy, policy),
        ("POST", ["policies", policy, "attach"]) => does(Operation::AttachPolicy, policy),
        ("POST", ["policies", policy, "detach"]) => does(Operation::DetachPolicy, policy),
        ("POST", ["policy-simulation"]) => Known::Reads,
        ("DELETE", ["users", user, "lock"]) => does(Operation::UnlockUser, user),
        ("POST", ["access-keys"]) => does(Operation::CreateAccessKey, ""),
        ("PATCH", ["access-keys", id]) => does(Operation::UpdateAccessKey, id),
        ("DELETE", ["access-keys", id]) => does(Operation::DeleteAccessKey, id),
        ("POST", ["nbd", "exports"]) => does(Operation::OpenDiskExport, ""),
        ("DELETE", ["nbd", "exports", export]) => does(Operation::CloseDiskExport, export_id(export)),
        ("POST", ["custom-keys"]) => does(Operation::CreateCustomKey, ""),
        ("PATCH", ["custom-keys", key]) | ("POST", ["custom-keys", key, "rotate"]) => {
            does(Operation::UpdateCustomKey, key)
        }
        ("DELETE", ["custom-keys", key]) => does(Operation::DeleteCustomKey, key),
        ("POST", ["custom-keys", key, "keep"]) => does(Operation::KeepCustomKey, key),
        ("PUT", ["custom-keys", key, "grants", _]) => does(Operation::GrantCustomKey, key),
        ("DELETE", ["custom-keys", key, "grants", _]) => does(Operation::WithdrawCustomKey, key),
        ("POST", ["deleted-images", id, "restore"]) => does(Operation::UndeleteImage, id),
        ("DELETE", ["deleted-images", id]) => does(Operation::PurgeImage, id),
        ("POST", ["images", id, "copies"]) => does(Operation::CopyImageToStore, id),
        ("POST", ["images", id, "inspection"]) => does(Operation::UpdateImage, id),
        ("POST", ["images", _, "links"]) => does(Operation::CreateImageLink, ""),
        ("DELETE", ["images", _, "links", link]) => does(Operation::DeleteImageLink, link_id(link)),
        (_, ["images", id, "uploads", ..]) => does(Operation::UpdateImage, id),
        ("POST", ["metadefs"]) => does(Operation::LoadMetadef, ""),
        ("PATCH", ["quotas", "default"]) => does(Operation::SetQuotas, "default"),
        ("PATCH", ["quotas", "projects", project]) => does(Operation::SetQuotas, project),
        ("POST", ["quotas", "recount"]) => does(Operation::RecountUsage, ""),
        ("POST", ["audit", "verify"]) => Known::Reads,
        _ => Known::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_lead_to_their_protocols() {
        for (path, expected) in [
            ("/v2/images/x", Interface::Image),
            ("/images/x", Interface::Image),
            ("/v2.16/images", Interface::Image),
            ("/v2/cloudimages/x", Interface::Ims),
            ("/v2.1/cloudimages/action", Interface::Ims),
            ("/v1/cloudimages/tags", Interface::Ims),
            ("/v2/p/images/x/tags", Interface::Ims),
            ("/identity/v3/users", Interface::Identity),
            ("/v3/users", Interface::Identity),
            ("/v3/p/traces", Interface::Cts),
            ("/tintype/v1/gc", Interface::Native),
        ] {
            assert_eq!(interface(path), expected, "{path}");
        }
    }

    #[test]
    fn requests_lead_to_operations() {
        let found = |method: Method, path: &str| find(&method, path);
        assert_eq!(found(Method::GET, "/v2/images/x"), Known::Reads);
        assert_eq!(found(Method::DELETE, "/images/x"), does(Operation::DeleteImage, "x"));
        assert_eq!(found(Method::DELETE, "/v2/images/x"), does(Operation::DeleteImage, "x"));
        assert_eq!(found(Method::PUT, "/v2/images/x/tags/a%2Fb"), does(Operation::AddTag, "x"));
        assert_eq!(found(Method::POST, "/v2/p/images/resource_instances/action"), Known::Reads);
        assert_eq!(found(Method::PUT, "/v3/system/users/u/roles/r"), does(Operation::GrantRole, "u"));
        let inspection = "/tintype/v1/images/x/inspection";
        assert_eq!(found(Method::GET, inspection), Known::Reads);
        assert_eq!(found(Method::POST, inspection), does(Operation::UpdateImage, "x"));
        let tag = "/v2/metadefs/namespaces/OS%3A%3AX/tags/t";
        assert_eq!(found(Method::POST, tag), does(Operation::UpdateMetadef, "OS::X"));
        assert_eq!(found(Method::POST, "/nothing"), Known::Unknown);
    }

    #[test]
    fn what_may_be_a_secret_is_nobodys_id() {
        let id = "a5".repeat(16);
        let behind = format!("{id}%2FSIGNATURE%2Fdisk.img");
        let address = format!("https%3A%2F%2Fbox%2Ftintype%2Fv1%2Flinks%2F{behind}");
        for (segment, expected) in
            [(id.as_str(), id.as_str()), (behind.as_str(), ""), (address.as_str(), ""), ("SIGNATURE", "")]
        {
            let unlink = format!("/tintype/v1/images/x/links/{segment}");
            assert_eq!(find(&Method::DELETE, &unlink), does(Operation::DeleteImageLink, expected));
            let follow = format!("/tintype/v1/links/{segment}");
            assert_eq!(find(&Method::GET, &follow), does(Operation::UseImageLink, expected));
        }
        for (segment, expected) in [
            ("00ff00ff00ff00ff", "00ff00ff00ff00ff"),
            ("fPSM4oLksZYHsjRGsggyjcmnwc68HAAZ", ""),
            ("nbd%3A%2F%2Fbox%2FfPSM4oLksZYHsjRGsggyjcmnwc68HAAZ", ""),
        ] {
            let close = format!("/tintype/v1/nbd/exports/{segment}");
            assert_eq!(find(&Method::DELETE, &close), does(Operation::CloseDiskExport, expected));
        }
    }
}
