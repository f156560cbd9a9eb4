//! The rules that there are: by which names, and what each is about here.

use super::super::action::Action;

/// What a rule is about that is a part of an action: who may do that at all, the action says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Point {
    /// Making an image everybody's to find out of its owner's listing (`community`).
    Communitize,
    /// Giving an image a location.
    SetLocation,
    /// Deactivating an image.
    Deactivate,
    /// Activating it again.
    Reactivate,
}

/// What a rule is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum About {
    /// All of these actions.
    Actions(Vec<Action>),
    /// A part of one.
    Point(Point),
}

/// A rule that there is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) about: About,
    /// Whether it is known where it counts whose the thing is that is asked about, or to come.
    pub(super) has_owner: bool,
}

/// Rules of the Image API that are about actions, with whether the thing's owner is known.
const IMAGE: &[(&str, &[Action], bool)] = &[
    ("get_images", &[Action::ImagesList], true),
    ("get_image", &[Action::ImagesGet], true),
    (
        "add_image",
        &[
            Action::ImagesCreate,
            Action::ServerImagesCreate,
            Action::DataImagesCreate,
            Action::WholeImagesCreate,
        ],
        true,
    ),
    ("modify_image", &[Action::ImagesUpdate], true),
    ("delete_image", &[Action::ImagesDelete], true),
    ("upload_image", &[Action::ImagesUpload], true),
    ("download_image", &[Action::ImagesExport], true),
    ("publicize_image", &[Action::ImagesPublish], true),
    ("copy_image", &[Action::ImagesCopyToPlace], true),
    ("get_image_location", &[Action::ImagesGetLocations], true),
    ("delete_image_location", &[Action::ImagesDropCopy], true),
    ("add_task", &[Action::ImagesImportByTask], true),
    ("get_tasks", &[Action::TasksGet], true),
    ("get_metadef_namespaces", &[Action::MetadefsList], false),
    ("get_metadef_namespace", &[Action::MetadefsGet], false),
    ("add_metadef_namespace", &[Action::MetadefsCreate], false),
    ("modify_metadef_namespace", &[Action::MetadefsUpdate], false),
    ("delete_metadef_namespace", &[Action::MetadefsDelete], false),
    ("cache_list", &[Action::CacheList], false),
    ("cache_image", &[Action::CacheFill], false),
    ("cache_delete", &[Action::CacheDrop], false),
];

/// Rules of the Image API that are about parts of actions.
const POINTS: [(&str, Point); 4] = [
    ("communitize_image", Point::Communitize),
    ("set_image_location", Point::SetLocation),
    ("deactivate", Point::Deactivate),
    ("reactivate", Point::Reactivate),
];

/// Starts the names of the Identity API's rules; what follows is what its refusals call an action.
const IDENTITY: &str = "identity:";

/// The rule of this name.
pub(super) fn find(name: &str) -> Option<Known> {
    if let Some((_, actions, has_owner)) = IMAGE.iter().find(|(known, ..)| *known == name) {
        return Some(Known { about: About::Actions(actions.to_vec()), has_owner: *has_owner });
    }
    if let Some((_, point)) = POINTS.iter().find(|(known, _)| *known == name) {
        return Some(Known { about: About::Point(*point), has_owner: true });
    }
    let word = name.strip_prefix(IDENTITY)?;
    let actions = Action::ALL.iter().copied().filter(|action| action.keystone_name() == Some(word));
    let actions: Vec<Action> = actions.collect();
    (!actions.is_empty()).then_some(Known { about: About::Actions(actions), has_owner: false })
}

/// What is said of a name that no rule has, and nothing refers to.
pub(super) fn unknown(name: &str) -> String {
    let score = |other: &String| strsim::jaro_winkler(other, name);
    let nearest = all().max_by(|a, b| score(a).total_cmp(&score(b))).filter(|best| score(best) > 0.85);
    let hint = nearest.map_or(String::new(), |nearest| format!("; did you mean {nearest}?"));
    let image: Vec<&str> =
        IMAGE.iter().map(|(name, ..)| *name).chain(POINTS.iter().map(|(name, _)| *name)).collect();
    format!(
        "there is no such rule here, and no other refers to it{hint} Expected is one of {}, or identity: with the name of an \
         action that the Identity API's refusals have, such as identity:create_user",
        image.join(", ")
    )
}

/// Every name.
pub(super) fn all() -> impl Iterator<Item = String> {
    let image = IMAGE.iter().map(|(name, ..)| *name).chain(POINTS.iter().map(|(name, _)| *name));
    let identity = Action::ALL.iter().filter_map(|action| action.keystone_name());
    image.map(str::to_owned).chain(identity.map(|name| format!("{IDENTITY}{name}")))
}
