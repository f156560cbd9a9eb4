//! Wires the parts of a box together on one data directory, for a server or for a command that
//! works on the closed store.
//!
//! Invariant: whoever composes holds the catalog's lock, so a directory is composed by at most
//! one process at a time.

use std::sync::Arc;

use axum::Router;

use super::data_dir::DataDir;
use super::error::Error;
use super::settings::Settings;
use crate::api;
use crate::api::context::ApiState;
use crate::base::{OsEntropy, SystemClock};
use crate::db::{self, Db};
use crate::service::identity::{Password, PasswordCost};
use crate::service::{Rules, Service};
use crate::store::Store;

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

/// Opens the box at `settings.server.data`, setting it up when it is new.
///
/// # Errors
/// Each cause as its own [`Error`].
pub fn open(settings: &Settings) -> Result<Parts, Error> {
    let dir = DataDir::create(&settings.server.data)?;
    let (admin_password, fresh) = dir.admin_password(&OsEntropy)?;
    let options = db::Options { cache_bytes: settings.store.catalog_cache_bytes as usize };
    let db = Db::open(&dir.catalog(), options).map_err(|cause| match cause {
        db::Error::InUse => Error::InUse(dir.path().to_owned()),
        cause => Error::Catalog { path: dir.catalog(), cause },
    })?;
    dir.close_to_others(&dir.catalog())?;
    let store = Store {};
    let service = Service::new(db, store, Arc::new(SystemClock), Arc::new(OsEntropy), rules(settings));
    if let Some(password) = &admin_password {
        service.bootstrap(&Password::new(password.clone())?)?;
    }
    Ok(Parts { dir, service, admin_password, fresh })
}

impl Parts {
    /// Everything the box answers.
    pub fn router(&self, settings: &Settings) -> Router {
        let public_url = settings.public_url().map(str::to_owned);
        api::router(ApiState { service: self.service.clone(), public_url })
    }

    /// Finishes what is queued and closes the files, reporting what dropping them would hide.
    ///
    /// # Errors
    /// [`Error::Catalog`].
    pub fn close(self) -> Result<(), Error> {
        let db = self.service.db().clone();
        drop(self.service);
        db.close().map_err(|cause| Error::Catalog { path: self.dir.catalog(), cause })
    }
}

fn rules(settings: &Settings) -> Rules {
    Rules {
        token_ttl_s: settings.identity.token_ttl_s,
        image_bytes_max: settings.images.bytes_max,
        require_format_match: settings.images.require_format_match,
        password_hashes_at_once: settings.identity.password_hashes_at_once,
        password_cost: PasswordCost::default(),
    }
}
