//! The services' programs: where they are, whether they are current, and how they are built.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::error::Doing;
use super::{Program, StackError};

/// The folder of this workspace, if it is still where it was when this was compiled; else the working directory.
pub fn workspace() -> PathBuf {
    let compiled = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    let there = compiled.filter(|it| it.join("Cargo.toml").is_file());
    there.map_or_else(|| env::current_dir().unwrap_or_default(), Path::to_path_buf)
}

/// The folder the services' programs are in: a setting, else the one of this very program (for a test: the one above `deps`).
pub(super) fn folder(setting: Option<&Path>) -> Result<PathBuf, StackError> {
    if let Some(folder) = setting {
        return Ok(folder.into());
    }
    let program = env::current_exe().doing("find this program's own file")?;
    let mut folder = program.parent().unwrap_or(Path::new("/"));
    if folder.ends_with("deps") || folder.ends_with("examples") {
        folder = folder.parent().unwrap_or(folder);
    }
    Ok(folder.into())
}

/// The program's file, refused if it is older than what it is made from: a test of yesterday's program proves nothing.
pub(super) fn current(folder: &Path, program: Program) -> Result<PathBuf, StackError> {
    let binary = folder.join(program.name());
    let built = modified(&binary).ok_or_else(|| StackError::NotBuilt(binary.clone()))?;
    let newer = |source: &PathBuf| modified(source).is_some_and(|changed| changed > built);
    match sources(&binary, program).into_iter().find(newer) {
        Some(source_file) => Err(StackError::Stale { binary, source_file }),
        None => Ok(binary),
    }
}

/// Refuses settings that no program has: a misspelt one would change nothing, and nobody would notice.
pub(super) async fn must_be_known(folder: Option<&Path>, settings: &[(String, String)]) -> Result<(), StackError> {
    if settings.is_empty() {
        return Ok(());
    }
    let folder = self::folder(folder)?;
    let mut help = String::new();
    for program in Program::ALL {
        let binary = folder.join(program.name());
        let output = tokio::process::Command::new(&binary).arg("--help").env_clear().output().await;
        help.push_str(&String::from_utf8_lossy(&output.doing("ask a program for its settings")?.stdout));
    }
    match settings.iter().find(|(name, _)| !names(&help, name)) {
        None => Ok(()),
        Some((name, _)) => {
            Err(StackError::Setting(format!("no service has a setting {name:?}; `order-svc --help` lists its own")))
        }
    }
}

/// Is this variable among those that a help text names?
fn names(help: &str, variable: &str) -> bool {
    help.contains(&format!("[env: {variable}=")) || help.contains(&format!("[env: {variable}]"))
}

/// Builds the services' programs with cargo, in the profile that this program was built in. Cargo's own words go to stderr.
pub async fn build(folder: Option<&Path>) -> Result<(), StackError> {
    let folder = self::folder(folder)?;
    let profile = match folder.file_name().and_then(|it| it.to_str()) {
        Some("debug") | None => "dev",
        Some(other) => other,
    };
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = tokio::process::Command::new(cargo);
    command.current_dir(workspace()).args(["build", "--workspace", "--profile", profile]);
    if let Some(target) = folder.parent() {
        command.arg("--target-dir").arg(target);
    }
    // Of the whole workspace, not of single packages: its dependencies are then those that are built already.
    for program in Program::ALL {
        command.args(["--bin", program.name()]);
    }
    let status = command.kill_on_drop(true).status().await.doing("run cargo; is it installed?")?;
    if status.success() { Ok(()) } else { Err(StackError::Build(status)) }
}

/// What the program is made from: cargo writes it beside the binary. `cargo test` does not, so then every source of the program's packages
/// counts.
fn sources(binary: &Path, program: Program) -> Vec<PathBuf> {
    match fs::read_to_string(binary.with_extension("d")) {
        Ok(text) => listed(&text),
        Err(_) => {
            let mut found = Vec::new();
            for package in [program.package(), "saga-common", "saga-common/contracts"] {
                let package = workspace().join(package);
                collect(&package.join("src"), &mut found);
                collect(&package.join("migrations"), &mut found);
            }
            found
        }
    }
}

/// `target: source source`, in which a blank within a name is written `\ `.
fn listed(text: &str) -> Vec<PathBuf> {
    let escaped = text.replace("\\ ", "\0");
    let sources =
        escaped.lines().filter_map(|line| line.split_once(": ")).flat_map(|(_, sources)| sources.split_whitespace());
    sources.map(|source| PathBuf::from(source.replace('\0', " "))).collect()
}

fn collect(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, found);
        } else {
            found.push(path);
        }
    }
}

fn modified(file: &Path) -> Option<SystemTime> {
    fs::metadata(file).and_then(|it| it.modified()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_cargos_list_of_sources() {
        let text = "/t/debug/order-svc: /w/a\\ b/main.rs /w/lib.rs\n\n/t/debug/other: /w/other.rs\n";
        assert_eq!(listed(text), ["/w/a b/main.rs", "/w/lib.rs", "/w/other.rs"].map(PathBuf::from));
    }

    #[test]
    fn a_setting_is_known_by_its_whole_name() {
        let help = "  --log <LOG>  What to log [env: LOG=] [default: info]\n --url <URL>  [env: DATABASE_URL]";
        assert!(names(help, "LOG") && names(help, "DATABASE_URL"));
        assert!(!names(help, "LO") && !names(help, "OG") && !names(help, "DATABASE_UR") && !names(help, ""));
    }

    #[test]
    fn a_program_older_than_its_sources_is_refused() -> std::io::Result<()> {
        let folder = env::temp_dir().join(format!("ordersaga-binaries-{}", std::process::id()));
        fs::create_dir_all(&folder)?;
        let (binary, source) = (folder.join("order-svc"), folder.join("main.rs"));
        fs::write(&source, "")?;
        fs::write(&binary, "")?;
        fs::write(folder.join("order-svc.d"), format!("{}: {}\n", binary.display(), source.display()))?;
        assert!(current(&folder, Program::OrderSvc).is_ok());
        let later = SystemTime::now() + std::time::Duration::from_secs(5);
        fs::File::options().write(true).open(&source)?.set_modified(later)?;
        assert!(matches!(current(&folder, Program::OrderSvc), Err(StackError::Stale { .. })));
        assert!(matches!(current(&folder, Program::PaymentSvc), Err(StackError::NotBuilt(_))));
        fs::remove_dir_all(&folder)
    }
}
