//! Long work as an answer that grows: one line of JSON a step, the outcome last.
//!
//! Invariant: a client that reads slowly loses steps, never the outcome, and never holds the work
//! up. Must not know what the work is.

use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::error::log;
use crate::api::context::ApiState;
use crate::service::upkeep::Step;
use crate::service::{Error, Service};

/// Lines that may wait for the client; the last place is kept for the outcome.
const LINES_WAITING_MAX: usize = 16;

/// Starts `work` where blocking is allowed and answers with its lines.
pub(super) fn respond(
    state: ApiState,
    work: impl FnOnce(&Service, &mut dyn FnMut(Step)) -> Result<Value, Error> + Send + 'static,
) -> Response {
    let (send, receive) = mpsc::channel(LINES_WAITING_MAX);
    tokio::spawn(async move {
        let steps = send.clone();
        let outcome = state.blocking(move |service| work(service, &mut |step| tell(&steps, &step))).await;
        // Nobody is there any more when this fails, and the log has what matters.
        let _ = send.send(line(&last(outcome))).await;
    });
    let lines = futures::stream::unfold(receive, |mut receive| async {
        let line = receive.recv().await?;
        Some((Ok::<_, std::convert::Infallible>(line), receive))
    });
    ([(CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(lines)).into_response()
}

fn tell(steps: &mpsc::Sender<Bytes>, step: &Step) {
    let step = json!({"progress": {"phase": step.phase, "done": step.done, "total": step.total}});
    // A full channel means a slow reader: the next step says as much as this one.
    let _ = steps.try_send(line(&step));
}

fn last(outcome: Result<Value, Error>) -> Value {
    match outcome {
        Ok(result) => json!({ "result": result }),
        Err(error) => {
            log(&error);
            json!({ "error": error.message })
        }
    }
}

fn line(value: &Value) -> Bytes {
    format!("{value}\n").into()
}
