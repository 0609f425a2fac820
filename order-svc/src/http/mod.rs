//! HTTP of order-svc: one file a resource.

mod body;
mod events;
mod orders;
mod place;
mod products;
mod timeline;

use crate::Config;
use crate::placement::Placements;
use crate::watch::Watch;
use saga_common::Saga;
use sqlx::PgPool;
use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// What handlers share.
#[derive(Clone)]
pub(crate) struct Shop {
    reads: PgPool,
    saga: Saga,
    placements: Placements,
    watch: Watch,
    /// `(customer, key)` of requests this process is carrying out.
    running: Arc<Mutex<HashSet<(String, String)>>>,
    client: reqwest::Client,
    /// Services that know parts of an order's timeline, by name.
    others: Arc<Vec<(&'static str, String)>>,
}

impl Shop {
    pub(crate) fn new(config: &Config, reads: PgPool, saga: Saga, placements: Placements, watch: Watch) -> Self {
        let (client, others) = (config.client(), config.others());
        Self { reads, saga, placements, watch, running: Arc::default(), client, others: Arc::new(others) }
    }
}

pub(crate) fn routes(shop: Shop) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(place::place, orders::list))
        .routes(routes!(orders::show))
        .routes(routes!(orders::cancel))
        .routes(routes!(timeline::show))
        .routes(routes!(events::stream))
        .routes(routes!(products::list))
        .routes(routes!(products::show, products::put))
        .with_state(shop)
}
