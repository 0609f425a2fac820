//! The socket of a private PostgreSQL. Whoever is on the same machine asks through it for a third less processor time, on both
//! sides, than over TCP (docs/performance.md).

use std::fs;
use std::path::{Path, PathBuf};

use super::StackError;

/// What fits into a socket's address, with the zero byte at its end.
const ADDRESS_BYTES: usize = 108;

/// Where the server's socket is.
#[derive(Debug)]
pub(super) struct Socket {
    folder: String,
    file: PathBuf,
}

impl Socket {
    /// In the cluster's own folder, which nobody else may enter. There is none if the folder's name is too long for an address.
    pub(super) fn of(cluster: &Path, port: u16) -> Option<Self> {
        let file = cluster.join(format!(".s.PGSQL.{port}"));
        let fits = file.as_os_str().len() < ADDRESS_BYTES;
        // What the server's setting would take for several folders.
        let folder = cluster.to_str().filter(|folder| fits && !folder.contains([',', '"']))?;
        Some(Self { folder: folder.to_owned(), file })
    }

    /// PostgreSQL's setting for it.
    pub(super) fn setting(socket: Option<&Self>) -> String {
        format!("unix_socket_directories={}", socket.map_or("", |socket| &socket.folder))
    }

    /// The same database by this socket.
    pub(super) fn url(&self, url: &str) -> Result<String, StackError> {
        let wrong = |why: &str| StackError::Setting(format!("a URL to be reached by a socket is not one: {why}"));
        let mut url = reqwest::Url::parse(url).map_err(|error| wrong(&error.to_string()))?;
        let host: String = self.folder.bytes().map(encoded).collect();
        url.set_host(Some(&host)).map_err(|error| wrong(&error.to_string()))?;
        Ok(url.into())
    }

    /// Removes what a killed server has left: it names a process that may be somebody else by now.
    pub(super) fn clear_stale(&self) {
        for file in [self.file.clone(), self.file.with_added_extension("lock")] {
            let _ = fs::remove_file(file);
        }
    }
}

fn encoded(byte: u8) -> String {
    if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
        char::from(byte).to_string()
    } else {
        format!("%{byte:02X}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio_postgres::config::Host;

    #[test]
    fn a_url_by_the_socket_leads_to_the_same_database() {
        let folder = "/tmp/a folder/50%_ü/cluster";
        let socket = Socket::of(Path::new(folder), 5433).expect("short enough");
        let url = socket.url("postgres://orders:secret@127.0.0.1:5433/orders").expect("a URL");
        let config: tokio_postgres::Config = url.parse().expect(&url);
        assert_eq!(config.get_hosts(), [Host::Unix(folder.into())], "{url}");
        assert_eq!((config.get_ports(), config.get_dbname()), (&[5433][..], Some("orders")));
        assert_eq!((config.get_user(), config.get_password()), (Some("orders"), Some(&b"secret"[..])));
    }

    #[test]
    fn a_folder_that_makes_no_address_has_no_socket() {
        assert!(Socket::of(Path::new(&format!("/{}", "a".repeat(90))), 5433).is_some());
        assert!(Socket::of(Path::new(&format!("/{}", "a".repeat(95))), 5433).is_none());
        assert!(Socket::of(Path::new("/data/a,b"), 5433).is_none());
        assert_eq!(Socket::setting(None), "unix_socket_directories=");
    }
}
