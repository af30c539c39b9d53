//! `POST {module}/upsert`.

use serde_json::{Value, json};

use super::harness::{LEAD, TestBench, TestResponse};

async fn upsert(bench: &TestBench, module: &str, rows: Value, by: Option<&str>) -> TestResponse {
    let mut body = json!({"data": rows});
    if let Some(by) = by {
        body["duplicate_check_fields"] = json!([by]);
    }
    bench.post(&format!("/crm/v7/{module}/upsert"), &body).await
}

/// The action, the field of the duplicate, and the id of each entry.
fn actions(response: &TestResponse) -> Vec<(&str, &Value, &str)> {
    let entries = response.json["data"].as_array().expect("entries");
    let action = |entry: &Value| entry["action"].as_str().unwrap_or("none").to_owned();
    for entry in entries {
        assert_eq!(entry["code"], "SUCCESS", "{entry}: {}", action(entry));
    }
    entries
        .iter()
        .map(|entry| {
            (
                entry["action"].as_str().expect("an action"),
                &entry["duplicate_field"],
                entry["details"]["id"].as_str().expect("an id"),
            )
        })
        .collect()
}

#[tokio::test]
async fn upsert_creates_and_then_finds_the_record() {
    let bench = TestBench::new().await;
    let row =
        json!({"Email": "new@example.com", "Last_Name": "New", "Company": "Acme", "City": "Bonn"});
    let response = upsert(&bench, "Leads", json!([row]), Some("Email")).await;
    let (action, field, id) = actions(&response)[0];
    assert_eq!(
        (response.status, action, field),
        (200, "insert", &Value::Null)
    );
    assert_eq!(response.json["data"][0]["message"], "record added");
    let record = bench.record("Leads", id).await;
    assert_eq!(record["City"], "Bonn");
    assert_eq!(record["Industry"], Value::Null);
    assert_eq!(record["Converted__s"], json!(false));
    // Queries find it at once.
    let query =
        json!({"select_query": "select id, Email from Leads where Email in ('new@example.com')"});
    let found = bench.post("/crm/v7/coql", &query).await;
    assert_eq!(found.json["data"][0]["id"], json!(id));
    // A repeated call, in other letter case and without the mandatory fields, makes no double.
    let again = json!([{"Email": "NEW@example.com", "City": "Cologne"}]);
    let response = upsert(&bench, "Leads", again, Some("Email")).await;
    assert_eq!(actions(&response), [("update", &json!("Email"), id)]);
    assert_eq!(response.json["data"][0]["message"], "record updated");
    assert_eq!(bench.record("Leads", id).await["City"], "Cologne");
    let count = bench.get("/crm/v7/Leads/actions/count").await;
    assert_eq!(count.json["count"], 2001);
}

#[tokio::test]
async fn upsert_checks_all_unique_fields() {
    let bench = TestBench::new().await;
    let lead = bench.record("Leads", LEAD).await;
    // The value of another unique field finds the record, too.
    let row = json!({"Email": "other@example.com", "Phone": lead["Phone"], "Last_Name": "A", "Company": "B"});
    let response = upsert(&bench, "Leads", json!([row]), Some("Email")).await;
    assert_eq!(actions(&response), [("update", &json!("Phone"), LEAD)]);
    assert_eq!(
        bench.record("Leads", LEAD).await["Email"],
        "other@example.com"
    );
    // Zoho's own field counts only if it is named, or if none is.
    let second = bench.record("Leads", &bench.record_id("Leads", 1)).await;
    let row = |phone: &str| json!([{"Email": second["Email"], "Phone": phone, "Last_Name": "A", "Company": "B"}]);
    let response = upsert(&bench, "Leads", row("+1"), Some("Phone")).await;
    assert_eq!(actions(&response)[0].0, "insert");
    let response = upsert(&bench, "Leads", row("+2"), None).await;
    assert_eq!(actions(&response)[0].0, "update");
    // Two records with the values of one row.
    let row = json!([{"Email": "other@example.com", "Phone": "+2"}]);
    let response = upsert(&bench, "Leads", row, Some("Email")).await;
    let entry = &response.json["data"][0];
    assert_eq!(entry["code"], "DUPLICATE_DATA", "{entry}");
    assert_eq!(entry["details"]["api_name"], "Phone");
}

#[tokio::test]
async fn upsert_rejects_rows_one_by_one() {
    let bench = TestBench::new().await;
    let new = |email: &str, name: Value| json!({"Email": email, "Last_Name": name, "Company": "A"});
    let rows = json!([
        new("a@example.com", json!("A")),
        new("b@example.com", Value::Null),
        {"Email": "c@example.com", "Company": "A"},
        new("none", json!("D")),
        {"Email": "e@example.com", "Last_Name": "E", "Company": "A", "Lead_Score": 1},
    ]);
    let response = upsert(&bench, "Leads", rows, Some("Email")).await;
    let entries = response.json["data"].as_array().expect("entries");
    let codes: Vec<&str> = entries
        .iter()
        .filter_map(|entry| entry["code"].as_str())
        .collect();
    assert_eq!(response.status, 207);
    assert_eq!(
        codes,
        [
            "SUCCESS",
            "INVALID_DATA",
            "MANDATORY_NOT_FOUND",
            "INVALID_DATA",
            "NO_PERMISSION"
        ]
    );
    assert_eq!(
        entries[2]["details"],
        json!({"api_name": "Last_Name", "json_path": "$.data[2].Last_Name"})
    );
    let locked = bench.world()["modules"]["Leads"]["conditions"]["locked"].clone();
    let locked = bench.record("Leads", locked.as_str().expect("an id")).await;
    let response = upsert(
        &bench,
        "Leads",
        json!([{"Email": locked["Email"]}]),
        Some("Email"),
    )
    .await;
    assert_eq!(response.status, 400);
    assert_eq!(response.json["data"][0]["code"], "RECORD_LOCKED");
    // A repeated value within one call.
    let twice = json!([
        new("x@example.com", json!("X")),
        new("X@example.com", json!("Y"))
    ]);
    bench.faults(json!({"duplicate_ids": "refuse"})).await;
    let response = upsert(&bench, "Leads", twice.clone(), Some("Email")).await;
    assert_eq!(response.json["data"][1]["code"], "DUPLICATE_DATA");
    bench.faults(json!({"duplicate_ids": "accept"})).await;
    let response = upsert(&bench, "Leads", twice, Some("Email")).await;
    assert_eq!(actions(&response)[1].0, "update");
}

#[tokio::test]
async fn upsert_rejects_calls_as_documented() {
    let bench = TestBench::new().await;
    let row = json!({"Email": "a@example.com", "Last_Name": "A", "Company": "B"});
    for (module, rows, by, expected) in [
        (
            "Leads",
            json!([]),
            Some("Email"),
            (400, "MANDATORY_NOT_FOUND"),
        ),
        (
            "Leads",
            json!(vec![row.clone(); 101]),
            Some("Email"),
            (400, "INVALID_DATA"),
        ),
        ("Leads", json!([row]), Some("City"), (400, "INVALID_DATA")),
        (
            "Leads",
            json!([row]),
            Some("Nothing"),
            (400, "INVALID_DATA"),
        ),
        (
            "Leeds",
            json!([row]),
            Some("Email"),
            (400, "INVALID_MODULE"),
        ),
        (
            "Tasks",
            json!([row]),
            Some("Subject"),
            (400, "INVALID_MODULE"),
        ),
        (
            "Leads",
            json!([{"id": LEAD}]),
            Some("Email"),
            (501, "NOT_SIMULATED"),
        ),
    ] {
        let response = upsert(&bench, module, rows, by).await;
        assert_eq!(response.code(), expected, "{module} {by:?}");
    }
    bench.faults(json!({"may_upsert": false})).await;
    let response = upsert(&bench, "Leads", json!([row]), Some("Email")).await;
    assert_eq!(response.code(), (403, "NO_PERMISSION"));
}

#[tokio::test]
async fn upsert_uses_the_field_of_each_module() {
    let bench = TestBench::new().await;
    for (module, field, rest) in [
        (
            "Contacts",
            "Email",
            json!({"Email": "n@example.com", "Last_Name": "N"}),
        ),
        ("Accounts", "Account_Name", json!({"Account_Name": "N"})),
        ("Campaigns", "Campaign_Name", json!({"Campaign_Name": "N"})),
        (
            "Cases",
            "Subject",
            json!({"Subject": "N", "Status": "New", "Case_Origin": "Email"}),
        ),
        (
            "Price_Books",
            "Price_Book_Name",
            json!({"Price_Book_Name": "N"}),
        ),
        ("Subscriptions", "Name", json!({"Name": "N"})),
    ] {
        let first = upsert(&bench, module, json!([rest]), Some(field)).await;
        let second = upsert(&bench, module, json!([rest]), Some(field)).await;
        assert_eq!(actions(&first)[0].0, "insert", "{module}");
        let expected = ("update", &json!(field), actions(&first)[0].2);
        assert_eq!(actions(&second)[0], expected, "{module}");
    }
}
