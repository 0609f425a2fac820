//! Settings of notification-svc: the engine's, and where e-mails go.

use clap::Parser;
use saga_common::Settings;
use saga_common::config::SettingError;
use std::convert::Infallible;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// Tells customers of the order system how their orders went.
#[derive(Debug, Clone, Parser)]
#[command(version)]
pub struct Config {
    /// What every participant can be told; it listens on 127.0.0.1:8083 unless told otherwise.
    #[command(flatten)]
    pub engine: Settings,

    /// Where e-mails go.
    #[command(flatten)]
    pub mail: MailSettings,
}

/// Where e-mails go: to a mail server if there is a URL, else into a file a day.
#[derive(Debug, Clone, clap::Args)]
pub struct MailSettings {
    /// The mail server: smtp://host:25, smtp://host:587?tls=required or smtps://host (TLS needs a build with it).
    #[arg(long, env = "SMTP_URL", hide_env_values = true)]
    smtp_url: Option<Secret>,

    /// The user at the mail server.
    #[arg(long, env = "SMTP_USER")]
    smtp_user: Option<String>,

    /// The password at the mail server.
    #[arg(long, env = "SMTP_PASSWORD", hide_env_values = true)]
    smtp_password: Option<Secret>,

    /// File that holds the password instead.
    #[arg(long, env = "SMTP_PASSWORD_FILE")]
    smtp_password_file: Option<PathBuf>,

    /// Without a mail server: folder for e-mails, an mbox file a day; made when it is missing.
    #[arg(long, env = "MAIL_DIR", default_value = ".data/mail")]
    pub mail_dir: PathBuf,

    /// Where e-mails come from.
    #[arg(long, env = "MAIL_FROM", default_value = "OrderSaga <orders@shop.example>")]
    pub mail_from: String,

    /// The domain of customers whose name is no address.
    #[arg(long, env = "MAIL_DOMAIN", default_value = "customers.example")]
    pub mail_domain: String,
}

impl MailSettings {
    /// The mail server, if there is one. An empty URL is none.
    pub(crate) fn smtp_url(&self) -> Option<&str> {
        self.smtp_url.as_ref().map(|url| url.0.as_str()).filter(|url| !url.is_empty())
    }

    /// User and password, if there is a user.
    pub(crate) fn credentials(&self) -> Result<Option<(String, String)>, SettingError> {
        let Some(user) = self.smtp_user.clone() else { return Ok(None) };
        let given = self.smtp_password.as_ref().map(|password| password.0.as_str());
        let password = saga_common::config::secret("SMTP_PASSWORD", given, self.smtp_password_file.as_ref())?;
        Ok(Some((user, password)))
    }
}

/// Kept out of every log line.
#[derive(Clone)]
struct Secret(String);

impl FromStr for Secret {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(redacted)")
    }
}
