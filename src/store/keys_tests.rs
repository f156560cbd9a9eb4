//! What is told of changes of keys.

use std::sync::Arc;

use super::keyring::{KeyError, MasterKey};
use super::realm::Scope;
use super::{Error, Event, Options, Store};
use crate::base::{OsEntropy, SystemClock};
use crate::db::Db;
use crate::objects::Flaky;

#[test]
fn an_erasure_that_leaves_an_older_ring_is_told_as_what_it_is() {
    let (objects, master) = (Flaky::default(), MasterKey::generate(&OsEntropy));
    let db = Db::open_on(redb::backends::InMemoryBackend::new(), Default::default()).unwrap();
    let (medium, clock, entropy) = (Arc::new(objects.clone()), Arc::new(SystemClock), Arc::new(OsEntropy));
    let store = Store::open(db, medium, Some(&master), Options::default(), clock, entropy).unwrap();
    let newest = |store: &Store| -> Event { store.events().unwrap().remove(0) };
    for left in 0.. {
        let owner = Scope::of("project", &left.to_string());
        store.sealed_for(owner, &[], Scope::STORE).unwrap();
        let domain = store.domains().last().unwrap().domain;
        objects.fail_after(Some(left), false);
        let erased = store.erase_domain(domain);
        objects.fail_after(None, false);
        let gone = format!("domain {domain} was erased");
        match erased {
            Err(Error::Key(KeyError::OlderRemains { .. })) => {
                let told = newest(&store).detail;
                assert!(told.contains("could not be deleted") && !told.contains(&gone), "{told}");
                store.erase_domain(domain).unwrap();
                assert!(newest(&store).detail.contains(&gone));
                return;
            }
            Err(_) => {}
            Ok(()) => panic!("no older ring was ever left"),
        }
    }
}
