//! The report as one HTML page that needs nothing else.

use std::fmt::Write;

use chrono::{DateTime, SecondsFormat, Utc};

use super::{Report, percentiles};
use crate::audit::Check;
use crate::chaos::injector::{CameTo, Injection};
use crate::plot::{self, Mark, Series, escaped};

const STYLE: &str = "body{font:14px/1.45 sans-serif;max-width:1000px;margin:2em auto;padding:0 1em;color:#222}
table{border-collapse:collapse;width:100%;margin:.6em 0}td,th{padding:2px 8px;text-align:left;border-bottom:1px solid #ddd;vertical-align:top}
td.n,th.n{text-align:right}code{background:#f4f4f4;padding:1px 4px}.good{color:#070}.bad{color:#b00}details{margin:.6em 0}
svg{width:100%;height:auto}small{color:#666}";

/// The page.
#[must_use]
pub fn html(report: &Report) -> String {
    let mut page = String::new();
    let verdict = match report.violations() {
        0 if report.clean => "<span class='good'>0 violations</span>".to_owned(),
        0 => "<span class='bad'>not judged</span>".to_owned(),
        1 => "<span class='bad'>1 violation</span>".to_owned(),
        n => format!("<span class='bad'>{n} violations</span>"),
    };
    let struck = report.injections.iter().filter(|it| it.came_to == CameTo::Struck).count();
    let kinds = report.kinds.iter().filter(|line| line.struck > 0).count();
    let _ = write!(
        page,
        "<!doctype html><html lang='en'><head><meta charset='utf-8'><title>Chaos run, seed {}</title><style>{STYLE}</style></head><body>
<h1>Chaos run: {verdict}</h1>
<p>{struck} faults of {kinds} kinds in {} s, seed {}. Again: <code>{}</code></p>",
        report.seed,
        report.seconds,
        report.seed,
        escaped(&report.command)
    );
    for remark in &report.remarks {
        let _ = write!(page, "<p class='bad'>{}</p>", escaped(remark));
    }
    facts(&mut page, report);
    violations(&mut page, report);
    plots(&mut page, report);
    kind_table(&mut page, report);
    checks(&mut page, report);
    injections(&mut page, report);
    page + "</body></html>\n"
}

fn facts(page: &mut String, report: &Report) {
    page.push_str("<table>");
    let mut row = |name: &str, value: String| {
        let _ = write!(page, "<tr><th>{}</th><td>{}</td></tr>", escaped(name), escaped(&value));
    };
    row("begun", time(report.begun));
    for (name, value) in &report.machine {
        row(name, value.clone());
    }
    for (name, count) in &report.totals {
        row(name, count.to_string());
    }
    let after = |ms: Option<u64>| ms.map_or("NOT IN TIME".to_owned(), |ms| format!("{} after healing", seconds(ms)));
    row("all orders ended", after(report.rest.orders_ended_after_ms));
    row("all charges known", after(report.rest.charges_known_after_ms));
    page.push_str("</table>");
}

fn violations(page: &mut String, report: &Report) {
    for check in report.failed() {
        let _ = write!(
            page,
            "<h3 class='bad'>{}: {} violations of \u{201c}{}\u{201d}</h3><table><tr><th>what</th><th>expected</th><th>actual</th></tr>",
            escaped(&check.name),
            check.violations,
            escaped(&check.claim)
        );
        for it in &check.findings {
            let (id, expected, actual) = (escaped(&it.id), escaped(&it.expected), escaped(&it.actual));
            let _ = write!(page, "<tr><td>{id}</td><td>{expected}</td><td>{actual}</td></tr>");
        }
        page.push_str("</table>");
    }
}

fn plots(page: &mut String, report: &Report) {
    let since = |at: DateTime<Utc>| ((at - report.begun).num_milliseconds() as f64 / 1_000.0).max(0.0);
    let struck = report.injections.iter().filter(|it| it.came_to == CameTo::Struck);
    let mark = |it: &Injection| Mark { from: since(it.began), to: since(it.ended), name: title(it) };
    let marks: Vec<Mark> = struck.clone().map(mark).collect();
    let placed = Series { name: "orders placed", colour: "#06c", values: &report.placed_per_second };
    let ended = Series { name: "orders ended", colour: "#080", values: &report.ended_per_second };
    let _ = write!(
        page,
        "<h2>Throughput</h2><p><small>Faults are shaded; point at one for its name.</small></p>{}",
        plot::over_time(&[placed, ended], &marks, "/s")
    );
    let times: Vec<u64> = struck.filter_map(|it| it.recovered_after_ms).collect();
    let _ = write!(
        page,
        "<h2>Recovery</h2><p><small>From the blow (crashes, cuts, deletions) or from the end (everything that is held) until every service \
         that was hit settled a step again; share of faults, other faults at the same time included.</small></p>{}",
        plot::spread(&times)
    );
}

fn kind_table(page: &mut String, report: &Report) {
    page.push_str(
        "<h2>Kinds</h2><table><tr><th>kind</th><th class='n'>struck</th><th class='n'>missed</th><th class='n'>failed</th>\
         <th class='n'>p50</th><th class='n'>p99</th><th class='n'>longest</th><th class='n'>violating orders near</th></tr>",
    );
    for line in &report.kinds {
        let recovery = line.recovery_ms.map_or([const { String::new() }; 3], |times| times.map(seconds));
        let [p50, p99, longest] = recovery;
        let _ = write!(
            page,
            "<tr><td><b>{}</b><br><small>{}; {}</small></td><td class='n'>{}</td><td class='n'>{}</td><td class='n'>{}</td>\
             <td class='n'>{p50}</td><td class='n'>{p99}</td><td class='n'>{longest}</td><td class='n'>{}</td></tr>",
            escaped(&line.kind),
            escaped(&line.does),
            escaped(&line.stands_for),
            line.struck,
            line.missed,
            line.failed,
            line.suspected_of
        );
    }
    let mut all: Vec<u64> = report.injections.iter().filter_map(|it| it.recovered_after_ms).collect();
    all.sort_unstable();
    if let Some([p50, p99, longest]) = percentiles(&all).map(|times| times.map(seconds)) {
        let _ = write!(
            page,
            "<tr><th>all</th><th></th><th></th><th></th><th class='n'>{p50}</th><th class='n'>{p99}</th><th class='n'>{longest}</th><th></th></tr>"
        );
    }
    page.push_str("</table>");
}

fn checks(page: &mut String, report: &Report) {
    page.push_str("<h2>Checks</h2><table><tr><th>check</th><th></th><th>claim</th></tr>");
    let mut row = |check: &Check| {
        let verdict = if check.passed { "<span class='good'>ok</span>" } else { "<span class='bad'>WRONG</span>" };
        let _ = write!(
            page,
            "<tr><td>{}</td><td>{verdict}</td><td>{}</td></tr>",
            escaped(&check.name),
            escaped(&check.claim)
        );
    };
    report.checks.iter().chain(&report.audit.checks).for_each(&mut row);
    page.push_str("</table>");
    let counts: Vec<String> = report.audit.counts.iter().map(|(what, count)| format!("{count} {what}")).collect();
    let _ = write!(page, "<p><small>Checked: {}.</small></p>", escaped(&counts.join(", ")));
}

fn injections(page: &mut String, report: &Report) {
    page.push_str(
        "<h2>Faults</h2><details><summary>every one of them</summary><table><tr><th class='n'>at</th><th>fault</th>\
         <th class='n'>lasted</th><th class='n'>recovered</th><th>detail</th></tr>",
    );
    for it in &report.injections {
        let at = (it.began - report.begun).num_milliseconds();
        let lasted = (it.ended - it.began).num_milliseconds();
        let _ = write!(
            page,
            "<tr><td class='n'>{}</td><td>{}</td><td class='n'>{}</td><td class='n'>{}</td><td>{}</td></tr>",
            seconds(at.unsigned_abs()),
            escaped(&title(it)),
            seconds(lasted.unsigned_abs()),
            it.recovered_after_ms.map_or(String::new(), seconds),
            escaped(&it.detail)
        );
    }
    page.push_str("</table></details>");
}

fn title(it: &Injection) -> String {
    let target = it.target.map_or(String::new(), |target| format!(" ({target})"));
    let came_to = match it.came_to {
        CameTo::Struck => "",
        CameTo::Missed => ": missed",
        CameTo::Failed => ": failed",
    };
    format!("{}{target}{came_to}", it.kind)
}

fn seconds(ms: u64) -> String {
    format!("{:.2} s", ms as f64 / 1_000.0)
}

fn time(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}
