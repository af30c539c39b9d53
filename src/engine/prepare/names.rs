//! Resolves the names of custom views and territories to ids. Zoho does not guarantee that names are unique, so an
//! ambiguous name is refused.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use jiff::Timestamp;

use super::Step;
use crate::codes::Cause;
use crate::job::PreparationOutcome;
use crate::outcome::Refusal;
use crate::update::{
    ModuleName, Named, NamedView, Records, Territory, TerritoryId, UserEmail, UserId,
    UserReference, ViewId,
};
use crate::zoho::metadata::{self, CustomView, Freshness, User};
use crate::zoho::{self, Client};
use strict_reader::nearest;

/// The number of ids that a refusal lists.
const SHOWN: usize = 5;

/// Resolves a view and a territory of which at least one is given by name.
pub(super) async fn resolve(
    client: &Client,
    module: &ModuleName,
    named: &NamedView,
    give_up: Timestamp,
) -> Step<Records> {
    let cvid = match &named.view {
        Named::Id(cvid) => *cvid,
        Named::Name(name) => {
            let what = format!("custom view of {module}");
            let read = |reading| client.custom_views(module, reading, give_up);
            find(name, &what, read).await?
        }
    };
    let territory = match &named.territory {
        None => None,
        Some(named) => {
            let id = match &named.territory {
                Named::Id(id) => *id,
                Named::Name(name) => {
                    let read = |reading| client.territories(reading, give_up);
                    find(name, "territory", read).await?
                }
            };
            Some(Territory {
                id,
                include_child: named.include_child,
            })
        }
    };
    Ok(Records::View { cvid, territory })
}

/// The id of an owner who is named by e-mail address.
pub(super) async fn find_owner(
    client: &Client,
    owner: Option<&UserReference>,
    give_up: Timestamp,
) -> Step<Option<UserId>> {
    match owner {
        Some(UserReference::Email(email)) => find_user(client, email, give_up).await.map(Some),
        Some(UserReference::Id(_)) | None => Ok(None),
    }
}

/// The id of an owner who is named by it.
pub(super) fn known_owner(owner: Option<&UserReference>) -> Option<UserId> {
    match owner {
        Some(UserReference::Id(id)) => Some(*id),
        Some(UserReference::Email(_)) | None => None,
    }
}

/// Finds the active user with an e-mail address. A user may be newer than the cached list, or active by now, so the list is read
/// again before the address counts as unknown.
async fn find_user(client: &Client, email: &UserEmail, give_up: Timestamp) -> Step<UserId> {
    let known = match client.users(Freshness::Cached, give_up).await {
        Err(refused) if refused.lacks_scope() => client.users(Freshness::Fresh, give_up).await?,
        other => other?,
    };
    if let Ok(id) = pick_user(email, &known) {
        return Ok(id);
    }
    let known = client.users(Freshness::Fresh, give_up).await?;
    pick_user(email, &known)
        .map_err(|(cause, message)| PreparationOutcome::Refused(Refusal::with(cause, message)))
}

/// The id of the active user with an e-mail address. No two active users share one.
fn pick_user(email: &UserEmail, users: &[User]) -> Result<UserId, (Cause, String)> {
    let mut same = users.iter().filter(|user| email.is(&user.email));
    match (same.clone().find(|user| user.active), same.next()) {
        (Some(user), _) => Ok(user.id),
        (None, Some(user)) => Err((
            Cause::OwnerInactive,
            format!("the user `{email}` ({}) is not active", user.id),
        )),
        (None, None) => {
            let active = users.iter().filter(|user| user.active);
            let near = nearest(email.as_str(), active.map(|user| user.email.as_str()));
            let hint = near.map(|near| format!("; did you mean `{near}`?"));
            let hint = hint.unwrap_or_default();
            let message = format!("no user of the CRM has the e-mail address `{email}`{hint}");
            Err((Cause::OwnerUnknown, message))
        }
    }
}

/// An entry of the CRM with an id and names.
trait Entry {
    type Id: Copy + fmt::Display;

    /// The cause of a refusal of a name that no entry has.
    const UNKNOWN: Cause;

    fn id(&self) -> Self::Id;

    /// The untranslated name.
    fn name(&self) -> &str;

    /// The name in the language of the token's user.
    fn display(&self) -> &str;
}

impl Entry for CustomView {
    type Id = ViewId;

    const UNKNOWN: Cause = Cause::ViewNameUnknown;

    fn id(&self) -> ViewId {
        self.id
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn display(&self) -> &str {
        &self.display
    }
}

impl Entry for metadata::Territory {
    type Id = TerritoryId;

    const UNKNOWN: Cause = Cause::TerritoryNameUnknown;

    fn id(&self) -> TerritoryId {
        self.id
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn display(&self) -> &str {
        &self.name
    }
}

/// Finds the id of the only entry with a name. A name may be newer than the cached list, so the list is read again before
/// the name counts as unknown.
async fn find<E: Entry, F>(name: &str, what: &str, read: impl Fn(Freshness) -> F) -> Step<E::Id>
where
    F: Future<Output = Result<Arc<[E]>, zoho::Error>>,
{
    let known = match read(Freshness::Cached).await {
        // A remembered refusal ends no job: the token may have the scope by now.
        Err(refused) if refused.lacks_scope() => read(Freshness::Fresh).await?,
        other => other?,
    };
    match pick(name, &known) {
        Pick::Nothing(_) => {}
        found @ (Pick::One(_) | Pick::Several(_)) => {
            return found.or_refusal(name, what, E::UNKNOWN);
        }
    }
    let known = read(Freshness::Fresh).await?;
    pick(name, &known).or_refusal(name, what, E::UNKNOWN)
}

/// The entries that have a name.
#[derive(Debug, PartialEq)]
enum Pick<'a, Id> {
    One(Id),
    Several(Vec<Id>),
    /// With the nearest name.
    Nothing(Option<&'a str>),
}

/// The untranslated name takes precedence, as it is the same in every language.
fn pick<'a, E: Entry>(name: &str, entries: &'a [E]) -> Pick<'a, E::Id> {
    let by = |shown: fn(&E) -> &str| -> Vec<E::Id> {
        let same = entries.iter().filter(|entry| shown(entry) == name);
        same.map(E::id).collect()
    };
    let mut found = by(E::name);
    if found.is_empty() {
        found = by(E::display);
    }
    match found.as_slice() {
        [] => Pick::Nothing(nearest(name, entries.iter().map(E::name))),
        [id] => Pick::One(*id),
        [_, ..] => Pick::Several(found),
    }
}

impl<Id: Copy + fmt::Display> Pick<'_, Id> {
    fn or_refusal(self, name: &str, what: &str, unknown: Cause) -> Step<Id> {
        let (cause, message) = match self {
            Self::One(id) => return Ok(id),
            Self::Several(ids) => {
                let shown: Vec<String> = ids.iter().take(SHOWN).map(ToString::to_string).collect();
                let shown = shown.join(", ");
                let message = match ids.len().saturating_sub(SHOWN) {
                    0 => format!("several have the name `{name}` ({what}): {shown}"),
                    more => {
                        format!("several have the name `{name}` ({what}): {shown} and {more} more")
                    }
                };
                (Cause::NameAmbiguous, message)
            }
            Self::Nothing(near) => {
                let hint = near.map(|near| format!("; did you mean `{near}`?"));
                let hint = hint.unwrap_or_default();
                (unknown, format!("no {what} has the name `{name}`{hint}"))
            }
        };
        Err(PreparationOutcome::Refused(Refusal::with(cause, message)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(id: &str, name: &str, display: &str) -> CustomView {
        CustomView {
            id: id.parse().expect("an id"),
            name: name.to_owned(),
            display: display.to_owned(),
            system_name: None,
            category: None,
        }
    }

    #[test]
    fn name_resolves_to_one_view_or_is_refused() {
        let views = [
            view("1", "All Leads", "Alle Leads"),
            view("2", "Hot", "Hot"),
            view("3", "Twice", "Twice"),
            view("4", "Twice", "Zweimal"),
            view("5", "Alle Leads", "Old"),
        ];
        let id = |text: &str| text.parse::<ViewId>().expect("an id");
        assert_eq!(pick("Hot", &views), Pick::One(id("2")));
        assert_eq!(pick("hot", &views), Pick::Nothing(Some("Hot")));
        assert_eq!(
            pick("Zweimal", &views),
            Pick::One(id("4")),
            "as it is shown"
        );
        assert_eq!(
            pick("Alle Leads", &views),
            Pick::One(id("5")),
            "its own name goes before a translation"
        );
        assert_eq!(pick("Twice", &views), Pick::Several(vec![id("3"), id("4")]));
        assert_eq!(pick("Quite another one", &views), Pick::Nothing(None));
        let Err(PreparationOutcome::Refused(refusal)) = pick("Twice", &views).or_refusal(
            "Twice",
            "custom view of Leads",
            Cause::ViewNameUnknown,
        ) else {
            panic!("refused")
        };
        assert_eq!(refusal.code, "NAME_AMBIGUOUS");
        assert!(refusal.message.contains("3, 4"), "{refusal}");
    }

    #[test]
    fn email_resolves_to_the_active_user() {
        let user = |id: &str, email: &str, active| User {
            id: id.parse().expect("an id"),
            email: email.to_owned(),
            active,
        };
        let users = [
            user("1", "ann@example.com", false),
            user("2", "Ann@Example.com", true),
            user("3", "ben@example.com", false),
        ];
        let find = |email: &str| pick_user(&email.parse().expect("an address"), &users);
        assert_eq!(
            find("ANN@example.com").map(|id| id.to_string()).as_deref(),
            Ok("2")
        );
        assert!(matches!(
            find("ben@example.com"),
            Err((Cause::OwnerInactive, _))
        ));
        let Err((Cause::OwnerUnknown, message)) = find("anne@example.com") else {
            panic!("no such user");
        };
        assert!(
            message.contains("did you mean `Ann@Example.com`?"),
            "{message}"
        );
    }
}
