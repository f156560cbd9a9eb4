//! `tintype quota`: what projects may have, and what they have.

use clap::{Args, Subcommand};
use http::Method;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value, json};

use super::client::{Api, Client};
use super::failure::Failure;
use super::identity::project_id;
use super::output::{Column, Output};

/// Quotas: image_count_total, image_size_total (MiB), image_stage_total (MiB) and image_count_uploading.
#[derive(Subcommand)]
pub enum Quota {
    /// What a project may have, and what it has
    Show(Show),
    /// Set limits; what is there stays, also where it is more
    Set(Set),
    /// Count anew what every project uses, should `check` say that it was counted wrong
    Recount,
}

/// Says whose to show.
#[derive(Args)]
pub struct Show {
    #[command(flatten)]
    whose: Whose,
    /// Every project, with the bytes it uses
    #[arg(long, conflicts_with_all = ["project", "default"])]
    all: bool,
}

/// Says whose to set, and to what.
#[derive(Args)]
pub struct Set {
    #[command(flatten)]
    whose: Whose,
    /// RESOURCE=N, `unlimited`, or `default`, which takes a project's own limit away
    #[arg(required = true, value_name = "RESOURCE=N", value_parser = setting, allow_hyphen_values = true)]
    limits: Vec<(String, Value)>,
}

/// A project, or what holds for those without a limit of their own.
#[derive(Args)]
struct Whose {
    /// Id or name of a project; shown is by default your own
    #[arg(long, value_name = "PROJECT", conflicts_with = "default")]
    project: Option<String>,
    /// All projects that have no limit of their own
    #[arg(long)]
    default: bool,
}

const COLUMNS: [Column; 5] =
    [("Resource", "resource"), ("Limit", "limit"), ("Used", "used"), ("Unit", "unit"), ("From", "from")];

const DEFAULT_COLUMNS: [Column; 2] = [("Resource", "resource"), ("Limit", "limit")];

const ALL_COLUMNS: [Column; 7] = [
    ("Project", "project"),
    ("Images", "images"),
    ("Most", "count_limit"),
    ("Size", "image_bytes"),
    ("Deleted", "deleted_image_bytes"),
    ("On its way", "reserved_bytes"),
    ("Most MiB", "size_limit"),
];

impl Quota {
    /// Runs the command.
    ///
    /// # Errors
    /// When the box refuses.
    pub async fn run(self, client: &Client, output: Output) -> Result<(), Failure> {
        match self {
            Quota::Show(Show { all: true, .. }) => {
                let mut answer = client.get(Api::Native, "/quotas/projects").await?;
                all(&mut answer["projects"], output)
            }
            Quota::Show(Show { whose, .. }) => {
                let path = whose.path(client).await?;
                tell(&client.get(Api::Native, &path).await?, output)
            }
            Quota::Set(Set { whose, limits }) => {
                let path = whose.path_to_set(client).await?;
                let body = Value::Object(limits.into_iter().collect::<Map<_, _>>());
                let reply = client.call_json(Method::PATCH, Api::Native, &path, &body).await?;
                tell(&reply.json().await?, output)
            }
            Quota::Recount => {
                let answer = client.call(Method::POST, Api::Native, "/quotas/recount").await?.json().await?;
                let sentence = match answer["was_wrong"].as_bool() {
                    Some(true) => "What projects use was counted wrong, and is counted anew.",
                    _ => "What projects use is what was counted.",
                };
                output.done(sentence, &answer)
            }
        }
    }
}

impl Whose {
    async fn path(&self, client: &Client) -> Result<String, Failure> {
        match (&self.project, self.default) {
            (Some(project), _) => of_project(client, project).await,
            (None, true) => Ok("/quotas/default".to_owned()),
            (None, false) => Ok("/quotas".to_owned()),
        }
    }

    async fn path_to_set(&self, client: &Client) -> Result<String, Failure> {
        if self.project.is_none() && !self.default {
            let whose =
                "whose limits? Name --project PROJECT, or --default for all that have none of their own";
            return Err(Failure::usage(whose));
        }
        self.path(client).await
    }
}

async fn of_project(client: &Client, named: &str) -> Result<String, Failure> {
    let id = project_id(client, named).await?;
    Ok(format!("/quotas/projects/{}", utf8_percent_encode(&id, NON_ALPHANUMERIC)))
}

/// Takes `RESOURCE=N` apart. Which resources there are, the box knows.
fn setting(text: &str) -> Result<(String, Value), String> {
    let (name, limit) = text.split_once('=').ok_or("say RESOURCE=N, such as image_count_total=50")?;
    let limit = match limit {
        "default" => Value::Null,
        "unlimited" => json!(-1),
        limit => limit
            .parse::<i64>()
            .map(Value::from)
            .map_err(|_| format!("{limit:?} is no whole number, `unlimited` or `default`"))?,
    };
    Ok((name.to_owned(), limit))
}

fn tell(answer: &Value, output: Output) -> Result<(), Failure> {
    if output.json {
        return output.record(answer);
    }
    if let Some(limits) = answer["limits"].as_object() {
        let row = |(resource, limit): (&String, &Value)| json!({"resource": resource, "limit": shown(limit)});
        return output.rows(&limits.iter().map(row).collect::<Vec<_>>(), &DEFAULT_COLUMNS);
    }
    let rows: Vec<Value> = answer["quotas"].as_array().into_iter().flatten().map(row).collect();
    output.rows(&rows, &COLUMNS)
}

fn row(quota: &Value) -> Value {
    let from = match (&quota["own_limit"], quota["default_limit"].as_i64()) {
        (Value::Null, Some(-1)) => "",
        (Value::Null, _) => "all projects",
        _ => "the project",
    };
    json!({
        "resource": quota["resource"],
        "limit": shown(&quota["limit"]),
        "used": quota["used"],
        "unit": quota["unit"],
        "from": from,
    })
}

fn shown(limit: &Value) -> Value {
    if limit.as_i64() == Some(-1) { "unlimited".into() } else { limit.clone() }
}

fn all(projects: &mut Value, output: Output) -> Result<(), Failure> {
    let projects = projects.as_array_mut().map(std::mem::take).unwrap_or_default();
    if output.json {
        return output.rows(&projects, &[]);
    }
    let row = |mut project: Value| {
        let limit = |resource: &str| {
            let quotas = project["quotas"].as_array().into_iter().flatten();
            let found = quotas.into_iter().find(|quota| quota["resource"] == resource);
            found.map(|quota| shown(&quota["limit"])).unwrap_or_default()
        };
        let (count, size) = (limit("image_count_total"), limit("image_size_total"));
        let named = ["project_name", "project_id"].map(|member| project[member].clone());
        project["project"] = named.into_iter().find(|name| !name.is_null()).unwrap_or_default();
        (project["count_limit"], project["size_limit"]) = (count, size);
        project
    };
    output.rows(&projects.into_iter().map(row).collect::<Vec<_>>(), &ALL_COLUMNS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_numbers_or_words() {
        assert_eq!(setting("a=5"), Ok(("a".into(), json!(5))));
        assert_eq!(setting("a=-1"), Ok(("a".into(), json!(-1))));
        assert_eq!(setting("a=unlimited"), Ok(("a".into(), json!(-1))));
        assert_eq!(setting("a=default"), Ok(("a".into(), Value::Null)));
        for wrong in ["a", "a=", "a=1.5", "a=many", "a=99999999999999999999"] {
            assert!(setting(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_row_says_where_its_limit_comes_from() {
        let quota = |own: Value, default: i64, limit: i64| {
            row(
                &json!({"resource": "r", "own_limit": own, "default_limit": default, "limit": limit, "used": 1}),
            )
        };
        assert_eq!(quota(Value::Null, -1, -1)["limit"], "unlimited");
        assert_eq!(quota(Value::Null, -1, -1)["from"], "");
        assert_eq!(quota(Value::Null, 5, 5)["from"], "all projects");
        assert_eq!(
            (&quota(json!(3), 5, 3)["from"], &quota(json!(3), 5, 3)["limit"]),
            (&json!("the project"), &json!(3))
        );
    }
}
