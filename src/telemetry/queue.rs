//! A bounded queue of log lines with a thread that writes them.
//!
//! `tracing-appender` does the same, but bounds lines and not bytes, and prints its own failures to stdout and stderr, which
//! panics if nobody reads them.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use super::writer::write_line;

/// Maximum lines in the queue.
const MAX_LINES: usize = 8_192;

/// Maximum bytes in the queue.
const MAX_BYTES: usize = 4 << 20;

/// Pause before [`LogQueue::flush`] tries a full queue again.
const FLUSH_PAUSE: Duration = Duration::from_millis(10);

/// Takes log lines and never fails, panics or blocks. While nobody reads the log, lines are dropped and counted; the count is
/// logged when lines can be written again. Clones share the queue.
#[derive(Clone)]
pub struct LogQueue {
    entries: SyncSender<Entry>,
    counters: Arc<Counters>,
}

enum Entry {
    Line(Vec<u8>),
    /// Confirms that everything before it is written.
    Flush(SyncSender<()>),
}

#[derive(Default)]
struct Counters {
    queued_bytes: AtomicUsize,
    dropped_lines: AtomicU64,
}

impl LogQueue {
    /// Starts the thread that writes to `out`.
    pub fn start(out: Box<dyn Write + Send>) -> Self {
        let (entries, receiver) = sync_channel(MAX_LINES);
        let counters = Arc::new(Counters::default());
        let writer = LineWriter {
            out,
            counters: Arc::clone(&counters),
            is_mid_line: false,
        };
        let started = thread::Builder::new().name("log".to_owned());
        // Without a thread the receiver is dropped, and every line counts as dropped.
        let _ = started.spawn(move || writer.run(&receiver));
        Self { entries, counters }
    }

    /// Waits until all lines so far are written, at most for `timeout`.
    pub fn flush(&self, timeout: Duration) {
        let over = Instant::now() + timeout;
        let (confirm, confirmed) = sync_channel(1);
        let mut entry = Entry::Flush(confirm);
        while let Err(TrySendError::Full(returned)) = self.entries.try_send(entry) {
            if Instant::now() >= over {
                return;
            }
            entry = returned;
            thread::sleep(FLUSH_PAUSE);
        }
        let left = over.saturating_duration_since(Instant::now());
        // A line that is not written in time is lost, like one that cannot be written.
        let _ = confirmed.recv_timeout(left);
    }

    /// Number of lines that were dropped and not reported yet.
    pub fn dropped_lines(&self) -> u64 {
        self.counters.dropped_lines.load(Ordering::Relaxed)
    }
}

impl Write for LogQueue {
    /// Queues one line.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let counters = &self.counters;
        let queued = counters
            .queued_bytes
            .fetch_add(line.len(), Ordering::Relaxed);
        let fits = queued + line.len() <= MAX_BYTES;
        if !fits || self.entries.try_send(Entry::Line(line.to_vec())).is_err() {
            counters
                .queued_bytes
                .fetch_sub(line.len(), Ordering::Relaxed);
            counters.dropped_lines.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct LineWriter {
    out: Box<dyn Write + Send>,
    counters: Arc<Counters>,
    /// Whether the last write ended within a line.
    is_mid_line: bool,
}

impl LineWriter {
    fn run(mut self, entries: &Receiver<Entry>) {
        while let Ok(entry) = entries.recv() {
            match entry {
                Entry::Line(line) => {
                    self.report_dropped_lines();
                    if !self.write(&line) {
                        self.counters.dropped_lines.fetch_add(1, Ordering::Relaxed);
                    }
                    let bytes = &self.counters.queued_bytes;
                    bytes.fetch_sub(line.len(), Ordering::Relaxed);
                }
                Entry::Flush(confirm) => {
                    self.report_dropped_lines();
                    let _ = confirm.try_send(());
                }
            }
        }
    }

    /// Reports the dropped lines. They count as dropped until the report is written, which may take as long as the reader.
    fn report_dropped_lines(&mut self) {
        let dropped = self.counters.dropped_lines.load(Ordering::Relaxed);
        let report =
            format!("({dropped} log lines were dropped, because the log could not be written)\n");
        if dropped > 0 && self.write(report.as_bytes()) {
            self.counters
                .dropped_lines
                .fetch_sub(dropped, Ordering::Relaxed);
        }
    }

    /// Writes a line; returns whether it is written. A full pipe is waited for, because only this thread waits.
    fn write(&mut self, line: &[u8]) -> bool {
        let text = match self.is_mid_line {
            true => &[b"\n", line].concat(),
            false => line,
        };
        let written = write_line(&mut self.out, text, u32::MAX);
        match &written {
            Ok(()) => self.is_mid_line = false,
            Err((0, _)) => {}
            Err((written, _)) => self.is_mid_line = text[written - 1] != b'\n',
        }
        written.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    /// A generous limit for what happens at once.
    const PATIENCE: Duration = Duration::from_secs(60);

    #[test]
    fn lines_are_written_in_order_before_flush_ends() {
        let (mut reader, writer) = io::pipe().expect("a pipe");
        let mut queue = LogQueue::start(Box::new(writer));
        for number in 0..100 {
            queue
                .write_all(format!("{number}\n").as_bytes())
                .expect("infallible");
        }
        queue.flush(PATIENCE);
        let expected: String = (0..100).map(|number| format!("{number}\n")).collect();
        let mut written = vec![0; expected.len()];
        reader.read_exact(&mut written).expect("written");
        assert_eq!(written, expected.as_bytes());
        assert_eq!(queue.dropped_lines(), 0);
    }

    #[test]
    fn reader_that_stops_reading_blocks_nobody() {
        let (reader, writer) = io::pipe().expect("a pipe");
        let mut queue = LogQueue::start(Box::new(writer));
        let line = [b"x".repeat(1_000), b"\n".to_vec()].concat();
        for _ in 0..20_000 {
            queue.write_all(&line).expect("infallible");
        }
        queue.flush(Duration::from_millis(10));

        // Once it reads again, everything that was queued arrives, and the number of dropped lines.
        let mut sender = queue.clone();
        let read = thread::spawn(move || {
            let mut text = String::new();
            let mut reader = reader;
            reader.read_to_string(&mut text).expect("text");
            text
        });
        queue.flush(PATIENCE);
        sender.write_all(b"last\n").expect("infallible");
        drop((queue, sender));
        let text = read.join().expect("no panic");
        assert!(text.ends_with("last\n"));
        let whole = text
            .lines()
            .filter(|text| text.as_bytes() == &line[..1_000]);
        let reported = text.lines().filter_map(|line| {
            line.strip_prefix('(')?
                .split(' ')
                .next()?
                .parse::<u64>()
                .ok()
        });
        let dropped: u64 = reported.sum();
        // The queue and the pipe have room for less than 10,000 lines.
        assert!(dropped > 10_000, "{dropped}");
        assert_eq!(whole.count() as u64 + dropped, 20_000);
    }

    #[test]
    fn reader_that_is_gone_fails_nobody() {
        let (reader, writer) = io::pipe().expect("a pipe");
        drop(reader);
        let mut queue = LogQueue::start(Box::new(writer));
        for _ in 0..3 {
            queue.write_all(b"line\n").expect("infallible");
        }
        queue.flush(PATIENCE);
        assert_eq!(queue.dropped_lines(), 3);
    }
}
