//! What Zoho's CRM API has in v7 and v8 and the simulator does not: versions, modules, paths and methods.
//! (<https://www.zoho.com/crm/developer/docs/api/v7/>)

/// The versions of Zoho's API, of which the simulator serves v7 and v8.
const VERSIONS: &[&str] = &["v2", "v2.1", "v3", "v4", "v5", "v6", "v7", "v8"];

/// Modules of Zoho's API that have no records in the simulator.
const MODULES: &[&str] = &[
    "Activities",
    "Appointments__s",
    "Appointments_Rescheduled_History__s",
    "Attachments",
    "Dashboards",
    "Feeds",
    "Locking_Information__s",
    "Notes",
    "Reports",
    "Services__s",
    "Social",
    "Visits",
];

/// Zoho's standard fields that no module of the simulator has.
const FIELDS: &[&str] = &["Full_Name", "Tag", "Twitter"];

/// The first segments of paths outside of modules.
const ROOTS: &[&str] = &[
    "__features",
    "__global_picklists",
    "__internal",
    "__schedule_mass_delete",
    "Email_Drafts",
    "Portals",
    "actions",
    "bulk",
    "composite_requests",
    "__composite_requests",
    "features",
    "files",
    "zia",
];

/// The second segments of `settings/…`.
const SETTINGS: &[&str] = &[
    "assignment_rules",
    "attachments",
    "audit_log_export",
    "automation",
    "backup",
    "blueprints",
    "business_hours",
    "cadences",
    "currencies",
    "custom_links",
    "custom_views",
    "data_sharing",
    "duplicate_check_preference",
    "email_configurations",
    "email_signatures",
    "email_templates",
    "emails",
    "extensions",
    "features",
    "fields",
    "fiscal_year",
    "fiscal_years",
    "functions",
    "global_picklists",
    "holidays",
    "intelligence",
    "inventory_templates",
    "layout_rules",
    "layouts",
    "locking_information_configurations",
    "macros",
    "mailmerge",
    "map_dependencies",
    "merge_templates",
    "modules",
    "permissions",
    "pipeline",
    "pipelines",
    "portals",
    "profiles",
    "recycle_bin",
    "related_lists",
    "roles",
    "scoring_rules",
    "shift_hours",
    "signals",
    "tags",
    "tab_groups",
    "territories",
    "unblock_email",
    "user_groups",
    "validation_rules",
    "variable_groups",
    "variables",
    "webforms",
    "wizards",
];

/// The actions of a module.
const ACTIONS: &[&str] = &[
    "add_tags",
    "assign_territories",
    "assign_to_meetings",
    "blueprint",
    "cancel",
    "cancel_meeting",
    "change_owner",
    "clone",
    "convert",
    "count",
    "delete",
    "download_fields_attachment",
    "download_inventory",
    "get_related_records_count",
    "lock",
    "mass_change_owner",
    "mass_convert",
    "mass_delete",
    "mass_update",
    "merge",
    "remove_tags",
    "remove_territories",
    "rename",
    "reschedule",
    "restore",
    "send_mail",
    "send_mail_merge",
    "share",
    "unlock",
    "watch",
];

/// Paths of a module that name no record.
const MODULE_WORDS: &[&str] = &["deleted", "search", "timeline", "bulk"];

/// Whether Zoho has this version of its API.
pub(super) fn is_version(segment: &str) -> bool {
    VERSIONS.contains(&segment)
}

/// Whether Zoho has this module, and the simulator does not.
pub(crate) fn is_module(name: &str) -> bool {
    MODULES.contains(&name)
}

/// Whether Zoho has this standard field, and the simulator does not.
pub(crate) fn is_field(name: &str) -> bool {
    FIELDS.contains(&name)
}

/// Whether paths that begin with this segment are outside of modules.
pub(super) fn is_root(segment: &str) -> bool {
    ROOTS.contains(&segment) || matches!(segment, "users" | "org" | "coql" | "__apis" | "settings")
}

/// Whether Zoho has this request in v7 and v8, although the simulator does not serve it. `segments` follow the version.
pub(super) fn is_request(method: &str, segments: &[&str]) -> bool {
    let is_write = matches!(method, "POST" | "PUT" | "PATCH" | "DELETE");
    match segments {
        ["settings", word, ..] => SETTINGS.contains(word),
        ["coql" | "__apis"] => false,
        ["users" | "org", ..] => true,
        [root, ..] if ROOTS.contains(root) => true,
        [
            _,
            "actions",
            "mass_update" | "count" | "add_tags" | "remove_tags" | "change_owner"
            | "mass_change_owner",
        ] => false,
        [_, "actions", action, ..] => ACTIONS.contains(action),
        // The record's own actions, its related lists, photo, files and blueprint.
        [_, id, _, ..] => is_id(id),
        // Creating, updating and deleting records.
        [_] => matches!(method, "POST" | "PATCH" | "DELETE"),
        [_, id] if is_id(id) => is_write,
        [_, "search" | "upsert"] => false,
        [_, word] => MODULE_WORDS.contains(word),
        [] => false,
    }
}

fn is_id(segment: &str) -> bool {
    !segment.is_empty() && segment.bytes().all(|byte| byte.is_ascii_digit())
}
