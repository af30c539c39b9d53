//! The endpoints around mass update.

use serde_json::{Value, json};

use super::{Bench, LEAD, got};

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
    assert_eq!(answer.json["info"]["count"], 7);
    assert!(answer.json["custom_views"][0].get("criteria").is_none());
    let some = bench.view("Leads", "some");
    let answer = bench
        .get(&format!(
            "/crm/v7/settings/custom_views/{some}?module=Leads"
        ))
        .await;
    assert_eq!(answer.json["custom_views"][0]["name"], "Hot Webinar Leads");
    assert_eq!(
        answer.json["custom_views"][0]["criteria"]["group"][1]["value"],
        "Active"
    );
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
}

#[tokio::test]
async fn lists_come_in_pages_and_names_are_not_unique() {
    let bench = Bench::new().await;
    let mut names = Vec::new();
    for page in 1.. {
        let path = format!("/crm/v7/settings/custom_views?module=Leads&page={page}&per_page=3");
        let answer = bench.get(&path).await.json;
        let views = answer["custom_views"].as_array().unwrap();
        assert_eq!(answer["info"]["count"], views.len());
        names.extend(views.iter().map(|view| view["name"].clone()));
        if answer["info"]["more_records"] == false {
            assert_eq!((page, &answer["info"]["page"]), (3, &json!(3)));
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
    let answer = bench.get("/crm/v7/settings/territories").await.json;
    assert_eq!(
        answer["info"],
        json!({"per_page": 2, "count": 2, "page": 1, "more_records": true})
    );
    let answer = bench.get("/crm/v7/settings/territories?page=3").await.json;
    for territory in answer["territories"].as_array().unwrap() {
        assert_eq!(territory["name"], "North");
    }
}

#[tokio::test]
async fn an_org_tells_its_edition_its_user_and_its_prices() {
    let bench = Bench::new().await;
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
    let answer = apis("mass_update").await.json;
    assert_eq!(answer["__apis"].as_array().unwrap().len(), 5);
    assert_eq!(
        answer["__apis"][0],
        json!({
            "path": "/crm/v7/Leads/actions/mass_update",
            "operation_types": [
                {"method": "POST", "oauth_scope": "ZohoCRM.mass_update.leads.UPDATE", "max_credits": 5, "min_credits": 5},
                {"method": "GET", "oauth_scope": "ZohoCRM.mass_update.leads.READ", "max_credits": 5, "min_credits": 5},
            ],
        })
    );
    let answer = apis("coql").await.json;
    assert_eq!(answer["__apis"][0]["operation_types"][0]["max_credits"], 3);
    assert_eq!(apis("nothing").await.status, 204);
    assert_eq!(
        bench.get("/crm/v7/__apis?filters=x").await.code(),
        (400, "INVALID_DATA")
    );
    let all = bench.get("/crm/v7/__apis").await.json;
    let custom = all["__apis"].as_array().unwrap().last().unwrap();
    assert_eq!(
        custom["operation_types"][0]["oauth_scope"],
        "ZohoCRM.mass_update.custom.UPDATE"
    );
}

#[tokio::test]
async fn calls_have_prices_of_their_own() {
    let bench = Bench::new().await;
    let spent = async || {
        bench.get("/_sim/stats").await.json["credits_used"]
            .as_u64()
            .unwrap()
    };
    let mut before = spent().await;
    let query = |limit: u32| json!({"select_query": format!("select id from Leads where id is not null limit {limit}")});
    let many: Vec<Value> = (0..21)
        .map(|n| json!({"id": bench.nth("Leads", n)}))
        .collect();
    for (method, path, body, price) in [
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
    ] {
        let request = bench.authorized(method, path).body(body.to_string());
        request.send().await.unwrap();
        let now = spent().await;
        assert_eq!(now - before, price, "{method} {path} {body}");
        before = now;
    }
}

#[tokio::test]
async fn another_version_is_not_played() {
    let bench = Bench::new().await;
    for version in ["v2.1", "v8"] {
        let answer = bench.get(&format!("/crm/{version}/org")).await;
        assert_eq!(answer.code(), (400, "API_NOT_SUPPORTED"));
        assert_eq!(answer.json["details"]["supported_version"], 7);
    }
    assert_eq!(
        bench.get("/crm/vault/org").await.code(),
        (404, "INVALID_URL_PATTERN")
    );
}

#[tokio::test]
async fn a_put_names_its_automation_in_zohos_words() {
    let bench = Bench::new().await;
    let body = |trigger: Value| json!({"data": [{"id": LEAD, "City": "Bonn"}], "trigger": trigger});
    let all = json!([
        "approval",
        "workflow",
        "blueprint",
        "pathfinder",
        "orchestration"
    ]);
    for good in [json!([]), json!(["workflow"]), all] {
        assert_eq!(put(&bench, body(good)).await.status, 200);
    }
    for bad in [json!("workflow"), json!([1]), json!(["workflow", "macro"])] {
        let answer = put(&bench, body(bad)).await;
        assert_eq!(answer.code(), (400, "INVALID_DATA"), "{answer:?}");
        assert_eq!(answer.json["details"]["api_name"], "trigger");
    }
    bench.faults(json!({"unknown_keys": "ignore"})).await;
    assert_eq!(put(&bench, body(json!(["macro"]))).await.status, 200);
}

#[tokio::test]
async fn a_put_has_the_switches_of_a_mass_update_of_named_records() {
    let bench = Bench::new().await;
    let twice = json!({"data": [{"id": LEAD, "City": "Bonn"}, {"id": LEAD, "City": "Cologne"}]});
    assert_eq!(put(&bench, twice.clone()).await.status, 200);
    assert_eq!(bench.record("Leads", LEAD).await["City"], "Cologne");
    bench
        .faults(json!({"duplicate_ids": "refuse", "mixed_status": 200, "all_failed_status": 200}))
        .await;
    let answer = put(&bench, twice).await;
    let codes = [0, 1].map(|at| &answer.json["data"][at]["code"]);
    assert_eq!(
        (answer.status, codes),
        (200, [&json!("SUCCESS"), &json!("DUPLICATE_DATA")])
    );
    assert_eq!(bench.record("Leads", LEAD).await["City"], "Bonn");
    let unknown = put(&bench, json!({"data": [{"id": "7"}]})).await;
    assert_eq!(
        (unknown.status, &unknown.json["data"][0]["code"]),
        (200, &json!("INVALID_DATA"))
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
    let second = bench.nth("Leads", 1);
    let phone = bench.record("Leads", LEAD).await["Phone"].clone();
    let refused = [
        (json!({"City": 7}), "INVALID_DATA"),
        (json!({"Email": "nobody"}), "INVALID_DATA"),
        (json!({"Credit_Limit": 1}), "INVALID_DATA"),
        (
            json!({"Partner_Number": 900_000_000_000_000_000_u64}),
            "INVALID_DATA",
        ),
        (json!({"Lead_Score": 1}), "NO_PERMISSION"),
        (json!({"Converted__s": true}), "NO_PERMISSION"),
        (json!({"Phone": phone}), "DUPLICATE_DATA"),
        (json!({"Company": null}), "INVALID_DATA"),
    ];
    for (mut record, code) in refused {
        record["id"] = json!(second);
        let answer = put(&bench, json!({"data": [{"id": LEAD}, record]})).await;
        let entry = &answer.json["data"][1];
        assert_eq!(
            (answer.status, &entry["code"]),
            (207, &json!(code)),
            "{record}"
        );
        let path = entry["details"]["json_path"].as_str().unwrap();
        assert!(path.starts_with("$.data[1]."), "{path}");
    }
    // What is no field is ignored, and each field may have its own value.
    let body = json!({"data": [{"id": second, "Nothing": 1, "Partner_Number": "12", "Description": "a\nb"}], "trigger": []});
    assert_eq!(put(&bench, body).await.status, 200);
    let many = vec![json!({"id": LEAD}); 101];
    assert_eq!(
        put(&bench, json!({"data": many})).await.json["details"]["limit"],
        100
    );
}
