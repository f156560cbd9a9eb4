//! Long work on the server: reads its lines of JSON, shows progress, gives back the result.

use futures::StreamExt;
use http::Method;
use serde_json::Value;

use super::client::{Api, Client};
use super::failure::Failure;
use super::progress::Progress;

/// Longest line that is accepted.
const LINE_BYTES_MAX: usize = 16 << 20;

/// Starts the work at `path` and waits for its result.
///
/// # Errors
/// When the work fails, or the server goes away before it ends.
pub async fn follow(client: &Client, path: &str) -> Result<Value, Failure> {
    let mut pieces = client.call(Method::POST, Api::Native, path).await?.bytes();
    let mut progress = Progress::steps();
    let mut waiting = Vec::new();
    let mut outcome = None;
    while let Some(piece) = pieces.next().await {
        waiting.extend_from_slice(&piece?);
        while let Some(end) = waiting.iter().position(|b| *b == b'\n') {
            let line: Vec<u8> = waiting.drain(..=end).collect();
            outcome = read(&line, &mut progress)?.or(outcome);
        }
        if waiting.len() > LINE_BYTES_MAX {
            return Err(Failure::failed("the server's answer has no end of line"));
        }
    }
    outcome.ok_or_else(|| Failure::failed("the server went away before the work ended"))
}

/// One line: progress is shown, a result given back, an error is the work's failure.
fn read(line: &[u8], progress: &mut Progress) -> Result<Option<Value>, Failure> {
    let mut line: Value = serde_json::from_slice(line)
        .map_err(|e| Failure::failed(format!("the server's answer is no JSON: {e}")))?;
    if let Some(error) = line["error"].as_str() {
        return Err(Failure::failed(error));
    }
    if let Some(result) = line.get_mut("result") {
        return Ok(Some(result.take()));
    }
    let step = &line["progress"];
    progress.set(step["phase"].as_str().unwrap_or_default(), step["done"].as_u64().unwrap_or(0));
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_line_fails_the_command() {
        let mut progress = Progress::steps();
        assert_eq!(read(b"{\"progress\":{\"phase\":\"x\",\"done\":1}}", &mut progress).ok().unwrap(), None);
        assert_eq!(read(b"{\"result\":{\"a\":1}}", &mut progress).ok().unwrap().unwrap()["a"], 1);
        assert_eq!(read(b"{\"error\":\"full\"}", &mut progress).err().unwrap().message, "full");
    }
}
