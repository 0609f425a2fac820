//! HTTP of order-svc: one file a resource.

mod audit;
mod body;
mod events;
mod figures;
mod fulfilment;
#[cfg(test)]
mod fuzz;
mod import;
mod orders;
mod page;
mod pass;
mod place;
mod products;
mod recent;
mod shared_reads;
mod timeline;
mod totals;

pub(crate) use page::page;

use crate::Config;
use crate::figures::Reader;
use crate::keys::Keys;
use crate::maps::Maps;
use crate::placement::Placements;
use crate::watch::Watch;
use audit::LastAudit;
use recent::Recent;
use saga_common::Saga;
use saga_common::config::SettingError;
use shared_reads::SharedReads;
use sqlx::PgPool;
use std::sync::Arc;
use std::time::Duration;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// What the handlers share.
pub(crate) struct Shop {
    reads: PgPool,
    saga: Saga,
    placements: Placements,
    watch: Watch,
    keys: Keys,
    /// Who must answer a cancellation of a new order.
    required_answers: Arc<Vec<String>>,
    /// Orders that were read a moment ago.
    recent: Recent,
    /// Services that know parts of an order's timeline, and what they expect of each other.
    maps: Maps,
    figures: Reader,
    audit: LastAudit,
}

impl Shop {
    pub(crate) fn new(
        config: &Config,
        reads: PgPool,
        saga: Saga,
        placements: Placements,
        watch: Watch,
        maps: Maps,
    ) -> Result<Self, SettingError> {
        let (keys, required_answers) = (Keys::default(), Arc::new(config.participants.clone()));
        let oldest = Duration::from_millis(config.read_cache_ms);
        let recent = Recent::new(reads.clone(), oldest, SharedReads::of(config)?);
        let (figures, audit) = (Reader::default(), LastAudit::default());
        Ok(Self { reads, saga, placements, watch, keys, required_answers, recent, maps, figures, audit })
    }
}

/// The routes of this service.
pub(crate) fn routes(shop: Shop) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(place::place, orders::list))
        .routes(routes!(orders::show))
        .routes(routes!(orders::cancel))
        .routes(routes!(fulfilment::set_status))
        .routes(routes!(fulfilment::give_back))
        .routes(routes!(timeline::show))
        .routes(routes!(events::stream))
        .routes(routes!(products::list, products::add))
        .routes(routes!(products::show, products::put))
        .routes(routes!(import::import))
        .routes(routes!(figures::show))
        .routes(routes!(totals::show))
        .routes(routes!(audit::show, audit::tell))
        .merge(pass::routes().into())
        .with_state(Arc::new(shop))
}
