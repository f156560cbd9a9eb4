//! `tintype gc`: has the box give back the space of what was deleted.

use clap::Args;
use serde_json::Value;

use super::client::Client;
use super::failure::Failure;
use super::lines::follow;
use super::output::{Output, human_bytes};

/// Arguments of `tintype gc`.
#[derive(Args)]
pub struct Gc {
    /// Tell what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
    /// Also look for what is stored twice, and have images share one copy; the space of the other comes
    /// back with --compact
    #[arg(long)]
    dedup: bool,
    /// Also write packs anew of which little is needed any more
    #[arg(long)]
    compact: bool,
    /// Also compress old packs better, once
    #[arg(long)]
    recompress: bool,
    /// Also keep compressed qcow2 and VMDK images as what they hold and how to make them again: they share
    /// the data of other images then, and downloads of them take longer
    #[arg(long)]
    recipes: bool,
}

impl Gc {
    /// Runs the collection and prints what it gave back, or would give back.
    ///
    /// # Errors
    /// When it cannot run.
    pub async fn run(self, client: &Client, output: Output) -> Result<(), Failure> {
        let mut result = follow(client, &format!("/gc{}", self.query())).await?;
        if self.dry_run
            && !output.json
            && let Some(Value::Array(packs)) =
                result.as_object_mut().and_then(|plan| plan.shift_remove("packs"))
            && !packs.is_empty()
        {
            let columns = [
                ("Pack", "pack"),
                ("Action", "action"),
                ("Size", "object_bytes"),
                ("Then", "written_bytes"),
                ("Live", "live_ratio"),
            ];
            output.rows(&packs, &columns)?;
        }
        let said = self.recipes.then(|| match self.dry_run {
            true => foreseen_of_recipes(&result),
            false => of_recipes(&result),
        });
        if !output.json
            && (self.dry_run || !self.recipes)
            && let Some(members) = result.as_object_mut()
        {
            // Nobody asked about them, or the words say all that is known.
            members.retain(|name, _| !name.starts_with("recipe"));
        }
        output.record(&result)?;
        said.map_or(Ok(()), |said| output.remark(&said))
    }

    fn query(&self) -> String {
        let switches = [
            ("dry_run", self.dry_run),
            ("dedup", self.dedup),
            ("compact", self.compact),
            ("recompress", self.recompress),
            ("recipes", self.recipes),
        ];
        let on: Vec<String> =
            switches.iter().filter(|(_, on)| *on).map(|(name, _)| format!("{name}=true")).collect();
        if on.is_empty() { String::new() } else { format!("?{}", on.join("&")) }
    }
}

/// What came of recipes, in words.
fn of_recipes(result: &Value) -> String {
    let number = |name: &str| result[name].as_u64().unwrap_or(0);
    let (looked_at, made) = (number("recipes_looked_at"), number("recipes"));
    let mut said = format!("Images looked at: {looked_at}. Kept by recipes from now on: {made}");
    if made > 0 {
        let (took, written) = (number("recipe_packed_bytes"), number("recipe_written_bytes"));
        let (took, written) = (human_bytes(took), human_bytes(written));
        let saved = human_bytes(number("recipe_saved_bytes"));
        said.push_str(&format!(
            ", which is about {saved} less ({took} of compressed data, for which {written} were written), once packs are \
             written anew (--compact)"
        ));
    }
    said.push('.');
    said.push_str(&settled(result));
    if number("ended_early") > 0 {
        said.push_str("\n  it was ended early: the same command goes on");
    }
    said
}

/// What would come of recipes, in words.
fn foreseen_of_recipes(plan: &Value) -> String {
    let number = |name: &str| plan[name].as_u64().unwrap_or(0);
    let mut said = format!("Images that recipes would be tried for: {}", number("recipes_to_try"));
    if number("recipes_to_try") > 0 {
        let held = human_bytes(number("recipe_plain_bytes"));
        said.push_str(&format!(
            ", which hold {held} in compressed units; how much of that other images share shows when it is done"
        ));
    }
    said.push('.');
    said.push_str(&settled(plan));
    said
}

/// What is known of images that nothing changes for, a line each.
fn settled(result: &Value) -> String {
    let mut said = String::new();
    for (name, why) in [
        ("recipes_kept_before", "kept by recipes before"),
        ("recipes_not_packed", "left alone, as next to nothing in them is compressed"),
        ("recipes_not_made_again", "left alone, as too little of them can be made again to the bit"),
        (
            "recipes_too_long",
            "left alone, as what they are made of would be too long a list for this box's memory (store.memory_bytes)",
        ),
        (
            "recipes_unreadable",
            "left alone, as they could not be read, or went meanwhile (tintype check tells more)",
        ),
        ("recipes_put_off", "left for another time, as they were in use, or their store did not answer"),
        (
            "recipes_unfit",
            "not looked at, as they are no qcow2 or VMDK of their own (an OVA is none), not active, or smaller than 1 MiB",
        ),
    ] {
        if let Some(count) = result[name].as_u64().filter(|count| *count > 0) {
            said.push_str(&format!("\n  {count}: {why}"));
        }
    }
    said
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_became_of_recipes_is_told() {
        let none = of_recipes(&json!({"recipes_looked_at": 2, "recipes": 0, "recipes_not_packed": 2}));
        assert!(none.starts_with("Images looked at: 2. Kept by recipes from now on: 0."), "{none}");
        assert!(none.ends_with("2: left alone, as next to nothing in them is compressed"), "{none}");
        let some = of_recipes(&json!({
            "recipes_looked_at": 3, "recipes": 1, "recipe_packed_bytes": 3072, "recipe_written_bytes": 1024,
            "recipe_saved_bytes": 2048, "recipes_unfit": 4, "ended_early": 1,
        }));
        for said in
            ["from now on: 1, which", "about 2.0 KiB less", "4: not looked at", "the same command goes on"]
        {
            assert!(some.contains(said), "{some}");
        }
    }

    #[test]
    fn what_recipes_would_be_tried_for_is_told() {
        let none = foreseen_of_recipes(&json!({"recipes_to_try": 0, "recipes_kept_before": 3}));
        assert_eq!(none, "Images that recipes would be tried for: 0.\n  3: kept by recipes before");
        let some = foreseen_of_recipes(&json!({"recipes_to_try": 1, "recipe_plain_bytes": 2048}));
        assert!(some.contains("for: 1, which hold 2.0 KiB in compressed units"), "{some}");
    }

    #[test]
    fn only_what_was_asked_for_is_sent() {
        let gc =
            |dry_run, dedup, compact, recompress| Gc { dry_run, dedup, compact, recompress, recipes: dedup };
        assert_eq!(gc(false, false, false, false).query(), "");
        assert_eq!(gc(true, false, false, true).query(), "?dry_run=true&recompress=true");
        assert_eq!(gc(false, true, true, false).query(), "?dedup=true&compact=true&recipes=true");
    }
}
