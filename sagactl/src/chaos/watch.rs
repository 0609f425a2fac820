//! How soon messages flowed again after a fault, and how many orders went through in each second.

use chrono::{DateTime, Utc};
use tokio_postgres::Client;

use super::injector::{CameTo, Injection};
use super::kinds::{Group, Kind, Recovers};
use crate::client::Service;
use crate::stack::{Program, Stack, session};

/// When steps were settled in each service, in milliseconds of this process's clock, in order.
#[derive(Debug, Default)]
pub struct Settled(Vec<(Service, Vec<i64>)>);

/// What cannot be read.
pub type ReadError = tokio_postgres::Error;

/// A session on one service's database, as the service.
///
/// # Errors
/// PostgreSQL's.
pub async fn connect(stack: &Stack, service: Service) -> Result<Client, ReadError> {
    session(stack.database_url(service)).await
}

/// Reads when steps were settled, from all databases.
///
/// # Errors
/// PostgreSQL's.
pub async fn settled(stack: &Stack) -> Result<Settled, ReadError> {
    let mut all = Vec::new();
    for service in Service::ALL {
        let database = connect(stack, service).await?;
        let ahead_ms = clock_ahead_ms(&database).await?;
        let sql =
            "select (extract(epoch from coalesce(settled_at, created_at)) * 1000)::int8 from saga.idempotency_keys
                   order by coalesce(settled_at, created_at)";
        let rows = database.query(sql, &[]).await?;
        all.push((service, rows.iter().map(|row| row.get::<_, i64>(0) - ahead_ms).collect()));
    }
    Ok(Settled(all))
}

/// Orders that ended, for each second since `begun`.
///
/// # Errors
/// PostgreSQL's.
pub async fn ended_per_second(stack: &Stack, begun: DateTime<Utc>) -> Result<Vec<u64>, ReadError> {
    let database = connect(stack, Service::Order).await?;
    let sql = "select extract(epoch from updated_at - $1)::int8, count(*) from orders
               where status not in ('pending', 'cancelling') group by 1";
    let mut seconds = Vec::new();
    for row in database.query(sql, &[&begun]).await? {
        let (second, count): (i64, i64) = (row.get(0), row.get(1));
        let second = usize::try_from(second).unwrap_or_default();
        if seconds.len() <= second {
            seconds.resize(second + 1, 0);
        }
        seconds[second] += count.unsigned_abs();
    }
    Ok(seconds)
}

async fn clock_ahead_ms(database: &Client) -> Result<i64, ReadError> {
    let before = Utc::now();
    let theirs: DateTime<Utc> = database.query_one("select clock_timestamp()", &[]).await?.get(0);
    let between = before + (Utc::now() - before) / 2;
    Ok((theirs - between).num_milliseconds())
}

impl Settled {
    /// Milliseconds from `from` until every one of `services` has settled a step. `None` if one never did.
    fn again_after(&self, services: &[Service], from: DateTime<Utc>) -> Option<u64> {
        let from = from.timestamp_millis();
        let after = |service: &Service| {
            let (_, times) = self.0.iter().find(|(of, _)| of == service)?;
            times.get(times.partition_point(|at| *at <= from)).map(|at| at.abs_diff(from))
        };
        services.iter().map(after).collect::<Option<Vec<u64>>>()?.into_iter().max()
    }

    /// Fills in how soon each fault was recovered from.
    pub fn measure(&self, injections: &mut [Injection], kinds: &[&'static Kind]) {
        for injection in injections.iter_mut().filter(|it| it.came_to == CameTo::Struck) {
            let Some(kind) = kinds.iter().find(|kind| kind.name == injection.kind) else { continue };
            let from = match kind.recovers {
                Recovers::FromBegin => injection.began,
                Recovers::FromEnd => injection.ended,
            };
            // These leave everybody at work.
            if !matches!(kind.group, Group::Messages | Group::Clients) {
                injection.recovered_after_ms = self.again_after(&hit_by(injection.target), from);
            }
        }
    }
}

/// Whose messages stop flowing when it is hit.
fn hit_by(target: Option<Program>) -> Vec<Service> {
    match target {
        None => Service::ALL.to_vec(),
        Some(Program::SandboxProvider) => vec![Service::Payment],
        // Keys are remembered: without it nobody's messages wait.
        Some(Program::Issuer) => vec![],
        Some(program) => Service::ALL.into_iter().filter(|service| Program::from(*service) == program).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recovery_is_the_slowest_of_those_that_were_hit() {
        let at = |ms: i64| DateTime::from_timestamp_millis(ms).expect("a time");
        let settled = Settled(vec![(Service::Order, vec![10, 50, 90]), (Service::Payment, vec![20, 70])]);
        assert_eq!(settled.again_after(&[Service::Order], at(10)), Some(40), "what settled at that moment is before");
        assert_eq!(settled.again_after(&[Service::Order, Service::Payment], at(30)), Some(40));
        assert_eq!(settled.again_after(&[Service::Payment], at(70)), None);
        assert_eq!(settled.again_after(&[Service::Inventory], at(0)), None);
    }
}
