//! The public keys, as they are published: PEM or JWKS. Pure.

use jsonwebtoken::jwk::{JwkSet, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};

/// What signatures are checked with.
pub(super) struct KeySet {
    /// With the name by which a token may ask for it; keys of a PEM file have none.
    keys: Vec<(Option<String>, DecodingKey)>,
    text: Vec<u8>,
}

/// A document that holds no key for the algorithm in use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadKeys {
    #[error("neither PEM public keys nor a JWKS: {0}")]
    Unreadable(String),
    #[error("there is no public key for {0:?} in it")]
    NoneFits(Algorithm),
}

const PEM: &str = "-----BEGIN ";

impl KeySet {
    /// Reads PEM (`BEGIN PUBLIC KEY`, several if there are) or a JWKS (RFC 7517). Keys for other algorithms or for encryption, and secrets, are
    /// passed over: an issuer may publish them beside ours.
    pub(super) fn read(text: &[u8], algorithm: Algorithm) -> Result<Self, BadKeys> {
        let unreadable = |why: &dyn std::fmt::Display| BadKeys::Unreadable(why.to_string());
        let keys = if text.trim_ascii_start().starts_with(PEM.as_bytes()) {
            let text = std::str::from_utf8(text).map_err(|why| unreadable(&why))?;
            let blocks = text.split(PEM).skip(1).map(|rest| of_pem(&format!("{PEM}{rest}"), algorithm));
            blocks.map(|key| Ok((None, key.map_err(|why| unreadable(&why))?))).collect::<Result<_, BadKeys>>()?
        } else {
            of_jwks(&serde_json::from_slice(text).map_err(|why| unreadable(&why))?, algorithm)
        };
        if keys.is_empty() { Err(BadKeys::NoneFits(algorithm)) } else { Ok(Self { keys, text: text.to_vec() }) }
    }

    /// The keys a token may have been signed with that names this one, or none; and whether each has a name.
    pub(super) fn candidates<'a>(&'a self, kid: Option<&'a str>) -> impl Iterator<Item = (bool, &'a DecodingKey)> {
        let fits = move |name: &Option<String>| name.is_none() || kid.is_none() || name.as_deref() == kid;
        self.keys.iter().filter(move |(name, _)| fits(name)).map(|(name, key)| (name.is_some(), key))
    }

    /// Was it read from the same text?
    pub(super) fn is_of(&self, text: &[u8]) -> bool {
        self.text == text
    }
}

fn of_pem(block: &str, algorithm: Algorithm) -> Result<DecodingKey, jsonwebtoken::errors::Error> {
    match algorithm {
        Algorithm::ES256 | Algorithm::ES384 => DecodingKey::from_ec_pem(block.as_bytes()),
        Algorithm::EdDSA => DecodingKey::from_ed_pem(block.as_bytes()),
        _ => DecodingKey::from_rsa_pem(block.as_bytes()),
    }
}

fn of_jwks(set: &JwkSet, algorithm: Algorithm) -> Vec<(Option<String>, DecodingKey)> {
    let usable = set.keys.iter().filter(|jwk| {
        let algorithm_fits =
            jwk.common.key_algorithm.is_none_or(|named| format!("{named:?}") == format!("{algorithm:?}"));
        algorithm_fits && !matches!(jwk.common.public_key_use, Some(PublicKeyUse::Encryption))
    });
    let keys = usable.filter_map(|jwk| Some((jwk.common.key_id.clone(), DecodingKey::from_jwk(jwk).ok()?)));
    // A key of another family would be refused for each token; a secret must never be taken for a public key.
    keys.filter(|(_, key)| key.family() == algorithm.family()).collect()
}
