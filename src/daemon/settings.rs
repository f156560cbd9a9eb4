//! Every setting, with its default and its legal range; read by the daemon alone.
//!
//! `config/tintype.toml` says the same with reasons; `tests/tidy` compares the two. Layers that
//! set them are in [`super::layers`]. An empty text means "not set", so that every key has a
//! value that can be written down.

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::disks::Disks;
use super::exchange::{self, ExchangeBucket};
use super::images::Images;
use super::imports::Imports;
use super::keystone::KeystoneSettings;
use super::links::Links;
use super::nbd::Nbd;
use super::peers::{self, PeerBox};
use super::places::{self, PlaceSettings};
use super::policy::Policy;
pub use super::store_settings::{HashAlgorithm, Recipes, StoreSettings};
use super::syslog::SyslogPlace;
use super::window::Window;
use crate::service::identity::PASSWORD_HISTORY_MAX;

/// All settings of a server.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The process and its HTTP port.
    pub server: Server,
    /// Image data.
    pub store: StoreSettings,
    /// More stores for image data.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub place: Vec<PlaceSettings>,
    /// Image data in a bucket.
    pub bucket: BucketSettings,
    /// Space of what was deleted.
    pub reclaim: Reclaim,
    /// Comparing what is stored with what was written.
    pub scrub: Scrub,
    /// What repairs rotten objects.
    pub parity: Parity,
    /// Where else the store's objects lie.
    pub repair: Repair,
    /// Storing each block once.
    pub dedup: Dedup,
    /// Keys of a sealed store.
    pub seal: Seal,
    /// Sign-in.
    pub identity: Identity,
    /// Who may do what.
    pub policy: Policy,
    /// Pages for people.
    pub console: Console,
    /// What images are accepted.
    pub images: Images,
    /// How much an image may ask of whoever looks into it.
    pub disks: Disks,
    /// Links to images, for fetchers without a token.
    pub links: Links,
    /// The record of what was done.
    pub audit: Audit,
    /// Imports of the Image API.
    pub imports: Imports,
    /// Long work that clients ask for.
    pub jobs: Jobs,
    /// Disks, block by block.
    pub nbd: Nbd,
    /// Buckets that images are exchanged through.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub exchange: Vec<ExchangeBucket>,
    /// Other boxes that images are copied to.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub peer: Vec<PeerBox>,
    /// The log.
    pub log: Log,
}

/// The process and its HTTP port.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Server {
    /// Directory that holds everything.
    pub data: PathBuf,
    /// `ADDR:PORT`; port 0 takes a free one.
    pub listen: String,
    /// What clients reach the server by; empty follows each request's Host.
    pub public_url: String,
    /// Connections served at once.
    pub connections_max: usize,
    /// Longest time for a request's headers, in seconds.
    pub header_timeout_s: u64,
    /// Longest time for running requests after SIGTERM, in seconds.
    pub drain_s: u64,
}

impl Default for Server {
    fn default() -> Self {
        Server {
            data: "tintype-data".into(),
            listen: "127.0.0.1:9292".into(),
            public_url: String::new(),
            connections_max: 1024,
            header_timeout_s: 30,
            drain_s: 30,
        }
    }
}

/// Image data in a bucket.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BucketSettings {
    /// Longest time to connect, in seconds.
    pub connect_timeout_s: u64,
    /// Longest time of one request, in seconds.
    pub request_timeout_s: u64,
    /// Longest time of one operation with all its tries, in seconds.
    pub operation_timeout_s: u64,
    /// Requests under way at once.
    pub requests_max: usize,
    /// Bytes of a part of a large object.
    pub part_bytes: u64,
    /// Whether the bucket refuses a name that is taken.
    pub conditional_puts: bool,
    /// Local directory for parts and the cache; empty for one inside the data directory.
    pub local_dir: String,
    /// Disk for parts that are being gathered, in bytes.
    pub spool_bytes: u64,
    /// Disk for what was read lately, in bytes; 0 for none.
    pub cache_bytes: u64,
}

impl Default for BucketSettings {
    fn default() -> Self {
        BucketSettings {
            connect_timeout_s: 5,
            request_timeout_s: 30,
            operation_timeout_s: 60,
            requests_max: 16,
            part_bytes: 8 << 20,
            conditional_puts: true,
            local_dir: String::new(),
            spool_bytes: 1 << 30,
            cache_bytes: 1 << 30,
        }
    }
}

/// Space of what was deleted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Reclaim {
    /// Whether the server gives space back by itself.
    pub automatic: bool,
    /// From a delete to its run, in seconds.
    pub delay_s: u64,
    /// Between two runs, in seconds.
    pub interval_s: u64,
    /// From the start to the first run, in seconds.
    pub start_delay_s: u64,
    /// Share of live bytes below which a pack is written anew without the dead ones, in hundredths.
    pub live_percent: u64,
    /// zstd level that packs are given once, when they are old enough.
    pub recompress_level: u64,
    /// Age from which a pack is recompressed, in seconds.
    pub recompress_after_s: u64,
    /// Between two comparisons of what came in with everything stored, in seconds; 0 for none.
    pub dedup_interval_s: u64,
    /// Time without a read after which an image is idle, in seconds.
    pub recipes_idle_s: u64,
    /// Share of the time that packs are written anew while clients are served, in hundredths.
    pub busy_percent: u64,
    /// `HH:MM-HH:MM`, the box's own time, when packs are written anew; empty for any time.
    pub window: String,
}

impl Default for Reclaim {
    fn default() -> Self {
        Reclaim {
            automatic: true,
            delay_s: 10,
            interval_s: 60,
            start_delay_s: 60,
            live_percent: 70,
            recompress_level: 9,
            recompress_after_s: 86_400,
            dedup_interval_s: 86_400,
            recipes_idle_s: 30 * 86_400,
            busy_percent: 25,
            window: String::new(),
        }
    }
}

/// Comparing what is stored with what was written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Scrub {
    /// Whether the server scrubs by itself.
    pub enabled: bool,
    /// Every object is compared once in so many days.
    pub period_days: u64,
    /// Bytes compared in a second, at most.
    pub bytes_per_s: u64,
    /// From the start to the first look, in seconds.
    pub start_delay_s: u64,
}

impl Default for Scrub {
    fn default() -> Self {
        Scrub { enabled: true, period_days: 30, bytes_per_s: 16 << 20, start_delay_s: 120 }
    }
}

/// What repairs rotten objects.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Parity {
    /// Parts of data that share `parity` parts of parity; 0 for no parity.
    pub data: u32,
    /// Parts of parity.
    pub parity: u32,
}

impl Default for Parity {
    fn default() -> Self {
        Parity { data: 0, parity: 1 }
    }
}

/// Where else the store's objects lie.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Repair {
    /// Directories and buckets that hold copies of the store, the first to be asked in front.
    pub copies: Vec<String>,
}

/// Storing each block once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Dedup {
    /// Whose images share blocks.
    pub scope: DedupScope,
    /// Which known blocks are read back before an upload relies on them.
    pub verify: DedupVerify,
}

impl Default for Dedup {
    fn default() -> Self {
        Dedup { scope: DedupScope::Store, verify: DedupVerify::Off }
    }
}

/// Whose images share blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DedupScope {
    /// All images of the box.
    Store,
    /// Those of projects in one domain.
    Domain,
    /// Those of one project.
    Project,
}

/// Which known blocks are read back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DedupVerify {
    /// None.
    Off,
    /// One in 64.
    Sample,
    /// All.
    Always,
}

/// Keys of a sealed store.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Seal {
    /// Whose images have a key domain of their own.
    pub domains: SealDomains,
    /// Keys that the images of one project may ask for; 0 lets none ask.
    pub project_keys_max: usize,
}

impl Default for Seal {
    fn default() -> Self {
        Seal { domains: SealDomains::Store, project_keys_max: 100 }
    }
}

/// Whose images have a key domain of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SealDomains {
    /// Nobody's.
    Store,
    /// Each project's.
    Project,
    /// Each image's.
    Image,
}

/// Sign-in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Identity {
    /// Whose users and projects there are.
    pub mode: IdentityMode,
    /// The cloud's Keystone, where it has them.
    pub keystone: KeystoneSettings,
    /// Life of a token, in seconds.
    pub token_ttl_s: i64,
    /// Password hashes computed at once.
    pub password_hashes_at_once: usize,
    /// Least characters of a new password.
    pub password_chars_min: usize,
    /// How many of the latest passwords a user may not choose again.
    pub password_history: usize,
    /// Seconds that a password is kept at least.
    pub password_age_min_s: u64,
    /// Days that a password is good for; 0 for ever.
    pub password_life_days: u64,
    /// Whether users have to change a password that somebody else set.
    pub password_change_first: bool,
    /// Failed sign-ins after which a user is locked out; 0 for never.
    pub lock_after_failures: u32,
    /// For how long, in seconds.
    pub lock_s: u64,
    /// Failed sign-ins from one address within a minute after which it is turned away; 0 for never.
    pub failures_per_minute: u32,
}

impl Default for Identity {
    fn default() -> Self {
        Identity {
            mode: IdentityMode::Embedded,
            keystone: KeystoneSettings::default(),
            token_ttl_s: 3600,
            password_hashes_at_once: 2,
            password_chars_min: 1,
            password_history: 0,
            password_age_min_s: 0,
            password_life_days: 0,
            password_change_first: false,
            lock_after_failures: 10,
            lock_s: 60,
            failures_per_minute: 60,
        }
    }
}

/// Whose users and projects there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IdentityMode {
    /// The box's own.
    Embedded,
    /// Those of a cloud, whose Keystone says who asks.
    Keystone,
}

/// Pages for people.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Console {
    /// Whether they are served.
    pub enabled: bool,
}

impl Default for Console {
    fn default() -> Self {
        Console { enabled: true }
    }
}

/// The record of what was done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Audit {
    /// Days that records are kept; 0 for ever.
    pub keep_days: u64,
    /// Records that are kept, whatever their age.
    pub records_max: u64,
    /// `udp://HOST:PORT`, `tcp://HOST:PORT` or `unix:PATH` of a syslog server; empty for none.
    pub syslog: String,
}

impl Default for Audit {
    fn default() -> Self {
        Audit { keep_days: 400, records_max: 10_000_000, syslog: String::new() }
    }
}

/// Long work that clients ask for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Jobs {
    /// Imports at work at once.
    pub imports_max: usize,
    /// Exports at work at once.
    pub exports_max: usize,
    /// Copies at work at once.
    pub copies_max: usize,
    /// Jobs of one project at work at once.
    pub project_running_max: usize,
    /// Jobs of one project that have not ended.
    pub project_open_max: usize,
    /// Ended jobs that are kept.
    pub kept_max: u64,
    /// How long they are kept, in seconds.
    pub kept_s: u64,
}

impl Default for Jobs {
    fn default() -> Self {
        Jobs {
            imports_max: 2,
            exports_max: 2,
            copies_max: 2,
            project_running_max: 2,
            project_open_max: 1000,
            kept_max: 10_000,
            kept_s: 2_592_000,
        }
    }
}

impl Jobs {
    fn check(&self) -> Result<(), String> {
        between("jobs.imports_max", self.imports_max as u64, 1, 64)?;
        between("jobs.exports_max", self.exports_max as u64, 1, 64)?;
        between("jobs.copies_max", self.copies_max as u64, 1, 64)?;
        between("jobs.project_running_max", self.project_running_max as u64, 1, 64)?;
        between("jobs.project_open_max", self.project_open_max as u64, 1, 100_000)?;
        between("jobs.kept_max", self.kept_max, 1, 1_000_000)?;
        between("jobs.kept_s", self.kept_s, 1, 315_360_000)
    }
}

/// The log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// How a line looks.
    pub format: LogFormat,
    /// Which lines there are, in tracing's filter syntax.
    pub filter: String,
}

impl Default for Log {
    fn default() -> Self {
        Log { format: LogFormat::Text, filter: "info".into() }
    }
}

/// How a line of the log looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Copies of the store that are looked into.
const COPIES_MAX: usize = 8;

impl Settings {
    /// Refuses values outside their range, naming the key, the value and the range.
    ///
    /// # Errors
    /// The text to show.
    pub fn check(&self) -> Result<(), String> {
        between("server.connections_max", self.server.connections_max as u64, 1, 1 << 20)?;
        between("server.header_timeout_s", self.server.header_timeout_s, 1, 3600)?;
        between("server.drain_s", self.server.drain_s, 0, 86_400)?;
        between("store.memory_bytes", self.store.memory_bytes, 64 << 20, 1 << 40)?;
        between("store.catalog_cache_bytes", self.store.catalog_cache_bytes, 1 << 20, 1 << 40)?;
        between("store.zstd_level", u64::try_from(self.store.zstd_level).unwrap_or(0), 1, 19)?;
        between("store.pack_bytes", self.store.pack_bytes, 1 << 20, 1 << 30)?;
        between("store.log_interval_s", self.store.log_interval_s, 1, 3600)?;
        between("store.snapshot_log_bytes", self.store.snapshot_log_bytes, 1 << 20, 1 << 40)?;
        between("audit.keep_days", self.audit.keep_days, 0, 36_500)?;
        between("audit.records_max", self.audit.records_max, 1000, 1 << 40)?;
        SyslogPlace::parse(&self.audit.syslog).map_err(|why| format!("audit.syslog: {why}"))?;
        between("reclaim.delay_s", self.reclaim.delay_s, 0, 86_400)?;
        between("reclaim.interval_s", self.reclaim.interval_s, 1, 86_400)?;
        between("reclaim.start_delay_s", self.reclaim.start_delay_s, 0, 86_400)?;
        between("reclaim.live_percent", self.reclaim.live_percent, 0, 100)?;
        between("reclaim.recompress_level", self.reclaim.recompress_level, 0, 19)?;
        between("reclaim.recompress_after_s", self.reclaim.recompress_after_s, 0, 315_360_000)?;
        between("reclaim.dedup_interval_s", self.reclaim.dedup_interval_s, 0, 31_536_000)?;
        between("reclaim.recipes_idle_s", self.reclaim.recipes_idle_s, 0, 315_360_000)?;
        between("reclaim.busy_percent", self.reclaim.busy_percent, 1, 100)?;
        Window::parse(&self.reclaim.window)?;
        between("scrub.period_days", self.scrub.period_days, 1, 3650)?;
        between("scrub.bytes_per_s", self.scrub.bytes_per_s, 64 << 10, 1 << 40)?;
        between("scrub.start_delay_s", self.scrub.start_delay_s, 0, 86_400)?;
        between("parity.data", self.parity.data.into(), 0, 128)?;
        between("parity.parity", self.parity.parity.into(), 1, self.parity.data.max(1).into())?;
        between("store.reserve_bytes", self.store.reserve_bytes, 0, 1 << 40)?;
        between("seal.project_keys_max", self.seal.project_keys_max as u64, 0, 10_000)?;
        between("identity.token_ttl_s", u64::try_from(self.identity.token_ttl_s).unwrap_or(0), 60, 604_800)?;
        between("identity.password_hashes_at_once", self.identity.password_hashes_at_once as u64, 1, 64)?;
        let identity = &self.identity;
        between("identity.password_chars_min", identity.password_chars_min as u64, 1, 128)?;
        between(
            "identity.password_history",
            identity.password_history as u64,
            0,
            PASSWORD_HISTORY_MAX as u64,
        )?;
        between("identity.password_age_min_s", identity.password_age_min_s, 0, 31_536_000)?;
        between("identity.password_life_days", identity.password_life_days, 0, 36_500)?;
        between("identity.lock_s", identity.lock_s, 1, 86_400)?;
        identity.keystone.check(identity.mode)?;
        self.images.check()?;
        self.disks.check()?;
        self.links.check()?;
        self.bucket.check()?;
        self.jobs.check()?;
        self.nbd.check(identity.mode)?;
        self.imports.check()?;
        exchange::check(&self.exchange)?;
        peers::check(&self.peer)?;
        places::check(&self.store, &self.place)?;
        places::check_apart(&self.store, &self.place, &self.imports.web_store)?;
        self.check_public_url()?;
        self.check_location()?;
        self.check_copies()
    }

    /// The address to listen on; a host name is looked up.
    ///
    /// # Errors
    /// The text to show.
    pub fn listen(&self) -> Result<SocketAddr, String> {
        let listen = &self.server.listen;
        listen
            .to_socket_addrs()
            .map_err(|e| format!("server.listen: \"{listen}\" is not ADDR:PORT ({e})"))?
            .next()
            .ok_or_else(|| format!("server.listen: \"{listen}\" has no address"))
    }

    /// The URL clients use, if one is fixed; never ends in a slash.
    pub fn public_url(&self) -> Option<&str> {
        let url = self.server.public_url.trim_end_matches('/');
        (!url.is_empty()).then_some(url)
    }

    fn check_public_url(&self) -> Result<(), String> {
        let url = &self.server.public_url;
        let host = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
        match host {
            _ if url.is_empty() => Ok(()),
            Some(host) if !host.is_empty() && !url.contains(['?', '#', ' ', '"']) => Ok(()),
            _ => Err(format!("server.public_url: \"{url}\" is not of the form https://HOST[:PORT]")),
        }
    }

    fn check_location(&self) -> Result<(), String> {
        let location = &self.store.location;
        if location.is_empty() || location.starts_with('/') || location.starts_with("s3://") {
            return Ok(());
        }
        Err(format!("store.location: \"{location}\" is neither an absolute path nor s3://BUCKET/PREFIX"))
    }
}

impl Settings {
    fn check_copies(&self) -> Result<(), String> {
        let copies = &self.repair.copies;
        if copies.len() > COPIES_MAX {
            return Err(format!(
                "repair.copies: {} places are too many, it takes {COPIES_MAX}",
                copies.len()
            ));
        }
        for copy in copies {
            if !copy.starts_with('/') && !copy.starts_with("s3://") {
                return Err(format!(
                    "repair.copies: \"{copy}\" is neither an absolute path nor s3://BUCKET/PREFIX"
                ));
            }
            if copy.trim_end_matches('/') == self.store.location.trim_end_matches('/') {
                return Err(format!("repair.copies: \"{copy}\" is the store itself (store.location)"));
            }
        }
        Ok(())
    }
}

impl BucketSettings {
    fn check(&self) -> Result<(), String> {
        between("bucket.connect_timeout_s", self.connect_timeout_s, 1, 300)?;
        between("bucket.request_timeout_s", self.request_timeout_s, 1, 3600)?;
        between("bucket.operation_timeout_s", self.operation_timeout_s, self.request_timeout_s, 3600)?;
        between("bucket.requests_max", self.requests_max as u64, 1, 1024)?;
        between("bucket.part_bytes", self.part_bytes, 5 << 20, 64 << 20)?;
        between("bucket.spool_bytes", self.spool_bytes, self.part_bytes, 1 << 40)?;
        between("bucket.cache_bytes", self.cache_bytes, 0, 1 << 50)?;
        if self.local_dir.is_empty() || self.local_dir.starts_with('/') {
            return Ok(());
        }
        Err(format!("bucket.local_dir: \"{}\" is no absolute path", self.local_dir))
    }
}

pub(super) fn between(key: &str, value: u64, low: u64, high: u64) -> Result<(), String> {
    if (low..=high).contains(&value) {
        return Ok(());
    }
    Err(format!("{key}: {value} is out of range, it takes {low} to {high}"))
}

#[cfg(test)]
#[path = "settings_tests.rs"]
mod tests;
