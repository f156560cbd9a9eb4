//! `tintype metadefs …`: metadata definitions in files, in and out. A file has one namespace, as OpenStack's own
//! catalogue has them.

mod export;
mod load;

use clap::Subcommand;
use serde_json::Value;

use super::client::{Api, Client};
use super::failure::Failure;
use super::output::{Column, Output};

/// Commands on metadata definitions.
#[derive(Subcommand)]
pub enum Metadefs {
    /// List namespaces
    List,
    /// Take namespaces from files of JSON, each whole or not at all
    Load(load::Load),
    /// Write namespaces into files that `load` takes
    Export(export::Export),
}

const COLUMNS: [Column; 5] = [
    ("Namespace", "namespace"),
    ("Name", "display_name"),
    ("Visibility", "visibility"),
    ("Protected", "protected"),
    ("Applies to", "applies_to"),
];

impl Metadefs {
    /// Runs the command.
    ///
    /// # Errors
    /// When the box refuses, or a file cannot be read or written.
    pub async fn run(self, client: &Client, output: Output) -> Result<(), Failure> {
        match self {
            Metadefs::List => {
                let found = namespaces(client).await?;
                match output.json {
                    true => output.rows(&found, &[]),
                    false => output.rows(&found.into_iter().map(row).collect::<Vec<_>>(), &COLUMNS),
                }
            }
            Metadefs::Load(load) => load.run(client, output).await,
            Metadefs::Export(export) => export.run(client, output).await,
        }
    }
}

/// Every namespace there is, by name.
async fn namespaces(client: &Client) -> Result<Vec<Value>, Failure> {
    let mut found = Vec::new();
    let mut next = Some("/v2/metadefs/namespaces?sort_key=namespace&sort_dir=asc&limit=1000".to_owned());
    while let Some(path) = next {
        let mut page = client.get(Api::Image, &path).await?;
        if let Some(Value::Array(rows)) = page.get_mut("namespaces").map(Value::take) {
            found.extend(rows);
        }
        next = page["next"].as_str().map(str::to_owned);
    }
    Ok(found)
}

/// A namespace as a line of the table.
fn row(mut namespace: Value) -> Value {
    let associations = namespace["resource_type_associations"].as_array().into_iter().flatten();
    let types: Value = associations.map(|association| association["name"].clone()).collect();
    if let Some(keys) = namespace.as_object_mut() {
        keys.insert("applies_to".into(), types);
    }
    namespace
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_row_names_what_a_namespace_applies_to() {
        let types = json!([{"name": "OS::Glance::Image", "prefix": "hw_"}, {"name": "T"}]);
        let row = row(json!({"namespace": "N", "resource_type_associations": types}));
        assert_eq!(row["applies_to"], json!(["OS::Glance::Image", "T"]));
    }
}
