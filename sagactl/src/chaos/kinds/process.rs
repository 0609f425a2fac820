//! Processes are killed, asked to stop, frozen.

use super::{Call, Claim, Done, Fault, Group, Kind, NotInjected, Outcome, Recovers, sentence};
use crate::chaos::proxy::Proxy;
use crate::chaos::rig::Rig;
use crate::stack::{Program, Upstream};

/// What happens to a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blow {
    /// `kill -9`; the supervisor starts it again.
    Kill,
    /// SIGTERM, then started again.
    Restart,
    /// SIGSTOP, later SIGCONT.
    Freeze,
    /// Neither file nor socket can be opened.
    NoFiles,
    /// `kill -9` of all services at once.
    KillAll,
}

use Program::{InventorySvc, NotificationSvc, OrderSvc, PaymentSvc, SandboxProvider};

const fn kill(name: &'static str, target: &'static [Program]) -> Kind {
    Kind {
        name,
        group: Group::Process,
        does: "`kill -9` amid its work",
        stands_for: "a crash, an out-of-memory kill, a lost machine",
        heals: "the supervisor starts it again at once",
        lasts_ms: (0, 0),
        overhead_ms: 500,
        claim: Claim::Target,
        targets: target,
        recovers: Recovers::FromBegin,
        fault: Fault::Process(Blow::Kill),
    }
}

const fn restart(name: &'static str, target: &'static [Program]) -> Kind {
    Kind {
        does: "SIGTERM under load: it drains and ends, then it is started again",
        stands_for: "a rolling upgrade",
        heals: "started again by chaos once it has drained",
        overhead_ms: 1_500,
        recovers: Recovers::FromEnd,
        fault: Fault::Process(Blow::Restart),
        ..kill(name, target)
    }
}

const fn freeze(name: &'static str, target: &'static [Program]) -> Kind {
    Kind {
        does: "SIGSTOP for some seconds: its connections stay open, nothing answers, leases run out",
        stands_for: "a stalled machine, a paused virtual machine, a relay that wakes up after its lease",
        heals: "SIGCONT",
        lasts_ms: (1_000, 8_000),
        overhead_ms: 0,
        recovers: Recovers::FromEnd,
        fault: Fault::Process(Blow::Freeze),
        ..kill(name, target)
    }
}

const fn no_files(name: &'static str, target: &'static [Program]) -> Kind {
    Kind {
        does: "for some seconds it may open neither file nor socket, and its connections are cut",
        stands_for: "a limit of open files that is reached: requests and reconnections fail",
        heals: "the limit goes away; connections are made again",
        fault: Fault::Process(Blow::NoFiles),
        ..freeze(name, target)
    }
}

/// The kinds.
pub static KINDS: &[Kind] = &[
    kill("kill-order-svc", &[OrderSvc]),
    kill("kill-inventory-svc", &[InventorySvc]),
    kill("kill-payment-svc", &[PaymentSvc]),
    kill("kill-notification-svc", &[NotificationSvc]),
    kill("kill-provider", &[SandboxProvider]),
    restart("restart-order-svc", &[OrderSvc]),
    restart("restart-inventory-svc", &[InventorySvc]),
    restart("restart-payment-svc", &[PaymentSvc]),
    restart("restart-notification-svc", &[NotificationSvc]),
    restart("restart-provider", &[SandboxProvider]),
    freeze("freeze-order-svc", &[OrderSvc]),
    freeze("freeze-inventory-svc", &[InventorySvc]),
    freeze("freeze-payment-svc", &[PaymentSvc]),
    freeze("freeze-notification-svc", &[NotificationSvc]),
    freeze("freeze-provider", &[SandboxProvider]),
    no_files("no-files-order-svc", &[OrderSvc]),
    no_files("no-files-inventory-svc", &[InventorySvc]),
    no_files("no-files-payment-svc", &[PaymentSvc]),
    no_files("no-files-notification-svc", &[NotificationSvc]),
    Kind {
        does: "`kill -9` of all services and the provider at the same moment",
        stands_for: "a power cut of the machines the services run on",
        overhead_ms: 1_500,
        claim: Claim::Servers,
        fault: Fault::Process(Blow::KillAll),
        ..kill("kill-everything", &[])
    },
];

pub(super) async fn inject(blow: Blow, rig: &Rig, call: &Call) -> Outcome {
    match blow {
        Blow::Kill => {
            let target = call.target()?;
            rig.stack.kill_supervised(target).await.map_err(sentence)?;
            rig.stack.ready(target).await.map_err(sentence)?;
        }
        Blow::Restart => {
            let target = call.target()?;
            let status = rig.stack.terminate(target).await;
            rig.stack.start(target).await.map_err(sentence)?;
            let status = status.map_err(sentence)?;
            if !status.success() {
                return Ok(Done::with(format!("it did not drain well: {status}")));
            }
        }
        Blow::Freeze => {
            let target = call.target()?;
            rig.stack.pause(target).map_err(sentence)?;
            rig.hold(call.lasts).await;
            rig.stack.resume(target).map_err(sentence)?;
        }
        Blow::NoFiles => {
            let target = call.target()?;
            rig.stack.begin_file_shortage(target).map_err(sentence)?;
            // Or it would hardly notice: whoever has all the connections it needs opens none.
            for upstream in [Upstream::Broker, Upstream::Database] {
                rig.link(target, upstream).into_iter().for_each(Proxy::cut);
            }
            rig.hold(call.lasts).await;
            rig.stack.end_file_shortage(target).map_err(sentence)?;
        }
        Blow::KillAll => {
            let mut killed = Vec::new();
            for program in Program::ALL {
                if rig.stack.kill_supervised(program).await.is_ok() {
                    killed.push(program);
                }
            }
            for program in &killed {
                rig.stack.ready(*program).await.map_err(sentence)?;
            }
            if killed.is_empty() {
                return Err(NotInjected("nothing was running".to_owned()));
            }
        }
    }
    Ok(Done::quietly())
}
