//! Properties that not everybody may set, change, remove or see: the operator's rules, by pattern of the name.
//!
//! The file is the reference's (`property-protections.conf`, in the form with roles), and so is its meaning: the first section
//! whose expression is found in the name decides, and a name that none is found in is nobody's. Invariant: with rules,
//! no change of a caller's reaches a property, and no property reaches a caller, but past [`Protections::allows`]. Names
//! that the service keeps for itself are beside it: callers cannot set them. Must not know who owns an image.

use std::collections::BTreeSet;

use regex::Regex;

use super::Filters;
use super::fields::RESERVED_PREFIX;
use crate::model::Image;
use crate::service::{Actor, Error, Reason, Service};

/// What is done with a property.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    Create,
    Read,
    Update,
    Delete,
}

/// The operator's rules.
#[derive(Debug, Clone)]
pub struct Protections(Vec<Section>);

#[derive(Debug, Clone)]
struct Section {
    name: Regex,
    /// By [`Use`].
    allowed: [Allowed; 4],
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Allowed {
    Everybody,
    /// Roles, in lower case; of none of them is nobody.
    Roles(BTreeSet<String>),
}

/// The options of a section, by [`Use`].
const OPTIONS: [&str; 4] = ["create", "read", "update", "delete"];

impl Protections {
    /// Reads the file's text.
    ///
    /// # Errors
    /// The line and what is wrong in it.
    pub fn parse(text: &str) -> Result<Protections, String> {
        let mut drafts: Vec<Draft> = Vec::new();
        let mut goes_on = None;
        for (at, line) in text.lines().enumerate() {
            let number = at + 1;
            let told = |why: String| format!("line {number}: {why}");
            let content = line.trim();
            if content.is_empty() || content.starts_with(['#', ';']) {
                continue;
            }
            if line.starts_with([' ', '\t'])
                && let (Some(option), Some(draft)) = (goes_on, drafts.last_mut())
            {
                draft.append(option, content);
                continue;
            }
            if let Some(name) = content.strip_prefix('[') {
                let name = name.strip_suffix(']').ok_or_else(|| told("a section ends in ]".to_owned()))?;
                drafts.push(Draft::new(name, number, &drafts).map_err(told)?);
                goes_on = None;
                continue;
            }
            let draft = drafts.last_mut().ok_or_else(|| told("what comes before any section".to_owned()))?;
            goes_on = Some(draft.take(content).map_err(told)?);
        }
        if drafts.is_empty() {
            return Err("there is no section in it, and so no property that anybody may touch".to_owned());
        }
        drafts.into_iter().map(Draft::finish).collect::<Result<_, _>>().map(Protections)
    }

    /// Whether a caller may do this with a property.
    pub(super) fn allows(&self, actor: &Actor, name: &str, use_of_it: Use) -> bool {
        let section = self.0.iter().find(|section| section.name.is_match(name));
        section.is_some_and(|section| match &section.allowed[use_of_it as usize] {
            Allowed::Everybody => true,
            Allowed::Roles(roles) => !roles.is_disjoint(&actor.roles),
        })
    }

    /// Refuses a use of a property.
    pub(super) fn expect(&self, actor: &Actor, name: &str, use_of_it: Use) -> Result<(), Error> {
        if self.allows(actor, name, use_of_it) {
            return Ok(());
        }
        let verb = OPTIONS[use_of_it as usize];
        let message = format!("property {name} is protected: none of your roles may {verb} it here");
        Err(Error::forbidden(message).because(Reason::Role))
    }
}

/// A section that is being read.
struct Draft {
    name: String,
    line: usize,
    expression: Regex,
    values: [Option<String>; 4],
}

impl Draft {
    fn new(name: &str, line: usize, before: &[Draft]) -> Result<Draft, String> {
        if name == "DEFAULT" {
            return Err("[DEFAULT] is not taken; say it in each section".to_owned());
        }
        if before.iter().any(|draft| draft.name == name) {
            return Err(format!("[{name}] is there already"));
        }
        let expression = Regex::new(name).map_err(|why| {
            format!(
                "[{name}] is no regular expression that is taken (none that looks around or back is): {why}"
            )
        })?;
        Ok(Draft { name: name.to_owned(), line, expression, values: Default::default() })
    }

    /// Takes a line `option = roles`; says which option that is.
    fn take(&mut self, line: &str) -> Result<usize, String> {
        let (option, value) = line
            .split_once(['=', ':'])
            .ok_or_else(|| format!("\"{line}\" is neither a section nor an option with its roles"))?;
        let option = option.trim().to_lowercase();
        let at = OPTIONS
            .iter()
            .position(|known| *known == option)
            .ok_or_else(|| format!("\"{option}\" is none of {}", OPTIONS.join(", ")))?;
        if self.values[at].is_some() {
            return Err(format!("[{}] has {option} twice", self.name));
        }
        self.values[at] = Some(value.trim().to_owned());
        Ok(at)
    }

    fn append(&mut self, option: usize, more: &str) {
        let value = self.values[option].get_or_insert_default();
        value.push(',');
        value.push_str(more);
    }

    fn finish(self) -> Result<Section, String> {
        let told = |why: String| format!("line {}: [{}] {why}", self.line, self.name);
        let mut allowed = [const { Allowed::Roles(BTreeSet::new()) }; 4];
        for (at, value) in self.values.iter().enumerate() {
            let option = OPTIONS[at];
            let value = value.as_ref().ok_or_else(|| {
                told(format!("says nothing of {option}; write \"{option} = !\" for nobody"))
            })?;
            let words: BTreeSet<&str> =
                value.split(',').map(str::trim).filter(|word| !word.is_empty()).collect();
            allowed[at] = match (words.contains("@"), words.contains("!")) {
                (true, true) => return Err(told(format!("has both @ and ! for {option}"))),
                (true, false) => Allowed::Everybody,
                (false, true) => Allowed::Roles(BTreeSet::new()),
                (false, false) => Allowed::Roles(words.iter().map(|role| role.to_lowercase()).collect()),
            };
        }
        Ok(Section { name: self.expression, allowed })
    }
}

impl Service {
    /// What the caller may see of an image.
    pub(super) fn shown_to(&self, actor: &Actor, mut image: Image) -> Image {
        if let Some(protections) = &self.rules.protections {
            image.properties.retain(|name, _| {
                name.starts_with(RESERVED_PREFIX) || protections.allows(actor, name, Use::Read)
            });
        }
        image
    }

    /// Refuses to list by what the caller may not see: which images come back would tell it.
    pub(super) fn expect_readable(&self, actor: &Actor, filters: &Filters) -> Result<(), Error> {
        let Some(protections) = &self.rules.protections else { return Ok(()) };
        let tested = filters.property_tests.iter().map(|test| &test.name);
        filters.properties.keys().chain(tested).try_for_each(|name| match name.starts_with(RESERVED_PREFIX) {
            true => Ok(()),
            false => protections.expect(actor, name, Use::Read),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::images::{Change, Existing, Listing, NewImage};
    use crate::service::testing::{self, rules};
    use crate::service::{ErrorKind, Rules};

    const FILE: &str = "
# As the reference's sample has it.
[^x_billing_code_.*]
create = admin
read = admin, Billing,
    auditor
update: admin
delete = admin

[x_none]
create = !
read = @
update = !
delete = !

[^x_(open|own)$]
create = @
read = @
update = @
delete =

; The rest.
[.*]
create = admin,member
read = admin,member
update = admin,member
delete = admin,member
";

    fn actor(role: &str) -> Actor {
        Actor { roles: [role.to_owned(), "reader".to_owned()].into(), ..testing::member("p") }
    }

    fn set(name: &str, value: &str) -> Vec<Change> {
        vec![Change::SetProperty { name: name.into(), value: value.into(), existing: Existing::Any }]
    }

    #[test]
    fn the_first_section_that_is_found_in_a_name_decides() {
        let protections = Protections::parse(FILE).unwrap();
        let uses = [Use::Create, Use::Read, Use::Update, Use::Delete];
        for (role, name, expected) in [
            ("admin", "x_billing_code_1", [true; 4]),
            ("member", "x_billing_code_1", [false; 4]),
            ("billing", "x_billing_code_1", [false, true, false, false]),
            ("auditor", "x_billing_code_1", [false, true, false, false]),
            ("member", "my_x_billing_code_1", [true; 4]),
            ("admin", "in_x_none_too", [false, true, false, false]),
            ("nobody", "x_open", [true, true, true, false]),
            ("nobody", "other", [false; 4]),
        ] {
            let found = uses.map(|use_of_it| protections.allows(&actor(role), name, use_of_it));
            assert_eq!(found, expected, "{role} {name}");
        }
        let without_rest = Protections::parse(FILE.split_once("; The rest").unwrap().0).unwrap();
        assert!(!without_rest.allows(&actor("admin"), "other", Use::Read), "a name that nobody has");
    }

    #[test]
    fn a_file_that_says_nothing_sensible_is_refused_with_its_line() {
        let whole = "create = @\nread = @\nupdate = @\n";
        for (text, wanted) in [
            (String::new(), "no section"),
            ("create = @\n".to_owned(), "line 1: what comes before"),
            (format!("[a\n{whole}delete = @"), "line 1: a section ends"),
            (format!("[(]\n{whole}delete = @"), "line 1: [(] is no regular expression"),
            (format!("[(?=a)]\n{whole}delete = @"), "looks around"),
            (format!("[DEFAULT]\n{whole}"), "line 1: [DEFAULT]"),
            (format!("\n[a]\n{whole}"), "line 2: [a] says nothing of delete"),
            (format!("[a]\n{whole}delete = @, !"), "has both @ and !"),
            (format!("[a]\n{whole}delete = @\n[a]\n"), "line 6: [a] is there already"),
            (format!("[a]\n{whole}read = admin"), "line 5: [a] has read twice"),
            (format!("[a]\n{whole}destroy = admin"), "line 5: \"destroy\" is none of"),
            ("[a]\nnonsense".to_owned(), "line 2: \"nonsense\" is neither"),
        ] {
            let refused = Protections::parse(&text).unwrap_err();
            assert!(refused.contains(wanted), "{wanted}: {refused}");
        }
    }

    #[test]
    fn what_is_protected_is_not_set_changed_removed_or_seen() {
        let protections = Some(Protections::parse(FILE).unwrap());
        let (service, _) = testing::service_with(Rules { protections, ..rules() });
        let (admin, member, billing) = (actor("admin"), actor("member"), actor("billing"));
        let secret = "x_billing_code_1";
        let both = [set(secret, "7"), set("plain", "1")].concat();
        let refused =
            service.create_image(&member, NewImage { id: None, changes: both.clone() }).unwrap_err();
        assert_eq!(refused.kind, ErrorKind::Forbidden);
        assert!(refused.message.contains(secret) && refused.message.contains("create"), "{refused:?}");
        let made = service.create_image(&admin, NewImage { id: None, changes: both }).unwrap();
        assert_eq!(made.properties.len(), 2);
        let seen = |actor: &Actor| {
            let names = |image: &Image| image.properties.keys().cloned().collect::<Vec<_>>().join(" ");
            let listing = Listing { limit: 10, ..Listing::default() };
            let listed = names(&service.list_images(actor, listing.clone()).unwrap()[0]);
            let own = names(&service.list_project_images(actor, listing).unwrap()[0].0);
            let shown = names(&service.show_image(actor, &made.id).unwrap());
            assert_eq!((&listed, &own), (&shown, &shown));
            shown
        };
        assert_eq!(
            [seen(&admin), seen(&member), seen(&billing)],
            ["plain x_billing_code_1", "plain", secret]
        );
        // What cannot be seen is not found out by asking for it either.
        let filters =
            Filters { properties: [(secret.to_owned(), "7".to_owned())].into(), ..Filters::default() };
        let asked = Listing { filters, limit: 10, ..Listing::default() };
        assert_eq!(service.list_images(&member, asked.clone()).unwrap_err().kind, ErrorKind::Forbidden);
        assert_eq!(
            service.list_project_images(&member, asked.clone()).unwrap_err().kind,
            ErrorKind::Forbidden
        );
        assert_eq!(service.list_images(&admin, asked).unwrap().len(), 1);
        for change in [set(secret, "8"), vec![Change::RemoveProperty(secret.into())], set("x_none", "1")] {
            let refused = service.update_image(&member, &made.id, change).unwrap_err();
            assert_eq!(refused.kind, ErrorKind::Forbidden);
        }
        let changed = service.update_image(&member, &made.id, set("x_open", "1")).unwrap();
        assert_eq!(
            changed.properties.keys().collect::<Vec<_>>(),
            ["plain", "x_open"],
            "the rest is not told"
        );
        let removal = vec![Change::RemoveProperty("x_open".into())];
        assert_eq!(
            service.update_image(&admin, &made.id, removal).unwrap_err().kind,
            ErrorKind::Forbidden,
            "nobody may"
        );
        service.update_image(&admin, &made.id, vec![Change::RemoveProperty(secret.into())]).unwrap();
        assert_eq!(seen(&admin), "plain x_open");
        let tagged = service.add_image_tag(&billing, &made.id, "t".into());
        assert_eq!(tagged.unwrap_err().kind, ErrorKind::Forbidden, "a reader changes nothing at all");
    }
}
