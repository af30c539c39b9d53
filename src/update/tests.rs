use super::*;
use proptest::prelude::*;

fn refused(value: &Value) -> Vec<(String, String)> {
    let problems = UpdateRequest::parse(value).expect_err("a refusal");
    problems
        .into_iter()
        .map(|problem| (problem.at.pointer(), problem.message))
        .collect()
}

#[test]
fn reads_every_key() {
    let request = UpdateRequest::parse(&json!({
        "module": "Deals",
        "fields": {"Stage": "Closed Won", "Amount": 12.5},
        "ids": ["554023000000497007", 5540230000004970079_u64, "554023000000497007"],
        "over_write": true,
        "callback_url": "https://ops.example.com/zoho",
        "reference": {"order": 7}
    }))
    .expect("a request");
    assert_eq!(request.module.as_str(), "Deals");
    let fields: Vec<_> = request
        .fields
        .iter()
        .map(|assignment| assignment.field.as_str())
        .collect();
    assert_eq!(fields, ["Stage", "Amount"], "the order given is kept");
    assert_eq!(
        UpdateRequest::parse(&request.to_json()).as_ref(),
        Ok(&request)
    );
    let Selector::Records(Records::Ids(ids)) = request.selector else {
        panic!("ids")
    };
    assert_eq!(
        ids.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["554023000000497007", "5540230000004970079"]
    );
}

#[test]
#[expect(clippy::too_many_lines, reason = "one table of cases")]
fn each_refusal_says_where_and_what_to_do() {
    let cases = [
        (json!([]), "", "must be an object"),
        (
            json!({"module": "Leads", "fields": {"A": 1}}),
            "",
            "add `ids`, `cvid`, `view` or `match`",
        ),
        (
            json!({"module": "Leads", "fields": {"A": 1}, "ids": []}),
            "/ids",
            "is empty",
        ),
        (
            json!({"module": "Leads", "fields": {"A": 1}, "ids": ["1"], "cvid": "2"}),
            "",
            "both `ids` and `cvid`",
        ),
        (
            json!({"module": "Leads", "fields": {"A": 1}, "ids": [1.5]}),
            "/ids/0",
            "never through a float",
        ),
        (
            json!({"module": "Leads", "fields": {"A": 1}, "ids": [5.54023000000497e17]}),
            "/ids/0",
            "never through a float",
        ),
        (
            json!({"module": "Leads", "fields": {"A": 1}, "ids": ["0012"]}),
            "/ids/0",
            "1 to 19 digits",
        ),
        (
            json!({"module": "Leads", "fields": {"A": 1}, "ids": ["55402300000049700712"]}),
            "/ids/0",
            "1 to 19 digits",
        ),
        (
            json!({"module": "leads", "fields": {"A": 1}, "ids": ["1"]}),
            "/module",
            "write `Leads`",
        ),
        (
            json!({"module": "../Leads", "fields": {"A": 1}, "ids": ["1"]}),
            "/module",
            "not an API name",
        ),
        (
            json!({"module": "Leads", "fields": {}, "ids": ["1"]}),
            "/fields",
            "at least one field",
        ),
        (
            json!({"module": "Leads", "fields": {"Email": "a@b"}, "ids": ["1"]}),
            "/fields/Email",
            "e-mail",
        ),
        (
            json!({"module": "Leads", "fields": {"Account_Name": {"id": "1"}}, "ids": ["1"]}),
            "/fields/Account_Name",
            "lookup",
        ),
        (
            json!({"module": "Leads", "fields": {"Items": [{"id": "1"}]}, "ids": ["1"]}),
            "/fields/Items",
            "line items",
        ),
        (
            json!({"module": "Leads", "fields": {"A": 1}, "territory": {"id": "1"}}),
            "",
            "add its `cvid` or `view`",
        ),
        (
            json!({"module": "Leads", "fields": {"A": 1}, "ids": ["1"], "territory": {"id": "1"}}),
            "/territory",
            "only with `cvid` or `view`",
        ),
        (
            json!({"module": "Leads", "fields": {"A": 1}, "ids": ["1"], "overwrite": true}),
            "/overwrite",
            "`over_write`",
        ),
        (
            json!({"module": "Leads", "fields": {"A": 1}, "ids": ["1"], "callback_url": "ftp://x"}),
            "/callback_url",
            "https",
        ),
    ];
    for (value, pointer, message) in cases {
        let found = refused(&value);
        assert!(
            found
                .iter()
                .any(|(at, text)| at == pointer && text.contains(message)),
            "{value} should be refused at `{pointer}` with `{message}`, but was: {found:?}"
        );
    }
}

#[test]
fn fields_are_refused_by_what_sets_them() {
    let ids = json!({"ids": ["1"]});
    let view = json!({"view": "Hot"});
    let of = |selector: &Value, method: UpdateMethod, field: &str, value: Value| {
        let mut request = selector.clone();
        request["module"] = json!("Leads");
        request["fields"] = json!({field: value});
        match UpdateRequest::parse_for(method, &request) {
            Ok(request) => request.effective_method().as_str().to_owned(),
            Err(problems) => problems[0].message.clone(),
        }
    };
    let mut grid = String::new();
    for (field, value) in [
        ("City", json!("Bonn")),
        ("Email", json!("a@example.com")),
        ("Account_Name", json!({"id": "1"})),
        ("Items", json!([{"id": "1", "Quantity": 2}])),
        ("Items", json!([{"Quantity": 2}])),
        ("Owner", json!({"id": "1"})),
        ("Full_Name", json!("A B")),
        ("id", json!("1")),
    ] {
        for (method, word) in UpdateMethod::ALL {
            let found = of(&ids, *method, field, value.clone());
            grid.push_str(&format!("{field} {value} by {word}: {found}\n"));
        }
    }
    for (method, word) in UpdateMethod::ALL {
        for (field, value) in [("City", "Bonn"), ("Email", "a@example.com")] {
            let found = of(&view, *method, field, json!(value));
            grid.push_str(&format!("{field} of a view by {word}: {found}\n"));
        }
    }
    insta::assert_snapshot!(grid, @r#"
    City "Bonn" by mass_update: mass_update
    City "Bonn" by records: records
    City "Bonn" by auto: auto
    Email "a@example.com" by mass_update: `Email` is an e-mail field, and no mass update sets it; write `update_by: records` (or `auto`) in the route, or leave it out
    Email "a@example.com" by records: records
    Email "a@example.com" by auto: auto
    Account_Name {"id":"1"} by mass_update: `Account_Name` has an object as its value, so it is a lookup, and no mass update sets it; write `update_by: records` (or `auto`) in the route, or leave it out
    Account_Name {"id":"1"} by records: records
    Account_Name {"id":"1"} by auto: auto
    Items [{"id":"1","Quantity":2}] by mass_update: `Items` has objects in its list: line items, a subform or a multi-lookup, and no mass update sets it; write `update_by: records` (or `auto`) in the route, or leave it out
    Items [{"id":"1","Quantity":2}] by records: records
    Items [{"id":"1","Quantity":2}] by auto: auto
    Items [{"Quantity":2}] by mass_update: `Items` has objects without an `id` in its list (line items, a subform, a multi-lookup), which would be added once more each time the call is repeated; leave it out
    Items [{"Quantity":2}] by records: `Items` has objects without an `id` in its list (line items, a subform, a multi-lookup), which would be added once more each time the call is repeated; leave it out
    Items [{"Quantity":2}] by auto: `Items` has objects without an `id` in its list (line items, a subform, a multi-lookup), which would be added once more each time the call is repeated; leave it out
    Owner {"id":"1"} by mass_update: `Owner` is the record's owner, which the key `owner` beside `fields` changes; leave it out
    Owner {"id":"1"} by records: `Owner` is the record's owner, which the key `owner` beside `fields` changes; leave it out
    Owner {"id":"1"} by auto: `Owner` is the record's owner, which the key `owner` beside `fields` changes; leave it out
    Full_Name "A B" by mass_update: `Full_Name` is put together by Zoho, of `First_Name` and `Last_Name`; leave it out
    Full_Name "A B" by records: `Full_Name` is put together by Zoho, of `First_Name` and `Last_Name`; leave it out
    Full_Name "A B" by auto: `Full_Name` is put together by Zoho, of `First_Name` and `Last_Name`; leave it out
    id "1" by mass_update: `id` is the record's own id: name records in `ids`; leave it out
    id "1" by records: `id` is the record's own id: name records in `ids`; leave it out
    id "1" by auto: `id` is the record's own id: name records in `ids`; leave it out
    City of a view by mass_update: mass_update
    Email of a view by mass_update: `Email` is an e-mail field, and no mass update sets it, which is all that a custom view takes; name the records by `ids` or `match` with `update_by: records`, or leave it out
    City of a view by records: mass_update
    Email of a view by records: `Email` is an e-mail field, and no mass update sets it, which is all that a custom view takes; name the records by `ids` or `match` with `update_by: records`, or leave it out
    City of a view by auto: mass_update
    Email of a view by auto: `Email` is an e-mail field, and no mass update sets it, which is all that a custom view takes; name the records by `ids` or `match` with `update_by: records`, or leave it out
    "#);
}

#[test]
fn a_selector_that_is_null_is_none() {
    let request = json!({"module": "Leads", "fields": {"Email": "a@b"}, "ids": ["1"], "view": null, "update_by": "records"});
    assert_eq!(
        UpdateRequest::parse(&request).map(|request| request.effective_method()),
        Ok(UpdateMethod::Records)
    );
}

#[test]
fn a_request_says_itself_by_what_it_is_made() {
    let request = json!({"module": "Leads", "fields": {"City": "Bonn"}, "ids": ["1"], "update_by": "mass_update"});
    let own = UpdateRequest::parse_for(UpdateMethod::Records, &request).expect("a request");
    assert_eq!(own.update_by, UpdateMethod::MassUpdate);
    let wrong = refused(
        &json!({"module": "Leads", "fields": {"Email": "a@b"}, "ids": ["1"], "update_by": "record"}),
    );
    assert_eq!(wrong.len(), 1, "{wrong:?}");
    assert!(
        wrong[0].0 == "/update_by" && wrong[0].1.contains("`records`"),
        "{wrong:?}"
    );
}

#[test]
fn more_ids_than_a_job_takes_are_refused() {
    let ids: Vec<u64> = (1..=MAX_IDS as u64 + 1).collect();
    let found = refused(&json!({"module": "Leads", "fields": {"A": 1}, "ids": ids}));
    assert!(found[0].1.contains("50000"), "{found:?}");
}

/// Objects that have the keys of an update request, with values that are often right and often not.
fn request_like() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[0-9]{1,20}|Leads|Deals|Stage|https://a.example/x|records|auto|.{0,8}"
            .prop_map(Value::from),
    ];
    let tree = leaf.prop_recursive(3, 24, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::hash_map("id|include_child|Stage|Rating|.{0,4}", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    });
    let keys = "module|fields|ids|cvid|territory|over_write|callback_url|reference|match|update_by";
    prop::collection::hash_map(keys, tree, 0..7).prop_map(|map| {
        let mut request = json!({"module": "Leads", "fields": {"Rating": "Active"}});
        for (key, value) in map {
            request[key] = value;
        }
        request
    })
}

proptest! {
    #[test]
    fn ids_survive_exactly(number in 1_u64..=9_999_999_999_999_999_999, as_string: bool) {
        let value = if as_string { json!(number.to_string()) } else { json!(number) };
        let request = UpdateRequest::parse(&json!({"module": "Leads", "fields": {"A": 1}, "ids": [value]})).expect("a request");
        let Selector::Records(Records::Ids(ids)) = request.selector else { panic!("ids") };
        prop_assert_eq!(ids[0].to_string(), number.to_string());
    }

    #[test]
    fn no_value_makes_the_reader_panic(request in request_like()) {
        if let Ok(request) = UpdateRequest::parse(&request) {
            let again = UpdateRequest::parse(&request.to_json());
            prop_assert_eq!(again.as_ref(), Ok(&request));
        }
    }
}

#[test]
fn match_that_creates_records_round_trips() {
    let json = json!({"module": "Leads", "fields": {"City": "Bonn"}, "match": {
        "field": "Email", "values": ["a@example.com"], "on_many": "update_all", "on_none": "create",
        "create": {"Last_Name": "A", "Owner": {"id": "7"}},
    }});
    let request = UpdateRequest::parse(&json).expect("a request");
    assert_eq!(request.to_json(), json);
    assert!(request.creates() && request.new_records.is_none());
    let Selector::Match(query) = &request.selector else {
        panic!("a match")
    };
    let values = ["a@x.de", "A@X.de", "b@x.de"].map(|text| MatchValue::try_from(text.to_owned()));
    let values = values.map(|value| value.expect("a value")).to_vec();
    let new = NewRecords::new(query, values.clone(), false, false);
    assert_eq!(new.values().len(), 2, "letter case does not count");
    let row = new.row(&new.values()[0], &new.data(&request.fields));
    let expected =
        json!({"Email": "a@x.de", "City": "Bonn", "Last_Name": "A", "Owner": {"id": "7"}});
    assert_eq!(row, expected);
    assert_eq!(
        NewRecords::new(query, values, false, true).values().len(),
        3
    );
    let number = MatchValue::try_from("12".to_owned()).expect("a value");
    let new = NewRecords::new(query, vec![number.clone()], true, false);
    assert_eq!(new.row(&number, &Map::new()), json!({"Email": 12}));
}

#[test]
#[expect(clippy::too_many_lines, reason = "one table of cases")]
fn creation_is_refused_where_it_cannot_work() {
    let request = |module: &str, fields: Value, query: Value| {
        let mut wanted = json!({"field": "Email", "values": ["a@x.de"], "on_none": "create"});
        wanted
            .as_object_mut()
            .expect("an object")
            .extend(query.as_object().expect("an object").clone());
        json!({"module": module, "fields": fields, "match": wanted, "update_by": "records"})
    };
    let city = || json!({"City": "Bonn"});
    for (request, at, what) in [
        (
            request(
                "Leads",
                city(),
                json!({"on_none": "succeed", "create": {"Last_Name": "A"}}),
            ),
            "/match/create",
            "add `on_none: create`",
        ),
        (
            request("Leads", city(), json!({"on_none": "fail", "create": {}})),
            "/match/create",
            "add `on_none: create`",
        ),
        (
            request("Leads", city(), json!({"create": {"Email": "b@x.de"}})),
            "/match/create/Email",
            "the field of `match`",
        ),
        (
            request("Leads", city(), json!({"create": {"City": "Rome"}})),
            "",
            "`fields` and `match.create` both set `City`",
        ),
        (
            request("Leads", json!({"Email": "b@x.de"}), json!({})),
            "",
            "`fields` and `match` both set `Email`",
        ),
        (
            request("Leads", city(), json!({"create": {"Tag": []}})),
            "/match/create/Tag",
            "is a tag list",
        ),
        (
            request("Leads", city(), json!({"create": {"Owner": "7"}})),
            "/match/create/Owner",
            "owner",
        ),
        (
            request("Leads", city(), json!({"create": {"Created_Time": "x"}})),
            "/match/create/Created_Time",
            "kept by Zoho",
        ),
        (
            request("Leads", city(), json!({"create": {"Items": [{"a": 1}]}})),
            "/match/create/Items",
            "without an `id`",
        ),
        (
            request("Leads", city(), json!({"create": {"no name": 1}})),
            "/match/create/no name",
            "is not an API name",
        ),
        (
            request("Leads", city(), json!({"create": []})),
            "/match/create",
            "must be an object",
        ),
        (
            request("Leads", city(), json!({"field": "id", "values": ["7"]})),
            "",
            "not possible by `id`",
        ),
        (
            request("Tasks", city(), json!({"field": "Subject"})),
            "",
            "not possible in Tasks",
        ),
    ] {
        let problems = refused(&request);
        let found = problems
            .iter()
            .any(|(pointer, message)| pointer == at && message.contains(what));
        assert!(found, "{request}: {problems:?}");
    }
}
