//! Audit records: who did what to what, from where, and what came of it; and how they hang together.
//!
//! Invariant: a record's hash covers its number, the hash of the record before and all of its content, so that
//! no record can change, go or move without the next one telling. Must not know who may read them.

use std::fmt;

use uuid::Uuid;

use crate::base::Time;

/// A BLAKE3 hash.
pub type TraceHash = [u8; 32];

/// What the first record of all has in the place of the hash before it.
pub const GENESIS: TraceHash = [0; 32];

macro_rules! operations {
    ($($variant:ident $name:literal $service:ident $resource:literal),+ $(,)?) => {
        /// What can be done that leaves a record. Names never change: they are what people search for.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Operation {
            $(#[doc = concat!("`", $name, "`")] $variant),+
        }

        impl Operation {
            /// All of them.
            pub const ALL: &'static [Operation] = &[$(Operation::$variant),+];

            /// Its name, as records have it.
            pub fn name(self) -> &'static str {
                match self { $(Operation::$variant => $name),+ }
            }

            /// The service that it belongs to.
            pub fn service(self) -> TracedService {
                match self { $(Operation::$variant => TracedService::$service),+ }
            }

            /// What it is done to.
            pub fn resource(self) -> &'static str {
                match self { $(Operation::$variant => $resource),+ }
            }
        }
    };
}

operations! {
    CreateImage "createImage" Images "image",
    UpdateImage "updateImage" Images "image",
    DeleteImage "deleteImage" Images "image",
    UndeleteImage "undeleteImage" Images "image",
    PurgeImage "purgeImage" Images "image",
    CopyImage "copyImage" Images "image",
    ExportImage "exportImage" Images "image",
    CopyImageToStore "copyImageToStore" Images "image",
    DropImageCopy "dropImageCopy" Images "image",
    CacheImage "cacheImage" Images "image",
    DropCachedImage "dropCachedImage" Images "image",
    ClearCache "clearCache" Box "cache",
    OpenDiskExport "openDiskExport" Images "diskExport",
    CloseDiskExport "closeDiskExport" Images "diskExport",
    ConnectDisk "connectDisk" Images "image",
    CreateImageLink "createImageLink" Images "imageLink",
    DeleteImageLink "deleteImageLink" Images "imageLink",
    UseImageLink "useImageLink" Images "imageLink",
    AddMember "addMember" Images "image",
    UpdateMember "updateMember" Images "image",
    DeleteMember "deleteMember" Images "image",
    AddTag "addTag" Images "image",
    DeleteTag "deleteTag" Images "image",
    SignIn "signIn" Identity "user",
    RevokeToken "revokeToken" Identity "token",
    CreateRegisteredLimit "createRegisteredLimit" Identity "registeredLimit",
    UpdateRegisteredLimit "updateRegisteredLimit" Identity "registeredLimit",
    DeleteRegisteredLimit "deleteRegisteredLimit" Identity "registeredLimit",
    CreateLimit "createLimit" Identity "limit",
    UpdateLimit "updateLimit" Identity "limit",
    DeleteLimit "deleteLimit" Identity "limit",
    SetQuotas "setQuotas" Identity "quota",
    CreateUser "createUser" Identity "user",
    UpdateUser "updateUser" Identity "user",
    DeleteUser "deleteUser" Identity "user",
    UnlockUser "unlockUser" Identity "user",
    ChangePassword "changePassword" Identity "user",
    CreateProject "createProject" Identity "project",
    UpdateProject "updateProject" Identity "project",
    DeleteProject "deleteProject" Identity "project",
    CreateDomain "createDomain" Identity "domain",
    UpdateDomain "updateDomain" Identity "domain",
    DeleteDomain "deleteDomain" Identity "domain",
    CreateRole "createRole" Identity "role",
    UpdateRole "updateRole" Identity "role",
    DeleteRole "deleteRole" Identity "role",
    GrantRole "grantRole" Identity "user",
    RevokeRole "revokeRole" Identity "user",
    ImplyRole "implyRole" Identity "role",
    EndImpliedRole "endImpliedRole" Identity "role",
    CreateApplicationCredential "createApplicationCredential" Identity "applicationCredential",
    DeleteApplicationCredential "deleteApplicationCredential" Identity "applicationCredential",
    DeleteAccessRule "deleteAccessRule" Identity "accessRule",
    CreateCredential "createCredential" Identity "credential",
    UpdateCredential "updateCredential" Identity "credential",
    DeleteCredential "deleteCredential" Identity "credential",
    CreateService "createService" Identity "service",
    UpdateService "updateService" Identity "service",
    DeleteService "deleteService" Identity "service",
    CreateEndpoint "createEndpoint" Identity "endpoint",
    UpdateEndpoint "updateEndpoint" Identity "endpoint",
    DeleteEndpoint "deleteEndpoint" Identity "endpoint",
    CreateRegion "createRegion" Identity "region",
    UpdateRegion "updateRegion" Identity "region",
    DeleteRegion "deleteRegion" Identity "region",
    CreateGroup "createGroup" Identity "group",
    UpdateGroup "updateGroup" Identity "group",
    DeleteGroup "deleteGroup" Identity "group",
    AddGroupMember "addGroupMember" Identity "group",
    RemoveGroupMember "removeGroupMember" Identity "group",
    CreatePolicy "createPolicy" Identity "policy",
    UpdatePolicy "updatePolicy" Identity "policy",
    DeletePolicy "deletePolicy" Identity "policy",
    AttachPolicy "attachPolicy" Identity "policy",
    DetachPolicy "detachPolicy" Identity "policy",
    CreateAccessKey "createAccessKey" Identity "accessKey",
    UpdateAccessKey "updateAccessKey" Identity "accessKey",
    DeleteAccessKey "deleteAccessKey" Identity "accessKey",
    CreateTemporaryKey "createTemporaryKey" Identity "accessKey",
    CreateCustomKey "createCustomKey" Images "customKey",
    UpdateCustomKey "updateCustomKey" Images "customKey",
    DeleteCustomKey "deleteCustomKey" Images "customKey",
    KeepCustomKey "keepCustomKey" Images "customKey",
    GrantCustomKey "grantCustomKey" Images "customKey",
    WithdrawCustomKey "withdrawCustomKey" Images "customKey",
    CreateMetadef "createMetadef" Images "metadef",
    UpdateMetadef "updateMetadef" Images "metadef",
    DeleteMetadef "deleteMetadef" Images "metadef",
    LoadMetadef "loadMetadef" Images "metadef",
    InitBox "initBox" Box "box",
    StartService "startService" Box "box",
    StopService "stopService" Box "box",
    Check "check" Box "box",
    RecountUsage "recountUsage" Box "quota",
    Scrub "scrub" Box "box",
    Reclaim "reclaim" Box "box",
    CancelJob "cancelJob" Box "job",
    RetryJob "retryJob" Box "job",
    PauseJob "pauseJob" Box "job",
    ResumeJob "resumeJob" Box "job",
    BackupKeyRing "backupKeyRing" Box "keyRing",
    RotateMasterKey "rotateMasterKey" Box "keyRing",
    RotateKeyDomain "rotateKeyDomain" Box "keyDomain",
    EraseKeyDomain "eraseKeyDomain" Box "keyDomain",
    PruneAudit "pruneAudit" Box "audit",
    SkipRefusals "skipRefusals" Box "audit",
    OtherOperation "otherOperation" Box "",
}

impl Operation {
    /// The operation of this name.
    pub fn parse(name: &str) -> Option<Operation> {
        Operation::ALL.iter().copied().find(|operation| operation.name() == name)
    }
}

/// A part of the box, by the name that audit services know it by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TracedService {
    /// Images.
    Images,
    /// Users, projects, roles, keys of theirs.
    Identity,
    /// The box itself.
    Box,
}

impl TracedService {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            TracedService::Images => "IMS",
            TracedService::Identity => "IAM",
            TracedService::Box => "TINTYPE",
        }
    }
}

macro_rules! words {
    ($(#[$doc:meta])* $kind:ident { $($(#[$of:meta])* $variant:ident $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $kind {
            $($(#[$of])* $variant),+
        }

        impl $kind {
            /// Its word.
            pub fn as_str(self) -> &'static str {
                match self { $($kind::$variant => $word),+ }
            }

            /// What this word means.
            pub fn parse(word: &str) -> Option<$kind> {
                [$($kind::$variant),+].into_iter().find(|kind| kind.as_str() == word)
            }
        }
    };
}

words! {
    /// How an operation ended.
    Rating {
        /// It was done.
        Normal "normal",
        /// It was refused, or failed.
        Warning "warning",
        /// It failed in a way that needs somebody.
        Incident "incident",
    }
}

words! {
    /// Which of the box's protocols an operation came through.
    Interface {
        /// None: the box did it by itself.
        None "",
        /// The Image API.
        Image "image",
        /// The image management API.
        Ims "ims",
        /// The Identity API.
        Identity "identity",
        /// The native API.
        Native "native",
        /// The audit query API.
        Cts "cts",
        /// Disks, block by block.
        Nbd "nbd",
    }
}

/// What a record says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceContent {
    /// When it was done, by the box's clock.
    pub time: Time,
    /// When it was recorded; never before the record in front of it was.
    pub recorded_at: Time,
    /// The user's id; `system` for the box itself, `local-administrator` for whoever can open its directory,
    /// empty for a caller who did not prove who it is.
    pub user: String,
    /// The user's name, as far as it was known then.
    pub user_name: String,
    /// The user's domain.
    pub domain: String,
    /// The domain's name.
    pub domain_name: String,
    /// The project that the user acted in; empty for none.
    pub project: String,
    /// The project whose the resource is, where it is another one.
    pub owner: String,
    /// The name of what was done.
    pub operation: String,
    /// The kind of thing it was done to.
    pub resource_type: String,
    /// Its id.
    pub resource_id: String,
    /// Its name.
    pub resource_name: String,
    /// How it ended.
    pub rating: Rating,
    /// The protocol it came through.
    pub interface: Interface,
    /// Where it came from: an IP address, `socket` for the control socket, `process` for the command line on a
    /// closed box, empty for the box itself.
    pub source: String,
    /// The request's id; empty without a request.
    pub request_id: String,
    /// The request's method and path, without its query; empty without a request.
    pub call: String,
    /// What the request's body said, without secrets and shortened; empty where nothing was kept.
    pub request: String,
    /// The status that the caller was told, where it was refused; empty otherwise.
    pub code: String,
    /// What else is to be known: what was changed, or why it was refused.
    pub message: String,
}

/// A record in its place in the chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trace {
    /// Its number: 1, 2, 3, … without a gap.
    pub seq: u64,
    /// The hash of the record before.
    pub before: TraceHash,
    /// Its own hash.
    pub hash: TraceHash,
    /// What it says.
    pub content: TraceContent,
}

/// The place of a record in the chain: enough to tell whether a chain is the one it was taken from.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TraceHead {
    /// The record's number; 0 before the first.
    pub seq: u64,
    /// Its hash.
    pub hash: TraceHash,
}

impl TraceHead {
    /// Before the first record.
    pub const START: TraceHead = TraceHead { seq: 0, hash: GENESIS };

    /// Reads `SEQ:HASH`, the hash in 64 hex digits.
    pub fn parse(text: &str) -> Option<TraceHead> {
        let (seq, hash) = text.trim().split_once(':')?;
        Some(TraceHead { seq: seq.parse().ok()?, hash: hex::decode(hash).ok()?.try_into().ok()? })
    }
}

impl fmt::Display for TraceHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.seq, hex::encode(self.hash))
    }
}

impl fmt::Debug for TraceHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Trace {
    /// Where it stands.
    pub fn head(&self) -> TraceHead {
        TraceHead { seq: self.seq, hash: self.hash }
    }

    /// A name that only this record has: a UUID of version 8, which begins with the record's number.
    pub fn id(&self) -> Uuid {
        trace_id(self.seq, &self.hash)
    }
}

/// The name of the record with this number and hash.
pub fn trace_id(seq: u64, hash: &TraceHash) -> Uuid {
    let mut bytes = [0; 16];
    // 48 bits hold more records than a box makes in its life.
    bytes[..6].copy_from_slice(&seq.to_be_bytes()[2..]);
    bytes[6..].copy_from_slice(&hash[..10]);
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}

/// The number of the record with this name, if there is one.
pub fn seq_of(id: &Uuid) -> u64 {
    let mut bytes = [0; 8];
    bytes[2..].copy_from_slice(&id.as_bytes()[..6]);
    u64::from_be_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_fit_the_reference() {
        for (at, operation) in Operation::ALL.iter().enumerate() {
            let name = operation.name();
            assert!(name.len() <= 64 && name.starts_with(|c: char| c.is_ascii_lowercase()), "{name}");
            assert_eq!(Operation::ALL.iter().position(|other| other.name() == name), Some(at));
            assert_eq!(Operation::parse(name), Some(*operation));
        }
    }

    #[test]
    fn a_name_leads_back_to_its_record() {
        for seq in [1, 70_000, (1 << 48) - 1] {
            let id = trace_id(seq, &[0xa5; 32]);
            assert_eq!((seq_of(&id), id.get_version_num()), (seq, 8));
        }
    }

    #[test]
    fn a_head_reads_back_as_it_is_printed() {
        let head = TraceHead { seq: 12, hash: [7; 32] };
        assert_eq!(TraceHead::parse(&head.to_string()), Some(head));
        for wrong in ["", "12", "12:07", "x:07", &format!("-1:{}", "07".repeat(32))] {
            assert_eq!(TraceHead::parse(wrong), None, "{wrong}");
        }
    }
}
