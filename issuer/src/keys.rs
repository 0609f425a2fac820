//! The key pairs: files in a folder that only its owner can read, named by their `kid`. The newest signs; older ones stay published until no
//! token that they have signed can still be valid.

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde::Serialize;
use serde_json::{Value, json};
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use uuid::Uuid;

/// Ends the name of a key's file, and nothing else's.
const EXTENSION: &str = "p8";
/// What says, before an uncompressed point, that it is one on P-256.
const PUBLIC_KEY_ON_P256: &[u8] =
    b"\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x03\x42\x00";
const OWNER_ONLY: u32 = 0o600;
const OWNER_ONLY_FOLDER: u32 = 0o700;

/// The keys of a folder.
pub struct KeyRing {
    folder: PathBuf,
    /// Oldest first; never empty.
    keys: Vec<Key>,
}

struct Key {
    /// Its name says when it was made.
    kid: Uuid,
    pair: EcdsaKeyPair,
    pkcs8: Vec<u8>,
}

/// Keys cannot be read, made or used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The folder or a file in it.
    #[error("{path}: {source}")]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file is no key pair of ours.
    #[error("{0} is no P-256 key pair (PKCS #8)")]
    Bad(PathBuf),
    /// No pair could be made.
    #[error("a key pair cannot be made")]
    NotMade,
    /// A token could not be signed.
    #[error("a token cannot be signed")]
    NotSigned(#[from] jsonwebtoken::errors::Error),
}

impl KeyRing {
    /// The keys of this folder; makes the folder and a first key if there are none.
    ///
    /// # Errors
    /// When the folder cannot be read or written, or has a file that ends like a key and is none.
    pub fn open(folder: &Path) -> Result<Self, KeyError> {
        let io = |source| KeyError::Io { path: folder.to_owned(), source };
        DirBuilder::new().recursive(true).mode(OWNER_ONLY_FOLDER).create(folder).map_err(io)?;
        let mut keys = Vec::new();
        for entry in fs::read_dir(folder).map_err(io)? {
            let path = entry.map_err(io)?.path();
            if path.extension().is_some_and(|extension| extension == EXTENSION) {
                keys.push(Key::read(&path)?);
            }
        }
        keys.sort_by_key(|key| key.kid);
        let mut ring = Self { folder: folder.to_owned(), keys };
        if ring.keys.is_empty() {
            ring.rotate()?;
        }
        Ok(ring)
    }

    /// Makes a new key, which signs from now on.
    ///
    /// # Errors
    /// When it cannot be written: then the one before goes on signing.
    pub fn rotate(&mut self) -> Result<(), KeyError> {
        let key = Key::make()?;
        let path = self.path(&key);
        let written = OpenOptions::new().write(true).create_new(true).mode(OWNER_ONLY).open(&path);
        let written = written.and_then(|mut file| file.write_all(&key.pkcs8).and_then(|()| file.sync_all()));
        written.map_err(|source| KeyError::Io { path, source })?;
        self.keys.push(key);
        Ok(())
    }

    /// Makes a new key if the newest is this old, and forgets those whose last token has expired.
    ///
    /// # Errors
    /// When a file cannot be written or removed.
    pub fn keep(&mut self, rotate_after: Duration, token_life: Duration, now: SystemTime) -> Result<(), KeyError> {
        if self.newest().age(now) >= rotate_after {
            self.rotate()?;
        }
        // A key has signed until the next one was made.
        while self.keys.get(1).is_some_and(|successor| successor.age(now) > token_life) {
            let path = self.path(&self.keys[0]);
            fs::remove_file(&path).map_err(|source| KeyError::Io { path, source })?;
            self.keys.remove(0);
        }
        Ok(())
    }

    /// The public keys as a JWKS (RFC 7517).
    #[must_use]
    pub fn jwks(&self) -> Value {
        json!({ "keys": self.keys.iter().map(Key::jwk).collect::<Vec<_>>() })
    }

    /// Signs claims with the newest key.
    ///
    /// # Errors
    /// When the cryptographic library refuses.
    pub fn sign(&self, claims: &impl Serialize) -> Result<String, KeyError> {
        let newest = self.newest();
        let header = Header { kid: Some(newest.kid.to_string()), ..Header::new(Algorithm::ES256) };
        Ok(encode(&header, claims, &EncodingKey::from_ec_der(&newest.pkcs8))?)
    }

    /// The two newest public keys as PEM; twice the same while there is only one.
    #[must_use]
    pub fn newest_pems(&self) -> [String; 2] {
        let newest = self.newest();
        let previous = self.keys.len().checked_sub(2).map_or(newest, |n| &self.keys[n]);
        [newest.pem(), previous.pem()]
    }

    fn newest(&self) -> &Key {
        &self.keys[self.keys.len() - 1]
    }

    fn path(&self, key: &Key) -> PathBuf {
        self.folder.join(format!("{}.{EXTENSION}", key.kid))
    }
}

impl Key {
    fn make() -> Result<Self, KeyError> {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map_err(|_| KeyError::NotMade)?;
        let pkcs8 = pair.to_pkcs8v1().map_err(|_| KeyError::NotMade)?.as_ref().to_vec();
        Ok(Self { kid: Uuid::now_v7(), pair, pkcs8 })
    }

    fn read(path: &Path) -> Result<Self, KeyError> {
        let pkcs8 = fs::read(path).map_err(|source| KeyError::Io { path: path.to_owned(), source })?;
        let bad = || KeyError::Bad(path.to_owned());
        let kid = path.file_stem().and_then(|stem| stem.to_str()?.parse::<Uuid>().ok()).ok_or_else(bad)?;
        kid.get_timestamp().ok_or_else(bad)?;
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &pkcs8).map_err(|_| bad())?;
        Ok(Self { kid, pair, pkcs8 })
    }

    fn age(&self, now: SystemTime) -> Duration {
        let (seconds, nanos) = self.kid.get_timestamp().map_or((0, 0), |made| made.to_unix());
        now.duration_since(UNIX_EPOCH + Duration::new(seconds, nanos)).unwrap_or_default()
    }

    /// SubjectPublicKeyInfo (RFC 5480).
    fn pem(&self) -> String {
        let der = STANDARD.encode([PUBLIC_KEY_ON_P256, self.pair.public_key().as_ref()].concat());
        let lines: Vec<&str> = (0..der.len()).step_by(64).map(|at| &der[at..der.len().min(at + 64)]).collect();
        format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", lines.join("\n"))
    }

    fn jwk(&self) -> Value {
        // An uncompressed point: a byte that says so, then both coordinates.
        let (x, y) = self.pair.public_key().as_ref()[1..].split_at(32);
        json!({"kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": self.kid.to_string(),
               "x": URL_SAFE_NO_PAD.encode(x), "y": URL_SAFE_NO_PAD.encode(y)})
    }
}
