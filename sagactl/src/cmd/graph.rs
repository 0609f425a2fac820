//! `sagactl graph`: who reacts to whom, as a picture or a list of what does not fit together. Needs no running services.

use std::process::ExitCode;

use clap::ValueEnum;
use futures::future::try_join_all;
use saga_choreography::{Choreography, Graph, findings};

use super::session::Global;
use super::{Failure, Session};
use crate::client::{Service, built_in_maps};

/// Flags of `sagactl graph`.
#[derive(Debug, clap::Args)]
pub struct Drawing {
    /// In which language
    #[arg(long, value_enum, default_value_t = Format::Mermaid)]
    format: Format,
    /// Ask the running services, instead of drawing what this program was built with
    #[arg(long)]
    live: bool,
    /// Only say what does not fit together; status 1 if something does not
    #[arg(long)]
    check: bool,
}

/// What a picture is written in.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    /// For Markdown pages
    Mermaid,
    /// For Graphviz
    Dot,
    /// For browsers, and everything else
    Svg,
}

impl Drawing {
    pub(super) async fn run(self, global: Global) -> Result<ExitCode, Failure> {
        let json = global.json();
        let maps = if self.live { live(&Session::open(global).await?).await? } else { built_in_maps() };
        if self.check {
            return Ok(check(&maps));
        }
        let graph = Graph::of(&maps);
        let text = match self.format {
            _ if json => serde_json::to_string_pretty(&maps).map_err(|error| Failure::Failed(error.to_string()))?,
            Format::Mermaid => graph.mermaid(),
            Format::Dot => graph.dot(),
            Format::Svg => graph.svg(),
        };
        super::session::show(text.trim_end());
        Ok(ExitCode::SUCCESS)
    }
}

/// The maps of the running services, and a note of each that this program was not built with.
async fn live(session: &Session) -> Result<Vec<Choreography>, Failure> {
    let maps = try_join_all(Service::ALL.map(|service| session.client.choreography(service))).await?;
    let built_in = built_in_maps();
    for map in maps.iter().filter(|map| !built_in.contains(map)) {
        eprintln!("note: the running {} differs from what this sagactl was built with", map.participant);
    }
    Ok(maps)
}

fn check(maps: &[Choreography]) -> ExitCode {
    let found = findings(maps);
    for finding in &found {
        super::session::show(&finding.to_string());
    }
    ExitCode::from(u8::from(!found.is_empty()))
}
