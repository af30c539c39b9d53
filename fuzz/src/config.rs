//! Target of the config parser. The input is a `masshook.yaml`.

use masshook::config::{CompileMode, Config};

/// Parses the config, and asserts that each problem has a location and a message and that a valid config is consistent.
pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    match Config::parse(text, CompileMode::Lazy) {
        Ok(config) => {
            assert!(!config.connections.is_empty());
            for (name, route) in &config.routes {
                assert!(!name.is_empty() && name.len() <= 64);
                assert!(!route.verify.to_string().is_empty());
                assert!(
                    config.connections.contains_key(&route.connection),
                    "{name}: {}",
                    route.connection
                );
            }
            let default = config.default_connection();
            assert!(default.is_none_or(|name| config.connections.contains_key(name)));
        }
        Err(problems) => {
            assert!(!problems.is_empty());
            for problem in problems {
                let (location, pointer) = (problem.at.to_string(), problem.at.pointer());
                assert!(!location.is_empty() && !problem.message.is_empty());
                assert!(pointer.is_empty() || pointer.starts_with('/'), "{pointer}");
            }
        }
    }
}
