//! payment-svc and the sandbox on servers of their own, with the tests in the place of the other services.

use payment_svc::provider::{ProviderClient, ProviderKey, ProviderTimeouts};
use sagactl::client::{Client, Service};
use sagactl::stack::{Program, Stack, StackOptions, eventually, session};
use serde_json::{Value, json};
use uuid::Uuid;

pub(crate) struct Stage {
    pub(crate) stack: Stack,
    pub(crate) client: Client,
    pub(crate) provider: ProviderClient,
    pub(crate) db: tokio_postgres::Client,
    http: reqwest::Client,
}

/// An order that is to be paid.
#[derive(Debug, Clone)]
pub(crate) struct Order {
    pub(crate) id: Uuid,
    pub(crate) customer: String,
    pub(crate) amount_minor: i64,
    pub(crate) currency: &'static str,
    pub(crate) method: String,
}

impl Order {
    /// A new order of a new customer over 12.90 EUR.
    pub(crate) fn by(method: &str) -> Self {
        let id = Uuid::now_v7();
        let customer = format!("customer-{}", id.simple());
        Self { id, customer, amount_minor: 1_290, currency: "EUR", method: method.into() }
    }

    pub(crate) fn of(customer: &str, amount_minor: i64) -> Self {
        Self { customer: customer.into(), amount_minor, ..Self::by("wallet") }
    }
}

/// What the provider has on record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Intent {
    pub(crate) id: String,
    pub(crate) status: String,
    pub(crate) refunded_minor: i64,
    /// How many refunds that were.
    pub(crate) refunds: i64,
}

impl Stage {
    pub(crate) async fn up() -> Self {
        Self::with(|options| options).await
    }

    /// With other settings than the usual ones: a provider that is soon given up on, and charges that take their time.
    pub(crate) async fn with(set: impl FnOnce(StackOptions) -> StackOptions) -> Self {
        let options = StackOptions::unique()
            .only([Program::SandboxProvider, Program::PaymentSvc])
            .env(Program::SandboxProvider, "SLOW_MS", 2_000)
            .env(Program::PaymentSvc, "PROVIDER_TIMEOUT_MS", 800)
            .env(Program::PaymentSvc, "LOG", "info,saga_common=debug")
            // Without the other services nobody would have a queue for what is said.
            .env(Program::PaymentSvc, "TAP", "true");
        let stack = Stack::up(set(options)).await.expect("a stack");
        let db = session(stack.database_url(Service::Payment)).await.expect("a database");
        let url = stack.url(Program::SandboxProvider).expect("the sandbox");
        let key = ProviderKey::new(stack.provider_key());
        let provider = ProviderClient::new(&url, &key, ProviderTimeouts::default()).expect("a client");
        let http = reqwest::Client::builder().no_proxy().build().expect("a client");
        Self { client: stack.client(), stack, provider, db, http }
    }

    /// Says what inventory-svc would: the order is to be paid.
    pub(crate) async fn reserve(&self, order: &Order) {
        self.reserve_as(order, Uuid::now_v7()).await;
    }

    /// As [`Stage::reserve`], by a message with this id.
    pub(crate) async fn reserve_as(&self, order: &Order, message_id: Uuid) {
        let event = reserved(order);
        let properties = properties("stock.reserved.v1", order.id, message_id);
        self.publish("saga.events", "stock.reserved", properties, &event.to_string()).await;
    }

    /// Many orders in few messages (bundles).
    pub(crate) async fn reserve_all(&self, orders: &[Order]) {
        for bundle in orders.chunks(64) {
            let events = bundle.iter().map(|order| {
                json!({"id": Uuid::now_v7(), "subject": order.id, "type": "stock.reserved.v1", "data": reserved(order)})
            });
            let body = Value::Array(events.collect()).to_string();
            let properties = json!({"content_type": "application/cloudevents-batch+json", "delivery_mode": 2});
            self.publish("saga.events", "stock.reserved", properties, &body).await;
        }
    }

    /// Says what order-svc would: the order has failed. `repeats`: how often it has said so before.
    pub(crate) async fn fail(&self, order_id: Uuid, repeats: u32) {
        let mut properties = properties("order.cancelling.v1", order_id, order_id);
        properties["headers"] = json!({"announcement": repeats});
        let event = json!({"order_id": order_id, "reason": "cancelled by the customer"});
        self.publish("saga.failures", "", properties, &event.to_string()).await;
    }

    /// Says what order-svc would: the order comes back. `repeats`: how often it has said so before.
    pub(crate) async fn take_back(&self, order: &Order, return_id: Uuid, repeats: u32) {
        let mut properties = properties("return.requested.v1", return_id, return_id);
        properties["headers"] = json!({"announcement": repeats});
        let event = json!({"return_id": return_id, "order_id": order.id, "customer_id": order.customer,
            "lines": [{"sku": "MUG-STONE", "quantity": 1}], "payment_method": order.method});
        self.publish("saga.events", "return.requested", properties, &event.to_string()).await;
    }

    async fn publish(&self, exchange: &str, routing_key: &str, properties: Value, payload: &str) {
        let broker = self.stack.servers().management();
        let url = format!("{}/api/exchanges/{}/{exchange}/publish", broker.url, self.stack.vhost());
        let body = json!({"properties": properties, "routing_key": routing_key, "payload": payload,
            "payload_encoding": "string"});
        let request = self.http.post(url).basic_auth(&broker.user, Some(&broker.password)).json(&body);
        let answer: Value = request.send().await.expect("an answer").json().await.expect("JSON");
        assert_eq!(answer["routed"], true, "{answer}");
    }

    /// Waits until the order's payment has this status.
    pub(crate) async fn until(&self, order_id: Uuid, status: &str) {
        let question = format!("select status from payments where order_id = '{order_id}'");
        self.until_sql(&question, status).await;
    }

    /// Waits until the participant has answered the failure of the order, and returns its answer.
    pub(crate) async fn answer(&self, order_id: Uuid) -> String {
        let question = format!(
            "select (said_id is not null)::text from saga.idempotency_keys
             where saga_id = '{order_id}' and step = 'compensate'"
        );
        self.until_sql(&question, "true").await;
        self.verdict(order_id, "compensate").await
    }

    /// What the guard row of a step says.
    pub(crate) async fn verdict(&self, order_id: Uuid, step: &str) -> String {
        let ask = "select verdict from saga.idempotency_keys where saga_id = $1 and step = $2";
        let row = self.db.query_opt(ask, &[&order_id, &step]).await.expect("an answer");
        row.map_or_else(|| "none".to_owned(), |row| row.get(0))
    }

    /// Waits until a question of one text has this answer.
    pub(crate) async fn until_sql(&self, question: &str, expected: &str) {
        let answered = eventually(question, || async {
            let row = self.db.query_opt(question, &[]).await?;
            match row.and_then(|row| row.get::<_, Option<String>>(0)) {
                Some(found) if found == expected => Ok(Some(())),
                found => Err(format!("{found:?} instead of {expected:?}").into()),
            }
        });
        answered.await.expect("the answer");
    }

    /// One number from the database.
    pub(crate) async fn number(&self, question: &str) -> i64 {
        self.db.query_one(question, &[]).await.expect("an answer").get(0)
    }

    /// Waits until a job has stored its intent.
    pub(crate) async fn until_stored(&self, order_id: Uuid) {
        let ask = format!("select (data->>'intent_id' is not null)::text from saga.jobs where saga_id = '{order_id}'");
        self.until_sql(&ask, "true").await;
    }

    /// Ends the leases of all jobs, as if the time that they are given had passed.
    pub(crate) async fn end_leases(&self) {
        self.db.execute("update saga.jobs set leased_until = null", &[]).await.expect("an update");
    }

    /// The provider's intents of an order.
    pub(crate) async fn intents(&self, order_id: Uuid) -> Vec<Intent> {
        let of_order = |intent: &&Value| intent["metadata"]["order_id"] == json!(order_id);
        let listed = self.list("payment_intents").await;
        let refunds = self.list("refunds").await;
        let read = |intent: &Value| {
            let of_intent: Vec<&Value> =
                refunds.iter().filter(|refund| refund["payment_intent"] == intent["id"]).collect();
            Intent {
                id: intent["id"].as_str().expect("an id").to_owned(),
                status: intent["status"].as_str().expect("a status").to_owned(),
                refunded_minor: of_intent.iter().filter_map(|refund| refund["amount"].as_i64()).sum(),
                refunds: of_intent.len() as i64,
            }
        };
        listed.iter().filter(of_order).map(read).collect()
    }

    async fn list(&self, what: &str) -> Vec<Value> {
        let url = format!("{}/v1/{what}", self.stack.url(Program::SandboxProvider).expect("the sandbox"));
        let mut all: Vec<Value> = Vec::new();
        loop {
            let mut request = self.http.get(&url).bearer_auth(self.stack.provider_key()).query(&[("limit", "100")]);
            if let Some(last) = all.last() {
                request = request.query(&[("starting_after", last["id"].as_str().expect("an id"))]);
            }
            let page: Value = request.send().await.expect("an answer").json().await.expect("JSON");
            all.extend(page["data"].as_array().expect("a list").iter().cloned());
            if page["has_more"] == false {
                return all;
            }
        }
    }

    /// The one intent of an order.
    pub(crate) async fn intent(&self, order_id: Uuid) -> Intent {
        let mut intents = self.intents(order_id).await;
        assert_eq!(intents.len(), 1, "{intents:?}");
        intents.remove(0)
    }

    /// Nothing is left over: no job, nothing that waits or is parked, nothing unsaid, and wallets add up.
    pub(crate) async fn assert_at_rest(&self) {
        for (table, what) in [("jobs", "jobs"), ("waiting", "waiting messages"), ("outbox", "unsaid messages")] {
            let question = format!("select count(*)::text || ' {what}' from saga.{table}");
            self.until_sql(&question, &format!("0 {what}")).await;
        }
        let unbalanced = self.number(
            "select count(*) from wallets w where balance_minor <>
                    (select sum(amount_minor) from wallet_movements m where m.customer_id = w.customer_id)",
        );
        assert_eq!(unbalanced.await, 0, "wallets differ from their movements");
        assert_eq!(self.number("select count(*) from payments where status in ('charging', 'refunding')").await, 0);
    }
}

fn reserved(order: &Order) -> Value {
    json!({"order_id": order.id, "customer_id": order.customer, "amount_minor": order.amount_minor,
        "currency": order.currency, "payment_method": order.method})
}

fn properties(event_type: &str, saga_id: Uuid, message_id: Uuid) -> Value {
    json!({"message_id": message_id, "correlation_id": saga_id, "type": event_type, "app_id": "test",
        "content_type": "application/json", "delivery_mode": 2})
}
