//! Groups, policies, attachments and namespaces of metadata definitions as callers make and unmake them, and whether
//! they are there afterwards.
//!
//! Invariant: what was acknowledged is there, or gone; what failed is either, and known again once it was looked at.

use tintype::catalog::{identity as catalog, metadefs};
use tintype::model::identity::Group;
use tintype::model::policy::Policy;
use tintype::service::Error;
use tintype::service::identity::NewGroup;
use tintype::service::metadefs::{NamespaceFields, NewNamespace};
use tintype::service::rights::{NewAttachment, NewPolicy};

use crate::machine::{Machine, actor};

/// What a policy of these tests says.
const DOCUMENT: &str = r#"{"Version":"1.1","Statement":[{"Effect":"Deny","Action":["ims:images:delete"]}]}"#;

/// The things that go by one number, in the order in which they are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Thing {
    /// A group.
    Group(u64),
    /// A policy.
    Policy(u64),
    /// The policy is attached to the group.
    Attachment(u64),
    /// A namespace of metadata definitions, with a tag in it.
    Namespace(u64),
}

impl Machine {
    /// Makes a group and a policy, and attaches one to the other.
    pub fn give_rights(&self, number: u64) -> Result<(), String> {
        let namespace = Thing::Namespace(number);
        for thing in [namespace, Thing::Group(number), Thing::Policy(number), Thing::Attachment(number)] {
            let known = self.world.borrow().has_thing(thing);
            match known {
                Some(true) => {}
                Some(false) => self.settle(thing, true, self.make(thing))?,
                // What the next one needs may not be there.
                None => return Ok(()),
            }
        }
        Ok(())
    }

    /// Takes all of it away again.
    pub fn take_rights(&self, number: u64) -> Result<(), String> {
        let namespace = Thing::Namespace(number);
        for thing in [namespace, Thing::Attachment(number), Thing::Policy(number), Thing::Group(number)] {
            let known = self.world.borrow().has_thing(thing);
            match known {
                Some(true) => self.settle(thing, false, self.unmake(thing))?,
                Some(false) => {}
                // What is still attached cannot go.
                None => return Ok(()),
            }
        }
        Ok(())
    }

    /// What is there is what was acknowledged.
    pub fn judge_rights(&self) -> Result<(), String> {
        let things = self.world.borrow().things();
        for (thing, states) in things {
            let is_there = self.is_there(thing).map_err(text)?;
            if !states.contains(&is_there) {
                return Err(format!("{thing:?} is there: {is_there}, expected {states:?}"));
            }
            self.world.borrow_mut().know_thing(thing, vec![is_there]);
        }
        Ok(())
    }

    fn settle(&self, thing: Thing, wanted: bool, outcome: Result<(), Error>) -> Result<(), String> {
        let states = if outcome.is_ok() { vec![wanted] } else { vec![wanted, !wanted] };
        self.tell(|world| world.know_thing(thing, states));
        outcome.map_err(text)
    }

    fn make(&self, thing: Thing) -> Result<(), Error> {
        let service = self.service();
        match thing {
            Thing::Group(number) => {
                let new = NewGroup {
                    name: name(number),
                    domain: None,
                    description: None,
                    extra: Default::default(),
                };
                service.create_group(&actor(), new).map(drop)
            }
            Thing::Policy(number) => {
                let document = serde_json::from_str(DOCUMENT).unwrap();
                let new = NewPolicy { name: name(number), description: None, document };
                service.create_policy(&actor(), new).map(drop)
            }
            Thing::Attachment(number) => service.attach_policy(&actor(), attachment(number)).map(drop),
            Thing::Namespace(number) => {
                let fields = NamespaceFields { name: name(number), ..NamespaceFields::default() };
                let new = NewNamespace { fields, tags: vec!["t".into()], ..NewNamespace::default() };
                service.create_namespace(&actor(), new).map(drop)
            }
        }
    }

    fn unmake(&self, thing: Thing) -> Result<(), Error> {
        let service = self.service();
        match thing {
            Thing::Group(number) => {
                let group = catalog::find::<Group>(&self.db().read()?, "default", &name(number))?;
                group.map_or(Ok(()), |group| service.delete_group(&actor(), &group.id))
            }
            Thing::Policy(number) => service.delete_policy(&actor(), &name(number)).map(drop),
            Thing::Attachment(number) => service.detach_policy(&actor(), attachment(number)).map(drop),
            Thing::Namespace(number) => service.delete_namespace(&actor(), &name(number)),
        }
    }

    fn is_there(&self, thing: Thing) -> Result<bool, Error> {
        let read = self.db().read()?;
        Ok(match thing {
            Thing::Group(number) => catalog::find::<Group>(&read, "default", &name(number))?.is_some(),
            Thing::Policy(number) => catalog::find::<Policy>(&read, "", &name(number))?.is_some(),
            Thing::Attachment(number) => match catalog::find::<Policy>(&read, "", &name(number))? {
                Some(policy) => !catalog::attachments_of(&read, &policy.id)?.is_empty(),
                None => false,
            },
            Thing::Namespace(number) => {
                let is_there = metadefs::get(&read, &name(number))?.is_some();
                // Both or neither: they come and go in one commit.
                let has_tag = !metadefs::definitions(&read, &name(number))?.is_empty();
                assert_eq!(is_there, has_tag, "half of namespace {number}");
                is_there
            }
        })
    }
}

fn name(number: u64) -> String {
    format!("rights-{number}")
}

fn attachment(number: u64) -> NewAttachment {
    NewAttachment { policy: name(number), group: name(number), project: None }
}

fn text(error: impl std::fmt::Debug) -> String {
    format!("{error:?}")
}
