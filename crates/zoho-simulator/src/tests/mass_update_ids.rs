//! Immediate mass updates, and the checks of every mass update.

use serde_json::{Value, json};

use super::harness::{LEAD, TestBench, TestResponse};

#[tokio::test]
async fn records_are_updated_in_request_order() {
    let bench = TestBench::new().await;
    let other = bench.record_id("Leads", 5);
    let response = bench
        .update(
            "Leads",
            json!({"data": [{"Lead_Source": "Webinar"}], "ids": [other, "7", LEAD]}),
        )
        .await;
    assert_eq!(response.status, 207);
    assert_eq!(
        response.json,
        json!({"data": [
            {
                "code": "SUCCESS",
                "details": {
                    "Modified_Time": "2026-11-01T17:30:00+05:30",
                    "Modified_By": {"name": "Patricia Boyle", "id": "5725767000000411001"},
                    "Created_Time": "2024-02-01T18:52:56+05:30",
                    "id": other,
                    "Created_By": {"name": "Patricia Boyle", "id": "5725767000000411001"},
                },
                "message": "record updated",
                "status": "success",
            },
            {"code": "INVALID_DATA", "details": {"id": "7"}, "message": "the id given seems to be invalid", "status": "error"},
            response.json["data"][2],
        ]})
    );
    assert_eq!(response.json["data"][2]["details"]["id"], LEAD);
    assert_eq!(bench.record("Leads", LEAD).await["Lead_Source"], "Webinar");
    assert_eq!(
        bench.record("Leads", &bench.record_id("Leads", 6)).await["Lead_Source"],
        "Public Relations"
    );
}

#[tokio::test]
async fn record_conditions_have_error_codes() {
    let bench = TestBench::new().await;
    let conditions = bench.world()["modules"]["Leads"]["conditions"].clone();
    for (condition, code) in [
        ("locked", "RECORD_LOCKED"),
        ("in_blueprint", "RECORD_IN_BLUEPRINT"),
        ("not_approved", "NOT_APPROVED"),
        ("stop_processing", "CANNOT_PROCESS"),
        ("no_permission", "CANNOT_PERFORM_ACTION"),
        ("converted", "CONVERTED_RECORD"),
    ] {
        let id = &conditions[condition];
        let before = bench.record("Leads", id.as_str().unwrap()).await;
        // A blueprint controls its picklist only.
        let response = bench
            .update(
                "Leads",
                json!({"data": [{"Lead_Status": "Junk Lead"}], "ids": [id]}),
            )
            .await;
        assert_eq!((response.status, response.first().1), (400, code));
        assert_eq!(response.json["data"][0]["details"]["id"], *id);
        let record = bench.record("Leads", id.as_str().unwrap()).await;
        assert_eq!(record["$condition"], condition);
        assert_eq!(record, before);
        let response = bench
            .update("Leads", json!({"data": [{"City": "Bonn"}], "ids": [id]}))
            .await;
        let expected = match condition {
            "in_blueprint" => (200, "SUCCESS"),
            _ => (400, code),
        };
        assert_eq!((response.status, response.first().1), expected);
    }
}

#[tokio::test]
async fn status_of_rejected_records_is_switchable() {
    let bench = TestBench::new().await;
    bench
        .faults(json!({"mixed_status": 200, "all_failed_status": 200}))
        .await;
    for ids in [json!([LEAD, "7"]), json!(["7"])] {
        let response = bench
            .update("Leads", json!({"data": [{"City": "Bonn"}], "ids": ids}))
            .await;
        assert_eq!(response.status, 200);
    }
    bench.faults(json!({"mixed_status": 400})).await;
    let mixed = json!({"data": [{"City": "Bonn"}], "ids": [LEAD, "7"]});
    let response = bench.update("Leads", mixed).await;
    assert_eq!((response.status, response.first().1), (400, "SUCCESS"));
}

#[tokio::test]
async fn multi_selects_append_without_over_write() {
    let bench = TestBench::new().await;
    let update = |over: Value, options: Value| {
        bench.update(
            "Leads",
            json!({"data": [{"Topics": options}], "over_write": over, "ids": [LEAD]}),
        )
    };
    update(json!(false), json!(["Billing", "CRM"])).await;
    assert_eq!(
        bench.record("Leads", LEAD).await["Topics"],
        json!(["CRM", "Billing"])
    );
    update(json!(true), json!(["Events and Webinars"])).await;
    assert_eq!(
        bench.record("Leads", LEAD).await["Topics"],
        json!(["Events and Webinars"])
    );
    bench
        .update(
            "Leads",
            json!({"data": [{"Topics": ["CRM"]}], "ids": [LEAD]}),
        )
        .await;
    assert_eq!(
        bench.record("Leads", LEAD).await["Topics"],
        json!(["Events and Webinars", "CRM"])
    );
    assert_eq!(
        update(json!("yes"), json!(["CRM"])).await.code(),
        (400, "INVALID_DATA")
    );
}

#[tokio::test]
async fn field_limit_is_three_in_deals_else_one() {
    let bench = TestBench::new().await;
    let deal = bench.record_id("Deals", 0);
    let three = json!({"Lead_Source": "Advertisement", "Type": "New Business", "Languages_Known": ["English"]});
    let response = bench
        .update(
            "Deals",
            json!({"data": [three], "over_write": true, "ids": [deal]}),
        )
        .await;
    assert_eq!(response.status, 200);
    let four =
        json!({"Stage": "Closed Won", "Type": "New Business", "Amount": 1, "Next_Step": "x"});
    for (module, data) in [
        ("Deals", four),
        ("Leads", json!({"City": "a", "Street": "b"})),
    ] {
        let response = bench
            .update(module, json!({"data": [data], "ids": [deal]}))
            .await;
        assert_eq!(
            response.first(),
            (400, "INVALID_DATA", "Max field limit exceeded")
        );
    }
    let response = bench
        .update(
            "Deals",
            json!({"data": [{"Pipeline": "Renewals", "Stage": "Qualification"}], "ids": [deal]}),
        )
        .await;
    assert_eq!(response.first().1, "MAPPING_MISMATCH");
}

#[tokio::test]
async fn invalid_fields_are_rejected() {
    let bench = TestBench::new().await;
    let never = "This field cannot be updated in the Mass Update";
    for (data, status, message) in [
        (json!([]), 400, "No field found"),
        (json!([{}]), 400, "No field found"),
        (json!([{"Email": "a@example.com"}]), 400, never),
        (json!([{"First_Name": "A"}]), 400, never),
        (json!([{"Owner": {"id": "1"}}]), 400, never),
        (json!([{"Description": "A"}]), 400, never),
        (json!([{"lead_source": "Webinar"}]), 400, never),
        (json!([{"Credit_Limit": 1}]), 400, "Field is not visible"),
        (
            json!([{"Salutation": "Dr."}]),
            400,
            "Field cannot be updated as it is associated with a layout rule",
        ),
        (
            json!([{"Fax": "1"}]),
            400,
            "Field cannot be updated as it is associated with a validation rule",
        ),
        (
            json!([{"Lead_Source": "Houston"}]),
            400,
            "picklist not found in record layout",
        ),
        (json!([{"City": 7}]), 400, "invalid data"),
    ] {
        let response = bench
            .update("Leads", json!({"data": data, "ids": [LEAD]}))
            .await;
        assert_eq!(
            response.first(),
            (status, "INVALID_DATA", message),
            "{data}"
        );
    }
    let response = bench
        .update("Leads", json!({"data": [{"Lead_Score": 7}], "ids": [LEAD]}))
        .await;
    assert_eq!(response.code(), (403, "NO_PERMISSION"));
    assert_eq!(response.json["message"], "Field Edit Permission not given");
    let layout =
        json!({"data": [{"Layout": {"id": crate::org::seed_data::LAYOUT_ID}}], "ids": [LEAD]});
    assert_eq!(bench.update("Leads", layout.clone()).await.status, 200);
    bench
        .faults(json!({"layout_updatable": false, "hidden_field_status": 200, "errors_as_object": true, "null_values": "refuse"}))
        .await;
    let response = bench.update("Leads", layout).await;
    assert_eq!(
        (response.status, &response.json["data"]["message"]),
        (400, &json!(never))
    );
    let response = bench
        .update(
            "Leads",
            json!({"data": [{"Credit_Limit": 1}], "ids": [LEAD]}),
        )
        .await;
    assert_eq!(
        (response.status, &response.json["data"]["code"]),
        (200, &json!("INVALID_DATA"))
    );
    let response = bench
        .update("Leads", json!({"data": [{"City": null}], "ids": [LEAD]}))
        .await;
    assert_eq!(response.status, 400);
}

#[tokio::test]
async fn invalid_selectors_are_rejected() {
    let bench = TestBench::new().await;
    let response = bench
        .update("Leads", json!({"data": [{"City": "Bonn"}]}))
        .await;
    assert_eq!(
        (response.status, response.json),
        (
            400,
            json!({"data": [{"code": "MANDATORY_NOT_FOUND", "details": {}, "message": "required field not found", "status": "error"}]})
        )
    );
    let view = bench.view("Leads", "all");
    let territory = json!({"id": "5725767000000430409"});
    for (body, code, place) in [
        (
            json!({"ids": [LEAD], "cvid": view}),
            "INVALID_DATA",
            "$.cvid",
        ),
        (
            json!({"ids": [LEAD], "territory": territory}),
            "INVALID_DATA",
            "$.territory",
        ),
        (
            json!({"territory": territory}),
            "MANDATORY_NOT_FOUND",
            "$.cvid",
        ),
        (json!({"ids": LEAD}), "INVALID_DATA", "$.ids"),
        (
            json!({"ids": [5_725_767_000_003_000_064_u64]}),
            "INVALID_DATA",
            "$.ids[0]",
        ),
        (
            json!({"ids": [LEAD], "trigger": []}),
            "INVALID_DATA",
            "$.trigger",
        ),
        (json!({"cvid": 7}), "INVALID_DATA", "$.cvid"),
        (
            json!({"cvid": view, "territory": {"include_child": true}}),
            "MANDATORY_NOT_FOUND",
            "$.territory.id",
        ),
        (
            json!({"cvid": view, "territory": {"id": "1"}}),
            "INVALID_DATA",
            "$.territory.id",
        ),
        (
            json!({"cvid": view, "territory": {"id": "1", "include_child": 1}}),
            "INVALID_DATA",
            "$.territory.include_child",
        ),
    ] {
        let mut whole = body.clone();
        whole["data"] = json!([{"City": "Bonn"}]);
        let response = bench.update("Leads", whole).await;
        assert_eq!(response.code(), (400, code), "{body}");
        assert_eq!(response.json["details"]["json_path"], place, "{body}");
    }
    let two = json!({"data": [{"City": "a"}, {"City": "b"}], "ids": [LEAD]});
    assert_eq!(bench.update("Leads", two).await.json["details"]["limit"], 1);
    let request = bench
        .authorized("POST", "/crm/v7/Leads/actions/mass_update")
        .body("{\"data\":");
    let response = TestResponse::read(request.send().await.unwrap()).await;
    assert_eq!(response.json["details"]["expected_data_type"], "jsonobject");
}

#[tokio::test]
async fn id_limit_is_500() {
    let bench = TestBench::new().await;
    let ids: Vec<String> = (0..501).map(|n| bench.record_id("Leads", n)).collect();
    let response = bench
        .update(
            "Leads",
            json!({"data": [{"City": "Bonn"}], "ids": ids[..500]}),
        )
        .await;
    assert_eq!(response.json["data"].as_array().unwrap().len(), 500);
    assert_eq!(response.status, 200);
    let response = bench
        .update("Leads", json!({"data": [{"City": "Bonn"}], "ids": ids}))
        .await;
    assert_eq!(response.code(), (400, "INVALID_DATA"));
    assert_eq!(response.json["details"]["limit"], 500);
}

#[tokio::test]
async fn undocumented_behaviour_is_switchable() {
    let bench = TestBench::new().await;
    let twice = json!({"data": [{"City": "Bonn"}], "ids": [LEAD, LEAD]});
    assert_eq!(bench.update("Leads", twice.clone()).await.status, 200);
    bench
        .faults(
            json!({"duplicate_ids": "refuse", "numeric_ids": "accept", "unknown_keys": "ignore"}),
        )
        .await;
    let response = bench.update("Leads", twice).await;
    assert_eq!(
        (response.status, &response.json["data"][1]["code"]),
        (207, &json!("DUPLICATE_DATA"))
    );
    let body =
        json!({"data": [{"City": "Bonn"}], "ids": [5_725_767_000_003_000_064_u64], "trigger": []});
    assert_eq!(bench.update("Leads", body).await.status, 200);
    bench
        .faults(json!({"reset": true, "over_write_known": false}))
        .await;
    let body = json!({"data": [{"City": "Bonn"}], "ids": [LEAD], "over_write": true});
    assert_eq!(
        bench.update("Leads", body).await.code(),
        (400, "INVALID_DATA")
    );
}

#[tokio::test]
async fn unknown_modules_paths_and_methods_are_rejected() {
    let bench = TestBench::new().await;
    let body = json!({"data": [{"City": "Bonn"}], "ids": [LEAD]});
    let response = bench.update("leads", body.clone()).await;
    assert_eq!(
        (response.status, response.json),
        (
            400,
            json!({"code": "INVALID_MODULE", "details": {"resource_path_index": 0}, "message": "the module name given seems to be invalid", "status": "error"})
        )
    );
    assert_eq!(
        bench.update("Notes", body.clone()).await.code(),
        (400, "NOT_SUPPORTED")
    );
    let response = bench
        .post("/crm/v7/Leads/actions/mass_updates", &body)
        .await;
    assert_eq!(
        (response.status, response.json),
        (
            404,
            json!({"code": "INVALID_URL_PATTERN", "details": {}, "message": "Please check if the URL trying to access is a correct one", "status": "error"})
        )
    );
    let response = bench.authorized("DELETE", "/crm/v7/Leads/actions/mass_update");
    let response = TestResponse::read(response.send().await.unwrap()).await;
    assert_eq!(response.code(), (400, "INVALID_REQUEST_METHOD"));
}

#[tokio::test]
async fn missing_header_scope_or_api_access_is_rejected() {
    let bench = TestBench::new().await;
    for header in [None, Some(format!("Bearer {}", bench.token))] {
        let mut request = bench.request("POST", "/crm/v7/Leads/actions/mass_update");
        if let Some(header) = header {
            request = request.header("authorization", header);
        }
        let response = TestResponse::read(request.body("{}").send().await.unwrap()).await;
        assert_eq!(
            (response.status, response.json),
            (
                401,
                json!({"code": "AUTHENTICATION_FAILURE", "details": {}, "message": "Authentication failed", "status": "error"})
            )
        );
    }
    let body =
        json!({"data": [{"Plan": "Business"}], "ids": [bench.record_id("Subscriptions", 0)]});
    bench
        .faults(json!({"scopes": "ZohoCRM.mass_update.leads.UPDATE"}))
        .await;
    let response = bench.update("Subscriptions", body.clone()).await;
    assert_eq!(response.code(), (401, "OAUTH_SCOPE_MISMATCH"));
    bench
        .faults(json!({"scopes": "ZohoCRM.mass_update.custom.UPDATE"}))
        .await;
    assert_eq!(
        bench.update("Subscriptions", body.clone()).await.status,
        200
    );
    assert_eq!(
        bench
            .get("/crm/v7/Subscriptions/actions/mass_update?job_id=1")
            .await
            .status,
        401
    );
    bench.faults(json!({"no_api_access": true})).await;
    let response = bench.update("Subscriptions", body).await;
    assert_eq!(
        (response.status, response.json),
        (
            403,
            json!({"code": "NO_PERMISSION", "details": {"permissions": ["Crm_Implied_Api_Access"]}, "message": "permission denied", "status": "error"})
        )
    );
}
