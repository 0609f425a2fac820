//! Programs that stand in for the services, so that the launcher is tested without them.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use sagactl::stack::Program;

/// Answers every request with its own environment, but one for a token with a token; ends with status 3 when asked for `/exit`, and at once when told to `FAIL`.
const STAND_IN: &str = r#"
use std::io::{Read, Write};
fn main() {
    if std::env::var("FAIL").is_ok() {
        eprintln!("told to fail");
        std::process::exit(4);
    }
    let listener = std::net::TcpListener::bind(std::env::var("LISTEN").unwrap()).unwrap();
    for stream in listener.incoming() {
        let mut stream = stream.unwrap();
        let mut request = [0; 4096];
        let length = stream.read(&mut request).unwrap();
        if request[..length].starts_with(b"GET /exit ") {
            std::process::exit(3);
        }
        let answer: String = if request[..length].starts_with(b"POST /tokens ") {
            String::from("{\"access_token\":\"t\",\"token_type\":\"Bearer\",\"expires_in\":60}")
        } else {
            std::env::vars().map(|(name, value)| format!("{name}={value}\n")).collect()
        };
        let _ = write!(stream, "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{answer}", answer.len());
    }
}
"#;

/// A folder with stand-ins for all programs.
pub(crate) fn stand_ins() -> Result<PathBuf, Box<dyn std::error::Error>> {
    static MADE: std::sync::Mutex<bool> = std::sync::Mutex::new(false);
    let mut made = MADE.lock().map_err(|_| "another test failed to make the stand-ins")?;
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("stand-ins");
    if *made {
        return Ok(folder);
    }
    std::fs::create_dir_all(&folder)?;
    // Another run of these tests may be using the folder: files are put there by renaming.
    let ours = |name: &str| folder.join(format!("{name}.{}", std::process::id()));
    let (source, built) = (ours("source"), ours("built"));
    std::fs::write(&source, STAND_IN)?;
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let compiled = Command::new(rustc).args(["--crate-type", "bin", "-o"]).arg(&built).arg(&source).status()?;
    assert!(compiled.success(), "the stand-in compiles");
    // Never older than a source.
    let later = std::time::SystemTime::now() + Duration::from_secs(3600);
    for program in Program::ALL {
        let file = ours(program.name());
        std::fs::copy(&built, &file)?;
        std::fs::File::options().append(true).open(&file)?.set_modified(later)?;
        std::fs::rename(&file, folder.join(program.name()))?;
    }
    std::fs::remove_file(source)?;
    std::fs::remove_file(built)?;
    *made = true;
    Ok(folder)
}
