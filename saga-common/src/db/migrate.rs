//! Migrations, run by the owner of the database before the service starts.

use super::DbError;
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::{Connection, PgConnection};
use std::time::Duration;

/// Runs the engine's migrations, then the service's, as the role of `owner_url`, and lets the role of `service_url`
/// work with the tables (no DDL). Safe to run from several replicas at once: sqlx holds an advisory lock.
///
/// # Errors
/// When the database is unreachable or a migration fails.
pub async fn migrate(owner_url: &str, service_url: &str, service: &Migrator) -> Result<(), DbError> {
    let mut tries = TRIES;
    loop {
        tries -= 1;
        match migrate_once(owner_url, service_url, service).await {
            Err(error) if tries > 0 && is_about_locks(&error) => {
                tracing::warn!(error = %error, "a table is in use; the migration is tried again");
                tokio::time::sleep(BETWEEN_TRIES).await;
            }
            ended => return ended,
        }
    }
}

/// So long a migration waits for a table that a replica works with: behind it everybody would wait who wants that table, too.
const LOCK_TIMEOUT: &str = "set lock_timeout = '5s'";
const TRIES: u32 = 10;
const BETWEEN_TRIES: Duration = Duration::from_secs(1);

/// Has it waited in vain for a lock, or been the victim of a deadlock with who held it?
fn is_about_locks(error: &DbError) -> bool {
    let database = match error {
        DbError::Migrate(MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _))
        | DbError::Sqlx(error) => error.as_database_error(),
        _ => None,
    };
    database.and_then(|error| error.code()).is_some_and(|code| matches!(code.as_ref(), "55P03" | "40P01"))
}

async fn migrate_once(owner_url: &str, service_url: &str, service: &Migrator) -> Result<(), DbError> {
    let mut connection = PgConnection::connect(owner_url).await?;
    sqlx::raw_sql(LOCK_TIMEOUT).execute(&mut connection).await?;
    let mut engine = sqlx::migrate!("./migrations");
    // A migrations table of its own: the engine's versions must not meet the service's.
    engine.create_schema("saga");
    engine.dangerous_set_table_name("saga.migrations");
    // A replica of the version before may start while the database is ahead of it: from the first release on migrations take
    // nothing away that it needs. (Before it, `one_row_a_unit` has put tables in the place of others: stop all replicas first.)
    engine.set_ignore_missing(true);
    engine.run(&mut connection).await?;
    // The service's own tables are held to the same.
    let mut service = Migrator::with_migrations(service.iter().cloned().collect());
    service.set_ignore_missing(true);
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
