//! Settings of payment-svc.

use crate::StartError;
use crate::provider::{ProviderClient, ProviderKey, ProviderLimits, ProviderTimeouts};
use clap::Parser;
use order_contracts::Money;
use saga_common::Settings;
use std::path::PathBuf;

/// Charges wallets and cards for the order system.
#[derive(Debug, Clone, Parser)]
#[command(version)]
pub struct Config {
    /// What every participant can be told; it listens on 127.0.0.1:8081 unless told otherwise.
    #[command(flatten)]
    pub engine: Settings,

    /// Base URL of the payment provider, in Stripe's wire form.
    #[arg(long, env = "PROVIDER_URL", default_value = "http://127.0.0.1:8090")]
    pub provider_url: String,

    /// The provider's secret key.
    #[arg(long, env = "PROVIDER_KEY", hide_env_values = true)]
    provider_key: Option<ProviderKey>,

    /// File that holds the provider's secret key instead.
    #[arg(long, env = "PROVIDER_KEY_FILE")]
    provider_key_file: Option<PathBuf>,

    /// How long to wait for the provider.
    #[command(flatten)]
    pub provider_timeouts: ProviderTimeouts,

    /// When the provider is not asked.
    #[command(flatten)]
    pub provider_limits: ProviderLimits,

    /// What a new customer's wallet holds, in minor units. The replica started last decides for all.
    #[arg(long, env = "OPENING_BALANCE_MINOR", default_value_t = 100_000,
        value_parser = clap::value_parser!(i64).range(0..=Money::MAX.minor()))]
    pub opening_balance_minor: i64,
}

impl Config {
    /// A client of the provider.
    ///
    /// # Errors
    /// When the key is missing or its file cannot be read, or the URL or key cannot work.
    pub(crate) fn provider(&self) -> Result<ProviderClient, StartError> {
        let key = match &self.provider_key {
            Some(key) => key.clone(),
            None => {
                let file = self.provider_key_file.as_ref();
                ProviderKey::new(&saga_common::config::secret("PROVIDER_KEY", None, file)?)
            }
        };
        Ok(ProviderClient::with_limits(&self.provider_url, &key, self.provider_timeouts, &self.provider_limits)?)
    }
}
