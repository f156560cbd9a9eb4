//! What a listing leaves out, and whether an image passes.

use std::collections::BTreeMap;

use crate::base::Time;
use crate::model::{Digests, Image, Visibility};

/// A comparison of times.
#[allow(missing_docs)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    Less,
    LessOrEqual,
    Equal,
    NotEqual,
    GreaterOrEqual,
    Greater,
}

impl Comparison {
    fn holds(self, a: i64, b: i64) -> bool {
        match self {
            Comparison::Less => a < b,
            Comparison::LessOrEqual => a <= b,
            Comparison::Equal => a == b,
            Comparison::NotEqual => a != b,
            Comparison::GreaterOrEqual => a >= b,
            Comparison::Greater => a > b,
        }
    }
}

/// What an image without a property counts as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Absent {
    /// It is left out.
    Refused,
    /// It passes.
    Admitted,
    /// It passes when it is an ISO image.
    IfIso,
    /// It passes when it is none.
    UnlessIso,
}

/// A test of one custom property.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PropertyTest {
    /// Its name.
    pub name: String,
    /// Any of these values.
    pub any_of: Vec<String>,
    /// What an image without it counts as.
    pub absent: Absent,
}

impl PropertyTest {
    fn admit(&self, image: &Image) -> bool {
        let is_iso = || image.disk_format.as_deref() == Some("iso");
        match image.properties.get(&self.name) {
            Some(value) => self.any_of.contains(value),
            None => match self.absent {
                Absent::Refused => false,
                Absent::Admitted => true,
                Absent::IfIso => is_iso(),
                Absent::UnlessIso => !is_iso(),
            },
        }
    }
}

/// A test of the tags: one of them must pass.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TagTest {
    /// Any of these tags.
    pub any_of: Vec<String>,
    /// Or any that starts so.
    pub prefix: Option<String>,
}

impl TagTest {
    fn admit(&self, image: &Image) -> bool {
        let starts = |prefix: &String| {
            // Tags are in order: the first that is not before the prefix tells.
            image.tags.range(prefix.clone()..).next().is_some_and(|tag| tag.starts_with(prefix))
        };
        self.any_of.iter().any(|tag| image.tags.contains(tag)) || self.prefix.as_ref().is_some_and(starts)
    }
}

/// How images stand to the viewer's project, where a listing is to have one kind only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Its own that are not public and have no member.
    Kept,
    /// Its own that have members, and others' that are shared with it.
    Shared,
    /// Others' that are shared with it.
    Received,
}

/// What a listing leaves out. Empty fields leave nothing out; several must all hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filters {
    /// Any of these ids.
    pub ids: Option<Vec<String>>,
    /// Any of these names.
    pub names: Option<Vec<String>>,
    /// Any of these states (Image API words; unknown words match nothing).
    pub statuses: Option<Vec<String>>,
    /// Any of these container formats.
    pub container_formats: Option<Vec<String>>,
    /// Any of these disk formats.
    pub disk_formats: Option<Vec<String>>,
    /// `None`: the default listing (other owners' community images left out).
    /// `Some(None)`: `all`. `Some(Some(v))`: only `v`.
    pub visibility: Option<Option<Visibility>>,
    /// Exactly this owner.
    pub owner: Option<String>,
    /// Hidden images, or the others.
    pub hidden: bool,
    /// Protected images, or the others.
    pub protected: Option<bool>,
    /// Every one of these tags.
    pub tags: Vec<String>,
    /// Exactly these custom properties.
    pub properties: BTreeMap<String, String>,
    /// Every one of these.
    pub property_tests: Vec<PropertyTest>,
    /// Every one of these.
    pub tag_tests: Vec<TagTest>,
    /// Only images that stand so to the viewer's project; an administrator's view of all projects has none.
    pub standing: Option<Standing>,
    /// Exactly this MD5, in hex.
    pub checksum: Option<String>,
    /// Exactly this hash, in hex, whichever algorithm computed it.
    pub hash_value: Option<String>,
    /// Exactly this hash algorithm.
    pub hash_algo: Option<String>,
    /// Numeric columns (`size`, `min_ram`, `min_disk`, `virtual_size`): inclusive bounds. Unset values never match.
    pub size: NumberBounds,
    /// See `size`; in MiB.
    pub min_ram: NumberBounds,
    /// See `size`; in GiB.
    pub min_disk: NumberBounds,
    /// See `size`.
    pub virtual_size: NumberBounds,
    /// Bounds on the creation time (compared in whole seconds).
    pub created_at: Vec<(Comparison, Time)>,
    /// Bounds on the update time (compared in whole seconds).
    pub updated_at: Vec<(Comparison, Time)>,
}

/// Inclusive bounds on a number.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NumberBounds {
    /// At least.
    pub min: Option<u64>,
    /// At most.
    pub max: Option<u64>,
}

impl NumberBounds {
    fn admit(&self, value: Option<u64>) -> bool {
        match value {
            Some(value) => self.min.is_none_or(|min| value >= min) && self.max.is_none_or(|max| value <= max),
            None => self.min.is_none() && self.max.is_none(),
        }
    }
}

impl Filters {
    /// Whether the image passes. Which images a viewer may list at all, how they stand to it, and the community
    /// rule of the default listing, are the sources' business ([`super::sources`]).
    pub(super) fn admit(&self, image: &Image) -> bool {
        image.hidden == self.hidden
            && self.admit_words(image)
            && self.protected.is_none_or(|protected| image.protected == protected)
            && self.visibility.flatten().is_none_or(|visibility| image.visibility == visibility)
            && self.owner.as_ref().is_none_or(|owner| image.owner.as_ref().is_some_and(|o| o.0 == *owner))
            && self.tags.iter().all(|tag| image.tags.contains(tag))
            && self.properties.iter().all(|(name, value)| image.properties.get(name) == Some(value))
            && self.property_tests.iter().all(|test| test.admit(image))
            && self.tag_tests.iter().all(|test| test.admit(image))
            && self.admit_digests(image.digests.as_ref())
            && self.size.admit(image.size_bytes)
            && self.min_ram.admit(Some(image.min_ram_mib))
            && self.min_disk.admit(Some(image.min_disk_gib))
            && self.virtual_size.admit(image.virtual_size_bytes)
            && admit_time(&self.created_at, image.created_at)
            && admit_time(&self.updated_at, image.updated_at)
    }

    fn admit_words(&self, image: &Image) -> bool {
        let any = |words: &Option<Vec<String>>, value: Option<&str>| {
            words.as_ref().is_none_or(|words| value.is_some_and(|value| words.iter().any(|w| w == value)))
        };
        any(&self.names, image.name.as_deref())
            && any(&self.statuses, Some(image.status.as_str()))
            && any(&self.container_formats, image.container_format.as_deref())
            && any(&self.disk_formats, image.disk_format.as_deref())
            && (self.ids.is_none() || any(&self.ids, Some(&image.id.to_string())))
    }

    fn admit_digests(&self, digests: Option<&Digests>) -> bool {
        let md5 = digests.and_then(|digests| digests.md5);
        let secure = digests.and_then(|digests| digests.secure);
        let is = |wanted: &Option<String>, value: &dyn Fn() -> Option<String>| {
            wanted.as_ref().is_none_or(|wanted| value().as_ref() == Some(wanted))
        };
        is(&self.checksum, &|| md5.map(hex::encode))
            && is(&self.hash_value, &|| secure.map(|hash| hex::encode(hash.value())))
            && is(&self.hash_algo, &|| secure.map(|hash| hash.algorithm().as_str().to_owned()))
    }
}

fn admit_time(bounds: &[(Comparison, Time)], time: Time) -> bool {
    bounds.iter().all(|(comparison, bound)| comparison.holds(time.seconds(), bound.seconds()))
}

/// The moments that `bounds` can let pass: from the first, up to but without the second.
/// `None` is no bound.
pub(super) fn time_window(bounds: &[(Comparison, Time)]) -> (Option<Time>, Option<Time>) {
    let (mut from, mut to): (Option<Time>, Option<Time>) = (None, None);
    for (comparison, bound) in bounds {
        let start = bound.seconds().checked_mul(Time::SECOND).map(Time);
        let next = bound.seconds().checked_add(1).and_then(|s| s.checked_mul(Time::SECOND)).map(Time);
        let (lower, upper) = match comparison {
            Comparison::Less => (None, start),
            Comparison::LessOrEqual => (None, next),
            Comparison::Equal => (start, next),
            Comparison::NotEqual => (None, None),
            Comparison::GreaterOrEqual => (start, None),
            Comparison::Greater => (next, None),
        };
        from = from.max(lower);
        to = [to, upper].into_iter().flatten().min();
    }
    (from, to)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unset_number_passes_only_without_bounds() {
        assert!(NumberBounds::default().admit(None));
        assert!(!NumberBounds { min: Some(0), max: None }.admit(None));
        assert!(NumberBounds { min: Some(3), max: Some(3) }.admit(Some(3)));
        assert!(!NumberBounds { min: Some(3), max: Some(3) }.admit(Some(4)));
    }

    #[test]
    fn properties_and_tags_are_tested_with_their_defaults() {
        let mut image = crate::catalog::images::tests::plain_image(1);
        let test =
            |absent| PropertyTest { name: "kind".into(), any_of: vec!["a".into(), "b".into()], absent };
        assert!(!test(Absent::Refused).admit(&image) && test(Absent::Admitted).admit(&image));
        assert!(!test(Absent::IfIso).admit(&image) && test(Absent::UnlessIso).admit(&image));
        image.disk_format = Some("iso".into());
        assert!(test(Absent::IfIso).admit(&image) && !test(Absent::UnlessIso).admit(&image));
        image.properties.insert("kind".into(), "b".into());
        assert!(test(Absent::Refused).admit(&image) && test(Absent::UnlessIso).admit(&image));
        image.properties.insert("kind".into(), "c".into());
        assert!(!test(Absent::Admitted).admit(&image));
        let tags = TagTest { any_of: vec!["k".into()], prefix: Some("k=".into()) };
        assert!(!tags.admit(&image));
        for (tag, passes) in [("k", true), ("k=v", true), ("kk=v", false), ("j", false)] {
            image.tags = [tag.to_owned()].into();
            assert_eq!(tags.admit(&image), passes, "{tag}");
        }
    }

    #[test]
    fn times_compare_in_whole_seconds() {
        let late_in_second_two = Time(2_900_000);
        for (comparison, holds) in [
            (Comparison::Less, false),
            (Comparison::LessOrEqual, true),
            (Comparison::Equal, true),
            (Comparison::NotEqual, false),
            (Comparison::GreaterOrEqual, true),
            (Comparison::Greater, false),
        ] {
            let bounds = [(comparison, Time(2_000_000))];
            assert_eq!(admit_time(&bounds, late_in_second_two), holds, "{comparison:?}");
        }
    }

    #[test]
    fn a_time_window_holds_every_moment_that_passes() {
        let second = |n: i64| Time(n * Time::SECOND);
        let bounds = [(Comparison::Greater, Time(1_500_000)), (Comparison::LessOrEqual, Time(4_999_999))];
        assert_eq!(time_window(&bounds), (Some(second(2)), Some(second(5))));
        assert_eq!(time_window(&[(Comparison::NotEqual, second(3))]), (None, None));
        assert_eq!(time_window(&[(Comparison::LessOrEqual, Time(i64::MAX))]), (None, None));
        assert_eq!(time_window(&[(Comparison::GreaterOrEqual, Time(i64::MIN))]), (None, None));
    }
}
