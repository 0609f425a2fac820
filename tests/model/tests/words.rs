//! `docs/rules.md` is what a reader compares code and model by: what it points at is there.

use saga_model::mutants::CLAUSES;
use std::path::{Path, PathBuf};

/// A row of its tables: clause, code, model, mutant, test on servers.
struct Row<'a> {
    clause: &'a str,
    code: &'a str,
    model: &'a str,
    mutant: &'a str,
    test: &'a str,
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn words() -> String {
    std::fs::read_to_string(repository().join("docs/rules.md")).expect("docs/rules.md")
}

fn rows(words: &str) -> Vec<Row<'_>> {
    let mut rows = Vec::new();
    for line in words.lines().filter(|line| line.starts_with('|')) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        if let [clause, code, model, mutant, test] = cells[..]
            && clause != "clause"
            && !clause.starts_with("---")
        {
            rows.push(Row { clause, code, model, mutant, test });
        }
    }
    rows
}

/// What is in backticks.
fn names(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

/// Files in a cell, each followed by what it is said to have, and whether all of it is there. `roots`: where to look.
fn misses(cell: &str, roots: &[&str]) -> Vec<String> {
    let mut misses = Vec::new();
    let mut source = String::new();
    for name in names(cell) {
        if name.ends_with(".rs") {
            let found = roots.iter().find_map(|root| std::fs::read_to_string(repository().join(root).join(name)).ok());
            if found.is_none() {
                misses.push(format!("there is no {name}"));
            }
            source = found.unwrap_or_default();
        } else if !source.contains(name) {
            misses.push(format!("no `{name}` in the file named before it"));
        }
    }
    misses
}

/// All source below a folder.
fn sources(folder: &Path) -> String {
    let entries = std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    let source = |path: PathBuf| match path.is_dir() {
        true => sources(&path),
        false => std::fs::read_to_string(path).expect("text"),
    };
    entries.map(source).collect()
}

#[test]
fn they_name_every_mutant_under_its_rule() {
    let words = words();
    for clause in CLAUSES {
        let name = format!("{:?}", clause.mutant);
        let section =
            words.split("\n## ").find(|section| rows(section).iter().any(|row| names(row.mutant).eq([&*name])));
        let section = section.unwrap_or_else(|| panic!("docs/rules.md does not name {name}"));
        assert!(section.starts_with(clause.rule), "{name} is not under {}", clause.rule);
    }
    let mutants = rows(&words).iter().flat_map(|row| names(row.mutant)).count();
    assert_eq!(mutants, CLAUSES.len(), "docs/rules.md names mutants that are not there");
}

#[test]
fn they_point_at_code_model_and_tests_that_are_there() {
    let on_servers = sources(&repository().join("saga-common/tests/rules"));
    let words = words();
    let mut stale = Vec::new();
    for row in rows(&words) {
        let (files, functions): (Vec<_>, Vec<_>) = names(row.test).partition(|name| name.ends_with(".rs"));
        let unknown = functions.iter().filter(|name| !on_servers.contains(&format!("fn {name}(")));
        let missing = files.iter().filter(|name| !repository().join(name).exists());
        let mut misses: Vec<String> = unknown.chain(missing).map(|name| format!("there is no test {name}")).collect();
        misses.extend(self::misses(row.code, &["saga-common/src", ""]));
        misses.extend(self::misses(row.model, &["tests/model/src"]));
        stale.extend(misses.iter().map(|miss| format!("{}: {miss}", row.clause)));
    }
    assert!(stale.is_empty(), "docs/rules.md: {stale:#?}");
}
