//! A server process that ends with its owner, also if the test program is killed.

use std::fs::File;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A server under `tests/tools/guard.py`, which ends it when the pipe that this value holds closes.
#[derive(Debug)]
pub(crate) struct GuardedProcess(Child);

impl GuardedProcess {
    /// Starts `command`, whose environment is only what it names, and writes both output streams to `log`. Returns
    /// nothing if the process exits before it answers on `port`, as when the port is taken.
    pub(crate) fn start(python: &Path, command: &Command, port: u16, log: &Path) -> Option<Self> {
        let output = File::create(log).expect("the log file can be made");
        let errors = output
            .try_clone()
            .expect("the log file's handle can be shared");
        let guard = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tools/guard.py");
        let mut guarded = Command::new(python);
        guarded
            .arg(guard)
            .arg(command.get_program())
            .args(command.get_args())
            .env_clear()
            .envs(
                command
                    .get_envs()
                    .filter_map(|(key, value)| Some((key, value?))),
            )
            .stdin(Stdio::piped())
            .stdout(output)
            .stderr(errors);
        let child = guarded
            .spawn()
            .unwrap_or_else(|error| panic!("{guarded:?}: {error}"));
        let mut this = Self(child);
        let over = Instant::now() + Duration::from_secs(60);
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        while Instant::now() < over {
            if matches!(this.0.try_wait(), Ok(Some(_))) {
                return None;
            }
            if TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_ok() {
                return Some(this);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let log = std::fs::read_to_string(log).unwrap_or_default();
        panic!("{command:?} did not answer on port {port} within 60 s; it wrote:\n{log}");
    }
}

impl Drop for GuardedProcess {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        // The guard gives its processes 3 s, then kills them and ends itself.
        let _ = self.0.wait();
    }
}
