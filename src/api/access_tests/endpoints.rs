//! The last table of `src/docs/ACCESS.md`: every route, what it does, and who may.

use std::fmt::Write as _;

use super::{CALLERS, Caller, World};

/// Whether an answer is of somebody who was let through. What is not shown looks as if it were not there, so that other
/// refusals tell something only of who sees the thing.
pub(super) fn is_let_through(answer: &str, sees: bool) -> bool {
    answer.starts_with('2') || (sees && !matches!(answer, "401" | "403" | "none"))
}

/// Whether a path is one that a template stands for.
fn is_of(path: &str, template: &str) -> bool {
    let path = path.split('?').next().unwrap_or_default();
    let (given, wanted): (Vec<&str>, Vec<&str>) = (path.split('/').collect(), template.split('/').collect());
    let fits = |(given, wanted): (&&str, &&str)| given == wanted || wanted.starts_with('{');
    given.len() == wanted.len() && given.iter().zip(&wanted).all(fits)
}

const ENDPOINTS: &str = "
## Endpoints

Every route of the description that `GET /tintype/v1/openapi.json` shows and `tintype openapi` prints. *Anybody* needs no
token. *Whoever signed in* may ask, and gets what is theirs. Else those of the callers above are named who were let
through: to an image of their own project, and to what is not there. The Identity API is at `/identity/v3` too.

| endpoint | what it does | who may |
|---|---|---|
";

/// Callers that the routes of the tables before let through.
pub(super) type Admitted = Vec<(&'static str, String, Vec<&'static str>)>;

/// The table of all endpoints.
pub(super) async fn endpoints(world: &World, admitted: &Admitted) -> String {
    let mut table = ENDPOINTS.to_owned();
    for (served, summary) in crate::api::openapi::summaries() {
        let (method, path) = (served.method.as_str(), served.path.as_str());
        if path.starts_with("/identity/v3/") {
            continue;
        }
        let who = admitted.iter().filter(|(of, asked, _)| *of == method && is_of(asked, path));
        let who: Vec<&[&str]> = who.map(|(.., names)| names.as_slice()).collect();
        let widest = who.iter().max_by_key(|names| names.len());
        let admitted = match widest {
            Some(names) => Some(names.to_vec()),
            None => world.admitted(method, path).await,
        };
        let who = match admitted.as_deref() {
            None => "anybody".to_owned(),
            Some([]) => "none of these".to_owned(),
            Some(names) if names.len() == CALLERS.len() => "whoever signed in".to_owned(),
            Some(names) => names.join("; "),
        };
        let _ = writeln!(table, "| `{method} {path}` | {summary} | {who} |");
    }
    table
}

impl World {
    /// Who is let through by a route that is in no table: `None` is anybody.
    async fn admitted(&self, method: &str, path: &str) -> Option<Vec<&'static str>> {
        let id = uuid::Uuid::nil().to_string();
        let segment = |segment: &str| match segment {
            "{project_id}" | "{project}" => self.lab.as_str().to_owned(),
            "{*path}" => "console.js".to_owned(),
            "{domain}" => "2".to_owned(),
            name if name.starts_with('{') => id.clone(),
            word => word.to_owned(),
        };
        let path = path.split('/').map(segment).collect::<Vec<_>>().join("/");
        let nobody = Caller { name: "", user: String::new(), token: String::new() };
        if self.ask(&nobody, method, &path, "").await != "401" {
            return None;
        }
        if method == "DELETE" && path.ends_with("/auth/tokens") {
            // Each would end its own.
            return Some(CALLERS.map(|(name, ..)| name).into());
        }
        let mut names = Vec::new();
        for caller in &self.callers {
            let answer = self.ask(caller, method, &path, "").await;
            // A body that is refused before rights are looked at tells nothing.
            assert!(
                answer != "400" || path.contains("cloudimages") || path.contains("/images/"),
                "{method} {path} needs a line in a table"
            );
            if is_let_through(&answer, true) {
                names.push(caller.name);
            }
        }
        Some(names)
    }
}
