//! How long work shows how far it is: a bar on a terminal, a few plain lines elsewhere. Always on
//! standard error, so that results stay clean.

use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressStyle};

use super::output::human_bytes;

/// Bytes between two plain lines.
const LINE_EVERY_BYTES: u64 = 1 << 30;

/// Progress of one piece of work.
pub struct Progress {
    face: Face,
    total: Option<u64>,
    done: u64,
    phase: String,
}

enum Face {
    Bar(ProgressBar),
    Lines,
}

impl Progress {
    /// Bytes on their way, of `total` where that is known.
    pub fn bytes(total: Option<u64>) -> Progress {
        let template = match total {
            Some(_) => "{wide_bar} {binary_bytes}/{binary_total_bytes} {binary_bytes_per_sec} {eta}",
            None => "{spinner} {binary_bytes} {binary_bytes_per_sec}",
        };
        Progress::new(total, template)
    }

    /// Steps of work whose extent is told as it goes.
    pub fn steps() -> Progress {
        Progress::new(None, "{spinner} {msg} {human_pos}")
    }

    fn new(total: Option<u64>, template: &str) -> Progress {
        let face = if std::io::stderr().is_terminal() {
            let bar = total.map_or_else(ProgressBar::new_spinner, ProgressBar::new);
            if let Ok(style) = ProgressStyle::with_template(template) {
                bar.set_style(style);
            }
            Face::Bar(bar)
        } else {
            Face::Lines
        };
        Progress { face, total, done: 0, phase: String::new() }
    }

    /// Some more bytes are done.
    pub fn add(&mut self, bytes: u64) {
        let before = self.done;
        self.done += bytes;
        match &self.face {
            Face::Bar(bar) => bar.set_position(self.done),
            Face::Lines if before / LINE_EVERY_BYTES < self.done / LINE_EVERY_BYTES => {
                let total = self.total.map(|total| format!(" of {}", human_bytes(total))).unwrap_or_default();
                eprintln!("{}{total}", human_bytes(self.done));
            }
            Face::Lines => {}
        }
    }

    /// Where bytes on their way stand now: further, or back where they are sent again.
    pub fn stand_at(&mut self, bytes: u64) {
        self.done = bytes;
        if let Face::Bar(bar) = &self.face {
            bar.set_position(bytes);
        }
    }

    /// A word beside the bar: why nothing moves.
    pub fn say(&self, text: &str) {
        match &self.face {
            Face::Bar(bar) => bar.println(text),
            Face::Lines => eprintln!("{text}"),
        }
    }

    /// Where the work stands now.
    pub fn set(&mut self, phase: &str, done: u64) {
        self.done = done;
        match &self.face {
            Face::Bar(bar) => {
                bar.set_message(phase.to_owned());
                bar.set_position(done);
            }
            Face::Lines if phase != self.phase => eprintln!("{phase}"),
            Face::Lines => {}
        }
        phase.clone_into(&mut self.phase);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Face::Bar(bar) = &self.face {
            bar.finish_and_clear();
        }
    }
}
