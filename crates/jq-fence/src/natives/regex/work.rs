//! A bound of the work between two backtracks of a pattern, which the backtracking matcher neither counts nor interrupts.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "what is not translated does not occur in a pattern"
)]

use fancy_regex::{Expr, LookAround};

/// Bytes of a character at most.
const CHARACTER: u64 = 4;

/// States of an automaton for a class of characters, roughly: one of a few ranges, and one of a property of Unicode.
const CLASS: u64 = 2;
const PROPERTY: u64 = 6;

/// What an expression costs at most before the matcher backtracks, in states times bytes.
#[derive(Clone, Copy, Debug, Default)]
struct Work {
    /// States of an automaton for it, with counted repetitions written out.
    states: u64,
    /// Bytes that it matches at most.
    reach: u64,
    /// The work of positive look-arounds. Within a repetition, it comes anew with every turn.
    repeated: u64,
    /// The work of negative look-arounds. Each ends with a backtrack.
    once: u64,
}

/// The work between two backtracks in a text of `length` bytes, in states times bytes.
pub(super) fn between_backtracks(expression: &Expr, length: usize) -> u64 {
    let length = u64::try_from(length).unwrap_or(u64::MAX);
    outermost(expression, false, length).total(length)
}

/// The work of an expression that no look-around and no atomic group contains. What precedes a hard part is matched step by
/// step, and each step of a repetition there is a backtrack sooner or later. The rest is matched at one go.
fn outermost(expression: &Expr, before_hard: bool, length: u64) -> Work {
    if !is_hard(expression) {
        let work = Work::of(expression, length);
        let reach = match work.reach < length || !before_hard {
            true => work.reach,
            false => 0,
        };
        return Work { reach, ..work };
    }
    match expression {
        Expr::Group(inner) => outermost(inner, before_hard, length),
        Expr::Alt(branches) => branches.iter().fold(Work::default(), |all, branch| {
            all.or(outermost(branch, before_hard, length))
        }),
        Expr::Concat(parts) => {
            let last = parts.iter().rposition(is_hard);
            let parts = parts.iter().enumerate();
            parts.fold(Work::default(), |all, (index, part)| {
                let before_hard = before_hard || last.is_some_and(|last| index < last);
                all.followed_by(outermost(part, before_hard, length))
            })
        }
        Expr::Repeat { child, lo, hi, .. } => {
            let work = outermost(child, true, length).repeat(*lo as u64, *hi, length);
            // An atomic group matches at one go, and forgets the steps within.
            let is_atomic =
                child.has_descendant_or_self(|part| matches!(part, Expr::AtomicGroup(_)));
            let reach = match work.reach < length || is_atomic {
                true => work.reach,
                false => 0,
            };
            Work { reach, ..work }
        }
        _ => Work::of(expression, length),
    }
}

/// Whether the expression cannot be matched by an automaton.
fn is_hard(expression: &Expr) -> bool {
    expression.has_descendant_or_self(|part| {
        matches!(
            part,
            Expr::LookAround(..) | Expr::AtomicGroup(_) | Expr::Backref { .. }
        )
    })
}

impl Work {
    fn of(expression: &Expr, length: u64) -> Self {
        let leaf = |states, reach| Self {
            states,
            reach,
            ..Self::default()
        };
        match expression {
            Expr::Empty | Expr::Assertion(_) => leaf(1, 0),
            Expr::Literal { val, .. } => leaf(val.len() as u64, val.len() as u64),
            Expr::Any { .. } => leaf(1, CHARACTER),
            Expr::Delegate { inner, .. } => {
                let names_property = ["p", "P", "w", "W", "d", "D", "s", "S"]
                    .iter()
                    .any(|letter| inner.contains(&format!("\\{letter}")));
                leaf(if names_property { PROPERTY } else { CLASS }, CHARACTER)
            }
            Expr::Alt(branches) => branches.iter().fold(Self::default(), |all, branch| {
                all.or(Self::of(branch, length))
            }),
            Expr::Repeat { child, lo, hi, .. } => {
                Self::of(child, length).repeat(*lo as u64, *hi, length)
            }
            Expr::LookAround(body, kind) => Self::of(body, length).as_look_around(*kind, length),
            Expr::Backref { .. } => Self {
                // Comparing bytes is cheaper than a step.
                once: length / 4,
                ..leaf(1, 0)
            },
            _ => {
                let parts = expression.children_iter();
                parts.fold(leaf(1, 0), |all, part| {
                    all.followed_by(Self::of(part, length))
                })
            }
        }
    }

    fn followed_by(self, next: Self) -> Self {
        Self {
            states: self.states.saturating_add(next.states),
            reach: self.reach.saturating_add(next.reach),
            repeated: self.repeated.saturating_add(next.repeated),
            once: self.once.saturating_add(next.once),
        }
    }

    fn or(self, other: Self) -> Self {
        Self {
            reach: self.reach.max(other.reach),
            ..self.followed_by(other)
        }
    }

    fn repeat(self, least: u64, most: usize, length: u64) -> Self {
        let is_bounded = most != usize::MAX;
        let turns = match is_bounded {
            true => (most as u64).max(1),
            false => least.max(length.saturating_add(1)),
        };
        let copies = if is_bounded { turns } else { least.max(1) };
        Self {
            states: self.states.saturating_mul(copies),
            reach: self.reach.saturating_mul(turns),
            repeated: self.repeated.saturating_mul(turns),
            once: self.once,
        }
    }

    fn as_look_around(self, kind: LookAround, length: u64) -> Self {
        let (repeated, once) = match kind {
            LookAround::LookAhead | LookAround::LookBehind => {
                let body = Self { once: 0, ..self };
                (body.total(length), self.once)
            }
            LookAround::LookAheadNeg | LookAround::LookBehindNeg => (0, self.total(length)),
        };
        Self {
            states: 1,
            reach: 0,
            repeated,
            once,
        }
    }

    fn total(self, length: u64) -> u64 {
        let plain = self
            .states
            .saturating_mul(self.reach.min(length).saturating_add(1));
        plain
            .saturating_add(self.repeated)
            .saturating_add(self.once)
            .max(1)
    }
}
