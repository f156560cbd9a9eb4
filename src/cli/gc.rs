//! `tintype gc`: has the box give back the space of what was deleted.

use clap::Args;
use serde_json::Value;

use super::client::Client;
use super::failure::Failure;
use super::lines::follow;
use super::output::Output;

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
        output.record(&result)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_asked_for_is_sent() {
        let gc =
            |dry_run, dedup, compact, recompress| Gc { dry_run, dedup, compact, recompress, recipes: dedup };
        assert_eq!(gc(false, false, false, false).query(), "");
        assert_eq!(gc(true, false, false, true).query(), "?dry_run=true&recompress=true");
        assert_eq!(gc(false, true, true, false).query(), "?dedup=true&compact=true&recipes=true");
    }
}
