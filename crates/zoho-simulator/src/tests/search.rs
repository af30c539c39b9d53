//! `GET {module}/search` and `GET {module}/actions/count`.

use serde_json::json;

use super::harness::{LEAD, TestBench};

#[tokio::test]
async fn search_is_fuzzy_and_delayed() {
    let bench = TestBench::new().await;
    let response = bench
        .get("/crm/v7/Leads/search?email=LEAD1@example.com")
        .await;
    assert_eq!(response.json["data"][0]["id"], LEAD);
    assert_eq!(
        response.json["info"],
        json!({"per_page": 200, "count": 1, "page": 1, "more_records": false})
    );
    // `equals` means `contains`: lead1, lead10 … lead19, lead100 …; the two hidden records are not counted.
    let response = bench
        .get("/crm/v7/Leads/search?criteria=(Email:equals:lead1)&per_page=7")
        .await;
    assert_eq!(response.json["info"]["count"], 7);
    assert_eq!(response.json["info"]["more_records"], true);
    let response = bench
        .get("/crm/v7/Leads/search?email=missing@example.com")
        .await;
    assert_eq!((response.status, response.text.as_str()), (204, ""));
    // The last seeded lead is converted, and hidden by default.
    assert_eq!(
        bench
            .get("/crm/v7/Leads/search?email=lead2000@example.com")
            .await
            .status,
        204
    );
    assert_eq!(
        bench.get("/crm/v7/Leads/search").await.code(),
        (400, "EXPECTED_PARAM_MISSING")
    );
    assert_eq!(
        bench
            .get("/crm/v7/Leads/search?criteria=Email")
            .await
            .code(),
        (400, "INVALID_QUERY")
    );
    bench.faults(json!({"search_lag_s": 60})).await;
    bench
        .update("Leads", json!({"data": [{"City": "Bonn"}], "ids": [LEAD]}))
        .await;
    assert_eq!(
        bench
            .get("/crm/v7/Leads/search?email=lead1@example.com")
            .await
            .status,
        204
    );
    bench.advance(60);
    assert_eq!(
        bench
            .get("/crm/v7/Leads/search?email=lead1@example.com")
            .await
            .status,
        200
    );
    bench
        .faults(json!({"scopes": "ZohoCRM.modules.READ"}))
        .await;
    let response = bench
        .get("/crm/v7/Leads/search?email=lead1@example.com")
        .await;
    assert_eq!(response.code(), (401, "OAUTH_SCOPE_MISMATCH"));
}

#[tokio::test]
async fn search_applies_criteria_and_selects_fields() {
    let bench = TestBench::new().await;
    let search = async |parameters: &[(&str, &str)]| {
        let query = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(parameters)
            .finish();
        bench.get(&format!("/crm/v7/Leads/search?{query}")).await
    };
    for (criteria, found) in [
        // Another lead's address contains this one.
        ("(Email:equals:lead1@example.com)", 2),
        ("(Email:in:lead1@example.com,lead2@example.com)", 2),
        ("((Email:starts_with:lead19)and(Rating:equals:Active))", 19),
        ("((Email:equals:o'brien)or(Email:equals:p+boyle))", 2),
        ("(Street:equals:a \\(b\\, c\\))", 0),
    ] {
        let response = search(&[("criteria", criteria)]).await;
        let count = response.json["info"]["count"].as_u64().unwrap_or_default();
        assert_eq!(count, found, "{criteria}: {}", response.status);
    }
    let eleven = format!("({})", ["(City:equals:x)"; 11].join("or"));
    for wrong in [
        "(Email:resembles:x)",
        "(Nothing:equals:x)",
        "(Email:equals:x",
        "(Email:equals:x))",
        "(Email:equals:a,b)",
        "(Email:equals)",
        eleven.as_str(),
    ] {
        let response = search(&[("criteria", wrong)]).await;
        assert_eq!(response.code(), (400, "INVALID_QUERY"), "{wrong}");
    }
    let response = search(&[("email", "second@example.com"), ("fields", "Email,Rating")]).await;
    let record = response.json["data"][0].as_object().unwrap();
    assert_eq!(record.keys().collect::<Vec<_>>(), ["id", "Email", "Rating"]);
    let hidden = [("email", "lead2000@example.com")];
    assert_eq!(search(&hidden).await.status, 204);
    let shown = [hidden[0], ("converted", "both")];
    assert_eq!(search(&shown).await.status, 200);
    let response = search(&[("word", "lead"), ("page", "11")]).await;
    assert_eq!(response.code(), (400, "LIMIT_REACHED"));
}

#[tokio::test]
async fn count_applies_filter_and_view() {
    let bench = TestBench::new().await;
    let count = async |query: &str| {
        let response = bench
            .get(&format!("/crm/v7/Leads/actions/count{query}"))
            .await;
        response.json["count"].clone()
    };
    let some = bench.view("Leads", "some");
    assert_eq!(count("").await, 2000);
    assert_eq!(count("?email=team@example.com").await, 3);
    assert_eq!(
        count(&format!("?cvid={some}")).await,
        bench.world()["views"]["Leads"]["some"]["records"]
    );
}
