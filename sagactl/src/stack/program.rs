//! The programs a stack consists of.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::client::Service;

/// A program of the stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Program {
    /// Signs tokens and publishes the keys they are checked with.
    Issuer,
    /// The payment provider's stand-in; before payment-svc, which calls it.
    SandboxProvider,
    /// order-svc
    OrderSvc,
    /// inventory-svc
    InventorySvc,
    /// payment-svc
    PaymentSvc,
    /// notification-svc
    NotificationSvc,
}

impl Program {
    /// All of them, in the order in which they are started.
    pub const ALL: [Self; 6] = [
        Self::Issuer,
        Self::SandboxProvider,
        Self::OrderSvc,
        Self::InventorySvc,
        Self::PaymentSvc,
        Self::NotificationSvc,
    ];

    /// The program's file name, also its name in logs: `order-svc`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Issuer => "issuer",
            Self::SandboxProvider => "sandbox-provider",
            Self::OrderSvc => "order-svc",
            Self::InventorySvc => "inventory-svc",
            Self::PaymentSvc => "payment-svc",
            Self::NotificationSvc => "notification-svc",
        }
    }

    /// The cargo package that builds it.
    pub(super) fn package(self) -> &'static str {
        match self {
            Self::SandboxProvider => "payment-svc",
            other => other.name(),
        }
    }

    /// Its database, if it has one.
    #[must_use]
    pub fn database(self) -> Option<&'static str> {
        match self {
            Self::Issuer | Self::SandboxProvider => None,
            Self::OrderSvc => Some("orders"),
            Self::InventorySvc => Some("inventory"),
            Self::PaymentSvc => Some("payment"),
            Self::NotificationSvc => Some("notification"),
        }
    }

    /// Answers 200 when the program can do its work.
    pub(super) fn ready_path(self) -> &'static str {
        match self {
            Self::Issuer | Self::SandboxProvider => "/livez",
            _ => "/readyz",
        }
    }
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl From<Service> for Program {
    fn from(service: Service) -> Self {
        match service {
            Service::Order => Self::OrderSvc,
            Service::Inventory => Self::InventorySvc,
            Service::Payment => Self::PaymentSvc,
            Service::Notification => Self::NotificationSvc,
        }
    }
}

/// One process of a program. A program or service alone means its first replica; `(Service::Payment, 1)` the second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instance {
    /// Which program.
    pub program: Program,
    /// Which of its replicas, from 0.
    pub replica: usize,
}

impl fmt::Display for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.replica {
            0 => f.pad(self.program.name()),
            n => f.pad(&format!("{}-{}", self.program, n + 1)),
        }
    }
}

impl From<Program> for Instance {
    fn from(program: Program) -> Self {
        Self { program, replica: 0 }
    }
}

impl From<Service> for Instance {
    fn from(service: Service) -> Self {
        Program::from(service).into()
    }
}

impl<P: Into<Program>> From<(P, usize)> for Instance {
    fn from((program, replica): (P, usize)) -> Self {
        Self { program: program.into(), replica }
    }
}
