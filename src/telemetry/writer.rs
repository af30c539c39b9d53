//! Writing of log lines without errors.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::os::fd::AsFd;
use std::time::Duration;

use crate::printable::json;

/// Pause before a full pipe that does not block is tried again.
const RETRY_PAUSE: Duration = Duration::from_millis(10);

/// How often a [`DirectWriter`] tries a full pipe that does not block.
const DIRECT_ATTEMPTS: u32 = 20;

/// Writes each line at once. Errors are ignored: nobody could be told, and the caller must not fail for its log.
pub(super) struct DirectWriter<W> {
    inner: W,
    is_json: bool,
}

impl<W> DirectWriter<W> {
    /// A writer of readable lines.
    pub(super) fn text(inner: W) -> Self {
        Self {
            inner,
            is_json: false,
        }
    }

    /// A writer of JSON lines, whose strings show no control characters.
    pub(super) fn json(inner: W) -> Self {
        Self {
            inner,
            is_json: true,
        }
    }
}

/// Passes JSON lines on, whose strings show no control characters.
pub(super) struct JsonWriter<W>(pub(super) W);

impl<W: Write> Write for JsonWriter<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.write_all(json(&text_of(line)).as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl<W: Write> Write for DirectWriter<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = text_of(line);
        let safe = match self.is_json {
            true => json(&text),
            false => text.as_ref().into(),
        };
        let _ = write_line(&mut self.inner, safe.as_bytes(), DIRECT_ATTEMPTS);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A line as text. `from_utf8_lossy` alone takes ten times as long for valid text.
fn text_of(line: &[u8]) -> Cow<'_, str> {
    str::from_utf8(line).map_or_else(|_| String::from_utf8_lossy(line), Cow::Borrowed)
}

/// Writes a whole line. A full pipe that does not block is tried `attempts` times.
///
/// # Errors
/// The number of bytes that are written, and the error that ended it.
pub(super) fn write_line(
    out: &mut impl Write,
    line: &[u8],
    attempts: u32,
) -> Result<(), (usize, io::Error)> {
    let mut written = 0;
    let mut failures = 0;
    while written < line.len() {
        match out.write(&line[written..]) {
            Ok(0) => return Err((written, ErrorKind::WriteZero.into())),
            Ok(count) => written += count,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock && failures < attempts => {
                failures += 1;
                std::thread::sleep(RETRY_PAUSE);
            }
            Err(error) => return Err((written, error)),
        }
    }
    Ok(())
}

/// A handle of stderr of its own. `std::io::stderr` has a lock, which everybody else would wait for while a write blocks.
pub(super) fn stderr() -> Box<dyn Write + Send> {
    match io::stderr().as_fd().try_clone_to_owned() {
        Ok(handle) => Box::new(File::from(handle)),
        Err(_) => Box::new(io::stderr()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes one byte at a time, and fails as told before each.
    struct Fussy(Vec<u8>, Vec<ErrorKind>);

    impl Write for Fussy {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if let Some(kind) = self.1.pop() {
                return Err(kind.into());
            }
            self.0.push(bytes[0]);
            Ok(1)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn temporary_errors_lose_no_byte() {
        let mut out = Fussy(
            Vec::new(),
            vec![ErrorKind::WouldBlock, ErrorKind::Interrupted],
        );
        write_line(&mut out, b"line\n", 1).expect("written");
        assert_eq!(out.0, b"line\n");
        out.1 = vec![ErrorKind::WouldBlock; 2];
        assert!(write_line(&mut out, b"line\n", 1).is_err());
    }

    #[test]
    fn direct_writer_reports_no_error() {
        for kind in [
            ErrorKind::BrokenPipe,
            ErrorKind::StorageFull,
            ErrorKind::Other,
        ] {
            let mut writer = DirectWriter::json(Fussy(Vec::new(), vec![kind]));
            writer.write_all(b"line\n").expect("no error");
        }
    }
}
