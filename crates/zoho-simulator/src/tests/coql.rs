//! `POST coql`.

use serde_json::json;

use super::harness::{LEAD, TestBench, TestResponse};

async fn coql(bench: &TestBench, query: &str) -> TestResponse {
    bench
        .post("/crm/v7/coql", &json!({"select_query": query}))
        .await
}

#[tokio::test]
async fn query_matches_exactly() {
    let bench = TestBench::new().await;
    let query = "select id, Email from Leads where Email in ('lead1@example.com','lead2@example.com') limit 200";
    let response = coql(&bench, query).await;
    assert_eq!(
        response.json,
        json!({
            "data": [
                {"id": LEAD, "Email": "lead1@example.com"},
                {"id": bench.record_id("Leads", 1), "Email": "lead2@example.com"},
            ],
            "info": {"count": 2, "more_records": false},
        })
    );
    let after = format!(
        "SELECT Email FROM Leads WHERE ((Email in ('lead1@example.com','lead2@example.com')) and (id > '{LEAD}'))"
    );
    assert_eq!(coql(&bench, &after).await.json["info"]["count"], 1);
    let response = coql(
        &bench,
        "select id from Leads where Email = 'missing@example.com'",
    )
    .await;
    assert_eq!((response.status, response.text.as_str()), (204, ""));
    let some = bench.view("Leads", "some");
    let response = coql(
        &bench,
        &format!("select COUNT(id) from Leads#{some} where id is not null"),
    )
    .await;
    assert_eq!(
        response.json["data"][0]["COUNT(id)"],
        bench.world()["views"]["Leads"]["some"]["records"]
    );
    let response = coql(
        &bench,
        "select id from Leads where id is not null limit 10, 5",
    )
    .await;
    assert_eq!(response.json["data"][0]["id"], bench.record_id("Leads", 10));
    assert_eq!(
        response.json["info"],
        json!({"count": 5, "more_records": true})
    );
}

#[tokio::test]
async fn invalid_queries_are_rejected() {
    let bench = TestBench::new().await;
    let values: Vec<String> = (0..101).map(|n| format!("'{n}'")).collect();
    bench.faults(json!({"coql_values": 50})).await;
    let query = format!(
        "select id from Leads where id in ({})",
        values[..51].join(",")
    );
    assert_eq!(
        coql(&bench, &query).await.json["details"],
        json!({"by": "in", "limit": 50})
    );
    bench.faults(json!({"reset": true})).await;
    assert_eq!(coql(&bench, &query).await.status, 204);
    for (query, code) in [
        (
            "select id from Leads where id is not null limit 0".to_owned(),
            "INVALID_DATA",
        ),
        (
            "select id, id from Leads where id is not null".to_owned(),
            "DUPLICATE_DATA",
        ),
        (
            "select id from Leads where Description = 'x'".to_owned(),
            "INVALID_QUERY",
        ),
        (
            "select id from Leads where Email > 'x'".to_owned(),
            "INVALID_QUERY",
        ),
        (
            "select id from Leads where id is not null limit 1 offset 100001".to_owned(),
            "LIMIT_EXCEEDED",
        ),
        (
            "select id from Leads where Email = missing".to_owned(),
            "SYNTAX_ERROR",
        ),
        (
            "select id from Leads#1 where id is not null".to_owned(),
            "INVALID_DATA",
        ),
        ("select id from Leads".to_owned(), "SYNTAX_ERROR"),
        (
            "select id from Leads where Email = 'it's'".to_owned(),
            "SYNTAX_ERROR",
        ),
        (
            "select id from Leads where (id is not null".to_owned(),
            "SYNTAX_ERROR",
        ),
        (
            "select email from Leads where id is not null".to_owned(),
            "INVALID_QUERY",
        ),
        (
            "select id from Lead where id is not null".to_owned(),
            "INVALID_MODULE",
        ),
        (
            "select id from Leads where id is not null limit 2001".to_owned(),
            "LIMIT_EXCEEDED",
        ),
        (
            format!("select id from Leads where id in ({})", values.join(",")),
            "LIMIT_EXCEEDED",
        ),
    ] {
        assert_eq!(coql(&bench, &query).await.code(), (400, code), "{query}");
    }
    assert_eq!(
        bench.post("/crm/v7/coql", &json!({})).await.code(),
        (400, "MANDATORY_NOT_FOUND")
    );
}

#[tokio::test]
async fn query_requires_scope_of_its_module() {
    let bench = TestBench::new().await;
    bench
        .faults(json!({"scopes": "ZohoCRM.coql.READ,ZohoCRM.modules.deals.READ"}))
        .await;
    let response = coql(&bench, "select id from Leads where id is not null").await;
    assert_eq!(response.code(), (401, "OAUTH_SCOPE_MISMATCH"));
    let response = coql(&bench, "select id from Deals where id is not null").await;
    assert_eq!(
        response.json["info"],
        json!({"count": 200, "more_records": true})
    );
}

#[tokio::test]
async fn query_supports_every_condition() {
    let bench = TestBench::new().await;
    let count = async |condition: &str| {
        let query = format!("select COUNT(id) from Leads where {condition}");
        let response = coql(&bench, &query).await;
        assert_eq!(response.status, 200, "{condition}: {}", response.text);
        response.json["data"][0]["COUNT(id)"].as_u64().unwrap()
    };
    let second = bench.record_id("Leads", 1);
    for (condition, expected) in [
        ("Converted__s = 'true'".to_owned(), 1),
        ("Converted__s = false".to_owned(), 1999),
        ("Email = 'LEAD1@example.com'".to_owned(), 1),
        ("Email = 'team@example.com'".to_owned(), 3),
        ("Email like 'lead1%@example.com'".to_owned(), 0),
        ("Email like 'lead199%'".to_owned(), 11),
        ("Email not in ('lead1@example.com', 'lead2@example.com')".to_owned(), 1998),
        ("Email != 'lead1@example.com'".to_owned(), 1999),
        ("Secondary_Email is not null".to_owned(), 1),
        (format!("id <= '{second}'"), 2),
        (format!("id between '{LEAD}' and '{second}'"), 2),
        ("Email = 'lead1@example.com' or Email = 'lead2@example.com'".to_owned(), 2),
        (
            "((Email = 'lead1@example.com') or (Email = 'lead2@example.com')) and (No_of_Employees > 0)".to_owned(),
            1,
        ),
        ("Topics = 'CRM'".to_owned(), 2000),
        ("Annual_Revenue < 100".to_owned(), 2),
        // The result of an address with a quote in a concatenated query.
        ("Email = 'x' or id is not null or Email = ''".to_owned(), 2000),
    ] {
        assert_eq!(count(&condition).await, expected, "{condition}");
    }
    let response = coql(
        &bench,
        "select id, Owner from Leads where id is not null order by id desc limit 2",
    )
    .await;
    assert_eq!(
        response.json["data"][0]["id"],
        bench.record_id("Leads", 1999)
    );
    assert_eq!(response.json["data"][0]["Owner"]["name"], "Patricia Boyle");
}

#[tokio::test]
async fn query_syntax_error_names_location() {
    let bench = TestBench::new().await;
    for (query, details) in [
        ("select id from Leads", json!({"clause": "where"})),
        (
            "select id from Leads where Email = 'it's'",
            json!({"line": 1, "column": 41, "near": "'"}),
        ),
        (
            "select id from Leads where Email ~ 'x'",
            json!({"operator": "~", "column_name": "Email"}),
        ),
        (
            "select id from Leads where (id is null",
            json!({"line": 1, "column": 39, "near": "end of query"}),
        ),
    ] {
        let response = coql(&bench, query).await;
        assert_eq!(response.code(), (400, "SYNTAX_ERROR"), "{query}");
        assert_eq!(response.json["details"], details, "{query}");
    }
}

#[tokio::test]
async fn query_reads_the_time_of_the_last_change() {
    let bench = TestBench::new().await;
    let modified = async || {
        let query =
            format!("select Modified_Time, Revenue_per_Head from Leads where id = '{LEAD}'");
        coql(&bench, &query).await.json["data"][0].clone()
    };
    let before = modified().await;
    bench.advance(60);
    let body = json!({"data": [{"No_of_Employees": 7}], "ids": [LEAD]});
    let answer = bench.update("Leads", body).await;
    let after = modified().await;
    assert_ne!(before["Modified_Time"], after["Modified_Time"]);
    assert_eq!(
        after["Modified_Time"],
        answer.json["data"][0]["details"]["Modified_Time"]
    );
    let lead = bench.record("Leads", LEAD).await;
    let revenue = lead["Annual_Revenue"].as_f64().unwrap();
    assert_eq!(after["Revenue_per_Head"], json!(revenue / 7.0));
    // An instant compares by time, whatever the offset of its text.
    let changed = "select id from Leads where Modified_Time >= '2026-11-01T12:01:00Z' limit 5";
    let found = coql(&bench, changed).await;
    assert_eq!(found.json["info"]["count"], 1, "{found:?}");
    assert_eq!(found.json["data"][0]["id"], LEAD);
}

#[tokio::test]
async fn query_form_without_simulation_is_named() {
    let bench = TestBench::new().await;
    for query in [
        "select SUM(Annual_Revenue) from Leads where id is not null",
        "select max(Annual_Revenue) from Leads where id is not null",
        "select COUNT(Email) from Leads where id is not null",
        "select COUNT(id), City from Leads where id is not null group by City",
        "select COUNT(id), City from Leads where id is not null",
        "select City from Leads where id is not null group by City",
        "select Last_Name as n from Leads where id is not null",
        "select COUNT(id) as n from Leads where id is not null",
        "select Account_Name.Account_Name from Contacts where id is not null",
        "select id from Contacts where Owner.last_name = 'Boyle'",
        "select id from Leads where Modified_By.id = '1'",
        "select id from Contacts where id is not null order by Account_Name.Phone",
        "select id from Leads where id is not null order by City, Email",
        "select Full_Name from Leads where id is not null",
        "select id from Leads where Full_Name = 'Last Name 1'",
        "select id from Leads where Last_Name not like 'L%'",
        "select id from Leads where No_of_Employees not between 1 and 2",
    ] {
        let code = coql(&bench, query).await;
        assert_eq!(code.code(), (501, "NOT_SIMULATED"), "{query}");
    }
    let with_meta = json!({"select_query": "select id from Leads where id is not null", "include_meta": ["fields"]});
    let response = bench.post("/crm/v7/coql", &with_meta).await;
    assert_eq!(response.code(), (501, "NOT_SIMULATED"));
    // Zoho does not have these either.
    for (query, code) in [
        (
            "select total(id) from Leads where id is not null",
            "SYNTAX_ERROR",
        ),
        (
            "select Foo.Bar from Leads where id is not null",
            "INVALID_QUERY",
        ),
        (
            "select City.Name from Leads where id is not null",
            "INVALID_QUERY",
        ),
        (
            "select id from Leads where id is not null sorted by City",
            "SYNTAX_ERROR",
        ),
    ] {
        assert_eq!(coql(&bench, query).await.code(), (400, code), "{query}");
    }
}

#[tokio::test]
async fn hidden_field_is_unknown_to_queries() {
    let bench = TestBench::new().await;
    for query in [
        "select Credit_Limit from Leads where id is not null",
        "select id from Leads where Credit_Limit > 5",
        "select id from Leads where id is not null order by Credit_Limit asc",
    ] {
        assert_eq!(
            coql(&bench, query).await.code(),
            (400, "INVALID_QUERY"),
            "{query}"
        );
    }
}
