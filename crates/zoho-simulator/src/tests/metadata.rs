//! `settings/*`, `org`, `users` and `__apis`.

use serde_json::{Value, json};

use super::harness::TestBench;

#[tokio::test]
async fn fields_list_flags_and_options() {
    let bench = TestBench::new().await;
    let response = bench.get("/crm/v7/settings/fields?module=Leads").await;
    let fields = response.json["fields"].as_array().unwrap();
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
async fn modules_views_and_territories_are_listed() {
    let bench = TestBench::new().await;
    let response = bench.get("/crm/v7/settings/modules").await;
    assert_eq!(response.json["modules"][4]["generated_type"], "custom");
    let response = bench
        .get("/crm/v7/settings/custom_views?module=Leads")
        .await;
    assert_eq!(response.json["custom_views"][0]["system_name"], "ALLVIEWS");
    assert_eq!(response.json["info"]["count"], 7);
    assert!(response.json["custom_views"][0].get("criteria").is_none());
    let some = bench.view("Leads", "some");
    let response = bench
        .get(&format!(
            "/crm/v7/settings/custom_views/{some}?module=Leads"
        ))
        .await;
    assert_eq!(
        response.json["custom_views"][0]["name"],
        "Hot Webinar Leads"
    );
    assert_eq!(
        response.json["custom_views"][0]["criteria"]["group"][1]["value"],
        "Active"
    );
    let response = bench.get("/crm/v7/settings/territories").await;
    assert_eq!(response.json["territories"][0]["reporting_to"], Value::Null);
    assert_eq!(
        response.json["territories"][2]["reporting_to"]["name"],
        "EMEA"
    );
    let root = response.json["territories"][0]["id"].as_str().unwrap();
    let response = bench
        .get(&format!(
            "/crm/v7/settings/territories/{root}/__child_territories"
        ))
        .await;
    assert_eq!(response.json["info"]["count"], 2);
    assert_eq!(
        bench.get("/crm/v7/settings/territories/1").await.status,
        204
    );
}

#[tokio::test]
async fn lists_are_paged_and_names_repeat() {
    let bench = TestBench::new().await;
    let mut names = Vec::new();
    for page in 1.. {
        let path = format!("/crm/v7/settings/custom_views?module=Leads&page={page}&per_page=3");
        let response = bench.get(&path).await.json;
        let views = response["custom_views"].as_array().unwrap();
        assert_eq!(response["info"]["count"], views.len());
        names.extend(views.iter().map(|view| view["name"].clone()));
        if response["info"]["more_records"] == false {
            assert_eq!((page, &response["info"]["page"]), (3, &json!(3)));
            break;
        }
    }
    assert_eq!(names.len(), 7);
    assert_eq!(
        names.iter().filter(|name| *name == "Stale Leads").count(),
        2
    );
    let beyond = "/crm/v7/settings/custom_views?module=Leads&page=4&per_page=3";
    assert_eq!(bench.get(beyond).await.status, 204);
    for wrong in ["per_page=201", "per_page=0", "page=0", "page=x"] {
        let path = format!("/crm/v7/settings/custom_views?module=Leads&{wrong}");
        assert_eq!(
            bench.get(&path).await.code(),
            (400, "INVALID_DATA"),
            "{wrong}"
        );
    }
    bench.faults(json!({"most_per_page": 2})).await;
    let response = bench.get("/crm/v7/settings/territories").await.json;
    assert_eq!(
        response["info"],
        json!({"per_page": 2, "count": 2, "page": 1, "more_records": true})
    );
    let response = bench.get("/crm/v7/settings/territories?page=3").await.json;
    for territory in response["territories"].as_array().unwrap() {
        assert_eq!(territory["name"], "North");
    }
}

#[tokio::test]
async fn org_lists_edition_user_and_credits() {
    let bench = TestBench::new().await;
    let org = bench.get("/crm/v7/org").await.json["org"][0].clone();
    assert_eq!(org["zgid"], "60001234567");
    assert_eq!(org["license_details"]["paid_type"], "enterprise");
    bench
        .faults(json!({"edition": "free", "mass_update_credits": 5}))
        .await;
    let org = bench.get("/crm/v7/org").await.json["org"][0].clone();
    assert_eq!(org["license_details"]["paid_type"], "free");
    assert_eq!(
        bench.get("/crm/v7/users?type=CurrentUser").await.json["users"][0]["full_name"],
        "Patricia Boyle"
    );
    let apis = async |service: &str| {
        let filter = json!({
            "field": {"api_name": "operation_types.oauth_scope"}, "comparator": "equals", "value": service,
        });
        let query = form_urlencoded::Serializer::new(String::new())
            .append_pair("filters", &filter.to_string())
            .finish();
        bench.get(&format!("/crm/v7/__apis?{query}")).await
    };
    let response = apis("mass_update").await.json;
    // All modules but Cases.
    assert_eq!(response["__apis"].as_array().unwrap().len(), 17);
    assert_eq!(
        response["__apis"][0],
        json!({
            "path": "/crm/v7/Leads/actions/mass_update",
            "operation_types": [
                {"method": "POST", "oauth_scope": "ZohoCRM.mass_update.leads.UPDATE", "max_credits": 5, "min_credits": 5},
                {"method": "GET", "oauth_scope": "ZohoCRM.mass_update.leads.READ", "max_credits": 5, "min_credits": 5},
            ],
        })
    );
    let response = apis("coql").await.json;
    assert_eq!(
        response["__apis"][0]["operation_types"][0]["max_credits"],
        3
    );
    assert_eq!(apis("nothing").await.status, 204);
    assert_eq!(
        bench.get("/crm/v7/__apis?filters=x").await.code(),
        (400, "INVALID_DATA")
    );
    let all = bench.get("/crm/v7/__apis").await.json;
    let mut apis = all["__apis"].as_array().unwrap().iter();
    let custom = apis
        .find(|api| api["path"] == "/crm/v7/Subscriptions/actions/mass_update")
        .unwrap();
    assert_eq!(
        custom["operation_types"][0]["oauth_scope"],
        "ZohoCRM.mass_update.custom.UPDATE"
    );
}

#[tokio::test]
async fn requests_cost_documented_credits() {
    let bench = TestBench::new().await;
    let credits_used = async || {
        bench.get("/_sim/stats").await.json["credits_used"]
            .as_u64()
            .unwrap()
    };
    let mut before = credits_used().await;
    let query = |limit: u32| json!({"select_query": format!("select id from Leads where id is not null limit {limit}")});
    let many: Vec<Value> = (0..21)
        .map(|n| json!({"id": bench.record_id("Leads", n)}))
        .collect();
    for (method, path, body, cost) in [
        ("POST", "/crm/v7/coql", query(200), 1),
        ("POST", "/crm/v7/coql", query(201), 2),
        ("POST", "/crm/v7/coql", query(1001), 3),
        (
            "POST",
            "/crm/v7/coql",
            json!({"select_query": "nonsense"}),
            1,
        ),
        ("PUT", "/crm/v7/Leads", json!({"data": many[..10]}), 1),
        ("PUT", "/crm/v7/Leads", json!({"data": many}), 3),
        ("GET", "/crm/v7/Leads/actions/count", Value::Null, 50),
        ("GET", "/crm/v7/org", Value::Null, 1),
        ("GET", "/crm/v7/Leads?fields=id", Value::Null, 1),
        ("GET", "/crm/v7/Leads?fields=id&cvid=1", Value::Null, 3),
    ] {
        let request = bench.authorized(method, path).body(body.to_string());
        request.send().await.unwrap();
        let now = credits_used().await;
        assert_eq!(now - before, cost, "{method} {path} {body}");
        before = now;
    }
}

#[tokio::test]
async fn other_api_versions_are_rejected() {
    let bench = TestBench::new().await;
    // Zoho serves these, the simulator does not.
    for version in ["v2.1", "v6"] {
        let response = bench.get(&format!("/crm/{version}/org")).await;
        assert_eq!(response.code(), (501, "NOT_SIMULATED"));
    }
    let response = bench.get("/crm/v9/org").await;
    assert_eq!(response.code(), (400, "API_NOT_SUPPORTED"));
    assert_eq!(response.json["details"]["supported_version"], 7);
    assert_eq!(
        bench.get("/crm/vault/org").await.code(),
        (404, "INVALID_URL_PATTERN")
    );
}

#[tokio::test]
async fn computed_fields_name_their_type_and_source() {
    let bench = TestBench::new().await;
    let field = async |module: &str, name: &str| {
        let path = format!("/crm/v7/settings/fields?module={module}");
        let fields = bench.get(&path).await.json["fields"].clone();
        let fields = fields.as_array().unwrap().clone();
        fields
            .into_iter()
            .find(|field| field["api_name"] == name)
            .unwrap()
    };
    let formula = field("Leads", "Revenue_per_Head").await;
    assert_eq!(formula["formula"]["return_type"], "double");
    let total = field("Quotes", "Grand_Total").await;
    assert_eq!(total["formula"]["return_type"], "currency");
    let amount = field("Deals", "Amount").await;
    assert_eq!(
        amount["currency"],
        json!({"rounding_option": "normal", "precision": 2})
    );
    let number = field("Invoices", "Invoice_Number").await;
    assert_eq!(number["data_type"], "autonumber");
    assert_eq!(number["auto_number"]["prefix"], "NO-");
    let rollup = field("Accounts", "Deals_Amount").await;
    assert_eq!(rollup["rollup_summary"]["return_type"], "currency");
    let lookup = field("Contacts", "Account_Name").await["lookup"]["module"].clone();
    assert_eq!(lookup["api_name"], "Accounts");
    let id = lookup["id"].as_str().unwrap();
    let module = bench.get(&format!("/crm/v7/settings/modules/{id}")).await;
    assert_eq!(module.json["modules"][0]["api_name"], "Accounts");
    let by_name = bench.get("/crm/v7/settings/modules/Accounts").await;
    assert_eq!(by_name.json, module.json);
    // Each of these is an empty object for any other field.
    let city = field("Leads", "City").await;
    for name in [
        "formula",
        "currency",
        "auto_number",
        "rollup_summary",
        "lookup",
    ] {
        assert_eq!(city[name], json!({}), "{name}");
    }
}
