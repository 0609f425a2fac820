//! Databases and roles, made by PostgreSQL's administrator.

use std::sync::Arc;
use std::thread;

use tokio_postgres::config::Host;
use tokio_postgres::{Client, Config};

use super::data::password;
use super::{Program, Servers, StackError, session};

/// Makes database and role `name`. Returns the role's URL; its password is new each time.
pub(super) async fn create_database(admin_url: &str, name: &str) -> Result<String, StackError> {
    check(name)?;
    let password = password();
    let failed = |source| StackError::Postgres { doing: format!("create database {name}"), source };
    let admin = connect(admin_url).await?;
    // Neither statement takes parameters; name and password are letters and digits by construction.
    let role = admin.query_opt("SELECT FROM pg_roles WHERE rolname = $1", &[&name]).await.map_err(failed)?;
    let verb = if role.is_some() { "ALTER" } else { "CREATE" };
    admin.batch_execute(&format!("{verb} ROLE \"{name}\" LOGIN PASSWORD '{password}'")).await.map_err(failed)?;
    let database = admin.query_opt("SELECT FROM pg_database WHERE datname = $1", &[&name]).await.map_err(failed)?;
    if database.is_none() {
        // An administrator that is no superuser can only give a database to a role that it is a member of.
        admin.batch_execute(&format!("GRANT \"{name}\" TO CURRENT_USER")).await.map_err(failed)?;
        admin
            .batch_execute(&format!("CREATE DATABASE \"{name}\" OWNER \"{name}\" TEMPLATE template0"))
            .await
            .map_err(failed)?;
        admin
            .batch_execute(&format!("REVOKE CONNECT, TEMPORARY ON DATABASE \"{name}\" FROM PUBLIC"))
            .await
            .map_err(failed)?;
    }
    let (host, port) = address(admin_url)?;
    Ok(format!("postgres://{name}:{password}@{host}:{port}/{name}"))
}

/// Removes database and role `name`.
pub(super) async fn drop_database(admin_url: &str, name: &str) -> Result<(), StackError> {
    check(name)?;
    let failed = |source| StackError::Postgres { doing: format!("drop database {name}"), source };
    let admin = connect(admin_url).await?;
    admin.batch_execute(&format!("DROP DATABASE IF EXISTS \"{name}\" WITH (FORCE)")).await.map_err(failed)?;
    admin.batch_execute(&format!("DROP ROLE IF EXISTS \"{name}\"")).await.map_err(failed)
}

/// Removes the databases and the virtual host of a stack that is gone. Best effort, on a thread of its own: drops cannot wait for it, and
/// temporary servers go away with all they hold anyway.
pub(super) fn remove_in_background(servers: Arc<Servers>, prefix: &str, vhost: String) {
    let databases = Program::ALL.into_iter().filter_map(Program::database).map(|name| format!("{prefix}{name}"));
    let databases: Vec<String> = databases.collect();
    let remove = async move {
        let _ = servers.management().delete_vhost(&vhost).await;
        for name in databases {
            let _ = servers.drop_database(&name).await;
        }
    };
    let run = || {
        if let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() {
            runtime.block_on(remove);
        }
    };
    let _ = thread::Builder::new().name("stack removal".into()).spawn(run);
}

async fn connect(url: &str) -> Result<Client, StackError> {
    let failed = |source| StackError::Postgres { doing: "connect as administrator".into(), source };
    session(url).await.map_err(failed)
}

fn check(name: &str) -> Result<(), StackError> {
    let fits = name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.len() <= 63
        && name.chars().all(|it| it.is_ascii_lowercase() || it.is_ascii_digit() || it == '_');
    if fits {
        Ok(())
    } else {
        Err(StackError::Setting(format!("{name:?} is no database name: lower-case letters, digits and _, at most 63")))
    }
}

fn address(url: &str) -> Result<(String, u16), StackError> {
    let wrong = || StackError::Setting("the PostgreSQL URL must name one TCP host".into());
    let config: Config = url.parse().map_err(|_| wrong())?;
    match config.get_hosts() {
        [Host::Tcp(host)] => Ok((host.clone(), config.get_ports().first().copied().unwrap_or(5432))),
        _ => Err(wrong()),
    }
}
