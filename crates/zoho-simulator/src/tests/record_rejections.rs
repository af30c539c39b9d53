//! Switches for the texts of rejected records, and for missing permissions.

use serde_json::json;

use super::harness::{LEAD, TestBench, TestResponse};

#[tokio::test]
async fn second_texts_of_codes_are_switchable() {
    let bench = TestBench::new().await;
    let conditions = bench.world()["modules"]["Leads"]["conditions"].clone();
    let text = "Cannot update record that is not approved yet";
    bench
        .faults(json!({"record_locked_message": text, "not_approved_message": text}))
        .await;
    for (condition, code) in [
        ("locked", "RECORD_LOCKED"),
        ("not_approved", "NOT_APPROVED"),
    ] {
        let id = &conditions[condition];
        let response = bench
            .update("Leads", json!({"data": [{"City": "Bonn"}], "ids": [id]}))
            .await;
        assert_eq!(response.first(), (400, code, text));
    }
}

#[tokio::test]
async fn missing_permission_is_switchable() {
    let bench = TestBench::new().await;
    bench
        .faults(json!({"may_mass_update": false, "may_update": false}))
        .await;
    let response = bench
        .update("Leads", json!({"data": [{"City": "Bonn"}], "ids": [LEAD]}))
        .await;
    assert_eq!(response.code(), (403, "NO_PERMISSION"));
    assert_eq!(response.json["message"], "permission denied");
    let body = json!({"data": [{"id": LEAD, "City": "Bonn"}]});
    let request = bench
        .authorized("PUT", "/crm/v7/Leads")
        .body(body.to_string());
    let response = TestResponse::read(request.send().await.unwrap()).await;
    assert_eq!(response.code(), (403, "NO_PERMISSION"));
    assert_eq!(response.json["message"], "Permission denied to update");
}
