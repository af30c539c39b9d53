//! The crate does no I/O, reads no clock and draws no random number.

use std::path::Path;

const EFFECTS: [&str; 8] = [
    "std::fs",
    "std::net",
    "tokio::",
    "reqwest",
    "fastrand",
    "std::env::",
    "Instant::now",
    "Timestamp::now",
];

/// Test files, which may read the vectors.
const TEST_FILES: [&str; 6] = [
    "tests.rs",
    "vectors.rs",
    "published.rs",
    "shapes.rs",
    "forged_requests.rs",
    "lib.rs",
];

fn check(folder: &Path, checked: &mut usize) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().expect("a name").to_string_lossy();
        if path.is_dir() {
            check(&path, checked);
        } else if !TEST_FILES.contains(&name.as_ref()) {
            let text = std::fs::read_to_string(&path).expect("a source file");
            let code = text.split("#[cfg(test)]\nmod tests {").next();
            for effect in EFFECTS {
                let found = code.unwrap_or_default().contains(effect);
                assert!(!found, "{} has `{effect}`", path.display());
            }
            *checked += 1;
        }
    }
}

#[test]
fn production_code_has_no_effects() {
    let mut checked = 0;
    check(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("src"),
        &mut checked,
    );
    assert!(checked > 20, "{checked}");
}
