//! Protocols: each turns requests into use cases and their outcomes into responses.
//!
//! One router for the one port. Wire types and status codes live here only. Must not touch the
//! catalog, the store or the database; everything goes through [`crate::service`].

#[cfg(test)]
mod access_tests;
mod audit;
mod body;
mod console;
pub mod context;
mod cts;
mod edge;
mod entity_tags;
mod figures;
#[cfg(test)]
mod flood_tests;
mod gateway;
pub mod glance;
#[cfg(test)]
mod hostile_tests;
pub mod identity;
mod ims;
mod json;
mod linger;
mod listing;
mod metrics;
mod native;
pub mod openapi;
mod operations;
mod print;
mod query;
mod routing;
mod secret_paths;
pub mod server;
mod signature;
mod table;

use axum::Router;
use axum::middleware::from_fn_with_state;

use routing::Routes;

pub use audit::masked;
pub use context::ApiState;

/// Everything the port answers, the console included.
pub fn router(state: ApiState) -> Router {
    router_with(state, true)
}

/// Everything the port answers. The Image API owns the root, and whatever nobody else does. Where the console is
/// not wanted, its paths lead nowhere.
pub fn router_with(state: ApiState, console: bool) -> Router {
    let metrics = metrics::Metrics::default();
    let routes = routes(&state, metrics.clone(), console);
    let described = openapi::routes(routes.served());
    routes
        .merge(described)
        .into_router()
        .fallback(glance::routes::dispatch)
        .layer(from_fn_with_state(state.clone(), signature::pass))
        .layer(from_fn_with_state(state.clone(), audit::pass))
        .layer(from_fn_with_state(state.clone(), edge::pass))
        .layer(from_fn_with_state(metrics, metrics::measure))
        .with_state(state)
}

/// All routes but that of their description. What none of them takes is the Image API's.
fn routes(state: &ApiState, metrics: metrics::Metrics, console: bool) -> Routes {
    operations::routes(metrics)
        .merge(native::routes())
        .merge(identity::routes(state))
        .merge(ims::routes())
        .merge(cts::routes())
        .merge(console::routes(console))
        .tree(Router::new(), glance::routes::served())
}
