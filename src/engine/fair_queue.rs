//! A queue that is fair to hosts: each has a share of the slots, and hosts take turns. Pure.

use std::collections::{HashMap, VecDeque};

/// Entries of one host that may be started at once.
const SHARE: usize = 16;

/// Entries by host. A host that is slow delays only its own entries.
#[derive(Debug)]
pub(super) struct FairQueue<T> {
    hosts: HashMap<String, HostQueue<T>>,
    /// The hosts that have a waiting entry and a free slot, in the order of their turns.
    turns: VecDeque<String>,
}

#[derive(Debug)]
struct HostQueue<T> {
    waiting: VecDeque<T>,
    /// Entries that were started and have not ended.
    started: usize,
}

impl<T> Default for FairQueue<T> {
    fn default() -> Self {
        Self {
            hosts: HashMap::new(),
            turns: VecDeque::new(),
        }
    }
}

impl<T> FairQueue<T> {
    /// Appends an entry to those of its host.
    pub(super) fn push(&mut self, host: &str, entry: T) {
        let queue = self.hosts.entry(host.to_owned()).or_insert(HostQueue {
            waiting: VecDeque::new(),
            started: 0,
        });
        if queue.waiting.is_empty() && queue.started < SHARE {
            self.turns.push_back(host.to_owned());
        }
        queue.waiting.push_back(entry);
    }

    /// Starts the next entry. The caller reports its end with [`FairQueue::end`].
    pub(super) fn start(&mut self) -> Option<(String, T)> {
        let host = self.turns.pop_front()?;
        let queue = self.hosts.get_mut(&host)?;
        let entry = queue.waiting.pop_front()?;
        queue.started += 1;
        if !queue.waiting.is_empty() && queue.started < SHARE {
            self.turns.push_back(host.clone());
        }
        Some((host, entry))
    }

    /// Frees the slot of an entry of this host.
    pub(super) fn end(&mut self, host: &str) {
        let Some(queue) = self.hosts.get_mut(host) else {
            return;
        };
        let was_full = queue.started == SHARE;
        queue.started = queue.started.saturating_sub(1);
        if queue.waiting.is_empty() {
            if queue.started == 0 {
                self.hosts.remove(host);
            }
        } else if was_full {
            self.turns.push_back(host.to_owned());
        }
    }

    /// Removes the waiting entries of a host that `matches`, and returns them.
    pub(super) fn remove(&mut self, host: &str, matches: impl Fn(&T) -> bool) -> Vec<T> {
        let Some(queue) = self.hosts.get_mut(host) else {
            return Vec::new();
        };
        let (removed, kept) = std::mem::take(&mut queue.waiting)
            .into_iter()
            .partition(matches);
        queue.waiting = kept;
        if queue.waiting.is_empty() {
            self.turns.retain(|turn| turn != host);
            if queue.started == 0 {
                self.hosts.remove(host);
            }
        }
        Vec::from(removed)
    }

    /// Whether [`FairQueue::start`] returns an entry.
    pub(super) fn can_start(&self) -> bool {
        !self.turns.is_empty()
    }

    /// The number of entries of a host that wait.
    pub(super) fn waiting_of(&self, host: &str) -> usize {
        let queue = self.hosts.get(host);
        queue.map_or(0, |queue| queue.waiting.len())
    }

    /// The number of entries that wait.
    pub(super) fn waiting(&self) -> usize {
        self.hosts.values().map(|queue| queue.waiting.len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Clone, Debug)]
    enum Step {
        Push(u8),
        Start,
        /// Ends the started entry at this place, modulo their number.
        End(usize),
        /// Removes the even entries of a host.
        Remove(u8),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            6 => (0..4_u8).prop_map(Step::Push),
            4 => Just(Step::Start),
            2 => any::<usize>().prop_map(Step::End),
            1 => (0..4_u8).prop_map(Step::Remove),
        ]
    }

    proptest! {
        /// Against a model: each entry leaves once and in the order of its host, no host exceeds its share, and an entry is
        /// started whenever a host with a free slot has one.
        #[test]
        fn entries_leave_once_within_their_share(steps in prop::collection::vec(step(), 0..400)) {
            let mut queue = FairQueue::default();
            let mut waiting: HashMap<String, VecDeque<usize>> = HashMap::new();
            let mut started: Vec<String> = Vec::new();
            let share = |started: &[String], host: &str| started.iter().filter(|other| *other == host).count();
            for (number, step) in steps.into_iter().enumerate() {
                match step {
                    Step::Push(host) => {
                        queue.push(&host.to_string(), number);
                        waiting.entry(host.to_string()).or_default().push_back(number);
                    }
                    Step::Start => match (queue.can_start(), queue.start()) {
                        (can_start, Some((host, entry))) => {
                            prop_assert!(can_start);
                            prop_assert_eq!(waiting.get_mut(&host).and_then(VecDeque::pop_front), Some(entry));
                            prop_assert!(share(&started, &host) < SHARE);
                            started.push(host);
                        }
                        (can_start, None) => {
                            prop_assert!(!can_start);
                            let is_full = |host: &str| share(&started, host) == SHARE;
                            let stuck = waiting.iter().all(|(host, entries)| entries.is_empty() || is_full(host));
                            prop_assert!(stuck, "an entry was not started");
                        }
                    },
                    Step::End(place) if !started.is_empty() => {
                        let host = started.swap_remove(place % started.len());
                        queue.end(&host);
                    }
                    Step::End(_) => {}
                    Step::Remove(host) => {
                        let removed = queue.remove(&host.to_string(), |entry| entry % 2 == 0);
                        let entries = waiting.entry(host.to_string()).or_default();
                        let expected: Vec<usize> = entries.iter().copied().filter(|entry| entry % 2 == 0).collect();
                        entries.retain(|entry| entry % 2 != 0);
                        prop_assert_eq!(removed, expected);
                    }
                }
                prop_assert_eq!(queue.waiting(), waiting.values().map(VecDeque::len).sum::<usize>());
                for host in waiting.keys() {
                    prop_assert_eq!(queue.waiting_of(host), waiting[host].len());
                }
            }
        }
    }

    #[test]
    fn one_entry_does_not_wait_for_full_hosts() {
        let mut queue = FairQueue::default();
        for number in 0..300 {
            queue.push(["a", "b", "c", "d"][number % 4], number);
        }
        queue.push("healthy", 300);
        let place = std::iter::from_fn(|| queue.start()).position(|(host, _)| host == "healthy");
        assert_eq!(place, Some(4), "hosts take turns");
        let started = std::iter::from_fn(|| queue.start()).count();
        assert_eq!(started, 4 * SHARE - 4, "the others are full");
        queue.push("late", 301);
        assert_eq!(queue.start(), Some(("late".to_owned(), 301)));
    }
}
