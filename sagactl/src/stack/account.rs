//! Who PostgreSQL runs as, and where it can keep its cluster.

use std::fs::{self, Permissions};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};

use super::StackError;
use super::data::DataDir;
use super::error::Doing;

/// An ordinary user: PostgreSQL refuses to run as root.
#[derive(Debug, Clone, Copy)]
pub(super) struct Account {
    pub(super) uid: u32,
    pub(super) gid: u32,
}

impl Account {
    pub(super) fn for_postgres() -> Result<Self, StackError> {
        let users = fs::read_to_string("/etc/passwd").doing("read /etc/passwd")?;
        let named = |wanted: &str| {
            let mut fields = users
                .lines()
                .map(|line| line.split(':'))
                .find_map(|mut it| (it.next() == Some(wanted)).then_some(it))?;
            Some(Self { uid: fields.nth(1)?.parse().ok()?, gid: fields.next()?.parse().ok()? })
        };
        let missing = || {
            StackError::Setting(
                "PostgreSQL does not run as root, and there is no user `postgres` or `nobody` to run it as".into(),
            )
        };
        named("postgres").or_else(|| named("nobody")).ok_or_else(missing)
    }

    pub(super) fn give(self, path: &Path) -> Result<(), StackError> {
        chown(path, Some(self.uid), Some(self.gid)).doing_with("give the PostgreSQL user", path)
    }

    /// Whether this user can enter every folder on the way.
    fn can_reach(self, path: &Path) -> bool {
        path.ancestors().all(|folder| {
            fs::metadata(folder).is_ok_and(|it| {
                let needed = match () {
                    () if it.uid() == self.uid => 0o100,
                    () if it.gid() == self.gid => 0o010,
                    () => 0o001,
                };
                it.mode() & needed != 0
            })
        })
    }
}

/// The folder that holds the cluster: in the data folder, or, where PostgreSQL's user cannot reach that (it may lie under a private home),
/// in /var/tmp with a link to it.
pub(super) fn home(data: &DataDir, run_as: Option<Account>) -> Result<PathBuf, StackError> {
    let inside = data.path().join("postgres");
    match run_as {
        Some(account) if !account.can_reach(data.path()) => {
            if let Ok(elsewhere) = fs::read_link(&inside) {
                if elsewhere.is_dir() {
                    return Ok(elsewhere);
                }
                fs::remove_file(&inside).doing_with("remove", &inside)?;
            }
            let mut hasher = DefaultHasher::new();
            data.path().hash(&mut hasher);
            let elsewhere = PathBuf::from(format!("/var/tmp/ordersaga-postgres-{:016x}", hasher.finish()));
            if elsewhere.exists() {
                // Without the link it belongs to a data folder of that name that is gone.
                fs::remove_dir_all(&elsewhere).doing_with("remove", &elsewhere)?;
            }
            fs::create_dir(&elsewhere).doing_with("create", &elsewhere)?;
            // Whatever our umask is, PostgreSQL's user must be able to pass.
            fs::set_permissions(&elsewhere, Permissions::from_mode(0o711)).doing_with("open", &elsewhere)?;
            symlink(&elsewhere, &inside).doing_with("create", &inside)?;
            Ok(elsewhere)
        }
        _ => data.folder("postgres"),
    }
}
