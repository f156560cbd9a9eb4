//! Threads of a stream or of a short work: started where there is work, ended by it.

use super::error::Error;

/// Runs `work` on a thread of its own, which the system shows under `name`.
pub fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<(), Error> {
    std::thread::Builder::new()
        .name(name.into())
        .spawn(work)
        .map(|_| ())
        .map_err(|e| Error::Unavailable(format!("no thread for an upload: {e}")))
}
