//! The one HTTP client of the four services: `sagactl`, the demo and the whole-stack tests all speak through it.
//!
//! It knows the services by their HTTP contract alone: its requests and answers are types of its own, but for the maps, which are data
//! (`saga-choreography`); it imports nothing else of the project. Every request has a deadline, every failure is either a [`Problem`] (the service said no) or a transport error (it said
//! nothing that can be understood). Nothing is repeated behind the caller's back, except by the two `wait_` methods.

use std::fmt;
use std::time::Duration;

use reqwest::{Method, RequestBuilder, StatusCode, Url, header};
use serde::de::DeserializeOwned;

mod catalogue;
mod choreography;
mod error;
mod explorer;
mod faults;
mod issuer;
mod orders;
mod sagas;
mod shop;
mod stock;
mod wait;

pub use catalogue::{Imported, Page, Product, ProductPage};
pub use choreography::{Choreography, StepMap, built_in_maps};
pub use error::{ClientError, Problem};
pub use explorer::explorer;
pub use faults::{FaultMap, FaultPoint, Reached, never_fire};
pub use issuer::{NoToken, Token, TokenRequest};
pub use orders::{Answers, Item, Line, NewOrder, Order, OrderFilter, OrderPage, OrderStatus, Placed, Return};
pub use sagas::{
    Announced, HeldMessage, MessageRef, ParkedMessage, Redriven, Said, Story, StoryStep, Timeline, TimelineEntry,
    WaitingMessage,
};
pub use shop::{Notification, Payment, Wallet};
pub use stock::{AdjustedStock, CountedArticle, Movement, MovementPage, Stock, StockPage};

/// How long one request may take unless [`Client::with_timeout`] says otherwise.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// One of the four services.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Service {
    /// order-svc
    Order,
    /// inventory-svc
    Inventory,
    /// payment-svc
    Payment,
    /// notification-svc
    Notification,
}

impl Service {
    /// All of them, in the order in which a saga meets them.
    pub const ALL: [Service; 4] = [Service::Order, Service::Inventory, Service::Payment, Service::Notification];

    /// The name of the participant, as it appears in queue names and saga stories: `order`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Service::Order => "order",
            Service::Inventory => "inventory",
            Service::Payment => "payment",
            Service::Notification => "notification",
        }
    }
}

/// The name of the program: `order-svc`.
impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-svc", self.name())
    }
}

/// Where the services are: base URLs without a path, such as `http://127.0.0.1:8080`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoints {
    /// order-svc
    pub order: String,
    /// payment-svc
    pub payment: String,
    /// inventory-svc
    pub inventory: String,
    /// notification-svc
    pub notification: String,
}

/// The services' own default ports on this machine.
impl Default for Endpoints {
    fn default() -> Self {
        let local = |port: u16| format!("http://127.0.0.1:{port}");
        Self { order: local(8080), payment: local(8081), inventory: local(8082), notification: local(8083) }
    }
}

impl Endpoints {
    /// The base URL of one service.
    #[must_use]
    pub fn of(&self, service: Service) -> &str {
        match service {
            Service::Order => &self.order,
            Service::Payment => &self.payment,
            Service::Inventory => &self.inventory,
            Service::Notification => &self.notification,
        }
    }
}

/// Speaks to the four services. Cheap to clone: clones share their connections.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    endpoints: Endpoints,
    token: Option<String>,
    faults: Option<String>,
    timeout: Duration,
}

/// Without the token.
impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("endpoints", &self.endpoints).finish_non_exhaustive()
    }
}

impl Client {
    /// A client without a token whose requests may take 10 seconds each. Nothing is sent yet.
    #[must_use]
    pub fn new(endpoints: Endpoints) -> Self {
        // A proxy from the environment has no business between an operator's machine and services on it.
        let http = reqwest::Client::builder().no_proxy().build();
        let http = http.expect("without TLS and a proxy there is nothing in a client that could fail to build");
        Self { http, endpoints, token: None, faults: None, timeout: REQUEST_TIMEOUT }
    }

    /// Sends this bearer token with every request from now on; `None` sends none.
    #[must_use]
    pub fn with_token(mut self, token: Option<String>) -> Self {
        self.token = token;
        self
    }

    /// Sends these fault directives (`Saga-Fault`) with every order from now on; `None` sends none.
    #[must_use]
    pub fn with_faults(mut self, directives: Option<String>) -> Self {
        self.faults = directives;
        self
    }

    /// Gives each single request this long, from connecting to the last byte of the answer.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Where this client thinks the services are.
    #[must_use]
    pub fn endpoints(&self) -> &Endpoints {
        &self.endpoints
    }

    /// Begins a request; `segments` are escaped, so ids and SKUs may contain anything.
    fn request(&self, method: Method, service: Service, segments: &[&str]) -> Result<RequestBuilder, ClientError> {
        let base = self.endpoints.of(service);
        let bad_url = || ClientError::BadUrl { service, url: base.to_owned() };
        let mut url = Url::parse(base).map_err(|_| bad_url())?;
        url.path_segments_mut().map_err(|()| bad_url())?.pop_if_empty().extend(segments);

        let request = self.http.request(method, url).timeout(self.timeout);
        Ok(match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        })
    }

    async fn get<T: DeserializeOwned>(&self, service: Service, segments: &[&str]) -> Result<T, ClientError> {
        let request = self.request(Method::GET, service, segments)?;
        Ok(receive(service, request).await?.body)
    }
}

/// A successful answer.
struct Answer<T> {
    status: u16,
    location: Option<String>,
    body: T,
}

/// Sends the request and reads the whole answer: a 2xx as `T`, everything else as an error.
async fn receive<T: DeserializeOwned>(service: Service, request: RequestBuilder) -> Result<Answer<T>, ClientError> {
    let transport = |source| ClientError::transport(service, source);
    let response = request.send().await.map_err(transport)?;
    let status = response.status();
    let location = response.headers().get(header::LOCATION).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let body = response.bytes().await.map_err(transport)?;

    if !status.is_success() {
        return Err(ClientError::Problem(Problem::read(service, status, &body)));
    }
    // An empty 2xx reads as JSON null, so that `()` and `Option` can stand for it.
    let text: &[u8] = if body.is_empty() { b"null" } else { &body };
    let body = serde_json::from_slice(text).map_err(|source| unreadable(service, status, &source))?;
    Ok(Answer { status: status.as_u16(), location, body })
}

fn unreadable(service: Service, status: StatusCode, source: &serde_json::Error) -> ClientError {
    ClientError::Unreadable { service, status: status.as_u16(), reason: source.to_string() }
}
