//! Looking records up: search and queries.

use serde_json::json;

use super::{Bench, LEAD};

async fn coql(bench: &Bench, query: &str) -> super::Got {
    bench
        .post("/crm/v7/coql", &json!({"select_query": query}))
        .await
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
    bench.faults(json!({"coql_values": 50})).await;
    let query = format!(
        "select id from Leads where id in ({})",
        values[..51].join(",")
    );
    assert_eq!(
        coql(&bench, &query).await.json["details"],
        json!({"by": "in", "limit": 50})
    );
    bench.faults(json!({"reset": true})).await;
    assert_eq!(coql(&bench, &query).await.status, 204);
    for (query, code) in [
        (
            "select id from Leads where id is not null limit 0".to_owned(),
            "INVALID_DATA",
        ),
        (
            "select id, id from Leads where id is not null".to_owned(),
            "DUPLICATE_DATA",
        ),
        (
            "select id from Leads where Description = 'x'".to_owned(),
            "INVALID_QUERY",
        ),
        (
            "select id from Leads where Email > 'x'".to_owned(),
            "INVALID_QUERY",
        ),
        (
            "select id from Leads where id is not null limit 1 offset 100001".to_owned(),
            "LIMIT_EXCEEDED",
        ),
        (
            "select id from Leads where Email = nobody".to_owned(),
            "SYNTAX_ERROR",
        ),
        (
            "select id from Leads#1 where id is not null".to_owned(),
            "INVALID_DATA",
        ),
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
async fn a_query_takes_any_condition() {
    let bench = Bench::new().await;
    let count = async |condition: &str| {
        let query = format!("select COUNT(id) from Leads where {condition}");
        let answer = coql(&bench, &query).await;
        assert_eq!(answer.status, 200, "{condition}: {}", answer.text);
        answer.json["data"][0]["COUNT(id)"].as_u64().unwrap()
    };
    let second = bench.nth("Leads", 1);
    for (condition, wanted) in [
        ("Converted__s = 'true'".to_owned(), 1),
        ("Converted__s = false".to_owned(), 1999),
        ("Email = 'LEAD1@example.com'".to_owned(), 1),
        ("Email = 'team@example.com'".to_owned(), 3),
        ("Email like 'lead1%@example.com'".to_owned(), 0),
        ("Email like 'lead199%'".to_owned(), 11),
        ("Email not in ('lead1@example.com', 'lead2@example.com')".to_owned(), 1998),
        ("Email != 'lead1@example.com'".to_owned(), 1999),
        ("Secondary_Email is not null".to_owned(), 1),
        (format!("id <= '{second}'"), 2),
        (format!("id between '{LEAD}' and '{second}'"), 2),
        ("Email = 'lead1@example.com' or Email = 'lead2@example.com'".to_owned(), 2),
        (
            "((Email = 'lead1@example.com') or (Email = 'lead2@example.com')) and (No_of_Employees > 0)".to_owned(),
            1,
        ),
        ("Topics = 'CRM'".to_owned(), 2000),
        ("Annual_Revenue < 100".to_owned(), 2),
        // What an address with a quote does to a query that is glued together.
        ("Email = 'x' or id is not null or Email = ''".to_owned(), 2000),
    ] {
        assert_eq!(count(&condition).await, wanted, "{condition}");
    }
    let answer = coql(
        &bench,
        "select id, Owner from Leads where id is not null order by id desc limit 2",
    )
    .await;
    assert_eq!(answer.json["data"][0]["id"], bench.nth("Leads", 1999));
    assert_eq!(answer.json["data"][0]["Owner"]["name"], "Patricia Boyle");
}

#[tokio::test]
async fn a_query_that_cannot_be_read_says_where() {
    let bench = Bench::new().await;
    for (query, details) in [
        ("select id from Leads", json!({"clause": "where"})),
        (
            "select id from Leads where Email = 'it's'",
            json!({"line": 1, "column": 41, "near": "'"}),
        ),
        (
            "select id from Leads where Email ~ 'x'",
            json!({"operator": "~", "column_name": "Email"}),
        ),
        (
            "select id from Leads where (id is null",
            json!({"line": 1, "column": 39, "near": "end of query"}),
        ),
    ] {
        let answer = coql(&bench, query).await;
        assert_eq!(answer.code(), (400, "SYNTAX_ERROR"), "{query}");
        assert_eq!(answer.json["details"], details, "{query}");
    }
}

#[tokio::test]
async fn search_takes_criteria_and_shows_what_is_asked() {
    let bench = Bench::new().await;
    let search = async |parameters: &[(&str, &str)]| {
        let query = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(parameters)
            .finish();
        bench.get(&format!("/crm/v7/Leads/search?{query}")).await
    };
    for (criteria, found) in [
        // Not exact: another lead's address contains this one.
        ("(Email:equals:lead1@example.com)", 2),
        ("(Email:in:lead1@example.com,lead2@example.com)", 2),
        ("((Email:starts_with:lead19)and(Rating:equals:Active))", 19),
        ("((Email:equals:o'brien)or(Email:equals:p+boyle))", 2),
        ("(Street:equals:a \\(b\\, c\\))", 0),
    ] {
        let answer = search(&[("criteria", criteria)]).await;
        let count = answer.json["info"]["count"].as_u64().unwrap_or_default();
        assert_eq!(count, found, "{criteria}: {}", answer.status);
    }
    let eleven = format!("({})", ["(City:equals:x)"; 11].join("or"));
    for wrong in [
        "(Email:resembles:x)",
        "(Nothing:equals:x)",
        "(Email:equals:x",
        "(Email:equals:x))",
        "(Email:equals:a,b)",
        "(Email:equals)",
        eleven.as_str(),
    ] {
        let answer = search(&[("criteria", wrong)]).await;
        assert_eq!(answer.code(), (400, "INVALID_QUERY"), "{wrong}");
    }
    let answer = search(&[("email", "second@example.com"), ("fields", "Email,Rating")]).await;
    let record = answer.json["data"][0].as_object().unwrap();
    assert_eq!(record.keys().collect::<Vec<_>>(), ["id", "Email", "Rating"]);
    let hidden = [("email", "lead2000@example.com")];
    assert_eq!(search(&hidden).await.status, 204);
    let shown = [hidden[0], ("converted", "both")];
    assert_eq!(search(&shown).await.status, 200);
    let answer = search(&[("word", "lead"), ("page", "11")]).await;
    assert_eq!(answer.code(), (400, "LIMIT_REACHED"));
}

#[tokio::test]
async fn records_are_counted() {
    let bench = Bench::new().await;
    let count = async |query: &str| {
        let answer = bench
            .get(&format!("/crm/v7/Leads/actions/count{query}"))
            .await;
        answer.json["count"].clone()
    };
    let some = bench.view("Leads", "some");
    assert_eq!(count("").await, 2000);
    assert_eq!(count("?email=team@example.com").await, 3);
    assert_eq!(
        count(&format!("?cvid={some}")).await,
        bench.world()["views"]["Leads"]["some"]["records"]
    );
}
