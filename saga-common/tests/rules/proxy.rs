//! Stands between a participant and the broker, and can keep its connections of one purpose away.

use crate::world::Fallible;
use lapin::uri::AMQPUri;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// A purpose, as the engine puts it into the names of its connections.
pub(crate) const PURPOSES: [&str; 2] = ["/consumer@", "/publisher@"];

pub(crate) struct Proxy {
    pub(crate) url: String,
    refused: watch::Sender<Option<&'static str>>,
    /// How many connections to publish on there have been.
    publishers: Arc<AtomicUsize>,
}

impl Proxy {
    /// Begins to listen, in the background, for as long as the test runs.
    pub(crate) async fn start(broker_url: &str) -> Fallible<Self> {
        let broker: AMQPUri = broker_url.parse()?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let mut url = broker.clone();
        (url.authority.host, url.authority.port) = ("127.0.0.1".to_owned(), listener.local_addr()?.port());
        let (refused, refusals) = watch::channel(None);
        let publishers = Arc::<AtomicUsize>::default();
        let counted = Arc::clone(&publishers);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let broker = (broker.authority.host.clone(), broker.authority.port);
                tokio::spawn(carry(client, broker, refusals.clone(), Arc::clone(&counted)));
            }
        });
        Ok(Self { url: url.to_string(), refused, publishers })
    }

    /// How many connections to publish on there have been.
    pub(crate) fn publishers(&self) -> usize {
        self.publishers.load(Ordering::SeqCst)
    }

    /// Ends the connections of this purpose and lets no new one through; all others are let through.
    pub(crate) fn refuse(&self, purpose: Option<&'static str>) {
        self.refused.send_replace(purpose);
    }
}

/// Carries one connection until one side ends it or its purpose is refused.
async fn carry(
    client: TcpStream,
    broker: (String, u16),
    mut refused: watch::Receiver<Option<&'static str>>,
    publishers: Arc<AtomicUsize>,
) -> io::Result<()> {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_broker, mut to_broker) = TcpStream::connect(broker).await?.into_split();
    let answers = tokio::io::copy(&mut from_broker, &mut to_client);
    let questions = async {
        let (mut purpose, mut buffer) = (None, vec![0; 65_536]);
        loop {
            let read = tokio::select! {
                read = from_client.read(&mut buffer) => read?,
                changed = refused.changed() => { changed.map_err(io::Error::other)?; 0 }
            };
            // The client tells its name in its first words.
            let tells = |wanted: &&str| buffer[..read].windows(wanted.len()).any(|words| words == wanted.as_bytes());
            if purpose.is_none() {
                purpose = PURPOSES.into_iter().find(tells);
                publishers.fetch_add(usize::from(purpose == Some(PURPOSES[1])), Ordering::SeqCst);
            }
            if purpose.is_some() && *refused.borrow() == purpose {
                return Ok(());
            }
            to_broker.write_all(&buffer[..read]).await?;
        }
    };
    tokio::select! { answered = answers => answered.map(drop), asked = questions => asked }
}
