//! What an operator should look at, each with the place in the console and the command that helps.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::app::App;
use crate::metrics::Gauges;
use crate::store::delivery::DeadLetterSummary;
use crate::zoho::ConnectionStatus;

/// The latest dead letters that are looked at.
const MAX_DEAD_LETTERS: usize = 200;

/// Entries of one kind.
const MAX_ENTRIES: usize = 5;

/// Characters of a reason.
const MAX_REASON_CHARS: usize = 200;

/// How long a job may be due before that is worth a look.
const OVERDUE: SignedDuration = SignedDuration::from_secs(60);

/// An entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Attention {
    /// `bad` or `warn`.
    severity: &'static str,
    /// What it is about, in a few words.
    subject: String,
    text: String,
    /// The route of the page.
    link: String,
    /// What the link leads to.
    action: &'static str,
    command: Option<String>,
}

impl App {
    /// Everything that needs attention, the worst first.
    pub(super) async fn attention(&self, gauges: &Gauges, now: Timestamp) -> Vec<Attention> {
        let mut entries = match self.store().dead_letters(MAX_DEAD_LETTERS).await {
            Ok(letters) => {
                of_dead_letters(&letters, |route| self.config.routes.contains_key(route))
            }
            Err(error) => vec![Attention {
                severity: "bad",
                subject: "store".to_owned(),
                text: error.to_string(),
                link: "/jobs".to_owned(),
                action: "Jobs",
                command: None,
            }],
        };
        let statuses = self.connection_statuses();
        entries.extend(
            statuses
                .iter()
                .filter_map(|status| of_connection(status, now)),
        );
        entries.extend(gauges.oldest_due.and_then(|due| of_oldest_due(due, now)));
        entries.extend(of_log_losses(gauges));
        entries
    }
}

/// Dead letters, grouped by route and code.
fn of_dead_letters(
    letters: &[DeadLetterSummary],
    has_route: impl Fn(&str) -> bool,
) -> Vec<Attention> {
    let mut groups: BTreeMap<(&str, &str), Vec<&DeadLetterSummary>> = BTreeMap::new();
    for letter in letters {
        let code = letter.dead_letter.code.as_str();
        groups
            .entry((&letter.route, code))
            .or_default()
            .push(letter);
    }
    let mut groups: Vec<_> = groups.into_iter().collect();
    groups.sort_by_key(|(_, letters)| std::cmp::Reverse(letters.len()));
    let more = groups.len().saturating_sub(MAX_ENTRIES);
    let entries = groups
        .iter()
        .take(MAX_ENTRIES)
        .map(|((route, code), letters)| {
            let count = match letters.len() {
                1 => "1 dead letter".to_owned(),
                MAX_DEAD_LETTERS => format!("{MAX_DEAD_LETTERS} or more dead letters"),
                count => format!("{count} dead letters"),
            };
            // The list has the latest first.
            let latest = letters.first();
            let reason = latest.map_or("", |letter| letter.dead_letter.reason.as_str());
            // The list of the errors is for the screen of the delivery.
            let reason = reason.split(": [{").next().unwrap_or(reason);
            let reason: String = reason.chars().take(MAX_REASON_CHARS).collect();
            let id = latest.map_or("", |letter| letter.id.as_str());
            let (link, action) = match latest.is_some_and(|letter| letter.dead_letter.job.is_none())
                && has_route(route)
            {
                true => (
                    format!("/playground?route={route}&delivery={id}"),
                    "Open in the playground",
                ),
                false => ("/dead-letters".to_owned(), "Dead letters"),
            };
            Attention {
                severity: "bad",
                subject: count,
                text: format!("{route}: {code}: {reason}"),
                link,
                action,
                command: Some(format!("masshook deliveries show {id}")),
            }
        });
    let mut entries: Vec<Attention> = entries.collect();
    if more > 0 {
        entries.push(Attention {
            severity: "bad",
            subject: format!("{more} more kinds"),
            text: "of dead letters".to_owned(),
            link: "/dead-letters".to_owned(),
            action: "Dead letters",
            command: Some("masshook deliveries list".to_owned()),
        });
    }
    entries
}

fn of_connection(status: &ConnectionStatus, now: Timestamp) -> Option<Attention> {
    let name = &status.name;
    let (severity, text) = if let Some(problem) = &status.token_problem {
        ("bad", format!("{name}: no access token: {problem}"))
    } else if let Some(until) = status.throttled_until.filter(|until| *until > now) {
        let text = format!("{name}: Zoho asked for a pause until {until:.0}");
        ("warn", text)
    } else if let Some(left) = status
        .credits_left
        .filter(|left| *left < status.credit_floor)
    {
        let floor = status.credit_floor;
        let text = format!("{name}: {left} API credits left; new work waits below {floor}");
        ("warn", text)
    } else {
        return None;
    };
    Some(Attention {
        severity,
        subject: "connection".to_owned(),
        text,
        link: "/connections".to_owned(),
        action: "Connections",
        command: Some("masshook check --live".to_owned()),
    })
}

fn of_oldest_due(due: Timestamp, now: Timestamp) -> Option<Attention> {
    let late = now.duration_since(due);
    (late > OVERDUE).then(|| Attention {
        severity: "warn",
        subject: "overdue work".to_owned(),
        text: format!("a job is due since {due:.0} and was not driven"),
        link: "/jobs".to_owned(),
        action: "Jobs",
        command: Some("masshook jobs list".to_owned()),
    })
}

/// Deliveries that the log lacks since the start of the process.
fn of_log_losses(gauges: &Gauges) -> Option<Attention> {
    let Gauges {
        log_left_out,
        log_failed,
        ..
    } = gauges;
    let reasons = [
        (*log_left_out, "came too fast"),
        (*log_failed, "could not be written"),
    ];
    let reasons = reasons.iter().filter(|(count, _)| *count > 0);
    let reasons: Vec<String> = reasons
        .map(|(count, reason)| format!("{count} {reason}"))
        .collect();
    (!reasons.is_empty()).then(|| Attention {
        severity: "warn",
        subject: "log of deliveries".to_owned(),
        text: format!(
            "deliveries are missing in the log since the start: {}; their jobs are not concerned",
            reasons.join(", ")
        ),
        link: "/deliveries".to_owned(),
        action: "Deliveries",
        command: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::DeadLetterReason;

    fn letter(route: &str, id: &str, code: &str) -> DeadLetterSummary {
        DeadLetterSummary {
            id: id.to_owned(),
            route: route.to_owned(),
            at: Timestamp::UNIX_EPOCH,
            dead_letter: DeadLetterReason {
                since: Timestamp::UNIX_EPOCH,
                code: code.to_owned(),
                reason: "line 3".to_owned(),
                job: None,
            },
            body_bytes: 1,
        }
    }

    #[test]
    fn dead_letters_are_grouped_with_the_latest_to_open() {
        let letters = [
            letter("a", "dlv_3", "mapping_failed"),
            letter("a", "dlv_2", "mapping_failed"),
            letter("gone", "dlv_1", "mapping_failed"),
        ];
        let entries = of_dead_letters(&letters, |route| route == "a");
        assert_eq!(entries.len(), 2);
        assert_eq!(entries[0].subject, "2 dead letters");
        assert_eq!(entries[0].link, "/playground?route=a&delivery=dlv_3");
        assert_eq!(entries[1].link, "/dead-letters");
        let many: Vec<_> = (0..9)
            .map(|n| letter(&format!("r{n}"), "dlv_1", "x"))
            .collect();
        let entries = of_dead_letters(&many, |_| true);
        assert_eq!(entries.len(), MAX_ENTRIES + 1);
        assert_eq!(entries[MAX_ENTRIES].subject, "4 more kinds");
    }

    #[test]
    fn losses_of_the_log_are_reported_with_their_reasons() {
        assert_eq!(of_log_losses(&Gauges::default()), None);
        let gauges = Gauges {
            log_left_out: 7,
            ..Gauges::default()
        };
        let text = of_log_losses(&gauges).expect("an entry").text;
        assert!(text.contains(": 7 came too fast;"), "{text}");
    }

    #[test]
    fn overdue_work_is_reported_after_a_minute() {
        let due = Timestamp::UNIX_EPOCH;
        let at = |seconds| Timestamp::from_second(seconds).expect("a time");
        assert_eq!(of_oldest_due(due, at(59)), None);
        assert!(of_oldest_due(due, at(61)).is_some());
    }
}
