//! Watches files, also through editors that replace it, save it twice or delete it for a moment.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The pause between two looks at the file.
const INTERVAL: Duration = Duration::from_millis(250);

/// What distinguishes one state of a file from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FileState {
    Missing,
    Present {
        inode: u64,
        length: u64,
        /// Seconds and nanoseconds of the last change of the content or of the file itself.
        changed: [(i64, i64); 2],
    },
}

impl FileState {
    fn of(path: &Path) -> Self {
        match std::fs::metadata(path) {
            Ok(file) => Self::Present {
                inode: file.ino(),
                length: file.len(),
                changed: [
                    (file.mtime(), file.mtime_nsec()),
                    (file.ctime(), file.ctime_nsec()),
                ],
            },
            Err(_) => Self::Missing,
        }
    }
}

/// A watched file.
#[derive(Debug)]
pub(super) struct FileWatch {
    path: PathBuf,
    settled: FileState,
    latest: FileState,
}

impl FileWatch {
    /// Watches from the current state on.
    pub(super) fn new(path: &Path) -> Self {
        let state = FileState::of(path);
        Self {
            path: path.to_owned(),
            settled: state,
            latest: state,
        }
    }

    /// Looks at the file. Returns whether it has changed and then stayed the same for a moment, so that no half-written file
    /// is read.
    fn has_changed(&mut self) -> bool {
        self.observe(FileState::of(&self.path))
    }

    /// Takes a look into account. Returns whether the file has a new state that was the same at the look before.
    fn observe(&mut self, state: FileState) -> bool {
        let is_stable = state == self.latest;
        self.latest = state;
        let has_changed = is_stable && state != self.settled;
        if has_changed {
            self.settled = state;
        }
        has_changed
    }
}

/// The files on which a config in use depends.
#[derive(Debug)]
pub(super) struct ConfigWatch {
    config: FileWatch,
    secrets: Vec<FileWatch>,
}

impl ConfigWatch {
    /// Watches a config and secrets from the current state on.
    pub(super) fn new(config: &Path, secrets: &[PathBuf]) -> Self {
        let mut watch = Self {
            config: FileWatch::new(config),
            secrets: Vec::new(),
        };
        watch.set_secrets(secrets);
        watch
    }

    /// Watches other secrets from now on.
    pub(super) fn set_secrets(&mut self, paths: &[PathBuf]) {
        self.secrets = paths.iter().map(|path| FileWatch::new(path)).collect();
    }

    /// Completes when one of the files has changed.
    pub(super) async fn changed(&mut self) {
        loop {
            tokio::time::sleep(INTERVAL).await;
            let files = self.secrets.iter_mut().chain([&mut self.config]);
            let changed: Vec<bool> = files.map(FileWatch::has_changed).collect();
            if changed.contains(&true) {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn present(inode: u64, at: i64) -> FileState {
        FileState::Present {
            inode,
            length: 1,
            changed: [(at, 0), (at, 0)],
        }
    }

    /// How many changes are reported for these looks.
    fn changes(looks: &[FileState]) -> usize {
        let mut watch = FileWatch {
            path: PathBuf::new(),
            settled: present(1, 0),
            latest: present(1, 0),
        };
        looks.iter().filter(|look| watch.observe(**look)).count()
    }

    #[test]
    fn change_is_reported_once_when_it_has_settled() {
        let (old, new) = (present(1, 0), present(1, 1));
        assert_eq!(changes(&[old, old, new]), 0);
        assert_eq!(changes(&[old, new, new, new]), 1);
        // Saved twice.
        assert_eq!(changes(&[new, present(1, 2), present(1, 2)]), 1);
        // Deleted for a moment, then replaced by another file.
        assert_eq!(
            changes(&[FileState::Missing, present(2, 3), present(2, 3)]),
            1
        );
        // Deleted, and restored later.
        let missing = FileState::Missing;
        assert_eq!(
            changes(&[missing, missing, missing, present(3, 4), present(3, 4)]),
            2
        );
        // Changed and changed back before it settled.
        assert_eq!(changes(&[new, old, old]), 0);
    }
}
