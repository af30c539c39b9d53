//! `PUT {module}` and `GET {module}/{id}`.

use serde_json::{Value, json};

use super::harness::{LEAD, TestBench, TestResponse};

async fn put(bench: &TestBench, body: Value) -> TestResponse {
    let request = bench
        .authorized("PUT", "/crm/v7/Leads")
        .body(body.to_string());
    TestResponse::read(request.send().await.unwrap()).await
}

#[tokio::test]
async fn put_accepts_documented_triggers_only() {
    let bench = TestBench::new().await;
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
        let response = put(&bench, body(bad)).await;
        assert_eq!(response.code(), (400, "INVALID_DATA"), "{response:?}");
        assert_eq!(response.json["details"]["api_name"], "trigger");
    }
    bench.faults(json!({"unknown_keys": "ignore"})).await;
    assert_eq!(put(&bench, body(json!(["macro"]))).await.status, 200);
}

#[tokio::test]
async fn put_follows_switches_of_immediate_updates() {
    let bench = TestBench::new().await;
    let twice = json!({"data": [{"id": LEAD, "City": "Bonn"}, {"id": LEAD, "City": "Cologne"}]});
    assert_eq!(put(&bench, twice.clone()).await.status, 200);
    assert_eq!(bench.record("Leads", LEAD).await["City"], "Cologne");
    bench
        .faults(json!({"duplicate_ids": "refuse", "mixed_status": 200, "all_failed_status": 200}))
        .await;
    let response = put(&bench, twice).await;
    let codes = [0, 1].map(|at| &response.json["data"][at]["code"]);
    assert_eq!(
        (response.status, codes),
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
async fn put_updates_valid_records_and_rejects_others() {
    let bench = TestBench::new().await;
    let response = bench.get(&format!("/crm/v7/Leads/{LEAD}")).await;
    assert_eq!(response.json["data"][0]["Email"], "lead1@example.com");
    assert_eq!(bench.get("/crm/v7/Leads/7").await.status, 204);
    let response = put(&bench, json!({"data": [{"id": LEAD, "Email": "new@example.com", "City": "Bonn", "Topics": ["Billing"]}]})).await;
    assert_eq!(response.first(), (200, "SUCCESS", "record updated"));
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
    let second = bench.record_id("Leads", 1);
    let phone = bench.record("Leads", LEAD).await["Phone"].clone();
    let refused = [
        (json!({"City": 7}), "INVALID_DATA"),
        (json!({"Email": "missing"}), "INVALID_DATA"),
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
        let response = put(&bench, json!({"data": [{"id": LEAD}, record]})).await;
        let entry = &response.json["data"][1];
        assert_eq!(
            (response.status, &entry["code"]),
            (207, &json!(code)),
            "{record}"
        );
        let path = entry["details"]["json_path"].as_str().unwrap();
        assert!(path.starts_with("$.data[1]."), "{path}");
    }
    // Unknown fields are ignored.
    let body = json!({"data": [{"id": second, "Nothing": 1, "Partner_Number": "12", "Description": "a\nb"}], "trigger": []});
    assert_eq!(put(&bench, body).await.status, 200);
    let many = vec![json!({"id": LEAD}); 101];
    assert_eq!(
        put(&bench, json!({"data": many})).await.json["details"]["limit"],
        100
    );
}
