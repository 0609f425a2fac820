//! Prints a story line by line, while it is still happening.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::client::{Order, Timeline, TimelineEntry};
use crate::cmd::launch::say;

/// Which lines of an order's story have been printed: service, step, verdict.
#[derive(Debug, Default)]
pub(super) struct Told(BTreeSet<(String, String, String)>);

impl Told {
    /// Prints the lines that are new, oldest first. Whether there were any.
    ///
    /// Services are asked one after the other, so only what is older than `complete_until` is certain to have no gaps; the rest is left for
    /// the next time.
    pub(super) fn tell(&mut self, timeline: &Timeline, placed: &Order, complete_until: DateTime<Utc>) -> bool {
        let new = |entry: &&TimelineEntry| entry.at <= complete_until && !self.knows(entry, &entry.verdict);
        let mut new: Vec<&TimelineEntry> = timeline.entries.iter().filter(new).collect();
        new.sort_by_key(|entry| entry.at);
        // A verdict that was replaced before anybody looked: when is not known any more, but that it was is.
        for entry in &new {
            if let Some(verdict) = self.missed(entry) {
                say(&line("", entry, verdict));
                self.remember(entry, verdict);
            }
        }
        for entry in &new {
            let after = (entry.at - placed.created_at).num_milliseconds();
            say(&line(&format!("{after} ms"), entry, &entry.verdict));
            self.remember(entry, &entry.verdict);
        }
        !new.is_empty()
    }

    /// What must have been before this entry's verdict, if it was not seen.
    fn missed(&self, entry: &TimelineEntry) -> Option<&'static str> {
        let known = |verdict: &&str| self.knows(entry, verdict);
        match entry.verdict.as_str() {
            _ if ["done", "intent", "undoing"].iter().any(known) => None,
            "undone" if entry.said.is_some() && entry.step != "compensate" => Some("done"),
            "undoing" if entry.step != "compensate" => Some("intent"),
            _ => None,
        }
    }

    fn knows(&self, entry: &TimelineEntry, verdict: &str) -> bool {
        self.0.contains(&(entry.service.clone(), entry.step.clone(), verdict.to_owned()))
    }

    fn remember(&mut self, entry: &TimelineEntry, verdict: &str) {
        self.0.insert((entry.service.clone(), entry.step.clone(), verdict.to_owned()));
    }
}

fn line(after: &str, entry: &TimelineEntry, verdict: &str) -> String {
    let now = verdict == entry.verdict;
    // The row of an undone step still holds what the step said when it was done.
    let says = match &entry.said {
        Some(said) if !now || entry.step == "compensate" || !matches!(verdict, "undone" | "undoing") => {
            format!("says {} ", said.kind)
        }
        _ => String::new(),
    };
    let detail = entry.detail.as_deref().filter(|_| now).unwrap_or_default();
    let line = format!("   {after:>8}  {:<17} {:<17} {verdict:<16} {says}{detail}", entry.service, step(&entry.step));
    line.trim_end().to_owned()
}

/// A listener's step carries the id of its message, which says nothing to people.
fn step(name: &str) -> &str {
    match name.split_once(':') {
        Some((step, id)) if Uuid::parse_str(id).is_ok() => step,
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(verdict: &str, says: Option<&str>) -> TimelineEntry {
        let said = says.map(|kind| serde_json::json!({"type": kind, "message_id": Uuid::nil()}));
        let entry = serde_json::json!({"at": "2026-01-01T00:00:00Z", "service": "inventory-svc", "step": "reserve-stock",
            "verdict": verdict, "said": said, "detail": "on payment.declined.v1"});
        serde_json::from_value(entry).expect("an entry")
    }

    #[test]
    fn an_undone_step_says_nothing_but_once_did() {
        let undone = entry("undone", Some("stock.reserved.v1"));
        let mut told = Told::default();
        assert_eq!(told.missed(&undone), Some("done"));
        assert!(line("", &undone, "done").ends_with("done             says stock.reserved.v1"));
        assert!(line("9 ms", &undone, "undone").ends_with("undone           on payment.declined.v1"));
        told.remember(&undone, "done");
        assert_eq!(told.missed(&undone), None);
        assert_eq!(told.missed(&entry("fenced", None)), None);
    }

    #[test]
    fn ids_are_left_out_of_steps() {
        assert_eq!(step("notify:01a20061-a3bf-7029-9d00-0f766bcf859e"), "notify");
        assert_eq!(step("answer:payment"), "answer:payment");
    }
}
