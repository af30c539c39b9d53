//! The endpoints around mass update.

use serde_json::{Value, json};

use super::{Bench, LEAD, got};

async fn coql(bench: &Bench, query: &str) -> super::Got {
    bench
        .post("/crm/v7/coql", &json!({"select_query": query}))
        .await
}

async fn put(bench: &Bench, body: Value) -> super::Got {
    let request = bench
        .authorized("PUT", "/crm/v7/Leads")
        .body(body.to_string());
    got(request.send().await.unwrap()).await
}

#[tokio::test]
async fn fields_tell_what_may_be_updated() {
    let bench = Bench::new().await;
    let answer = bench.get("/crm/v7/settings/fields?module=Leads").await;
    let fields = answer.json["fields"].as_array().unwrap();
    let field = |name: &str| {
        fields
            .iter()
            .find(|field| field["api_name"] == name)
            .unwrap()
    };
    assert_eq!(field("Lead_Source")["mass_update"], true);
    assert_eq!(field("Lead_Source")["json_type"], "string");
    assert_eq!(field("Topics")["json_type"], "jsonarray");
    assert_eq!(field("Email")["mass_update"], false);
    assert_eq!(field("Layout")["mass_update"], true);
    assert_eq!(field("Phone")["mass_update"], false);
    assert_eq!(field("Credit_Limit")["visible"], false);
    let options = field("Lead_Source")["pick_list_values"].as_array().unwrap();
    let houston = options
        .iter()
        .find(|option| option["display_value"] == "Houston")
        .unwrap();
    assert_eq!(
        (&houston["actual_value"], &houston["type"]),
        (&json!("Houston Showroom"), &json!("used"))
    );
    assert_eq!(options.last().unwrap()["type"], "unused");
    let one = format!(
        "/crm/v7/settings/fields/{}?module=Leads",
        field("Email")["id"].as_str().unwrap()
    );
    assert_eq!(bench.get(&one).await.json["fields"][0]["api_name"], "Email");
    assert_eq!(
        bench.get("/crm/v7/settings/fields").await.code(),
        (400, "REQUIRED_PARAM_MISSING")
    );
    assert_eq!(
        bench.get("/crm/v7/settings/fields?module=No").await.code(),
        (400, "INVALID_MODULE")
    );
}

#[tokio::test]
async fn modules_views_territories_and_prices_are_listed() {
    let bench = Bench::new().await;
    let answer = bench.get("/crm/v7/settings/modules").await;
    assert_eq!(answer.json["modules"][4]["generated_type"], "custom");
    let answer = bench
        .get("/crm/v7/settings/custom_views?module=Leads")
        .await;
    assert_eq!(answer.json["custom_views"][0]["system_name"], "ALLVIEWS");
    assert_eq!(answer.json["info"]["count"], 4);
    let some = bench.view("Leads", "some");
    let answer = bench
        .get(&format!(
            "/crm/v7/settings/custom_views/{some}?module=Leads"
        ))
        .await;
    assert_eq!(answer.json["custom_views"][0]["name"], "Hot Webinar Leads");
    let answer = bench.get("/crm/v7/settings/territories").await;
    assert_eq!(answer.json["territories"][0]["reporting_to"], Value::Null);
    assert_eq!(
        answer.json["territories"][2]["reporting_to"]["name"],
        "EMEA"
    );
    let root = answer.json["territories"][0]["id"].as_str().unwrap();
    let answer = bench
        .get(&format!(
            "/crm/v7/settings/territories/{root}/__child_territories"
        ))
        .await;
    assert_eq!(answer.json["info"]["count"], 2);
    assert_eq!(
        bench.get("/crm/v7/settings/territories/1").await.status,
        204
    );
    let answer = bench.get("/crm/v7/__apis").await;
    assert_eq!(
        answer.json["__apis"][0]["operation_types"][0]["oauth_scope"],
        "ZohoCRM.mass_update.leads.UPDATE"
    );
    assert_eq!(
        bench.get("/crm/v7/org").await.json["org"][0]["zgid"],
        "60001234567"
    );
}

#[tokio::test]
async fn search_is_fuzzy_and_lags() {
    let bench = Bench::new().await;
    let answer = bench
        .get("/crm/v7/Leads/search?email=LEAD1@example.com")
        .await;
    assert_eq!(answer.json["data"][0]["id"], LEAD);
    assert_eq!(
        answer.json["info"],
        json!({"per_page": 200, "count": 1, "page": 1, "more_records": false})
    );
    // `equals` contains: lead1, lead10 … lead19, lead100 …; the two hidden records count for nothing.
    let answer = bench
        .get("/crm/v7/Leads/search?criteria=(Email:equals:lead1)&per_page=7")
        .await;
    assert_eq!(answer.json["info"]["count"], 7);
    assert_eq!(answer.json["info"]["more_records"], true);
    let answer = bench
        .get("/crm/v7/Leads/search?email=nobody@example.com")
        .await;
    assert_eq!((answer.status, answer.text.as_str()), (204, ""));
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
    let answer = bench
        .get("/crm/v7/Leads/search?email=lead1@example.com")
        .await;
    assert_eq!(answer.code(), (401, "OAUTH_SCOPE_MISMATCH"));
}

#[tokio::test]
async fn coql_finds_exactly() {
    let bench = Bench::new().await;
    let query = "select id, Email from Leads where Email in ('lead1@example.com','lead2@example.com') limit 200";
    let answer = coql(&bench, query).await;
    assert_eq!(
        answer.json,
        json!({
            "data": [
                {"id": LEAD, "Email": "lead1@example.com"},
                {"id": bench.nth("Leads", 1), "Email": "lead2@example.com"},
            ],
            "info": {"count": 2, "more_records": false},
        })
    );
    let after = format!(
        "SELECT Email FROM Leads WHERE ((Email in ('lead1@example.com','lead2@example.com')) and (id > '{LEAD}'))"
    );
    assert_eq!(coql(&bench, &after).await.json["info"]["count"], 1);
    let answer = coql(
        &bench,
        "select id from Leads where Email = 'nobody@example.com'",
    )
    .await;
    assert_eq!((answer.status, answer.text.as_str()), (204, ""));
    let some = bench.view("Leads", "some");
    let answer = coql(
        &bench,
        &format!("select COUNT(id) from Leads#{some} where id is not null"),
    )
    .await;
    assert_eq!(
        answer.json["data"][0]["COUNT(id)"],
        bench.world()["views"]["Leads"]["some"]["records"]
    );
    let answer = coql(
        &bench,
        "select id from Leads where id is not null limit 10, 5",
    )
    .await;
    assert_eq!(answer.json["data"][0]["id"], bench.nth("Leads", 10));
    assert_eq!(
        answer.json["info"],
        json!({"count": 5, "more_records": true})
    );
    let values: Vec<String> = (0..101).map(|n| format!("'{n}'")).collect();
    for (query, code) in [
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
    bench
        .faults(json!({"scopes": "ZohoCRM.coql.READ,ZohoCRM.modules.deals.READ"}))
        .await;
    let answer = coql(&bench, "select id from Leads where id is not null").await;
    assert_eq!(answer.code(), (401, "OAUTH_SCOPE_MISMATCH"));
    let answer = coql(&bench, "select id from Deals where id is not null").await;
    assert_eq!(
        answer.json["info"],
        json!({"count": 200, "more_records": true})
    );
}

#[tokio::test]
async fn records_are_read_and_put() {
    let bench = Bench::new().await;
    let answer = bench.get(&format!("/crm/v7/Leads/{LEAD}")).await;
    assert_eq!(answer.json["data"][0]["Email"], "lead1@example.com");
    assert_eq!(bench.get("/crm/v7/Leads/7").await.status, 204);
    let answer = put(&bench, json!({"data": [{"id": LEAD, "Email": "new@example.com", "City": "Bonn", "Topics": ["Billing"]}]})).await;
    assert_eq!(answer.first(), (200, "SUCCESS", "record updated"));
    put(
        &bench,
        json!({"data": [{"id": LEAD, "Topics": ["CRM"], "$append_values": {"Topics": true}}]}),
    )
    .await;
    let record = bench.record("Leads", LEAD).await;
    assert_eq!(
        (&record["City"], &record["Topics"]),
        (&json!("Bonn"), &json!(["Billing", "CRM"]))
    );
    assert_eq!(
        put(
            &bench,
            json!({"data": [{"id": LEAD, "City": 7}, {"id": LEAD}]})
        )
        .await
        .status,
        207
    );
    assert_eq!(
        put(&bench, json!({"data": [{"id": "7"}]})).await.status,
        400
    );
    assert_eq!(
        put(&bench, json!({"data": []})).await.code(),
        (400, "MANDATORY_NOT_FOUND")
    );
    let many = vec![json!({"id": LEAD}); 101];
    assert_eq!(
        put(&bench, json!({"data": many})).await.json["details"]["limit"],
        100
    );
}
