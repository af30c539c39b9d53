use super::*;
use proptest::prelude::*;
use serde_json::json;

fn raw(status: u16, body: &str) -> RawAnswer<'_> {
    RawAnswer::new(status, body.as_bytes())
}

fn ids(ids: &[u64]) -> Vec<RecordId> {
    ids.iter()
        .map(|id| id.to_string().parse().expect("an id"))
        .collect()
}

const BOTH: &str = r#"{"data":[
    {"code":"SUCCESS","details":{"id":"11"},"message":"record updated","status":"success"},
    {"code":"INVALID_DATA","details":{"id":"12"},"message":"the id given seems to be invalid","status":"error"}]}"#;

#[test]
fn mixed_answer_is_judged_alike_for_every_status() {
    for status in [200, 207, 400] {
        let Ok(UpdateAnswer::Settled(failures)) = mass_update(&raw(status, BOTH), &ids(&[11, 12]))
        else {
            panic!("{status}")
        };
        assert_eq!(failures.len(), 1);
        assert_eq!(
            (
                failures[0].id.to_string().as_str(),
                failures[0].code.as_str()
            ),
            ("12", "INVALID_DATA")
        );
    }
}

/// A repeated key makes an answer unusual without changing what it says.
#[test]
fn usual_answer_is_judged_like_unusual_one() {
    let unusual = BOTH.replacen(r#""code""#, r#""code":"","code""#, 1);
    let judged = |body: &str| mass_update(&raw(200, body), &ids(&[11, 12]));
    assert_eq!(judged(BOTH).ok(), judged(&unusual).ok());
    assert!(judged(&unusual).is_ok());
}

#[test]
fn field_refusal_applies_to_record_in_its_place() {
    let field = r#"{"code":"INVALID_DATA","details":{"api_name":"City","json_path":"$.data[0].City"},"message":"invalid data","status":"error"}"#;
    let alone = format!(r#"{{"data":[{field}]}}"#);
    let Ok(UpdateAnswer::Settled(failures)) = record_update(&raw(400, &alone), &ids(&[11])) else {
        panic!("a failure of the record")
    };
    assert_eq!(failures[0].id.to_string(), "11");
    // The same entry refuses a mass update as a whole.
    assert!(matches!(
        mass_update(&raw(400, &alone), &ids(&[11])),
        Err(Error::Refused(_))
    ));
    let both = format!(
        r#"{{"data":[{field},{{"code":"SUCCESS","details":{{"id":"12"}},"message":"record updated","status":"success"}}]}}"#
    );
    for status in [200, 207] {
        let Ok(UpdateAnswer::Settled(failures)) =
            record_update(&raw(status, &both), &ids(&[11, 12]))
        else {
            panic!("{status}")
        };
        assert_eq!(
            failures
                .iter()
                .map(|failure| failure.id.to_string())
                .collect::<Vec<_>>(),
            ["11"]
        );
    }
    let denied =
        r#"{"code":"OAUTH_SCOPE_MISMATCH","details":{},"message":"Unauthorized","status":"error"}"#;
    assert!(matches!(
        record_update(&raw(401, denied), &ids(&[11])),
        Err(Error::Denied(_))
    ));
    let busy =
        r#"{"data":[{"code":"TOO_MANY_REQUESTS","details":{},"message":"","status":"error"}]}"#;
    assert!(matches!(
        record_update(&raw(429, busy), &ids(&[11])),
        Err(Error::RetryLater(..))
    ));
}

#[test]
fn read_returns_document_null_or_error() {
    let of = |status, body| document(&raw(status, body), "fields");
    assert!(of(200, r#"{"fields":[]}"#).is_ok_and(|found| found["fields"].is_array()));
    assert_eq!(of(204, ""), Ok(Value::Null));
    let scope =
        r#"{"code":"OAUTH_SCOPE_MISMATCH","details":{},"message":"Unauthorized","status":"error"}"#;
    for status in [401, 200] {
        assert!(matches!(of(status, scope), Err(Error::Denied(_))));
    }
    assert!(matches!(
        of(200, "<p>welcome</p>"),
        Err(Error::RetryLater(..))
    ));
    assert!(matches!(
        of(200, r#"{"modules":[]}"#),
        Err(Error::RetryLater(..))
    ));
    assert!(matches!(of(429, ""), Err(Error::RetryLater(..))));
}

#[test]
fn refusal_with_202_is_read_in_every_envelope() {
    let error = r#"{"code":"ALREADY_SCHEDULED","details":{"api_name":"cvid"},"message":"running","status":"error"}"#;
    for body in [
        error.to_owned(),
        format!(r#"{{"data":[{error}]}}"#),
        format!(r#"{{"data":{error}}}"#),
    ] {
        for status in [202, 400] {
            let answer = mass_update(&raw(status, &body), &[]);
            assert!(
                matches!(answer, Err(Error::RetryLater(_, wait)) if wait.as_secs() == 30),
                "{status} {body}: {answer:?}"
            );
        }
    }
}

#[test]
fn invalid_id_of_view_call_is_view_or_territory() {
    let (cvid, territory) = ("554023000000091515", "554023000000430409");
    let cause = |details: Value, territory| {
        let body = serde_json::json!({"data": [{"code": "INVALID_DATA", "details": details,
            "message": "The id given seems to be invalid", "status": "error"}]});
        let body = body.to_string();
        let selection = ViewSelection {
            cvid,
            territory,
            owner: None,
        };
        let error = view_update(&raw(400, &body), selection).expect_err("refused");
        error.refusal().cause()
    };
    for (details, territory, expected) in [
        (serde_json::json!({}), None, Cause::ViewUnknown),
        (serde_json::json!({"id": cvid}), None, Cause::ViewUnknown),
        (
            serde_json::json!({"id": cvid}),
            Some(territory),
            Cause::ViewUnknown,
        ),
        (
            serde_json::json!({"id": territory}),
            Some(territory),
            Cause::TerritoryUnknown,
        ),
        (
            serde_json::json!({}),
            Some(territory),
            Cause::SelectionUnknown,
        ),
        (
            serde_json::json!({"api_name": "id", "json_path": "$.territory.id"}),
            Some(territory),
            Cause::TerritoryUnknown,
        ),
    ] {
        assert_eq!(
            cause(details.clone(), territory),
            Some(expected),
            "{details}"
        );
    }
}

#[test]
fn zoho_job_id_is_read_in_both_envelopes() {
    let entry = r#"{"code":"SUCCESS","details":{"job_id":"554023000000506003"},"message":"ok","status":"success"}"#;
    for body in [
        format!(r#"{{"data":[{entry}]}}"#),
        format!(r#"{{"data":{entry}}}"#),
    ] {
        assert_eq!(
            mass_update(&raw(200, &body), &[]),
            Ok(UpdateAnswer::Accepted {
                zoho_job_id: "554023000000506003".to_owned()
            })
        );
    }
}

#[test]
fn refusal_of_whole_call_fails_no_record() {
    let body = r#"{"data":[{"code":"INVALID_DATA","details":{"api_name":"Pipeline","id":"99"},
        "message":"picklist not found in record layout","status":"error"}]}"#;
    for ids in [ids(&[11]), ids(&[11, 12, 13])] {
        let answer = mass_update(&raw(400, body), &ids);
        assert!(
            matches!(&answer, Err(Error::Refused(why)) if why.message.contains("`Pipeline`")),
            "{answer:?}"
        );
    }
}

#[test]
fn list_of_details_names_no_record() {
    let answer = |details: &str| {
        let entry =
            format!(r#"{{"code":"SUCCESS","details":{details},"message":"","status":"success"}}"#);
        let body = format!(r#"{{"data":[{entry}]}}"#);
        format!("{:?}", mass_update(&raw(200, &body), &ids(&[11, 12])))
    };
    assert_eq!(answer(r#"["11"]"#), answer("{}"));
    assert_ne!(answer(r#"{"id":"11"}"#), answer("{}"));
}

#[test]
fn unmentioned_record_counts_as_failed() {
    let body = r#"{"data":[{"code":"SUCCESS","details":{"id":"12"},"message":"record updated","status":"success"}]}"#;
    let Ok(UpdateAnswer::Settled(failures)) = mass_update(&raw(200, body), &ids(&[11, 12, 13]))
    else {
        panic!("settled")
    };
    let silent: Vec<_> = failures
        .iter()
        .map(|failure| (failure.id.to_string(), failure.code.as_str()))
        .collect();
    assert_eq!(
        silent,
        [
            ("11".to_owned(), "NOT_ANSWERED"),
            ("13".to_owned(), "NOT_ANSWERED")
        ]
    );
}

#[test]
fn answer_without_json_is_judged_by_status() {
    let page = "<html><body><h1>502 Bad Gateway</h1></body></html>";
    let of = |status, body| mass_update(&raw(status, body), &ids(&[11]));
    assert!(matches!(of(502, page), Err(Error::RetryLater(..))));
    assert!(matches!(of(200, page), Err(Error::RetryLater(..))));
    assert!(matches!(of(204, ""), Err(Error::RetryLater(..))));
    assert!(matches!(of(429, ""), Err(Error::RetryLater(..))));
    assert!(matches!(of(401, page), Err(Error::Reauthenticate(_))));
    assert!(matches!(of(301, page), Err(Error::Denied(_))));
    assert!(matches!(of(403, page), Err(Error::Refused(_))));
}

#[test]
fn retry_after_is_read_from_body_and_header() {
    let body = r#"{"code":"TOO_MANY_REQUESTS","message":"Rate limit exceeded.","status":"error","details":{"retry_after":60}}"#;
    let answer = mass_update(&raw(429, body), &ids(&[11]));
    assert!(matches!(answer, Err(Error::RetryLater(_, wait)) if wait == Duration::from_secs(60)));
    let header = RawAnswer {
        retry_after: Some(Duration::from_secs(7)),
        ..raw(429, "")
    };
    assert!(
        matches!(mass_update(&header, &ids(&[11])), Err(Error::RetryLater(_, wait)) if wait.as_secs() == 7)
    );
}

#[test]
fn zoho_job_ends_only_with_a_known_end_status() {
    let body = |status: &str| {
        format!(
            r#"{{"data":[{{"Status":"{status}","Failed_Count":1,"Updated_Count":30,"Not_Updated_Count":19,"Total_Count":50}}]}}"#
        )
    };
    let counts = Progress {
        total: 50,
        updated: 30,
        not_updated: 19,
        failed: 1,
    };
    for running in ["SCHEDULED", "QUEUED", "RUNNING", "SUSPENDED", "in progress"] {
        assert_eq!(
            job_status(&raw(200, &body(running)), "9"),
            Ok(ZohoJobStatus::Running(counts)),
            "{running}"
        );
    }
    assert_eq!(
        job_status(&raw(200, &body("completed")), "9"),
        Ok(ZohoJobStatus::Ended {
            counts,
            completed: true
        })
    );
    assert_eq!(
        job_status(&raw(200, &body("FAILED")), "9"),
        Ok(ZohoJobStatus::Ended {
            counts,
            completed: false
        })
    );
}

#[test]
fn unknown_zoho_job_is_recognized_in_every_form() {
    let new = r#"{"code":"INVALID_DATA","details":{"param_name":"job_id"},"message":"The jobid given seems to be invalid","status":"error"}"#;
    let old = r#"{"code":"NOT_FOUND","details":{},"message":"","status":"error"}"#;
    for (status, body) in [(204, ""), (404, ""), (404, old)] {
        assert_eq!(
            job_status(&raw(status, body), "9"),
            Ok(ZohoJobStatus::Unknown),
            "{status} {body}"
        );
    }
    // A top-level error.
    assert_eq!(job_status(&raw(400, new), "9"), Ok(ZohoJobStatus::Unknown));
}

proptest! {
    #[test]
    fn any_answer_updates_only_records_it_confirms(
        status in 100_u16..600,
        entries in prop::collection::vec((
            "SUCCESS|INVALID_DATA|ALREADY_SCHEDULED|INTERNAL_ERROR|[A-Z_]{0,9}",
            "success|error|[a-z]{0,3}",
            "11|12|13|[0-9]{0,20}",
        ), 0..4),
        envelope in 0..4_u8,
    ) {
        let list: Vec<Value> = entries
            .iter()
            .map(|(code, status, id)| serde_json::json!({
                "code": code, "status": status, "message": "", "details": {"id": id, "job_id": id},
            }))
            .collect();
        let body = match (envelope, list.first()) {
            (0, _) => serde_json::json!({"data": list}),
            (1, Some(entry)) => serde_json::json!({"data": entry}),
            (2, Some(entry)) => entry.clone(),
            _ => serde_json::json!({"data": "?"}),
        };
        let body = body.to_string();
        let ids = ids(&[11, 12]);
        if let Ok(UpdateAnswer::Settled(failures)) = mass_update(&raw(status, &body), &ids) {
            let failed: Vec<String> = failures.iter().map(|failure| failure.id.to_string()).collect();
            for id in ["11", "12"] {
                let updated = entries.iter().any(|(code, status, named)| {
                    let success = status == "success" || (status.is_empty() && code == "SUCCESS");
                    success && (named == id || named.is_empty() && entries.len() == 2)
                });
                prop_assert!(updated || failed.iter().any(|failed| failed == id), "{} in {}", id, body);
            }
        }
        let _ = job_status(&raw(status, &body), "9");
    }
}

#[test]
fn upsert_entries_are_outcomes_of_their_rows() {
    let entry = |action: &str, field: Value, id: &str| json!({"code": "SUCCESS", "status": "success", "message": "record added", "action": action, "duplicate_field": field, "details": {"id": id}});
    let refused = json!({"code": "MANDATORY_NOT_FOUND", "status": "error", "message": "required field not found", "details": {"api_name": "Last_Name"}});
    let judge = |status: u16, body: &Value, count: usize| {
        let body = body.to_string();
        upsert(&RawAnswer::new(status, body.as_bytes()), count, "Email")
    };
    let id = |text: &str| text.parse().expect("an id");
    let whole = json!({"data": [
        entry("insert", Value::Null, "7"), entry("update", json!("Email"), "8"),
        entry("update", json!("Phone"), "9"), refused, entry("insert", json!("Email"), "x"),
    ]});
    let Ok(UpdateAnswer::Upserted(rows)) = judge(207, &whole, 5) else {
        panic!("rows")
    };
    let updated = |text, found_by| NewRecordOutcome::Updated {
        id: id(text),
        found_by,
    };
    assert_eq!(rows[0], NewRecordOutcome::Created { id: id("7") });
    assert_eq!(rows[1], updated("8", None));
    assert_eq!(rows[2], updated("9", "Phone".parse().ok()));
    assert_eq!(rows[3].code(), Some("MANDATORY_NOT_FOUND"));
    assert_eq!(
        rows[4].code(),
        Some("NOT_ANSWERED"),
        "an entry without an id"
    );
    // One refusal of one row, and one of the whole call.
    let one = json!({"data": [refused]});
    assert!(matches!(judge(400, &one, 1), Ok(UpdateAnswer::Upserted(rows)) if rows.len() == 1));
    assert!(matches!(judge(400, &one, 2), Err(Error::Refused(_))));
    assert!(matches!(judge(400, &refused, 1), Err(Error::Refused(_))));
    // Not as many entries as rows, nothing to read, and a server error show nothing for certain.
    let two =
        json!({"data": [entry("insert", Value::Null, "7"), entry("insert", Value::Null, "8")]});
    for (status, body, count) in [
        (200, &two, 3),
        (200, &json!({}), 1),
        (502, &json!({}), 1),
        (200, &json!({"data": []}), 1),
    ] {
        let judged = judge(status, body, count);
        assert!(
            matches!(judged, Err(Error::RetryLater(..))),
            "{status} {body}: {judged:?}"
        );
    }
}
