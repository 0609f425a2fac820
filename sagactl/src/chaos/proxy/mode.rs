//! What a proxy does to the bytes that pass it.

use std::time::Duration;

/// Which way bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the service to its server.
    ToServer,
    /// From the server to the service.
    ToClient,
}

/// How a proxy behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// As if it were not there.
    #[default]
    Pass,
    /// Every piece arrives later, by so much and up to `jitter` more.
    Delay {
        /// At least this much later.
        by: Duration,
        /// Up to this much later still.
        jitter: Duration,
    },
    /// Not more than so many bytes a second, each way.
    Throttle {
        /// At least 1.
        bytes_per_second: u32,
    },
    /// Nothing passes, nothing is closed; what has gathered passes when this ends: a partition that heals.
    Stall,
    /// As [`Mode::Stall`], but connections that were open stay dead for ever, without a word: a half-open connection.
    HalfOpen,
    /// What goes this way is lost; what comes the other way passes. Connections that have lost something are cut when this ends.
    Lose(Direction),
    /// New connections are refused (with RST), open ones are cut.
    Refuse,
    /// Of the next piece that goes this way half arrives, then the connection is cut.
    Truncate(Direction),
    /// A connection of PostgreSQL's protocol is cut when COMMIT passes, before or after it has arrived.
    CutAtCommit {
        /// Whether the server sees it.
        arrives: bool,
    },
}

impl Mode {
    /// Whether pieces that go this way wait.
    pub(super) fn holds(self) -> bool {
        matches!(self, Self::Stall | Self::HalfOpen)
    }

    pub(super) fn loses(self, direction: Direction) -> bool {
        self == Self::Lose(direction)
    }
}

/// What all connections of a proxy follow.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct State {
    pub(super) mode: Mode,
    /// Raised to cut whatever is open.
    pub(super) cuts: u64,
}
