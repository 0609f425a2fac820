//! Databases of versions before: what is in them stays true.

use crate::MIGRATOR;
use saga_common::SagaId;
use sagactl::stack::Servers;
use sqlx::PgPool;

/// The last without a log of what moved.
const BEFORE_THE_LOG: i64 = 20_261_122_000_201;

#[tokio::test]
async fn what_was_on_record_before_the_log_is_its_beginning() -> Result<(), Box<dyn std::error::Error>> {
    let servers = Servers::shared().await?;
    let name = format!("upgrade_{}", SagaId::new().as_uuid().simple());
    let database = PgPool::connect(&servers.create_database(&name).await?).await?;
    MIGRATOR.run_to(BEFORE_THE_LOG, &database).await?;
    let sold =
        "with sold as (update stock set available = available - 4, sold = 3, reserved = 1 where sku = 'MUG-STONE')
         insert into stock_adjustments (sku, delta) values ('SCALE-01', 5), ('SCALE-01', 0), ('SCALE-01', -7)";
    sqlx::query(sold).execute(&database).await?;
    sqlx::query("update stock set available = available - 2 where sku = 'SCALE-01'").execute(&database).await?;

    MIGRATOR.run(&database).await?;
    let lines = "select kind || ' ' || change || ' ' || total from stock_movements where sku = 'SCALE-01' order by id";
    let lines: Vec<String> = sqlx::query_scalar(lines).fetch_all(&database).await?;
    assert_eq!(lines, ["opening 100000 100000", "opening 5 100005", "opening 0 100005", "opening -7 99998"]);
    let unbalanced = "select count(*) from stock s where available + reserved + sold is distinct from
        (select total from stock_movements m where m.sku = s.sku order by id desc limit 1)";
    assert_eq!(sqlx::query_scalar::<_, i64>(unbalanced).fetch_one(&database).await?, 0);
    Ok(())
}
