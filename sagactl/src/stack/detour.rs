//! Lets a program reach its servers through something in between, such as a proxy that fails on purpose.

use super::StackError;

/// A server that a program is told of by URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Upstream {
    /// PostgreSQL.
    Database,
    /// RabbitMQ.
    Broker,
    /// The payment provider.
    Provider,
}

impl Upstream {
    /// The environment variable that holds its URL.
    pub(super) fn variable(self) -> &'static str {
        match self {
            Self::Database => "DATABASE_URL",
            Self::Broker => "AMQP_URL",
            Self::Provider => "PROVIDER_URL",
        }
    }
}

/// The same URL with another port of 127.0.0.1.
pub(super) fn detoured(url: &str, port: u16) -> Result<String, StackError> {
    let wrong = |why: &str| StackError::Setting(format!("a URL to be reached by a detour is not one: {why}"));
    let mut url = reqwest::Url::parse(url).map_err(|error| wrong(&error.to_string()))?;
    url.set_host(Some("127.0.0.1")).map_err(|error| wrong(&error.to_string()))?;
    url.set_port(Some(port)).map_err(|()| wrong("it can have no port"))?;
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_detour_changes_the_address_and_nothing_else() {
        for (url, expected) in [
            ("postgres://u:p@localhost:5432/orders", "postgres://u:p@127.0.0.1:7/orders"),
            ("postgres://u:p@%2Fdata%2Fcluster:5432/orders", "postgres://u:p@127.0.0.1:7/orders"),
            ("amqp://u:p@127.0.0.1:5672/vhost", "amqp://u:p@127.0.0.1:7/vhost"),
            ("http://127.0.0.1:8090", "http://127.0.0.1:7"),
        ] {
            assert_eq!(detoured(url, 7).expect(url), expected);
        }
    }
}
