//! The configs of the pages.

use masshook::config::{CompileMode, Config};
use serde_json::Value;

use super::blocks::blocks_of_pages;
use super::{body, text};

#[test]
fn documented_configs_parse() {
    let blocks = blocks_of_pages("yaml");
    assert!(blocks.len() > 12);
    let wanted = [
        "connections: { default: { credentials: env:ZOHO } }\n",
        "routes:\n",
    ];
    for block in blocks {
        let code = block.code.replace("map: …", "map: .");
        if let Some(file) = code.strip_prefix("# ").and_then(|rest| rest.lines().next()) {
            // The file of another program.
            let document: Value = serde_saphyr::from_str(&code).expect("YAML");
            assert_eq!(file, "prometheus.yml", "{}", block.place);
            assert!(document["scrape_configs"].is_array(), "{document}");
            continue;
        }
        let first = code.trim_start().split(':').next();
        let whole = match first {
            Some("verify") => {
                format!("{}{}  acme:\n{code}    map: .\n", wanted[0], wanted[1])
            }
            Some("connections") if !code.contains("routes:") => {
                code + "routes: { a: { verify: { scheme: none }, map: . } }\n"
            }
            Some("connections") => code,
            Some("console" | "api" | "callbacks") => format!("{}{code}", wanted[0]),
            Some("routes") => format!(
                "{}callbacks: {{ signing_secret: env:CALLBACK }}\n{code}",
                wanted[0]
            ),
            _ => format!(
                "{}callbacks: {{ signing_secret: env:CALLBACK }}\n{}{code}",
                wanted[0], wanted[1]
            ),
        };
        if let Err(problems) = Config::parse(&whole, CompileMode::Eager) {
            panic!("{}\n{whole}\n{problems:#?}", block.place);
        }
    }
}

#[test]
fn documents_name_every_config_key() {
    let body = body();
    let schema = Config::schema();
    let parts = [
        "Connection",
        "Api",
        "Callbacks",
        "Console",
        "DeliveryLogSettings",
        "Limits",
        "Route",
        "SchemeConfig",
    ];
    let parts = parts.map(|part| &schema["$defs"][part]["properties"]);
    for keys in parts.into_iter().chain([&schema["properties"]]) {
        for key in keys.as_object().expect("keys").keys() {
            let named = [format!("`{key}`"), format!("`{key}:"), format!("{key}: ")];
            let named = named.iter().any(|name| body.contains(name.as_str()));
            assert!(
                named || body.contains(&format!("{key}:\n")),
                "the documents have nothing on `{key}`"
            );
        }
    }
}

/// The routes that the documents name exist.
#[test]
fn mapping_page_lists_every_example_route() {
    for document in ["README.md", "docs/mapping.md"] {
        let page = text(document);
        let named = page.split("examples/routes/").skip(1);
        let named = named.filter_map(|rest| rest.split_once("/masshook.yaml)"));
        let mut named: Vec<&str> = named.map(|(name, _)| name).collect();
        named.sort_unstable();
        named.dedup();
        let folder = std::fs::read_dir(crate::harness::repo_path("examples/routes"));
        let names = folder.expect("a folder").map(|entry| {
            let name = entry.expect("an entry").file_name();
            name.to_string_lossy().into_owned()
        });
        let mut there: Vec<String> = names.collect();
        there.sort();
        assert_eq!(named, there, "{document}");
    }
}
