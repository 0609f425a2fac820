//! What the frame answers whatever the service's own routes do, written into the OpenAPI document once: an operation names only
//! what is particular to it.

use utoipa::openapi::path::{Operation, ParameterIn, PathItem};
use utoipa::openapi::{ContentBuilder, OpenApi, Ref, RefOr, ResponseBuilder, Schema};

const JSON: &str = "application/json";
const PROBLEM_JSON: &str = "application/problem+json";
const PROBLEM: &str = "Problem";

/// Adds to each operation the answers that reading its request may come to, and those of a service in trouble; every problem has
/// its media type (RFC 9457).
pub(super) fn complete(api: &mut OpenApi) {
    for item in api.paths.paths.values_mut() {
        for operation in operations(item) {
            for (status, why) in frame(operation) {
                operation.responses.responses.entry(status.to_owned()).or_insert_with(|| {
                    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name(PROBLEM))).build();
                    ResponseBuilder::new().description(why).content(JSON, content).build().into()
                });
            }
            operation.responses.responses.values_mut().for_each(name_problem);
        }
    }
}

pub(super) fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [&mut item.get, &mut item.put, &mut item.post, &mut item.delete, &mut item.patch].into_iter().flatten()
}

fn frame(operation: &Operation) -> Vec<(&'static str, &'static str)> {
    let mut answers = vec![("500", "it failed, and is in the log"), ("503", "not now: try again after `Retry-After`")];
    let read = operation.parameters.iter().flatten().any(|parameter| match parameter {
        RefOr::T(parameter) => matches!(parameter.parameter_in, ParameterIn::Path | ParameterIn::Query),
        RefOr::Ref(_) => true,
    });
    if read || operation.request_body.is_some() {
        answers.push(("400", "the request cannot be read"));
    }
    if operation.request_body.is_some() {
        answers.extend([
            ("413", "the body is too large"),
            ("415", "the body is not JSON"),
            ("422", "the body does not say what it should"),
        ]);
    }
    answers
}

/// utoipa takes every body for plain JSON.
fn name_problem(response: &mut RefOr<utoipa::openapi::Response>) {
    let RefOr::T(response) = response else { return };
    let is_problem = |schema: &RefOr<Schema>| matches!(schema, RefOr::Ref(to) if to.ref_location.ends_with(PROBLEM));
    let problem = response.content.get(JSON).is_some_and(|content| match content {
        RefOr::T(content) => content.schema.as_ref().is_some_and(is_problem),
        RefOr::Ref(_) => false,
    });
    if let Some(content) = problem.then(|| response.content.shift_remove(JSON)).flatten() {
        response.content.insert(PROBLEM_JSON.to_owned(), content);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use utoipa::OpenApi as _;

    #[utoipa::path(post, path = "/shops/{id}", params(("id" = i64, Path)), request_body = String,
        responses((status = 200, body = String), (status = 409, body = super::super::Problem, description = "it is closed")))]
    #[allow(dead_code)]
    fn order() {}

    #[utoipa::path(get, path = "/shops", responses((status = 200, body = String)))]
    #[allow(dead_code)]
    fn list() {}

    #[derive(utoipa::OpenApi)]
    #[openapi(paths(order, list))]
    struct Shops;

    #[test]
    fn every_operation_names_all_that_it_may_answer_and_every_problem_its_type() {
        let mut api = Shops::openapi();
        complete(&mut api);
        let api = serde_json::to_value(&api).expect("a document");
        let responses = |path: &str, method: &str| api["paths"][path][method]["responses"].clone();
        let statuses = |of: &serde_json::Value| of.as_object().map(|of| of.keys().cloned().collect::<Vec<_>>());
        let order = responses("/shops/{id}", "post");
        let all = ["200", "400", "409", "413", "415", "422", "500", "503"].map(str::to_owned);
        assert_eq!(statuses(&order), Some(all.to_vec()));
        assert_eq!(order["409"]["description"], "it is closed");
        for status in all.iter().skip(1) {
            assert!(order[status]["content"][PROBLEM_JSON].is_object(), "{status}: {order}");
            assert!(order[status]["content"][JSON].is_null(), "{status}: {order}");
        }
        assert!(
            order["200"]["content"][JSON].is_null() && order["200"]["content"]["text/plain"].is_object(),
            "{order}"
        );
        assert_eq!(statuses(&responses("/shops", "get")), Some(["200", "500", "503"].map(str::to_owned).to_vec()));
    }
}
