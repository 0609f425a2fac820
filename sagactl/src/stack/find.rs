//! Finds the server programs on this machine.

use std::env;
use std::path::{Path, PathBuf};

use super::StackError;

/// Where PostgreSQL's programs are: a setting, else PATH, else the newest of Debian's folders.
pub(super) fn postgres_bin(setting: Option<&Path>) -> Result<PathBuf, StackError> {
    if let Some(folder) = setting {
        return if has_postgres(folder) { Ok(folder.into()) } else { Err(not_there("initdb and postgres", folder)) };
    }
    let found = on_path("initdb").and_then(|program| Some(program.canonicalize().ok()?.parent()?.to_path_buf()));
    found
        .filter(|folder| has_postgres(folder))
        .or_else(newest_debian_postgres)
        .ok_or_else(|| StackError::Missing("PostgreSQL (initdb, postgres)".into()))
}

/// RabbitMQ's start script, `rabbitmqctl` beside it, and the epmd program that goes with it.
#[derive(Debug, Clone)]
pub(super) struct RabbitPrograms {
    pub(super) server: PathBuf,
    pub(super) control: PathBuf,
    pub(super) epmd: PathBuf,
}

/// Where RabbitMQ's start script is: a setting, else PATH (but for Debian's wrapper), else Debian's folder.
pub(super) fn rabbitmq(setting: Option<&Path>) -> Result<RabbitPrograms, StackError> {
    let server = match setting {
        Some(folder) => Some(folder.join("rabbitmq-server"))
            .filter(|it| it.is_file())
            .ok_or_else(|| not_there("rabbitmq-server", folder))?,
        None => on_path("rabbitmq-server")
            .filter(|it| !is_debian_wrapper(it))
            .or_else(|| Some(PathBuf::from("/usr/lib/rabbitmq/bin/rabbitmq-server")).filter(|it| it.is_file()))
            .ok_or_else(|| StackError::Missing("RabbitMQ (rabbitmq-server)".into()))?,
    };
    let control = server.with_file_name("rabbitmqctl");
    if !control.is_file() {
        return Err(StackError::Missing(format!("rabbitmqctl beside {}", server.display())));
    }
    let epmd = on_path("epmd")
        .or_else(|| server.parent().map(|folder| folder.join("epmd")).filter(|it| it.is_file()))
        .or_else(|| {
            ["/usr/bin/epmd", "/usr/lib/erlang/bin/epmd", "/usr/local/lib/erlang/bin/epmd"]
                .iter()
                .map(PathBuf::from)
                .find(|it| it.is_file())
        })
        .ok_or_else(|| StackError::Missing("Erlang's epmd".into()))?;
    Ok(RabbitPrograms { server, control, epmd })
}

fn not_there(programs: &str, folder: &Path) -> StackError {
    StackError::Setting(format!("no {programs} in {}", folder.display()))
}

fn has_postgres(folder: &Path) -> bool {
    folder.join("initdb").is_file() && folder.join("postgres").is_file()
}

/// The wrapper refuses ordinary users, and as root it switches the user.
fn is_debian_wrapper(program: &Path) -> bool {
    program.canonicalize().is_ok_and(|real| real.ends_with("rabbitmq-script-wrapper"))
}

fn newest_debian_postgres() -> Option<PathBuf> {
    let version = |folder: &PathBuf| {
        folder.parent().and_then(Path::file_name).and_then(|name| name.to_str()?.parse::<u32>().ok())
    };
    let folders = std::fs::read_dir("/usr/lib/postgresql").ok()?;
    folders.flatten().map(|entry| entry.path().join("bin")).filter(|folder| has_postgres(folder)).max_by_key(version)
}

pub(super) fn on_path(program: &str) -> Option<PathBuf> {
    env::split_paths(&env::var_os("PATH")?).map(|folder| folder.join(program)).find(|it| it.is_file())
}
