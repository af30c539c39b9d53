//! The modules of the org, and what Zoho has and the simulator does not.

use std::collections::BTreeSet;

use serde_json::json;

use super::harness::TestBench;

#[tokio::test]
async fn modules_of_zohos_list_can_be_mass_updated() {
    let bench = TestBench::new().await;
    let world = bench.world();
    for (module, data) in [
        ("Campaigns", json!({"Status": "Active"})),
        ("Tasks", json!({"Priority": "Low"})),
        ("Calls", json!({"Call_Type": "Inbound"})),
        ("Events", json!({"Venue": "Bonn"})),
        ("Solutions", json!({"Status": "Draft"})),
        ("Products", json!({"Product_Active": true})),
        ("Vendors", json!({"City": "Bonn"})),
        ("Price_Books", json!({"Active": true})),
        ("Quotes", json!({"Carrier": "DHL"})),
        ("Sales_Orders", json!({"Carrier": "DHL"})),
        ("Purchase_Orders", json!({"Carrier": "DHL"})),
        ("Invoices", json!({"Status": "Approved"})),
    ] {
        let id = world["modules"][module]["first_record_id"].clone();
        let body = json!({"data": [data], "ids": [id]});
        let response = bench.update(module, body).await;
        assert_eq!(
            response.first(),
            (200, "SUCCESS", "record updated"),
            "{module}"
        );
        let body = json!({"data": [data], "cvid": bench.view(module, "all")});
        assert_eq!(
            bench.update(module, body).await.first().1,
            "SUCCESS",
            "{module}"
        );
    }
    let id = bench.record_id("Cases", 0);
    let body = json!({"data": [{"Priority": "Low"}], "ids": [id]});
    let response = bench.update("Cases", body.clone()).await;
    assert_eq!(response.code(), (400, "NOT_SUPPORTED"));
    bench.faults(json!({"cases_mass_update": true})).await;
    assert_eq!(bench.update("Cases", body).await.status, 200);
    let body = json!({"data": [{"Status": "Completed"}], "ids": ["1"]});
    let response = bench.update("Activities", body).await;
    assert_eq!(response.code(), (501, "NOT_SIMULATED"));
}

#[tokio::test]
async fn every_module_lists_fields_and_a_view() {
    let bench = TestBench::new().await;
    let modules = bench.get("/crm/v7/settings/modules").await.json;
    let modules = modules["modules"].as_array().unwrap();
    assert_eq!(modules.len(), 18);
    let mut ids = BTreeSet::new();
    for module in modules {
        let name = module["api_name"].as_str().unwrap();
        for (list, key) in [("fields", "fields"), ("custom_views", "custom_views")] {
            let response = bench
                .get(&format!("/crm/v7/settings/{list}?module={name}"))
                .await;
            let entries = response.json[key].as_array().unwrap();
            assert!(!entries.is_empty(), "{name} {list}");
            for entry in entries {
                let id = format!("{list} {}", entry["id"]);
                assert!(ids.insert(id), "{name} {list}");
            }
        }
    }
}

#[tokio::test]
async fn parameter_without_simulation_is_named() {
    let bench = TestBench::new().await;
    for path in [
        "/crm/v7/Leads?fields=id&approved=false",
        "/crm/v7/Leads?fields=id&nonsense=1",
        "/crm/v7/Leads/5725767000003000064?approved=true",
        "/crm/v7/Leads/search?word=a&sort_by=id",
        "/crm/v7/Leads/actions/count?sort_by=id",
        "/crm/v7/settings/fields?module=Leads&include=all",
        "/crm/v7/settings/modules?status=visible",
        "/crm/v7/settings/custom_views?module=Leads&filters=x",
        "/crm/v7/settings/territories?include=deal_rule_criteria",
        "/crm/v7/org?x=1",
        "/crm/v7/users?sort_by=id",
        "/crm/v7/__apis?x=1",
    ] {
        let response = bench.get(path).await;
        assert_eq!(response.code(), (501, "NOT_SIMULATED"), "{path}");
        assert!(response.json["details"]["param_name"].is_string(), "{path}");
    }
    // Zoho's own rejection goes before.
    let path = "/crm/v7/Leads/search?criteria=(Company:equals:a&b)";
    assert_eq!(bench.get(path).await.status, 400);
    for path in ["/crm/v7/Leads/search", "/crm/v7/Leads/actions/count"] {
        let path = format!("{path}?criteria=(No_of_Employees:greater_than:5)");
        assert_eq!(bench.get(&path).await.code(), (501, "NOT_SIMULATED"));
    }
}

#[tokio::test]
async fn request_without_a_token_is_not_authenticated() {
    let bench = TestBench::new().await;
    for (method, path) in [
        ("POST", "/crm/v7/Leads/upsert"),
        ("DELETE", "/crm/v7/Leads"),
        ("GET", "/crm/v7/settings/layouts?module=Leads"),
        ("GET", "/crm/v8/Leads?fields=id"),
        ("GET", "/crm/bulk/v7/read/1"),
        ("GET", "/crm/v7/Leads?nonsense=1"),
        ("GET", "/crm/v7/settings/modules/Notes"),
        ("GET", "/crm/v7/Leads?fields=Full_Name"),
    ] {
        let response = bench.request(method, path).send().await.unwrap();
        let response = super::harness::TestResponse::read(response).await;
        assert_eq!(
            response.code(),
            (401, "AUTHENTICATION_FAILURE"),
            "{method} {path}"
        );
    }
}

#[tokio::test]
async fn standard_field_has_a_value_or_is_named() {
    let bench = TestBench::new().await;
    let modules = bench.get("/crm/v7/settings/modules").await.json;
    for module in modules["modules"].as_array().unwrap() {
        let name = module["api_name"].as_str().unwrap();
        let path = format!("/crm/v7/{name}?fields=Created_By,Modified_By&per_page=1");
        let record = bench.get(&path).await.json["data"][0].clone();
        for field in ["Created_By", "Modified_By"] {
            assert_eq!(record[field]["name"], "Patricia Boyle", "{name} {record}");
        }
    }
    for path in [
        "/crm/v7/Leads?fields=Created_By,Full_Name",
        "/crm/v7/Leads/5725767000003000064?fields=Twitter",
        "/crm/v7/Leads/search?word=a&fields=Twitter",
        "/crm/v7/Leads/search?criteria=(Full_Name:equals:a)",
    ] {
        assert_eq!(
            bench.get(path).await.code(),
            (501, "NOT_SIMULATED"),
            "{path}"
        );
    }
    let body = json!({"data": [{"id": "5725767000003000064", "Tag": [{"name": "a"}]}]});
    let request = bench
        .authorized("PUT", "/crm/v7/Leads")
        .body(body.to_string());
    assert_eq!(request.send().await.unwrap().status(), 501);
    let body = json!({"data": [{"Created_By": {"id": "1"}}], "ids": ["5725767000003000064"]});
    assert_eq!(bench.update("Leads", body).await.status, 400);
}

#[tokio::test]
async fn parts_of_zoho_without_simulation_are_named() {
    let bench = TestBench::new().await;
    for path in [
        "/crm/v7/Notes?fields=id",
        "/crm/v7/Notes/search?word=a",
        "/crm/v7/settings/fields?module=Notes",
        "/crm/v7/settings/modules/Notes",
        "/crm/v7/settings/modules/Activities",
        "/crm/v7/settings/modules/Documents",
        "/crm/v7/settings/custom_views?module=Notes",
        "/crm/v7/settings/layouts?module=Leads",
        "/crm/v7/Leads/5725767000003000064/Notes?fields=id",
        "/crm/v7/Leads/deleted",
        "/crm/v6/Leads?fields=id",
        "/crm/bulk/v7/read/1",
    ] {
        let response = bench.get(path).await;
        assert_eq!(response.code(), (501, "NOT_SIMULATED"), "{path}");
        assert_eq!(response.json["message"], "not simulated");
    }
    for path in ["/crm/v7/Leads", "/crm/v7/Leads/actions/mass_delete"] {
        let response = bench.post(path, &json!({"data": []})).await;
        assert_eq!(response.code(), (501, "NOT_SIMULATED"), "{path}");
    }
    let query = json!({"select_query": "select id from Notes where id is not null"});
    let response = bench.post("/crm/v7/coql", &query).await;
    assert_eq!(response.code(), (501, "NOT_SIMULATED"));
    // Zoho does not have these either.
    for (path, code) in [
        ("/crm/v7/Leeds?fields=id", (400, "INVALID_MODULE")),
        ("/crm/v7/settings/nothing", (404, "INVALID_URL_PATTERN")),
        (
            "/crm/v7/Leads/actions/nothing",
            (404, "INVALID_URL_PATTERN"),
        ),
        ("/crm/v7/Documents?fields=id", (400, "INVALID_MODULE")),
    ] {
        assert_eq!(bench.get(path).await.code(), code, "{path}");
    }
}
