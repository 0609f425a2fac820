use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, timeout};

use super::*;

type Outcome = Result<(), Box<dyn std::error::Error>>;

const SOON: Duration = Duration::from_secs(5);
/// Long enough for what should not come to have come.
const A_WHILE: Duration = Duration::from_millis(150);

/// An echo server behind a proxy.
async fn echo() -> io::Result<Proxy> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let port = listener.local_addr()?.port();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut reads, mut writes) = socket.split();
                tokio::io::copy(&mut reads, &mut writes).await
            });
        }
    });
    Proxy::to(port).await
}

async fn connect(proxy: &Proxy) -> io::Result<TcpStream> {
    TcpStream::connect((Ipv4Addr::LOCALHOST, proxy.port())).await
}

/// What comes back for `text`, within a while; `None` for silence.
async fn says(socket: &mut TcpStream, text: &[u8], patience: Duration) -> io::Result<Option<Vec<u8>>> {
    socket.write_all(text).await?;
    hears(socket, text.len(), patience).await
}

async fn hears(socket: &mut TcpStream, length: usize, patience: Duration) -> io::Result<Option<Vec<u8>>> {
    let mut heard = vec![0; length];
    match timeout(patience, socket.read_exact(&mut heard)).await {
        Ok(read) => read.map(|_| Some(heard)),
        Err(_) => Ok(None),
    }
}

fn is_reset(result: &io::Result<Option<Vec<u8>>>) -> bool {
    matches!(result, Err(error) if matches!(error.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe))
}

#[tokio::test]
async fn what_passes_is_what_was_sent() -> Outcome {
    let proxy = echo().await?;
    let mut socket = connect(&proxy).await?;
    let long: Vec<u8> = (0..200_000_u32).map(|n| n as u8).collect();
    assert_eq!(says(&mut socket, &long[..10_000], SOON).await?.as_deref(), Some(&long[..10_000]));
    assert_eq!(proxy.struck(), 0);
    Ok(())
}

#[tokio::test]
async fn a_delay_makes_it_later_and_a_throttle_slower() -> Outcome {
    let proxy = echo().await?;
    let mut socket = connect(&proxy).await?;
    proxy.set(Mode::Delay { by: Duration::from_millis(100), jitter: Duration::from_millis(10) });
    let begun = Instant::now();
    assert!(says(&mut socket, b"late", SOON).await?.is_some());
    assert!(begun.elapsed() >= Duration::from_millis(200), "once there, once back");
    proxy.set(Mode::Throttle { bytes_per_second: 1_000 });
    let begun = Instant::now();
    assert!(says(&mut socket, &[7; 300], SOON).await?.is_some());
    assert!(begun.elapsed() >= Duration::from_millis(290), "{:?}", begun.elapsed());
    assert!(proxy.struck() > 0);
    Ok(())
}

#[tokio::test]
async fn a_partition_holds_everything_and_lets_it_go_when_it_heals() -> Outcome {
    let proxy = echo().await?;
    let mut socket = connect(&proxy).await?;
    proxy.set(Mode::Stall);
    assert_eq!(says(&mut socket, b"held", A_WHILE).await?, None);
    let mut newcomer = connect(&proxy).await?;
    assert_eq!(says(&mut newcomer, b"new", A_WHILE).await?, None);
    proxy.set(Mode::Pass);
    assert_eq!(hears(&mut socket, 4, SOON).await?.as_deref(), Some(&b"held"[..]));
    assert_eq!(hears(&mut newcomer, 3, SOON).await?.as_deref(), Some(&b"new"[..]));
    Ok(())
}

#[tokio::test]
async fn a_half_open_connection_stays_dead_while_new_ones_live() -> Outcome {
    let proxy = echo().await?;
    let mut socket = connect(&proxy).await?;
    proxy.set(Mode::HalfOpen);
    assert_eq!(says(&mut socket, b"lost", A_WHILE).await?, None);
    proxy.set(Mode::Pass);
    assert_eq!(says(&mut socket, b"lost", A_WHILE).await?, None, "it does not come back");
    let mut newcomer = connect(&proxy).await?;
    assert!(says(&mut newcomer, b"alive", SOON).await?.is_some());
    Ok(())
}

#[tokio::test]
async fn what_is_lost_one_way_arrives_the_other_and_the_connection_is_cut_at_the_end() -> Outcome {
    for direction in [Direction::ToServer, Direction::ToClient] {
        let proxy = echo().await?;
        let mut socket = connect(&proxy).await?;
        proxy.set(Mode::Lose(direction));
        assert_eq!(says(&mut socket, b"gone", A_WHILE).await?, None);
        proxy.set(Mode::Pass);
        assert!(is_reset(&hears(&mut socket, 1, SOON).await), "{direction:?}");
        let mut newcomer = connect(&proxy).await?;
        assert!(says(&mut newcomer, b"alive", SOON).await?.is_some());
    }
    Ok(())
}

#[tokio::test]
async fn cut_and_refused_connections_are_reset() -> Outcome {
    let proxy = echo().await?;
    let mut socket = connect(&proxy).await?;
    assert!(says(&mut socket, b"alive", SOON).await?.is_some());
    proxy.cut();
    assert!(is_reset(&hears(&mut socket, 1, SOON).await));
    let mut open = connect(&proxy).await?;
    assert!(says(&mut open, b"alive", SOON).await?.is_some());
    proxy.set(Mode::Refuse);
    assert!(is_reset(&hears(&mut open, 1, SOON).await));
    // Refused either while it connects or at its first word.
    if let Ok(mut refused) = connect(&proxy).await {
        assert!(is_reset(&says(&mut refused, b"no", SOON).await));
    }
    Ok(())
}

#[tokio::test]
async fn of_a_truncated_piece_half_arrives() -> Outcome {
    let proxy = echo().await?;
    let mut socket = connect(&proxy).await?;
    proxy.set(Mode::Truncate(Direction::ToClient));
    socket.write_all(b"12345678").await?;
    let mut heard = Vec::new();
    let end = timeout(SOON, socket.read_to_end(&mut heard)).await?;
    assert!(heard.len() <= 4 && end.is_err(), "{heard:?} {end:?}");
    Ok(())
}

#[tokio::test]
async fn a_connection_is_cut_at_commit_and_not_before() -> Outcome {
    for arrives in [false, true] {
        let proxy = echo().await?;
        let mut socket = connect(&proxy).await?;
        proxy.set(Mode::CutAtCommit { arrives });
        assert!(says(&mut socket, b"BEGIN\0", SOON).await?.is_some());
        assert_eq!(proxy.struck(), 0);
        let end = says(&mut socket, b"Q....COMMIT\0", SOON).await;
        assert!(is_reset(&end) || end.as_ref().is_ok_and(Option::is_some) && arrives, "{end:?}");
        assert_eq!(proxy.struck(), 1);
    }
    Ok(())
}
