//! RabbitMQ stops, crashes, raises alarms, closes connections.

use super::{Call, Claim, Done, Fault, Group, Kind, Outcome, Recovers, sentence};
use crate::chaos::rig::Rig;
use crate::stack::Program::{InventorySvc, NotificationSvc, OrderSvc, PaymentSvc};
use crate::stack::{Servers, StackError};

/// What happens to the broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// `rabbitmqctl stop_app`, later `start_app`.
    StopApp,
    /// `kill -9`, then started.
    Kill,
    /// The orderly stop, then started.
    Restart,
    /// SIGSTOP, later SIGCONT.
    Freeze,
    /// The memory alarm: publishers are blocked.
    MemoryAlarm,
    /// The disk alarm: publishers are blocked.
    DiskAlarm,
    /// Closes all connections.
    CloseAll,
    /// Closes the connections of one service.
    CloseOne,
}

const STOP_APP: Kind = Kind {
    name: "broker-stop-app",
    group: Group::Broker,
    does: "`rabbitmqctl stop_app`, and `start_app` after a while",
    stands_for: "maintenance of the broker",
    heals: "`start_app`; the services connect again by themselves",
    lasts_ms: (0, 3_000),
    overhead_ms: 6_000,
    claim: Claim::Servers,
    targets: &[],
    recovers: Recovers::FromEnd,
    fault: Fault::Broker(Trouble::StopApp),
};

/// The kinds.
pub static KINDS: &[Kind] = &[
    STOP_APP,
    Kind {
        name: "broker-kill",
        does: "`kill -9` of RabbitMQ, then it is started on the same data",
        stands_for: "a crash of the broker: what it confirmed must still be there",
        heals: "started again at once",
        fault: Fault::Broker(Trouble::Kill),
        ..STOP_APP
    },
    Kind {
        name: "broker-restart",
        does: "RabbitMQ is stopped in its orderly way and started again",
        stands_for: "an upgrade of the broker",
        heals: "started again at once",
        overhead_ms: 9_000,
        fault: Fault::Broker(Trouble::Restart),
        ..STOP_APP
    },
    Kind {
        name: "broker-freeze",
        does: "SIGSTOP of RabbitMQ for some seconds: connections stay open, nothing is confirmed",
        stands_for: "a stalled broker machine",
        heals: "SIGCONT",
        lasts_ms: (1_000, 12_000),
        overhead_ms: 0,
        fault: Fault::Broker(Trouble::Freeze),
        ..STOP_APP
    },
    Kind {
        name: "memory-alarm",
        does: "the memory watermark is set to nothing: the broker blocks publishers",
        stands_for: "a broker out of memory",
        heals: "the watermark is set back",
        lasts_ms: (1_000, 6_000),
        overhead_ms: 4_000,
        fault: Fault::Broker(Trouble::MemoryAlarm),
        ..STOP_APP
    },
    Kind {
        name: "disk-alarm",
        does: "the disk limit is set above what any disk has: the broker blocks publishers",
        stands_for: "a broker out of disk space",
        heals: "the limit is set back",
        lasts_ms: (1_000, 6_000),
        overhead_ms: 4_000,
        fault: Fault::Broker(Trouble::DiskAlarm),
        ..STOP_APP
    },
    Kind {
        name: "close-all-connections",
        does: "the broker closes every connection",
        stands_for: "an operator's mistake, a failover of a load balancer",
        heals: "the services connect again by themselves",
        lasts_ms: (0, 0),
        overhead_ms: 500,
        recovers: Recovers::FromBegin,
        fault: Fault::Broker(Trouble::CloseAll),
        ..STOP_APP
    },
    Kind {
        name: "close-one-service",
        does: "the broker closes the connections of one service",
        stands_for: "an operator's mistake",
        heals: "the service connects again by itself",
        lasts_ms: (0, 0),
        overhead_ms: 500,
        claim: Claim::ServersUp,
        targets: &[OrderSvc, InventorySvc, PaymentSvc, NotificationSvc],
        recovers: Recovers::FromBegin,
        fault: Fault::Broker(Trouble::CloseOne),
        ..STOP_APP
    },
];

pub(super) async fn inject(trouble: Trouble, rig: &Rig, call: &Call) -> Outcome {
    let servers = rig.stack.servers();
    match trouble {
        Trouble::StopApp => {
            let stopped = servers.control_broker(&["stop_app"]).await;
            rig.hold(call.lasts).await;
            servers.control_broker(&["start_app"]).await.map_err(sentence)?;
            stopped.map_err(sentence)?;
        }
        Trouble::Kill => {
            servers.kill_broker().await.map_err(sentence)?;
            rig.hold(call.lasts).await;
            servers.start_broker().await.map_err(sentence)?;
        }
        Trouble::Restart => {
            servers.stop_broker().await.map_err(sentence)?;
            servers.start_broker().await.map_err(sentence)?;
        }
        Trouble::Freeze => {
            servers.pause_broker().await.map_err(sentence)?;
            rig.hold(call.lasts).await;
            servers.resume_broker().await.map_err(sentence)?;
        }
        Trouble::MemoryAlarm => {
            let raised = servers.control_broker(&["set_vm_memory_high_watermark", "0"]).await;
            rig.hold(call.lasts).await;
            end_memory_alarm(servers).await.map_err(sentence)?;
            raised.map_err(sentence)?;
        }
        Trouble::DiskAlarm => {
            let raised = servers.control_broker(&["set_disk_free_limit", "100000GB"]).await;
            rig.hold(call.lasts).await;
            end_disk_alarm(servers).await.map_err(sentence)?;
            raised.map_err(sentence)?;
        }
        Trouble::CloseAll => {
            let closed = servers.management().close_connections(&rig.stack.vhost()).await.map_err(sentence)?;
            return Ok(struck(closed));
        }
        Trouble::CloseOne => {
            let service = call.target()?;
            let name = format!("{}/", service.name().trim_end_matches("-svc"));
            let closed = servers.management().close_connections_of(&rig.stack.vhost(), &name).await;
            return Ok(struck(closed.map_err(sentence)?));
        }
    }
    Ok(Done::quietly())
}

fn struck(connections: usize) -> Done {
    let detail = format!("{connections} connections");
    if connections == 0 { Done::missed(detail) } else { Done::with(detail) }
}

/// As the node's configuration has it.
pub(in crate::chaos) async fn end_memory_alarm(servers: &Servers) -> Result<(), StackError> {
    servers.control_broker(&["set_vm_memory_high_watermark", "absolute", "1GiB"]).await
}

/// As the node's configuration has it.
pub(in crate::chaos) async fn end_disk_alarm(servers: &Servers) -> Result<(), StackError> {
    servers.control_broker(&["set_disk_free_limit", "50MB"]).await
}
