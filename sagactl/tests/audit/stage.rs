//! A real stack after orders of every kind, stopped and at rest, that can be lied about and put back.

use std::path::PathBuf;
use std::time::Duration;

use lapin::options::{BasicPublishOptions, ConfirmSelectOptions, QueuePurgeOptions};
use lapin::protocol::basic::AMQPProperties;
use lapin::{Channel, Connection, ConnectionProperties};
use sagactl::audit::{self, AuditConfig, AuditReport, Auditor, ConnectionLimits, Database, ProviderAccount};
use sagactl::client::{Client, Item, NewOrder, Order, OrderStatus, Service};
use sagactl::stack::{Program, Stack, StackOptions, eventually, session};
use serde_json::{Value, json};
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use crate::ledger::{KEY, Ledger, Provider};

pub(crate) type Fallible<T> = Result<T, Box<dyn std::error::Error>>;

const LIMIT: Duration = Duration::from_secs(60);

/// An order to play: its name here, who orders what and pays how, and where it is held until it has been cancelled.
struct Part(&'static str, &'static str, &'static [(&'static str, u32)], &'static str, Option<(Service, &'static str)>);

const PARTS: [Part; 11] = [
    Part("wallet", "anna", &[("TEA-SENCHA-100", 2), ("MUG-STONE", 1)], "wallet", None),
    Part("card", "carl", &[("COFFEE-ETH-250", 1)], "pm_card_visa", None),
    Part("returned", "rita", &[("TEA-SENCHA-100", 2), ("MUG-STONE", 1)], "wallet", None),
    Part("returned-card", "rolf", &[("MUG-STONE", 1)], "pm_card_visa", None),
    Part("declined", "poor-paula", &[("TEA-SENCHA-100", 1)], "wallet", None),
    Part("card-declined", "dora", &[("TEA-SENCHA-100", 1)], "pm_card_chargeDeclined", None),
    Part("out-of-stock", "erik", &[("TEAPOT-CAST", 1)], "wallet", None),
    Part("refunded", "fay", &[("MUG-STONE", 3)], "wallet", Some((Service::Order, "after-delivery@payment.charged"))),
    Part("card-refunded", "gina", &[("MUG-STONE", 1)], "pm_card_visa", Some((Service::Payment, "after-charge"))),
    Part("voided", "hugo", &[("MUG-STONE", 1)], "pm_card_visa", Some((Service::Payment, "after-store"))),
    Part("fenced", "ida", &[("MUG-STONE", 1)], "wallet", Some((Service::Inventory, "after-delivery@order.placed"))),
];

pub(crate) struct Stage {
    pub(crate) config: AuditConfig,
    pub(crate) orders: Vec<(&'static str, Uuid)>,
    pub(crate) ledger: Ledger,
    pub(crate) history: Vec<Value>,
    provider: Provider,
    broker: Connection,
    auditor: tokio::sync::Mutex<Auditor>,
    databases: Vec<(Database, tokio_postgres::Client)>,
    /// Its databases go with it.
    _stack: Stack,
}

/// A copy of every table, and no references between tables, so that they can be filled again in any order. What only grows can
/// be lied about from now on.
const COPY: &str = "create schema clean;
    do $$ declare it record; begin
        for it in select conrelid::regclass as of, conname from pg_constraint
                  where contype = 'f' and connamespace in ('public'::regnamespace, 'saga'::regnamespace) loop
            execute format('alter table %s drop constraint %I', it.of, it.conname);
        end loop;
        for it in select tgrelid::regclass as of from pg_trigger where tgname = 'append_only' loop
            execute format('alter table %s disable trigger append_only', it.of);
        end loop;
        for it in select relnamespace::regnamespace as schema, relname as name from pg_class
                  where relnamespace in ('public'::regnamespace, 'saga'::regnamespace) and relkind in ('r', 'p')
                    and not relispartition and relname not like '%migrations' loop
            execute format('create table clean.\"%s.%s\" as table %s.%I', it.schema, it.name, it.schema, it.name);
        end loop;
    end $$";

/// Whoever else is connected, goes; not a vacuum, which may not be ended by anybody but a superuser.
const RESTORE: &str = "select pg_terminate_backend(pid, 5000) from pg_stat_activity
        where datname = current_database() and pid <> pg_backend_pid() and application_name <> 'saga-audit'
          and backend_type = 'client backend';
    do $$ declare it record; begin
        for it in select relname as copy, split_part(relname, '.', 1) as schema, split_part(relname, '.', 2) as name
                  from pg_class where relnamespace = 'clean'::regnamespace and relkind = 'r' loop
            execute format('delete from %I.%I', it.schema, it.name);
            execute format('insert into %I.%I overriding system value table clean.%I', it.schema, it.name, it.copy);
        end loop;
    end $$";

impl Stage {
    /// Plays all orders, and stops.
    pub(crate) async fn set() -> Fallible<Self> {
        let stack = Stack::up(StackOptions::unique().env_all("FAULTS", "on")).await?;
        let client = stack.client();
        for (change, reason) in [(5, "found"), (-2, "breakage")] {
            client.adjust_stock("SCALE-01", change, reason, None).await?;
        }
        let mut history = Vec::new();
        let mut orders = Vec::new();
        for part in &PARTS {
            let order = place(&client, part, &mut history).await?;
            orders.push((part.0, order.id));
            if let Some((service, site)) = part.4 {
                held(&stack, service, &directive(service, site)).await?;
                cancel(&client, order.id, &mut history).await?;
                overtaken(&stack, service, order.id).await?;
                client.release(service, order.id).await?;
            }
        }
        for (name, id) in &orders {
            let mut order = client.wait_closed(*id, LIMIT).await?;
            if name.starts_with("returned") {
                client.set_order_status(*id, &OrderStatus::Shipped).await?;
                client.set_order_status(*id, &OrderStatus::Delivered).await?;
                client.return_order(*id).await?;
                order = client.wait_returned(*id, LIMIT).await?;
            }
            history.push(json!({ "what": "seen", "order": id, "state": order.status.to_string() }));
        }
        // Too late: it is confirmed.
        cancel(&client, orders[0].1, &mut history).await?;

        let (provider_url, key) = (stack.url(Program::SandboxProvider)?, stack.provider_key());
        let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("history-{}.jsonl", Uuid::now_v7()));
        let amqp_url = stack.amqp_url().to_owned();
        let config = AuditConfig {
            history: Some(file),
            working_since: Some(chrono::Utc::now()),
            connections: Some(ConnectionLimits { connections: 2, idle_in_transaction: Duration::ZERO }),
            amqp_url: Some(amqp_url.clone()),
            ..stack.audit_config()
        };
        write(&config, &history)?;
        // With everything still running there are more connections.
        let running = AuditConfig { connections: Some(ConnectionLimits::default()), ..config.clone() };
        let report = audit::until_quiescent(&running, LIMIT).await?;
        assert!(report.is_clean() && report.warned().count() == 0, "{report}");

        let ledger = Ledger::of(&provider_url, key).await?;
        assert_eq!(stack.stop().await, []);
        let provider = Provider::start().await;
        let account = ProviderAccount { url: provider.url.clone(), key: KEY.to_owned() };
        let config = AuditConfig { provider: Some(account), ..config };
        let mut databases = Vec::new();
        for database in Database::ALL {
            let client = connect(url_of(&config, database)).await?;
            // What is written here need not survive a crash.
            client.batch_execute("set synchronous_commit = off").await?;
            client.batch_execute(COPY).await?;
            databases.push((database, client));
        }
        let broker = Connection::connect(&amqp_url, ConnectionProperties::default()).await?;
        let auditor = Auditor::connect(&config.databases).await?.into();
        let stage = Self { config, orders, ledger, history, provider, broker, auditor, databases, _stack: stack };
        stage.provider.show(stage.ledger.clone());
        Ok(stage)
    }

    /// Puts names of orders in braces into the text.
    pub(crate) fn with_ids(&self, text: &str) -> String {
        self.orders
            .iter()
            .fold(text.to_owned(), |text, (name, id)| text.replace(&format!("{{{name}}}"), &id.to_string()))
    }

    pub(crate) fn id(&self, name: &str) -> Uuid {
        self.orders.iter().find(|(known, _)| *known == name).expect("one of the orders").1
    }

    pub(crate) async fn audit(&self, config: &AuditConfig) -> Fallible<AuditReport> {
        Ok(self.auditor.lock().await.audit(config).await?)
    }

    /// Another connection of a service's role.
    pub(crate) async fn connect(&self, database: Database) -> Fallible<tokio_postgres::Client> {
        connect(url_of(&self.config, database)).await
    }

    pub(crate) async fn sql(&self, database: Database, sql: &str) -> Fallible<()> {
        let done = self.database(database).batch_execute(&self.with_ids(sql)).await;
        done.map_err(|error| error.as_db_error().map_or_else(|| error.to_string(), ToString::to_string).into())
    }

    /// Puts every row back.
    pub(crate) async fn restore(&self, database: Database) -> Fallible<()> {
        self.sql(database, RESTORE).await
    }

    pub(crate) fn provider_shows(&self, ledger: Ledger) {
        self.provider.show(ledger);
    }

    pub(crate) fn history_is(&self, lines: &[Value]) -> Fallible<()> {
        write(&self.config, lines)
    }

    /// Puts a message into a queue.
    pub(crate) async fn put(&self, queue: &str) -> Fallible<()> {
        let channel = self.channel().await?;
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        let (options, properties) = (BasicPublishOptions::default(), AMQPProperties::default().with_delivery_mode(2));
        channel.basic_publish("".into(), queue.into(), options, b"{}", properties).await?.await?;
        Ok(())
    }

    pub(crate) async fn purge(&self, queue: &str) -> Fallible<()> {
        self.channel().await?.queue_purge(queue.into(), QueuePurgeOptions::default()).await?;
        Ok(())
    }

    async fn channel(&self) -> Fallible<Channel> {
        Ok(self.broker.create_channel().await?)
    }

    fn database(&self, database: Database) -> &tokio_postgres::Client {
        let (_, client) = self.databases.iter().find(|(known, _)| *known == database).expect("all four are there");
        client
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _ = self.config.history.as_ref().map(std::fs::remove_file);
    }
}

fn url_of(config: &AuditConfig, database: Database) -> &str {
    let urls = &config.databases;
    match database {
        Database::Orders => &urls.orders,
        Database::Inventory => &urls.inventory,
        Database::Payment => &urls.payment,
        Database::Notification => &urls.notification,
    }
}

async fn connect(url: &str) -> Fallible<tokio_postgres::Client> {
    Ok(session(url).await?)
}

fn write(config: &AuditConfig, lines: &[Value]) -> Fallible<()> {
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    Ok(std::fs::write(config.history.as_ref().ok_or("there is a history")?, text)?)
}

fn directive(service: Service, site: &str) -> String {
    format!("{service}/{site}=hold(120000)")
}

async fn place(client: &Client, part: &Part, history: &mut Vec<Value>) -> Fallible<Order> {
    let Part(key, customer, items, method, hold) = part;
    let order = NewOrder {
        customer_id: (*customer).to_owned(),
        currency: "EUR".to_owned(),
        items: items.iter().map(|(sku, quantity)| Item { sku: (*sku).to_owned(), quantity: *quantity }).collect(),
        payment_method: (*method).to_owned(),
    };
    history.push(json!({ "what": "asked", "key": key, "body": serde_json::to_string(&order)? }));
    let client = client.clone().with_faults(hold.map(|(service, site)| directive(service, site)));
    let placed = client.place_order(&order, Some(key), None).await?;
    let (id, state) = (placed.order.id, placed.order.status.to_string());
    history.push(json!({ "what": "told", "key": key, "status": placed.status, "order": id, "state": state }));
    Ok(placed.order)
}

async fn cancel(client: &Client, id: Uuid, history: &mut Vec<Value>) -> Fallible<()> {
    history.push(json!({ "what": "asked-to-cancel", "order": id }));
    let status = match client.cancel(id).await {
        Ok(_) => 202,
        Err(error) => error.status().ok_or(error)?,
    };
    history.push(json!({ "what": "told-of-cancel", "order": id, "status": status }));
    Ok(())
}

/// Waits until the directive holds a step.
async fn held(stack: &Stack, service: Service, directive: &str) -> Fallible<()> {
    let fired = "select 1 from saga.faults where directive = $1 and fired_at is not null";
    there_is(stack, service, fired, &directive).await.map_err(|_| format!("{directive} did not fire").into())
}

/// Waits until the cancellation has got past what is held. The order's own service has it when it says so.
async fn overtaken(stack: &Stack, service: Service, order: Uuid) -> Fallible<()> {
    let undone = "select 1 from saga.idempotency_keys where saga_id = $1
                  and (step = 'compensate' or verdict in ('undoing', 'undone', 'fenced'))";
    if service == Service::Order { Ok(()) } else { there_is(stack, service, undone, &order).await }
}

async fn there_is(stack: &Stack, service: Service, sql: &str, parameter: &(dyn ToSql + Sync)) -> Fallible<()> {
    let database = connect(stack.database_url(service)).await?;
    eventually(&format!("{service} comes to: {sql}"), || async {
        Ok((!database.query(sql, &[parameter]).await?.is_empty()).then_some(()))
    })
    .await
}
