//! A terminal for a page: one shell, so that what a command sets, the next ones have.

use crate::page::{self, Command};
use std::collections::HashMap;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout};
use tokio::time::timeout;

/// No command of a page takes longer, unless something is wrong.
const LIMIT: Duration = Duration::from_secs(180);
const END: &str = "=== the command has ended with status";

/// `cargo sagactl` and `cargo demo` are aliases that build and run; here they are built. The ports that pages speak of are others, too.
const SHELL: &str = r#"
exec 2>&1
cargo() {
    local verb=$1; shift
    case $verb in
        sagactl) "$PROGRAMS/sagactl" "$@" ;;
        demo) "$PROGRAMS/demo" "$@" ;;
        *) echo "cargo $verb is not for here"; return 1 ;;
    esac
}
"#;

/// A shell with its output.
pub(crate) struct Terminal {
    shell: Child,
    typed: ChildStdin,
    printed: Lines<BufReader<ChildStdout>>,
}

impl Terminal {
    pub(crate) fn open(folder: &PathBuf, variables: &HashMap<&str, String>) -> std::io::Result<Self> {
        let mut shell = tokio::process::Command::new("bash")
            .args(["--noprofile", "--norc"])
            .current_dir(folder)
            .envs(variables)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
        let gone = || std::io::Error::other("the shell has no pipes");
        let typed = shell.stdin.take().ok_or_else(gone)?;
        let printed = BufReader::new(shell.stdout.take().ok_or_else(gone)?).lines();
        Ok(Self { shell, typed, printed })
    }

    /// Types the command and waits for its end.
    pub(crate) async fn run(&mut self, command: &Command) -> Result<(), String> {
        let text = &command.text;
        let script = format!("{SHELL}{{ {text}\n}} < /dev/null\nprintf '\\n%s %s\\n' '{END}' \"$?\"\n");
        self.typed.write_all(script.as_bytes()).await.map_err(|error| error.to_string())?;
        let mut printed = Vec::new();
        let status = loop {
            let line = match timeout(LIMIT, self.printed.next_line()).await {
                Ok(Ok(Some(line))) => line,
                Ok(_) => return Err(wrong(command, &printed, "ended the shell")),
                Err(_) => return Err(wrong(command, &printed, "takes too long")),
            };
            match line.strip_prefix(END) {
                Some(status) => break status.trim().to_owned(),
                None => printed.push(line),
            }
        };
        if status != "0" {
            return Err(wrong(command, &printed, &format!("ended with status {status}")));
        }
        if !command.shown.iter().all(|line| line.trim().is_empty()) && !page::matches(&command.shown, &printed) {
            return Err(wrong(command, &printed, "printed something else than the page shows"));
        }
        Ok(())
    }

    /// Types a command that goes on, and waits until it has printed what the page shows.
    pub(crate) async fn begin(&mut self, command: &Command) -> Result<(), String> {
        let script = format!("{SHELL}{{ {}\n}} < /dev/null\n", command.text);
        self.typed.write_all(script.as_bytes()).await.map_err(|error| error.to_string())?;
        let mut printed = Vec::new();
        while !page::matches(&command.shown, &printed) {
            match timeout(LIMIT, self.printed.next_line()).await {
                Ok(Ok(Some(line))) => printed.push(line),
                Ok(_) => return Err(wrong(command, &printed, "ended")),
                Err(_) => return Err(wrong(command, &printed, "does not print what the page shows")),
            }
        }
        Ok(())
    }

    /// What runs in it ends in order. (Not by SIGINT, which is ignored below whoever was started in the background.)
    pub(crate) async fn close(mut self) -> Result<(), String> {
        let Some(shell) = self.shell.id() else { return Ok(()) };
        let signal = format!("kill -TERM -{shell}");
        let sent = tokio::process::Command::new("sh").args(["-c", &signal]).status().await;
        sent.map_err(|error| error.to_string())?;
        drop(self.typed);
        while let Ok(Ok(Some(_))) = timeout(LIMIT, self.printed.next_line()).await {}
        match timeout(LIMIT, self.shell.wait()).await {
            Ok(Ok(_)) => Ok(()),
            _ => Err("what ran in another terminal does not end".to_owned()),
        }
    }
}

fn wrong(command: &Command, printed: &[String], what: &str) -> String {
    let (line, text) = (command.line, &command.text);
    let (shown, printed) = (command.shown.join("\n"), printed.join("\n"));
    format!("line {line}: `{text}` {what}.\n--- shown\n{shown}\n--- printed\n{printed}\n---")
}
