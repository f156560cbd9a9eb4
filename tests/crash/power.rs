//! The power supply of all simulated media: numbers every durable step, keeps the trace, and lets
//! the chosen step fail in the chosen way.
//!
//! Invariant: once power is gone, no medium does or answers anything any more.

use std::sync::{Arc, Mutex, MutexGuard};

/// One durable step, as the trace keeps it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Step {
    /// `db` or `objects`.
    pub medium: &'static str,
    /// What is done.
    pub action: &'static str,
    /// To what: an offset, a length, a key.
    pub on: String,
    /// Tells steps with different bytes apart.
    pub digest: [u8; 8],
}

impl Step {
    /// A step without bytes.
    pub fn new(medium: &'static str, action: &'static str, on: impl ToString) -> Step {
        Step { medium, action, on: on.to_string(), digest: [0; 8] }
    }

    /// A step that carries bytes.
    pub fn with(mut self, bytes: &[u8]) -> Step {
        self.digest.copy_from_slice(&blake3::hash(bytes).as_bytes()[..8]);
        self
    }
}

/// What happens at the chosen step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Power goes instead of the step.
    CutBefore,
    /// The step happens, and power goes before it is answered.
    CutAfter,
    /// The medium answers with an I/O error; the step did not happen and the process goes on.
    Refused,
    /// The medium is full; the step did not happen and the process goes on.
    Full,
    /// The step happened, but the medium answers with an I/O error; the process goes on.
    FailedButDone,
}

/// Which step fails, counted from the moment the plan is made.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Its number, from 0.
    pub at: u64,
    /// How.
    pub fault: Fault,
}

/// What a medium is to do with a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// Do it and say so.
    Done,
    /// Do it and answer with a failure.
    DoneButFailed,
    /// Do not do it; answer with a failure.
    Failed,
    /// Do not do it; answer that there is no space.
    Full,
}

/// The power supply. Clones are the same one.
#[derive(Debug, Clone, Default)]
pub struct Power(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    trace: Vec<Step>,
    plan: Option<Plan>,
    struck: Option<Step>,
    gone: bool,
}

impl Power {
    /// Counts from here on, and lets the planned step fail.
    pub fn arm(&self, plan: Option<Plan>) {
        let mut state = self.lock();
        state.trace.clear();
        state.plan = plan;
        state.struck = None;
    }

    /// Every step since the last [`Power::arm`].
    pub fn trace(&self) -> Vec<Step> {
        self.lock().trace.clone()
    }

    /// The step that failed as planned, if it came to that.
    pub fn struck(&self) -> Option<Step> {
        self.lock().struck.clone()
    }

    /// Whether power is gone.
    pub fn is_gone(&self) -> bool {
        self.lock().gone
    }

    /// Ends everything now.
    pub fn cut(&self) {
        self.lock().gone = true;
    }

    /// Asks what becomes of a step.
    pub fn ask(&self, step: Step) -> Answer {
        let mut state = self.lock();
        if state.gone {
            return Answer::Failed;
        }
        let number = state.trace.len() as u64;
        state.trace.push(step.clone());
        let Some(plan) = state.plan.filter(|plan| plan.at == number) else { return Answer::Done };
        state.struck = Some(step);
        match plan.fault {
            Fault::CutBefore => {
                state.gone = true;
                Answer::Failed
            }
            Fault::CutAfter => {
                state.gone = true;
                Answer::DoneButFailed
            }
            Fault::Refused => Answer::Failed,
            Fault::Full => Answer::Full,
            Fault::FailedButDone => Answer::DoneButFailed,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }
}
