//! Migrations, run by the owner of the database before the service starts.

use super::DbError;
use sqlx::migrate::Migrator;
use sqlx::{Connection, PgConnection};

/// Runs the engine's migrations, then the service's, as the role of `owner_url`, and lets the role of `service_url`
/// work with the tables (no DDL). Safe to run from several replicas at once: sqlx holds an advisory lock.
///
/// # Errors
/// When the database is unreachable or a migration fails.
pub async fn migrate(owner_url: &str, service_url: &str, service: &Migrator) -> Result<(), DbError> {
    let mut connection = PgConnection::connect(owner_url).await?;
    let mut engine = sqlx::migrate!("./migrations");
    // A migrations table of its own: the engine's versions must not meet the service's.
    engine.create_schema("saga");
    engine.dangerous_set_table_name("saga.migrations");
    // A replica of the version before may start while the database is ahead of it: from the first release on migrations
    // only ever add. (Before it, `one_row_a_unit` has put tables in the place of others: stop all replicas first.)
    engine.set_ignore_missing(true);
    engine.run(&mut connection).await?;
    service.run(&mut connection).await?;
    grant(&mut connection, service_url).await?;
    connection.close().await?;
    Ok(())
}

/// Lets the role of `service_url` work with what is there, and with what the owner makes later.
pub(crate) async fn grant(owner: &mut PgConnection, service_url: &str) -> Result<(), DbError> {
    let config: tokio_postgres::Config =
        service_url.parse().map_err(|e: tokio_postgres::Error| DbError::Url(e.to_string()))?;
    let Some(role) = config.get_user() else { return Ok(()) };
    let role = format!("\"{}\"", role.replace('"', "\"\""));
    // Grants and new partitions change the same catalogue rows, so replicas take turns with both (partitions/mod.rs).
    let grants = format!(
        "set lock_timeout = '30s';
         do $$ begin
           perform pg_advisory_xact_lock(hashtext('saga.partitions'));
           if current_user <> '{plain}' then
             grant usage on schema saga, public to {role};
             grant select, insert, update, delete on all tables in schema saga, public to {role};
             grant usage on all sequences in schema saga, public to {role};
             -- Also on partitions to come, which are written into by name.
             alter default privileges in schema saga grant select, insert, update, delete on tables to {role};
           end if;
         end $$",
        plain = config.get_user().unwrap_or_default().replace('\'', "''"),
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(grants)).execute(owner).await?;
    Ok(())
}
