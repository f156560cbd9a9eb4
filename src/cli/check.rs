//! `tintype check`: has the box verify everything it stores.

use clap::Args;
use serde_json::Value;

use super::client::Client;
use super::failure::Failure;
use super::lines::follow;
use super::output::Output;

/// Arguments of `tintype check`.
#[derive(Args)]
pub struct Check {}

/// What projects use, as the report names it.
const USAGE: &str = "project-usage-1";

fn differs_in_usage_alone(report: &Value) -> bool {
    let differing = report["differing_indexes"].as_array();
    differing.is_some_and(|tables| !tables.is_empty() && tables.iter().all(|table| table == USAGE))
}

impl Check {
    /// Runs the check; damage is a failure.
    ///
    /// # Errors
    /// When something is damaged, or the check cannot run.
    pub async fn run(self, client: &Client, output: Output) -> Result<(), Failure> {
        let report = follow(client, "/check").await?;
        output.record(&report)?;
        let clean = |member: &str| report[member].as_array().is_none_or(Vec::is_empty);
        if !clean("damaged") {
            return Err(Failure::failed("stored data is damaged; the images listed need their data again"));
        }
        if !clean("damaged_objects") {
            return Err(Failure::failed(
                "stored objects are damaged that no image needs now; they go when their space is given back, and \
                 dedup.verify = \"always\" keeps new uploads from relying on them until then",
            ));
        }
        if differs_in_usage_alone(&report) {
            return Err(Failure::failed(
                "what projects use was counted wrong, so that their limits let too much or too little through: \
                 `tintype quota recount` counts anew; report this",
            ));
        }
        if !clean("differing_indexes") {
            return Err(Failure::failed(
                "indexes of the catalog do not follow from its records, so that listings may lack some: keep a \
                 copy of the data directory, and report this",
            ));
        }
        if !clean("description_damage") {
            return Err(Failure::failed(
                "the store's own description is damaged, the images are not: damaged or missing objects of it \
                 are now written anew. Where tables differ, keep a copy of the data directory, as the \
                 catalog may be what is wrong",
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_wrong_count_is_told_from_other_differences() {
        let alone = |tables: Value| differs_in_usage_alone(&json!({ "differing_indexes": tables }));
        assert_eq!(USAGE, crate::catalog::quotas::USAGE.name);
        assert!(alone(json!([USAGE])));
        assert!(!alone(json!([])) && !alone(json!([USAGE, "image-index-3"])) && !alone(Value::Null));
    }
}
