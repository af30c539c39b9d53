#![doc = include_str!("../README.md")]

// Code map, from the lowest layer up: `response`, `scope`, `endpoint` and `request` are the types of the HTTP API;
// `form` reads the parameters of the accounts server; `org` is the CRM's data; `faults` lists every fault switch. `accounts`, `jobs`, `credits`, `concurrency` and
// `request_log` hold state, and `state` owns all of it. `endpoints` answers CRM requests; `request_handler` is the path of
// one request through authentication, limits and faults; `admin` serves `/_sim/*`. Only `server` does I/O.
mod accounts;
mod admin;
mod authorization;
mod concurrency;
mod coql;
mod credits;
mod data_center;
mod endpoint;
mod endpoints;
mod fault_injection;
mod faults;
mod form;
mod jobs;
mod org;
mod request;
mod request_body;
mod request_handler;
mod request_log;
mod response;
mod scope;
mod server;
mod settings;
mod state;
mod throttling;
mod time_source;

#[cfg(test)]
mod tests;

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

use serde_json::{Map, Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::data_center::{DataCenter, DataCenterHost};
use crate::org::CrmOrg;
pub use crate::org::additions::{ModuleAdditions, OrgAdditions, UserAddition};
pub use crate::settings::Settings;
use crate::state::State;
pub use crate::time_source::TimeSource;

/// How long [`Simulator::stop`] waits for running requests.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(5);

/// A running simulator. Dropping it stops it.
#[derive(Debug)]
pub struct Simulator {
    url: String,
    announcement: Value,
    state: Arc<Mutex<State>>,
    tasks: Vec<JoinHandle<io::Result<()>>>,
    shutdown: watch::Sender<()>,
}

impl Simulator {
    /// Starts a simulator.
    ///
    /// # Errors
    /// The address cannot be listened on, or `records` names an unknown module or too many records.
    pub async fn start(settings: Settings) -> io::Result<Self> {
        let org = CrmOrg::seeded(&settings.records)
            .map_err(|message| io::Error::new(io::ErrorKind::InvalidInput, message))?;
        let (listeners, hosts) = bind(settings.listen).await?;
        let url = hosts[0].url.clone();
        let announcement = announcement(&hosts, &org);
        let state = Arc::new(Mutex::new(State::new(settings, org, hosts)));
        let (shutdown, _) = watch::channel(());
        let serve = |(data_center, listener)| {
            let mut stop = shutdown.subscribe();
            let service = server::ServiceState {
                state: Arc::clone(&state),
                data_center,
            };
            let serving = server::serve(listener, service, async move {
                // An error means that the `Simulator` was dropped, which also ends the server.
                let _ = stop.changed().await;
            });
            tokio::spawn(serving)
        };
        let tasks = listeners.into_iter().enumerate().map(serve).collect();
        Ok(Self {
            url,
            announcement,
            state,
            tasks,
            shutdown,
        })
    }

    /// The base URL, `http://127.0.0.1:PORT`: both `accounts_url` and `api_url` of a connection.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The JSON line that `masshook simulate` prints: `url`, `credentials`, `data_centers` and `world`.
    pub fn announcement(&self) -> Value {
        self.announcement.clone()
    }

    /// Adds to the org of a running simulator. What it has already stays as it is.
    pub fn extend(&self, additions: &OrgAdditions) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.org.extend(additions);
    }

    /// Stops the simulator after the running requests are answered.
    pub async fn stop(self) {
        let _ = self.shutdown.send(());
        for task in self.tasks {
            let abort = task.abort_handle();
            if tokio::time::timeout(SHUTDOWN_TIMEOUT, task).await.is_err() {
                abort.abort();
            }
        }
    }

    /// Runs the simulator until `stop` completes, then stops it.
    ///
    /// # Errors
    /// A listener has ended before that.
    pub async fn run_until(mut self, stop: impl Future<Output = ()>) -> io::Result<()> {
        let tasks = &mut self.tasks;
        let ended = poll_fn(|context| {
            let mut tasks = tasks.iter_mut();
            let ended = tasks.find_map(|task| match Pin::new(task).poll(context) {
                Poll::Ready(ended) => Some(ended),
                Poll::Pending => None,
            });
            ended.map_or(Poll::Pending, Poll::Ready)
        });
        tokio::select! {
            ended = ended => {
                ended??;
                Err(io::Error::other("a listener has ended"))
            }
            () = stop => {
                self.stop().await;
                Ok(())
            }
        }
    }
}

/// Opens one listener for each data centre; the first one has the requested port.
async fn bind(listen: SocketAddr) -> io::Result<(Vec<TcpListener>, Vec<DataCenterHost>)> {
    let mut listeners = Vec::new();
    let mut hosts = Vec::new();
    for data_center in DataCenter::ALL {
        let mut address = listen;
        if !hosts.is_empty() {
            address.set_port(0);
        }
        let listener = TcpListener::bind(address).await?;
        let url = format!("http://{}", listener.local_addr()?);
        listeners.push(listener);
        hosts.push(DataCenterHost { data_center, url });
    }
    Ok((listeners, hosts))
}

fn announcement(hosts: &[DataCenterHost], org: &CrmOrg) -> Value {
    let data_centers: Map<String, Value> = hosts
        .iter()
        .map(|host| (host.data_center.name().to_owned(), host.credentials()))
        .collect();
    json!({
        "url": hosts[0].url,
        "credentials": hosts[0].credentials(),
        "data_centers": data_centers,
        "world": org.describe(),
    })
}
