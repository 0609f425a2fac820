//! Which servers a stack runs on.

use std::path::PathBuf;

use clap::Parser;

use super::StackError;

/// Settings that say where the servers come from. Without any, private ones are started from the programs on this machine.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct ServerSettings {
    /// Folder with initdb and postgres [default: PATH, then /usr/lib/postgresql/*/bin]
    #[arg(long, env = "ORDERSAGA_POSTGRES_BIN", value_name = "DIR", help_heading = "Servers")]
    pub postgres_bin: Option<PathBuf>,
    /// Folder with rabbitmq-server [default: PATH, then /usr/lib/rabbitmq/bin]
    #[arg(long, env = "ORDERSAGA_RABBITMQ_BIN", value_name = "DIR", help_heading = "Servers")]
    pub rabbitmq_bin: Option<PathBuf>,
    /// Use this PostgreSQL instead of a private one; the user must be able to create roles and databases
    #[arg(long, env = "POSTGRES_URL", value_name = "URL", hide_env_values = true, help_heading = "Servers")]
    pub postgres_url: Option<String>,
    /// Use this RabbitMQ instead of a private one
    #[arg(
        long,
        env = "AMQP_URL",
        value_name = "URL",
        hide_env_values = true,
        requires = "management_url",
        help_heading = "Servers"
    )]
    pub amqp_url: Option<String>,
    /// That RabbitMQ's management API, as http://user:password@host:15672; the user must be able to create virtual hosts
    #[arg(
        long,
        env = "MANAGEMENT_URL",
        value_name = "URL",
        hide_env_values = true,
        requires = "amqp_url",
        help_heading = "Servers"
    )]
    pub management_url: Option<String>,
    /// Port of the private RabbitMQ's management UI [default: one of its own]
    #[arg(long, env = "MANAGEMENT_PORT", value_name = "PORT", help_heading = "Ports")]
    pub management_port: Option<u16>,
    /// Port of the private RabbitMQ [default: one of its own]
    #[arg(long, env = "AMQP_PORT", value_name = "PORT", help_heading = "Ports")]
    pub amqp_port: Option<u16>,
    /// Port of the private PostgreSQL [default: one of its own]
    #[arg(long, env = "POSTGRES_PORT", value_name = "PORT", help_heading = "Ports")]
    pub postgres_port: Option<u16>,
}

impl ServerSettings {
    /// The settings of the environment alone, for programs that parse no command line, such as tests.
    pub fn from_env() -> Result<Self, StackError> {
        #[derive(Parser)]
        struct Bare {
            #[command(flatten)]
            settings: ServerSettings,
        }
        let parsed = Bare::try_parse_from(["servers"]).map_err(|error| StackError::Setting(error.to_string()))?;
        Ok(parsed.settings)
    }
}
