//! The pages: a table of files in the binary. What is not in it is not there, so that no path leads anywhere else.

use axum::body::Body;
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, Response, StatusCode, header};
use axum::response::IntoResponse;
use sha2::{Digest, Sha256};

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

/// A file of the pages.
#[derive(Debug)]
pub struct File {
    path: &'static str,
    kind: &'static str,
    bytes: &'static str,
}

macro_rules! file {
    ($path:literal, $name:literal, $kind:expr) => {
        File { path: $path, kind: $kind, bytes: include_str!(concat!("../../console/", $name)) }
    };
}

const FILES: [File; 13] = [
    file!("/", "index.html", HTML),
    file!("/static/icon.svg", "icon.svg", SVG),
    file!("/static/style.css", "style.css", CSS),
    file!("/static/main.js", "main.js", SCRIPT),
    file!("/static/page.js", "page.js", SCRIPT),
    file!("/static/server.js", "server.js", SCRIPT),
    file!("/static/s3.js", "s3.js", SCRIPT),
    file!("/static/signin.js", "signin.js", SCRIPT),
    file!("/static/buckets.js", "buckets.js", SCRIPT),
    file!("/static/objects.js", "objects.js", SCRIPT),
    file!("/static/object.js", "object.js", SCRIPT),
    file!("/static/users.js", "users.js", SCRIPT),
    file!("/static/node.js", "node.js", SCRIPT),
];

/// The file of a path.
pub fn find(path: &str) -> Option<&'static File> {
    FILES.iter().find(|file| file.path == path)
}

impl File {
    /// Answers a request for it.
    pub fn answer(&self, head: &Parts) -> Response<Body> {
        if !matches!(head.method, Method::GET | Method::HEAD) {
            return StatusCode::METHOD_NOT_ALLOWED.into_response();
        }
        // Another build may have another file under this name: the browser asks each time, and mostly hears "as it was".
        let tag = format!("\"{}\"", hex::encode(&Sha256::digest(self.bytes)[..12]));
        let known = head.headers.get(header::IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == tag.as_bytes());
        let mut answer = if known {
            StatusCode::NOT_MODIFIED.into_response()
        } else {
            ([(header::CONTENT_TYPE, self.kind)], self.bytes).into_response()
        };
        answer.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        if let Ok(tag) = HeaderValue::try_from(tag) {
            answer.headers_mut().insert(header::ETAG, tag);
        }
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::{FILES, HTML, find};
    use std::collections::BTreeSet;
    use std::path::Path;

    #[test]
    fn every_file_of_the_folder_is_served_and_names_only_files_that_are() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("console");
        let there: BTreeSet<String> =
            std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        let served =
            FILES.iter().map(|f| if f.kind == HTML { "index.html" } else { f.path.rsplit('/').next().unwrap() });
        assert_eq!(served.map(str::to_owned).collect::<BTreeSet<_>>(), there);
        for file in &FILES {
            for named in file.bytes.split(['"', '\'']).filter(|text| text.starts_with("./") && text.ends_with(".js")) {
                assert!(find(&named.replace("./", "/static/")).is_some(), "{} names {named}", file.path);
            }
        }
    }

    #[test]
    fn pages_need_nothing_that_the_policy_forbids_and_nothing_of_elsewhere() {
        for file in &FILES {
            for bad in
                ["http://", "https://", "innerHTML", "eval(", " style=", " onclick=", "<script>", "document.write"]
            {
                let text = file.bytes.replace("http://www.w3.org/", "").replace("http://s3.amazonaws.com/doc/", "");
                assert!(!text.contains(bad), "{} has {bad}", file.path);
            }
        }
    }

    #[test]
    fn paths_lead_nowhere_else() {
        for path in ["/static/../Cargo.toml", "/static/", "/static", "//", "/etc/passwd", "/static/%2e%2e/x", ""] {
            assert!(find(path).is_none(), "{path}");
        }
    }
}
