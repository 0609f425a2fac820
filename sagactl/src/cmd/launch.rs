//! Starts a lasting stack for a person at a terminal, tells what happens, and stops it in order.

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::stack::{self, Program, Restart, ServerSettings, Servers, Stack, StackError, StackOptions, StackRecord};

/// What to start, and where.
#[derive(Debug, clap::Args)]
pub struct Launch {
    /// Data folder; when another running stack uses it, the one beside it with -2, -3, .. is taken
    #[arg(long, env = "ORDERSAGA_DATA", value_name = "DIR", default_value_os_t = stack::default_data())]
    pub data: PathBuf,
    #[command(flatten)]
    servers: ServerSettings,
    /// Port of order-svc [default: one of its own, like all ports; they stay the same with the data folder]
    #[arg(long, env = "ORDER_PORT", value_name = "PORT", help_heading = "Ports")]
    order_port: Option<u16>,
    /// Port of payment-svc
    #[arg(long, env = "PAYMENT_PORT", value_name = "PORT", help_heading = "Ports")]
    payment_port: Option<u16>,
    /// Port of inventory-svc
    #[arg(long, env = "INVENTORY_PORT", value_name = "PORT", help_heading = "Ports")]
    inventory_port: Option<u16>,
    /// Port of notification-svc
    #[arg(long, env = "NOTIFICATION_PORT", value_name = "PORT", help_heading = "Ports")]
    notification_port: Option<u16>,
    /// Port of sandbox-provider
    #[arg(long, env = "SANDBOX_PORT", value_name = "PORT", help_heading = "Ports")]
    sandbox_port: Option<u16>,
    /// Port of the issuer
    #[arg(long, env = "ISSUER_PORT", value_name = "PORT", help_heading = "Ports")]
    issuer_port: Option<u16>,
    /// A setting for all services, such as DEADLINE_MS=5000 or LOG=info,saga_common=debug; may be repeated (in the variable: with
    /// blanks between)
    #[arg(long = "set", env = "ORDERSAGA_SET", value_name = "NAME=VALUE", value_parser = assignment, value_delimiter = ' ')]
    set: Vec<(String, String)>,
    /// Folder with the services' programs, used as they are [default: beside this program, built first with cargo]
    #[arg(long, env = "ORDERSAGA_PROGRAMS", value_name = "DIR")]
    programs: Option<PathBuf>,
    /// Do not run cargo build first
    #[arg(long, env = "ORDERSAGA_NO_BUILD")]
    no_build: bool,
}

/// `NAME=VALUE`.
pub(super) fn assignment(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("expected NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

impl Launch {
    /// Installs the servers and builds the services, as far as that is to be done.
    pub async fn prepare(&self) -> Result<(), StackError> {
        stack::ensure_servers(&self.servers, say).await?;
        if !self.no_build && self.programs.is_none() {
            let begun = Instant::now();
            say("Building the services with cargo (from nothing this takes a few minutes) ..");
            stack::build(None).await?;
            say(&format!("Built in {}.", seconds(begun)));
        }
        Ok(())
    }

    /// Starts everything, or leaves nothing behind. The stack can then be found with [`StackRecord::discover`].
    pub async fn start(&self) -> Result<Stack, StackError> {
        let begun = Instant::now();
        let options = self.options().await?;
        say("Starting PostgreSQL and RabbitMQ ..");
        let servers = Arc::new(Servers::in_folder(&self.servers, &self.data).await?);
        if let Some(line) = moved(&self.data, servers.data()) {
            say(&line);
        }
        StackRecord::remove(servers.data());
        say(&format!("PostgreSQL and RabbitMQ are up ({}). Starting the services ..", seconds(begun)));
        let begun = Instant::now();
        let stack = Stack::up_on(servers, options).await?;
        stack.record().await.write()?;
        say(&format!("The services are ready ({}).", seconds(begun)));
        Ok(stack)
    }

    async fn options(&self) -> Result<StackOptions, StackError> {
        // The tap shows the last messages in RabbitMQ's management UI.
        let options =
            StackOptions::lasting().supervise(true).programs_folder(self.programs.clone()).env_all("TAP", true);
        let options = options.set(&self.set).await?;
        let ports = [
            (Program::OrderSvc, self.order_port),
            (Program::PaymentSvc, self.payment_port),
            (Program::InventorySvc, self.inventory_port),
            (Program::NotificationSvc, self.notification_port),
            (Program::SandboxProvider, self.sandbox_port),
            (Program::Issuer, self.issuer_port),
        ];
        Ok(ports.into_iter().fold(options, |options, (program, port)| match port {
            Some(port) => options.port(program, port),
            None => options,
        }))
    }
}

/// Ctrl-C, or SIGTERM.
#[derive(Debug)]
pub struct StopSignal {
    interrupt: Signal,
    terminate: Signal,
}

impl StopSignal {
    /// From now on these signals no longer end this process by themselves.
    pub fn listen() -> std::io::Result<Self> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    /// Waits for the next one.
    pub async fn received(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// Says which services ended and are started again, and keeps `stack.json` true. Never returns.
pub async fn tell_restarts(stack: &Stack) -> Infallible {
    let mut restarts = stack.follow_restarts();
    let mut told: Vec<Restart> = Vec::new();
    loop {
        let now = restarts.borrow_and_update().clone();
        for (place, restart) in now.iter().enumerate() {
            let (instance, before) = (restart.instance(), told.get(place));
            if before.is_none() {
                let log = stack.log(instance).unwrap_or_default();
                say(&format!(
                    "{instance} ended ({}) and was started again; its log is {}",
                    restart.status,
                    log.display()
                ));
            }
            if let (None, Some(ms)) = (before.and_then(|it| it.ready_after_ms), restart.ready_after_ms) {
                say(&format!("{instance} is ready again, {ms} ms after it ended"));
            }
        }
        if now != told {
            told = now;
            // Others look up process ids there.
            if let Err(error) = stack.record().await.write() {
                say(&format!("warning: {error}"));
            }
        }
        if restarts.changed().await.is_err() {
            // The stack is gone, and with it whoever waits here.
            std::future::pending::<()>().await;
        }
    }
}

/// Stops the services, which drain, then RabbitMQ, then PostgreSQL. Another Ctrl-C stops all at once.
pub async fn shut_down(stack: Stack, stop: &mut StopSignal) {
    let in_order = async {
        say("Stopping the services ..");
        for (instance, status) in stack.stop().await {
            say(&format!("{instance} did not stop well ({status})"));
        }
        say("Stopping RabbitMQ and PostgreSQL (another Ctrl-C stops them at once) ..");
        stack.servers().stop().await;
    };
    tokio::select! {
        () = in_order => {}
        () = stop.received() => say("Stopping all at once."),
    }
    StackRecord::remove(stack.servers().data());
}

/// Says why the stack did not start; the status is 2 if something must be installed or set first, else 1.
pub fn refused(error: &StackError) -> ExitCode {
    eprintln!("error: {error}");
    match error {
        StackError::Missing(_) | StackError::Setting(_) => ExitCode::from(2),
        _ => ExitCode::FAILURE,
    }
}

/// One line for the person at the terminal.
pub fn say(line: &str) {
    println!("{line}");
}

/// What to say when the stack is not in the folder that was asked for, which another one uses.
fn moved(asked: &Path, got: &Path) -> Option<String> {
    let same = asked.canonicalize().is_ok_and(|asked| asked == got);
    let (asked, got) = (asked.display(), got.display());
    (!same).then(|| {
        format!("Another stack is running in {asked}: this one is {got}, with data and ports of its own (sagactl --data {got} ..).")
    })
}

fn seconds(begun: Instant) -> String {
    format!("{:.1} s", begun.elapsed().as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stack_that_had_to_make_room_says_where_it_is() {
        let here = Path::new(".").canonicalize().expect("it is there");
        assert_eq!(moved(Path::new("."), &here), None, "the same folder by another name");
        let line = moved(Path::new("demo"), Path::new("demo-2")).expect("another folder");
        assert!(line.contains("running in demo:") && line.contains("--data demo-2"), "{line}");
    }
}
