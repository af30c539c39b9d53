//! The console of `masshook serve`, and `masshook console`.

use std::net::SocketAddr;

use clap::Args;

use super::terminal::print_line;
use crate::config::Config;
use crate::console::{
    ConfigStatus, ConsoleListener, ConsoleSettings, ConsoleStore, Credential, Token,
};
use crate::server::CurrentApp;

/// The console of a server.
#[derive(Clone, Debug, Args)]
pub(super) struct ConsoleArgs {
    /// Serve the console on this address, such as 127.0.0.1:8081.
    #[arg(long, value_name = "ADDR")]
    console: Option<SocketAddr>,
    /// Refuse everything in the console that changes something.
    #[arg(long, requires = "console")]
    console_read_only: bool,
}

impl ConsoleArgs {
    /// Binds the console's address, if there is one.
    pub(super) async fn bind(&self, config: &Config) -> Result<Option<BoundConsole>, String> {
        match self.console {
            Some(address) => {
                let bound = BoundConsole::bind(address, self.console_read_only, config).await?;
                Ok(Some(bound))
            }
            None => Ok(None),
        }
    }
}

/// A console that is bound to its address.
pub(super) struct BoundConsole {
    listener: ConsoleListener,
    credential: Credential,
    read_only: bool,
}

impl BoundConsole {
    /// Binds an address, which must be loopback unless the config has a key.
    pub(super) async fn bind(
        address: SocketAddr,
        read_only: bool,
        config: &Config,
    ) -> Result<Self, String> {
        let credential = match &config.console.key {
            Some(_) => Credential::ConfiguredKey,
            None if address.ip().is_loopback() => Credential::Token(Token::random()?),
            None => {
                return Err(format!(
                    "the console on {address} could be reached from other machines, so the config must have `console.key`; \
                     or use a loopback address and `ssh -L`"
                ));
            }
        };
        let listener = ConsoleListener::bind(address).await;
        let listener =
            listener.map_err(|error| format!("the console cannot listen on {address}: {error}"))?;
        Ok(Self {
            listener,
            credential,
            read_only,
        })
    }

    /// The address of the page, with the token of this start.
    pub(super) fn url(&self) -> String {
        self.listener.url(&self.credential)
    }

    /// Prints the address of the page, and serves it until the future is dropped.
    pub(super) async fn run(self, app: CurrentApp, config: ConfigStatus, server: SocketAddr) {
        print_line(&format!("console: {}", self.url()));
        let settings = ConsoleSettings {
            credential: self.credential,
            read_only: self.read_only,
            config,
            store: ConsoleStore::Sqlite,
            server_url: Some(format!("http://{server}")),
        };
        self.listener.run(app, settings).await;
    }
}
