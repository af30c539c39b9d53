//! Reads records by COQL to find out whether a call without a response was performed. COQL is exact and has no index lag.

use std::collections::BTreeSet;

use serde_json::Value;

use super::VALUES_PER_QUERY;
use crate::update::{Assignment, ModuleName, RecordId};

/// Builds the queries that read the assigned fields of these records. Ids are digits and names are API names, so a query
/// needs no escaping.
pub fn queries(module: &ModuleName, sets: &[Assignment], ids: &[RecordId]) -> Vec<String> {
    let fields: Vec<&str> = sets.iter().map(|set| set.field.as_str()).collect();
    let columns = fields.join(", ");
    let query = |batch: &[RecordId]| {
        let ids: Vec<String> = batch.iter().map(|id| format!("'{id}'")).collect();
        let (ids, most) = (ids.join(","), batch.len());
        format!(
            "select id, {columns} from {module} where id in ({ids}) order by id asc limit {most}"
        )
    };
    ids.chunks(VALUES_PER_QUERY).map(query).collect()
}

/// Returns those of `ids` in the `data` of a response on which every assignment holds. A list field may contain more options
/// than the assigned ones. A row of any other record proves nothing.
pub fn updated_records(data: &Value, sets: &[Assignment], ids: &[RecordId]) -> BTreeSet<RecordId> {
    let asked: BTreeSet<RecordId> = ids.iter().copied().collect();
    let rows = data.as_array().map_or(&[][..], |rows| rows);
    let done = rows
        .iter()
        .filter(|row| sets.iter().all(|set| holds(row, set)));
    done.filter_map(|row| row["id"].as_str()?.parse().ok())
        .filter(|id| asked.contains(id))
        .collect()
}

fn holds(row: &Value, set: &Assignment) -> bool {
    let cell = &row[set.field.as_str()];
    match (&set.value, cell) {
        (Value::Array(assigned), Value::Array(current)) => {
            assigned.iter().all(|option| current.contains(option))
        }
        (assigned, current) => assigned == current,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn sets() -> Vec<Assignment> {
        let set = |field: &str, value| Assignment {
            field: field.parse().expect("a field"),
            value,
        };
        vec![
            set("Topics", json!(["CRM", "Billing"])),
            set("Rating", json!("Active")),
        ]
    }

    #[test]
    fn queries_read_fifty_records_each() {
        let ids: Vec<RecordId> = (1..=101)
            .map(|id| id.to_string().parse().expect("an id"))
            .collect();
        let module = "Leads".parse().expect("a module");
        let queries = queries(&module, &sets(), &ids);
        assert_eq!(
            queries.last().map(String::as_str),
            Some(
                "select id, Topics, Rating from Leads where id in ('101') order by id asc limit 1"
            )
        );
        assert_eq!(queries.len(), 3);
    }

    #[test]
    fn record_with_partial_assignments_is_not_updated() {
        let data = json!([
            {"id": "1", "Topics": ["Billing", "Other", "CRM"], "Rating": "Active"},
            {"id": "2", "Topics": ["CRM"], "Rating": "Active"},
            {"id": "3", "Topics": ["CRM", "Billing"], "Rating": null},
            {"id": "4", "Topics": null, "Rating": "Active"},
            {"id": "5", "Rating": "Active"},
        ]);
        let ids: Vec<RecordId> = (1..=5)
            .map(|id| id.to_string().parse().expect("an id"))
            .collect();
        let done: Vec<String> = updated_records(&data, &sets(), &ids)
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(done, ["1"]);
        assert!(updated_records(&Value::Null, &sets(), &ids).is_empty());
        // Rows that were not asked for.
        assert!(updated_records(&data, &sets(), &ids[1..]).is_empty());
    }
}
