//! The stock over HTTP. Reads are single statements, checked against the tables when this is compiled; writes are units of work
//! like any step's.

mod changes;
mod stock;
mod totals;

use saga_common::Saga;
use sqlx::PgPool;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// What the handlers share.
#[derive(Clone)]
pub(crate) struct Warehouse {
    pub(crate) saga: Saga,
    pub(crate) reads: PgPool,
}

/// The routes of this service.
pub(crate) fn routes(warehouse: Warehouse) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(stock::list))
        .routes(routes!(stock::show, changes::put))
        .routes(routes!(stock::movements))
        .routes(routes!(changes::adjust))
        .routes(routes!(changes::import))
        .routes(routes!(totals::show))
        .with_state(warehouse)
}
