use std::time::Duration;

use super::super::kinds;
use super::*;
use crate::audit::Finding;

#[test]
fn percentiles_are_values_that_occur() {
    assert_eq!(percentiles(&[]), None);
    assert_eq!(percentiles(&[7]), Some([7, 7, 7]));
    let hundred: Vec<u64> = (1..=100).collect();
    assert_eq!(percentiles(&hundred), Some([51, 100, 100]));
}

fn report() -> Report {
    let begun = Utc::now();
    let injection = |n: u32, kind: &str, came_to| Injection {
        kind: kind.to_owned(),
        target: None,
        planned_ms: u64::from(n) * 1_000,
        began: begun + Duration::from_secs(u64::from(n)),
        ended: begun + Duration::from_secs(u64::from(n) + 1),
        came_to,
        detail: "<script>".to_owned(),
        recovered_after_ms: (came_to == CameTo::Struck).then(|| u64::from(n) * 100),
    };
    let injections = vec![
        injection(1, "kill-payment-svc", CameTo::Struck),
        injection(2, "kill-payment-svc", CameTo::Missed),
        injection(5, "broker-kill", CameTo::Failed),
    ];
    let order = Uuid::now_v7();
    let finding = Finding { id: order.to_string(), expected: "<1>".to_owned(), actual: "2".to_owned() };
    let check = Check {
        name: "sums".into(),
        claim: "they add up".into(),
        passed: false,
        violations: 1,
        findings: vec![finding],
    };
    let violating = orders_in([&check].into_iter());
    assert_eq!(violating, BTreeSet::from([order]));
    Report {
        clean: false,
        remarks: vec!["stopped <early>".to_owned()],
        seed: 7,
        command: "sagactl chaos --seed 7".to_owned(),
        begun,
        seconds: 10,
        machine: BTreeMap::from([("cores".to_owned(), "2".to_owned())]),
        totals: BTreeMap::from([("orders placed".to_owned(), 12)]),
        kinds: lines(&kinds::all(), &injections, &violating),
        injections,
        placed_per_second: vec![1, 2, 3, 4],
        ended_per_second: vec![0, 2, 3, 5, 2],
        rest: Rest { orders_ended_after_ms: Some(900), charges_known_after_ms: None },
        checks: vec![check],
        audit: AuditReport::default(),
    }
}

#[test]
fn a_kinds_line_counts_what_its_faults_came_to() {
    let report = report();
    let line = report.kinds.iter().find(|line| line.kind == "kill-payment-svc").expect("a line");
    assert_eq!((line.struck, line.missed, line.failed, line.recovery_ms), (1, 1, 0, Some([100, 100, 100])));
    assert_eq!((report.violations(), line.suspected_of), (1, 1));
}

#[test]
fn json_and_back_is_the_same() {
    let report = report();
    let json = serde_json::to_string(&report).expect("it can be written");
    let back: Report = serde_json::from_str(&json).expect("it can be read");
    assert_eq!(serde_json::to_string(&back).expect("it can be written"), json);
}

#[test]
fn the_page_shows_everything_and_escapes_it() {
    let page = html(&report());
    for expected in
        ["sagactl chaos --seed 7", "kill-payment-svc", "<svg", "1 violation", "&lt;1&gt;", "stopped &lt;early&gt;"]
    {
        assert!(page.contains(expected), "{expected}");
    }
    assert!(!page.contains("<script"), "no scripts, and what others wrote is escaped");
    assert_eq!(page.matches("<svg").count(), page.matches("</svg>").count());
    assert_eq!(page.matches("<table").count(), page.matches("</table>").count());
}
