//! `duplicate`: whoever handles what passes the point handles it once more, right after.

use crate::faulty::Faulty;
use crate::shop::{Charge, Placed};
use crate::world::Outcome;
use saga_common::SagaId;

#[tokio::test(flavor = "multi_thread")]
async fn a_waiting_message_is_run_once_more_by_who_runs_waiting_messages() -> Outcome {
    let shop = Faulty::start().await?;
    let saga = SagaId::new();
    // In the batch, alone, and then it is due.
    let directives = "shop-svc/after-steps=error*2,shop-svc/after-due=duplicate,shop-svc/after-guards=delay(0)*10";
    shop.wire.put_carrying("shop.events", saga, &Placed::order(), directives).await?;
    shop.has_left(saga, "%=duplicate", 0).await?;
    shop.has_left(saga, "%=delay(%", 6).await?;
    shop.does(saga, &["reserve"]).await?;
    Ok(shop.replica.stop().await?)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_is_made_once_more_by_who_makes_calls() -> Outcome {
    for point in ["before-settle", "after-settle"] {
        let shop = Faulty::start().await?;
        let saga = SagaId::new();
        let directives = format!("shop-svc/{point}=duplicate,shop-svc/after-lease=delay(0)*10");
        shop.wire.put_carrying("shop.events", saga, &Charge {}, &directives).await?;
        shop.has_left(saga, "%=duplicate%", 0).await?;
        shop.has_left(saga, "%=delay(%", 8).await?;
        shop.does(saga, &["intend", "charge"]).await?;
        shop.replica.stop().await?;
    }
    Ok(())
}
