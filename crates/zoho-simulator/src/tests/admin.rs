//! `/_sim/*`, the announcement and the standard headers.

use serde_json::json;

use super::harness::{LEAD, TestBench, TestResponse};
use crate::{Settings, Simulator};

#[tokio::test]
async fn announcement_matches_url_and_stop_closes_port() {
    let bench = TestBench::new().await;
    let announcement = bench.simulator.announcement();
    assert_eq!(announcement["url"], bench.simulator.url());
    assert_eq!(
        announcement["credentials"]["accounts_url"],
        announcement["url"]
    );
    assert_eq!(
        announcement["world"]["modules"]["Leads"]["first_record_id"],
        LEAD
    );
    assert_eq!(announcement["world"]["modules"]["Leads"]["records"], 2000);
    let url = bench.simulator.url().to_owned();
    bench.simulator.stop().await;
    assert!(bench.http.get(url).send().await.is_err());
}

#[tokio::test]
async fn unknown_module_in_settings_is_rejected() {
    let settings = Settings {
        records: std::collections::BTreeMap::from([("Nothing".to_owned(), 1)]),
        ..Settings::default()
    };
    let error = Simulator::start(settings).await.unwrap_err();
    assert!(error.to_string().contains("Subscriptions"), "{error}");
}

#[tokio::test]
async fn admin_shows_requests_without_secrets() {
    let bench = TestBench::new().await;
    bench
        .update("Leads", json!({"data": [{"City": "Bonn"}], "ids": [LEAD]}))
        .await;
    let announcement = bench.get("/_sim/requests").await;
    let requests = announcement.json["requests"].as_array().unwrap();
    assert_eq!(requests.len(), 2);
    assert_eq!(requests[0]["kind"], "token");
    assert_eq!(requests[0]["body"]["client_secret"], "***");
    assert_eq!(requests[0]["body"]["grant_type"], "refresh_token");
    assert_eq!(requests[1]["path"], "/crm/v7/Leads/actions/mass_update");
    assert_eq!(
        requests[1]["headers"]["authorization"],
        "Zoho-oauthtoken ***"
    );
    assert_eq!(requests[1]["body"]["ids"][0], LEAD);
    assert!(!announcement.text.contains(&bench.token));
    let stats = bench.get("/_sim/stats").await.json;
    assert_eq!(stats["token"], 1);
    assert_eq!(stats["mass_update_post"], 1);
    assert_eq!(stats["mass_update_get"], 0);
    assert_eq!(stats["max_in_flight"], 1);
    assert_eq!(stats["credits_used"], 1);
    assert_eq!(bench.get("/_sim/nothing").await.status, 404);
    assert_eq!(bench.get("/_sim/records/Leads/1").await.status, 404);
    let moved = bench.post("/_sim/clock", &json!({"advance_s": 600})).await;
    assert_eq!(moved.json["now"], "2026-11-01T12:10:00Z");
    let moved = bench.post("/_sim/clock", &json!({"advance_s": -660})).await;
    assert_eq!(moved.json["now"], "2026-11-01T11:59:00Z");
    let odd = bench.post("/_sim/clock", &json!({"advance_s": 0.5})).await;
    assert_eq!(odd.status, 400);
}

#[tokio::test]
async fn responses_carry_recorded_headers() {
    let bench = TestBench::new().await;
    bench.post("/_sim/clock", &json!({"advance_s": 60})).await;
    let cookies = |got: &TestResponse| -> Vec<String> {
        let all = got.headers.get_all("set-cookie").iter();
        all.map(|cookie| {
            let text = cookie.to_str().unwrap();
            text.split('=').next().unwrap().to_owned()
        })
        .collect()
    };
    let token = bench.request_token().await;
    let crm = bench.get("/crm/v7/org").await;
    let nothing = bench.get("/crm/v7/Leads/1").await;
    for response in [&token, &crm, &nothing] {
        assert_eq!(response.headers["server"], "ZGS");
        assert_eq!(response.headers["date"], "Sun, 01 Nov 2026 12:01:00 GMT");
    }
    assert_eq!(token.headers["x-frame-options"], "SAMEORIGIN");
    assert_eq!(cookies(&token), ["iamcsr", "_zcsr_tmp"]);
    assert_eq!(cookies(&crm), ["crmcsr", "_zcsr_tmp", "JSESSIONID"]);
    assert!(crm.headers.contains_key("clientversion"));
    // The token was issued before the clock advanced.
    let ends: jiff::Timestamp = crm.headers["x-accesstoken-reset"]
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    assert_eq!(ends.to_string(), "2026-11-01T13:00:00Z");
    assert_eq!(
        crm.headers["content-disposition"],
        "attachment; filename=response.json"
    );
    assert_eq!(nothing.status, 204);
    assert!(!nothing.headers.contains_key("content-disposition"));
}
