//! The parameters of a listing, and the links to its first and next page.
//!
//! Invariant: a parameter that is none of the API's names an attribute and is compared exactly;
//! none is dropped. An empty value is no filter, as clients send those for what they leave out.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::error::Refusal;
use super::wire;
use crate::api::listing;
use crate::base::Time;
use crate::base::limits::{IMS_PAGE_ROWS_DEFAULT, PAGE_ROWS_MAX};
use crate::model::image::MemberStatus;
use crate::model::{ImageId, Status, Visibility};
use crate::service::images::{
    Absent, Comparison, Direction, Filters, Listing, NumberBounds, PropertyTest, SortKey, Standing, TagTest,
};

const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A listing as a client asked for it.
#[derive(Debug, Clone)]
pub(super) struct ListQuery {
    filters: Filters,
    sort: Vec<(SortKey, Direction)>,
    marker: Option<ImageId>,
    member_status: Option<MemberStatus>,
    /// Images of a page, at most.
    pub(super) limit: usize,
    /// Whether it asks for what no image can be.
    pub(super) is_empty: bool,
    /// The client's parameters, encoded again, without the marker.
    repeated: String,
}

#[derive(Default)]
struct Reading {
    filters: Filters,
    sort_key: Option<SortKey>,
    direction: Option<Direction>,
    marker: Option<ImageId>,
    limit: Option<usize>,
    kind: Option<&'static str>,
    visibility: Option<Visibility>,
    member_status: Option<MemberStatus>,
    /// Something that no image can be was asked for.
    is_empty: bool,
}

impl ListQuery {
    /// Reads the pairs of a query.
    pub(super) fn parse(pairs: Vec<(String, String)>) -> Result<ListQuery, Refusal> {
        let mut reading = Reading::default();
        let mut repeated = String::new();
        for (name, value) in pairs {
            if name != "marker" {
                let joint = if repeated.is_empty() { "" } else { "&" };
                repeated.push_str(&format!("{joint}{}={}", encode(&name), encode(&value)));
            }
            if !value.is_empty() {
                reading.take(name, value)?;
            }
        }
        Ok(reading.finish(repeated))
    }

    /// The listing, with another limit.
    pub(super) fn listing(&self, limit: usize) -> Listing {
        Listing {
            filters: self.filters.clone(),
            sort: self.sort.clone(),
            marker: self.marker,
            limit,
            member_status: self.member_status,
        }
    }

    /// The link to the first page.
    pub(super) fn first(&self) -> String {
        self.link(String::new())
    }

    /// The link to the page after `last`.
    pub(super) fn next(&self, last: &ImageId) -> String {
        self.link(format!("marker={last}"))
    }

    fn link(&self, marker: String) -> String {
        let parameters: Vec<&str> =
            [&self.repeated, &marker].into_iter().map(String::as_str).filter(|p| !p.is_empty()).collect();
        match parameters.is_empty() {
            true => "/v2/cloudimages".to_owned(),
            false => format!("/v2/cloudimages?{}", parameters.join("&")),
        }
    }
}

impl Reading {
    fn take(&mut self, name: String, value: String) -> Result<(), Refusal> {
        let filters = &mut self.filters;
        match name.as_str() {
            "limit" => match value.parse() {
                Ok(limit) if limit > 0 => self.limit = Some(limit),
                _ => return Err(bad(&name, &value, "a whole number above 0")),
            },
            "marker" => {
                let marker = ImageId::parse(&value);
                self.marker = Some(marker.ok_or_else(|| bad(&name, &value, "the id of an image"))?);
            }
            "sort_key" => self.sort_key = Some(sort_key(value.trim())?),
            "sort_dir" => self.direction = Some(direction(&value)?),
            "__imagetype" => self.kind = Some(kind(&value)?),
            "visibility" => {
                let visibility = Visibility::parse(&value);
                let known = visibility.ok_or_else(|| bad(&name, &value, "public, private or shared"))?;
                self.visibility = Some(known);
            }
            "member_status" => {
                let status = MemberStatus::parse(&value);
                let known = status.ok_or_else(|| bad(&name, &value, "accepted, pending or rejected"))?;
                self.member_status = Some(known);
            }
            "__isregistered" => self.is_empty |= !flag(&name, &value)?,
            "id" => filters.ids = Some(vec![value]),
            "name" => filters.names = Some(vec![value]),
            "owner" => filters.owner = Some(value),
            // One word here for all data that is on its way.
            "status" if value == Status::Saving.as_str() => {
                let filling = Status::ALL.into_iter().filter(|status| status.is_filling());
                filters.statuses = Some(filling.map(|status| status.as_str().to_owned()).collect());
            }
            "status" => filters.statuses = Some(vec![value]),
            "container_format" => filters.container_formats = Some(vec![value]),
            "disk_format" => filters.disk_formats = Some(vec![value]),
            "min_ram" => filters.min_ram = number(&name, &value)?,
            "min_disk" => filters.min_disk = number(&name, &value)?,
            "protected" => filters.protected = Some(flag(&name, &value)?),
            "created_at" => filters.created_at.push(time_bound(&name, &value)?),
            "updated_at" => filters.updated_at.push(time_bound(&name, &value)?),
            "tag" => filters.tag_tests.push(tag_test(&value)),
            // Every public image counts as usable with every kind of machine here.
            "flavor_id" => {}
            _ => filters.property_tests.extend(attribute(name, value)?),
        }
        Ok(())
    }

    fn finish(mut self, repeated: String) -> ListQuery {
        let standing = |visibility| match visibility {
            Visibility::Public => "gold",
            Visibility::Shared => "shared",
            Visibility::Private | Visibility::Community => "private",
        };
        let by_visibility = self.visibility.map(standing);
        if let (Some(kind), Some(other)) = (self.kind, by_visibility)
            && kind != other
        {
            self.is_empty = true;
        }
        match self.kind.or(by_visibility) {
            Some("gold") => self.filters.visibility = Some(Some(Visibility::Public)),
            Some("private") => self.filters.standing = Some(Standing::Kept),
            Some("shared") if self.member_status.is_some() => {
                self.filters.standing = Some(Standing::Received)
            }
            Some("shared") => self.filters.standing = Some(Standing::Shared),
            // Nothing is sold here.
            Some(_) => self.is_empty = true,
            None => {}
        }
        let sort =
            (self.sort_key.unwrap_or(SortKey::CreatedAt), self.direction.unwrap_or(Direction::Descending));
        ListQuery {
            filters: self.filters,
            sort: vec![sort],
            marker: self.marker,
            member_status: Some(self.member_status.unwrap_or(MemberStatus::Accepted)),
            limit: self.limit.unwrap_or(IMS_PAGE_ROWS_DEFAULT).min(PAGE_ROWS_MAX),
            is_empty: self.is_empty,
            repeated,
        }
    }
}

fn kind(value: &str) -> Result<&'static str, Refusal> {
    let known = ["gold", "private", "shared", "market"].into_iter().find(|known| *known == value);
    known.ok_or_else(|| bad("__imagetype", value, "gold, private, shared or market"))
}

/// What a filter of an attribute asks; nothing where every image passes.
fn attribute(name: String, value: String) -> Result<Option<PropertyTest>, Refusal> {
    let exactly = |name: String, value: String, absent| PropertyTest { name, any_of: vec![value], absent };
    let or_default = |default: &str| if value == default { Absent::Admitted } else { Absent::Refused };
    Ok(Some(match name.as_str() {
        "__os_type" => {
            let absent = or_default(wire::OS_TYPE_DEFAULT);
            exactly(name, value, absent)
        }
        "virtual_env_type" => {
            let absent = match value.as_str() {
                wire::ISO => Absent::IfIso,
                wire::MACHINE => Absent::UnlessIso,
                _ => Absent::Refused,
            };
            exactly(name, value, absent)
        }
        "enterprise_project_id" if value == "all_granted_eps" => return Ok(None),
        "enterprise_project_id" => {
            let absent = or_default(wire::ENTERPRISE_PROJECT_DEFAULT);
            exactly(name, value, absent)
        }
        "architecture" => match value.as_str() {
            "arm" => exactly("__support_arm".into(), "true".into(), Absent::Refused),
            "x86" => exactly("__support_arm".into(), "false".into(), Absent::Admitted),
            _ => return Err(bad(&name, &value, "x86 or arm")),
        },
        "__whole_image" => {
            let whole = flag(&name, &value)?;
            let absent = if whole { Absent::Refused } else { Absent::Admitted };
            exactly(name, whole.to_string(), absent)
        }
        "__platform" => PropertyTest { any_of: platforms(value), name, absent: Absent::Refused },
        _ => exactly(name, value, Absent::Refused),
    }))
}

/// How the platform is written, in every spelling that clients use.
fn platforms(value: String) -> Vec<String> {
    let folded = |text: &str| text.replace(' ', "").to_lowercase();
    let wanted = folded(&value);
    let known = crate::model::os_versions::platforms().filter(|platform| folded(platform) == wanted);
    let mut spellings: Vec<String> = known.map(str::to_owned).collect();
    if wanted == "redhat" {
        spellings.push("Red Hat".into());
    }
    if !spellings.contains(&value) {
        spellings.push(value);
    }
    spellings
}

/// `key=value`, `key`, or `key.value` as older clients have it.
fn tag_test(value: &str) -> TagTest {
    if value.contains('=') {
        return TagTest { any_of: vec![value.to_owned()], prefix: None };
    }
    let mut any_of = vec![value.to_owned()];
    any_of.extend(value.split_once('.').map(|(key, value)| format!("{key}={value}")));
    TagTest { any_of, prefix: Some(format!("{value}=")) }
}

fn number(name: &str, value: &str) -> Result<NumberBounds, Refusal> {
    let number = value.parse().map_err(|_| bad(name, value, "a whole number"))?;
    Ok(NumberBounds { min: Some(number), max: Some(number) })
}

fn flag(name: &str, value: &str) -> Result<bool, Refusal> {
    value.to_lowercase().parse().map_err(|_| bad(name, value, "true or false"))
}

fn sort_key(text: &str) -> Result<SortKey, Refusal> {
    listing::sort_key(text).ok_or_else(|| bad("sort_key", text, listing::SORT_KEYS))
}

fn direction(text: &str) -> Result<Direction, Refusal> {
    listing::direction(text).ok_or_else(|| bad("sort_dir", text, "asc or desc"))
}

fn time_bound(name: &str, value: &str) -> Result<(Comparison, Time), Refusal> {
    listing::time_bound(value).ok_or_else(|| bad(name, value, listing::TIME_FORM))
}

fn encode(text: &str) -> impl std::fmt::Display {
    utf8_percent_encode(text, UNRESERVED)
}

fn bad(name: &str, value: &str, expected: &str) -> Refusal {
    let shown: String = value.chars().take(100).collect();
    Refusal::bad("IMG.0017", format!("{name} must be {expected}, not {shown:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(query: &str) -> Result<ListQuery, Refusal> {
        ListQuery::parse(super::super::call::pairs(query).unwrap())
    }

    fn read(query: &str) -> ListQuery {
        parse(query).unwrap()
    }

    #[test]
    fn defaults_are_the_references() {
        let query = read("");
        assert_eq!(
            (query.limit, query.sort.as_slice()),
            (500, &[(SortKey::CreatedAt, Direction::Descending)][..])
        );
        assert_eq!(query.filters, Filters::default());
        assert_eq!(read("limit=9999").limit, PAGE_ROWS_MAX);
        assert_eq!(read("name=&owner=&status=").filters, Filters::default());
        assert_eq!(read("sort_key=status%20").sort[0].0, SortKey::Status);
    }

    #[test]
    fn kinds_and_visibilities_say_the_same() {
        for (query, standing) in [
            ("__imagetype=private", Some(Standing::Kept)),
            ("visibility=private", Some(Standing::Kept)),
            ("__imagetype=shared", Some(Standing::Shared)),
            ("visibility=shared&__imagetype=shared&member_status=pending", Some(Standing::Received)),
            ("__imagetype=gold&visibility=public&protected=true", None),
        ] {
            assert_eq!(read(query).filters.standing, standing, "{query}");
        }
        for nothing in ["__imagetype=market", "__isregistered=false", "__imagetype=gold&visibility=private"] {
            assert!(read(nothing).is_empty, "{nothing}");
        }
    }

    #[test]
    fn links_keep_every_parameter() {
        let query = read("name=a%20b%2F%C3%A9~%2A&limit=2&marker=33ad552d-1149-471c-8190-ff6776174a00");
        assert_eq!(query.first(), "/v2/cloudimages?name=a%20b%2F%C3%A9~%2A&limit=2");
        let last = ImageId::parse("44ad552d-1149-471c-8190-ff6776174a00").unwrap();
        assert_eq!(query.next(&last), format!("{}&marker={last}", query.first()));
    }

    #[test]
    fn platforms_and_tags_are_found_in_every_spelling() {
        for spelled in ["redhat", "Red Hat", "REDHAT"] {
            let platforms = platforms(spelled.into());
            assert!(["RedHat", "Red Hat"].iter().all(|p| platforms.iter().any(|q| q == p)), "{platforms:?}");
        }
        assert_eq!(platforms("Mine".into()), ["Mine"]);
        assert_eq!(tag_test("a=b").any_of, ["a=b"]);
        let dotted = tag_test("a.b.c");
        assert_eq!(
            (dotted.any_of, dotted.prefix.as_deref()),
            (vec!["a.b.c".into(), "a=b.c".into()], Some("a.b.c="))
        );
    }

    #[test]
    fn bad_values_have_the_code_of_conditions() {
        for bad in [
            "limit=0",
            "limit=x",
            "marker=x",
            "sort_key=owner",
            "sort_dir=up",
            "__imagetype=x",
            "visibility=x",
            "member_status=x",
            "min_ram=x",
            "min_disk=-1",
            "protected=x",
            "created_at=gt:x",
            "architecture=mips",
            "__whole_image=x",
        ] {
            assert!(matches!(parse(bad), Err(Refusal::Image { code: "IMG.0017", .. })), "{bad}");
        }
        assert!(parse("created_at=gte:2018-10-28%2010:00:00").is_ok());
    }
}
