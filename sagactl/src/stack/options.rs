//! What a stack consists of.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::{Program, StackError, Upstream, binaries};

/// Which processes a stack has, and how each is set up.
#[derive(Debug, Clone)]
pub struct StackOptions {
    /// Precedes the names of the stack's databases, and names its virtual host. Empty for the one lasting stack of a data folder.
    pub(super) prefix: String,
    pub(super) programs: Vec<Program>,
    pub(super) replicas: BTreeMap<Program, usize>,
    pub(super) env: BTreeMap<Program, BTreeMap<String, String>>,
    pub(super) ports: BTreeMap<Program, u16>,
    pub(super) programs_folder: Option<PathBuf>,
    pub(super) supervise: bool,
    pub(super) detours: BTreeMap<(Program, Upstream), u16>,
}

impl StackOptions {
    /// One process of each program. Databases, virtual host and ports are the same with every start in a data folder.
    #[must_use]
    pub fn lasting() -> Self {
        Self {
            prefix: String::new(),
            programs: Program::ALL.to_vec(),
            replicas: BTreeMap::new(),
            env: BTreeMap::new(),
            ports: BTreeMap::new(),
            programs_folder: std::env::var_os("ORDERSAGA_PROGRAMS").map(PathBuf::from),
            supervise: false,
            detours: BTreeMap::new(),
        }
    }

    /// One process of each program, with databases and a virtual host that no other stack has. They are removed with the stack.
    #[must_use]
    pub fn unique() -> Self {
        Self { prefix: format!("t{:08x}_", rand::random::<u32>()), ..Self::lasting() }
    }

    /// Starts these programs only, and the issuer, without which nobody is let in. Databases are made for all, and URLs are known for all.
    #[must_use]
    pub fn only<P: Into<Program>>(mut self, programs: impl IntoIterator<Item = P>) -> Self {
        self.programs = programs.into_iter().map(Into::into).chain([Program::Issuer]).collect();
        self.programs.sort();
        self.programs.dedup();
        self
    }

    /// Runs this many processes of one program.
    #[must_use]
    pub fn replicas(mut self, program: impl Into<Program>, count: usize) -> Self {
        self.replicas.insert(program.into(), count);
        self
    }

    /// Sets an environment variable of one program, such as `DEADLINE_MS`.
    #[must_use]
    pub fn env(mut self, program: impl Into<Program>, variable: &str, value: impl ToString) -> Self {
        self.env.entry(program.into()).or_default().insert(variable.into(), value.to_string());
        self
    }

    /// Sets an environment variable of every program, such as `LOG`.
    #[must_use]
    pub fn env_all(self, variable: &str, value: impl ToString) -> Self {
        Program::ALL.into_iter().fold(self, |options, program| options.env(program, variable, value.to_string()))
    }

    /// Sets what a person has asked for, in every program. The folder of the programs must have been chosen before.
    ///
    /// # Errors
    /// When no program has such a setting, or a program cannot be asked.
    pub async fn set(self, settings: &[(String, String)]) -> Result<Self, StackError> {
        binaries::must_be_known(self.programs_folder.as_deref(), settings).await?;
        Ok(settings.iter().fold(self, |options, (name, value)| options.env_all(name, value)))
    }

    /// Gives a program's first process this port instead of a free one.
    #[must_use]
    pub fn port(mut self, program: impl Into<Program>, port: u16) -> Self {
        self.ports.insert(program.into(), port);
        self
    }

    /// Takes the programs from this folder instead of the one that this process's program is in.
    #[must_use]
    pub fn programs_folder(mut self, folder: Option<PathBuf>) -> Self {
        self.programs_folder = folder.or(self.programs_folder);
        self
    }

    /// Whether processes that end by themselves are started again, with the settings they had: at once, then after 100 ms, 200 ms and so on
    /// up to 2 s, at once again after 10 s of life. Off unless said: a test should see what ends.
    #[must_use]
    pub fn supervise(mut self, supervise: bool) -> Self {
        self.supervise = supervise;
        self
    }

    /// Makes a program reach a server through this port of 127.0.0.1, where a proxy listens.
    #[must_use]
    pub fn through(mut self, program: impl Into<Program>, upstream: Upstream, port: u16) -> Self {
        self.detours.insert((program.into(), upstream), port);
        self
    }

    /// Whether databases and virtual host go with the stack.
    pub(super) fn is_unique(&self) -> bool {
        !self.prefix.is_empty()
    }

    pub(super) fn vhost(&self) -> String {
        if self.is_unique() { self.prefix.trim_end_matches('_').to_owned() } else { "ordersaga".to_owned() }
    }
}
