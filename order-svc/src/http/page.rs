//! The Saga Explorer: a page at `/` that shows sagas as they go on. Its files are part of the program, and are what the browser gets:
//! there is no build. It knows nothing by itself; what it shows it asks the services for, with its reader's token.

use axum::Router;
use axum::extract::Path;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use saga_common::http::Problem;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::LazyLock;

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";
const TEXT: &str = "text/plain; charset=utf-8";

/// Nothing from elsewhere, nothing inline, no frame around it, and no text of anybody's that becomes markup.
const POLICY: &str = "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'; \
                      require-trusted-types-for 'script'";

/// A file of the page.
struct Asset {
    media_type: &'static str,
    body: &'static [u8],
    etag: HeaderValue,
}

macro_rules! assets {
    ($($path:literal $media_type:ident)*) => {
        [$(($path, $media_type, include_bytes!(concat!("../../web/", $path)).as_slice())),*]
    };
}

static ASSETS: LazyLock<BTreeMap<&'static str, Asset>> = LazyLock::new(|| {
    let files = assets! {
        "index.html" HTML
        "app.css" CSS
        "story.css" CSS
        "icon.svg" SVG
        "js/api.js" JS
        "js/app.js" JS
        "js/books.js" JS
        "js/dom.js" JS
        "js/figures.js" JS
        "js/held.js" JS
        "js/list.js" JS
        "js/model.js" JS
        "js/picture.js" JS
        "js/place.js" JS
        "js/services.js" JS
        "js/story.js" JS
        "js/words.js" JS
        "vendor/uplot/uPlot.iife.min.js" JS
        "vendor/uplot/uPlot.min.css" CSS
        "vendor/uplot/LICENSE" TEXT
    };
    files.into_iter().map(|(path, media_type, body)| (path, Asset { media_type, body, etag: etag(body) })).collect()
});

/// The page: `/`, and what it is made of under `/explorer/`.
pub(crate) fn page() -> Router {
    Router::new().route("/", get(|headers: HeaderMap| async move { show("index.html", &headers) })).route(
        "/explorer/{*path}",
        get(|Path(path): Path<String>, headers: HeaderMap| async move { show(&path, &headers) }),
    )
}

/// Asked for again each time, and sent again only if it is another: a new version is there with the next reload.
fn show(path: &str, asked: &HeaderMap) -> Response {
    let Some(asset) = ASSETS.get(path) else {
        return Problem::not_found("there is nothing at this address").into_response();
    };
    let headers = [
        (header::ETAG, asset.etag.clone()),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    ];
    if asked.get_all(header::IF_NONE_MATCH).iter().any(|known| known == asset.etag) {
        return (StatusCode::NOT_MODIFIED, headers).into_response();
    }
    ([(header::CONTENT_TYPE, asset.media_type)], headers, asset.body).into_response()
}

fn etag(body: &[u8]) -> HeaderValue {
    let hex = Sha256::digest(body).iter().take(12).fold(String::new(), |mut hex, byte| {
        // Writing into a String does not fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    });
    HeaderValue::from_str(&format!("\"{hex}\"")).unwrap_or(HeaderValue::from_static("\"0\""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::path::Path;

    fn below(folder: &Path, found: &mut Vec<String>) {
        for entry in fs::read_dir(folder).expect("a folder").flatten() {
            if entry.path().is_dir() {
                below(&entry.path(), found);
            } else {
                found.push(entry.path().to_string_lossy().into_owned());
            }
        }
    }

    #[test]
    fn every_file_of_the_page_is_served_and_every_address_in_it_is_one_of_them() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("web");
        let mut files = Vec::new();
        below(&folder, &mut files);
        let prefix = format!("{}/", folder.display());
        let names: Vec<&str> = files.iter().filter_map(|file| file.strip_prefix(&prefix)).collect();
        assert!(!names.is_empty() && names.iter().all(|name| ASSETS.contains_key(name)), "{names:?}");
        assert_eq!(names.len(), ASSETS.len());

        let index = String::from_utf8_lossy(ASSETS["index.html"].body);
        let addresses: Vec<&str> = index.split('"').filter_map(|part| part.strip_prefix("/explorer/")).collect();
        assert!(addresses.len() >= 5 && addresses.iter().all(|it| ASSETS.contains_key(it)), "{addresses:?}");
        for (name, asset) in ASSETS.iter().filter(|(name, _)| name.starts_with("js/")) {
            let text = String::from_utf8_lossy(asset.body);
            let imported =
                text.lines().filter_map(|line| line.strip_prefix("import ")?.split("\"./").nth(1)?.strip_suffix("\";"));
            for module in imported {
                assert!(ASSETS.contains_key(&*format!("js/{module}")), "{name} imports {module}");
            }
        }
    }

    #[test]
    fn nothing_in_the_page_comes_from_elsewhere_or_stands_inline() {
        let index = String::from_utf8_lossy(ASSETS["index.html"].body).to_lowercase();
        assert!(!index.contains("http:") && !index.contains("https:") && !index.contains("//"), "another origin");
        assert!(!index.contains("<style"), "inline");
        for tag in index.split('<').filter_map(|part| part.split('>').next()) {
            assert!(!tag.contains(" style=") && !tag.contains(" on"), "inline: {tag}");
        }
        for script in index.split("<script").skip(1) {
            assert!(script.starts_with(" src="), "inline: {script}");
        }
    }

    #[test]
    fn a_file_that_the_browser_has_is_not_sent_again() {
        let first = show("app.css", &HeaderMap::new());
        assert_eq!(first.headers()["content-type"], CSS);
        assert!(first.headers()["content-security-policy"].to_str().expect("text").starts_with("default-src 'self';"));
        let known = HeaderMap::from_iter([(header::IF_NONE_MATCH, first.headers()["etag"].clone())]);
        assert_eq!(show("app.css", &known).status(), StatusCode::NOT_MODIFIED);
        assert_eq!(show("story.css", &known).status(), StatusCode::OK);
        assert_eq!(show("../Cargo.toml", &HeaderMap::new()).status(), StatusCode::NOT_FOUND);
    }
}
