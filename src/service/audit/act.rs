//! What a use case has to say for its record, and what is known of a refusal.

use crate::model::trace::{Operation, Rating};
use crate::model::{Image, ProjectId};

/// What is done, to what: all of a record that a use case has to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Act {
    pub(super) operation: Operation,
    pub(super) resource_id: String,
    pub(super) resource_name: String,
    pub(super) owner: Option<ProjectId>,
    pub(super) message: String,
    pub(super) rating: Rating,
}

impl Act {
    /// An operation on something that is yet to be named.
    pub fn new(operation: Operation) -> Act {
        Act {
            operation,
            resource_id: String::new(),
            resource_name: String::new(),
            owner: None,
            message: String::new(),
            rating: Rating::Normal,
        }
    }

    /// An operation on the thing with this id.
    pub fn on(operation: Operation, id: impl std::fmt::Display) -> Act {
        Act { resource_id: id.to_string(), ..Act::new(operation) }
    }

    /// The same, with the thing's name.
    pub fn named(self, name: impl Into<String>) -> Act {
        Act { resource_name: name.into(), ..self }
    }

    /// The same, with what else is to be known.
    pub fn saying(self, message: impl Into<String>) -> Act {
        Act { message: message.into(), ..self }
    }

    /// The same, of something that went wrong.
    pub fn rated(self, rating: Rating) -> Act {
        Act { rating, ..self }
    }

    /// The same, of something that is this project's.
    pub fn of_project(self, project: &ProjectId) -> Act {
        Act { owner: Some(project.clone()), ..self }
    }

    /// Names the thing, where only the transaction knows its id and name.
    pub fn name(&mut self, id: impl std::fmt::Display, name: &str) {
        (self.resource_id, self.resource_name) = (id.to_string(), name.to_owned());
    }

    /// Names the image, and the project whose it is.
    pub fn image(&mut self, image: &Image) {
        self.name(image.id, image.name.as_deref().unwrap_or_default());
        self.owner = image.owner.clone();
    }

    /// Says what else is to be known, where only the transaction knows it.
    pub fn say(&mut self, message: impl Into<String>) {
        self.message = message.into();
    }
}

/// A refusal, as far as its record goes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Refused {
    /// What was tried.
    pub operation: Option<Operation>,
    /// On what.
    pub resource_id: String,
    /// Who it says it is, where nobody proved to be anybody.
    pub claimed: String,
    /// The status that the caller was told.
    pub code: String,
    /// What the caller was told.
    pub message: String,
    /// Whether the box is at fault.
    pub is_fault: bool,
}
