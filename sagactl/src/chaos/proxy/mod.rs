//! A TCP proxy that misbehaves on command. One stands between each service and each of its servers.

use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

mod mode;
mod pump;

pub use mode::{Direction, Mode};

use mode::State;
use pump::{End, Pump};

/// A proxy on a port of its own. Dropping it closes everything.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    state: watch::Sender<State>,
    struck: Arc<AtomicU64>,
    serving: JoinHandle<()>,
}

impl Proxy {
    /// Listens on a free port of 127.0.0.1 for connections to a port of 127.0.0.1, which need not be there yet.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn to(upstream_port: u16) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let port = listener.local_addr()?.port();
        let (state, follow) = watch::channel(State::default());
        let struck = Arc::<AtomicU64>::default();
        let serving = tokio::spawn(serve(listener, upstream_port, follow, Arc::clone(&struck)));
        Ok(Self { port, state, struck, serving })
    }

    /// Where it listens.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Behaves like this from now on, also on connections that are open.
    pub fn set(&self, mode: Mode) {
        self.state.send_modify(|state| state.mode = mode);
    }

    /// Cuts every open connection with RST.
    pub fn cut(&self) {
        self.state.send_modify(|state| state.cuts += 1);
    }

    /// How often something has been done to a connection so far: refused, cut, or bytes of it held, lost or slowed.
    #[must_use]
    pub fn struck(&self) -> u64 {
        self.struck.load(Ordering::Relaxed)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn serve(listener: TcpListener, upstream_port: u16, state: watch::Receiver<State>, struck: Arc<AtomicU64>) {
    // Aborted with this task.
    let mut connections = JoinSet::new();
    loop {
        let Ok((client, _)) = listener.accept().await else {
            // Out of descriptors, as a rule; those that end make room.
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            continue;
        };
        while connections.try_join_next().is_some() {}
        connections.spawn(carry(client, upstream_port, state.clone(), Arc::clone(&struck)));
    }
}

/// One connection, from its beginning to its end.
async fn carry(client: TcpStream, upstream_port: u16, state: watch::Receiver<State>, struck: Arc<AtomicU64>) {
    if state.borrow().mode == Mode::Refuse {
        struck.fetch_add(1, Ordering::Relaxed);
        let _ = client.set_zero_linger();
        return;
    }
    let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, upstream_port)).await else {
        // What a port that nobody listens on does.
        let _ = client.set_zero_linger();
        return;
    };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let (mut client, mut server) = (client, server);
    let cuts = state.borrow().cuts;
    let end = {
        let (client_reads, client_writes) = client.split();
        let (server_reads, server_writes) = server.split();
        let lost = AtomicBool::new(false);
        let pump = |direction| Pump::new(direction, state.clone(), cuts, &struck, &lost);
        tokio::select! {
            end = pump(Direction::ToServer).run(client_reads, server_writes) => end,
            end = pump(Direction::ToClient).run(server_reads, client_writes) => end,
        }
    };
    if end == End::Reset {
        let _ = (client.set_zero_linger(), server.set_zero_linger());
    }
}

#[cfg(test)]
mod tests;
