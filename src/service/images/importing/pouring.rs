//! What comes from the web on its way into the pipeline of uploads: each piece is told to the job, which can end it
//! there.
//!
//! Invariant: memory holds a few pieces, whatever the length.

use bytes::Bytes;
use futures::{Stream, StreamExt};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::service::images::BodyBroken;
use crate::service::jobs::JobAtWork;
use crate::service::upkeep::Step;
use crate::web;

/// Pieces that may wait for the pipeline.
const AHEAD: usize = 2;

/// Data that comes, and the job it comes for.
pub(super) struct Pouring {
    pub body: web::Body,
    pub job: JobAtWork,
    /// Bytes that came before.
    pub done_bytes: u64,
    /// Of how many, where that is known.
    pub total_bytes: Option<u64>,
}

/// What became of it: the job comes back either way.
pub(super) struct Poured {
    pub job: JobAtWork,
    pub outcome: Result<(), web::Error>,
}

impl Pouring {
    /// Starts to read; the stream ends with the data, or with the reason why not.
    pub(super) fn start(
        self,
    ) -> (impl Stream<Item = Result<Bytes, BodyBroken>> + Unpin + Send + 'static, JoinHandle<Poured>) {
        let (send, receive) = mpsc::channel(AHEAD);
        let runtime = Handle::current();
        // A job waits while it is held up: not a thing for the runtime's own threads.
        let reader = tokio::task::spawn_blocking(move || self.run(&runtime, &send));
        let pieces = futures::stream::unfold(receive, |mut receive| async {
            let piece = receive.recv().await?;
            Some((piece, receive))
        });
        (Box::pin(pieces), reader)
    }

    fn run(mut self, runtime: &Handle, send: &mpsc::Sender<Result<Bytes, BodyBroken>>) -> Poured {
        let outcome = self.pour(runtime, send);
        if let Err(error) = &outcome {
            // Nobody listens any more when this fails, and the outcome says as much.
            let _ = send.blocking_send(Err(BodyBroken(error.to_string())));
        }
        Poured { job: self.job, outcome }
    }

    fn pour(
        &mut self,
        runtime: &Handle,
        send: &mpsc::Sender<Result<Bytes, BodyBroken>>,
    ) -> Result<(), web::Error> {
        loop {
            let step = Step { phase: "fetching", done: self.done_bytes, total: self.total_bytes };
            if self.job.step(&step).is_break() {
                let _ = send.blocking_send(Err(BodyBroken("the job was ended".to_owned())));
                return Ok(());
            }
            let Some(piece) = runtime.block_on(self.body.next()) else { return Ok(()) };
            let piece = piece?;
            self.done_bytes += piece.len() as u64;
            if send.blocking_send(Ok(piece)).is_err() {
                // The pipeline gave up, and says why.
                return Ok(());
            }
        }
    }
}
