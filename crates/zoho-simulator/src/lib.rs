#![doc = include_str!("../README.md")]
//!
//! [`world`] holds modules, [`schema`] their fields, [`views`] custom views and territories; [`accounts`] mints tokens, for
//! each [`data_center`]; [`mass_update`] and [`jobs`] do the work; [`faults`] lists every switch; [`server`] speaks HTTP, [`state`] is
//! everything together. Only `server` and `connection` do I/O.
#![expect(
    rustdoc::private_intra_doc_links,
    reason = "the code map is for contributors"
)]

mod accounts;
mod admin;
mod answer;
mod body;
mod connection;
mod coql;
mod criteria;
mod data_center;
mod endpoint;
mod faults;
mod fields;
mod helpers;
mod jobs;
mod limits;
mod log;
mod mass_update;
mod metadata;
mod mischief;
mod org;
mod pages;
mod put;
mod records;
mod schema;
mod script;
mod search;
mod seeds;
mod server;
mod state;
mod time_source;
mod values;
mod views;
mod world;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::SignedDuration;
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use accounts::Accounts;
use connection::{Cut, Listener};
use data_center::{DataCenter, Place};
use faults::Faults;
use state::State;
pub use time_source::TimeSource;
use world::World;

/// How long [`Simulator::stop`] waits for requests that are under way.
const PATIENCE: Duration = Duration::from_secs(5);

/// What a simulator starts with. The default is calm: no latency, no trouble.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where to listen; port 0 takes a free one. The other data centres listen beside it, on free ports.
    pub listen: SocketAddr,
    /// Token expiry, throttle windows and job progress read this clock.
    pub time_source: TimeSource,
    /// Real delay of every CRM request.
    pub latency: Duration,
    /// How long a scheduled job takes from `SCHEDULED` to its end, on the clock.
    pub job_duration: Duration,
    /// How many records a module has, instead of its seeded count.
    pub records: BTreeMap<String, u64>,
    /// The seed of random mischief: latency, 429, 5xx, HTML pages, resets, and a throw of the dice for every point on
    /// which Zoho's documents disagree.
    pub rude: Option<u64>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            listen: (Ipv4Addr::LOCALHOST, 0).into(),
            time_source: TimeSource::system(),
            latency: Duration::ZERO,
            job_duration: Duration::from_secs(3),
            records: BTreeMap::new(),
            rude: None,
        }
    }
}

/// A running simulator. Dropping it ends it, too.
#[derive(Debug)]
pub struct Simulator {
    url: String,
    announcement: Value,
    tasks: Vec<JoinHandle<io::Result<()>>>,
    shutdown: watch::Sender<()>,
}

impl Simulator {
    /// Starts one.
    ///
    /// # Errors
    /// The address cannot be listened on, or `records` names an unknown module or too many records.
    pub async fn start(settings: Settings) -> io::Result<Self> {
        let world = World::seeded(&settings.records)
            .map_err(|message| io::Error::new(io::ErrorKind::InvalidInput, message))?;
        let mut listeners = Vec::new();
        let mut places = Vec::new();
        for center in DataCenter::ALL {
            let mut address = settings.listen;
            if !places.is_empty() {
                address.set_port(0);
            }
            let listener = TcpListener::bind(address).await?;
            let url = format!("http://{}", listener.local_addr()?);
            listeners.push(listener);
            places.push(Place { center, url });
        }
        let url = places[0].url.clone();
        let data_centers: Map<String, Value> = places
            .iter()
            .map(|place| (place.center.name().to_owned(), place.credentials()))
            .collect();
        let announcement = json!({
            "url": url,
            "credentials": places[0].credentials(),
            "data_centers": data_centers,
            "world": world.describe(),
        });
        let mut dice = fastrand::Rng::with_seed(settings.rude.unwrap_or_default());
        let faults = match settings.rude {
            Some(_) => Faults::rude(&mut dice),
            None => Faults::default(),
        };
        let state = Arc::new(Mutex::new(State {
            world,
            places,
            accounts: DataCenter::ALL.map(Accounts::new).into(),
            jobs: jobs::Jobs::default(),
            credits: limits::Credits::default(),
            faults,
            log: log::Log::default(),
            dice,
            time_source: settings.time_source,
            ahead: SignedDuration::ZERO,
            latency: settings.latency,
            job_duration: settings.job_duration,
        }));
        let (shutdown, _) = watch::channel(());
        let serve = |(center, listener)| {
            let mut asked = shutdown.subscribe();
            let service = server::service((Arc::clone(&state), center))
                .into_make_service_with_connect_info::<Cut>();
            let serving =
                axum::serve(Listener(listener), service).with_graceful_shutdown(async move {
                    // Either asked to stop, or the handle is gone: the end in both cases.
                    let _ = asked.changed().await;
                });
            tokio::spawn(serving.into_future())
        };
        let tasks = listeners.into_iter().enumerate().map(serve).collect();
        Ok(Self {
            url,
            announcement,
            tasks,
            shutdown,
        })
    }

    /// Where it listens: `http://127.0.0.1:PORT`. Both `accounts_url` and `api_url` of a connection.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The line that the command line prints: `url`, `credentials`, the same of every data centre, and `world`.
    pub fn announcement(&self) -> Value {
        self.announcement.clone()
    }

    /// Stops it, once the requests under way are answered.
    pub async fn stop(self) {
        let _ = self.shutdown.send(());
        for task in self.tasks {
            let ender = task.abort_handle();
            if tokio::time::timeout(PATIENCE, task).await.is_err() {
                ender.abort();
            }
        }
    }

    /// Lets it run for as long as the process does.
    pub async fn wait(self) {
        for task in self.tasks {
            let _ = task.await;
        }
        drop(self.shutdown);
    }
}
