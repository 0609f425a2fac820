//! The system calls that the standard library has no safe form for. The only unsafe code of the project.
//!
//! Each is a plain call without pointers that outlive it; what each relies on is said beside it.
#![allow(unsafe_code)]

use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// The signals the launcher uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Signal {
    /// PostgreSQL's fast shutdown.
    Interrupt,
    /// PostgreSQL's immediate shutdown: as after a crash, but without leaving backends behind.
    Quit,
    /// Drain and stop.
    Terminate,
    /// Gone at once.
    Kill,
    /// Freeze.
    Stop,
    /// Go on after [`Signal::Stop`].
    Continue,
}

impl Signal {
    fn number(self) -> libc::c_int {
        match self {
            Self::Interrupt => libc::SIGINT,
            Self::Quit => libc::SIGQUIT,
            Self::Terminate => libc::SIGTERM,
            Self::Kill => libc::SIGKILL,
            Self::Stop => libc::SIGSTOP,
            Self::Continue => libc::SIGCONT,
        }
    }
}

/// Who we run as; 0 is root.
pub(super) fn effective_user() -> u32 {
    // SAFETY: takes nothing, touches no memory, cannot fail.
    unsafe { libc::geteuid() }
}

/// Sends `signal` to one process.
pub(super) fn signal_process(pid: u32, signal: Signal) {
    send(pid.cast_signed(), signal);
}

/// Sends `signal` to every process of the group that `leader` leads.
pub(super) fn signal_group(leader: u32, signal: Signal) {
    send(-leader.cast_signed(), signal);
}

fn send(target: libc::pid_t, signal: Signal) {
    // 0 and -1 would mean "my own group" and "everybody".
    if target == 0 || target == -1 {
        return;
    }
    // SAFETY: takes two integers and touches no memory. A target that is gone gives ESRCH, which is what the caller wants anyway.
    unsafe { libc::kill(target, signal.number()) };
}

/// Makes the child receive `signal` when the *thread* that spawns it ends, whatever way: a `kill -9` of this process included.
///
/// Only Linux can do that; elsewhere a killed launcher leaves its servers running.
pub(super) fn signal_when_spawner_ends(command: &mut Command, signal: Signal) {
    #[cfg(target_os = "linux")]
    {
        let spawner = std::process::id().cast_signed();
        let number = signal.number();
        let arm = move || {
            // SAFETY: two async-signal-safe calls that take integers, as is required between fork and exec.
            let (armed, parent) = unsafe { (libc::prctl(libc::PR_SET_PDEATHSIG, number), libc::getppid()) };
            if armed != 0 {
                return Err(io::Error::last_os_error());
            }
            // The spawner may have died before the call above.
            if parent != spawner { Err(io::ErrorKind::BrokenPipe.into()) } else { Ok(()) }
        };
        // SAFETY: the closure owns two integers, allocates nothing and takes no lock. It runs after std's setuid, which would undo it.
        unsafe { command.pre_exec(arm) };
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (command, signal);
}
