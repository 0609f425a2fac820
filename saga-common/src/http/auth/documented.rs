//! What the gate asks for, as the OpenAPI document says it.

use crate::http::document::operations;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{Content, OpenApi, Ref, RefOr, ResponseBuilder};

const SCHEME: &str = "bearer";
const REFUSALS: [(&str, &str); 2] =
    [("401", "there is no token, or it is refused"), ("403", "the token's roles do not suffice")];

/// Adds the bearer token, and the answers without one, to every operation.
pub(crate) fn describe(api: &mut OpenApi) {
    let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT").build();
    api.components.get_or_insert_default().add_security_scheme(SCHEME, SecurityScheme::Http(bearer));
    api.security = Some(vec![SecurityRequirement::new(SCHEME, Vec::<String>::new())]);
    for operation in api.paths.paths.values_mut().flat_map(operations) {
        for (status, why) in REFUSALS {
            let content = Content::new(Some(RefOr::Ref(Ref::from_schema_name("Problem"))));
            let refusal = ResponseBuilder::new().description(why).content("application/problem+json", content).build();
            operation.responses.responses.entry(status.to_owned()).or_insert_with(|| refusal.into());
        }
    }
}
