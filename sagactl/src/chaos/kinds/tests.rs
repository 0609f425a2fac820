use super::*;

#[test]
fn every_kind_has_a_name_of_its_own_and_says_what_it_is() {
    let names: BTreeSet<&str> = all().iter().map(|kind| kind.name).collect();
    assert_eq!(names.len(), all().len(), "two kinds have one name");
    assert!(names.len() >= 55, "{} kinds", names.len());
    for kind in all() {
        for text in [kind.does, kind.stands_for, kind.heals] {
            assert!(text.len() > 5 && !text.ends_with('.'), "{}: {text}", kind.name);
        }
        assert!(kind.lasts_ms.0 <= kind.lasts_ms.1, "{}", kind.name);
        assert!(kind.claim != Claim::Target || !kind.targets.is_empty(), "{} claims a target it has not", kind.name);
        assert!(!names.contains(kind.group.name()), "{} is a group", kind.name);
    }
}

#[test]
fn kinds_are_chosen_by_name_by_group_or_all_and_taken_away_again() {
    let words = |text: &str| text.split(',').map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(chosen(&words("all")).expect("all").len(), all().len());
    let process = chosen(&words("process,-kill-payment-svc")).expect("a group");
    assert!(process.iter().all(|kind| kind.group == Group::Process && kind.name != "kill-payment-svc"));
    assert_eq!(process.len(), process::KINDS.len() - 1);
    assert_eq!(chosen(&words("kill-payment-svc")).expect("one").len(), 1);
    assert!(chosen(&words("explode")).expect_err("unknown").contains("explode"));
    assert!(chosen(&words("process,-process")).is_err());
}

/// What is covered and what is not is a promise of docs/faults.md.
#[test]
fn the_documented_catalogue_names_every_kind_and_no_other() {
    let text = include_str!("../../../../docs/faults.md");
    let listed = text
        .lines()
        .filter_map(|line| line.split_once("chaos: "))
        .flat_map(|(_, kinds)| kinds.split('`').skip(1).step_by(2));
    let listed: BTreeSet<&str> = listed.collect();
    let kinds: BTreeSet<&str> = all().iter().map(|kind| kind.name).collect();
    assert_eq!(kinds.difference(&listed).collect::<Vec<_>>(), Vec::<&&str>::new(), "not documented");
    let readme = include_str!("../../../../README.md");
    assert!(
        readme.contains(&format!("{} kinds of fault", kinds.len())),
        "README says another number than {}",
        kinds.len()
    );
    assert_eq!(listed.difference(&kinds).collect::<Vec<_>>(), Vec::<&&str>::new(), "documented, and not there");
}
