//! The territories of the org.

/// A territory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Territory {
    /// The name in `world`.
    pub(crate) key: &'static str,
    pub(crate) id: u64,
    /// The name, which is not unique.
    pub(crate) name: &'static str,
    /// The parent territory; the root has none.
    pub(crate) reporting_to: Option<u64>,
}

impl Territory {
    const fn new(key: &'static str, id: u64, name: &'static str, parent: Option<u64>) -> Self {
        Self {
            key,
            id,
            name,
            reporting_to: parent,
        }
    }
}

const WORLD: u64 = 5_725_767_000_000_430_401;
const EMEA: u64 = 5_725_767_000_000_430_409;
const AMERICAS: u64 = 5_725_767_000_000_430_413;

/// All territories, parents before children. One name occurs in two branches.
pub(crate) const TERRITORIES: [Territory; 6] = [
    Territory::new("World", WORLD, "World", None),
    Territory::new("EMEA", EMEA, "EMEA", Some(WORLD)),
    Territory::new("Germany", 5_725_767_000_000_430_411, "Germany", Some(EMEA)),
    Territory::new("Americas", AMERICAS, "Americas", Some(WORLD)),
    Territory::new(
        "North of EMEA",
        5_725_767_000_000_430_415,
        "North",
        Some(EMEA),
    ),
    Territory::new(
        "North of Americas",
        5_725_767_000_000_430_417,
        "North",
        Some(AMERICAS),
    ),
];

/// The number of territories with records; the others are empty.
const TERRITORIES_WITH_RECORDS: usize = 4;

/// The territory of the record at an index: each of the first four has a quarter of a module's records.
pub(crate) fn territory_of(index: u64) -> u64 {
    TERRITORIES[(index % TERRITORIES_WITH_RECORDS as u64) as usize].id
}

/// The territory with this id, and with `include_child` all of its descendants.
pub(crate) fn with_children(id: &str, include_child: bool) -> Option<Vec<u64>> {
    let root = TERRITORIES
        .iter()
        .find(|territory| territory.id.to_string() == id)?;
    let mut found = vec![root.id];
    if include_child {
        // Parents come before children, so one pass finds every level.
        for territory in &TERRITORIES {
            if territory
                .reporting_to
                .is_some_and(|parent| found.contains(&parent))
            {
                found.push(territory.id);
            }
        }
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn children_are_included_on_request_only() {
        assert_eq!(with_children("5725767000000430401", true).unwrap().len(), 6);
        assert_eq!(with_children("5725767000000430409", true).unwrap().len(), 3);
        assert_eq!(
            with_children("5725767000000430409", false).unwrap().len(),
            1
        );
        assert!(with_children("1", true).is_none());
    }
}
