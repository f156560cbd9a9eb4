//! Tasks: imports as jobs of the Image API's kind.

use axum::http::header::{HeaderValue, LOCATION};
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value, json};

use super::call::{Call, json_response};
use super::error::Refusal;
use super::wire::{object, read_new_image};
use crate::api::query;
use crate::base::Time;
use crate::model::ImageId;
use crate::model::job::{DataOrigin, Intake, IntakeKind, Job, JobId, Task};
use crate::service::images::{Destination, NewIntake, TaskFilter, TaskState};

/// Tasks of a page when the client names no limit, and the most it gets.
const PAGE_DEFAULT: usize = 25;
/// See [`PAGE_DEFAULT`].
const PAGE_MAX: usize = 1000;
/// What a listing may be sorted by.
const SORT_KEYS: [&str; 8] =
    ["id", "type", "status", "created_at", "expires_at", "updated_at", "owner", "image_id"];

/// A page of tasks.
pub(super) async fn list(mut call: Call) -> Result<Response, Refusal> {
    call.expect_no_body().await?;
    let asked = Asked::read(&call.parts.uri)?;
    let filter = asked.filter.clone();
    let tasks = call
        .run(move |service, actor| {
            let tasks = service.import_tasks(actor, &filter)?.into_iter();
            Ok(tasks.filter_map(|job| Told::of(job, |job| service.task_expires_at(job))).collect::<Vec<_>>())
        })
        .await?;
    Ok(json_response(StatusCode::OK, asked.page(tasks)?.to_string().into_bytes()))
}

/// One task.
pub(super) async fn show(mut call: Call, id: String) -> Result<Response, Refusal> {
    let id = task_id(&id).ok_or_else(Refusal::no_path)?;
    call.expect_no_body().await?;
    let told = call
        .run(move |service, actor| {
            let job = service.import_task(actor, &id)?;
            Ok(Told::of(job, |job| service.task_expires_at(job)))
        })
        .await?;
    let body = told.ok_or_else(Refusal::no_path)?.whole();
    Ok(json_response(StatusCode::OK, body.to_string().into_bytes()))
}

/// Makes an image and imports it.
pub(super) async fn create(mut call: Call) -> Result<Response, Refusal> {
    let body = object(call.json().await?)?;
    let Some(kind) = body.get("type").and_then(Value::as_str) else {
        return Err(Refusal::bad("a task needs a type"));
    };
    if kind != IntakeKind::TaskImport.as_str() {
        let shown: String = kind.chars().take(100).collect();
        return Err(Refusal::bad(format!("tasks of type {shown:?} cannot be asked for; import can")));
    }
    let Some(Value::Object(input)) = body.get("input") else {
        return Err(Refusal::bad("a task of type import needs an input"));
    };
    let text = |key: &str| {
        let text = input.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
        text.ok_or_else(|| Refusal::bad(format!("the input of a task of type import needs {key}")))
    };
    let (from, format) = (text("import_from")?.to_owned(), text("import_from_format")?);
    let Some(Value::Object(properties)) = input.get("image_properties") else {
        return Err(Refusal::bad("the input of a task of type import needs image_properties"));
    };
    let mut record = properties.clone();
    record.entry("disk_format").or_insert_with(|| format.into());
    record.entry("container_format").or_insert_with(|| "bare".into());
    let image = read_new_image(Value::Object(record))?;
    let new = NewIntake {
        kind: IntakeKind::TaskImport,
        origin: DataOrigin::Web { url: from },
        input: Value::Object(input.clone()).to_string(),
        to: Destination::default(),
        convert: None,
    };
    let job = call.run(move |service, actor| service.import_new_image(actor, image, new)).await?;
    let told = Told::of(job, |_| None).ok_or_else(Refusal::no_path)?;
    let mut response = json_response(StatusCode::CREATED, told.whole().to_string().into_bytes());
    if let Ok(location) = HeaderValue::from_str(&format!("/v2/tasks/{}", told.id())) {
        response.headers_mut().insert(LOCATION, location);
    }
    Ok(response)
}

/// The tasks of one image.
pub(super) async fn of_image(mut call: Call, id: ImageId) -> Result<Response, Refusal> {
    call.expect_no_body().await?;
    let tasks = call
        .run(move |service, actor| {
            let tasks = service.import_tasks_of(actor, &id)?.into_iter();
            Ok(tasks.filter_map(|job| Told::of(job, |job| service.task_expires_at(job))).collect::<Vec<_>>())
        })
        .await?;
    let tasks: Vec<Value> = tasks.iter().map(Told::beside_image).collect();
    Ok(json_response(StatusCode::OK, json!({ "tasks": tasks }).to_string().into_bytes()))
}

/// What a listing asks for.
struct Asked {
    filter: TaskFilter,
    limit: usize,
    marker: Option<JobId>,
    sort_key: &'static str,
    ascending: bool,
    /// The query without its marker, for links.
    kept: Vec<(String, String)>,
}

impl Asked {
    fn read(uri: &Uri) -> Result<Asked, Refusal> {
        let mut asked = Asked {
            filter: TaskFilter::default(),
            limit: PAGE_DEFAULT,
            marker: None,
            sort_key: "created_at",
            ascending: false,
            kept: Vec::new(),
        };
        for (name, value) in query::pairs(uri).ok_or_else(|| Refusal::bad("the query is not valid UTF-8"))? {
            let bad = |expected: &str| Refusal::bad(format!("{name} must be {expected}, not {value:?}"));
            match name.as_str() {
                "marker" => asked.marker = Some(task_id(&value).ok_or_else(|| bad("the id of a task"))?),
                "limit" => {
                    let limit: usize = value.parse().map_err(|_| bad("a number"))?;
                    asked.limit = limit.min(PAGE_MAX);
                }
                "status" => {
                    let known = TaskState::ALL.into_iter().find(|state| state.as_str() == value);
                    asked.filter.state =
                        Some(known.ok_or_else(|| bad("pending, processing, success or failure"))?);
                }
                "type" => {
                    let known = IntakeKind::ALL.into_iter().find(|kind| kind.as_str() == value);
                    asked.filter.kind = Some(known.ok_or_else(|| bad("import"))?);
                }
                "sort_key" => {
                    let known = SORT_KEYS.into_iter().find(|key| *key == value);
                    asked.sort_key = known.ok_or_else(|| bad(&SORT_KEYS.join(", ")))?;
                }
                "sort_dir" => match value.as_str() {
                    "asc" => asked.ascending = true,
                    "desc" => asked.ascending = false,
                    _ => return Err(bad("asc or desc")),
                },
                // The reference leaves others out of account.
                _ => continue,
            }
            if name != "marker" {
                asked.kept.push((name, value));
            }
        }
        Ok(asked)
    }

    fn page(&self, mut tasks: Vec<Told>) -> Result<Value, Refusal> {
        tasks.sort_by_key(|told| (told.sort_text(self.sort_key), told.job.number));
        if !self.ascending {
            tasks.reverse();
        }
        let start = match &self.marker {
            None => 0,
            Some(marker) => {
                let at = tasks.iter().position(|told| told.job.id == *marker);
                at.ok_or_else(|| Refusal::new(StatusCode::NOT_FOUND, "the marker is no task"))? + 1
            }
        };
        let page = tasks.get(start..).unwrap_or_default();
        let page = &page[..page.len().min(self.limit)];
        let mut body = json!({
            "tasks": page.iter().map(Told::stub).collect::<Vec<_>>(),
            "first": self.link(None),
            "schema": "/v2/schemas/tasks",
        });
        if let Some(last) = page.last().filter(|_| page.len() == self.limit) {
            body["next"] = self.link(Some(&last.id())).into();
        }
        Ok(body)
    }

    fn link(&self, marker: Option<&str>) -> String {
        let kept = self.kept.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let encoded = |text| utf8_percent_encode(text, NON_ALPHANUMERIC);
        let pairs = kept.chain(marker.map(|marker| ("marker", marker)));
        let pairs: Vec<String> = pairs.map(|(name, value)| format!("{}={}", name, encoded(value))).collect();
        match pairs.is_empty() {
            true => "/v2/tasks".to_owned(),
            false => format!("/v2/tasks?{}", pairs.join("&")),
        }
    }
}

/// A task, ready to be printed.
struct Told {
    job: Job,
    intake: Intake,
    expires_at: Option<Time>,
}

impl Told {
    fn of(job: Job, expires_at: impl Fn(&Job) -> Option<Time>) -> Option<Told> {
        match job.task.clone() {
            Some(Task::Intake(intake)) => Some(Told { expires_at: expires_at(&job), job, intake }),
            _ => None,
        }
    }

    fn id(&self) -> String {
        uuid::Uuid::from_bytes(self.job.id.0).hyphenated().to_string()
    }

    fn updated_at(&self) -> Time {
        self.job.finished_at.or(self.job.started_at).unwrap_or(self.job.created_at)
    }

    fn sort_text(&self, key: &str) -> String {
        match key {
            "id" => self.id(),
            "type" => self.intake.kind.as_str().to_owned(),
            "status" => TaskState::of(self.job.state).as_str().to_owned(),
            "expires_at" => self.expires_at.map(Time::rfc3339_micros).unwrap_or_default(),
            "updated_at" => self.updated_at().rfc3339_micros(),
            "owner" => self.owner().unwrap_or_default().to_owned(),
            "image_id" => self.intake.image.to_string(),
            _ => self.job.created_at.rfc3339_micros(),
        }
    }

    fn owner(&self) -> Option<&str> {
        self.job.project.as_ref().map(|project| project.as_str())
    }

    /// What every form has, with its times written so.
    fn common(&self, time: fn(Time) -> String) -> Map<String, Value> {
        let told = json!({
            "id": self.id(),
            "type": self.intake.kind.as_str(),
            "status": TaskState::of(self.job.state).as_str(),
            "owner": self.owner(),
            "user_id": self.job.user.as_ref().map(|user| user.as_str()),
            "request_id": self.intake.request_id,
            "image_id": self.intake.image.to_string(),
            "created_at": time(self.job.created_at),
            "updated_at": time(self.updated_at()),
            "expires_at": self.expires_at.map(time),
        });
        match told {
            Value::Object(told) => told,
            _ => Map::new(),
        }
    }

    fn outcome(&self, mut told: Map<String, Value>) -> Map<String, Value> {
        let input = serde_json::from_str(&self.intake.input).unwrap_or(Value::Null);
        let is_success = TaskState::of(self.job.state) == TaskState::Success;
        let result = is_success.then(|| json!({"image_id": self.intake.image.to_string()}));
        let message = match (&self.job.error, is_success) {
            (Some(error), _) => error.message.clone(),
            (None, true) => format!("Copied {} MiB", self.job.result.get("image_bytes").unwrap_or(&0) >> 20),
            (None, false) => self.job.phase.clone(),
        };
        told.insert("input".into(), input);
        told.insert("result".into(), result.into());
        told.insert("message".into(), message.into());
        told
    }

    fn links(&self, mut told: Map<String, Value>) -> Value {
        told.insert("self".into(), format!("/v2/tasks/{}", self.id()).into());
        told.insert("schema".into(), "/v2/schemas/task".into());
        Value::Object(told)
    }

    fn stub(&self) -> Value {
        self.links(self.common(Time::rfc3339_seconds))
    }

    fn whole(&self) -> Value {
        self.links(self.outcome(self.common(Time::rfc3339_seconds)))
    }

    /// The reference prints them in another form where they stand beside their image.
    fn beside_image(&self) -> Value {
        let mut told =
            self.outcome(self.common(|time| time.rfc3339_micros().trim_end_matches('Z').to_owned()));
        told.insert("deleted".into(), false.into());
        told.insert("deleted_at".into(), Value::Null);
        Value::Object(told)
    }
}

/// A task's id, with its dashes.
fn task_id(text: &str) -> Option<JobId> {
    let id = uuid::Uuid::try_parse(text).ok().filter(|id| id.hyphenated().to_string() == text)?;
    Some(JobId(id.into_bytes()))
}
