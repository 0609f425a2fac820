//! Whether the provider is asked at all: so many calls at once and no more (a bulkhead), and none while it does not answer (a
//! circuit breaker). Who is turned away is told when to come back; nothing was done for them.
//!
//! The breaker is `tower-resilience-circuitbreaker`, and nothing of it is seen outside of this file. It counts over a time:
//! its window of so many calls never forgets any, so that after a good year a failing provider would be asked for a year
//! more. It lets one probe through: with several, the success of one that came a window before the next is forgotten while
//! its place stays taken, and the breaker would neither close nor ask again.

use super::outcome::ProviderError;
use super::wire::{Answer, exchange};
use rand::RngExt;
use reqwest::RequestBuilder;
use saga_common::Held;
use saga_common::telemetry::{Metric, describe};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::Semaphore;
use tower::{Layer, Service, ServiceExt};
use tower_resilience_circuitbreaker::classifier::FnClassifier;
use tower_resilience_circuitbreaker::{
    CircuitBreaker, CircuitBreakerError, CircuitBreakerHandle, CircuitBreakerLayer, CircuitState, SlidingWindowType,
};

/// When the provider is not asked. Embed it in a service's settings with `#[command(flatten)]`.
#[derive(Debug, Clone, clap::Args)]
pub struct ProviderLimits {
    /// Calls to the payment provider that may be under way at once in this process.
    #[arg(long, env = "PROVIDER_CALLS_AT_ONCE", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..))]
    pub provider_calls_at_once: u16,
    /// Milliseconds that a call waits for its turn; then its job is put off.
    #[arg(long, env = "PROVIDER_TURN_MS", default_value_t = 2_000)]
    pub provider_turn_ms: u64,
    /// Share of calls without an answer (timeouts, lost connections, 5xx, 429), in percent, from which on the provider is not
    /// asked for a while.
    #[arg(long, env = "PROVIDER_BREAKER_PERCENT", default_value_t = 50, value_parser = clap::value_parser!(u8).range(1..=100))]
    pub provider_breaker_percent: u8,
    /// Calls that must have been made within the window before their share of failures counts.
    #[arg(long, env = "PROVIDER_BREAKER_CALLS", default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
    pub provider_breaker_calls: u16,
    /// Milliseconds for which a call counts.
    #[arg(long, env = "PROVIDER_BREAKER_WINDOW_MS", default_value_t = 30_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub provider_breaker_window_ms: u64,
    /// Milliseconds for which a provider that does not answer is not asked; then one call finds out how it is.
    #[arg(long, env = "PROVIDER_BREAKER_OPEN_MS", default_value_t = 5_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub provider_breaker_open_ms: u64,
}

impl Default for ProviderLimits {
    fn default() -> Self {
        Self {
            provider_calls_at_once: 16,
            provider_turn_ms: 2_000,
            provider_breaker_percent: 50,
            provider_breaker_calls: 5,
            provider_breaker_window_ms: 30_000,
            provider_breaker_open_ms: 5_000,
        }
    }
}

const CALLS: &str = "payment_provider_calls_total";
const STATE: &str = "payment_provider_breaker_state";
const TRANSITIONS: &str = "payment_provider_breaker_transitions_total";

/// What is counted here; the list for people is `docs/metrics.md`.
const METRICS: &[Metric] = &[
    Metric::counter(CALLS, "Calls to the payment provider, answered or not, or held back.").labelled(),
    Metric::gauge(STATE, "1 for the state that the breaker before the provider is in.").labelled(),
    Metric::counter(TRANSITIONS, "Changes of the breaker, by its new state.").labelled(),
];

type Exchanged = Result<Answer, ProviderError>;
type Classifier = FnClassifier<fn(&Exchanged) -> bool>;

/// Stands before every call to the provider. Clones share what they know.
#[derive(Clone)]
pub(super) struct Gate {
    turns: Arc<Semaphore>,
    patience: Duration,
    open_for: Duration,
    breaker: CircuitBreaker<Wire, Classifier>,
    state: CircuitBreakerHandle<Classifier>,
}

impl Gate {
    pub(super) fn new(limits: &ProviderLimits) -> Result<Self, String> {
        let open_for = Duration::from_millis(limits.provider_breaker_open_ms);
        let (layer, state) = CircuitBreakerLayer::builder()
            .name("payment-provider")
            .sliding_window_type(SlidingWindowType::TimeBased)
            .sliding_window_duration(Duration::from_millis(limits.provider_breaker_window_ms))
            .minimum_number_of_calls(limits.provider_breaker_calls.into())
            .failure_rate_threshold(f64::from(limits.provider_breaker_percent) / 100.0)
            .wait_duration_in_open(open_for)
            .permitted_calls_in_half_open(1)
            .failure_classifier_type(FnClassifier::new(went_unanswered as fn(&Exchanged) -> bool))
            .on_state_transition(|_, to| changed(to))
            .build_with_handle()
            .map_err(|error| error.to_string())?;
        Ok(Self {
            turns: Arc::new(Semaphore::new(limits.provider_calls_at_once.into())),
            patience: Duration::from_millis(limits.provider_turn_ms),
            open_for,
            breaker: layer.layer(Wire),
            state,
        })
    }

    /// Makes the call, or says why and for how long not.
    pub(super) async fn pass(&self, request: RequestBuilder) -> Exchanged {
        let turn = tokio::time::timeout(self.patience, self.turns.acquire()).await;
        // The semaphore is never closed.
        let Ok(Ok(_turn)) = turn else {
            let why = format!("all of its places were taken for {} ms", self.patience.as_millis());
            return Err(not_asked(why, self.patience.max(SHORT_WAIT)));
        };
        let exchanged = match self.breaker.clone().oneshot(request).await {
            Ok(answer) => Ok(answer),
            Err(CircuitBreakerError::Inner(error)) => Err(error),
            Err(CircuitBreakerError::OpenCircuit) => {
                let why = "it has not been answering".to_owned();
                return Err(not_asked(why, self.until_probe().await));
            }
        };
        let outcome = if went_unanswered(&exchanged) { "unanswered" } else { "answered" };
        metrics::counter!(CALLS, "outcome" => outcome).increment(1);
        exchanged
    }

    /// How long it makes no sense to come back.
    async fn until_probe(&self) -> Duration {
        let now = self.state.metrics().await;
        match now.state {
            CircuitState::Open => self.open_for.saturating_sub(now.time_since_state_change).max(SHORT_WAIT),
            // Somebody is finding out.
            CircuitState::HalfOpen => (self.open_for / 4).max(SHORT_WAIT),
            CircuitState::Closed => SHORT_WAIT,
        }
    }

    /// Names the metrics and shows the breaker's state, when there is somebody to keep them; from then on each change shows itself.
    pub(super) fn show(&self) {
        describe(METRICS);
        for outcome in ["answered", "unanswered", "held"] {
            drop(metrics::counter!(CALLS, "outcome" => outcome));
        }
        for to in STATES {
            drop(metrics::counter!(TRANSITIONS, "to" => word(to)));
        }
        show(self.state.state());
    }

    /// For people who look at the service's readiness.
    pub(super) fn trouble(&self) -> Option<String> {
        match self.state.state() {
            CircuitState::Closed => None,
            CircuitState::Open => Some("the payment provider does not answer: calls to it wait".to_owned()),
            CircuitState::HalfOpen => Some("the payment provider is being probed: other calls to it wait".to_owned()),
        }
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate").field("state", &self.state.state()).finish_non_exhaustive()
    }
}

/// Nobody comes back sooner.
const SHORT_WAIT: Duration = Duration::from_millis(100);

/// Spread over half as long again: who was turned away together does not come back together.
fn not_asked(why: String, wait: Duration) -> ProviderError {
    metrics::counter!(CALLS, "outcome" => "held").increment(1);
    let wait = wait + wait.mul_f64(rand::rng().random_range(0.0..0.5));
    ProviderError::NotAsked(Held { wait, why })
}

/// Whether a call tells against the provider. A decline, and any other 4xx, is an answer.
fn went_unanswered(exchanged: &Exchanged) -> bool {
    match exchanged {
        Ok((status, _)) => *status == 429 || *status >= 500,
        Err(_) => true,
    }
}

const STATES: [CircuitState; 3] = [CircuitState::Closed, CircuitState::Open, CircuitState::HalfOpen];

fn word(state: CircuitState) -> &'static str {
    match state {
        CircuitState::Closed => "closed",
        CircuitState::Open => "open",
        CircuitState::HalfOpen => "half-open",
    }
}

/// The gauge is 1 for the present state and 0 for the others.
fn show(state: CircuitState) {
    for it in STATES {
        let shown = if it == state { 1.0 } else { 0.0 };
        metrics::gauge!(STATE, "state" => word(it)).set(shown);
    }
}

fn changed(to: CircuitState) {
    tracing::warn!(state = word(to), "the payment provider's breaker");
    metrics::counter!(TRANSITIONS, "to" => word(to)).increment(1);
    show(to);
}

/// The call itself, as the breaker wants it.
#[derive(Clone)]
struct Wire;

impl Service<RequestBuilder> for Wire {
    type Response = Answer;
    type Error = ProviderError;
    type Future = Pin<Box<dyn Future<Output = Exchanged> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ProviderError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: RequestBuilder) -> Self::Future {
        Box::pin(exchange(request))
    }
}
