//! The keys of a folder: who may read them, which one signs, how long the others are published.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use issuer::KeyRing;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::error::Error;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

type Outcome = Result<(), Box<dyn Error>>;

const HOUR: Duration = Duration::from_secs(3_600);

/// A folder that goes with the test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        Self(std::env::temp_dir().join(format!("ordersaga-issuer-{}", uuid::Uuid::new_v4())))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn published(keys: &KeyRing) -> BTreeSet<String> {
    let jwks = keys.jwks();
    let all = jwks["keys"].as_array().expect("a list");
    assert!(all.iter().all(|key| key.get("d").is_none()), "nothing of a private key");
    all.iter().map(|key| key["kid"].as_str().expect("a name").to_owned()).collect()
}

fn signer(keys: &KeyRing) -> Result<String, Box<dyn Error>> {
    let token = keys.sign(&json!({"sub": "anna"}))?;
    let header = URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap_or_default())?;
    Ok(serde_json::from_slice::<Value>(&header)?["kid"].as_str().ok_or("no kid")?.to_owned())
}

#[test]
fn keys_are_kept_and_nobody_else_reads_them() -> Outcome {
    let folder = Folder::new();
    let first = published(&KeyRing::open(&folder.0)?);
    assert_eq!(first.len(), 1);
    assert_eq!(published(&KeyRing::open(&folder.0)?), first, "as it was left");
    assert_eq!(fs::metadata(&folder.0)?.permissions().mode() & 0o777, 0o700);
    for file in fs::read_dir(&folder.0)? {
        assert_eq!(file?.metadata()?.permissions().mode() & 0o777, 0o600);
    }
    Ok(())
}

#[test]
fn the_newest_key_signs_and_the_one_before_is_published_until_its_tokens_have_expired() -> Outcome {
    let folder = Folder::new();
    let mut keys = KeyRing::open(&folder.0)?;
    let (first, now) = (signer(&keys)?, SystemTime::now());
    keys.keep(24 * HOUR, 12 * HOUR, now + 23 * HOUR)?;
    assert_eq!(signer(&keys)?, first, "it is young enough");
    // The second is made now, whatever this call thinks the time is.
    keys.keep(24 * HOUR, 48 * HOUR, now + 25 * HOUR)?;
    let second = signer(&keys)?;
    assert_ne!(second, first);
    assert_eq!(published(&keys), BTreeSet::from([first, second.clone()]));
    keys.keep(240 * HOUR, 12 * HOUR, now + 11 * HOUR)?;
    assert_eq!(published(&keys).len(), 2, "a token of the first may still be good");
    keys.keep(240 * HOUR, 12 * HOUR, now + 13 * HOUR)?;
    assert_eq!(published(&keys), BTreeSet::from([second.clone()]));
    assert_eq!(published(&KeyRing::open(&folder.0)?), BTreeSet::from([second]), "also on disk");
    Ok(())
}

#[test]
fn a_file_that_is_no_key_is_an_error_that_names_it() -> Outcome {
    let folder = Folder::new();
    drop(KeyRing::open(&folder.0)?);
    fs::write(folder.0.join("notes.txt"), "not looked at")?;
    drop(KeyRing::open(&folder.0)?);
    fs::write(folder.0.join("0.p8"), "rubbish")?;
    let error = KeyRing::open(&folder.0).err().ok_or("it must not be passed over")?;
    assert!(error.to_string().contains("0.p8 is no P-256 key pair"), "{error}");
    Ok(())
}
