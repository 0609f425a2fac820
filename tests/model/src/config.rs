//! What is checked: how many sagas, what can go wrong, and how often.

use crate::check::Subject;
use crate::message::Queue;
use crate::state::Budget;

/// How the orders are paid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Money {
    /// In the step's own transaction.
    Wallet,
    /// At the provider: intent, call, settle (R3).
    Card,
}

/// What the provider does with a confirmation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Reply {
    Succeed,
    Decline,
    RequireAction,
}

/// One configuration of the model.
#[derive(Debug, Clone)]
pub struct Config {
    /// For people.
    pub name: String,
    /// Sagas, all begun. They share the stock and the wallet.
    pub sagas: u8,
    /// How they are paid.
    pub money: Money,
    /// Stock at the start: one initial state for each.
    pub stock: Vec<i8>,
    /// Orders the wallet can pay: one initial state for each.
    pub balance: Vec<i8>,
    /// How the provider may answer.
    pub replies: Vec<Reply>,
    /// The provider refunds no more than was charged, whoever asks.
    pub provider_caps_refunds: bool,
    /// Orders have a deadline. It may come at any time.
    pub deadline: bool,
    /// The customer may cancel, at any time, or not.
    pub cancel: bool,
    /// Guard rows of finished sagas may be dropped.
    pub retention: bool,
    /// Queues that nobody has declared yet when the sagas begin.
    pub undeclared: Vec<Queue>,
    /// `order.placed` ends the process of whoever handles it, each time.
    pub deadly: bool,
    /// Failures have a type and a body that their receivers have never heard of.
    pub strange_failures: bool,
    /// What may go wrong.
    pub budget: Budget,
}

impl Config {
    /// One saga that can succeed, and nothing goes wrong.
    #[must_use]
    pub fn new(name: &str, money: Money) -> Self {
        Self {
            name: name.to_owned(),
            sagas: 1,
            money,
            stock: vec![1],
            balance: vec![1],
            replies: vec![Reply::Succeed],
            provider_caps_refunds: true,
            deadline: false,
            cancel: false,
            retention: false,
            undeclared: Vec::new(),
            deadly: false,
            strange_failures: false,
            budget: Budget::default(),
        }
    }

    /// In a few words.
    #[must_use]
    pub fn describe(&self) -> String {
        let sagas = if self.sagas == 1 { "one saga".to_owned() } else { format!("{} sagas", self.sagas) };
        let ends = if self.deadline { ", deadline" } else { "" };
        let budget = format!("{:?}", self.budget);
        let faults = budget.trim_start_matches("Budget { ").trim_end_matches(" }");
        let faults: Vec<&str> = faults.split(", ").filter(|fault| !fault.ends_with(" 0")).collect();
        format!("{sagas}, {:?}, stock {:?}{ends}; {}", self.money, self.stock, faults.join(", "))
    }

    /// With a deadline.
    #[must_use]
    pub fn deadline(mut self) -> Self {
        self.deadline = true;
        self
    }

    /// With these faults.
    #[must_use]
    pub fn faults(mut self, budget: Budget) -> Self {
        self.budget = budget;
        self
    }

    /// It may also be out of stock, out of money, or declined.
    #[must_use]
    pub fn refusals(mut self) -> Self {
        self.stock = vec![0, 1];
        if self.money == Money::Wallet {
            self.balance = vec![0, 1];
        }
        self.replies = vec![Reply::Succeed, Reply::Decline, Reply::RequireAction];
        self
    }
}

/// What `cargo test` looks at in full: seconds.
#[must_use]
pub fn bounded() -> Vec<Subject> {
    let configs = bounded_configs().into_iter().map(Subject::Protocol);
    configs.chain([Subject::Locks]).collect()
}

fn bounded_configs() -> Vec<Config> {
    let none = Budget::default();
    let wallet = |name| Config::new(name, Money::Wallet).refusals().deadline();
    let card = |name| Config::new(name, Money::Card).refusals().deadline();
    vec![
        wallet("wallet").faults(Budget { crashes: 1, duplicates: 1, ..none }),
        Config::new("wallet-repeats", Money::Wallet).deadline().faults(Budget { repeats: 1, ..none }),
        wallet("wallet-stalls").faults(Budget { stalls: 1, ..none }),
        wallet("wallet-lost-queues").faults(Budget { losses: 1, ..none }),
        wallet("wallet-errors").faults(Budget { errors: 2, redrives: 1, ..none }),
        Config::new("wallet-fatal", Money::Wallet).deadline().faults(Budget { crashes: 3, ..none }),
        wallet("wallet-tampered").faults(Budget { tampered: 1, duplicates: 1, ..none }),
        Config { retention: true, ..wallet("wallet-retention") }.faults(Budget { duplicates: 1, ..none }),
        Config { deadly: true, ..wallet("wallet-deadly-message") },
        Config { strange_failures: true, ..wallet("wallet-strange-failures") }.faults(Budget { duplicates: 1, ..none }),
        card("card").faults(Budget { crashes: 1, unheard: 1, ..none }),
        card("card-late-requests").faults(Budget { delayed: 1, unheard: 1, ..none }),
        card("card-stale-workers").faults(Budget { stalls: 1, ..none }),
        Config { sagas: 2, balance: vec![2], ..Config::new("two-sagas", Money::Wallet) }
            .faults(Budget { crashes: 1, ..none }),
    ]
}

/// What the command looks at, by name; everything that [`bounded`] has, too.
#[must_use]
pub fn named(name: &str) -> Option<Subject> {
    bounded().into_iter().chain(large()).find(|subject| subject.name() == name)
}

/// Too large for every change: minutes each, and up to some gigabytes.
#[must_use]
pub fn large() -> Vec<Subject> {
    let none = Budget::default();
    let wallet = |name| Config::new(name, Money::Wallet).refusals().deadline();
    let card = |name| Config::new(name, Money::Card).refusals().deadline();
    let two = |name| Config { sagas: 2, balance: vec![2], stock: vec![1], ..wallet(name) };
    let configs = [
        wallet("wallet-large").faults(Budget { crashes: 2, duplicates: 2, ..none }),
        wallet("wallet-mixed").faults(Budget { crashes: 1, duplicates: 1, losses: 1, ..none }),
        card("card-large").faults(Budget { crashes: 1, stalls: 1, unheard: 1, delayed: 1, ..none }),
        two("two-sagas-deadline").faults(Budget { crashes: 1, ..none }),
        two("two-sagas-copies").faults(Budget { duplicates: 1, ..none }),
        two("two-sagas-lost-queues").faults(Budget { losses: 1, ..none }),
    ];
    configs.map(Subject::Protocol).to_vec()
}
