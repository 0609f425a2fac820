//! E-mails, through a mail server that is well, away, busy, forgetful or choosy. The test plays order-svc.

mod aiosmtpd;
mod server;

use aiosmtpd::Aiosmtpd;
use order_contracts::{Fulfilment, OrderCancelled, OrderConfirmed, OrderId, OrderStatusChanged};
use saga_common::testkit::Wire;
use saga_common::{Event, MessageId, SagaId};
use sagactl::client::Service;
use sagactl::stack::{Stack, StackOptions, eventually};
use serde_json::Value;
use server::{Arrived, MailServer};
use std::collections::BTreeSet;
use std::fs::DirEntry;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use uuid::Uuid;

type Outcome<T = ()> = Result<T, Box<dyn std::error::Error>>;

const PROGRAM: &str = env!("CARGO_BIN_EXE_notification-svc");

struct Stage {
    stack: Stack,
    wire: Wire,
}

impl Stage {
    async fn up(set: impl FnOnce(StackOptions) -> StackOptions) -> Outcome<Self> {
        let folder = Path::new(PROGRAM).parent().map(Path::to_path_buf);
        let options = StackOptions::unique().only([Service::Notification]).programs_folder(folder);
        let stack = Stack::up(set(options)).await?;
        let wire = Wire::connect(stack.amqp_url()).await?;
        Ok(Self { stack, wire })
    }

    async fn with(server: &MailServer) -> Outcome<Self> {
        Self::sending_to(&server.address.to_string()).await
    }

    async fn sending_to(address: &str) -> Outcome<Self> {
        let url = format!("smtp://{address}");
        Self::up(|options| options.env(Service::Notification, "SMTP_URL", url)).await
    }

    /// Says it, and returns its message's id.
    async fn say(&self, order: SagaId, event: &impl Event) -> Outcome<Uuid> {
        let message_id = MessageId::new();
        assert!(self.wire.publish_as(message_id, "saga.events", order, event).await?, "nobody listens");
        Ok(message_id.as_uuid())
    }

    async fn confirm(&self, customer: &str) -> Outcome<Uuid> {
        let order = SagaId::new();
        self.say(order, &OrderConfirmed { order_id: OrderId(order.as_uuid()), customer_id: customer.into() }).await
    }

    async fn notes(&self) -> Outcome<Vec<Value>> {
        let url = format!("{}/notifications", self.stack.url(Service::Notification)?);
        let answer: Value = self.stack.http().get(url).send().await?.json().await?;
        Ok(answer["notifications"].as_array().cloned().unwrap_or_default())
    }

    /// Waits until a note's e-mail is in this state, and returns the note.
    async fn until(&self, message_id: Uuid, state: &str) -> Outcome<Value> {
        eventually(state, || async {
            let notes = self.notes().await?;
            Ok(notes.into_iter().find(|it| it["message_id"] == message_id.to_string() && it["state"] == state))
        })
        .await
    }

    /// Waits until no e-mail is pending.
    async fn until_settled(&self, mails: usize) -> Outcome {
        eventually("all e-mails", || async {
            let notes = self.notes().await?;
            Ok((notes.len() == mails && notes.iter().all(|it| it["state"] != "pending")).then_some(()))
        })
        .await
    }
}

fn id_of(mail: &Arrived) -> &str {
    mail.header("Message-ID").expect("a Message-ID")
}

#[tokio::test]
async fn every_event_is_one_e_mail() -> Outcome {
    let server = MailServer::start()?;
    let stage = Stage::with(&server).await?;
    let order = SagaId::new();
    let (order_id, customer_id) = (OrderId(order.as_uuid()), "anna");
    let confirmed = OrderConfirmed { order_id, customer_id: customer_id.into() };
    let first = MessageId::new();
    for _ in 0..3 {
        assert!(stage.wire.publish_as(first, "saga.events", order, &confirmed).await?, "nobody listens");
    }
    let mut said = vec![first.as_uuid()];
    for status in [Fulfilment::Shipped, Fulfilment::Delivered, Fulfilment::Returned] {
        said.push(stage.say(order, &OrderStatusChanged { order_id, customer_id: customer_id.into(), status }).await?);
    }
    let other = SagaId::new();
    let reason = "payment.declined: insufficient funds".to_owned();
    let cancelled = OrderCancelled { order_id: OrderId(other.as_uuid()), customer_id: "bo@example.org".into(), reason };
    said.push(stage.say(other, &cancelled).await?);
    stage.until_settled(5).await?;

    let arrived = server.arrived();
    let ids: BTreeSet<String> = arrived.iter().map(|mail| id_of(mail).to_owned()).collect();
    let expected: BTreeSet<String> = said.iter().map(|id| format!("<{id}@shop.example>")).collect();
    assert_eq!((arrived.len(), ids), (5, expected));
    // What is given up half-way still gets answers: no other e-mail may wait for its own there.
    assert_eq!(server.connections(), 5, "each over a connection of its own");
    let of = |subject: &str| arrived.iter().find(|mail| mail.header("Subject") == Some(subject)).expect(subject);
    assert_eq!(of("Your order is confirmed").to, ["anna@customers.example"]);
    assert_eq!(of("Your order is on its way").from, "orders@shop.example");
    let sorry = of("Your order is cancelled");
    assert_eq!(sorry.to, ["bo@example.org"]);
    let text = sorry.text.replace("=\r\n", "");
    assert!(text.contains("your payment was declined (insufficient funds)"), "{text}");
    let note = stage.until(said[4], "sent").await?;
    assert_eq!((&note["attempts"], &note["kind"]), (&1.into(), &"cancelled".into()));
    Ok(())
}

#[tokio::test]
async fn a_mail_server_of_others_has_each_e_mail_once_also_after_it_was_away() -> Outcome {
    let mut server = Aiosmtpd::start().await?;
    let stage = Stage::sending_to(&server.address).await?;
    let first = stage.confirm("anna").await?;
    stage.until(first, "sent").await?;
    server.end();
    let second = stage.confirm("änna").await?;
    eventually("an attempt", || async {
        let notes = stage.notes().await?;
        Ok(notes.into_iter().find(|it| it["message_id"] == second.to_string() && !it["last_error"].is_null()))
    })
    .await?;
    server.again().await?;
    stage.until(second, "sent").await?;

    let arrived = server.arrived()?;
    assert_eq!(arrived.len(), 2);
    for (message, to) in [(first, "anna@customers.example"), (second, "=c3=a4nna@customers.example")] {
        let id = format!("Message-ID: <{message}@shop.example>");
        let mail = arrived.iter().find(|mail| mail.lines().any(|line| line == id)).ok_or(id)?;
        for header in [format!("X-RcptTo: {to}"), format!("To: {to}"), "Subject: Your order is confirmed".to_owned()] {
            assert!(mail.lines().any(|line| line == header), "{header}: {mail}");
        }
        assert!(mail.contains("text/plain") && mail.trim_end().ends_with("--"), "it is cut off: {mail}");
    }
    Ok(())
}

#[tokio::test]
async fn a_mail_server_that_is_away_keeps_e_mails_waiting_and_nothing_else() -> Outcome {
    let server = MailServer::away()?;
    let stage = Stage::with(&server).await?;
    let mut said = Vec::new();
    for _ in 0..10 {
        said.push(stage.confirm("anna").await?);
    }
    eventually("attempts", || async {
        let notes = stage.notes().await?;
        Ok((notes.len() == 10 && notes.iter().all(|it| it["attempts"].as_i64() > Some(1))).then_some(()))
    })
    .await?;
    let note = stage.until(said[0], "pending").await?;
    assert!(note["last_error"].as_str().is_some_and(|error| !error.is_empty()), "{note}");
    stage.stack.client().ready(Service::Notification).await?;
    // Then it answers and serves nobody, which is nobody's refusal.
    server.is_busy(true);
    server.come_back()?;
    eventually("what it says", || async {
        let notes = stage.notes().await?;
        Ok(notes.iter().any(|it| it["last_error"].as_str().is_some_and(|it| it.contains("421"))).then_some(()))
    })
    .await?;
    server.is_busy(false);
    stage.until_settled(10).await?;
    let ids: BTreeSet<String> = server.arrived().iter().map(|mail| id_of(mail).to_owned()).collect();
    assert_eq!((server.arrived().len(), ids.len()), (10, 10), "each once");
    assert!(stage.notes().await?.iter().all(|it| it["state"] == "sent"));
    Ok(())
}

#[tokio::test]
async fn an_e_mail_whose_receipt_was_lost_is_repeated_under_its_message_id() -> Outcome {
    let server = MailServer::start()?;
    server.forget_to_answer(2);
    let stage = Stage::with(&server).await?;
    let said = stage.confirm("anna").await?;
    let note = stage.until(said, "sent").await?;
    assert_eq!(note["attempts"], 3);
    let arrived = server.arrived();
    assert_eq!(arrived.len(), 3);
    let same = |header: &str| arrived.iter().all(|mail| mail.header(header) == arrived[0].header(header));
    assert!(same("Message-ID") && same("Date") && same("To") && same("Subject"), "{arrived:?}");
    Ok(())
}

#[tokio::test]
async fn an_e_mail_is_sent_once_the_server_has_it_whatever_its_goodbye() -> Outcome {
    let server = MailServer::start()?;
    server.ignore_goodbyes();
    let stage = Stage::with(&server).await?;
    let said = [stage.confirm("anna").await?, stage.confirm("bo").await?];
    for message in said {
        assert_eq!(stage.until(message, "sent").await?["attempts"], 1);
    }
    assert_eq!(server.arrived().len(), 2);
    Ok(())
}

#[tokio::test]
async fn a_refused_recipient_is_kept_with_the_servers_sentence_and_holds_up_nobody() -> Outcome {
    let server = MailServer::start()?;
    server.refuse("nobody");
    let stage = Stage::with(&server).await?;
    let (refused, sent) = (stage.confirm("nobody").await?, stage.confirm("anna").await?);
    let note = stage.until(refused, "refused").await?;
    let error = note["last_error"].as_str().unwrap_or_default();
    assert!(error.contains("550") && error.contains("Mailbox unavailable"), "{note}");
    assert_eq!(note["attempts"], 1);
    stage.until(sent, "sent").await?;
    assert_eq!(server.arrived().len(), 1);
    Ok(())
}

#[tokio::test]
async fn two_replicas_share_the_work() -> Outcome {
    let server = MailServer::start()?;
    let url = format!("smtp://{}", server.address);
    let stage =
        Stage::up(|options| options.env(Service::Notification, "SMTP_URL", url).replicas(Service::Notification, 2))
            .await?;
    for n in 0..80 {
        stage.confirm(&format!("customer-{n}")).await?;
    }
    stage.until_settled(80).await?;
    let arrived = server.arrived();
    let ids: BTreeSet<&str> = arrived.iter().map(id_of).collect();
    assert_eq!((arrived.len(), ids.len()), (80, 80), "each once");
    Ok(())
}

#[tokio::test]
async fn a_killed_service_sends_what_it_had_not() -> Outcome {
    let server = MailServer::away()?;
    let stage = Stage::with(&server).await?;
    let said = stage.confirm("anna").await?;
    stage.until(said, "pending").await?;
    stage.stack.kill9(Service::Notification).await?;
    server.come_back()?;
    stage.stack.start(Service::Notification).await?;
    stage.until(said, "sent").await?;
    assert_eq!(server.arrived().len(), 1);
    Ok(())
}

/// What the files of a folder say: one, or two around midnight.
fn written(folder: &Path) -> Outcome<String> {
    let mut files = std::fs::read_dir(folder)?.collect::<Result<Vec<_>, _>>()?;
    files.sort_by_key(DirEntry::file_name);
    let mut text = String::new();
    for file in files {
        assert_eq!(file.metadata()?.permissions().mode() & 0o777, 0o600, "for nobody else");
        text += &std::fs::read_to_string(file.path())?;
    }
    Ok(text)
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("mail-{}", Uuid::now_v7()))
}

#[tokio::test]
async fn without_a_mail_server_e_mails_are_in_a_file_that_replicas_share() -> Outcome {
    let folder = folder();
    let stage = Stage::up(|options| {
        options.env(Service::Notification, "MAIL_DIR", folder.display()).replicas(Service::Notification, 2)
    })
    .await?;
    let mut said = vec![stage.confirm("anna\r\nBcc: all@example.org").await?];
    for n in 1..80 {
        said.push(stage.confirm(&format!("customer-{n}")).await?);
    }
    stage.until_settled(said.len()).await?;
    let text = written(&folder)?;
    let lines: Vec<&str> = text.lines().collect();
    let begins: Vec<usize> = (0..lines.len()).filter(|&n| lines[n].starts_with("From orders@shop.example ")).collect();
    assert_eq!((begins.len(), begins[0]), (80, 0));
    assert!(begins[1..].iter().all(|&n| lines[n - 1].is_empty()), "each begins behind an empty line");
    for id in said {
        assert_eq!(text.matches(&format!("Message-ID: <{id}@shop.example>")).count(), 1, "{id}");
    }
    assert!(!text.contains("\nBcc"), "{text}");
    std::fs::remove_dir_all(folder)?;
    Ok(())
}

#[tokio::test]
async fn a_folder_that_cannot_be_written_keeps_e_mails_waiting() -> Outcome {
    let folder = folder();
    let stage = Stage::up(|options| options.env(Service::Notification, "MAIL_DIR", folder.display())).await?;
    std::fs::remove_dir(&folder)?;
    std::fs::write(&folder, "in its way")?;
    let said = stage.confirm("anna").await?;
    eventually("an attempt that failed", || async {
        let note = stage.until(said, "pending").await?;
        let error = note["last_error"].as_str().unwrap_or_default();
        Ok(error.starts_with("the file cannot be written: ").then_some(()))
    })
    .await?;
    std::fs::remove_file(&folder)?;
    std::fs::create_dir(&folder)?;
    stage.until(said, "sent").await?;
    assert!(written(&folder)?.contains(&said.to_string()));
    std::fs::remove_dir_all(folder)?;
    Ok(())
}
