//! Bodies of metadata definitions, read strictly: every key is known, or the request is refused.
//!
//! Invariant: keys that only the service sets are forbidden, unknown ones invalid, and null is as if it were not there.

use serde_json::{Map, Value};

use crate::service::Error;
use crate::service::metadefs::{NamespaceFields, NewAssociation, NewNamespace, NewObject, NewProperty};

/// Keys that only the service sets.
const READ_ONLY: [&str; 4] = ["self", "schema", "created_at", "updated_at"];
/// What may lie in a namespace beside what it says of itself.
const NESTED: [&str; 4] = ["resource_type_associations", "properties", "objects", "tags"];

/// A JSON object as it is read key by key.
struct Keys {
    place: String,
    left: Map<String, Value>,
}

impl Keys {
    fn open(place: impl Into<String>, body: Value) -> Result<Keys, Error> {
        let place = place.into();
        let Value::Object(mut left) = body else {
            return Err(Error::invalid(format!("{place} must be a JSON object")));
        };
        if let Some(key) = READ_ONLY.iter().find(|key| left.contains_key(**key)) {
            return Err(Error::forbidden(format!("{key} of {place} is read-only")));
        }
        left.retain(|_, value| !value.is_null());
        Ok(Keys { place, left })
    }

    fn take(&mut self, key: &str) -> Option<Value> {
        self.left.shift_remove(key)
    }

    fn text(&mut self, key: &str) -> Result<Option<String>, Error> {
        match self.take(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(self.wrong(key, "a string")),
        }
    }

    fn needed(&mut self, key: &str) -> Result<String, Error> {
        self.text(key)?.ok_or_else(|| Error::invalid(format!("{} needs {key}, a string", self.place)))
    }

    fn flag(&mut self, key: &str) -> Result<Option<bool>, Error> {
        match self.take(key) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(flag)),
            Some(_) => Err(self.wrong(key, "true or false")),
        }
    }

    /// A list, each item read by `read`.
    fn list<T>(
        &mut self,
        key: &str,
        read: impl Fn(String, Value) -> Result<T, Error>,
    ) -> Result<Vec<T>, Error> {
        match self.take(key) {
            None => Ok(Vec::new()),
            Some(Value::Array(items)) => {
                items.into_iter().enumerate().map(|(at, item)| read(format!("{key}[{at}]"), item)).collect()
            }
            Some(_) => Err(self.wrong(key, "a list")),
        }
    }

    /// Properties as a map from name to definition.
    fn properties(&mut self) -> Result<Vec<NewProperty>, Error> {
        match self.take("properties") {
            None => Ok(Vec::new()),
            Some(Value::Object(all)) => {
                all.into_iter().map(|(name, value)| nested_property(&self.place, name, value)).collect()
            }
            Some(_) => Err(self.wrong("properties", "an object")),
        }
    }

    fn wrong(&self, key: &str, expected: &str) -> Error {
        Error::invalid(format!("{key} of {} must be {expected}", self.place))
    }

    /// Refuses what nobody asked for.
    fn end(self) -> Result<(), Error> {
        match self.left.keys().next() {
            Some(key) => Err(Error::invalid(format!("{} has {key:?}, which is not known", self.place))),
            None => Ok(()),
        }
    }
}

/// A namespace with all that is in it: of a create, or from a file.
pub(in crate::api) fn new_namespace(body: Value) -> Result<NewNamespace, Error> {
    let mut keys = Keys::open("the namespace", body)?;
    let new = NewNamespace {
        fields: fields(&mut keys)?,
        associations: keys.list("resource_type_associations", association_at)?,
        properties: keys.properties()?,
        objects: keys.list("objects", object_at)?,
        tags: keys.list("tags", tag_at)?,
    };
    keys.end()?;
    Ok(new)
}

/// What a namespace is to say of itself. Clients send back all of what they were shown; what lies in the namespace has
/// paths of its own, and nothing is read of it here.
pub(super) fn namespace_fields(body: Value) -> Result<NamespaceFields, Error> {
    let mut keys = Keys::open("the namespace", body)?;
    keys.left.retain(|key, _| !NESTED.contains(&key.as_str()));
    let fields = fields(&mut keys)?;
    keys.end()?;
    Ok(fields)
}

/// A property, its name beside its definition.
pub(super) fn property(body: Value) -> Result<NewProperty, Error> {
    let mut keys = Keys::open("the property", body)?;
    Ok(NewProperty { name: keys.needed("name")?, definition: keys.left })
}

/// An object.
pub(super) fn object(body: Value) -> Result<NewObject, Error> {
    object_at("the object".into(), body)
}

/// A type of resources.
pub(super) fn association(body: Value) -> Result<NewAssociation, Error> {
    association_at("the resource type".into(), body)
}

/// The name of a tag.
pub(super) fn tag(body: Value) -> Result<String, Error> {
    tag_at("the tag".into(), body)
}

/// Names of many tags.
pub(super) fn tags(body: Value) -> Result<Vec<String>, Error> {
    let mut keys = Keys::open("the body", body)?;
    if !keys.left.contains_key("tags") {
        return Err(Error::invalid("the body needs tags, a list"));
    }
    let names = keys.list("tags", tag_at)?;
    keys.end()?;
    Ok(names)
}

fn fields(keys: &mut Keys) -> Result<NamespaceFields, Error> {
    Ok(NamespaceFields {
        name: keys.needed("namespace")?,
        display_name: keys.text("display_name")?,
        description: keys.text("description")?,
        public: match keys.text("visibility")?.as_deref() {
            None => None,
            Some("public") => Some(true),
            Some("private") => Some(false),
            Some(_) => return Err(keys.wrong("visibility", "public or private")),
        },
        protected: keys.flag("protected")?,
        owner: keys.text("owner")?,
    })
}

fn association_at(place: String, body: Value) -> Result<NewAssociation, Error> {
    let mut keys = Keys::open(place, body)?;
    let association = NewAssociation {
        resource_type: keys.needed("name")?,
        prefix: keys.text("prefix")?,
        properties_target: keys.text("properties_target")?,
    };
    keys.end()?;
    Ok(association)
}

fn object_at(place: String, body: Value) -> Result<NewObject, Error> {
    let mut keys = Keys::open(place, body)?;
    let name = keys.needed("name")?;
    keys.place = format!("object {name:?}");
    let object = NewObject {
        name,
        description: keys.text("description")?,
        required: keys.list("required", |place, name| match name {
            Value::String(name) => Ok(name),
            _ => Err(Error::invalid(format!("{place} must be a string"))),
        })?,
        properties: keys.properties()?,
    };
    keys.end()?;
    Ok(object)
}

fn tag_at(place: String, body: Value) -> Result<String, Error> {
    let mut keys = Keys::open(place, body)?;
    let name = keys.needed("name")?;
    keys.end()?;
    Ok(name)
}

/// A property as it lies in a namespace or object: its name is the key, and may be said once more.
fn nested_property(place: &str, name: String, body: Value) -> Result<NewProperty, Error> {
    let mut keys = Keys::open(format!("property {name:?} of {place}"), body)?;
    if keys.text("name")?.is_some_and(|said| said != name) {
        return Err(keys.wrong("name", "the key that it stands under"));
    }
    Ok(NewProperty { name, definition: keys.left })
}
