//! HTTP of order-svc: one file a resource.

mod body;
mod events;
#[cfg(test)]
mod fuzz;
mod import;
mod orders;
mod place;
mod products;
mod timeline;

use crate::Config;
use crate::keys::Keys;
use crate::placement::Placements;
use crate::prices::Prices;
use crate::watch::Watch;
use saga_common::Saga;
use sqlx::PgPool;
use std::sync::Arc;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// What the handlers share.
pub(crate) struct Shop {
    reads: PgPool,
    saga: Saga,
    prices: Prices,
    placements: Placements,
    watch: Watch,
    keys: Keys,
    /// Who must answer a cancellation of a new order.
    required_answers: Arc<Vec<String>>,
    client: reqwest::Client,
    /// Services that know parts of an order's timeline, by name.
    others: Arc<Vec<(&'static str, String)>>,
}

impl Shop {
    pub(crate) fn new(
        config: &Config,
        reads: PgPool,
        saga: Saga,
        prices: Prices,
        placements: Placements,
        watch: Watch,
    ) -> Self {
        let (client, others) = (config.client(), Arc::new(config.others()));
        let (keys, required_answers) = (Keys::default(), Arc::new(config.participants.clone()));
        Self { reads, saga, prices, placements, watch, keys, required_answers, client, others }
    }
}

/// The routes of this service.
pub(crate) fn routes(shop: Shop) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(place::place, orders::list))
        .routes(routes!(orders::show))
        .routes(routes!(orders::cancel))
        .routes(routes!(timeline::show))
        .routes(routes!(events::stream))
        .routes(routes!(products::list, products::add))
        .routes(routes!(products::show, products::put))
        .routes(routes!(import::import))
        .with_state(Arc::new(shop))
}
