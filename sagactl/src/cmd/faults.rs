//! `sagactl faults`: which fault points there are, and what is to go wrong in a whole process.

use std::collections::BTreeSet;
use std::process::ExitCode;

use futures::future::join_all;
use saga_choreography::unversioned;
use serde::Serialize;
use uuid::Uuid;

use super::show::table;
use super::{Failure, Session};
use crate::client::{Choreography, FaultMap, Service, never_fire};

/// Flags of `sagactl faults`.
#[derive(Debug, clap::Subcommand)]
pub enum Faults {
    /// List every fault point, what a crash there stands for, and how often it was reached
    List {
        /// Only of this service
        #[arg(long)]
        service: Option<Service>,
    },
    /// Let something go wrong in whole processes, such as payment-svc/after-commit=crash%0.01
    Set {
        /// `<service or *>/<point>[@event]=crash|error|delay(ms)|hold(ms)|duplicate|drop|skip-ack[*times][%probability]`, with commas between
        directives: String,
        /// Decides those with a probability
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
    /// Let nothing go wrong any more, except what orders carry
    Clear,
    /// End the holds of one saga (directives such as payment-svc/before-begin=hold) in every service that knows of them
    Release {
        /// The saga: its order's id
        saga_id: Uuid,
    },
}

/// What was released where.
#[derive(Debug, Serialize)]
struct Released {
    service: Service,
    released: u64,
}

/// The fault points of one service.
#[derive(Debug, Serialize)]
struct Of {
    service: Service,
    #[serde(flatten)]
    map: FaultMap,
}

impl Faults {
    pub(super) async fn run(self, session: &Session) -> Result<ExitCode, Failure> {
        match self {
            Faults::List { service } => {
                let asked = service.map_or_else(|| Service::ALL.to_vec(), |service| vec![service]);
                let maps = all(asked.iter().map(|service| session.client.faults(*service)), &asked).await?;
                session.print(&maps, |maps| list(maps))
            }
            Faults::Set { directives, seed } => set(session, &directives, seed).await,
            Faults::Clear => set(session, "", 0).await,
            Faults::Release { saga_id } => release(session, saga_id).await,
        }
    }
}

/// Refuses directives for points that nobody has, or with an action that no such point takes: they would never fire, and what was to be tried would seem to have gone well.
pub(super) async fn must_exist(session: &Session, directives: &str) -> Result<(), Failure> {
    let maps = join_all(Service::ALL.iter().map(|service| session.client.faults(*service))).await;
    // Of a service that is away nobody knows what it has.
    let Ok(maps) = maps.into_iter().collect::<Result<Vec<_>, _>>() else { return Ok(()) };
    let choreographies = join_all(Service::ALL.iter().map(|service| session.client.choreography(*service))).await;
    let Ok(choreographies) = choreographies.into_iter().collect::<Result<Vec<_>, _>>() else { return Ok(()) };
    match never_fire(&maps, &events(&choreographies), directives).as_slice() {
        [] => Ok(()),
        never => Err(Failure::Usage(format!(
            "nothing would ever come of {}: `sagactl faults list` shows all points and what can go wrong there",
            never.join(", ")
        ))),
    }
}

/// All types of events, without their versions.
fn events(choreographies: &[Choreography]) -> BTreeSet<String> {
    let steps = choreographies.iter().flat_map(|it| &it.steps);
    let types = steps.flat_map(|step| step.reacts_to.iter().chain(&step.says).chain(&step.refuses));
    let answers = choreographies.iter().filter_map(|it| it.answers.as_ref());
    types.chain(answers).map(|name| unversioned(name).to_owned()).collect()
}

async fn set(session: &Session, directives: &str, seed: u64) -> Result<ExitCode, Failure> {
    must_exist(session, directives).await?;
    let answers = Service::ALL.iter().map(|service| session.client.set_faults(*service, directives, seed));
    let maps = all(answers, &Service::ALL).await?;
    session.print(&maps, |maps| {
        let line = |of: &Of| {
            format!("{}: {}", of.service, if of.map.directives.is_empty() { "nothing" } else { &of.map.directives })
        };
        maps.iter().map(line).collect::<Vec<_>>().join("\n")
    })
}

async fn release(session: &Session, saga_id: Uuid) -> Result<ExitCode, Failure> {
    let counts = join_all(Service::ALL.iter().map(|service| session.client.release(*service, saga_id))).await;
    let counts: Vec<u64> = counts.into_iter().collect::<Result<_, _>>()?;
    let all: Vec<Released> =
        Service::ALL.iter().zip(counts).map(|(service, released)| Released { service: *service, released }).collect();
    session.print(&all, |all| {
        let lines = all.iter().map(|one| format!("{}: {} released", one.service, one.released));
        lines.collect::<Vec<_>>().join("\n")
    })
}

async fn all<F>(answers: impl Iterator<Item = F>, services: &[Service]) -> Result<Vec<Of>, Failure>
where
    F: Future<Output = Result<FaultMap, crate::client::ClientError>>,
{
    let maps: Result<Vec<FaultMap>, _> = join_all(answers).await.into_iter().collect();
    Ok(services.iter().zip(maps?).map(|(service, map)| Of { service: *service, map }).collect())
}

fn list(maps: &[Of]) -> String {
    let mut rows = table(["point", "a crash there stands for", "actions", "reached", "fired"], &["reached", "fired"]);
    for point in maps.iter().flat_map(|of| &of.map.points) {
        let sum = |count: fn(&crate::client::Reached) -> u64| point.reached.iter().map(count).sum::<u64>().to_string();
        rows.add_row([
            point.point.clone(),
            point.stands_for.clone(),
            point.actions.join(", "),
            sum(|reached| reached.times),
            sum(|reached| reached.fired),
        ]);
    }
    let off = maps.iter().filter(|of| !of.map.enabled).map(|of| of.service.to_string()).collect::<Vec<_>>();
    let total = maps.iter().map(|of| of.map.points.len()).sum::<usize>();
    match off.is_empty() {
        true => format!("{rows}\n{total} points"),
        false => format!("{rows}\n{total} points; injection is off in {} (start with FAULTS=on)", off.join(", ")),
    }
}
