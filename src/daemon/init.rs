//! Sets a data directory up without serving it.
//!
//! Invariant: a directory that is set up is left as it is, and one whose set-up was cut off can be
//! set up again: `clouds.yaml` is written last, here as in [`super::serve`].

use super::compose::{self, Parts};
use super::data_dir::{DataDir, local_url};
use super::error::Error;
use super::master_key;
use super::settings::Settings;

/// What was made.
#[derive(Debug)]
pub struct Made {
    /// The data directory.
    pub dir: DataDir,
    /// Whether the store is sealed.
    pub sealed: bool,
    /// Whether the master key was made too.
    pub new_key: bool,
}

/// Makes a box; with `seal`, a sealed one, making its master key where there is none.
///
/// # Errors
/// [`Error::SetUp`] when there is one, or why it cannot be made.
pub fn init(settings: &Settings, seal: bool) -> Result<Made, Error> {
    let data = &settings.server.data;
    if DataDir::is_set_up(data) {
        return Err(Error::SetUp(data.clone()));
    }
    let url = local_url(settings.listen().map_err(Error::Settings)?);
    let new_key = seal && master_key::make(settings)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .map_err(Error::Process)?;
    let parts = compose::open(settings, runtime.handle())?;
    let finished = finish(&parts, settings, seal, &url);
    parts.settle();
    let (dir, closed) = parts.close();
    let sealed = finished.and_then(|sealed| closed.map(|()| sealed))?;
    Ok(Made { dir, sealed, new_key })
}

fn finish(parts: &Parts, settings: &Settings, seal: bool, url: &str) -> Result<bool, Error> {
    let sealed = parts.service.store().is_sealed();
    if seal && !sealed {
        return Err(Error::Plain(parts.dir.path().to_owned()));
    }
    parts.write_clouds(url, settings)?;
    Ok(sealed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(outer: &tempfile::TempDir) -> Settings {
        let mut settings = Settings::default();
        settings.server.data = outer.path().join("data");
        settings.store.key_file = outer.path().join("key").to_str().unwrap().to_owned();
        settings
    }

    #[test]
    fn a_set_up_that_was_cut_off_is_finished_and_a_whole_one_left_alone() {
        let outer = tempfile::tempdir().unwrap();
        let settings = settings(&outer);
        let made = init(&settings, true).unwrap();
        assert!(made.sealed && made.new_key);
        let password = std::fs::read(made.dir.admin_password_file()).unwrap();
        std::fs::remove_file(made.dir.clouds_file()).unwrap();
        let again = init(&settings, true).unwrap();
        assert!(again.sealed && !again.new_key);
        assert!(matches!(init(&settings, true), Err(Error::SetUp(_))));
        assert_eq!(std::fs::read(made.dir.admin_password_file()).unwrap(), password);
    }

    #[test]
    fn a_box_is_closed_with_everything_told_to_its_store() {
        let outer = tempfile::tempdir().unwrap();
        let settings = settings(&outer);
        let made = init(&settings, true).unwrap();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let parts = compose::open(&settings, runtime.handle()).unwrap();
        let read = parts.service.db().read().unwrap();
        assert_eq!(read.journal_len().unwrap(), 0);
        assert!(read.journal_next().unwrap() > 0);
        for folder in ["log", "snapshot"] {
            assert_eq!(std::fs::read_dir(made.dir.path().join("store").join(folder)).unwrap().count(), 1);
        }
    }

    #[test]
    fn a_plain_store_is_not_passed_off_as_a_sealed_one() {
        let outer = tempfile::tempdir().unwrap();
        let mut plain = settings(&outer);
        plain.store.key_file.clear();
        let made = init(&plain, false).unwrap();
        assert!(!made.sealed);
        std::fs::remove_file(made.dir.clouds_file()).unwrap();
        assert!(matches!(init(&settings(&outer), true), Err(Error::Plain(_))));
    }

    #[test]
    fn a_sealed_store_says_which_key_it_wants() {
        let outer = tempfile::tempdir().unwrap();
        let sealed = settings(&outer);
        init(&sealed, true).unwrap();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let mut other = sealed.clone();
        let refused = |settings: &Settings| match compose::open(settings, runtime.handle()) {
            Err(error) => error.to_string(),
            Ok(_) => panic!("it opened"),
        };
        other.store.key_file.clear();
        let absent = refused(&other);
        assert!(absent.contains("no master key was given") && absent.contains("--key-file"), "{absent}");
        std::fs::write(outer.path().join("other"), "ab".repeat(32)).unwrap();
        other.store.key_file = outer.path().join("other").to_str().unwrap().to_owned();
        let wrong = refused(&other);
        assert!(wrong.contains("does not open") && wrong.contains("--key-file"), "{wrong}");
    }

    #[test]
    fn whoever_opens_a_box_waits_for_a_command_and_not_for_a_server() {
        let outer = tempfile::tempdir().unwrap();
        let settings = settings(&outer);
        init(&settings, true).unwrap();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let open = || compose::open(&settings, runtime.handle()).unwrap();
        let held = open();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| compose::open_in_turn(&settings, runtime.handle()).map(drop));
            std::thread::sleep(std::time::Duration::from_millis(300));
            assert!(!waiting.is_finished());
            held.close().1.unwrap();
            waiting.join().unwrap().unwrap();
        });
        let held = open();
        let _server = std::os::unix::net::UnixListener::bind(held.dir.control_socket()).unwrap();
        assert!(matches!(compose::open_in_turn(&settings, runtime.handle()), Err(Error::InUse(_))));
    }
}
