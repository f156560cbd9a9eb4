//! The web console: pages for people, at `/console/`.
//!
//! Serves a fixed set of files and nothing else. Everything the pages do goes through the same interfaces as any
//! client's requests, with the caller's own token. Invariant: no answer depends on who asks. Must not know the
//! service behind the interfaces.

mod assets;
mod serve;

use axum::Router;
use axum::routing::any;

use super::routing::{Routes, get};

/// The console's routes; where it is not wanted, they lead nowhere.
pub(super) fn routes(enabled: bool) -> Routes {
    let paths = ["/console", "/console/", "/console/{*path}"];
    if !enabled {
        // Without routes the Image API would take the paths, and name its versions.
        let nowhere =
            paths.into_iter().fold(Router::new(), |routes, path| routes.route(path, any(serve::nothing)));
        return Routes::new().tree(nowhere, []);
    }
    let [bare, page, files] = paths;
    Routes::new()
        .route(bare, get(serve::redirect).otherwise(serve::redirect))
        .route(page, get(serve::page).otherwise(serve::page))
        .route(files, get(serve::file).otherwise(serve::file))
}

#[cfg(test)]
mod tests;
