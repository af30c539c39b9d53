//! The memory that a container grants this process.

use std::path::Path;

/// The memory limit of this process's control group, in bytes; `None` if there is none.
pub(super) fn memory_limit() -> Option<usize> {
    let root = Path::new("/sys/fs/cgroup");
    let groups = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let own = groups.lines().find_map(|line| line.strip_prefix("0::/"));
    let files = [
        own.map(|group| root.join(group).join("memory.max")),
        // In a container, its group is the root.
        Some(root.join("memory.max")),
        Some(root.join("memory/memory.limit_in_bytes")),
    ];
    let limits = files.into_iter().flatten().filter_map(|file| {
        let text = std::fs::read_to_string(file).ok()?;
        // `max` stands for no limit.
        text.trim().parse().ok()
    });
    limits.min()
}
