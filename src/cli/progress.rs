//! How long work shows how far it is: a bar on a terminal, nothing that a log would choke on
//! elsewhere. Always on standard error, so that results stay clean.

use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressStyle};

/// Progress of one piece of work.
pub struct Progress {
    bar: ProgressBar,
}

impl Progress {
    /// Bytes on their way, of `total` where that is known.
    pub fn bytes(total: Option<u64>) -> Progress {
        if !std::io::stderr().is_terminal() {
            return Progress { bar: ProgressBar::hidden() };
        }
        let template = match total {
            Some(_) => "{wide_bar} {decimal_bytes}/{decimal_total_bytes} {decimal_bytes_per_sec} {eta}",
            None => "{spinner} {decimal_bytes} {decimal_bytes_per_sec}",
        };
        Progress { bar: styled(total, template) }
    }

    /// Steps of work whose extent is told as it goes.
    pub fn steps() -> Progress {
        if !std::io::stderr().is_terminal() {
            return Progress { bar: ProgressBar::hidden() };
        }
        Progress { bar: styled(None, "{spinner} {msg} {human_pos}") }
    }

    /// Some more is done.
    pub fn add(&self, amount: u64) {
        self.bar.inc(amount);
    }

    /// Where the work stands now.
    pub fn set(&self, phase: &str, done: u64) {
        self.bar.set_message(phase.to_owned());
        self.bar.set_position(done);
    }

    /// Takes the bar away.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

fn styled(total: Option<u64>, template: &str) -> ProgressBar {
    let bar = total.map_or_else(ProgressBar::new_spinner, ProgressBar::new);
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar
}
