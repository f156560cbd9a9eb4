//! The console's files: a fixed table, built into the binary.
//!
//! Invariant: what is not in the table is not served; no path of a request ever reaches a file system.

/// One file of the console.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asset {
    /// Its path below `/console/`; empty for the page itself.
    pub path: &'static str,
    /// Its media type.
    pub media_type: &'static str,
    /// Its content.
    pub bytes: &'static [u8],
}

const SCRIPT: &str = "text/javascript; charset=utf-8";

macro_rules! script {
    ($name:literal) => {
        Asset { path: $name, media_type: SCRIPT, bytes: include_bytes!(concat!("assets/", $name)) }
    };
}

/// Every file there is.
pub(super) const ASSETS: [Asset; 28] = [
    Asset { path: "", media_type: "text/html; charset=utf-8", bytes: include_bytes!("assets/index.html") },
    Asset {
        path: "style.css",
        media_type: "text/css; charset=utf-8",
        bytes: include_bytes!("assets/style.css"),
    },
    Asset { path: "icon.svg", media_type: "image/svg+xml", bytes: include_bytes!("assets/icon.svg") },
    script!("api.js"),
    script!("csv.js"),
    script!("dom.js"),
    script!("download.js"),
    script!("exchange.js"),
    script!("image-filters.js"),
    script!("images.js"),
    script!("main.js"),
    script!("notices.js"),
    script!("record-form.js"),
    script!("session.js"),
    script!("sharing.js"),
    script!("transfers.js"),
    script!("upload.js"),
    script!("view-audit.js"),
    script!("view-create.js"),
    script!("view-deleted.js"),
    script!("view-edit.js"),
    script!("view-image.js"),
    script!("view-images.js"),
    script!("view-jobs.js"),
    script!("view-keys.js"),
    script!("view-overview.js"),
    script!("view-sign-in.js"),
    script!("words.js"),
];
