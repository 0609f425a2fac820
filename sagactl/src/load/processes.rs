//! What processes cost, from `/proc`: processor time and memory. Linux only; elsewhere everything reads as nothing.

use std::collections::BTreeMap;
use std::fs;

use crate::stack::StackRecord;

/// Linux counts processor time for user space in hundredths of a second, whatever the kernel's own clock is.
const TICKS_PER_SECOND: f64 = 100.0;

/// A part of the system, and the processes it began with. What those start counts as theirs.
#[derive(Debug, Clone)]
pub(super) struct Part {
    name: String,
    roots: Vec<u32>,
    alone: bool,
}

/// The parts of a stack, in the order in which a report shows them, and this process last.
pub(super) fn parts(stack: &StackRecord, client: &str) -> Vec<Part> {
    let part = |name: &str, roots: Vec<u32>| Part { name: name.to_owned(), roots, alone: false };
    let mut parts: Vec<Part> = Vec::new();
    for process in &stack.processes {
        let name = process.program.name();
        match parts.iter_mut().find(|part| part.name == name) {
            Some(part) => part.roots.extend(process.pid),
            None => parts.push(part(name, process.pid.into_iter().collect())),
        }
    }
    parts.push(part("postgres", stack.postgres_pid.into_iter().collect()));
    parts.push(part("rabbitmq", stack.broker_pids.clone()));
    // The stack's processes may be children of this one.
    parts.push(Part { name: client.to_owned(), roots: vec![std::process::id()], alone: true });
    parts
}

/// One line of the process table.
#[derive(Debug, Clone, PartialEq)]
struct Line {
    pid: u32,
    parent: u32,
    /// Its own, and that of children that have ended.
    ticks: u64,
    own_ticks: u64,
}

/// Processor seconds used so far, by part, and by the whole machine.
#[derive(Debug, Clone, Default)]
pub(super) struct Cpu {
    parts: BTreeMap<String, f64>,
    /// One backend of PostgreSQL, which works for the client.
    watching: f64,
    busy: f64,
    idle: f64,
}

/// The name under which [`Cpu::since`] shows what watching costs PostgreSQL.
const WATCHING: &str = "postgres, for the client";

impl Cpu {
    /// Now. `watching` is the process id of the database session that works for the client alone.
    pub(super) fn read(parts: &[Part], watching: Option<u32>) -> Self {
        let table = table();
        let own = |pid: u32| table.iter().find(|line| line.pid == pid);
        let mut cpu = Self::default();
        for part in parts {
            let ticks: u64 = match (part.alone, part.roots.as_slice()) {
                (true, roots) => roots.iter().filter_map(|pid| own(*pid)).map(|line| line.own_ticks).sum(),
                (false, roots) => roots.iter().map(|root| subtree(&table, *root)).sum(),
            };
            cpu.parts.insert(part.name.clone(), ticks as f64 / TICKS_PER_SECOND);
        }
        let watching = watching.and_then(own).map_or(0.0, |line| line.own_ticks as f64 / TICKS_PER_SECOND);
        cpu.watching = watching;
        (cpu.busy, cpu.idle) = machine(&fs::read_to_string("/proc/stat").unwrap_or_default());
        cpu
    }

    /// Seconds used by each part since then, largest first; what others on the machine used is not among them.
    pub(super) fn since(&self, then: &Self) -> Vec<(String, f64)> {
        let watching = (self.watching - then.watching).max(0.0);
        let mut used: Vec<(String, f64)> = Vec::new();
        for (name, seconds) in &self.parts {
            let seconds = (seconds - then.parts.get(name).copied().unwrap_or_default()).max(0.0);
            let others = if name == "postgres" { watching.min(seconds) } else { 0.0 };
            used.push((name.clone(), seconds - others));
        }
        used.push((WATCHING.to_owned(), watching));
        used.sort_by(|a, b| b.1.total_cmp(&a.1));
        used
    }

    /// Percent of the machine that was idle since then, and percent that went to others.
    pub(super) fn shares(&self, then: &Self) -> (f64, f64) {
        let (busy, idle) = (self.busy - then.busy, self.idle - then.idle);
        let all = (busy + idle).max(f64::EPSILON);
        let ours: f64 = self.since(then).iter().map(|(_, seconds)| seconds).sum();
        (idle / all * 100.0, (busy - ours).max(0.0) / all * 100.0)
    }
}

/// Resident memory by part, in KiB: of one process the whole, of several of one program the largest. PostgreSQL is left out, whose
/// processes share most of theirs.
pub(super) fn resident_kib(parts: &[Part]) -> BTreeMap<String, u64> {
    let table = table();
    let mut resident = BTreeMap::new();
    for part in parts.iter().filter(|part| part.name != "postgres") {
        let of = |pid: &u32| {
            let family = if part.alone { vec![*pid] } else { family(&table, *pid) };
            family.into_iter().filter_map(|pid| vm_rss(&fs::read_to_string(format!("/proc/{pid}/status")).ok()?)).max()
        };
        if let Some(kib) = part.roots.iter().filter_map(of).max() {
            resident.insert(part.name.clone(), kib);
        }
    }
    resident
}

fn table() -> Vec<Line> {
    let pids = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter_map(|pid| line(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)).collect()
}

/// `pid (name) state ppid ..`, where the name may contain anything.
fn line(stat: &str) -> Option<Line> {
    let (head, rest) = (stat.split_once(' ')?.0, &stat[stat.rfind(')')? + 2..]);
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    let number = |nth: usize| fields.get(nth)?.parse::<u64>().ok();
    // Counted from the state, which is the third field of proc(5): utime, stime, cutime, cstime are 14 to 17.
    let own_ticks = number(11)? + number(12)?;
    let parent = u32::try_from(number(1)?).ok()?;
    Some(Line { pid: head.parse().ok()?, parent, ticks: own_ticks + number(13)? + number(14)?, own_ticks })
}

fn family(table: &[Line], root: u32) -> Vec<u32> {
    let mut family = vec![root];
    let mut next = 0;
    while let Some(&parent) = family.get(next) {
        family.extend(table.iter().filter(|line| line.parent == parent && line.pid != parent).map(|line| line.pid));
        next += 1;
    }
    family
}

fn subtree(table: &[Line], root: u32) -> u64 {
    let family = family(table, root);
    table.iter().filter(|line| family.contains(&line.pid)).map(|line| line.ticks).sum()
}

fn vm_rss(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

/// Busy and idle seconds of all processors together.
fn machine(stat: &str) -> (f64, f64) {
    let first = stat.lines().next().unwrap_or_default();
    let ticks: Vec<f64> = first.split_ascii_whitespace().skip(1).filter_map(|it| it.parse().ok()).collect();
    let at = |nth: usize| ticks.get(nth).copied().unwrap_or_default() / TICKS_PER_SECOND;
    (at(0) + at(1) + at(2) + at(5) + at(6), at(3) + at(4))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(pid: u32, parent: u32, ticks: u64) -> Line {
        Line { pid, parent, ticks, own_ticks: ticks }
    }

    #[test]
    fn a_line_of_proc_is_read_whatever_the_process_calls_itself() {
        let stat = "42 (a) b (c) S 7 42 42 0 -1 4194560 100 0 0 0 11 5 3 1 20 0 4 0 100 0 0";
        assert_eq!(line(stat), Some(Line { pid: 42, parent: 7, ticks: 20, own_ticks: 16 }));
        assert_eq!(line("42 (half"), None);
    }

    #[test]
    fn what_a_process_starts_counts_as_its_own_and_nothing_else_does() {
        let table = [entry(1, 0, 1_000), entry(10, 1, 5), entry(11, 10, 7), entry(12, 11, 9), entry(20, 1, 100)];
        assert_eq!(subtree(&table, 10), 21);
        assert_eq!(subtree(&table, 99), 0);
    }

    #[test]
    fn watching_is_taken_out_of_what_postgres_used() {
        let then = Cpu { parts: BTreeMap::from([("postgres".to_owned(), 1.0)]), ..Cpu::default() };
        let now = Cpu { parts: BTreeMap::from([("postgres".to_owned(), 4.0)]), watching: 0.5, busy: 8.0, idle: 2.0 };
        assert_eq!(now.since(&then), [("postgres".to_owned(), 2.5), (WATCHING.to_owned(), 0.5)]);
        assert_eq!(now.shares(&then), (20.0, 50.0));
    }

    #[test]
    fn memory_and_the_machines_time_are_read() {
        assert_eq!(vm_rss("Name:\tx\nVmRSS:\t   20480 kB\n"), Some(20_480));
        assert_eq!(machine("cpu  100 0 50 700 100 10 40 0 0 0\ncpu0 1"), (2.0, 8.0));
    }
}
