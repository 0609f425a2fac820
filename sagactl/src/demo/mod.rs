//! The guided tour: orders that succeed and orders that fail, each with its story as it happens, then the audit.

use std::pin::pin;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;

use crate::audit;
use crate::client::Service;
use crate::cmd::launch::{Launch, StopSignal, refused, say, shut_down, tell_restarts};
use crate::cmd::up::{addresses, page};
use crate::stack::{Stack, StackError, default_data};

mod scenes;
mod story;
mod summary;
mod told;

use summary::Outcome;

/// Longer than any announcement's repeat: what is not at rest by then will not come to rest.
const RESTS_WITHIN: Duration = Duration::from_secs(60);

/// Starts a private RabbitMQ and PostgreSQL with all services, places orders that succeed and orders that fail, shows what each service
/// did and undid, audits the books, and serves until Ctrl-C.
#[derive(Debug, Parser)]
#[command(name = "demo", version)]
pub struct Demo {
    #[command(flatten)]
    launch: Launch,
    /// Stop after the audit; the status is 0 only if every order ended as expected and the audit is clean
    #[arg(long)]
    once: bool,
}

impl Demo {
    /// Runs the demo. Status 0: all was as expected; 1: not; 2: something must be installed or set first.
    pub async fn run(self) -> ExitCode {
        let mut stop = match StopSignal::listen() {
            Ok(stop) => stop,
            Err(error) => {
                eprintln!("error: cannot listen for Ctrl-C: {error}");
                return ExitCode::FAILURE;
            }
        };
        let started = tokio::select! {
            started = self.start() => started,
            () = stop.received() => return ExitCode::FAILURE,
        };
        let (stack, begun) = match started {
            Ok(started) => started,
            Err(error) => return refused(&error),
        };
        let as_expected = {
            let mut telling = pin!(tell_restarts(&stack));
            let as_expected = tokio::select! {
                as_expected = tour(&stack, begun) => Some(as_expected),
                () = stop.received() => None,
                never = &mut telling => match never {},
            };
            if as_expected.is_some() && !self.once {
                invite(&stack).await;
                tokio::select! {
                    () = stop.received() => {}
                    never = &mut telling => match never {},
                }
            }
            as_expected == Some(true)
        };
        shut_down(stack, &mut stop).await;
        if as_expected { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }

    /// Also returns when it began to, once all was installed and built.
    async fn start(&self) -> Result<(Stack, Instant), StackError> {
        self.launch.prepare().await?;
        let begun = Instant::now();
        Ok((self.launch.start().await?, begun))
    }
}

/// Says what can be looked at and tried now.
async fn invite(stack: &Stack) {
    say(&addresses(&stack.record().await));
    let data = stack.servers().data();
    let at = if data == default_data() { String::new() } else { format!("--data {} ", data.display()) };
    match tokens(stack).await {
        Ok(tokens) => say(&tokens),
        Err(error) => say(&error.to_string()),
    }
    say(&page(stack));
    say(&format!("Serving until Ctrl-C. In another terminal, try `cargo sagactl {at}order list`."));
}

/// Two people to be, ready to be pasted into a shell.
async fn tokens(stack: &Stack) -> Result<String, StackError> {
    let (order, payment) = (stack.url(Service::Order)?, stack.url(Service::Payment)?);
    Ok(format!(
        "To be a customer, or to run the shop, for a day (`cargo sagactl token` makes more):\n\n\
         export ANNA={}\nexport OPERATOR={}\n\n\
         curl -H \"authorization: bearer $ANNA\" {order}/orders\n\
         curl -H \"authorization: bearer $OPERATOR\" {payment}/wallets/anna\n",
        stack.token_of("anna").await?,
        stack.token(),
    ))
}

/// Plays all scenes and audits. Whether all was as expected.
async fn tour(stack: &Stack, begun: Instant) -> bool {
    let client = stack.client();
    let mut outcomes: Vec<Outcome> = Vec::new();
    for (number, scene) in scenes::all().into_iter().enumerate() {
        say(&format!("\n{}. {}", number + 1, scene.title));
        let outcome = story::play(&client, scene).await;
        if number == 0 {
            let seconds = begun.elapsed().as_secs_f64();
            say(&format!(
                "   The first order was decided {seconds:.1} s after the servers began to start (what cargo built before not counted)."
            ));
        }
        outcomes.push(outcome);
    }
    say("\nAuditing all databases and the payment provider's ledger ..");
    let report = audit::until_quiescent(&stack.audit_config(), RESTS_WITHIN).await;
    if let Ok(report) = &report
        && let Err(error) = client.tell_audit(report).await
    {
        say(&format!("order-svc does not show this verdict: {error}"));
    }
    let clean = report.as_ref().is_ok_and(audit::AuditReport::is_clean);
    say(&summary::table(&outcomes));
    say(&match report {
        Ok(report) => format!("Audit: {}\n{report}", summary::counts(&report.counts)),
        Err(error) => format!("Audit: {error}"),
    });
    clean && outcomes.iter().all(Outcome::as_expected)
}
