//! The routes of the sandbox.

use std::sync::Arc;

use axum::{
    Router,
    body::{Bytes, to_bytes},
    extract::{FromRequest, Path, RawQuery, Request, State},
    http::{
        HeaderMap, HeaderName, HeaderValue,
        header::{AUTHORIZATION, CONTENT_TYPE},
    },
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, post},
};

use super::{
    answer::Answer,
    desk::{Desk, Reply},
    idempotency::Keyed,
    refusal::Refusal,
    request::Params,
};
use crate::provider::ProviderKey;

/// More than any request of the API needs.
const BODY_BYTES: usize = 64 * 1024;

const FORM: &str = "application/x-www-form-urlencoded";

/// All routes; everything but `/livez` wants the key.
pub(super) fn router(desk: Arc<Desk>, key: &ProviderKey) -> Router {
    let bearer: Arc<str> = key.bearer().into();
    Router::new()
        .route("/v1/payment_intents", post(create_intent).get(list_intents))
        .route("/v1/payment_intents/{id}", get(retrieve_intent))
        .route("/v1/payment_intents/{id}/confirm", post(confirm_intent))
        .route("/v1/payment_intents/{id}/cancel", post(cancel_intent))
        .route("/v1/refunds", post(create_refund).get(list_refunds))
        .fallback(unknown_route)
        .method_not_allowed_fallback(unknown_route)
        .with_state(desk)
        .layer(middleware::from_fn_with_state(bearer, require_key))
        .route("/livez", get(|| async { "ok" }))
}

type Desked = State<Arc<Desk>>;

async fn create_intent(State(desk): Desked, call: Call) -> Result<Reply, Refusal> {
    Ok(desk.carry_out(call.params.create()?, call.keyed).await)
}

async fn confirm_intent(State(desk): Desked, Path(id): Path<String>, call: Call) -> Result<Reply, Refusal> {
    Ok(desk.carry_out(call.params.confirm(id)?, call.keyed).await)
}

async fn cancel_intent(State(desk): Desked, Path(id): Path<String>, call: Call) -> Result<Reply, Refusal> {
    Ok(desk.carry_out(call.params.cancel(id)?, call.keyed).await)
}

async fn create_refund(State(desk): Desked, call: Call) -> Result<Reply, Refusal> {
    Ok(desk.carry_out(call.params.refund()?, call.keyed).await)
}

async fn retrieve_intent(State(desk): Desked, Path(id): Path<String>) -> Answer {
    desk.read(|books| books.retrieve(&id)).await
}

async fn list_intents(State(desk): Desked, RawQuery(query): RawQuery) -> Result<Answer, Refusal> {
    let page = Params::parse(query.unwrap_or_default().as_bytes()).page()?;
    Ok(desk.read(|books| books.list_intents(&page)).await)
}

async fn list_refunds(State(desk): Desked, RawQuery(query): RawQuery) -> Result<Answer, Refusal> {
    let mut params = Params::parse(query.unwrap_or_default().as_bytes());
    let intent = params.optional("payment_intent");
    let page = params.page()?;
    Ok(desk.read(|books| books.list_refunds(intent.as_deref(), &page)).await)
}

async fn unknown_route() -> Refusal {
    Refusal::UnknownRoute
}

async fn require_key(State(bearer): State<Arc<str>>, request: Request, next: Next) -> Response {
    match request.headers().get(AUTHORIZATION) {
        Some(given) if given.as_bytes() == bearer.as_bytes() => next.run(request).await,
        _ => Refusal::Unauthorized.into_response(),
    }
}

impl IntoResponse for Reply {
    fn into_response(self) -> Response {
        let mut response = self.answer.into_response();
        if self.replayed {
            let name = HeaderName::from_static("idempotent-replayed");
            response.headers_mut().insert(name, HeaderValue::from_static("true"));
        }
        response
    }
}

/// What a POST brings.
struct Call {
    params: Params,
    keyed: Option<Keyed>,
}

impl<S: Sync> FromRequest<S> for Call {
    type Rejection = Refusal;

    async fn from_request(request: Request, _: &S) -> Result<Self, Refusal> {
        let (head, body) = request.into_parts();
        let too_large = |_| Refusal::Invalid { message: "The request body is too large or was cut off." };
        let body: Bytes = to_bytes(body, BODY_BYTES).await.map_err(too_large)?;
        if !body.is_empty() && !is_form(&head.headers) {
            return Err(Refusal::Invalid {
                message: "The content type of a POST must be application/x-www-form-urlencoded.",
            });
        }
        let params = Params::parse(&body);
        let request = format!("{} {} {}", head.method, head.uri.path(), params.canonical());
        let keyed = idempotency_key(&head.headers)?.map(|key| Keyed { key, request });
        Ok(Self { params, keyed })
    }
}

fn is_form(headers: &HeaderMap) -> bool {
    let Some(Ok(given)) = headers.get(CONTENT_TYPE).map(HeaderValue::to_str) else {
        return false;
    };
    given.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case(FORM))
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Refusal> {
    let Some(given) = headers.get("idempotency-key") else {
        return Ok(None);
    };
    match given.to_str() {
        Ok(key) if (1..=255).contains(&key.len()) => Ok(Some(key.to_owned())),
        _ => Err(Refusal::Invalid { message: "An Idempotency-Key has 1 to 255 visible ASCII characters." }),
    }
}
