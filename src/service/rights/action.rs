//! Every action that this server asks leave for, by the name that policies use.
//!
//! `ims:` has the names of the image management service's reference, whatever protocol asks, two for deleted images,
//! of which it has none, and what else whoever may look at images may look at; `identity:` is the administration of
//! identities, `tintype:` what no other service has. Invariant: there are fewer than 128.

/// A set of actions: one bit each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Actions(u128);

impl Actions {
    /// No action.
    pub const NONE: Actions = Actions(0);

    /// Whether the action is in it.
    pub fn has(self, action: Action) -> bool {
        self.0 & (1 << action as u32) != 0
    }

    /// Whether there is any.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// What is in either.
    pub fn or(self, other: Actions) -> Actions {
        Actions(self.0 | other.0)
    }

    /// Whether any action is in both.
    pub fn meets(self, other: Actions) -> bool {
        self.0 & other.0 != 0
    }
}

impl FromIterator<Action> for Actions {
    fn from_iter<I: IntoIterator<Item = Action>>(actions: I) -> Actions {
        Actions(actions.into_iter().fold(0, |set, action| set | (1 << action as u32)))
    }
}

macro_rules! actions {
    ($($(#[$doc:meta])* $name:ident = $text:literal $(as $keystone:literal)?;)*) => {
        /// What a use case asks leave for.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum Action {
            $($(#[$doc])* $name,)*
        }

        impl Action {
            /// All of them, in the order in which they are declared.
            pub const ALL: &'static [Action] = &[$(Action::$name,)*];

            /// Its name, `service:type:operation`.
            pub fn name(self) -> &'static str {
                match self { $(Action::$name => $text,)* }
            }

            /// What the Identity API calls it in refusals, if it is that API's.
            pub fn keystone_name(self) -> Option<&'static str> {
                match self { $(Action::$name => actions!(@keystone $($keystone)?),)* }
            }
        }
    };
    (@keystone) => { None };
    (@keystone $text:literal) => { Some($text) };
}

actions! {
    /// See which images there are, and their tags.
    ImagesList = "ims:images:list";
    /// Show an image and its members.
    ImagesGet = "ims:images:get";
    /// Register an image without data.
    ImagesCreate = "ims:images:create";
    /// Change what is said about an image.
    ImagesUpdate = "ims:images:update";
    /// Delete an image.
    ImagesDelete = "ims:images:delete";
    /// Bring a deleted image back.
    ImagesRestore = "ims:images:restore";
    /// Let go of a deleted image before its time; takes the right to delete it as well.
    ImagesPurge = "ims:images:purge";
    /// Fill an image with data.
    ImagesUpload = "ims:images:upload";
    /// Hand out an image's data: to a bucket, and to whoever downloads it.
    ImagesExport = "ims:images:export";
    /// Share an image, and take or decline a share.
    ImagesShare = "ims:images:share";
    /// Copy an image.
    ImagesCopy = "ims:images:copy";
    /// Make a system disk image from a file.
    ServerImagesCreate = "ims:serverImages:create";
    /// Make a data disk image from a file.
    DataImagesCreate = "ims:dataImages:create";
    /// Make a set of a whole machine's images.
    WholeImagesCreate = "ims:wholeImages:create";
    /// See what the project may have, and what it has.
    QuotasGet = "ims:quotas:get";

    /// See which namespaces of metadata definitions there are.
    MetadefsList = "ims:metadefs:list";
    /// Show a namespace of metadata definitions, and all in it.
    MetadefsGet = "ims:metadefs:get";
    /// See jobs of one's project.
    JobsGet = "ims:jobs:get";
    /// End, repeat and hold up jobs of one's project.
    JobsManage = "ims:jobs:manage";
    /// Treat every project's jobs, and the box's own, as one's own.
    JobsAccessAll = "tintype:jobs:accessAll";
    /// See which custom keys there are.
    CustomKeysList = "kms:cmk:list";
    /// Show a custom key.
    CustomKeysGet = "kms:cmk:get";
    /// Make a custom key.
    CustomKeysCreate = "kms:cmk:create";
    /// Rename, switch and rotate a custom key.
    CustomKeysUpdate = "kms:cmk:update";
    /// Have a custom key deleted, or kept.
    CustomKeysDelete = "kms:cmk:delete";
    /// Let other projects open what a custom key sealed.
    CustomKeysGrant = "kms:cmk:grant";

    /// Treat every project's custom keys as one's own.
    CustomKeysAccessAll = "tintype:customKeys:accessAll";
    /// Read the audit records of one's project.
    AuditGet = "tintype:audit:get";
    /// Read all audit records.
    AuditGetAll = "tintype:audit:getAll";
    /// Treat every project's images as one's own.
    ImagesAccessAll = "tintype:images:accessAll";
    /// See where an image's data was fetched from.
    ImagesGetLocations = "tintype:images:getLocations";
    /// Make an image by a task of the Image API.
    ImagesImportByTask = "tintype:images:importByTask";
    /// See the tasks of the Image API.
    TasksGet = "tintype:tasks:get";
    /// Make an image public.
    ImagesPublish = "tintype:images:publish";
    /// Give an image to another project.
    ImagesSetOwner = "tintype:images:setOwner";
    /// Make a namespace of metadata definitions.
    MetadefsCreate = "tintype:metadefs:create";
    /// Change a namespace of metadata definitions, and all in it.
    MetadefsUpdate = "tintype:metadefs:update";
    /// Delete a namespace of metadata definitions.
    MetadefsDelete = "tintype:metadefs:delete";
    /// Treat every project's namespaces of metadata definitions as one's own.
    MetadefsAccessAll = "tintype:metadefs:accessAll";
    /// Copy an image's data to more stores of the box.
    ImagesCopyToPlace = "tintype:images:copyToPlace";
    /// Take an image's data from one of several stores.
    ImagesDropCopy = "tintype:images:dropCopy";
    /// See what the stores are on that clients may choose from.
    StoreList = "tintype:store:list";
    /// See which images lie in the cache, and which are to come.
    CacheList = "tintype:cache:list";
    /// Bring images into the cache.
    CacheFill = "tintype:cache:fill";
    /// Let the cache go of images.
    CacheDrop = "tintype:cache:drop";
    /// Look at figures, damage and events of the box.
    StoreGet = "tintype:store:get";
    /// Verify everything that is stored.
    StoreCheck = "tintype:store:check";
    /// Compare stored objects with what was written.
    StoreScrub = "tintype:store:scrub";
    /// Give back space.
    StoreReclaim = "tintype:store:reclaim";
    /// Look at and back up the keys of a sealed box.
    KeysGet = "tintype:keys:get";
    /// Rotate and erase the keys of a sealed box.
    KeysManage = "tintype:keys:manage";
    /// Look after the box where no action of its own says what for.
    UpkeepManage = "tintype:upkeep:manage";
    /// Make, see and end other users' access keys.
    AccessKeysManageAll = "tintype:accessKeys:manageAll";
    /// See which policies there are, and where they are attached.
    PoliciesList = "tintype:policies:list";
    /// Show a policy.
    PoliciesGet = "tintype:policies:get";
    /// Write a policy.
    PoliciesCreate = "tintype:policies:create";
    /// Change a policy.
    PoliciesUpdate = "tintype:policies:update";
    /// Delete a policy.
    PoliciesDelete = "tintype:policies:delete";
    /// Attach a policy to a group.
    PoliciesAttach = "tintype:policies:attach";
    /// Take a policy from a group.
    PoliciesDetach = "tintype:policies:detach";
    /// Ask what another user may do, and why.
    PoliciesSimulate = "tintype:policies:simulate";

    /// List users.
    UsersList = "identity:users:list" as "list_users";
    /// Show a user.
    UsersGet = "identity:users:get" as "get_user";
    /// Make a user.
    UsersCreate = "identity:users:create" as "create_user";
    /// Change a user.
    UsersUpdate = "identity:users:update" as "update_user";
    /// Delete a user.
    UsersDelete = "identity:users:delete" as "delete_user";
    /// See where a user may sign in to.
    UsersListProjects = "identity:users:listProjects" as "list_user_projects";
    /// See which groups a user is in.
    UsersListGroups = "identity:users:listGroups" as "list_groups_for_user";
    /// List other users' application credentials and access rules.
    ApplicationCredentialsList = "identity:applicationCredentials:list" as "list_application_credentials";
    /// Show other users' application credentials and access rules.
    ApplicationCredentialsGet = "identity:applicationCredentials:get" as "get_application_credential";
    /// Delete other users' application credentials and access rules.
    ApplicationCredentialsDelete = "identity:applicationCredentials:delete" as "delete_application_credential";
    /// See other users' credentials that are kept for others.
    CredentialsGet = "identity:credentials:get" as "get_credential";
    /// Make, change and delete other users' credentials that are kept for others.
    CredentialsManage = "identity:credentials:manage" as "update_credential";
    /// List groups.
    GroupsList = "identity:groups:list" as "list_groups";
    /// Show a group.
    GroupsGet = "identity:groups:get" as "get_group";
    /// Make a group.
    GroupsCreate = "identity:groups:create" as "create_group";
    /// Change a group.
    GroupsUpdate = "identity:groups:update" as "update_group";
    /// Delete a group.
    GroupsDelete = "identity:groups:delete" as "delete_group";
    /// See who is in a group.
    GroupsListMembers = "identity:groups:listMembers" as "list_users_in_group";
    /// See whether a user is in a group.
    GroupsCheckMember = "identity:groups:checkMember" as "check_user_in_group";
    /// Put a user into a group.
    GroupsAddMember = "identity:groups:addMember" as "add_user_to_group";
    /// Take a user out of a group.
    GroupsRemoveMember = "identity:groups:removeMember" as "remove_user_from_group";
    /// List projects.
    ProjectsList = "identity:projects:list" as "list_projects";
    /// Show a project.
    ProjectsGet = "identity:projects:get" as "get_project";
    /// Make a project.
    ProjectsCreate = "identity:projects:create" as "create_project";
    /// Change a project.
    ProjectsUpdate = "identity:projects:update" as "update_project";
    /// Delete a project.
    ProjectsDelete = "identity:projects:delete" as "delete_project";
    /// List domains.
    DomainsList = "identity:domains:list" as "list_domains";
    /// Show a domain.
    DomainsGet = "identity:domains:get" as "get_domain";
    /// Make a domain.
    DomainsCreate = "identity:domains:create" as "create_domain";
    /// Change a domain.
    DomainsUpdate = "identity:domains:update" as "update_domain";
    /// Delete a domain.
    DomainsDelete = "identity:domains:delete" as "delete_domain";
    /// List roles.
    RolesList = "identity:roles:list" as "list_roles";
    /// Show a role.
    RolesGet = "identity:roles:get" as "get_role";
    /// Make a role.
    RolesCreate = "identity:roles:create" as "create_role";
    /// Change a role.
    RolesUpdate = "identity:roles:update" as "update_role";
    /// Delete a role.
    RolesDelete = "identity:roles:delete" as "delete_role";
    /// See which roles bring others along.
    RolesListInferences = "identity:roles:listInferences" as "list_role_inference_rules";
    /// Say which roles bring others along.
    RolesImply = "identity:roles:imply" as "create_implied_role";
    /// See which roles somebody was given somewhere.
    GrantsList = "identity:grants:list" as "list_grants";
    /// See whether somebody was given a role.
    GrantsCheck = "identity:grants:check" as "check_grant";
    /// Give a role.
    GrantsCreate = "identity:grants:create" as "create_grant";
    /// Take a role away.
    GrantsRevoke = "identity:grants:revoke" as "revoke_grant";
    /// See who holds what where.
    AssignmentsList = "identity:assignments:list" as "list_role_assignments";
    /// List services.
    ServicesList = "identity:services:list" as "list_services";
    /// Show a service.
    ServicesGet = "identity:services:get" as "get_service";
    /// List endpoints.
    EndpointsList = "identity:endpoints:list" as "list_endpoints";
    /// Show an endpoint.
    EndpointsGet = "identity:endpoints:get" as "get_endpoint";
    /// Register, change and delete services beside the box's own.
    ServicesManage = "identity:services:manage" as "create_service";
    /// Register, change and delete endpoints of services beside the box's own.
    EndpointsManage = "identity:endpoints:manage" as "create_endpoint";
    /// Make, change and delete regions beside the box's own.
    RegionsManage = "identity:regions:manage" as "create_region";
    /// Make limits of all projects.
    RegisteredLimitsCreate = "identity:registeredLimits:create" as "create_registered_limits";
    /// Change limits of all projects.
    RegisteredLimitsUpdate = "identity:registeredLimits:update" as "update_registered_limit";
    /// Delete limits of all projects.
    RegisteredLimitsDelete = "identity:registeredLimits:delete" as "delete_registered_limit";
    /// See the limits of every project, and what each uses.
    LimitsList = "identity:limits:list" as "list_limits";
    /// Show a limit of any project.
    LimitsGet = "identity:limits:get" as "get_limit";
    /// Make limits of single projects.
    LimitsCreate = "identity:limits:create" as "create_limits";
    /// Change limits of single projects.
    LimitsUpdate = "identity:limits:update" as "update_limit";
    /// Delete limits of single projects.
    LimitsDelete = "identity:limits:delete" as "delete_limit";
    /// Look at other users' tokens.
    TokensValidate = "identity:tokens:validate" as "validate_token";
    /// End other users' tokens.
    TokensRevoke = "identity:tokens:revoke" as "revoke_token";
}

impl Action {
    /// The action with this name, in whatever case.
    pub fn named(name: &str) -> Option<Action> {
        Action::ALL.iter().copied().find(|action| action.name().eq_ignore_ascii_case(name))
    }

    /// The service it belongs to: what stands before the first colon of its name.
    pub fn service(self) -> &'static str {
        self.name().split(':').next().unwrap_or_default()
    }

    /// What it is done to, as resources are named.
    pub fn resource_type(self) -> &'static str {
        match self.name().split(':').nth(1).unwrap_or_default() {
            "serverImages" | "dataImages" | "wholeImages" => "image",
            types => types.strip_suffix("ies").map_or_else(|| types.trim_end_matches('s'), |_| "policy"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_three_parts_and_lead_back() {
        assert!(Action::ALL.len() < 128);
        for (at, action) in Action::ALL.iter().enumerate() {
            assert_eq!(*action as usize, at);
            assert_eq!(action.name().split(':').count(), 3, "{action:?}");
            assert_eq!(Action::named(&action.name().to_uppercase()), Some(*action));
            assert_eq!(action.keystone_name().is_some(), action.service() == "identity", "{action:?}");
        }
        assert_eq!(Action::named("ims:images"), None);
    }

    #[test]
    fn resources_are_named_in_the_singular() {
        for (action, expected) in [
            (Action::ImagesList, "image"),
            (Action::DataImagesCreate, "image"),
            (Action::PoliciesGet, "policy"),
            (Action::UsersGet, "user"),
            (Action::StoreScrub, "store"),
            (Action::MetadefsUpdate, "metadef"),
        ] {
            assert_eq!(action.resource_type(), expected);
        }
    }

    #[test]
    fn a_set_has_what_was_put_in() {
        let set: Actions = [Action::ImagesList, Action::TokensRevoke].into_iter().collect();
        assert!(set.has(Action::TokensRevoke) && !set.has(Action::ImagesGet));
        assert!(Actions::NONE.is_empty() && set.or(Actions::NONE) == set && set.meets(set));
    }
}
