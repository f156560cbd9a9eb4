//! Every fixed bound of the product in one place, each with its reason.
//!
//! Bounds an operator may want to move are settings instead (see `config/tintype.toml`).

/// Longest request body that is held in memory as JSON; real clients stay under 100 KiB.
pub const JSON_BODY_BYTES_MAX: usize = 1 << 20;
/// How long such a body may take to arrive, in seconds: long enough for a megabyte over a bad link,
/// and an end for clients that send a byte now and then.
pub const JSON_BODY_TIME_MAX_S: u64 = 60;
/// Deepest nesting of JSON that is read; the deepest legal body has five levels.
pub const JSON_DEPTH_MAX: usize = 32;
/// Longest image or property name, tag, owner, in characters (Image API v2 schema).
pub const NAME_CHARS_MAX: usize = 255;
/// Longest custom property value, in characters; Glance stores them as unbounded text.
pub const PROPERTY_VALUE_CHARS_MAX: usize = 65_535;
/// Properties, tags and members of one image (Glance's defaults).
pub const IMAGE_PROPERTIES_MAX: usize = 128;
/// See [`IMAGE_PROPERTIES_MAX`].
pub const IMAGE_TAGS_MAX: usize = 128;
/// See [`IMAGE_PROPERTIES_MAX`].
pub const IMAGE_MEMBERS_MAX: usize = 128;
/// Tags with key and value that an image takes through the image management API (the reference's limit).
pub const IMAGE_LABELS_MAX: usize = 10;
/// Members of an image of a whole server (the reference's limit).
pub const WHOLE_IMAGE_MEMBERS_MAX: usize = 10;
/// Images times recipients of one request to share: each pair is a commit.
pub const SHARED_PAIRS_MAX: usize = 1000;
/// Rows of a page when the client names no limit, and the most it gets (Glance's defaults).
pub const PAGE_ROWS_DEFAULT: usize = 25;
/// See [`PAGE_ROWS_DEFAULT`].
pub const PAGE_ROWS_MAX: usize = 1000;
/// Rows of a page of the image management API when the client names no limit (the reference's default).
pub const IMS_PAGE_ROWS_DEFAULT: usize = 500;
/// Largest value of `min_disk` and `min_ram` (Image API v2 schema: a signed 32-bit integer).
pub const MIN_RESOURCE_MAX: u64 = 2_147_483_647;
/// Disks that a project may have open at once to whoever has their names: enough for a fleet that boots, few enough to list.
pub const PROJECT_EXPORTS_MAX: usize = 256;
/// Likewise of the whole box.
pub const EXPORTS_MAX: usize = 4096;
/// Access keys of one user: enough for a fleet's services, few enough to list.
pub const ACCESS_KEYS_PER_USER_MAX: usize = 64;
/// Longest password that is hashed, in bytes; longer ones only cost the server time.
pub const PASSWORD_BYTES_MAX: usize = 4096;
/// Extents of one manifest beyond which an upload is refused, so that hostile data cannot make the
/// manifest, and the memory to read it, grow without bound. Real disks have thousands.
pub const MANIFEST_EXTENTS_MAX: usize = 1 << 22;
/// Longest policy document, in bytes of JSON without blanks: more than twice what the reference takes.
pub const POLICY_BYTES_MAX: usize = 16 << 10;
/// Statements of one policy.
pub const POLICY_STATEMENTS_MAX: usize = 64;
/// Actions, resources, or values of a condition in one statement.
pub const POLICY_LIST_MAX: usize = 128;
/// Roles that one role may depend on.
pub const POLICY_DEPENDENCIES_MAX: usize = 16;
/// Policies of one installation: each request of a group's members may read those attached to it.
pub const POLICIES_MAX: usize = 10_000;
/// Policies attached to one group.
pub const GROUP_POLICIES_MAX: usize = 2000;
/// Groups that one user may be in.
pub const USER_GROUPS_MAX: usize = 100;
/// Longest name of a namespace of metadata definitions, and of anything in one, in characters (Image API v2 schema).
pub const METADEF_NAME_CHARS_MAX: usize = 80;
/// Longest description of such a namespace, in characters (Image API v2 schema).
pub const METADEF_DESCRIPTION_CHARS_MAX: usize = 500;
/// Namespaces of metadata definitions: a listing sorts all of them. OpenStack's own catalogue has 33.
pub const METADEF_NAMESPACES_MAX: usize = 1000;
/// Properties, objects, or tags of one namespace, and properties of one object. OpenStack's own catalogue has 19 at
/// most.
pub const METADEF_ITEMS_MAX: usize = 512;
/// Types of resources that one namespace applies to: a listing has those of each. OpenStack's own catalogue has 5 at
/// most.
pub const METADEF_TYPES_MAX: usize = 64;
/// Text of all that one namespace defines, in bytes: it is read and written at once, and fits into one JSON body.
/// OpenStack's own catalogue has 19 KB at most.
pub const METADEF_BYTES_MAX: usize = 512 << 10;
/// Application credentials of one user: enough for one each of a fleet's programs, few enough to list.
pub const APPLICATION_CREDENTIALS_PER_USER_MAX: usize = 256;
/// Access rules of one user, and of one application credential: each request that is bound to some looks through them.
pub const ACCESS_RULES_PER_USER_MAX: usize = 1024;
/// See [`ACCESS_RULES_PER_USER_MAX`].
pub const ACCESS_RULES_PER_CREDENTIAL_MAX: usize = 64;
/// Credentials of one user that are kept for others.
pub const CREDENTIALS_PER_USER_MAX: usize = 64;
/// What one of those says, in bytes: a chain of certificates, and no more.
pub const CREDENTIAL_BLOB_BYTES_MAX: usize = 16 << 10;
/// Services, endpoints and regions that may be registered, of each: all of them are in every token's answer.
pub const REGISTERED_MAX: usize = 256;
