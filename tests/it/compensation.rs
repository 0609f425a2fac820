//! Refusals: everybody undoes, nobody keeps what is not theirs.

use crate::world::{MUG, Outcome, POOR, TEAPOT, World, order};
use sagactl::client::OrderStatus;

#[tokio::test]
async fn declined_payment_restocks_and_cancels() -> Outcome {
    let world = World::start().await?;
    let before = world.client.stock(MUG).await?;
    let id = world.place(&order(POOR, MUG, 3, "wallet")).await?.id;
    let ended = world.ends(id, OrderStatus::Cancelled).await?;
    assert!(ended.reason.is_some_and(|reason| reason.contains("payment.declined")));
    assert_eq!(ended.answers.given.len(), 2, "both have answered");
    world.assert_consistent().await?;
    let after = world.client.stock(MUG).await?;
    assert_eq!((after.available, after.reserved), (before.available, before.reserved));
    assert_eq!(world.client.notifications(id).await?.len(), 1);
    Ok(())
}

#[tokio::test]
async fn out_of_stock_cancels_and_charges_nobody() -> Outcome {
    let world = World::start().await?;
    let id = world.place(&order("anna", TEAPOT, 1, "wallet")).await?.id;
    let ended = world.ends(id, OrderStatus::Cancelled).await?;
    assert!(ended.reason.is_some_and(|reason| reason.contains("stock.rejected")));
    world.assert_consistent().await?;
    assert!(world.client.payment(id).await.is_err_and(|error| error.is_not_found()), "payment-svc knows of no charge");
    Ok(())
}

#[tokio::test]
async fn declined_cards_restock_and_cancel() -> Outcome {
    let world = World::start().await?;
    for method in ["pm_card_chargeDeclined", "pm_card_chargeDeclinedInsufficientFunds", "pm_card_noSuchCard"] {
        let id = world.place(&order("anna", MUG, 1, method)).await?.id;
        world.ends(id, OrderStatus::Cancelled).await?;
    }
    world.assert_consistent().await
}
