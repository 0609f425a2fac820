//! Lays a stack out: its databases, virtual host and ports, and what each process is told.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use futures::future::try_join_all;
use tokio::task::JoinSet;

use super::detour::detoured;
use super::process::Process;
use super::{Instance, Program, Servers, Stack, StackError, StackOptions, binaries};

type Environment = BTreeMap<String, String>;

/// Of each thread of a service.
const STACK_BYTES: usize = 256 << 20;

impl Stack {
    /// Everything but running processes.
    pub(super) async fn lay_out(servers: Arc<Servers>, options: StackOptions) -> Result<Self, StackError> {
        let programs = programs(&options)?;
        let vhost = options.vhost();
        let (databases, amqp_url) = tokio::try_join!(databases(&servers, &options), servers.create_vhost(&vhost))?;
        let provider_key = format!("sk_sandbox_{:016x}", rand::random::<u64>());
        let mut stack = Self {
            servers,
            options,
            databases,
            amqp_url,
            provider_key,
            token: String::new(),
            processes: BTreeMap::new(),
            restarts: Arc::default(),
            supervisors: JoinSet::new(),
        };

        let logs = stack.servers.logs(&stack.options.prefix)?;
        let ports = stack.ports()?;
        for (&instance, &port) in &ports {
            if let Some(binary) = programs.get(&instance.program) {
                let log = logs.join(format!("{instance}.log"));
                let env = stack.environment(instance, &ports)?;
                let process = Process::new(instance, binary.clone(), port, log, env);
                stack.processes.insert(instance, Arc::new(process));
            }
        }
        Ok(stack)
    }

    /// A port for each process, in one fixed order; also for programs that are not started, as others are told of them.
    fn ports(&self) -> Result<BTreeMap<Instance, u16>, StackError> {
        let mut ports = BTreeMap::new();
        for program in Program::ALL {
            for replica in 0..self.options.replicas.get(&program).copied().unwrap_or(1) {
                let free = self.servers.take_port()?;
                let wanted = self.options.ports.get(&program).filter(|_| replica == 0);
                ports.insert(Instance { program, replica }, wanted.copied().unwrap_or(free));
            }
        }
        Ok(ports)
    }

    /// The issuer's folder.
    fn keys(&self) -> PathBuf {
        self.servers.data().join(format!("{}issuer", self.options.prefix))
    }

    /// Where a gateway finds the keys that tokens are signed with: `current.pem` and `previous.pem`.
    pub fn public_keys(&self) -> PathBuf {
        self.keys().join("public")
    }

    /// What always holds an operator's token that is good for an hour.
    pub fn operator_token_file(&self) -> PathBuf {
        self.keys().join("operator.jwt")
    }

    /// What a process is told. The stack's options have the last word.
    fn environment(&self, instance: Instance, ports: &BTreeMap<Instance, u16>) -> Result<Environment, StackError> {
        let address = |of: Instance| format!("127.0.0.1:{}", ports.get(&of).copied().unwrap_or_default());
        let url = |program: Program| format!("http://{}", address(program.into()));
        let program = instance.program;
        let mut env = Environment::new();
        let mut set = |variable: &str, value: String| env.insert(variable.to_owned(), value);
        set("LISTEN", address(instance));
        // Virtual memory for what a hostile message can make the AMQP client's parser do: headers nested thousands of levels deep.
        set("RUST_MIN_STACK", STACK_BYTES.to_string());
        if let Some(database) = self.databases.get(&program) {
            set("DATABASE_URL", self.servers.by_socket(database)?);
            set("AMQP_URL", self.amqp_url.clone());
            set("JWT_KEYS", format!("{}/.well-known/jwks.json", url(Program::Issuer)));
        }
        let keys = self.keys();
        let service_token = keys.join("service.jwt").display().to_string();
        match program {
            Program::Issuer => {
                set("KEYS_DIR", keys.display().to_string());
                set("PUBLIC_KEYS_DIR", self.public_keys().display().to_string());
                set("SERVICE_TOKEN_FILE", service_token);
                set("OPERATOR_TOKEN_FILE", self.operator_token_file().display().to_string());
                set("DEMO_TOKENS", "true".to_owned());
            }
            Program::OrderSvc => {
                set("PEER_TOKEN_FILE", service_token);
                set("INVENTORY_URL", url(Program::InventorySvc));
                set("PAYMENT_URL", url(Program::PaymentSvc));
                set("NOTIFICATION_URL", url(Program::NotificationSvc));
            }
            Program::PaymentSvc => {
                set("PROVIDER_URL", url(Program::SandboxProvider));
                set("PROVIDER_KEY", self.provider_key.clone());
            }
            Program::SandboxProvider => {
                let ledger = self.servers.data().join(format!("{}ledger", self.options.prefix));
                set("LEDGER", ledger.display().to_string());
                set("PROVIDER_KEY", self.provider_key.clone());
            }
            Program::NotificationSvc => {
                let mails = self.servers.data().join(format!("{}mail", self.options.prefix));
                set("MAIL_DIR", mails.display().to_string());
            }
            Program::InventorySvc => {}
        }
        for (&(_, upstream), &port) in self.options.detours.iter().filter(|((of, _), _)| *of == program) {
            if let Some(url) = env.get_mut(upstream.variable()) {
                *url = detoured(url, port)?;
            }
        }
        env.extend(self.options.env.get(&program).cloned().unwrap_or_default());
        Ok(env)
    }
}

/// The programs' files, all of them current.
fn programs(options: &StackOptions) -> Result<BTreeMap<Program, PathBuf>, StackError> {
    let folder = binaries::folder(options.programs_folder.as_deref())?;
    let current = |program: &Program| Ok((*program, binaries::current(&folder, *program)?));
    options.programs.iter().map(current).collect()
}

async fn databases(servers: &Servers, options: &StackOptions) -> Result<BTreeMap<Program, String>, StackError> {
    let with_database = Program::ALL.into_iter().filter_map(|program| Some((program, program.database()?)));
    let created = with_database.map(async |(program, name)| {
        let url = servers.create_database(&format!("{}{name}", options.prefix)).await?;
        Ok::<_, StackError>((program, url))
    });
    Ok(try_join_all(created).await?.into_iter().collect())
}
