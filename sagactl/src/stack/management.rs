//! RabbitMQ's management API, as far as a stack needs it.

use std::collections::BTreeMap;
use std::time::Duration;

use reqwest::{Method, StatusCode, Url};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::StackError;

/// Where RabbitMQ's management UI and API are, and who may enter.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Management {
    /// Without credentials and without a slash at the end; also the address of the UI.
    pub url: String,
    /// An administrator.
    pub user: String,
    /// The administrator's password.
    pub password: String,
}

/// One queue as the management API sees it. Counts may be a second old; for exact ones declare the queue passively over AMQP.
#[derive(Debug, Clone, Deserialize)]
pub struct Queue {
    /// The queue's name.
    pub name: String,
    /// `quorum` or `classic`.
    #[serde(rename = "type", default)]
    pub kind: String,
    /// Messages waiting or being handled.
    #[serde(default)]
    pub messages: u64,
    /// Messages delivered and not yet acknowledged.
    #[serde(default)]
    pub messages_unacknowledged: u64,
    /// How many consumers it has.
    #[serde(default)]
    pub consumers: u64,
    /// Is it there after a restart?
    #[serde(default)]
    pub durable: bool,
    /// Its `x-` arguments.
    #[serde(default)]
    pub arguments: BTreeMap<String, Value>,
}

/// One exchange as the management API sees it.
#[derive(Debug, Clone, Deserialize)]
pub struct Exchange {
    /// Its name; the default exchange has none.
    pub name: String,
    /// `direct`, `fanout`, ..
    #[serde(rename = "type")]
    pub kind: String,
    /// Is it there after a restart?
    pub durable: bool,
}

/// One binding as the management API sees it.
#[derive(Debug, Clone, Deserialize)]
pub struct Binding {
    /// The exchange; the default exchange has no name, and is bound to every queue by itself.
    pub source: String,
    /// The queue.
    pub destination: String,
    /// The routing key.
    pub routing_key: String,
}

impl Management {
    /// Takes `http://user:password@host:port` apart.
    pub(super) fn parse(url: &str) -> Result<Self, StackError> {
        let wrong = |_| StackError::Setting("the management URL must look like http://user:password@host:15672".into());
        let mut url = Url::parse(url).map_err(wrong)?;
        let (user, password) = (url.username().to_owned(), url.password().unwrap_or_default().to_owned());
        // Neither fails on a URL that has a host.
        let _ = (url.set_username(""), url.set_password(None));
        Ok(Self { url: url.as_str().trim_end_matches('/').to_owned(), user, password })
    }

    /// Makes a virtual host if it is not there, with all rights for this user.
    pub async fn create_vhost(&self, vhost: &str) -> Result<(), StackError> {
        let all = json!({"configure": ".*", "write": ".*", "read": ".*"});
        self.call(Method::PUT, &["vhosts", vhost], Some(json!({}))).await?;
        self.call(Method::PUT, &["permissions", vhost, &self.user], Some(all)).await.map(drop)
    }

    /// Removes a virtual host with all that is in it. Not an error if there is none.
    pub async fn delete_vhost(&self, vhost: &str) -> Result<(), StackError> {
        self.call(Method::DELETE, &["vhosts", vhost], None).await.map(drop)
    }

    /// RabbitMQ's version.
    pub async fn version(&self) -> Result<String, StackError> {
        let overview = self.call(Method::GET, &["overview"], None).await?;
        Ok(overview["rabbitmq_version"].as_str().unwrap_or_default().to_owned())
    }

    /// The queues of a virtual host.
    pub async fn queues(&self, vhost: &str) -> Result<Vec<Queue>, StackError> {
        self.list("queues", vhost).await
    }

    /// The exchanges of a virtual host, the broker's own among them.
    pub async fn exchanges(&self, vhost: &str) -> Result<Vec<Exchange>, StackError> {
        self.list("exchanges", vhost).await
    }

    /// The bindings of a virtual host.
    pub async fn bindings(&self, vhost: &str) -> Result<Vec<Binding>, StackError> {
        self.list("bindings", vhost).await
    }

    /// The consumers' tags in a virtual host.
    pub async fn consumer_tags(&self, vhost: &str) -> Result<Vec<String>, StackError> {
        let consumers: Vec<Value> = self.list("consumers", vhost).await?;
        Ok(consumers.iter().filter_map(|it| Some(it["consumer_tag"].as_str()?.to_owned())).collect())
    }

    /// What the clients of a virtual host call their connections.
    pub async fn connection_names(&self, vhost: &str) -> Result<Vec<String>, StackError> {
        let connections = self.call(Method::GET, &["vhosts", vhost, "connections"], None).await?;
        let name = |it: &Value| it["client_properties"]["connection_name"].as_str().unwrap_or_default().to_owned();
        Ok(connections.as_array().into_iter().flatten().map(name).collect())
    }

    /// "Get messages": the first messages of a queue, which stay there.
    pub async fn messages(&self, vhost: &str, queue: &str, most: u32) -> Result<Vec<Value>, StackError> {
        let ask = json!({"count": most, "ackmode": "ack_requeue_true", "encoding": "auto"});
        let messages = self.call(Method::POST, &["queues", vhost, queue, "get"], Some(ask)).await?;
        Ok(messages.as_array().cloned().unwrap_or_default())
    }

    async fn list<T: DeserializeOwned>(&self, what: &str, vhost: &str) -> Result<Vec<T>, StackError> {
        let list = self.call(Method::GET, &[what, vhost], None).await?;
        serde_json::from_value(list).map_err(|error| {
            StackError::Setting(format!("the management API lists {what} in an unknown form: {error}"))
        })
    }

    /// Deletes a queue with the messages in it, consumers or not. Not an error if there is none.
    pub async fn delete_queue(&self, vhost: &str, queue: &str) -> Result<(), StackError> {
        self.call(Method::DELETE, &["queues", vhost, queue], None).await.map(drop)
    }

    /// Throws away the messages that wait in a queue.
    pub async fn purge_queue(&self, vhost: &str, queue: &str) -> Result<(), StackError> {
        self.call(Method::DELETE, &["queues", vhost, queue, "contents"], None).await.map(drop)
    }

    /// Closes every client connection of a virtual host, as an operator could. Returns how many.
    pub async fn close_connections(&self, vhost: &str) -> Result<usize, StackError> {
        let connections = self.call(Method::GET, &["vhosts", vhost, "connections"], None).await?;
        let names: Vec<&str> =
            connections.as_array().into_iter().flatten().filter_map(|it| it["name"].as_str()).collect();
        for name in &names {
            self.call(Method::DELETE, &["connections", name], None).await?;
        }
        Ok(names.len())
    }

    /// As [`Management::close_connections`], for those alone whose client calls itself something that begins so.
    pub async fn close_connections_of(&self, vhost: &str, name: &str) -> Result<usize, StackError> {
        let connections = self.call(Method::GET, &["vhosts", vhost, "connections"], None).await?;
        let calls_itself =
            |it: &Value| it["client_properties"]["connection_name"].as_str().unwrap_or_default().to_owned();
        let of_client = |it: &&Value| calls_itself(it).starts_with(name);
        let connections = connections.as_array().into_iter().flatten().filter(of_client);
        let names: Vec<&str> = connections.filter_map(|it| it["name"].as_str()).collect();
        for name in &names {
            self.call(Method::DELETE, &["connections", name], None).await?;
        }
        Ok(names.len())
    }

    /// One call of the API; a 404 of a DELETE is success.
    async fn call(&self, method: Method, path: &[&str], body: Option<Value>) -> Result<Value, StackError> {
        let doing = format!("{method} /api/{}", path.join("/"));
        let failed = |source| StackError::Management { doing: doing.clone(), source };
        let mut url =
            Url::parse(&self.url).map_err(|error| StackError::Setting(format!("{} is no URL: {error}", self.url)))?;
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().push("api").extend(path);
        }
        // No idle connections: tests use one `Management` from many runtimes, and a connection dies with the runtime that made it.
        let client = reqwest::Client::builder()
            .no_proxy()
            .pool_max_idle_per_host(0)
            .timeout(Duration::from_secs(30))
            .build()
            .map_err(failed)?;
        let mut request = client.request(method.clone(), url).basic_auth(&self.user, Some(&self.password));
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.send().await.map_err(failed)?;
        if method == Method::DELETE && response.status() == StatusCode::NOT_FOUND {
            return Ok(Value::Null);
        }
        let bytes = response.error_for_status().map_err(failed)?.bytes().await.map_err(failed)?;
        Ok(serde_json::from_slice(&bytes).unwrap_or_default())
    }
}
