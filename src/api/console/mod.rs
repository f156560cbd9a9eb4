//! The web console: pages for people, at `/console/`.
//!
//! Serves a fixed set of files and nothing else. Everything the pages do goes through the same interfaces as any
//! client's requests, with the caller's own token. Invariant: no answer depends on who asks. Must not know the
//! service behind the interfaces.

mod assets;
mod serve;

use axum::Router;
use axum::routing::any;

use super::context::ApiState;

/// The console's routes; where it is not wanted, they lead nowhere.
pub fn routes(enabled: bool) -> Router<ApiState> {
    let paths = ["/console", "/console/", "/console/{*path}"];
    if !enabled {
        // Without routes the Image API would take the paths, and name its versions.
        return paths.into_iter().fold(Router::new(), |routes, path| routes.route(path, any(serve::nothing)));
    }
    let [bare, page, files] = paths;
    Router::new()
        .route(bare, any(serve::redirect))
        .route(page, any(serve::page))
        .route(files, any(serve::file))
}

#[cfg(test)]
mod tests;
