//! Tables of paths and methods, for protocols that look into whole trees of paths themselves.
//!
//! Invariant: the table is the one place that says what leads where: who looks up, who tells which methods a path takes,
//! and who describes the protocol read the same lines. The first line that fits counts, so that words stand before
//! parameters. Must not know any protocol.

use std::borrow::Cow;

use axum::response::Response;
use futures::future::BoxFuture;
use http::Method;

use super::routing::Served;
use crate::model::{ImageId, ProjectId};

/// What a method of a path leads to, for calls `C` and refusals `R`.
pub(super) struct Line<C: 'static, R: 'static> {
    /// The method.
    pub method: &'static str,
    /// The path, a parameter in braces for any one segment that is not empty.
    pub path: &'static str,
    /// Answers a call, given what stood for the parameters.
    pub run: fn(C, Names) -> BoxFuture<'static, Result<Response, R>>,
}

/// What stands in a path for its parameters.
pub(super) struct Names(Vec<(&'static str, String)>);

/// What stands for a parameter cannot be what it has to be: its name, and the text.
pub(super) struct Misnamed {
    /// The parameter.
    pub name: &'static str,
    /// What stands there.
    pub text: String,
}

/// What a parameter can be read as.
pub(super) trait Segment: Sized {
    /// The value, where the text is one.
    fn read(text: &str) -> Option<Self>;
}

impl Segment for String {
    fn read(text: &str) -> Option<String> {
        Some(text.to_owned())
    }
}

impl Segment for ProjectId {
    fn read(text: &str) -> Option<ProjectId> {
        Some(text.into())
    }
}

impl Segment for ImageId {
    fn read(text: &str) -> Option<ImageId> {
        ImageId::parse(text)
    }
}

impl Names {
    /// What stands for a parameter; nothing, where the path has none of that name.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| *known == name).map(|(_, text)| text.as_str())
    }

    /// What stands for a parameter, read.
    ///
    /// # Errors
    /// It is none of what it has to be.
    pub(super) fn get<T: Segment>(&self, name: &'static str) -> Result<T, Misnamed> {
        let text = self.text(name).unwrap_or_default();
        T::read(text).ok_or_else(|| Misnamed { name, text: text.to_owned() })
    }
}

/// What a path leads to.
pub(super) enum Lookup<'t, C: 'static, R: 'static> {
    /// This line, with what stands for its parameters.
    Line(&'t Line<C, R>, Names),
    /// The path takes these methods, of which the one asked for is none.
    Methods(Vec<&'static str>),
    /// Nothing.
    Nothing,
}

/// Looks a path up in tables, its segments decoded.
pub(super) fn look_up<'t, C: 'static, R: 'static>(
    lines: impl Iterator<Item = &'t Line<C, R>>,
    method: &Method,
    segments: &[Cow<'_, str>],
) -> Lookup<'t, C, R> {
    let mut methods = Vec::new();
    for line in lines {
        let Some(names) = fit(line.path, segments) else { continue };
        if line.method == method.as_str() {
            return Lookup::Line(line, Names(names));
        }
        if !methods.contains(&line.method) {
            methods.push(line.method);
        }
    }
    if methods.is_empty() { Lookup::Nothing } else { Lookup::Methods(methods) }
}

/// What lines serve, below a prefix.
pub(super) fn served<'t, C: 'static, R: 'static>(
    prefix: &str,
    lines: impl Iterator<Item = &'t Line<C, R>>,
) -> Vec<Served> {
    lines
        .filter_map(|line| {
            let method = line.method.parse().ok()?;
            Some(Served { path: format!("{prefix}{}", line.path), method })
        })
        .collect()
}

/// What stands for the parameters of a path, where the segments fit it.
fn fit(path: &'static str, segments: &[Cow<'_, str>]) -> Option<Vec<(&'static str, String)>> {
    let mut names = Vec::new();
    let mut given = segments.iter();
    for wanted in path.split('/').skip(1) {
        let given = given.next()?;
        match wanted.strip_prefix('{').and_then(|name| name.strip_suffix('}')) {
            Some(_) if given.is_empty() => return None,
            Some(name) => names.push((name, given.clone().into_owned())),
            None if given == wanted => {}
            None => return None,
        }
    }
    given.next().is_none().then_some(names)
}

/// Lines of a table: a method, a path, and the handler with the parameters that it takes beside the call.
macro_rules! table {
    ($($method:literal $path:literal => $($handler:ident)::+($($name:ident),*);)*) => {
        &[$($crate::api::table::Line {
            method: $method,
            path: $path,
            run: |call, _names| {
                Box::pin(async move { $($handler)::+(call $(, _names.get(stringify!($name))?)*).await })
            },
        }),*]
    };
}
pub(super) use table;

#[cfg(test)]
mod tests {
    use super::*;

    type Outcome = Result<Response, Misnamed>;

    async fn none(_: ()) -> Outcome {
        Ok(Response::default())
    }

    async fn one(_: (), _: ImageId) -> Outcome {
        Ok(Response::default())
    }

    static LINES: &[Line<(), Misnamed>] = table! {
        "GET" "/images" => none();
        "PUT" "/images/all" => none();
        "PUT" "/images/{image}" => one(image);
        "GET" "/images/{image}" => one(image);
    };

    fn found(method: &str, path: &str) -> Result<(&'static str, Names), Vec<&'static str>> {
        let segments: Vec<Cow<'_, str>> = path.split('/').skip(1).map(Cow::from).collect();
        match look_up(LINES.iter(), &method.parse().unwrap(), &segments) {
            Lookup::Line(line, names) => Ok((line.path, names)),
            Lookup::Methods(methods) => Err(methods),
            Lookup::Nothing => Err(Vec::new()),
        }
    }

    #[test]
    fn words_and_parameters_lead_to_lines() {
        assert_eq!(found("GET", "/images").ok().unwrap().0, "/images");
        assert_eq!(found("PUT", "/images/all").ok().unwrap().0, "/images/all");
        let (path, names) = found("GET", "/images/all").ok().unwrap();
        assert_eq!((path, names.text("image")), ("/images/{image}", Some("all")));
        assert!(names.get::<ImageId>("image").is_err_and(|wrong| wrong.text == "all"));
    }

    #[test]
    fn what_leads_nowhere_is_told_from_what_takes_another_method() {
        assert_eq!(found("POST", "/images").err().unwrap(), ["GET"]);
        assert_eq!(found("DELETE", "/images/x").err().unwrap(), ["PUT", "GET"]);
        for path in ["/", "/images/", "/images/x/y", "/image"] {
            assert_eq!(found("GET", path).err().unwrap(), Vec::<&str>::new(), "{path}");
        }
    }

    #[tokio::test]
    async fn a_line_runs_its_handler_with_what_stands_in_the_path() {
        let (_, names) = found("PUT", "/images/x").ok().unwrap();
        assert!((LINES[2].run)((), names).await.is_err());
        assert_eq!(served("/v2", LINES.iter())[1].path, "/v2/images/all");
    }
}
