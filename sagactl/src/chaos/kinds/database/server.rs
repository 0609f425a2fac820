//! What happens to PostgreSQL as a whole.

use std::time::Duration;

use super::session::Session;
use super::{Call, Done, Outcome, Trouble, sentence};
use crate::chaos::rig::Rig;

/// How often it is tried whether a server that was short of room answers.
const LOOK_EVERY: Duration = Duration::from_millis(100);
const LOOKS: u32 = 200;

pub(super) async fn inject(trouble: Trouble, rig: &Rig, call: &Call) -> Outcome {
    let servers = rig.stack.servers();
    match trouble {
        Trouble::DiskFull => {
            servers.begin_disk_shortage().await.map_err(sentence)?;
            rig.hold(call.lasts).await;
            let room = servers.end_disk_shortage().await;
            let done = room_again(rig).await;
            return room.map_err(sentence).and(done);
        }
        Trouble::Crash => servers.kill_postgres().await.map_err(sentence)?,
        _ => servers.stop_postgres().await.map_err(sentence)?,
    }
    rig.hold(call.lasts).await;
    servers.start_postgres().await.map_err(sentence)?;
    Ok(Done::quietly())
}

/// There is room again; whether the server has survived is its own affair, and may be decided only now.
async fn room_again(rig: &Rig) -> Outcome {
    let (mut ended, mut tries) = (false, 0);
    while let Err(error) = Session::open(rig, "postgres").await {
        tries += 1;
        if tries > LOOKS {
            return Err(error);
        }
        ended |= !rig.stack.servers().postgres_runs().await;
        rig.stack.servers().start_postgres().await.map_err(sentence)?;
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Ok(Done::with(if ended { "the server had ended itself" } else { "the server went on" }))
}
