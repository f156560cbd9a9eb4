//! Routers that remember what they serve: a path and its methods are written down by the same call that adds them.
//!
//! Invariant: [`Routes::served`] names all that the router answers, but for fallbacks, which serve nothing. A GET has its
//! HEAD without saying so. Must not know what any route is for.

use std::convert::Infallible;

use axum::Router;
use axum::handler::Handler;
use axum::routing::MethodRouter;
use http::Method;

use super::context::ApiState;

/// A path, with its parameters in braces, and a method that is answered there.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Served {
    /// The path's template.
    pub path: String,
    /// The method.
    pub method: Method,
}

/// What one path answers, by method.
pub(super) struct Methods {
    router: MethodRouter<ApiState, Infallible>,
    names: Vec<Method>,
}

macro_rules! first_methods {
    ($($name:ident $method:ident),*) => {
        $(
            #[doc = concat!("A path that answers ", stringify!($method), ".")]
            pub(super) fn $name<H: Handler<T, ApiState>, T: 'static>(handler: H) -> Methods {
                Methods { router: MethodRouter::new(), names: Vec::new() }.$name(handler)
            }
        )*
    };
}

macro_rules! more_methods {
    ($($name:ident $method:ident),*) => {
        impl Methods {
            $(
                #[doc = concat!("The same path, which answers ", stringify!($method), " too.")]
                pub(super) fn $name<H: Handler<T, ApiState>, T: 'static>(mut self, handler: H) -> Methods {
                    self.router = self.router.$name(handler);
                    self.names.push(Method::$method);
                    self
                }
            )*
        }
    };
}

first_methods!(get GET, head HEAD, post POST, put PUT, delete DELETE);
more_methods!(get GET, head HEAD, post POST, put PUT, patch PATCH, delete DELETE, options OPTIONS);

impl Methods {
    /// The same path, with what it says to every other method.
    pub(super) fn otherwise<H: Handler<T, ApiState>, T: 'static>(mut self, handler: H) -> Methods {
        self.router = self.router.fallback(handler);
        self
    }
}

/// A router, and what it serves.
#[derive(Default)]
pub(super) struct Routes {
    router: Router<ApiState>,
    served: Vec<Served>,
}

impl Routes {
    /// None yet.
    pub(super) fn new() -> Routes {
        Routes::default()
    }

    /// Adds a path.
    pub(super) fn route(mut self, path: &str, methods: Methods) -> Routes {
        self.router = self.router.route(path, methods.router);
        let served = methods.names.into_iter().map(|method| Served { path: path.to_owned(), method });
        self.served.extend(served);
        self
    }

    /// Adds what another router has.
    pub(super) fn merge(mut self, other: Routes) -> Routes {
        self.router = self.router.merge(other.router);
        self.served.extend(other.served);
        self
    }

    /// Adds what another router has, below a path. Its `/` is that path itself.
    pub(super) fn nest(mut self, prefix: &str, below: Routes) -> Routes {
        self.router = self.router.nest(prefix, below.router);
        self.served.extend(below.served.into_iter().map(|served| Served {
            path: format!("{prefix}{}", if served.path == "/" { "" } else { &served.path }),
            ..served
        }));
        self
    }

    /// Adds what a router serves that cannot say so: it takes whole trees of paths, and looks into them itself.
    pub(super) fn tree(
        mut self,
        router: Router<ApiState>,
        served: impl IntoIterator<Item = Served>,
    ) -> Routes {
        self.router = self.router.merge(router);
        self.served.extend(served);
        self
    }

    /// Answers whatever leads nowhere.
    pub(super) fn fallback<H: Handler<T, ApiState>, T: 'static>(mut self, handler: H) -> Routes {
        self.router = self.router.fallback(handler);
        self
    }

    /// Answers methods that a path does not take.
    pub(super) fn method_not_allowed_fallback<H: Handler<T, ApiState>, T: 'static>(
        mut self,
        handler: H,
    ) -> Routes {
        self.router = self.router.method_not_allowed_fallback(handler);
        self
    }

    /// Puts something around all routes.
    pub(super) fn around(mut self, wrap: impl FnOnce(Router<ApiState>) -> Router<ApiState>) -> Routes {
        self.router = wrap(self.router);
        self
    }

    /// What is served, in the order in which it was added.
    pub(super) fn served(&self) -> &[Served] {
        &self.served
    }

    /// The router alone.
    pub(super) fn into_router(self) -> Router<ApiState> {
        self.router
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn here() {}

    #[test]
    fn what_is_added_is_served() {
        let below =
            Routes::new().route("/", get(here)).route("/{name}", get(here).delete(here).otherwise(here));
        let routes = Routes::new().route("/x", post(here)).nest("/v3", below);
        let served: Vec<String> =
            routes.served().iter().map(|served| format!("{} {}", served.method, served.path)).collect();
        assert_eq!(served, ["POST /x", "GET /v3", "GET /v3/{name}", "DELETE /v3/{name}"]);
    }
}
