//! Use cases: who may do what, which state follows, one commit per action.
//!
//! Every protocol calls these and nothing below them. Functions here block on the database;
//! async callers go through a blocking pool. Must not know any wire format or status code.

mod actor;
pub mod audit;
pub mod custom_keys;
mod description;
pub mod disk_exports;
mod error;
pub mod events;
pub mod figures;
mod hindrance;
pub mod identity;
pub mod images;
pub mod jobs;
pub mod keys;
mod litter;
pub mod metadefs;
mod origin;
pub mod quotas;
mod reason;
pub mod rebuild;
pub mod reclaim;
pub mod resealing;
pub mod rights;
pub mod scrub;
pub mod stores;
#[cfg(test)]
pub(crate) mod testing;
pub mod upkeep;

use std::sync::{Arc, Mutex};

pub use actor::Actor;
pub use error::{Error, ErrorKind, OVER_LIMIT, Reason};
pub use hindrance::Hindrance;
pub use litter::Litter;
pub use origin::{Caller, Origin, Source};

use crate::base::{Clock, Entropy, Time};
use crate::catalog;
use crate::db::{Db, Table};
use crate::disk::Budgets;
use crate::store::{self, Store};
use crate::web::Web;

/// Every table that holds facts, of records and of bytes: what the journal covers.
pub fn fact_tables() -> Vec<Table> {
    [catalog::fact_tables(), store::FACTS.to_vec()].concat()
}

/// Every other table: each is derived from facts, or ends with the file it is in.
pub fn derived_tables() -> Vec<Table> {
    [catalog::derived_tables(), store::derived_tables()].concat()
}

/// Settings of the use cases, already checked.
#[derive(Debug, Clone)]
pub struct Rules {
    /// Life of a token, in seconds.
    pub token_ttl_s: i64,
    /// Largest image, in bytes (Glance's `image_size_cap`).
    pub image_bytes_max: u64,
    /// Whether an upload must be what its `disk_format` says.
    pub require_format_match: bool,
    /// How much an image may ask of whoever looks into it.
    pub disks: Budgets,
    /// What the operator refuses of disks that are in order.
    pub disk_policy: images::DiskPolicy,
    /// What images that leave in another format may hold in memory.
    pub exports: images::ExportRules,
    /// Whose images share their data's chunks.
    pub dedup_scope: DedupScope,
    /// Whose images have a key domain of their own in a sealed box.
    pub key_domains: KeyDomains,
    /// Key domains that the images of one project may ask for; 0 lets none ask.
    pub project_keys_max: usize,
    /// How long a deleted image is retained, in seconds; 0 does not retain any.
    pub retain_deleted_s: i64,
    /// From the last byte of an unfinished upload in parts to its end, in seconds.
    pub upload_expiry_s: i64,
    /// Unfinished uploads in parts that the images of one owner may have.
    pub unfinished_uploads_max: usize,
    /// Password hashes computed at once; each takes tens of MiB and a core.
    pub password_hashes_at_once: usize,
    /// What one password hash costs.
    pub password_cost: identity::PasswordCost,
    /// What passwords have to be.
    pub passwords: identity::PasswordRules,
    /// What failed sign-ins lead to.
    pub attempts: identity::AttemptRules,
    /// How many jobs there may be.
    pub jobs: jobs::JobRules,
    /// What imports of the Image API may do.
    pub imports: images::ImportRules,
    /// How long links to images live, and how many there may be.
    pub links: images::LinkRules,
    /// What the operator wants of signatures of images.
    pub signatures: images::SignatureRules,
    /// Properties of images that not everybody may set, change, remove or see; `None` where everybody may.
    pub protections: Option<images::Protections>,
}

/// Whose images share their data's chunks. Whoever shares can tell, from the time an upload takes,
/// whether the data was there before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DedupScope {
    /// Everybody's: the whole box is one trust domain.
    Store,
    /// Those of projects in one domain.
    Domain,
    /// Those of one project.
    Project,
}

/// Whose images have a key domain of their own. Domains share no chunks, whatever the scope is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyDomains {
    /// Nobody's: all are in the store's own.
    Store,
    /// Each project's.
    Project,
    /// Each image's.
    Image,
}

impl Default for Rules {
    fn default() -> Self {
        Rules {
            token_ttl_s: 3600,
            image_bytes_max: 1 << 40,
            require_format_match: true,
            disks: Budgets::default(),
            disk_policy: images::DiskPolicy::default(),
            exports: images::ExportRules::default(),
            dedup_scope: DedupScope::Store,
            key_domains: KeyDomains::Store,
            project_keys_max: 100,
            retain_deleted_s: 0,
            upload_expiry_s: 86_400,
            unfinished_uploads_max: 64,
            password_hashes_at_once: 2,
            password_cost: identity::PasswordCost::default(),
            passwords: identity::PasswordRules::default(),
            attempts: identity::AttemptRules::default(),
            jobs: jobs::JobRules::default(),
            imports: images::ImportRules::default(),
            links: images::LinkRules::default(),
            signatures: images::SignatureRules::default(),
            protections: None,
        }
    }
}

/// Everything a use case needs, composed once by the daemon. Cheap to share.
#[derive(Clone)]
pub struct Service {
    pub(crate) db: Db,
    pub(crate) store: Store,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<dyn Entropy>,
    pub(crate) rules: Arc<Rules>,
    passwords: Arc<identity::Hasher>,
    /// What secrets of access keys follow from in a plain box; a sealed one keeps its own in the catalog.
    access_root: Option<Arc<identity::AccessRoot>>,
    replays: Arc<identity::Replays>,
    attempts: Arc<identity::Attempts>,
    litter: Litter,
    /// Held while a key domain is made for an image.
    key_making: Arc<Mutex<()>>,
    /// Held while the images of a machine are made from a backup.
    machine_making: Arc<Mutex<()>>,
    turns: images::Turns,
    running: jobs::Running,
    /// How many refusals are recorded one by one.
    refusals: Arc<audit::Budget>,
    rights: Arc<rights::Library>,
    /// The operator's rules about who may do what.
    overrides: Option<Arc<rights::Overrides>>,
    /// The buckets that images are exchanged through.
    buckets: Arc<images::Buckets>,
    /// The other regions that images are copied into.
    regions: Arc<images::Regions>,
    /// What imports may fetch from.
    web: Arc<Web>,
    /// Disks of images that are open.
    guests: images::Guests,
    /// Turns to look into containers that arrive.
    looks: Arc<images::Looks>,
    /// When data was read last.
    reads: images::Reads,
    /// Streams that recipes are not for.
    recipes_tried: images::Tried,
    /// Disks that are open to whoever has their names.
    disk_exports: disk_exports::Exports,
    /// What was found inside images lately.
    inspections: images::Inspections,
    /// Images that leave in another format.
    exports: images::Exports,
    /// Images whose data is fetched for their first read.
    fetches: images::Fetches,
    /// The stores that clients may choose from.
    stores: stores::Stores,
    /// The cloud whose Keystone says who asks, where the box does not do so itself.
    cloud: Option<Arc<identity::Cloud>>,
}

impl Service {
    /// Puts the use cases on top of an open database and store.
    pub fn new(
        db: Db,
        store: Store,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        rules: Rules,
    ) -> Service {
        events::log(&db, &store);
        let passwords = identity::Hasher::new(rules.password_cost, rules.password_hashes_at_once);
        let now = clock.now();
        let replays = identity::Replays::new(now);
        let exports = images::Exports::new(&rules.exports, store.clone());
        let attempts = identity::Attempts::new(rules.attempts, &*entropy);
        Service {
            db,
            store,
            clock,
            entropy,
            rules: Arc::new(rules),
            passwords: Arc::new(passwords),
            access_root: None,
            replays: Arc::new(replays),
            attempts: Arc::new(attempts),
            litter: Litter::default(),
            key_making: Arc::default(),
            machine_making: Arc::default(),
            turns: images::Turns::default(),
            running: jobs::Running::default(),
            refusals: Arc::default(),
            rights: Arc::default(),
            overrides: None,
            buckets: Arc::default(),
            regions: Arc::default(),
            web: Arc::default(),
            guests: images::Guests::default(),
            looks: Arc::default(),
            reads: images::Reads::new(now),
            recipes_tried: images::Tried::default(),
            disk_exports: disk_exports::Exports::default(),
            inspections: images::Inspections::default(),
            exports,
            fetches: images::Fetches::default(),
            stores: stores::Stores::default(),
            cloud: None,
        }
    }

    /// The same with a root for access keys, which a plain box has beside its catalog.
    pub fn with_access_root(self, root: identity::AccessRoot) -> Service {
        Service { access_root: Some(Arc::new(root)), ..self }
    }

    /// The same under the operator's rules about who may do what.
    pub fn with_overrides(self, overrides: rights::Overrides) -> Service {
        Service { overrides: Some(Arc::new(overrides)), ..self }
    }

    /// The same with the other regions that images are copied into.
    pub fn with_regions(self, regions: images::Regions) -> Service {
        Service { regions: Arc::new(regions), ..self }
    }

    /// The same with the web that imports may fetch from.
    pub fn with_web(self, web: Web) -> Service {
        Service { web: Arc::new(web), ..self }
    }

    /// The same with the buckets that images are exchanged through.
    pub fn with_buckets(self, buckets: images::Buckets) -> Service {
        Service { buckets: Arc::new(buckets), ..self }
    }

    /// The chunk store, for operations that are its own (check, reclaim, statistics).
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// What use cases leave to be reclaimed.
    pub fn litter(&self) -> &Litter {
        &self.litter
    }

    /// The moment by the box's clock.
    pub fn now(&self) -> Time {
        self.clock.now()
    }

    /// Largest image that is taken, in bytes.
    pub fn image_bytes_max(&self) -> u64 {
        self.rules.image_bytes_max
    }

    /// The database, for health.
    pub fn db(&self) -> &Db {
        &self.db
    }
}
