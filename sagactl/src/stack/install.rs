//! Gets the servers onto a machine that has none.

use std::fs;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use tokio::process::Command;

use super::error::Doing;
use super::unix::effective_user;
use super::{ServerSettings, Servers, StackError, find};

const PACKAGES: [&str; 2] = ["postgresql", "rabbitmq-server"];
const ELSEWHERE: &str =
    "or give running servers with --postgres-url, --amqp-url and --management-url, or use `docker compose up --wait`";

/// Makes sure that private servers can be started: with apt-get where that is the system's way and we are root, after saying so through
/// `say`. The packages' own services are kept from starting.
///
/// # Errors
/// [`StackError::Missing`] with what to do, where we cannot or may not install.
pub async fn ensure_servers(settings: &ServerSettings, say: fn(&str)) -> Result<(), StackError> {
    let Err(StackError::Missing(what)) = Servers::check_programs(settings) else {
        return Servers::check_programs(settings);
    };
    let command = format!("apt-get install -y {}", PACKAGES.join(" "));
    if find::on_path("apt-get").is_none() {
        return Err(StackError::Missing(format!(
            "{what} is not installed: install PostgreSQL and RabbitMQ with this system's package manager, {ELSEWHERE}"
        )));
    }
    if effective_user() != 0 {
        return Err(StackError::Missing(format!("{what} is not installed: run `sudo {command}`, {ELSEWHERE}")));
    }
    say(&format!("{what} is not installed: running `{command}`, without starting the packages' own services"));
    let _quiet = NoServiceStarts::begin()?;
    apt_get(&["update", "-qq"]).await?;
    apt_get(&["install", "-y", "-qq", PACKAGES[0], PACKAGES[1]]).await?;
    Servers::check_programs(settings)
}

async fn apt_get(arguments: &[&str]) -> Result<(), StackError> {
    let mut command = Command::new("apt-get");
    command.args(arguments).env("DEBIAN_FRONTEND", "noninteractive").stdout(std::process::Stdio::null());
    let status = command.status().await.doing("run apt-get")?;
    let failed = || StackError::Missing(format!("`apt-get {}` failed ({status})", arguments.join(" ")));
    if status.success() { Ok(()) } else { Err(failed()) }
}

/// While it lives, Debian's packages do not start the services they install.
struct NoServiceStarts {
    ours: bool,
}

const POLICY: &str = "/usr/sbin/policy-rc.d";

impl NoServiceStarts {
    /// Leaves a policy that is there already alone.
    fn begin() -> Result<Self, StackError> {
        let policy = fs::File::options().create_new(true).write(true).mode(0o755).open(POLICY);
        match policy {
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(Self { ours: false }),
            opened => {
                let ours = Self { ours: true };
                let mut policy = opened.doing_with("create", Path::new(POLICY))?;
                std::io::Write::write_all(&mut policy, b"#!/bin/sh\nexit 101\n")
                    .doing_with("write", Path::new(POLICY))?;
                Ok(ours)
            }
        }
    }
}

impl Drop for NoServiceStarts {
    fn drop(&mut self) {
        if self.ours {
            let _ = fs::remove_file(POLICY);
        }
    }
}
