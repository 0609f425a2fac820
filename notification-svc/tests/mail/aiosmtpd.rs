//! A mail server that others have written: Debian's `aiosmtpd`, which keeps what it takes in a maildir.

use super::Outcome;
use sagactl::stack::{Servers, eventually};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

pub(crate) struct Aiosmtpd {
    pub(crate) address: String,
    maildir: PathBuf,
    process: Option<Child>,
}

impl Aiosmtpd {
    pub(crate) async fn start() -> Outcome<Self> {
        let address = format!("127.0.0.1:{}", Servers::shared().await?.take_port()?);
        let maildir = std::env::temp_dir().join(format!("ordersaga-maildir-{}", uuid::Uuid::now_v7()));
        let mut server = Self { address, maildir, process: None };
        server.again().await?;
        Ok(server)
    }

    pub(crate) async fn again(&mut self) -> Outcome {
        let spawned = Command::new("aiosmtpd")
            .args(["--nosetuid", "--listen", &self.address, "--class", "aiosmtpd.handlers.Mailbox"])
            .arg(&self.maildir)
            .stdout(Stdio::null())
            .spawn();
        let missing = |error| format!("aiosmtpd is not there (apt-get install python3-aiosmtpd): {error}");
        self.process = Some(spawned.map_err(missing)?);
        eventually("aiosmtpd listens", || async { Ok(TcpStream::connect(&self.address).ok()) }).await?;
        Ok(())
    }

    pub(crate) fn end(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }

    /// What has arrived, as it stands in the files.
    pub(crate) fn arrived(&self) -> Outcome<Vec<String>> {
        let files = std::fs::read_dir(self.maildir.join("new"))?;
        files.map(|file| Ok(std::fs::read_to_string(file?.path())?)).collect()
    }
}

impl Drop for Aiosmtpd {
    fn drop(&mut self) {
        self.end();
        let _ = std::fs::remove_dir_all(&self.maildir);
    }
}
