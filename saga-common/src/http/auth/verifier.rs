//! From a bearer token to who is calling. What was found is remembered for a minute: checking a signature takes as long as several
//! statements on the database.

use super::keys::KeySet;
use super::settings::AuthSettings;
use super::{Caller, Refusal, Role};
use crate::config::SettingError;
use crate::error::chain;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, Validation, decode, decode_header};
use serde::Deserialize;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::Mutex;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

const READ_AGAIN: Duration = Duration::from_secs(30);
const UNTIL_THERE_ARE_ANY: Duration = Duration::from_millis(250);
/// However many tokens name keys that nobody has, the issuer is asked no more often.
const ASK_AT_MOST: Duration = Duration::from_secs(2);
const ASKING_TAKES: Duration = Duration::from_secs(3);
const REMEMBERED: u64 = 10_000;
const REMEMBER_FOR: Duration = Duration::from_secs(60);
/// By how much our clock and the issuer's may differ.
const LEEWAY_SECONDS: u64 = 5;

/// Checks tokens.
pub(crate) struct Verifier {
    source: Source,
    algorithm: Algorithm,
    validation: Validation,
    /// None before they could be read for the first time.
    keys: RwLock<Option<Arc<KeySet>>>,
    asked: Mutex<Option<Instant>>,
    known: moka::sync::Cache<String, Known>,
}

enum Source {
    File(PathBuf),
    Url(reqwest::Client, String),
}

#[derive(Clone)]
struct Known {
    caller: Caller,
    expires_at: u64,
    /// Those it was checked with: what was found under others counts no more.
    keys: Arc<KeySet>,
}

/// What we read of a token's claims; the library checks the registered ones.
#[derive(Deserialize)]
struct Claims {
    sub: String,
    exp: u64,
    #[serde(default)]
    roles: Vec<String>,
}

impl Verifier {
    pub(super) fn new(settings: &AuthSettings) -> Result<Self, SettingError> {
        let place = settings.keys()?;
        let source = if place.starts_with("http://") || place.starts_with("https://") {
            let client = reqwest::Client::builder().timeout(ASKING_TAKES).build().unwrap_or_default();
            Source::Url(client, place.to_owned())
        } else {
            Source::File(PathBuf::from(place))
        };
        let algorithm = settings.jwt_algorithm.into();
        let mut validation = Validation::new(algorithm);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        validation.set_issuer(&[&settings.jwt_issuer]);
        validation.set_audience(&[&settings.jwt_audience]);
        validation.leeway = LEEWAY_SECONDS;
        validation.validate_nbf = true;
        let known = moka::sync::Cache::builder().max_capacity(REMEMBERED).time_to_live(REMEMBER_FOR).build();
        Ok(Self { source, algorithm, validation, keys: RwLock::default(), asked: Mutex::default(), known })
    }

    /// Could the keys be read, ever?
    pub(super) fn has_keys(&self) -> bool {
        self.keys().is_some()
    }

    /// Who has this token.
    pub(super) async fn verify(&self, token: &str) -> Result<Caller, Refusal> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        if let Some(known) = self.known.get(token)
            && now <= known.expires_at + LEEWAY_SECONDS
            && self.keys().is_some_and(|keys| Arc::ptr_eq(&keys, &known.keys))
        {
            return Ok(known.caller);
        }
        match self.check(token) {
            // Perhaps it was made since we looked.
            Err(Refusal::UnknownKey | Refusal::NoKeys) => {
                self.ask_again().await;
                self.check(token)
            }
            checked => checked,
        }
    }

    fn check(&self, token: &str) -> Result<Caller, Refusal> {
        let header = decode_header(token).map_err(|_| Refusal::Invalid("it is no JWT"))?;
        if header.alg != self.algorithm {
            return Err(Refusal::Invalid("it is signed with another algorithm than is used here"));
        }
        let keys = self.keys().ok_or(Refusal::NoKeys)?;
        let mut refusal = Refusal::UnknownKey;
        for (named, key) in keys.candidates(header.kid.as_deref()) {
            match decode::<Claims>(token, key, &self.validation) {
                Ok(token_data) => return self.remember(token, token_data.claims, keys.clone()),
                // A key without a name may have been replaced by another.
                Err(error) if !named && matches!(error.kind(), ErrorKind::InvalidSignature) => {}
                Err(error) => refusal = refused(error.kind()),
            }
        }
        Err(refusal)
    }

    fn remember(&self, token: &str, claims: Claims, keys: Arc<KeySet>) -> Result<Caller, Refusal> {
        let roles = claims.roles.iter().filter_map(|role| Role::named(role)).collect();
        let caller = Caller::new(claims.sub, roles).ok_or(Refusal::Invalid("its subject cannot be a customer's id"))?;
        self.known.insert(token.to_owned(), Known { caller: caller.clone(), expires_at: claims.exp, keys });
        Ok(caller)
    }

    fn keys(&self) -> Option<Arc<KeySet>> {
        self.keys.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn ask_again(&self) {
        let mut asked = self.asked.lock().await;
        if asked.is_none_or(|at| at.elapsed() >= ASK_AT_MOST) {
            self.read_keys().await;
            *asked = Some(Instant::now());
        }
    }

    /// Reads the keys; those from before stay in use when that fails.
    pub(super) async fn read_keys(&self) {
        let read = match self.source.text().await {
            Ok(text) if self.keys().is_some_and(|keys| keys.is_of(&text)) => return,
            Ok(text) => KeySet::read(&text, self.algorithm).map_err(|error| error.to_string()),
            Err(error) => Err(error),
        };
        match read {
            Ok(keys) => {
                *self.keys.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(keys));
                // Whatever was signed with a key that is no more, is no more.
                self.known.invalidate_all();
                tracing::info!("keys that tokens are signed with were read");
            }
            Err(error) => tracing::warn!(error, "keys that tokens are signed with cannot be read"),
        }
    }

    /// Reads the keys now and then.
    pub(super) async fn keep_up(self: Arc<Self>, stop: CancellationToken) {
        loop {
            self.read_keys().await;
            let wait = if self.has_keys() { READ_AGAIN } else { UNTIL_THERE_ARE_ANY };
            tokio::select! { () = tokio::time::sleep(wait) => {}, () = stop.cancelled() => return }
        }
    }
}

impl Source {
    async fn text(&self) -> Result<Vec<u8>, String> {
        match self {
            Self::File(path) => tokio::fs::read(path).await.map_err(|error| format!("{}: {error}", path.display())),
            Self::Url(client, url) => {
                let read = async { client.get(url).send().await?.error_for_status()?.bytes().await };
                read.await.map(|body| body.to_vec()).map_err(|error| chain(&error))
            }
        }
    }
}

fn refused(kind: &ErrorKind) -> Refusal {
    Refusal::Invalid(match kind {
        ErrorKind::ExpiredSignature => "it has expired",
        ErrorKind::ImmatureSignature => "it is not valid yet",
        ErrorKind::InvalidAudience => "it is for another audience",
        ErrorKind::InvalidIssuer => "it is of another issuer",
        ErrorKind::MissingRequiredClaim(_) => "one of exp, iss, aud and sub is missing",
        ErrorKind::InvalidSignature => "its signature is wrong",
        _ => "it cannot be read",
    })
}
