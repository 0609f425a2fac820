//! What is in a token.

use crate::config::Config;
use crate::keys::{KeyError, KeyRing};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use uuid::Uuid;

/// What somebody may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Places orders, and sees and cancels their own.
    Customer,
    /// Runs the shop.
    Operator,
    /// Another service.
    Service,
}

/// A token somebody wants.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grant {
    /// Whose token: for a customer, their id.
    pub subject: String,
    /// What they may do.
    #[serde(default = "customer")]
    pub roles: Vec<Role>,
    /// Minutes until it expires; none for the longest there is, which more is cut to.
    #[serde(default)]
    pub minutes: Option<u32>,
}

fn customer() -> Vec<Role> {
    vec![Role::Customer]
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    aud: &'a str,
    sub: &'a str,
    roles: &'a [Role],
    iat: u64,
    exp: u64,
    jti: Uuid,
}

impl Grant {
    /// How long the token lives.
    #[must_use]
    pub fn life(&self, config: &Config) -> Duration {
        let longest = u64::from(config.token_hours) * 60;
        Duration::from_secs(60 * self.minutes.map_or(longest, |minutes| u64::from(minutes).min(longest)))
    }

    /// The token.
    ///
    /// # Errors
    /// When it cannot be signed.
    pub fn token(&self, config: &Config, keys: &KeyRing) -> Result<String, KeyError> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        keys.sign(&Claims {
            iss: &config.jwt_issuer,
            aud: &config.jwt_audience,
            sub: &self.subject,
            roles: &self.roles,
            iat: now,
            exp: now + self.life(config).as_secs(),
            jti: Uuid::new_v4(),
        })
    }
}
