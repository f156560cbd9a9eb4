//! `tintype rebuild`: makes a lost catalog anew from the store alone.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value, json};

use super::client::Target;
use super::failure::Failure;
use super::init::key_file_flag;
use super::output::{Output, printable};
use super::progress::Progress;
use crate::base::Time;
use crate::daemon::rebuild::rebuild;
use crate::service::rebuild::Rebuilt;

/// Arguments of `tintype rebuild`.
#[derive(Args)]
pub struct Rebuild {
    /// File of a sealed store's master key [default: store.key_file, then the systemd credential
    /// "tintype-key"]
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
}

impl Rebuild {
    /// Rebuilds the catalog, and says as of when it is and what is damaged or lost.
    ///
    /// # Errors
    /// When there is a catalog, or the store does not tell enough.
    pub fn run(self, target: &Target, output: Output) -> Result<(), Failure> {
        let settings = target.settings(key_file_flag(self.key_file)?.into_iter().collect())?;
        let mut progress = Progress::steps();
        let (catalog, rebuilt) = rebuild(&settings, &mut |phase, done| progress.set(phase, done))?;
        drop(progress);
        output.done(&text(&catalog, &rebuilt), &facts(&catalog, &rebuilt))
    }
}

fn facts(catalog: &Path, rebuilt: &Rebuilt) -> Value {
    let damaged = rebuilt.damaged.iter().map(
        |damage| json!({"image": damage.image.to_string(), "name": damage.name, "reason": damage.reason}),
    );
    let uploads = rebuilt
        .unfinished_uploads
        .iter()
        .map(|upload| json!({"image": upload.image.to_string(), "name": upload.name}));
    json!({
        "catalog": catalog,
        "complete_until": rebuilt.replayed.complete_until.map(Time::rfc3339_micros),
        "commits": rebuilt.replayed.commits,
        "gap": rebuilt.replayed.has_gap,
        "images": rebuilt.images,
        "users": rebuilt.users,
        "packs": rebuilt.packs,
        "damaged": damaged.collect::<Vec<_>>(),
        "revoked": rebuilt.revoked,
        "damaged_packs": rebuilt.damaged_packs,
        "description_damage": rebuilt.replayed.damage,
        "unfinished_uploads": uploads.collect::<Vec<_>>(),
        "unnamed_uploads": rebuilt.unnamed_uploads,
    })
}

fn text(catalog: &Path, rebuilt: &Rebuilt) -> String {
    let Rebuilt { replayed, images, users, packs, .. } = rebuilt;
    let until = replayed.complete_until.map_or_else(|| "an unknown time".into(), Time::rfc3339_seconds);
    let mut text = format!(
        "Made {} anew, as of commit {} (images: {images}, users: {users}, packs: {packs}).\n\
         It has whatever was acknowledged before {until}. Later changes may be lost, deletes and new\n\
         passwords included: make them again. Every token has ended.",
        catalog.display(),
        replayed.commits
    );
    if replayed.has_gap {
        text += "\nThe store tells of later changes, but those before them are missing, so that they are of no use.\n\
                 If the missing part can be restored, do that and rebuild again before a server starts: it\n\
                 deletes what this catalog does not name.";
    }
    let told = |damage: &String| printable(damage);
    list(&mut text, "Damaged in the store's own log:", replayed.damage.iter().map(told));
    list(&mut text, "Missing or damaged packs:", rebuilt.damaged_packs.iter().map(told));
    list(
        &mut text,
        "Images that cannot be read. Restore what is missing, or delete them and send them again:",
        rebuilt.damaged.iter().map(|damage| {
            let name = damage.name.as_deref().map(printable).unwrap_or_default();
            format!("{} {name}: {}", damage.image, printable(&damage.reason))
        }),
    );
    if rebuilt.revoked > 0 {
        text += &format!("\nImages whose key was revoked, and that stay unreadable: {}", rebuilt.revoked);
    }
    list(
        &mut text,
        "Uploads that may have ended later. Send them again:",
        rebuilt.unfinished_uploads.iter().map(|upload| {
            format!("{} {}", upload.image, upload.name.as_deref().map(printable).unwrap_or_default())
        }),
    );
    if rebuilt.unnamed_uploads > 0 {
        text += &format!("\n  and {} more", rebuilt.unnamed_uploads);
    }
    text
}

fn list(text: &mut String, heading: &str, lines: impl ExactSizeIterator<Item = String>) {
    if lines.len() > 0 {
        // A text takes whatever is written to it.
        let _ = write!(text, "\n{heading}");
    }
    for line in lines {
        let _ = write!(text, "\n  {line}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ImageId;
    use crate::service::rebuild::Upload;
    use crate::service::upkeep::Damage;
    use crate::store::Replayed;

    fn rebuilt() -> Rebuilt {
        let until = Some(Time(1_700_000_000_000_000));
        Rebuilt {
            replayed: Replayed { commits: 7, complete_until: until, has_gap: false, damage: Vec::new() },
            images: 2,
            users: 1,
            packs: 3,
            damaged: Vec::new(),
            revoked: 0,
            damaged_packs: Vec::new(),
            unfinished_uploads: Vec::new(),
            unnamed_uploads: 0,
        }
    }

    #[test]
    fn a_clean_rebuild_says_as_of_when_and_nothing_of_damage() {
        let text = text(Path::new("/d/catalog.redb"), &rebuilt());
        assert!(text.contains("as of commit 7 (images: 2, users: 1, packs: 3)"), "{text}");
        assert!(text.contains("acknowledged before 2023-11-14T22:13:20Z"), "{text}");
        assert_eq!(text.lines().count(), 3, "{text}");
    }

    #[test]
    fn what_is_damaged_or_lost_is_named_and_cannot_steer_the_terminal() {
        let image = ImageId(uuid::Uuid::from_bytes([7; 16]));
        let mut hurt = rebuilt();
        hurt.replayed.has_gap = true;
        hurt.replayed.damage = vec!["log/1 is damaged".into()];
        hurt.damaged_packs = vec!["pack 9: gone".into()];
        hurt.damaged = vec![Damage { image, name: Some("a\u{1b}[2Jb".into()), reason: "pack 9".into() }];
        hurt.unfinished_uploads = vec![Upload { image, name: Some("late".into()) }];
        hurt.unnamed_uploads = 4;
        let text = text(Path::new("/d/catalog.redb"), &hurt);
        for said in ["rebuild again before a server starts", "log/1 is damaged", "pack 9: gone", "and 4 more"]
        {
            assert!(text.contains(said), "no {said:?} in {text}");
        }
        assert!(text.contains(&format!("{image} a\u{fffd}[2Jb: pack 9")), "{text}");
        assert!(text.contains(&format!("{image} late")), "{text}");
    }
}
