//! A look into a database, or a hand in it, from outside of the services.

use tokio_postgres::{Client, NoTls};

/// Opens a session on the database at `url`; it ends when the client is dropped.
///
/// # Errors
/// PostgreSQL's, for example that nobody listens.
pub async fn session(url: &str) -> Result<Client, tokio_postgres::Error> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    // What goes wrong with the connection shows in the client's calls.
    tokio::spawn(connection);
    Ok(client)
}
