//! `GET {module}`, `GET {module}/{id}` and `PUT {module}/{id}`.

use serde_json::{Value, json};

use super::harness::{LEAD, TestBench, TestResponse};

async fn put_one(bench: &TestBench, path: &str, body: Value) -> TestResponse {
    let request = bench.authorized("PUT", path).body(body.to_string());
    TestResponse::read(request.send().await.unwrap()).await
}

async fn since(bench: &TestBench, path: &str, time: &str) -> TestResponse {
    let request = bench.authorized("GET", path);
    let request = request.header("if-modified-since", time);
    TestResponse::read(request.send().await.unwrap()).await
}

#[tokio::test]
async fn list_is_paged_to_its_end_by_tokens() {
    let bench = TestBench::new().await;
    let first = "/crm/v7/Leads?fields=Last_Name,Email&converted=both";
    let mut path = first.to_owned();
    let mut ids = Vec::new();
    loop {
        let response = bench.get(&path).await;
        assert_eq!(response.status, 200, "{path}");
        let data = response.json["data"].as_array().unwrap();
        let info = &response.json["info"];
        assert_eq!(info["count"], data.len());
        ids.extend(
            data.iter()
                .map(|record| record["id"].as_str().unwrap().to_owned()),
        );
        assert_eq!(data[0].as_object().unwrap().len(), 3, "{}", data[0]);
        if info["more_records"] == false {
            assert_eq!(info["next_page_token"], Value::Null);
            break;
        }
        path = format!(
            "{first}&page_token={}",
            info["next_page_token"].as_str().unwrap()
        );
    }
    // The default order is by id, descending.
    let expected: Vec<String> = (0..2000)
        .rev()
        .map(|at| bench.record_id("Leads", at))
        .collect();
    assert_eq!(ids, expected);
}

#[tokio::test]
async fn list_is_sorted_filtered_and_selected() {
    let bench = TestBench::new().await;
    bench.advance(60);
    let second = bench.record_id("Leads", 1);
    let body = json!({"data": [{"City": "Bonn"}], "ids": [second]});
    bench.update("Leads", body).await;
    let ids = async |query: &str| {
        let response = bench.get(&format!("/crm/v7/Leads?fields=id&{query}")).await;
        let data = response.json["data"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let ids: Vec<String> = data
            .iter()
            .map(|record| record["id"].as_str().unwrap().to_owned())
            .collect();
        (response.status, ids)
    };
    let latest = ids("sort_by=Modified_Time&per_page=1").await;
    assert_eq!(latest, (200, vec![second.clone()]));
    let lowest = ids("sort_by=id&sort_order=asc&per_page=2&page=2").await;
    assert_eq!(
        lowest.1,
        [bench.record_id("Leads", 2), bench.record_id("Leads", 3)]
    );
    assert_eq!(ids(&format!("ids={second},7")).await.1[..], [&*second]);
    assert_eq!(
        ids("converted=true").await.1,
        [bench.record_id("Leads", 1999)]
    );
    let some = bench.view("Leads", "some");
    let count = bench.world()["views"]["Leads"]["some"]["records"]
        .as_u64()
        .unwrap();
    assert_eq!(ids(&format!("cvid={some}")).await.1.len() as u64, count);
    let empty = bench.view("Leads", "empty");
    assert_eq!(ids(&format!("cvid={empty}")).await, (204, Vec::new()));
    assert_eq!(ids("page=11").await.0, 400);
    assert_eq!(ids("per_page=100&ids=7").await.0, 204);
}

#[tokio::test]
async fn invalid_list_parameters_are_rejected() {
    let bench = TestBench::new().await;
    let first = bench.get("/crm/v7/Leads?fields=id&per_page=5").await;
    let token = first.json["info"]["next_page_token"].as_str().unwrap();
    let many = vec!["City"; 51].join(",");
    for (query, code) in [
        ("".to_owned(), "REQUIRED_PARAM_MISSING"),
        (format!("fields={many}"), "LIMIT_EXCEEDED"),
        ("fields=id&per_page=201".to_owned(), "INVALID_DATA"),
        ("fields=id&page=0".to_owned(), "INVALID_DATA"),
        ("fields=id&sort_by=City".to_owned(), "INVALID_DATA"),
        ("fields=id&sort_order=up".to_owned(), "INVALID_DATA"),
        (
            "fields=id&page=11".to_owned(),
            "DISCRETE_PAGINATION_LIMIT_EXCEEDED",
        ),
        (
            "fields=id&cvid=1&sort_by=id".to_owned(),
            "AMBIGUITY_DURING_PROCESSING",
        ),
        (
            format!("fields=id&per_page=5&page=2&page_token={token}"),
            "AMBIGUITY_DURING_PROCESSING",
        ),
        (
            format!("fields=City&per_page=5&page_token={token}"),
            "TOKEN_BOUND_DATA_MISMATCH",
        ),
        ("fields=id&page_token=x".to_owned(), "INVALID_DATA"),
        ("fields=id&territory_id=1".to_owned(), "INVALID_MODULE"),
    ] {
        let response = bench.get(&format!("/crm/v7/Leads?{query}")).await;
        assert_eq!(response.code(), (400, code), "{query}");
    }
    bench.advance(24 * 3600);
    let token = token.to_owned();
    let fresh = TestBench {
        token: bench.request_token().await.json["access_token"]
            .as_str()
            .unwrap()
            .to_owned(),
        ..bench
    };
    let response = fresh
        .get(&format!(
            "/crm/v7/Leads?fields=id&per_page=5&page_token={token}"
        ))
        .await;
    assert_eq!(response.code(), (400, "EXPIRED_VALUE"));
}

#[tokio::test]
async fn unmodified_records_are_304() {
    let bench = TestBench::new().await;
    bench.advance(60);
    let body = json!({"data": [{"City": "Bonn"}], "ids": [LEAD]});
    bench.update("Leads", body).await;
    let list = "/crm/v7/Leads?fields=City";
    let response = since(&bench, list, "2026-11-01T17:30:30+05:30").await;
    assert_eq!(
        (response.status, &response.json["info"]["count"]),
        (200, &json!(1))
    );
    assert_eq!(
        since(&bench, list, "2026-11-01T12:01:00Z").await.status,
        304
    );
    let record = format!("/crm/v7/Leads/{LEAD}");
    assert_eq!(
        since(&bench, &record, "Sun, 01 Nov 2026 12:00:59 GMT")
            .await
            .status,
        200
    );
    assert_eq!(
        since(&bench, &record, "Sun, 01 Nov 2026 12:01:00 GMT")
            .await
            .status,
        304
    );
    assert_eq!(
        since(&bench, list, "yesterday").await.code(),
        (400, "INVALID_DATA")
    );
}

#[tokio::test]
async fn hidden_fields_stay_hidden() {
    let bench = TestBench::new().await;
    for path in [
        format!("/crm/v7/Leads/{LEAD}"),
        format!("/crm/v7/Leads/{LEAD}?fields=City,Credit_Limit"),
        "/crm/v7/Leads?fields=City,Credit_Limit&per_page=1".to_owned(),
        "/crm/v7/Leads/search?email=lead1@example.com".to_owned(),
    ] {
        let record = bench.get(&path).await.json["data"][0].clone();
        assert!(record["City"].is_string(), "{path}: {record}");
        assert_eq!(record.get("Credit_Limit"), None, "{path}");
    }
    let selected = bench
        .get(&format!("/crm/v7/Leads/{LEAD}?fields=City"))
        .await;
    assert_eq!(selected.json["data"][0].as_object().unwrap().len(), 2);
    let criteria = "/crm/v7/Leads/search?criteria=(Credit_Limit:equals:5)";
    assert_eq!(bench.get(criteria).await.code(), (400, "INVALID_QUERY"));
}

#[tokio::test]
async fn put_of_one_record_uses_id_of_path() {
    let bench = TestBench::new().await;
    let path = format!("/crm/v7/Leads/{LEAD}");
    let response = put_one(&bench, &path, json!({"data": [{"City": "Bonn"}]})).await;
    assert_eq!(response.first(), (200, "SUCCESS", "record updated"));
    assert_eq!(bench.record("Leads", LEAD).await["City"], "Bonn");
    let other = put_one(
        &bench,
        "/crm/v7/Leads/7",
        json!({"data": [{"id": LEAD, "City": "Cologne"}]}),
    )
    .await;
    assert_eq!(other.first().1, "INVALID_DATA");
    assert_eq!(bench.record("Leads", LEAD).await["City"], "Bonn");
    let two = json!({"data": [{"City": "Bonn"}, {"City": "Cologne"}]});
    assert_eq!(
        put_one(&bench, &path, two).await.json["details"]["limit"],
        1
    );
}

#[tokio::test]
async fn references_are_stored_in_their_canonical_form() {
    let bench = TestBench::new().await;
    let contact = bench.record_id("Contacts", 0);
    let account = bench.record_id("Accounts", 3);
    let layout = bench.record("Contacts", &contact).await["Layout"].clone();
    let id = layout["id"].as_str().unwrap().to_owned();
    let update = json!({"data": [{"Layout": {"id": id, "name": "Mine"}}], "ids": [contact]});
    assert_eq!(bench.update("Contacts", update).await.first().1, "SUCCESS");
    assert_eq!(bench.record("Contacts", &contact).await["Layout"], layout);
    let path = format!("/crm/v7/Contacts/{contact}");
    let body = json!({"data": [{"Account_Name": {"id": account}, "Layout": {"id": id}}]});
    assert_eq!(put_one(&bench, &path, body).await.first().1, "SUCCESS");
    let record = bench.get(&path).await.json["data"][0].clone();
    assert_eq!(
        record["Account_Name"],
        json!({"name": "Account Name 4", "id": account})
    );
    assert_eq!(record["Layout"], layout);
    let body = json!({"data": [{"Account_Name": {"id": "7"}}]});
    let response = put_one(&bench, &path, body).await;
    assert_eq!(
        response.first(),
        (400, "INVALID_DATA", "the id given seems to be invalid")
    );
}

#[tokio::test]
async fn responses_are_compressed_on_request() {
    let bench = TestBench::new().await;
    let get = async || {
        let request = bench.authorized("GET", "/crm/v7/org");
        let request = request.header("accept-encoding", "gzip, deflate");
        let response = request.send().await.unwrap();
        let encoding = response.headers().get("content-encoding").cloned();
        (
            encoding.map(|value| value.to_str().unwrap().to_owned()),
            response.bytes().await.unwrap(),
        )
    };
    let (encoding, body) = get().await;
    assert_eq!(encoding.as_deref(), Some("gzip"));
    assert_eq!(body[..2], [0x1f, 0x8b]);
    bench.faults(json!({"gzip": false})).await;
    let (encoding, body) = get().await;
    assert_eq!((encoding, body[0]), (None, b'{'));
}
