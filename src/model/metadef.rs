//! Metadata definitions: namespaces of properties, objects and tags that say what may be said about images and other
//! resources, and to which types of resources each namespace applies.
//!
//! Invariants: names are unique within their kind and namespace, those of tags without regard to case. Must not know
//! what a property's definition may say: it is a JSON object as text.

use super::ids::ProjectId;
use crate::base::Time;

/// A namespace without what it defines.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Namespace {
    /// Its name, unique in the installation.
    pub name: String,
    /// What people see.
    pub display_name: Option<String>,
    /// Free text.
    pub description: Option<String>,
    /// Whether every project sees it, or its owner's alone.
    pub public: bool,
    /// Whether deleting it is refused.
    pub protected: bool,
    /// The project it belongs to.
    pub owner: ProjectId,
    /// The types of resources it applies to, each once, in the order in which they came.
    pub associations: Vec<Association>,
    /// When it was made.
    pub created_at: Time,
    /// When it was changed last; what it defines does not count.
    pub updated_at: Time,
}

impl Namespace {
    /// How it applies to a type of resources, if it does.
    pub fn association(&self, resource_type: &str) -> Option<&Association> {
        self.associations.iter().find(|association| association.resource_type == resource_type)
    }
}

/// That a namespace applies to a type of resources.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Association {
    /// The type's name, such as `OS::Glance::Image`.
    pub resource_type: String,
    /// What stands before the name of each property where it is used on such a resource.
    pub prefix: Option<String>,
    /// Which of several sets of properties of such a resource is meant.
    pub properties_target: Option<String>,
    /// When it was made.
    pub created_at: Time,
    /// When it was changed last.
    pub updated_at: Time,
}

/// What a namespace defines, each kind in the order in which it came.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Definitions {
    /// Properties.
    pub properties: Vec<Property>,
    /// Groups of properties.
    pub objects: Vec<Object>,
    /// Tags.
    pub tags: Vec<Tag>,
}

impl Definitions {
    /// Whether nothing is defined.
    pub fn is_empty(&self) -> bool {
        self.properties.is_empty() && self.objects.is_empty() && self.tags.is_empty()
    }

    /// How much text that is, in bytes.
    pub fn bytes(&self) -> usize {
        let properties = |all: &[Property]| all.iter().map(Property::bytes).sum::<usize>();
        let object = |object: &Object| {
            let texts = object.required.iter().chain(&object.description).map(String::len).sum::<usize>();
            object.name.len() + texts + properties(&object.properties)
        };
        properties(&self.properties)
            + self.objects.iter().map(object).sum::<usize>()
            + self.tags.iter().map(|tag| tag.name.len()).sum::<usize>()
    }
}

/// A property that may be set.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Property {
    /// Its name, without any prefix.
    pub name: String,
    /// What it is and which values it may have: a JSON object as text.
    pub definition: String,
}

impl Property {
    fn bytes(&self) -> usize {
        self.name.len() + self.definition.len()
    }
}

/// Properties that belong together.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Object {
    /// Its name.
    pub name: String,
    /// Free text.
    pub description: Option<String>,
    /// Names of properties that must be set where any of them is.
    pub required: Vec<String>,
    /// Its properties.
    pub properties: Vec<Property>,
    /// When it was made.
    pub created_at: Time,
    /// When it was changed last.
    pub updated_at: Time,
}

/// A word that may be put on a resource.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Tag {
    /// The word.
    pub name: String,
    /// When it was made.
    pub created_at: Time,
    /// When it was changed last.
    pub updated_at: Time,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_every_kind_counts() {
        let property = |name: &str| Property { name: name.into(), definition: "{}".into() };
        let object = Object {
            name: "obj".into(),
            description: Some("desc".into()),
            required: vec!["ab".into()],
            properties: vec![property("ab")],
            created_at: Time(0),
            updated_at: Time(0),
        };
        let tag = Tag { name: "Ärger".into(), created_at: Time(0), updated_at: Time(0) };
        let all = Definitions { properties: vec![property("p")], objects: vec![object], tags: vec![tag] };
        assert_eq!(all.bytes(), 3 + (3 + 4 + 2 + 4) + 6);
        assert!(!all.is_empty() && Definitions::default().is_empty());
    }
}
