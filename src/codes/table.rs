//! The rows of the table, from Zoho's documentation, its OpenAPI files and recorded answers. If these disagree about a
//! status, all statuses are listed.

use std::time::Duration;

use super::Class::{Partial, Permanent, Reauthenticate, Retry, Wait};
use super::Origin::{Accounts, Crm, Masshook};
use super::{Class, FailureScope, Row};

/// This call never works.
const REFUSED: Class = Permanent(FailureScope::Call);

/// No call of the job ever works.
const DENIED: Class = Permanent(FailureScope::Job);

/// The wait for a custom view on which another mass update is running.
const VIEW_BUSY: Class = Wait(Duration::from_secs(30));

/// Zoho grants ten tokens in ten minutes. Further requests extend the limit, a pause ends it.
const MINT_WINDOW: Class = Wait(Duration::from_secs(600));

/// Credits return 24 hours after their use, so some may return within minutes.
const CREDITS: Class = Wait(Duration::from_secs(600));

/// The wait for what another job holds.
const SHORTLY: Class = Wait(Duration::from_secs(15));

/// The wait after a brief failure of a server that is called seldom.
const SOON: Class = Wait(Duration::from_secs(5));

macro_rules! table {
    ($(
        $cause:ident = $code:literal $origin:ident [$($status:literal),*] $class:ident, says [$($says:literal),*];
        $happened:literal;
        $cure:literal;
        $message:literal, $details:literal;
    )*) => {
        /// The cause of a refusal.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Cause {
            $(#[doc = $happened] $cause,)*
        }

        pub(super) static ROWS: &[Row] = &[$(Row {
            cause: Cause::$cause,
            code: $code,
            says: &[$($says),*],
            origin: $origin,
            statuses: &[$($status),*],
            class: $class,
            happened: $happened,
            cure: $cure,
            message: $message,
            details: $details,
        },)*];
    };
}

table! {
    // ---- INVALID_DATA: the call as a whole, then the field, its value, and the record.
    NoField = "INVALID_DATA" Crm [400] REFUSED, says ["no field found"];
        "the call sets no field that Zoho knows";
        "name the field in `fields` by its API name (Setup > Developer Space > APIs)";
        "No field found", "{}";
    TooManyFields = "INVALID_DATA" Crm [400] REFUSED, says ["max field limit exceeded"];
        "more fields than a mass update takes: one, in Deals three";
        "masshook sends no more than that, so this org allows fewer: set one field in each request";
        "Max field limit exceeded", "{}";
    FieldHidden = "INVALID_DATA" Crm [400, 200] REFUSED, says ["field is not visible"];
        "the profile of the token's user does not see the field";
        "in the field's permissions (Setup > Modules and Fields) give that profile read and write";
        "Field is not visible", "{}";
    FieldNotUpdatable = "INVALID_DATA" Crm [400] REFUSED, says ["cannot be updated in the mass update"];
        "the field does not exist, or is of a kind that mass update never sets (e-mail, multi-line, lookup, unique)";
        "check the API name and its case; if it is right, `update_by: records` (or `auto`) in the route sets this field on records that are named by `ids` or `match`";
        "This field cannot be updated in the Mass Update", "{}";
    LayoutRule = "INVALID_DATA" Crm [400] REFUSED, says ["layout rule"];
        "a layout rule depends on the field";
        "take the field out of the layout rule's condition (Setup > Modules and Fields > Layout Rules), or set another field";
        "Field cannot be updated as it is associated with a layout rule", "{}";
    ValidationRule = "INVALID_DATA" Crm [400] REFUSED, says ["validation rule"];
        "a validation rule depends on the field";
        "take the field out of the validation rule (Setup > Modules and Fields > Validation Rules), or set another field";
        "Field cannot be updated as it is associated with a validation rule", "{}";
    OptionUnknown = "INVALID_DATA" Crm [400, 207] REFUSED, says ["picklist not found"];
        "the value is no option of the picklist in the record's layout";
        "send the option's actual value, not what a translation displays, and add it to the layout of the record if it is missing";
        "picklist not found in record layout", r#"{"api_name":"Pipeline","id":"1990117000035827873"}"#;
    UserNotSubordinate = "INVALID_DATA" Crm [400, 207] REFUSED, says ["non subordinate user"];
        "the user who is to be set is not below the token's user";
        "name a user below that one in the role hierarchy, or make the token as a user above both";
        "Non Subordinate User Found", r#"{"api_name":"id","json_path":"$.data[0].User_lookup.id"}"#;
    ZohoJobUnknown = "INVALID_DATA" Crm [400] REFUSED, says ["jobid given", "`job_id`"];
        "Zoho does not know the job of this mass update";
        "look at the records of the view: the update may have been made";
        "The jobid given seems to be invalid", r#"{"param_name":"job_id"}"#;
    ViewUnknown = "INVALID_DATA" Crm [400] REFUSED, says ["cvid"];
        "there is no such custom view in the module, or not for the token's user";
        "take the `cvid` from the URL of the view, in the module that the request names, and share the view with the token's user";
        "the cvid given seems to be invalid", r#"{"api_name":"cvid","json_path":"$.cvid"}"#;
    TerritoryUnknown = "INVALID_DATA" Crm [400] REFUSED, says ["territory"];
        "there is no such territory";
        "take the id from Setup > Territory Management, or name the territory by its name";
        "the id given seems to be invalid", r#"{"api_name":"id","json_path":"$.territory.id"}"#;
    RecordUnknown = "INVALID_DATA" Crm [200, 207, 400] Partial, says ["the id given seems to be invalid"];
        "there is no record with this id in the module, or not for the token's user";
        "check the id and the module; a record that was deleted, merged or is of another org or environment has no such id";
        "the id given seems to be invalid", r#"{"id":"554023000000497021"}"#;
    ValueTooLong = "INVALID_DATA" Crm [400, 207] REFUSED, says ["maximum length"];
        "the value is longer than the field";
        "shorten the value in the route's `map` to the length that the message names, as in `.text[:120]`";
        "invalid data", r#"{"api_name":"Company","json_path":"$.data[0].Company","maximum_length":120}"#;
    TooManyDecimals = "INVALID_DATA" Crm [400, 207] REFUSED, says ["maximum decimal places"];
        "the number has more decimal places than the field";
        "round the value in the route's `map` to the places that the message names";
        "invalid data", r#"{"api_name":"Amount","json_path":"$.data[0].Amount","maximum_decimal_place":2}"#;
    ValueOutOfRange = "INVALID_DATA" Crm [400, 207] REFUSED, says ["allowed range "];
        "the number is outside of what the field takes";
        "send a value within the range that the message names";
        "invalid data", r#"{"api_name":"Discount","json_path":"$.data[0].Discount","range":{"from":0,"to":100}}"#;
    WrongType = "INVALID_DATA" Crm [400, 207] REFUSED, says ["expected data type"];
        "the value is of another JSON type than the field's";
        "send what the message names: text as a string, numbers bare, a multi-select as an array (jsonarray), a date as \"YYYY-MM-DD\"";
        "invalid data", r#"{"api_name":"Topics","json_path":"$.data[0].Topics","expected_data_type":"jsonarray"}"#;
    ValueNotSupported = "INVALID_DATA" Crm [400, 207] REFUSED, says ["supported values"];
        "the value is none of those that the field takes";
        "send one of the values that the message names";
        "invalid data", r#"{"api_name":"Rating","json_path":"$.data[0].Rating","supported_values":["Active","Acquired"]}"#;
    PatternMismatch = "INVALID_DATA" Crm [400, 207] REFUSED, says ["required pattern "];
        "the value does not have the form that the field asks for";
        "send a value of the form that the message names";
        "invalid data", r#"{"api_name":"Website","json_path":"$.data[0].Website","regex":"^https?://"}"#;
    TooManyInCall = "INVALID_DATA" Crm [400] REFUSED, says ["allowed limit "];
        "the call holds more than Zoho takes in one";
        "masshook keeps to 500 ids (100 records for a record update); if Zoho's limit is lower by now, please report it";
        "invalid data", r#"{"api_name":"ids","json_path":"$.ids","limit":500}"#;
    InvalidData = "INVALID_DATA" Crm [400, 207] REFUSED, says [];
        "Zoho does not take a value of the call";
        "look at what the message names; `masshook preview` shows what is sent";
        "invalid data", r#"{"api_name":"Company","json_path":"$.data[0].Company"}"#;

    // ---- Single records.
    StopProcessing = "CANNOT_PROCESS" Crm [400, 207] Partial, says [];
        "a process of the CRM has stopped processing of the record";
        "resume or end the process on the record in the CRM, then replay";
        "The record is in stop processing", r#"{"id":"554023000000497021"}"#;
    RecordInBlueprint = "RECORD_IN_BLUEPRINT" Crm [400, 207] Partial, says [];
        "the field is under a blueprint on this record";
        "move the record on by the blueprint's own transition, or set a field that no blueprint controls";
        "The record is in blue print", r#"{"id":"554023000000497021"}"#;
    RecordForbidden = "CANNOT_PERFORM_ACTION" Crm [400, 207] Partial, says [];
        "the token's user may not change this record";
        "give that user's role or profile access to the record by sharing rules, or make the token as its owner's manager";
        "no permission to perform an action on this record", r#"{"id":"554023000000497021"}"#;
    RecordNotApproved = "NOT_APPROVED" Crm [400, 207] Partial, says [];
        "the record waits for approval";
        "approve it in the CRM, then replay";
        "record not approved", r#"{"id":"554023000000497021"}"#;
    RecordLocked = "RECORD_LOCKED" Crm [400, 207] Partial, says [];
        "the record is locked: by a person, by a merge, or by Zia's validation of an image";
        "unlock it in the CRM or wait for the merge or validation to end, then replay";
        "Sorry, you cannot perform this operation as the record is locked.", r#"{"action":"record_locking","id":"554023000000497021"}"#;
    RecordConverted = "CONVERTED_RECORD" Crm [400, 207] Partial, says [];
        "the lead has been converted and can no longer be changed";
        "update the contact, account or deal that it became";
        "the record is a converted one", r#"{"id":"554023000000497021"}"#;
    DuplicateData = "DUPLICATE_DATA" Crm [400, 207] Partial, says [];
        "the same id twice in one call, or another record has this value of a field that must be unique";
        "send another value, or merge the two records";
        "duplicate data", r#"{"id":"554023000000497021"}"#;
    RecordModified = "RECORD_MODIFIED" Crm [412] Partial, says [];
        "the record was changed since the moment that the call named";
        "replay: the change is then made to the record as it stands";
        "record modified", "{}";
    NotModified = "ALREADY_MODIFIED" Crm [304, 412] Partial, says [];
        "the record was changed at another moment than the call named";
        "replay: the change is then made to the record as it stands";
        "already modified", "{}";
    MappingMismatch = "MAPPING_MISMATCH" Crm [400, 207] REFUSED, says [];
        "two values do not go together: a stage that is not in the pipeline, an option that is not in the layout";
        "send a pair that the CRM's mapping has; set both fields in the same request (Deals takes three)";
        "the given value is not mapped to the given field", r#"{"mapped_field":"Pipeline","api_name":"Stage","json_path":"$.data[0].Stage"}"#;

    // ---- The selection.
    ViewBusy = "ALREADY_SCHEDULED" Crm [202, 400] VIEW_BUSY, says [];
        "another mass update is running on this custom view; this one was not taken";
        "nothing: it waits its turn; updates of different views run concurrently";
        "Already a Mass Action scheduler is running for the given cvid", r#"{"api_name":"cvid"}"#;
    ViewTooLarge = "LIMIT_EXCEEDED" Crm [400] REFUSED, says ["record count"];
        "the custom view holds more than 50,000 records";
        "narrow the view, or make several of it";
        "Record count exceeded", "{}";
    QueryTooLarge = "LIMIT_EXCEEDED" Crm [400] REFUSED, says [];
        "a look-up asks for more than Zoho gives at once";
        "send fewer values in `match`; if they are few, please report it";
        "limit exceeded", r#"{"by":"limit","limit":25}"#;
    NoRecords = "NO_RECORDS_FOUND" Crm [400] REFUSED, says [];
        "the custom view is empty for the token's user";
        "check the view's criteria, and that its records are shared with that user";
        "no record found to update", "{}";
    MandatoryParameter = "MANDATORY_NOT_FOUND" Crm [400] REFUSED, says ["mandatory param missing"];
        "Zoho reports a missing parameter of the call";
        "this is a defect of masshook: please report it with the message";
        "mandatory param missing", r#"{"param_name":"job_id"}"#;
    MandatoryMissing = "MANDATORY_NOT_FOUND" Crm [400, 207] REFUSED, says [];
        "something required is missing: a selector, or (in a record update) a mandatory field of the layout that would be left empty";
        "give the field that the message names a value; if it names none of yours, please report it";
        "required field not found", "{}";

    // ---- Rights.
    ApiAccessOff = "NO_PERMISSION" Crm [403] DENIED, says ["crm_implied_api_access"];
        "API access is off in the profile of the token's user";
        "switch on \"Zoho CRM API Access\" in that profile (Setup > Security Control > Profiles)";
        "permission denied", r#"{"permissions":["Crm_Implied_Api_Access"]}"#;
    FieldEditForbidden = "NO_PERMISSION" Crm [403] REFUSED, says ["field edit permission"];
        "the profile of the token's user may not edit the field";
        "give that profile read and write on the field (Setup > Modules and Fields > the field's permissions)";
        "Field Edit Permission not given", "{}";
    ViewForbidden = "NO_PERMISSION" Crm [403] REFUSED, says ["customview not accessible"];
        "the custom view is not shared with the token's user";
        "share the view with that user, or make the token as the view's owner";
        "Customview not accessible", "{}";
    ReadForbidden = "NO_PERMISSION" Crm [403] DENIED, says ["permission denied to read"];
        "the token's user may not read the records of the module";
        "give that user's profile View on the module";
        "Permission denied to read records", "{}";
    PermissionMissing = "NO_PERMISSION" Crm [403] DENIED, says ["missing permissions "];
        "the profile of the token's user lacks the permission that the message names";
        "switch that permission on in the profile (Setup > Security Control > Profiles)";
        "permission denied", r#"{"permissions":["Crm_Implied_Mass_Update"]}"#;
    PermissionDenied = "NO_PERMISSION" Crm [403] REFUSED, says [];
        "the token's user may not do this to the field, view or record";
        "give that user's profile Edit on the module and Mass Update among its tools";
        "permission denied", "{}";
    SchedulingForbidden = "AUTHORIZATION_FAILED" Crm [400] DENIED, says [];
        "the token's user may not schedule mass updates";
        "switch on Mass Update in that user's profile (Setup > Security Control > Profiles > Tools)";
        "User does not have sufficient privilege to schedule mass update.", "{}";
    ScopeMissing = "OAUTH_SCOPE_MISMATCH" Crm [401] DENIED, says [];
        "the token lacks the scope that this call needs";
        "`masshook auth --scopes` prints all scopes that the config needs; make a new grant code with them and run `masshook auth` again";
        "invalid oauth scope to access this URL", "{}";
    ModuleUnknown = "INVALID_MODULE" Crm [400] DENIED, says [];
        "Zoho knows no module of this name, or not for the token's user";
        "write the module's API name in its own case, as in `Price_Books` (Setup > Developer Space > APIs)";
        "the module name given seems to be invalid", r#"{"resource_path_index":0}"#;
    ModuleNotSupported = "NOT_SUPPORTED" Crm [400] DENIED, says [];
        "Zoho offers no mass update for this module";
        "use another module: Zoho mass-updates only some";
        "the given module is not supported for this api", r#"{"resource_path_index":0}"#;
    EditionTooSmall = "FEATURE_NOT_SUPPORTED" Crm [403] DENIED, says [];
        "the org's edition does not have this: custom views are for Enterprise, Ultimate, CRM Plus and Zoho One";
        "name the records by `ids` or `match` instead of a view";
        "feature is not supported in this edition", "{}";
    Forbidden = "FORBIDDEN" Crm [403] DENIED, says [];
        "Zoho forbids the call";
        "check the profile of the token's user: API access, the module, Mass Update";
        "Forbidden", "{}";

    // ---- The access token.
    TokenInvalid = "INVALID_TOKEN" Crm [401] Reauthenticate, says [];
        "the access token has expired, or was made in another data centre or environment";
        "nothing: masshook fetches another token once. If Zoho refuses that one as well: check `data_center`, `environment` and `api_url` of the connection";
        "invalid oauth token", "{}";
    TokenEvicted = "INVALID_OAUTHTOKEN" Crm [401] Reauthenticate, says [];
        "the access token was revoked before its expiry: only 15 live for one refresh token";
        "nothing: masshook fetches another token once. If it happens often, let fewer programs use this refresh token";
        "invalid oauth token", "{}";
    TokenNotSeen = "AUTHENTICATION_FAILURE" Crm [401] Reauthenticate, says [];
        "Zoho found no access token in the call";
        "nothing: masshook fetches another token once. If it stays so, a proxy takes the Authorization header away";
        "Authentication failed", "{}";
    Unauthorized = "UNAUTHORIZED" Crm [401] Reauthenticate, says [];
        "Zoho does not accept the access token";
        "nothing: masshook fetches another token once. If Zoho refuses that one as well: check `data_center` and `environment` of the connection";
        "Unauthorized", "{}";

    // ---- Limits and trouble.
    CreditsSpent = "TOO_MANY_REQUESTS" Crm [429] CREDITS, says ["no api credits remain"];
        "the org has used up its API credits of the last 24 hours";
        "nothing: it goes on as credits come back, 24 hours after their use; find out with Setup > Developer Space > API usage who uses them, or buy more";
        "too many requests. please try again after some time (no API credits remain)", "{}";
    TooManyRequests = "TOO_MANY_REQUESTS" Crm [429] Retry, says [];
        "more calls at once than the org's edition allows";
        "nothing: masshook sends it again. If it happens often, lower `max_concurrency` of the connection, as other programs use the org as well";
        "too many requests. please try again after some time", "{}";
    RateLimited = "RATE_LIMIT_EXCEEDED" Crm [429] Retry, says [];
        "more calls at once than Zoho takes";
        "nothing: masshook sends it again. If it happens often, lower `max_concurrency` of the connection";
        "Too many requests. Please try again later.", "{}";
    InternalError = "INTERNAL_ERROR" Crm [500] Retry, says [];
        "Zoho has an internal error";
        "nothing: masshook sends it again; status.zoho.com reports outages";
        "Internal Server Error", "{}";
    ServiceUnavailable = "SERVICE_UNAVAILABLE" Crm [503] Retry, says [];
        "Zoho is under maintenance or overloaded";
        "nothing: masshook sends it again; status.zoho.com reports outages";
        "Service temporarily unavailable", "{}";

    // ---- The address.
    UrlUnknown = "INVALID_URL_PATTERN" Crm [404] DENIED, says [];
        "this host has no such path: a module that does not exist, or another host than Zoho's API";
        "check the module's API name, and `data_center` and `api_url` of the connection";
        "Please check if the URL trying to access is a correct one", "{}";
    MethodUnknown = "INVALID_REQUEST_METHOD" Crm [400, 405] DENIED, says [];
        "this path does not take the method";
        "check `api_url` of the connection: a proxy may have changed the request; else please report it";
        "The http request method type is not a valid one", "{}";
    HostWrong = "INVALID_HOST" Crm [400] DENIED, says [];
        "this is a host of Zoho's, but not of its API";
        "take `api_url` out of the connection, or name https://www.zohoapis and the data centre's ending";
        "invalid host", "{}";
    VersionUnknown = "API_NOT_SUPPORTED" Crm [400] DENIED, says [];
        "Zoho does not serve version 7 of this API here";
        "check `api_url` of the connection; else please report it";
        "api version not supported", r#"{"supported_version":8}"#;

    // ---- Status and look-ups.
    NotFound = "NOT_FOUND" Crm [404] REFUSED, says [];
        "Zoho does not know what the call names, as a rule the job of a mass update";
        "look at the records of the view: the update may have been made";
        "not found", "{}";
    ParameterMissing = "REQUIRED_PARAM_MISSING" Crm [400] REFUSED, says [];
        "Zoho reports a missing parameter of a look-up";
        "this is a defect of masshook: please report it with the message";
        "One of the expected parameter is missing", r#"{"param_name":"module"}"#;
    ParameterExpected = "EXPECTED_PARAM_MISSING" Crm [400] REFUSED, says [];
        "Zoho reports a missing search term";
        "this is a defect of masshook: please report it with the message";
        "one of the expected parameters is missing", r#"{"param_names":["criteria","email","phone","word"]}"#;
    SearchTooDeep = "LIMIT_REACHED" Crm [400] REFUSED, says [];
        "a search has more than 2,000 hits";
        "match a field that tells records apart better";
        "limit reached", "{}";
    QuerySyntax = "SYNTAX_ERROR" Crm [400] REFUSED, says [];
        "Zoho cannot read the query of a look-up";
        "this is a defect of masshook: please report it with the message";
        "error occurred while parsing the query", r#"{"line":1,"column":8,"near":"select"}"#;
    QueryInvalid = "INVALID_QUERY" Crm [400] REFUSED, says [];
        "the field of a look-up does not exist, or cannot be searched in this way (multi-line, encrypted)";
        "check `match.field` against the API names of the module";
        "invalid query formed", r#"{"column_name":"Emial","reason":"column given seems to be invalid"}"#;

    // ---- The accounts server: judged by the presence of `access_token` only, whatever the HTTP status.
    ClientUnknown = "invalid_client" Accounts [200] DENIED, says [];
        "this data centre's accounts server does not know the client id: it is wrong, or the client was registered in another data centre";
        "check `client_id`, and `data_center` of the connection against the address of the API console where the client stands; `masshook auth` finds the data centre";
        "invalid_client", "{}";
    ClientSecretWrong = "invalid_client_secret" Accounts [200] DENIED, says [];
        "the accounts server knows the client, and its secret is another";
        "copy the client secret from the API console; with Multi DC each data centre has one of its own";
        "invalid_client_secret", "{}";
    GrantInvalid = "invalid_code" Accounts [200] DENIED, says [];
        "the refresh token is wrong, was revoked, or was pushed out by the 21st of the user; a grant code has been used or is too old";
        "make a new grant code and run `masshook auth` again";
        "invalid_code", "{}";
    OrgMissing = "missing_org_info" Accounts [200, 400] DENIED, says [];
        "client credentials need to say for which org";
        "add `soid` to the secret: `ZohoCRM.` and the Org ID, which stands under your picture in the CRM";
        "missing_org_info", "{}";
    OrgInvalid = "invalid_org_info" Accounts [200, 400] DENIED, says [];
        "the client has no such org";
        "correct `soid` in the secret: `ZohoCRM.` and the Org ID, which stands under your picture in the CRM";
        "invalid_org_info", "{}";
    ScopeInvalid = "invalid_scope" Accounts [200, 400] DENIED, says [];
        "one of the scopes that were asked for does not exist, or not for this client";
        "use the scopes that `masshook auth --scopes` prints";
        "invalid_scope", "{}";
    RedirectInvalid = "invalid_redirect_uri" Accounts [200, 400] DENIED, says [];
        "the client is of a kind that needs a redirect URI";
        "register a Self Client in the API console, which needs none";
        "invalid_redirect_uri", "{}";
    GrantTypeUnsupported = "unsupported_grant_type" Accounts [200, 400] DENIED, says [];
        "the client may not use this kind of grant";
        "register a Self Client in the API console";
        "unsupported_grant_type", "{}";
    GrantThrottled = "access_denied" Accounts [200, 400] MINT_WINDOW, says [];
        "too many grant codes were asked for: ten in ten minutes for one client";
        "wait ten minutes and ask once";
        "access_denied", "{}";
    AccountsFailed = "general_error" Accounts [200, 400, 500] SOON, says [];
        "the accounts server itself has failed";
        "nothing: masshook asks again";
        "general_error", "{}";
    TokenThrottled = "TOKEN_THROTTLED" Accounts [400, 200] MINT_WINDOW, says [];
        "Zoho grants no more tokens for now: at most ten in ten minutes for one refresh token";
        "stop other programs that use this refresh token; masshook requests none until the ten minutes are over, as an earlier request extends them";
        "Access Denied", r#"{"error_description":"You have made too many requests continuously. Please try again after some time.","status":"failure"}"#;

    // ---- masshook's own, where Zoho gave no code.
    AccountsUnreadable = "ACCOUNTS_UNREADABLE" Masshook [] SOON, says [];
        "the accounts server, or a proxy in its place, sends a page instead of JSON";
        "masshook asks again; if it stays so, check `accounts_url` of the connection, and any proxy between masshook and Zoho";
        "", "{}";
    AccountsUnavailable = "ACCOUNTS_UNAVAILABLE" Masshook [] SOON, says [];
        "the accounts server returns neither a token nor a reason";
        "masshook asks again; status.zoho.com reports outages";
        "", "{}";
    TokenPending = "TOKEN_PENDING" Masshook [] SOON, says [];
        "another process is asking for the access token";
        "nothing: masshook waits for it";
        "", "{}";
    ForeignApiDomain = "FOREIGN_API_DOMAIN" Masshook [] DENIED, says [];
        "the accounts server named a host as API domain that is not Zoho's; the token was not sent there";
        "check `accounts_url` of the connection, and any proxy between masshook and Zoho";
        "", "{}";
    BadCredentials = "BAD_CREDENTIALS" Masshook [] DENIED, says [];
        "the connection's secret has no valid credentials";
        "let `masshook auth` write it, or store the JSON that the README shows";
        "", "{}";
    SecretMissing = "SECRET_UNAVAILABLE" Masshook [] DENIED, says [];
        "the connection's secret cannot be read";
        "correct the secret, its reference, or the permission to read it";
        "", "{}";
    SecretLater = "SECRET_LATER" Masshook [] SOON, says [];
        "the store of the connection's secret does not answer";
        "nothing: masshook tries again";
        "", "{}";
    CreditsLow = "CREDITS_LOW" Masshook [] CREDITS, says [];
        "the org's API credits have fallen below `credit_floor` of the connection: new work waits, so that other programs are not stopped";
        "nothing: masshook checks again every few minutes; lower `credit_floor` if this work may use the rest";
        "", "{}";
    ConnectionBusy = "CONNECTION_BUSY" Masshook [] SOON, says [];
        "as many calls as `max_concurrency` allows are under way, here or in other processes";
        "nothing: masshook sends it shortly; raise `edition` or `max_concurrency` if the org allows more";
        "", "{}";
    ConnectionThrottled = "HELD" Masshook [] Retry, says [];
        "Zoho has asked this connection to wait";
        "nothing: masshook sends it later";
        "", "{}";
    TimedOut = "TIMEOUT" Masshook [] Retry, says [];
        "Zoho did not answer in time; whether the call was carried out is not known";
        "nothing: masshook sends it again, which sets the same values again; a call that adds options is not, see OUTCOME_UNKNOWN";
        "", "{}";
    Unreachable = "UNREACHABLE" Masshook [] Retry, says [];
        "no connection to Zoho's host can be made";
        "masshook tries again; if it stays so, check the network, DNS, and the URLs of the connection";
        "", "{}";
    BrokenAnswer = "BROKEN_ANSWER" Masshook [] Retry, says [];
        "the answer was incomplete; whether the call was carried out is not known";
        "nothing: masshook sends it again, which sets the same values again; a call that adds options is not, see OUTCOME_UNKNOWN";
        "", "{}";
    AddressRefused = "ADDRESS_REFUSED" Masshook [] DENIED, says [];
        "the address is one that masshook does not send credentials to";
        "check `accounts_url` and `api_url` of the connection";
        "", "{}";
    BadUrl = "BAD_URL" Masshook [] DENIED, says [];
        "the URL of a call is no URL";
        "check `accounts_url` and `api_url` of the connection";
        "", "{}";
    AppendOutcomeUnknown = "OUTCOME_UNKNOWN" Masshook [] REFUSED, says ["options"];
        "options were to be added to a multi-select picklist, no answer shows whether they were, and the call was not sent again";
        "look at the record: where the options are missing, `masshook jobs replay` adds them; with `on_unknown_outcome: reread` in the route masshook reads the record itself";
        "the options may have been added or not", "{}";
    OutcomeUnknown = "OUTCOME_UNKNOWN" Masshook [] REFUSED, says [];
        "an attempt ended without an answer, and now the custom view is empty: the update may have emptied it";
        "look at the records that were in the view";
        "", "{}";
    FieldUnknown = "FIELD_UNKNOWN" Masshook [] DENIED, says [];
        "the module has no such field that the token's user sees; nothing was sent";
        "write the field's API name as Setup > Developer Space > APIs shows it";
        "", "{}";
    FieldNotVisible = "FIELD_NOT_VISIBLE" Masshook [] DENIED, says [];
        "the token's user does not see the field; nothing was sent";
        "show the field to that user's profile, or leave it out";
        "", "{}";
    FieldReadOnly = "FIELD_READ_ONLY" Masshook [] DENIED, says [];
        "the token's user cannot change the field; nothing was sent";
        "give that user's profile the right to edit the field, or leave it out";
        "", "{}";
    NotMassUpdatable = "FIELD_NOT_UPDATABLE" Masshook [] DENIED, says [];
        "Zoho offers no mass update of this field (`mass_update` of its metadata is false); nothing was sent";
        "name its records by `ids` or `match` and write `update_by: records` (or `auto`) in the route, or leave it out";
        "", "{}";
    MandatoryValueMissing = "VALUE_MISSING" Masshook [] DENIED, says [];
        "the field must have a value, and was to be cleared; nothing was sent";
        "send a value, or leave the field out";
        "", "{}";
    ValueMistyped = "VALUE_MISTYPED" Masshook [] DENIED, says [];
        "the value is not of the field's type; nothing was sent";
        "send what the message says: jq's `tostring`, `tonumber` and `todate` turn one into another";
        "", "{}";
    TooLong = "VALUE_TOO_LONG" Masshook [] DENIED, says [];
        "the value has more characters, digits or decimal places than the field takes; nothing was sent";
        "shorten or round it in the mapping";
        "", "{}";
    PicklistValueUnknown = "PICKLIST_VALUE_UNKNOWN" Masshook [] DENIED, says [];
        "the picklist has no such option, or it is unused; nothing was sent";
        "send the actual value of an option: the message names the nearest";
        "", "{}";
    MatchAmbiguous = "MATCH_AMBIGUOUS" Masshook [] DENIED, says [];
        "several records have the same value of `match`, and `on_many` is `fail`; nothing was updated";
        "merge the records in the CRM, match a field that tells them apart, or let `on_many` be `update_all`";
        "", "{}";
    MatchNotFound = "MATCH_NOT_FOUND" Masshook [] DENIED, says [];
        "no record has one value of `match`, and `on_none` is `fail`; nothing was updated";
        "create the records first, check the values' spelling, or let `on_none` be `succeed`";
        "", "{}";
    MatchTooWide = "MATCH_TOO_WIDE" Masshook [] DENIED, says [];
        "the values of `match` mean too many records, or take too many searches; nothing was updated";
        "split the values over several update requests, or update a custom view by its `cvid`";
        "", "{}";
    LookupStuck = "LOOKUP_STUCK" Masshook [] REFUSED, says [];
        "Zoho reports more hits of a look-up, and does not return them; nothing was updated";
        "replay the job; if it stays so, please report it";
        "", "{}";
    NameUnknown = "NAME_UNKNOWN" Masshook [] DENIED, says [];
        "no custom view of the module, or no territory, has the name that was asked for; nothing was sent";
        "write the name as the CRM shows it to the token's user, and share the view with that user; or name it by its id";
        "", "{}";
    NameAmbiguous = "NAME_AMBIGUOUS" Masshook [] DENIED, says [];
        "several custom views, or territories, have the name that was asked for; nothing was sent";
        "name the one that is meant by its id (`cvid`, `territory.id`): the message lists them";
        "", "{}";
    ViewTaken = "VIEW_BUSY" Masshook [] SHORTLY, says [];
        "another job of masshook's updates this custom view, and Zoho runs one mass update at a time on each";
        "nothing: it waits its turn; updates of different views run concurrently";
        "", "{}";
    StoreUnavailable = "STORE_UNAVAILABLE" Masshook [] SHORTLY, says [];
        "the store of jobs does not answer, so it is not known whether another job updates this custom view";
        "nothing: masshook tries again; if it stays so, check the table or the disk that jobs are kept in";
        "", "{}";
    JobLost = "JOB_NOT_FOUND" Masshook [] REFUSED, says [];
        "Zoho accepted the call and later did not know its job";
        "look at the records of the view: the update may have been made";
        "", "{}";
    TrackingTimedOut = "TRACKING_TIMED_OUT" Masshook [] REFUSED, says [];
        "Zoho accepted the call, and its job has not ended within `track_for`; the counts are the last that Zoho reported";
        "look at the records of the view: the update may have been made; raise `track_for` if Zoho needs longer";
        "", "{}";
    NotResolved = "NOT_RESOLVED" Masshook [] DENIED, says [];
        "the job's records were not looked up";
        "this is a defect of masshook: please report it";
        "", "{}";
    ListTooLong = "LIST_TOO_LONG" Masshook [] REFUSED, says [];
        "the org has more custom views, or territories, than are read to find a name";
        "name what you mean by its id (`cvid`, `territory.id`)";
        "", "{}";
    MatchUnsuitable = "MATCH_FIELD_UNSUITABLE" Masshook [] DENIED, says [];
        "records cannot be found by this field: Zoho compares a multi-select picklist as a whole, and does not search multi-line texts; nothing was sent";
        "match a field that holds one text or number, such as an e-mail address";
        "", "{}";
    NotAnswered = "NOT_ANSWERED" Masshook [] Partial, says [];
        "Zoho's answer does not mention this record";
        "look at the record; replaying sets the same value again";
        "", "{}";
    UnexpectedRedirect = "HTTP_3xx" Masshook [] DENIED, says [];
        "Zoho's API host answers with a redirect, and none is followed";
        "check `data_center` and `api_url` of the connection";
        "", "{}";
    ServerBusy = "HTTP_429" Masshook [] Retry, says [];
        "Zoho is busy, and sends no code";
        "nothing: masshook sends it again; if it happens often, lower `max_concurrency` of the connection";
        "", "{}";
    RequestTimeout = "HTTP_408" Masshook [] Retry, says [];
        "the request did not reach Zoho in time";
        "nothing: masshook sends it again";
        "", "{}";
    TooEarly = "HTTP_425" Masshook [] Retry, says [];
        "a proxy before Zoho asks for the request again";
        "nothing: masshook sends it again";
        "", "{}";
    BareUnauthorized = "HTTP_401" Masshook [] Reauthenticate, says [];
        "the access token is not accepted, and no code is sent";
        "nothing: masshook fetches another token once. If Zoho refuses that one as well: check `data_center`, `environment` and `api_url` of the connection";
        "", "{}";
    ServerFailed = "HTTP_5xx" Masshook [] Retry, says [];
        "Zoho, or a proxy before it, has failed and sends no code";
        "nothing: masshook sends it again; status.zoho.com reports outages";
        "", "{}";
    AnswerUnreadable = "HTTP_2xx" Masshook [] Retry, says [];
        "the answer reports success and cannot be read, so its outcome is unknown";
        "masshook sends it again; if it stays so, check `api_url` of the connection, and any proxy between masshook and Zoho";
        "", "{}";
    RefusedWithoutReason = "HTTP_4xx" Masshook [] REFUSED, says [];
        "Zoho, or a proxy before it, refuses without a code";
        "check `api_url` of the connection, and any proxy between masshook and Zoho; `masshook check --live` tries it out";
        "", "{}";
}
