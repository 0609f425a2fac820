//! Where e-mails go: to a mail server, or into a file.

use super::Mail;
use super::letter::{self, Unwritable};
use super::mbox;
use crate::config::MailSettings;
use futures::future::join_all;
use lettre::message::Mailbox;
use lettre::transport::smtp::AsyncSmtpTransportBuilder;
use lettre::transport::smtp::authentication::Credentials;
use lettre::{Address, AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;

/// E-mails that are handed to the mail server at the same time, each over a connection of its own, which nobody uses again: what was
/// given up half-way still gets answers, and who came next would take them for its own.
const CONNECTIONS: usize = 8;
/// Entries that are written at the same time.
const ENTRIES: usize = 256;
/// Reaching the mail server.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);

/// The settings of e-mail cannot work.
#[derive(Debug, thiserror::Error)]
pub enum PostError {
    /// Not a URL of a mail server, or one that needs TLS in a build without it.
    #[error("SMTP_URL is not smtp://host:port, and TLS needs a build with the feature `tls`")]
    Url,
    /// No address that e-mails could come from.
    #[error("MAIL_FROM is no address")]
    From(#[source] lettre::address::AddressError),
    /// No domain that customers could be at.
    #[error("MAIL_DOMAIN is no domain")]
    Domain(#[source] lettre::address::AddressError),
    /// The folder for e-mails cannot be made.
    #[error("MAIL_DIR cannot be made")]
    Folder(#[source] std::io::Error),
    /// The password's file cannot be read.
    #[error(transparent)]
    Setting(#[from] saga_common::config::SettingError),
}

/// Why an e-mail is not with the mail server.
#[derive(Debug)]
pub(super) enum Unsent {
    /// It never will be: the server's sentence.
    Refused(String),
    /// Perhaps later.
    NotNow(String),
}

/// Sends e-mails.
pub(crate) struct Post {
    from: Mailbox,
    domain: String,
    by: Way,
}

enum Way {
    /// How to reach it: each e-mail has a pool of its own, whose goodbye nobody waits for.
    Smtp(AsyncSmtpTransportBuilder),
    Files(Folder),
}

/// Where the files are. One write at a time: a disk that hangs holds up one thread, not one more for each attempt.
struct Folder {
    path: PathBuf,
    writing: Arc<Mutex<()>>,
}

impl Post {
    pub(crate) fn new(settings: &MailSettings) -> Result<Self, PostError> {
        let from = settings.mail_from.parse().map_err(PostError::From)?;
        let domain = settings.mail_domain.clone();
        Address::new("anybody", &domain).map_err(PostError::Domain)?;
        let by = match settings.smtp_url() {
            Some(url) => {
                let smtp = server(url).ok_or(PostError::Url)?.timeout(Some(CONNECT_LIMIT));
                let smtp = match settings.credentials()? {
                    Some((user, password)) => smtp.credentials(Credentials::new(user, password)),
                    None => smtp,
                };
                Way::Smtp(smtp)
            }
            None => {
                std::fs::create_dir_all(&settings.mail_dir).map_err(PostError::Folder)?;
                Way::Files(Folder { path: settings.mail_dir.clone(), writing: Arc::default() })
            }
        };
        Ok(Self { from, domain, by })
    }

    /// How many are under way at the same time.
    pub(super) fn at_once(&self) -> usize {
        match self.by {
            Way::Smtp(_) => CONNECTIONS,
            Way::Files(_) => ENTRIES,
        }
    }

    /// How many one call of [`send`](Self::send) is for at most.
    pub(super) fn in_one_call(&self) -> usize {
        match self.by {
            Way::Smtp(_) => 1,
            Way::Files(_) => ENTRIES,
        }
    }

    /// Sends them; says of each what became of it. Done again, it is the same e-mail once more, under the same Message-ID, by which
    /// a mail server or reader may see that it has it.
    pub(super) async fn send(&self, mails: &[Mail]) -> Vec<Result<(), Unsent>> {
        // What cannot be written today may be by the next version of this program.
        let unwritable = |error: Unwritable| Unsent::NotNow(error.to_string());
        let written = mails.iter().map(|mail| letter::write(mail, &self.from, &self.domain).map_err(unwritable));
        match &self.by {
            Way::Smtp(smtp) => join_all(written.map(async |message| hand_over(smtp, message?).await)).await,
            Way::Files(folder) => {
                let entry = |(message, mail): (Result<Message, _>, &Mail)| {
                    Ok(mbox::entry(self.from.email.as_ref(), mail.created_at, &message?.formatted()))
                };
                folder.keep(written.zip(mails).map(entry).collect()).await
            }
        }
    }
}

/// The mail server of a URL.
#[cfg(feature = "tls")]
fn server(url: &str) -> Option<AsyncSmtpTransportBuilder> {
    AsyncSmtpTransport::<Tokio1Executor>::from_url(url).ok()
}

/// The mail server of a URL: in plain text, which is all there is without TLS.
#[cfg(not(feature = "tls"))]
fn server(url: &str) -> Option<AsyncSmtpTransportBuilder> {
    let url: axum::http::Uri = url.parse().ok()?;
    let plain = url.scheme_str() == Some("smtp") && url.query().is_none() && !url.authority()?.as_str().contains('@');
    let host = url.host().filter(|_| plain)?;
    Some(AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(host).port(url.port_u16().unwrap_or(SMTP_PORT)))
}

#[cfg(not(feature = "tls"))]
const SMTP_PORT: u16 = 25;

async fn hand_over(smtp: &AsyncSmtpTransportBuilder, message: Message) -> Result<(), Unsent> {
    let smtp: AsyncSmtpTransport<Tokio1Executor> = smtp.clone().build();
    let Err(error) = smtp.send(message).await else { return Ok(()) };
    let said = saga_common::error::chain(&error);
    if error.is_permanent() && is_about_the_recipient(&said) {
        Err(Unsent::Refused(said))
    } else {
        Err(Unsent::NotNow(said))
    }
}

/// A permanent no may be to us: no login, a sender that is not welcome, a quota. Then the e-mail waits until somebody has mended that. It
/// is to the recipient if the server says so (RFC 3463: 5.1.x, but for the sender's 5.1.7 and 5.1.8), or gives 550 and no such code.
fn is_about_the_recipient(said: &str) -> bool {
    let words = || said.split(|c: char| c.is_whitespace() || "():;,-".contains(c));
    match words().find(|word| word.starts_with("5.") && word.matches('.').count() == 2) {
        Some(code) => code.starts_with("5.1.") && !["5.1.7", "5.1.8"].contains(&code),
        None => words().any(|word| word == "550"),
    }
}

impl Folder {
    /// Appends what could be written, on one of the threads that may wait for a disk.
    async fn keep(&self, entries: Vec<Result<String, Unsent>>) -> Vec<Result<(), Unsent>> {
        let mut texts = Vec::with_capacity(entries.len());
        let kept = entries.into_iter().map(|entry| entry.map(|text| texts.push(text))).collect::<Vec<_>>();
        if texts.is_empty() {
            return kept;
        }
        let (path, alone) = (self.path.clone(), Arc::clone(&self.writing).lock_owned().await);
        let appending = tokio::task::spawn_blocking(move || {
            let _alone = alone;
            mbox::append(&path, &texts)
        });
        let Some(error) = appending.await.unwrap_or_else(|panic| Err(panic.into())).err() else { return kept };
        let why = format!("the file cannot be written: {error}");
        kept.into_iter().map(|kept| kept.and_then(|()| Err(Unsent::NotNow(why.clone())))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::is_about_the_recipient;

    #[test]
    fn only_a_no_to_the_recipient_is_for_good() {
        for to_them in [
            "permanent error (550): 5.1.1 no such user",
            "permanent error (550): Mailbox unavailable",
            "554: 5.1.10 null MX",
        ] {
            assert!(is_about_the_recipient(to_them), "{to_them}");
        }
        for to_us in [
            "permanent error (530): 5.7.0 Authentication required",
            "permanent error (550): 5.7.1 quota exceeded",
            "permanent error (553): 5.1.8 sender rejected",
            "permanent error (554): no service",
            "permanent error (535): bad credentials",
        ] {
            assert!(!is_about_the_recipient(to_us), "{to_us}");
        }
    }
}
