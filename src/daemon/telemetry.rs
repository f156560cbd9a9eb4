//! The log: where lines go and how they look. Set up once, before anything else runs.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use super::settings::{Log, LogFormat};

/// Starts logging to standard error.
///
/// # Errors
/// The text to show when the filter cannot be read or logging runs already.
pub fn start(log: &Log) -> Result<(), String> {
    let filter = EnvFilter::try_new(&log.filter)
        .map_err(|e| format!("log.filter: \"{}\" is no filter ({e})", log.filter))?;
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    match log.format {
        LogFormat::Text => lines.with_target(false).try_init(),
        LogFormat::Json => lines.json().flatten_event(true).with_span_list(false).try_init(),
    }
    .map_err(|e| format!("the log cannot start: {e}"))
}
