//! A mail server for tests: `mailin` speaks SMTP, this keeps what it was given, refuses whom it is told to, and can be away.

use mailin::response::{NO_MAILBOX, NO_SERVICE, OK};
use mailin::{Action, Handler, Response, Session, SessionBuilder};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinHandle;

/// An e-mail as it arrived.
#[derive(Debug, Clone)]
pub(crate) struct Arrived {
    pub(crate) from: String,
    pub(crate) to: Vec<String>,
    pub(crate) text: String,
}

impl Arrived {
    /// A header's value.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let headers = self.text.split("\r\n\r\n").next()?;
        headers.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }
}

/// What the server does, beside keeping e-mails.
#[derive(Debug, Default)]
struct Conduct {
    arrived: Vec<Arrived>,
    connections: usize,
    /// Takes nothing for names that begin so.
    refuses: Option<&'static str>,
    /// Keeps so many more e-mails, and then ends the connection instead of saying so.
    forgets_to_answer: usize,
    /// Says nothing to whoever says goodbye, and does not go either.
    ignores_goodbyes: bool,
    /// Tells every connection that it serves nobody now.
    is_busy: bool,
}

#[derive(Clone)]
pub(crate) struct MailServer {
    pub(crate) address: SocketAddr,
    conduct: Arc<Mutex<Conduct>>,
    running: Arc<Mutex<Option<JoinHandle<()>>>>,
}

impl MailServer {
    /// One that is away: its port is nobody else's meanwhile.
    pub(crate) fn away() -> io::Result<Self> {
        let address = bind("127.0.0.1:0".parse().map_err(io::Error::other)?)?.local_addr()?;
        Ok(Self { address, conduct: Arc::default(), running: Arc::default() })
    }

    pub(crate) fn start() -> io::Result<Self> {
        let server = Self::away()?;
        server.come_back()?;
        Ok(server)
    }

    pub(crate) fn come_back(&self) -> io::Result<()> {
        let listener = bind(self.address)?;
        let conduct = Arc::clone(&self.conduct);
        let serving = tokio::spawn(async move {
            while let Ok((stream, peer)) = listener.accept().await {
                conduct.lock().expect("nobody panicked").connections += 1;
                tokio::spawn(serve(stream, peer.ip(), Arc::clone(&conduct)));
            }
        });
        *self.running.lock().expect("nobody panicked") = Some(serving);
        Ok(())
    }

    pub(crate) fn refuse(&self, names: &'static str) {
        self.conduct.lock().expect("nobody panicked").refuses = Some(names);
    }

    pub(crate) fn forget_to_answer(&self, times: usize) {
        self.conduct.lock().expect("nobody panicked").forgets_to_answer = times;
    }

    pub(crate) fn ignore_goodbyes(&self) {
        self.conduct.lock().expect("nobody panicked").ignores_goodbyes = true;
    }

    pub(crate) fn is_busy(&self, busy: bool) {
        self.conduct.lock().expect("nobody panicked").is_busy = busy;
    }

    pub(crate) fn arrived(&self) -> Vec<Arrived> {
        self.conduct.lock().expect("nobody panicked").arrived.clone()
    }

    pub(crate) fn connections(&self) -> usize {
        self.conduct.lock().expect("nobody panicked").connections
    }
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(64)
}

async fn serve(stream: TcpStream, peer: IpAddr, conduct: Arc<Mutex<Conduct>>) -> io::Result<()> {
    let ignores_goodbyes = conduct.lock().expect("nobody panicked").ignores_goodbyes;
    let clerk = Clerk { conduct, envelope: Arrived { from: String::new(), to: vec![], text: String::new() } };
    let mut session: Session<Clerk> = SessionBuilder::new("mail.test").build(peer, clerk);
    let mut stream = BufReader::new(stream);
    let greeting = session.greeting().buffer()?;
    stream.write_all(&greeting).await?;
    let mut line = Vec::new();
    while stream.read_until(b'\n', &mut line).await? > 0 {
        if line.starts_with(b"QUIT") && ignores_goodbyes {
            return std::future::pending().await;
        }
        let response = session.process(&line);
        line.clear();
        // No code of SMTP: the clerk has kept the e-mail and is to say nothing.
        if response.code == SILENCE {
            return Ok(());
        }
        match response.action {
            Action::NoReply => {}
            Action::Reply | Action::UpgradeTls => stream.write_all(&response.buffer()?).await?,
            Action::Close => return stream.write_all(&response.buffer()?).await,
        }
    }
    Ok(())
}

const SILENCE: u16 = 999;

struct Clerk {
    conduct: Arc<Mutex<Conduct>>,
    envelope: Arrived,
}

impl Handler for Clerk {
    fn helo(&mut self, _: IpAddr, _: &str) -> Response {
        if self.conduct.lock().expect("nobody panicked").is_busy { NO_SERVICE } else { OK }
    }

    fn mail(&mut self, _: IpAddr, _: &str, from: &str) -> Response {
        self.envelope = Arrived { from: from.to_owned(), to: vec![], text: String::new() };
        OK
    }

    fn rcpt(&mut self, to: &str) -> Response {
        let refuses = self.conduct.lock().expect("nobody panicked").refuses;
        if refuses.is_some_and(|names| to.starts_with(names)) {
            return NO_MAILBOX;
        }
        self.envelope.to.push(to.to_owned());
        OK
    }

    fn data(&mut self, line: &[u8]) -> io::Result<()> {
        self.envelope.text.push_str(&String::from_utf8_lossy(line));
        Ok(())
    }

    fn data_end(&mut self) -> Response {
        let mut conduct = self.conduct.lock().expect("nobody panicked");
        conduct.arrived.push(self.envelope.clone());
        if conduct.forgets_to_answer > 0 {
            conduct.forgets_to_answer -= 1;
            return Response::custom(SILENCE, String::new());
        }
        OK
    }
}
