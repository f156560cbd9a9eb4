//! Wires the parts of a box together on one data directory, for a server or for a command that
//! works on the closed store.
//!
//! Invariant: whoever composes holds the catalog's lock, so a directory is composed by at most
//! one process at a time.

use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use axum::Router;
use tokio::runtime::Handle;

use super::data_dir::DataDir;
use super::error::Error;
use super::exchange;
use super::images;
use super::imports;
use super::keystone;
use super::medium::{self, Medium};
use super::peers;
use super::places;
use super::policy;
use super::settings::{self, DedupVerify, Settings};
use super::{master_key, memory};
use crate::api;
use crate::api::context::ApiState;
use crate::base::limits::MANIFEST_EXTENTS_MAX;
use crate::base::{OsEntropy, SystemClock};
use crate::db::{self, CatalogFile, Db, Form};
use crate::model::{DigestChoice, HashAlgorithm};
use crate::service::identity::{AttemptRules, Password, PasswordCost, PasswordRules};
use crate::service::images::ExportRules;
use crate::service::jobs::JobRules;
use crate::service::{self, DedupScope, KeyDomains, Rules, Service};
use crate::store::{self, MasterKey, ParityRatio, RewritePolicy, Store, Vault, VerifyHits};

/// An open box.
pub struct Parts {
    /// The data directory.
    pub dir: DataDir,
    /// The use cases.
    pub service: Service,
    /// The administrator's password, unless the operator took the file away.
    pub admin_password: Option<String>,
    /// Whether this start made the password.
    pub fresh: bool,
}

/// How long whoever finds the box in use waits for it: a command on the closed box takes a moment, as a server does until it
/// answers.
const TURN: Duration = Duration::from_secs(5);
/// How often it looks.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// The same as [`open`], after whoever has the box for a moment. Where a server answers there, nobody waits. Blocks.
///
/// # Errors
/// As [`open`].
pub fn open_in_turn(settings: &Settings, handle: &Handle) -> Result<Parts, Error> {
    let deadline = Instant::now() + TURN;
    loop {
        match open(settings, handle) {
            Err(Error::InUse(path)) if Instant::now() < deadline && !is_served(&path) => sleep(LOOK_EVERY),
            ended => return ended,
        }
    }
}

/// Whether a server answers in a data directory.
pub fn is_served(data: &Path) -> bool {
    DataDir::open(data).is_ok_and(|dir| UnixStream::connect(dir.control_socket()).is_ok())
}

/// Opens the box at `settings.server.data`, setting it up when it is new. `handle` is of a runtime
/// with threads of its own that outlives the box: requests to a bucket run on it.
///
/// # Errors
/// Each cause as its own [`Error`].
pub fn open(settings: &Settings, handle: &Handle) -> Result<Parts, Error> {
    let dir = DataDir::create(&settings.server.data)?;
    let was_set_up = DataDir::is_set_up(dir.path());
    let medium = medium::open(settings, &dir, handle, medium::Purpose::Serve)?;
    if !dir.catalog().exists() && store::catalog_objects(&**medium.ground())? > 0 {
        // Before anything is made that would look like the catalog that is missing.
        return Err(Error::CatalogLost(dir.path().to_owned()));
    }
    let (admin_password, fresh) = dir.admin_password(&OsEntropy)?;
    // The lock comes first: finding the store may finish what a change of its keys left behind.
    let file = claim(&dir, &dir.catalog())?;
    let master = master_key::read(settings)?;
    let (file, vault) = vault(&dir, file, &medium, master.as_ref())?;
    let vault = vault.with_places(places::open(settings, &dir, handle, medium::Purpose::Serve)?);
    let db = catalog(&dir, &dir.catalog(), file, &vault, settings)?;
    let (clock, entropy) = (Arc::new(SystemClock), Arc::new(OsEntropy));
    let store = Store::open_in(db.clone(), vault, store_options(settings), clock, entropy)?;
    if !was_set_up {
        // There is no box yet that could go on without its bucket.
        store.expect_entered()?;
    }
    if master.is_some() && !store.is_sealed() {
        tracing::warn!("a master key is given, but the store is plain and stays so");
    }
    let is_sealed = store.is_sealed();
    let stores = places::stores(settings, &store);
    let mut service = Service::new(db, store, Arc::new(SystemClock), Arc::new(OsEntropy), rules(settings)?);
    service = service.with_stores(stores);
    service = service.with_buckets(exchange::open(settings, &dir, handle)?);
    service = service.with_regions(peers::open(settings)?);
    service = service.with_web(imports::open(settings)?);
    if let Some(overrides) = policy::open(&settings.policy)? {
        service = service.with_overrides(overrides);
    }
    if let Some(cloud) = keystone::open(settings, handle)? {
        service = service.with_cloud(cloud);
    }
    if !is_sealed {
        service = service.with_access_root(dir.access_root(&OsEntropy)?);
    }
    if service.renew_indexes()? {
        tracing::info!("an index was made anew, in a form that knows more");
    }
    service.settle_limits()?;
    let interrupted = service.recover_jobs(settings.reclaim.automatic)?;
    if interrupted > 0 {
        tracing::info!(interrupted, "jobs ended with the process that ran them");
    }
    if let Some(password) = &admin_password {
        service.bootstrap(&Password::new(password.clone())?)?;
    }
    Ok(Parts { dir, service, admin_password, fresh })
}

impl Parts {
    /// Everything the box answers.
    pub fn router(&self, settings: &Settings) -> Router {
        self.router_at(settings.public_url(), settings)
    }

    /// The same for callers that are told addresses below `url`; below the one that they came to, where there is none.
    pub fn router_at(&self, url: Option<&str>, settings: &Settings) -> Router {
        let public_url = url.map(str::to_owned);
        api::router_with(ApiState { service: self.service.clone(), public_url }, settings.console.enabled)
    }

    /// Writes how clients sign in, to a server that this machine reaches by `url` or to the cloud that it is a part of.
    ///
    /// # Errors
    /// [`Error::Directory`].
    pub fn write_clouds(&self, url: &str, settings: &Settings) -> Result<(), Error> {
        match self.service.keystone_url() {
            Some(keystone) => self.dir.write_cloud_of(keystone, &settings.identity.keystone.region),
            None => self.dir.write_clouds(url, self.admin_password.as_deref()),
        }
    }

    /// Tells what is not told yet, and makes the store describe what was committed last, before the box is
    /// closed. When it cannot now, the next start does. Needs the runtime the box was opened on.
    pub fn settle(&self) {
        if let Err(error) = self.service.store().tell_untold() {
            tracing::warn!(%error, "damage was found, and whom it hits cannot be told now");
        }
        if let Err(error) = self.service.store().ship() {
            tracing::warn!(%error, "the store's log lacks the newest changes; the next start adds them");
        }
    }

    /// Finishes what is queued and closes the files, reporting what dropping them would hide; the
    /// directory stays open for whoever needs its names.
    pub fn close(self) -> (DataDir, Result<(), Error>) {
        let db = self.service.db().clone();
        drop(self.service);
        let closed = db.close().map_err(|cause| Error::Catalog { path: self.dir.catalog(), cause });
        (self.dir, closed)
    }
}

pub(super) fn catalog_error(dir: &DataDir, path: &Path, cause: db::Error) -> Error {
    match cause {
        db::Error::InUse => Error::InUse(dir.path().to_owned()),
        cause => Error::Catalog { path: path.to_owned(), cause },
    }
}

/// Locks the catalog's file, or one that is to take its place, making it where there is none.
pub(super) fn claim(dir: &DataDir, path: &Path) -> Result<CatalogFile, Error> {
    let file = CatalogFile::claim(path).map_err(|cause| catalog_error(dir, path, cause))?;
    dir.close_to_others(path)?;
    Ok(file)
}

/// Opens the catalog in a file that was claimed, under the key its store has for it.
pub(super) fn catalog(
    dir: &DataDir,
    path: &Path,
    file: CatalogFile,
    vault: &Vault,
    settings: &Settings,
) -> Result<Db, Error> {
    let options = db::Options {
        cache_bytes: memory::divide(settings).catalog_cache,
        journal: service::fact_tables(),
        derived: service::derived_tables(),
    };
    let keys = vault.catalog_keys()?;
    let db = match keys.is_empty() {
        false => file.open_sealed(&keys, &OsEntropy, options),
        true => file.open_plain(options),
    };
    db.map_err(|cause| catalog_error(dir, path, cause))
}

/// The store that the catalog's file belongs to; a new one where neither is there yet.
fn vault(
    dir: &DataDir,
    file: CatalogFile,
    medium: &Medium,
    master: Option<&MasterKey>,
) -> Result<(CatalogFile, Vault), Error> {
    let found = match Vault::look(medium.ground().clone(), master) {
        Ok(found) => found,
        Err(error) => return awaited(dir, file, medium, error),
    };
    let (file, vault) = match found {
        Some(mut vault) => {
            let file = expect_own(dir, file, &vault)?;
            vault.settle_keys();
            (file, vault)
        }
        None => {
            let file = expect_new(dir, file)?;
            medium.try_out()?;
            (file, Vault::create(medium.ground().clone(), master, &SystemClock, &OsEntropy)?)
        }
    };
    Ok((file, vault.behind(medium.objects.clone(), medium.entrance.clone())))
}

/// Refuses a sealed store that is not the catalog's, before anything is changed in it. A plain store is compared
/// when it opens, and nothing is changed before.
fn expect_own(dir: &DataDir, file: CatalogFile, vault: &Vault) -> Result<CatalogFile, Error> {
    let keys = vault.catalog_keys()?;
    if keys.is_empty() {
        return Ok(file);
    }
    let failed = |cause| catalog_error(dir, &dir.catalog(), cause);
    file.expect_under(&keys).map_err(failed)?;
    if file.form().map_err(failed)? != Form::Plain {
        return Ok(file);
    }
    let (file, known) = plain_store_id(dir, file)?;
    match known {
        Some(known) if known != vault.id() => Err(store::Error::another(&vault.id()).into()),
        _ => Ok(file),
    }
}

/// Refuses to make a store for a catalog that belongs to one.
fn expect_new(dir: &DataDir, file: CatalogFile) -> Result<CatalogFile, Error> {
    match file.form().map_err(|cause| catalog_error(dir, &dir.catalog(), cause))? {
        Form::Empty => Ok(file),
        Form::Sealed => Err(store::Error::lost().into()),
        // A set-up that was cut off, or a store that is not where it was.
        Form::Plain | Form::Foreign => match plain_store_id(dir, file)? {
            (_, Some(_)) => Err(store::Error::lost().into()),
            (file, None) => Ok(file),
        },
    }
}

/// The store of a box whose medium does not answer, as far as the catalog alone can tell of it; else `error`.
fn awaited(
    dir: &DataDir,
    file: CatalogFile,
    medium: &Medium,
    error: store::Error,
) -> Result<(CatalogFile, Vault), Error> {
    let is_silent = medium.ground().trouble().is_some();
    let Some(entrance) = medium.entrance.as_ref().filter(|_| is_silent && DataDir::is_set_up(dir.path()))
    else {
        return Err(error.into());
    };
    match file.form().map_err(|cause| catalog_error(dir, &dir.catalog(), cause))? {
        Form::Plain => {}
        Form::Sealed => return Err(Error::RingAway { place: entrance.place().to_owned(), cause: error }),
        Form::Empty | Form::Foreign => return Err(error.into()),
    }
    let (file, known) = plain_store_id(dir, file)?;
    let Some(known) = known else { return Err(error.into()) };
    entrance.stays_closed(error.to_string());
    Ok((file, Vault::awaited(known, entrance).behind(medium.objects.clone(), Some(entrance.clone()))))
}

/// Which store a plain catalog belongs to, if to any.
fn plain_store_id(dir: &DataDir, file: CatalogFile) -> Result<(CatalogFile, Option<[u8; 16]>), Error> {
    let failed = |cause| catalog_error(dir, &dir.catalog(), cause);
    let db = file.open_plain(db::Options::default()).map_err(failed)?;
    let known = Store::known_id(&db)?;
    db.close().map_err(failed)?;
    Ok((CatalogFile::claim(&dir.catalog()).map_err(failed)?, known))
}

/// What the settings say of the chunk store.
pub(super) fn store_options(settings: &Settings) -> store::Options {
    let shares = memory::divide(settings);
    store::Options {
        memory_bytes: shares.store,
        zstd_level: settings.store.zstd_level,
        pack_bytes: settings.store.pack_bytes,
        reserve_bytes: settings.store.reserve_bytes,
        digests: DigestChoice {
            md5: settings.store.md5,
            secure: Some(match settings.store.hash_algorithm {
                settings::HashAlgorithm::Sha512 => HashAlgorithm::Sha512,
                settings::HashAlgorithm::Sha256 => HashAlgorithm::Sha256,
            }),
        },
        verify_hits: match settings.dedup.verify {
            DedupVerify::Off => VerifyHits::Off,
            DedupVerify::Sample => VerifyHits::Sample,
            DedupVerify::Always => VerifyHits::Always,
        },
        // A manifest is held in memory whole while it is written or read.
        extents_max: MANIFEST_EXTENTS_MAX.min(shares.extents_max),
        snapshot_log_bytes: settings.store.snapshot_log_bytes,
        parity: (settings.parity.data > 0)
            .then_some(ParityRatio { data: settings.parity.data, parity: settings.parity.parity }),
        rewrite: rewrite_policy(&settings.reclaim),
    }
}

/// The settings are checked, so that each fits.
fn rewrite_policy(settings: &settings::Reclaim) -> RewritePolicy {
    RewritePolicy {
        live_percent: settings.live_percent as u8,
        level: settings.recompress_level as u8,
        recompress_after_s: settings.recompress_after_s,
        busy_percent: settings.busy_percent as u8,
    }
}

fn rules(settings: &Settings) -> Result<Rules, Error> {
    let shares = memory::divide(settings);
    Ok(Rules {
        token_ttl_s: settings.identity.token_ttl_s,
        image_bytes_max: settings.images.bytes_max,
        require_format_match: settings.images.require_format_match,
        disks: settings.disks.budgets(shares.disks),
        disk_policy: settings.disks.policy(),
        exports: ExportRules { ahead_bytes: shares.exports as u64, layout_bytes: shares.layouts as u64 },
        links: settings.links.rules(),
        dedup_scope: match settings.dedup.scope {
            settings::DedupScope::Store => DedupScope::Store,
            settings::DedupScope::Domain => DedupScope::Domain,
            settings::DedupScope::Project => DedupScope::Project,
        },
        key_domains: match settings.seal.domains {
            settings::SealDomains::Store => KeyDomains::Store,
            settings::SealDomains::Project => KeyDomains::Project,
            settings::SealDomains::Image => KeyDomains::Image,
        },
        project_keys_max: settings.seal.project_keys_max,
        retain_deleted_s: settings.images.retain_deleted_s as i64,
        upload_expiry_s: settings.images.upload_expiry_s as i64,
        unfinished_uploads_max: settings.images.unfinished_uploads_max,
        password_hashes_at_once: settings.identity.password_hashes_at_once,
        password_cost: PasswordCost::default(),
        passwords: password_rules(&settings.identity),
        attempts: AttemptRules {
            lock_after: settings.identity.lock_after_failures,
            lock_s: settings.identity.lock_s as i64,
            per_minute: settings.identity.failures_per_minute,
        },
        jobs: job_rules(&settings.jobs),
        imports: settings.imports.rules(),
        signatures: images::signatures(&settings.images)?,
        protections: images::protections(&settings.images)?,
    })
}

fn password_rules(settings: &settings::Identity) -> PasswordRules {
    PasswordRules {
        chars_min: settings.password_chars_min,
        history: settings.password_history,
        age_min_s: settings.password_age_min_s as i64,
        life_s: settings.password_life_days as i64 * 86_400,
        change_first: settings.password_change_first,
    }
}

fn job_rules(settings: &settings::Jobs) -> JobRules {
    JobRules {
        imports_max: settings.imports_max,
        exports_max: settings.exports_max,
        copies_max: settings.copies_max,
        project_running_max: settings.project_running_max,
        project_open_max: settings.project_open_max,
        kept: settings.kept_max,
        kept_s: settings.kept_s as i64,
    }
}
