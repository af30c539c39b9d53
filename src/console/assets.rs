//! The files of the page, which the program contains.

use ::http::header::{ALLOW, CONTENT_TYPE};
use ::http::{HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};

/// A file of the page.
#[derive(Debug)]
pub(super) struct Asset {
    /// Its path in a URL.
    path: &'static str,
    content_type: &'static str,
    content: &'static [u8],
}

/// Lists files of `src/console/web`.
macro_rules! assets {
    ($($path:literal $kind:ident),* $(,)?) => {
        &[$(Asset {
            path: concat!("/", $path),
            content_type: $kind,
            content: include_bytes!(concat!("web/", $path)),
        }),*]
    };
}

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const IMAGE: &str = "image/svg+xml";

/// All files of the page.
const ASSETS: &[Asset] = assets![
    "index.html" HTML,
    "style.css" CSS,
    "icon.svg" IMAGE,
    "app.js" SCRIPT,
    "lib/actions.js" SCRIPT,
    "lib/api.js" SCRIPT,
    "lib/editor.js" SCRIPT,
    "lib/element.js" SCRIPT,
    "lib/feed.js" SCRIPT,
    "lib/keys.js" SCRIPT,
    "lib/list.js" SCRIPT,
    "lib/plot.js" SCRIPT,
    "lib/state.js" SCRIPT,
    "lib/time.js" SCRIPT,
    "lib/waterfall.js" SCRIPT,
    "screens/connections.js" SCRIPT,
    "screens/dead-letters.js" SCRIPT,
    "screens/deliveries.js" SCRIPT,
    "screens/job.js" SCRIPT,
    "screens/jobs.js" SCRIPT,
    "screens/overview.js" SCRIPT,
    "screens/playground.js" SCRIPT,
    "screens/routes.js" SCRIPT,
];

/// The file at a path.
pub(super) fn find(path: &str) -> Option<&'static Asset> {
    let path = match path {
        "/" => "/index.html",
        path => path,
    };
    ASSETS.iter().find(|asset| asset.path == path)
}

impl Asset {
    /// The response to a request for the file.
    pub(super) fn respond(&self, method: &Method) -> Response {
        if *method == Method::GET || *method == Method::HEAD {
            ([(CONTENT_TYPE, self.content_type)], self.content).into_response()
        } else {
            let allow = [(ALLOW, HeaderValue::from_static("GET, HEAD"))];
            (StatusCode::METHOD_NOT_ALLOWED, allow).into_response()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    /// Bytes of all files together.
    const MAX_BYTES: usize = 150 << 10;

    fn files(folder: &Path, below: &str, found: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let entry = entry.expect("an entry");
            let name = format!("{below}/{}", entry.file_name().to_string_lossy());
            match entry.path().is_dir() {
                true => files(&entry.path(), &name, found),
                false => {
                    found.insert(name);
                }
            }
        }
    }

    #[test]
    fn every_file_is_served_and_all_are_small() {
        let mut found = BTreeSet::new();
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/console/web");
        files(&folder, "", &mut found);
        let served = ASSETS.iter().map(|asset| asset.path.to_owned()).collect();
        assert_eq!(found, served);
        let bytes: usize = ASSETS.iter().map(|asset| asset.content.len()).sum();
        assert!(bytes < MAX_BYTES, "{bytes}");
        assert!(find("/").is_some() && find("/api/status").is_none());
    }

    /// A page under any base path loads its files by relative URLs, and its policy allows no inline script or style.
    #[test]
    fn page_has_no_absolute_url_and_nothing_inline() {
        let page = std::str::from_utf8(find("/").expect("the page").content).expect("text");
        for banned in [
            "=\"/",
            "http:",
            "https:",
            "<style",
            "style=",
            "onclick",
            "javascript:",
        ] {
            assert!(!page.contains(banned), "{banned}");
        }
        assert_eq!(
            page.matches("<script").count(),
            page.matches("></script>").count()
        );
        for asset in ASSETS.iter().filter(|asset| asset.path.ends_with(".js")) {
            let code = std::str::from_utf8(asset.content).expect("text");
            for banned in [
                "innerHTML",
                "outerHTML",
                "insertAdjacentHTML",
                "document.write",
                "createContextualFragment",
                "DOMParser",
                "eval(",
                "new Function",
                "srcdoc",
                "window.open",
                "location.href =",
                "from '/",
                "from \"/",
            ] {
                assert!(!code.contains(banned), "{}: {banned}", asset.path);
            }
        }
    }
}
