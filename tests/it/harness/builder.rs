//! The one way to start masshook in a test.

use zoho_simulator::Settings;

use super::receiver::Receiver;
use super::zoho::SimulatedZoho;

/// The bearer key of `/jobs`.
pub(crate) const API_KEY: &str = "key-of-the-test-harness";

/// The secret that the sender of the route `form` signs with, where it signs.
pub(crate) const SENDER_SECRET: &str = "sender-secret-of-the-test-harness";

/// The environment variable that overrides the seed of injected faults.
const SEED: &str = "MASSHOOK_TEST_SEED";

/// A masshook to start, with a simulated Zoho and a receiver of callbacks.
///
/// `Harness::new().start()` runs it in the test's process over a manual clock; `Harness::new().served().start()` runs
/// the real `masshook serve`. Both have a route `form` for updates by id and a route `view` for custom views.
#[derive(Default)]
pub(crate) struct Harness<'a> {
    callback_statuses: Vec<u16>,
    pub(super) settings: Settings,
    pub(super) is_zoho_on_system_time: bool,
    config: Vec<Box<dyn FnOnce(String) -> String + Send + 'a>>,
}

impl<'a> Harness<'a> {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Injects random faults into Zoho's answers, from a fixed seed unless `MASSHOOK_TEST_SEED` names another.
    #[expect(
        clippy::disallowed_methods,
        clippy::print_stdout,
        reason = "a setting of the tests, shown if the test fails"
    )]
    pub(crate) fn rude(self) -> Self {
        let seed = std::env::var(SEED).ok();
        let seed = seed.map_or(20_261_124, |seed| seed.parse().expect("a whole number"));
        println!("injected faults; repeat them with {SEED}={seed}");
        self.rude_with(seed)
    }

    /// Injects random faults from this seed.
    pub(crate) fn rude_with(self, seed: u64) -> Self {
        self.simulator(|settings| settings.rude = Some(seed))
    }

    /// Answers the first callbacks with these statuses, and all later ones with 200.
    pub(crate) fn callback_statuses(mut self, statuses: &[u16]) -> Self {
        self.callback_statuses = statuses.to_vec();
        self
    }

    /// Changes the simulator's settings.
    pub(crate) fn simulator(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        change(&mut self.settings);
        self
    }

    /// Gives the simulator the machine's time, whatever clock masshook has.
    pub(crate) fn zoho_on_system_time(mut self) -> Self {
        self.is_zoho_on_system_time = true;
        self
    }

    /// Changes the text of `masshook.yaml`.
    pub(crate) fn config(mut self, change: impl FnOnce(String) -> String + Send + 'a) -> Self {
        self.config.push(Box::new(change));
        self
    }

    /// Asks the hosts of callbacks for permission, under this name.
    pub(crate) fn request_origin(self, origin: &'a str) -> Self {
        let asking = format!("callbacks: {{ request_origin: {origin},");
        self.config(move |config| config.replace("callbacks: {", &asking))
    }

    /// Appends routes to `masshook.yaml`, indented by two spaces.
    pub(crate) fn routes(self, routes: &str) -> Self {
        let routes = routes.trim_start_matches('\n').to_owned();
        self.config(move |config| config + &routes)
    }

    /// Puts lines before the others of the connection `default`, such as `edition: standard`.
    pub(crate) fn connection(self, lines: &'a str) -> Self {
        let lines = format!("    {lines}\n    accounts_url:");
        self.config(move |config| config.replacen("    accounts_url:", &lines, 1))
    }

    /// Starts Zoho and the receiver of callbacks; returns them with the text of `masshook.yaml`.
    pub(super) async fn start_parts(
        self,
        references: impl FnOnce(&SimulatedZoho) -> References,
    ) -> (SimulatedZoho, Receiver, String) {
        let zoho = SimulatedZoho::start(self.settings).await;
        let receiver = Receiver::start(&self.callback_statuses).await;
        let base = references(&zoho).config(zoho.simulator.url(), &receiver.url("/zoho"));
        let changes = self.config.into_iter();
        let config = changes.fold(base, |config, change| change(config));
        (zoho, receiver, config)
    }
}

/// The parts of the config that depend on where masshook runs.
pub(super) struct References {
    pub(super) credentials: String,
    pub(super) api_key: String,
    pub(super) signing_secret: String,
    /// The value of `verify` of the route `form`, and further lines of the route.
    pub(super) form: String,
    /// Further lines of the connection.
    pub(super) connection: String,
}

impl References {
    fn config(&self, zoho: &str, callback: &str) -> String {
        let Self {
            credentials,
            api_key,
            signing_secret,
            form,
            connection,
        } = self;
        format!(
            r#"
connections:
  default:
    credentials: {credentials}
    accounts_url: {zoho}
    api_url: {zoho}
{connection}api: {{ key: {api_key} }}
callbacks: {{ signing_secret: {signing_secret}, allow_loopback: true }}
limits: {{ max_body_bytes: 2000000, mapping_timeout_ms: 20000 }}
routes:
  form:
    verify: {form}
    delivery_id: .event
    map: '.updates[]? // {{module: (.module // "Leads"), fields: (.fields // {{Lead_Source: "Webinar"}}), ids: .ids, cvid: .view, reference: .reference}} | with_entries(select(.value != null))'
    callback_url: {callback}
  view:
    verify: {{ scheme: none }}
    map: '{{module: "Leads", fields: {{Lead_Status: "Contacted"}}, cvid: .view}}'
    callback_url: {callback}
"#
        )
    }
}
