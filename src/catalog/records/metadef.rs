//! Records of namespaces of metadata definitions, and of what they define.

use serde::{Deserialize, Serialize};

use crate::base::Time;
use crate::db::codec::Record;
use crate::model::ProjectId;
use crate::model::metadef::{Association, Definitions, Namespace, Object, Property, Tag};

/// A namespace without its name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamespaceRecord {
    display_name: Option<String>,
    description: Option<String>,
    public: bool,
    protected: bool,
    owner: String,
    associations: Vec<AssociationRecord>,
    created_at: i64,
    updated_at: i64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct AssociationRecord {
    resource_type: String,
    prefix: Option<String>,
    properties_target: Option<String>,
    created_at: i64,
    updated_at: i64,
}

impl Record for NamespaceRecord {
    const VERSION: u8 = 1;
    const NAME: &'static str = "namespace";
}

impl NamespaceRecord {
    pub fn of(namespace: &Namespace) -> NamespaceRecord {
        let association = |association: &Association| AssociationRecord {
            resource_type: association.resource_type.clone(),
            prefix: association.prefix.clone(),
            properties_target: association.properties_target.clone(),
            created_at: association.created_at.0,
            updated_at: association.updated_at.0,
        };
        NamespaceRecord {
            display_name: namespace.display_name.clone(),
            description: namespace.description.clone(),
            public: namespace.public,
            protected: namespace.protected,
            owner: namespace.owner.0.clone(),
            associations: namespace.associations.iter().map(association).collect(),
            created_at: namespace.created_at.0,
            updated_at: namespace.updated_at.0,
        }
    }

    pub fn into_namespace(self, name: String) -> Namespace {
        let association = |record: AssociationRecord| Association {
            resource_type: record.resource_type,
            prefix: record.prefix,
            properties_target: record.properties_target,
            created_at: Time(record.created_at),
            updated_at: Time(record.updated_at),
        };
        Namespace {
            name,
            display_name: self.display_name,
            description: self.description,
            public: self.public,
            protected: self.protected,
            owner: ProjectId(self.owner),
            associations: self.associations.into_iter().map(association).collect(),
            created_at: Time(self.created_at),
            updated_at: Time(self.updated_at),
        }
    }
}

/// What a namespace defines.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DefinitionsRecord {
    properties: Vec<PropertyRecord>,
    objects: Vec<ObjectRecord>,
    tags: Vec<TagRecord>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct PropertyRecord {
    name: String,
    definition: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct ObjectRecord {
    name: String,
    description: Option<String>,
    required: Vec<String>,
    properties: Vec<PropertyRecord>,
    created_at: i64,
    updated_at: i64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct TagRecord {
    name: String,
    created_at: i64,
    updated_at: i64,
}

impl Record for DefinitionsRecord {
    const VERSION: u8 = 1;
    const NAME: &'static str = "metadata definitions";
}

impl From<&Definitions> for DefinitionsRecord {
    fn from(definitions: &Definitions) -> DefinitionsRecord {
        let object = |object: &Object| ObjectRecord {
            name: object.name.clone(),
            description: object.description.clone(),
            required: object.required.clone(),
            properties: property_records(&object.properties),
            created_at: object.created_at.0,
            updated_at: object.updated_at.0,
        };
        let tag = |tag: &Tag| TagRecord {
            name: tag.name.clone(),
            created_at: tag.created_at.0,
            updated_at: tag.updated_at.0,
        };
        DefinitionsRecord {
            properties: property_records(&definitions.properties),
            objects: definitions.objects.iter().map(object).collect(),
            tags: definitions.tags.iter().map(tag).collect(),
        }
    }
}

impl From<DefinitionsRecord> for Definitions {
    fn from(record: DefinitionsRecord) -> Definitions {
        let object = |record: ObjectRecord| Object {
            name: record.name,
            description: record.description,
            required: record.required,
            properties: properties(record.properties),
            created_at: Time(record.created_at),
            updated_at: Time(record.updated_at),
        };
        let tag = |record: TagRecord| Tag {
            name: record.name,
            created_at: Time(record.created_at),
            updated_at: Time(record.updated_at),
        };
        Definitions {
            properties: properties(record.properties),
            objects: record.objects.into_iter().map(object).collect(),
            tags: record.tags.into_iter().map(tag).collect(),
        }
    }
}

fn property_records(properties: &[Property]) -> Vec<PropertyRecord> {
    let record = |property: &Property| PropertyRecord {
        name: property.name.clone(),
        definition: property.definition.clone(),
    };
    properties.iter().map(record).collect()
}

fn properties(records: Vec<PropertyRecord>) -> Vec<Property> {
    let property = |record: PropertyRecord| Property { name: record.name, definition: record.definition };
    records.into_iter().map(property).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::codec::{decode, encode};

    const ONE: &str = "0100000000000000";
    const NONE: &str = "0000000000000000";

    #[test]
    fn the_form_of_a_namespace_is_golden() {
        let namespace = Namespace {
            name: "N".into(),
            display_name: Some("D".into()),
            description: None,
            public: true,
            protected: false,
            owner: "p".into(),
            associations: vec![Association {
                resource_type: "T".into(),
                prefix: Some("h".into()),
                properties_target: None,
                created_at: Time(1),
                updated_at: Time(-1),
            }],
            created_at: Time(1),
            updated_at: Time(0),
        };
        let bytes = encode(&NamespaceRecord::of(&namespace));
        let minus = "ff".repeat(8);
        let association = format!("{ONE}5401{ONE}6800{ONE}{minus}");
        assert_eq!(hex::encode(&bytes), format!("0101{ONE}44000100{ONE}70{ONE}{association}{ONE}{NONE}"));
        assert_eq!(decode::<NamespaceRecord>(&bytes).unwrap().into_namespace("N".into()), namespace);
    }

    #[test]
    fn the_form_of_definitions_is_golden() {
        let property = Property { name: "p".into(), definition: "{}".into() };
        let definitions = Definitions {
            properties: vec![property.clone()],
            objects: vec![Object {
                name: "o".into(),
                description: Some("d".into()),
                required: vec!["p".into()],
                properties: vec![property],
                created_at: Time(1),
                updated_at: Time(0),
            }],
            tags: vec![Tag { name: "t".into(), created_at: Time(0), updated_at: Time(1) }],
        };
        let bytes = encode(&DefinitionsRecord::from(&definitions));
        let property = format!("{ONE}{ONE}700200000000000000{}", "7b7d");
        let object = format!("{ONE}{ONE}6f01{ONE}64{ONE}{ONE}70{property}{ONE}{NONE}");
        assert_eq!(hex::encode(&bytes), format!("01{property}{object}{ONE}{ONE}74{NONE}{ONE}"));
        assert_eq!(Definitions::from(decode::<DefinitionsRecord>(&bytes).unwrap()), definitions);
    }
}
