//! Settings: who is let in, and whose word is taken for it.

use crate::config::SettingError;
use clap::{Args, ValueEnum};
use jsonwebtoken::Algorithm;
use std::net::SocketAddr;

/// Whose tokens are taken. A part of [`Settings`](crate::Settings).
#[derive(Debug, Clone, Args)]
pub struct AuthSettings {
    /// Who is let in: whoever has a valid token, or (`off`) everybody as an operator. `off` is for experiments: a service
    /// then refuses to listen on anything but a loopback address.
    #[arg(long, env = "AUTH", value_enum, default_value = "jwt")]
    pub auth: AuthMode,

    /// Public keys of whoever signs tokens: a PEM file, a JWKS file, or the URL of a JWKS. Read again every half minute, and
    /// at once when a token names a key that is not there, so keys are rotated without a restart.
    #[arg(long, env = "JWT_KEYS")]
    pub jwt_keys: Option<String>,

    /// What the claim `iss` of a token must be.
    #[arg(long, env = "JWT_ISSUER", default_value = "https://issuer.ordersaga.example")]
    pub jwt_issuer: String,

    /// What must be in the claim `aud` of a token.
    #[arg(long, env = "JWT_AUDIENCE", default_value = "ordersaga")]
    pub jwt_audience: String,

    /// The one algorithm that tokens are signed with; a token of another is refused, whatever its signature.
    #[arg(long, env = "JWT_ALGORITHM", value_enum, ignore_case = true, default_value = "ES256")]
    pub jwt_algorithm: SigningAlgorithm,
}

/// Who is let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum AuthMode {
    /// Whoever has a valid bearer token.
    Jwt,
    /// Everybody, as an operator.
    Off,
}

/// With public keys only: a secret that all services knew could sign tokens, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "verbatim")]
#[allow(missing_docs, reason = "the names are those of RFC 7518 and RFC 8037")]
pub enum SigningAlgorithm {
    ES256,
    ES384,
    RS256,
    RS384,
    RS512,
    PS256,
    PS384,
    PS512,
    EdDSA,
}

impl From<SigningAlgorithm> for Algorithm {
    fn from(algorithm: SigningAlgorithm) -> Self {
        match algorithm {
            SigningAlgorithm::ES256 => Self::ES256,
            SigningAlgorithm::ES384 => Self::ES384,
            SigningAlgorithm::RS256 => Self::RS256,
            SigningAlgorithm::RS384 => Self::RS384,
            SigningAlgorithm::RS512 => Self::RS512,
            SigningAlgorithm::PS256 => Self::PS256,
            SigningAlgorithm::PS384 => Self::PS384,
            SigningAlgorithm::PS512 => Self::PS512,
            SigningAlgorithm::EdDSA => Self::EdDSA,
        }
    }
}

impl AuthSettings {
    /// Where the keys are.
    pub(super) fn keys(&self) -> Result<&str, SettingError> {
        self.jwt_keys.as_deref().ok_or(SettingError::MissingKeys)
    }

    /// Refuses to let everybody in who can reach the machine.
    pub(super) fn check(&self, listen: SocketAddr) -> Result<(), SettingError> {
        match self.auth {
            AuthMode::Off if !listen.ip().is_loopback() => Err(SettingError::OpenToAll(listen)),
            AuthMode::Jwt => self.keys().map(drop),
            AuthMode::Off => Ok(()),
        }
    }
}
