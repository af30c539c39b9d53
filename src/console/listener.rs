//! The listener of the console.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::get;
use tokio::net::TcpListener;

use super::config_status::ConfigStatus;
use super::endpoints;
use super::guard::{Guard, METRICS_PATH, Refusal, guard};
use super::hosts::AllowedHosts;
use super::received_callbacks::ReceivedCallbacks;
use super::token::{Credential, WrongTokens};
use crate::api::{show_metrics, with_common_layers};
use crate::app::{Activity, App};
use crate::server::{CurrentApp, ServerLimits, serve_router};

/// Connections at the same time. A browser opens at most six.
const MAX_CONNECTIONS: usize = 64;

/// Bytes of all request bodies in memory.
const MAX_BODY_BYTES: usize = 16 << 20;

/// The kind of store that the console shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConsoleStore {
    /// A SQLite file.
    Sqlite,
    /// A DynamoDB table.
    DynamoDb,
}

/// The arguments by which commands reach the console's store and config, as a shell takes them. None are needed for the defaults.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CommandArguments {
    /// Those of commands on the store: `--data DIR`.
    pub data: Option<String>,
    /// Those of commands on the config: `--config FILE`.
    pub config: Option<String>,
}

/// What a console needs besides its address.
#[derive(Clone, Debug)]
pub struct ConsoleSettings {
    /// What a request must present.
    pub credential: Credential,
    /// Whether writes are refused.
    pub read_only: bool,
    /// Where the config came from.
    pub config: ConfigStatus,
    /// The kind of store.
    pub store: ConsoleStore,
    /// The arguments by which commands reach the store and the config.
    pub cli_args: CommandArguments,
    /// The address of the server that takes deliveries, if the console belongs to one.
    pub server_url: Option<String>,
    /// What the process has done lately.
    pub activity: Activity,
    /// The received callbacks, if the process has a receiver.
    pub callbacks: Option<ReceivedCallbacks>,
}

/// A console that is bound to its address.
#[derive(Debug)]
pub struct ConsoleListener {
    listener: TcpListener,
    address: SocketAddr,
}

impl ConsoleListener {
    /// Binds the address.
    ///
    /// # Errors
    /// Those of the operating system.
    pub async fn bind(address: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        Ok(Self { listener, address })
    }

    /// The address of the page. Its fragment has the token, which a browser does not send.
    pub fn url(&self, credential: &Credential) -> String {
        let base = format!("http://{}/", self.address);
        match credential {
            Credential::Token(token) => format!("{base}#token={}", token.expose()),
            Credential::ConfiguredKey => base,
        }
    }

    /// Serves until the future is dropped.
    pub async fn run(self, app: CurrentApp, settings: ConsoleSettings) {
        let wrong_tokens = WrongTokens::new(Instant::now());
        let hosts = AllowedHosts::new(self.address, &app.app().config().console.hosts);
        let judge = Arc::new(Guard {
            hosts,
            credential: settings.credential.clone(),
            read_only: settings.read_only,
            wrong_tokens,
        });
        let build = move |app: Arc<App>| router(app, judge.clone(), &settings);
        let limits = ServerLimits {
            connections: MAX_CONNECTIONS,
            body_bytes: MAX_BODY_BYTES,
            // Anybody can begin a request; only a whole head has a token.
            heads_make_way: true,
            ..ServerLimits::default()
        };
        serve_router(&app, build, self.listener, limits).await;
    }
}

/// The router of the console. Its guard is the outermost layer of a router that routes nothing itself.
fn router(app: Arc<App>, judge: Arc<Guard>, settings: &ConsoleSettings) -> Router {
    let routes = Router::new()
        .nest("/api", endpoints::router(settings))
        .route(METRICS_PATH, get(show_metrics))
        .fallback(|| async { Refusal::NoSuchPath })
        .with_state(app.clone());
    let guarded = from_fn_with_state((judge, app), guard);
    with_common_layers(Router::new().fallback_service(routes).layer(guarded))
}
