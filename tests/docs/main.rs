//! Every command in docs/ is executed as it stands there, and prints what the page shows.

#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used)]

mod page;
mod terminal;

use page::Place;
use sagactl::stack::Servers;
use std::collections::HashMap;
use std::path::Path;
use terminal::Terminal;

type Outcome = Result<(), Box<dyn std::error::Error>>;

/// Ports that pages speak of, and that are those of somebody else while tests run.
const PORTS: [&str; 7] = ["8080", "8081", "8082", "8083", "8084", "15672", "8025"];

/// Plays one page in a folder of its own.
async fn play(name: &str) -> Outcome {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    let mut text = std::fs::read_to_string(docs.join(name))?;
    let servers = Servers::shared().await?;
    for port in PORTS {
        text = text.replace(port, &servers.take_port()?.to_string());
    }
    let folder = servers.data().join(format!("docs-{name}"));
    let programs = std::env::current_exe()?.ancestors().nth(2).ok_or("no folder of programs")?.to_path_buf();
    std::fs::create_dir_all(folder.join("target"))?;
    std::os::unix::fs::symlink(&programs, folder.join("target/debug"))?;
    let variables = HashMap::from([
        ("PROGRAMS", programs.display().to_string()),
        ("ORDERSAGA_PROGRAMS", programs.display().to_string()),
        ("ORDERSAGA_DATA", folder.join("data").display().to_string()),
        ("ORDERSAGA_NO_BUILD", "true".to_owned()),
    ]);
    let mut here = Terminal::open(&folder, &variables)?;
    let mut beside = Vec::new();
    let mut executed = 0;
    let mut found = Ok(());
    for command in page::commands(&text)? {
        found = match command.place {
            Place::Elsewhere => continue,
            Place::Here => here.run(&command).await,
            Place::Beside => {
                let mut terminal = Terminal::open(&folder, &variables)?;
                let begun = terminal.begin(&command).await;
                beside.push(terminal);
                begun
            }
        };
        executed += 1;
        if found.is_err() {
            break;
        }
    }
    for terminal in beside {
        terminal.close().await?;
    }
    here.close().await?;
    std::fs::remove_dir_all(&folder)?;
    found.map_err(|error| format!("docs/{name}, {error}"))?;
    println!("docs/{name}: {executed} commands");
    Ok(())
}

macro_rules! pages {
    ($($test:ident: $name:literal,)*) => {
        /// All of them: a page that nobody plays is found out.
        const PAGES: &[&str] = &[$($name),*];
        $(
            #[tokio::test]
            async fn $test() -> Outcome {
                play($name).await
            }
        )*
    };
}

pages! {
    the_page_about_auditing_says_what_happens: "audit.md",
    the_page_about_breaking_it_says_what_happens: "break.md",
    the_page_about_events_says_what_happens: "events.md",
    the_page_about_operating_it_says_what_happens: "operate.md",
    the_page_about_running_it_says_what_happens: "run.md",
    the_page_about_watching_it_says_what_happens: "watch.md",
    the_page_about_writing_a_participant_says_what_happens: "write-a-participant.md",
}

/// Pages that tell and show nothing to type here; what they say to type takes hours, other machines, or accounts.
const TOLD: &[&str] = &[
    "explorer.md",
    "faults.md",
    "guarantees.md",
    "management-ui.md",
    "metrics.md",
    "performance.md",
    "rules.md",
    "stripe.md",
    "traces.md",
];

#[test]
fn every_page_is_played_or_is_known_to_have_nothing_to_type_here() -> Outcome {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    for entry in std::fs::read_dir(docs)? {
        let path = entry?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()).filter(|name| name.ends_with(".md")) else {
            continue;
        };
        let commands = page::commands(&std::fs::read_to_string(&path)?).map_err(|error| format!("{name}: {error}"))?;
        let here = commands.iter().any(|command| command.place != Place::Elsewhere);
        assert!(PAGES.contains(&name) || TOLD.contains(&name), "{name} is in no list of this test");
        assert_eq!(here, PAGES.contains(&name), "{name}: are there commands for here?");
    }
    Ok(())
}

#[test]
fn the_page_about_writing_a_participant_shows_the_program_as_it_is() -> Outcome {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let page = std::fs::read_to_string(root.join("docs/write-a-participant.md"))?;
    let example = root.join("examples/points");
    for file in ["src/main.rs", "migrations/20261123000901_points.sql"] {
        assert!(page.contains(&std::fs::read_to_string(example.join(file))?), "{file} is not in the page as it is");
    }
    Ok(())
}

#[test]
fn the_readme_leads_to_every_page() -> Outcome {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let readme = std::fs::read_to_string(root.join("README.md"))?;
    for name in PAGES.iter().chain(TOLD) {
        assert!(readme.contains(&format!("(docs/{name}")), "README.md does not link docs/{name}");
    }
    Ok(())
}
