//! Generated files: compared with what is committed, or written anew.

use std::path::PathBuf;

/// How to write generated files anew.
pub(crate) const RENEW: &str = "RENEW=1 cargo test -p saga-tests --test contracts";

/// A file of the repository.
pub(crate) fn path(relative: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..").join(relative)
}

/// What is committed there, if anything.
pub(crate) fn committed(relative: &str) -> Option<String> {
    std::fs::read_to_string(path(relative)).ok()
}

/// Are files to be written anew?
pub(crate) fn renewing() -> bool {
    std::env::var_os("RENEW").is_some()
}

/// The committed file must be this text. With `RENEW` it becomes it.
pub(crate) fn is_current(relative: &str, text: &str) {
    if committed(relative).as_deref() == Some(text) {
        return;
    }
    assert!(renewing(), "{relative} is not what the code says any more. If that is meant: {RENEW}");
    let path = path(relative);
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    }
    std::fs::write(&path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}

/// JSON as it is committed.
pub(crate) fn pretty(value: &impl serde::Serialize) -> String {
    serde_json::to_string_pretty(value).expect("JSON") + "\n"
}
