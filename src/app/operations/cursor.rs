//! Cursors: positions in lists, as clients get and send them. A cursor names its list and its kind of store, so that one of another
//! list is refused and not read as a position.

use super::query::InvalidParameter;
use crate::store::delivery_log::DeliveryFilter;
use crate::store::{Page, Store, StoreKind};

/// The list of a cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListKind {
    /// Jobs.
    Jobs,
    /// The log of deliveries.
    Deliveries,
    /// Dead letters, which have an order of their own.
    DeadLetters,
}

/// What a cursor is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    /// Older entries: `next`.
    Older,
    /// Newer entries: `latest`.
    Newer,
}

/// The form of the cursors of one list in one store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CursorForm {
    list: ListKind,
    store: StoreKind,
}

impl CursorForm {
    /// The cursors of the list of jobs.
    pub fn of_jobs(store: &dyn Store) -> Self {
        let (list, store) = (ListKind::Jobs, store.kind());
        Self { list, store }
    }

    /// The cursors of a list of deliveries.
    pub fn of_deliveries(store: &dyn Store, filter: &DeliveryFilter) -> Self {
        let list = match filter.is_of_dead_letters() {
            true => ListKind::DeadLetters,
            false => ListKind::Deliveries,
        };
        let store = store.kind();
        Self { list, store }
    }

    /// A page whose positions are cursors.
    pub fn encode<T>(self, page: Page<T>) -> Page<T> {
        let cursor = |direction| {
            let prefix = self.prefix(direction);
            move |position| format!("{prefix}{position}")
        };
        Page {
            next: page.next.map(cursor(Direction::Older)),
            latest: page.latest.map(cursor(Direction::Newer)),
            ..page
        }
    }

    /// The position of a cursor that continues a list: `next`.
    ///
    /// # Errors
    /// [`InvalidParameter`].
    pub fn older_position(self, cursor: &str) -> Result<String, InvalidParameter> {
        self.position("cursor", cursor, Direction::Older)
    }

    /// The position in the value of a parameter.
    pub(super) fn position(
        self,
        parameter: &str,
        cursor: &str,
        direction: Direction,
    ) -> Result<String, InvalidParameter> {
        let position = cursor.strip_prefix(&self.prefix(direction));
        let position = position.filter(|position| is_position(position));
        position.map(str::to_owned).ok_or_else(|| {
            let name = match direction {
                Direction::Older => "next",
                Direction::Newer => "latest",
            };
            let detail = format!("is not a cursor of this list; take it from its `{name}`");
            InvalidParameter::new(parameter, detail)
        })
    }

    fn prefix(self, direction: Direction) -> String {
        let list = match self.list {
            ListKind::Jobs => 'j',
            ListKind::Deliveries => 'd',
            ListKind::DeadLetters => 'x',
        };
        let store = match self.store {
            StoreKind::Memory => 'm',
            StoreKind::Sqlite => 's',
            StoreKind::DynamoDb => 'd',
        };
        let direction = match direction {
            Direction::Older => 'o',
            Direction::Newer => 'n',
        };
        [list, store, direction, '.'].iter().collect()
    }
}

/// Whether a text has the form of a position: a number, or a moment and an id.
fn is_position(text: &str) -> bool {
    let is_id = |id: &str| {
        let mut bytes = id.bytes();
        id.len() <= 100 && bytes.all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
    };
    let (moment, id) = text.split_once('.').unwrap_or((text, ""));
    let is_moment = (1..=18).contains(&moment.len()) && moment.bytes().all(|b| b.is_ascii_digit());
    is_moment && is_id(id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::delivery_log::OutcomeFilter;
    use crate::store::memory::MemoryStore;

    #[test]
    fn cursor_of_another_list_is_refused() {
        let store = MemoryStore::new();
        let dead = DeliveryFilter {
            outcome: Some(OutcomeFilter::DeadLetter),
            ..DeliveryFilter::default()
        };
        let forms = [
            CursorForm::of_jobs(&store),
            CursorForm::of_deliveries(&store, &DeliveryFilter::default()),
            CursorForm::of_deliveries(&store, &dead),
            CursorForm {
                store: StoreKind::Sqlite,
                ..CursorForm::of_jobs(&store)
            },
        ];
        for one in forms {
            let page = one.encode(Page::<()> {
                next: Some("000001.job_1".to_owned()),
                latest: Some("17".to_owned()),
                ..Page::default()
            });
            let (next, latest) = (page.next.expect("next"), page.latest.expect("latest"));
            for other in forms {
                let is_own = one == other;
                assert_eq!(other.older_position(&next).is_ok(), is_own, "{next}");
                let newer = other.position("after", &latest, Direction::Newer);
                assert_eq!(newer.is_ok(), is_own, "{latest}");
                assert!(other.older_position(&latest).is_err(), "{latest}");
            }
        }
    }
}
