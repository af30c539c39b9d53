//! The stored form of a history: one row of numbers and short texts for each step, because DynamoDB bills every kilobyte of a
//! write. A row has a letter for the kind of step, then the milliseconds since the previous step, then values; those at the
//! end that are absent are left out.
//!
//! A row that this version cannot read, because a newer one wrote it, is counted as an omitted step.

use std::fmt;

use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::ser::SerializeSeq;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Entry, History, Omitted, SHARED_ID_CHARS, Sharing, Step, WaitReason};

/// A value of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field<'a> {
    Null,
    Number(i64),
    Text(&'a str),
}

/// The most values of a row.
const FIELDS: usize = 9;

type Row<'a> = [Field<'a>; FIELDS];

impl Serialize for Field<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Number(number) => serializer.serialize_i64(*number),
            Self::Text(text) => serializer.serialize_str(text),
        }
    }
}

/// The values of a row up to the last one that is present.
struct Present<'a>(&'a [Field<'a>]);

impl Serialize for Present<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let end = self.0.iter().rposition(|field| *field != Field::Null);
        serializer.collect_seq(&self.0[..end.map_or(0, |end| end + 1)])
    }
}

impl Serialize for History {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut rows = serializer.serialize_seq(None)?;
        if self.omitted.count() > 0 {
            rows.serialize_element(&Present(&self.omitted.to_row()))?;
        }
        let mut previous = 0;
        for entry in &self.entries {
            let mut ids = String::new();
            let row = entry.to_row(entry.at.saturating_sub(previous), &mut ids);
            rows.serialize_element(&Present(&row))?;
            previous = entry.at;
        }
        rows.end()
    }
}

impl<'de> Deserialize<'de> for History {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let rows = Vec::<Vec<Value>>::deserialize(deserializer)?;
        let mut history = Self::default();
        let mut previous = 0_i64;
        for row in &rows {
            let values = Values(row);
            if values.text(0) == Some("o") {
                history.omitted = Omitted::from_row(values);
                continue;
            }
            let at = previous.saturating_add(values.number(1).unwrap_or_default());
            previous = at;
            match Step::from_row(values, at) {
                Some(step) => history.entries.push(Entry { at, step }),
                None => history.omitted.add_unreadable(at),
            }
        }
        Ok(history)
    }
}

fn number(value: u64) -> Field<'static> {
    Field::Number(i64::try_from(value).unwrap_or(i64::MAX))
}

/// A number that is left out if it is the usual one.
fn unless(value: u64, usual: u64) -> Field<'static> {
    if value == usual {
        Field::Null
    } else {
        number(value)
    }
}

fn optional<T: Into<u64>>(value: Option<T>) -> Field<'static> {
    value.map_or(Field::Null, |value| number(value.into()))
}

fn text(value: &Option<String>) -> Field<'_> {
    value.as_deref().map_or(Field::Null, Field::Text)
}

/// A row that begins with these values.
fn row<'a, const N: usize>(values: [Field<'a>; N]) -> Row<'a> {
    let mut row = [Field::Null; FIELDS];
    row.iter_mut()
        .zip(values)
        .for_each(|(field, value)| *field = value);
    row
}

impl Entry {
    /// The row, `since` the previous one. `ids` holds the text of the ids of other jobs.
    fn to_row<'a>(&'a self, since: i64, ids: &'a mut String) -> Row<'a> {
        let mut row = self.step.values(self.at, ids);
        row[1] = Field::Number(since);
        row
    }
}

impl Step {
    /// The row of a step that began at `at`, without that time.
    fn values<'a>(&'a self, at: i64, ids: &'a mut String) -> Row<'a> {
        use Field::{Null, Number, Text};
        match self {
            Self::Received { verified, mapped } => {
                row([Text("r"), Null, optional(*verified), optional(*mapped)])
            }
            Self::Wait {
                until,
                reason,
                call,
            } => {
                let wait = Number(until.saturating_sub(at));
                let call = optional(call.map(|call| call as u64));
                row([Text("w"), Null, wait, Text(reason.name()), call])
            }
            Self::Prepared { took, code } => row([Text("p"), Null, number(*took), text(code)]),
            Self::Reread {
                seq,
                took,
                found,
                code,
            } => {
                let (took, found) = (number(*took), number(*found));
                row([Text("u"), Null, took, seq_field(*seq), found, text(code)])
            }
            Self::Superseded { seq, records } => {
                row([Text("s"), Null, seq_field(*seq), number(*records)])
            }
            Self::Callback {
                took,
                status,
                attempt,
                is_final,
                error,
            } => {
                let (took, status) = (number(*took), optional(*status));
                let (attempt, progress) = (unless(*attempt, 1), unless(u64::from(!is_final), 0));
                row([
                    Text("b"),
                    Null,
                    took,
                    status,
                    attempt,
                    progress,
                    text(error),
                ])
            }
            Self::Call { .. } | Self::Poll { .. } => self.request_values(at, ids),
        }
    }

    /// The row of a call or of polls.
    fn request_values<'a>(&'a self, at: i64, joined: &'a mut String) -> Row<'a> {
        use Field::{Null, Text};
        let mut values = [Null; FIELDS];
        if let Self::Call {
            seq,
            took,
            status,
            code,
            refused,
            sharing: Sharing { others, ids },
        } = self
        {
            ids.iter().for_each(|id| joined.push_str(id));
            let (took, status, seq) = (optional(*took), optional(*status), seq_field(*seq));
            let (refused, others) = (unless(*refused, 0), unless(*others, 0));
            let ids = if joined.is_empty() {
                Null
            } else {
                Text(joined)
            };
            values = [
                Text("c"),
                Null,
                took,
                status,
                seq,
                text(code),
                refused,
                others,
                ids,
            ];
        }
        if let Self::Poll {
            seq,
            took,
            status,
            code,
            count,
            last,
        } = self
        {
            let (took, status, seq) = (number(*took), optional(*status), seq_field(*seq));
            let last = unless(last.saturating_sub(at).unsigned_abs(), 0);
            let count = unless(*count, 1);
            values = row([Text("l"), Null, took, status, seq, text(code), count, last]);
        }
        values
    }
}

/// The number of a call, left out for the first one.
fn seq_field(seq: usize) -> Field<'static> {
    unless(seq as u64, 1)
}

impl Step {
    /// The step of a row that began at `at`; none if this version does not know it.
    fn from_row(row: Values<'_>, at: i64) -> Option<Self> {
        let seq = |place| row.count(place, 1).try_into().unwrap_or(usize::MAX);
        let status = || row.number(3).and_then(|status| u16::try_from(status).ok());
        Some(match row.text(0)? {
            "r" => Self::Received {
                verified: row.unsigned(2),
                mapped: row.unsigned(3),
            },
            "w" => Self::Wait {
                until: at.saturating_add(row.number(2)?),
                reason: WaitReason::named(row.text(3)?)?,
                call: row.unsigned(4).and_then(|call| call.try_into().ok()),
            },
            "p" => Self::Prepared {
                took: row.unsigned(2)?,
                code: row.owned(3),
            },
            "c" => Self::Call {
                seq: seq(4),
                took: row.unsigned(2),
                status: status(),
                code: row.owned(5),
                refused: row.count(6, 0),
                sharing: Sharing {
                    others: row.count(7, 0),
                    ids: ids_of(row.text(8).unwrap_or_default()),
                },
            },
            "l" => Self::Poll {
                seq: seq(4),
                took: row.unsigned(2)?,
                status: status(),
                code: row.owned(5),
                count: row.count(6, 1),
                last: at.saturating_add(row.number(7).unwrap_or_default()),
            },
            "u" => Self::Reread {
                seq: seq(3),
                took: row.unsigned(2)?,
                found: row.count(4, 0),
                code: row.owned(5),
            },
            "s" => Self::Superseded {
                seq: seq(2),
                records: row.unsigned(3)?,
            },
            "b" => Self::Callback {
                took: row.unsigned(2)?,
                status: status(),
                attempt: row.count(4, 1),
                is_final: row.count(5, 0) == 0,
                error: row.owned(6),
            },
            _ => return None,
        })
    }
}

fn ids_of(joined: &str) -> Vec<String> {
    let chars: Vec<char> = joined.chars().collect();
    chars
        .chunks(SHARED_ID_CHARS)
        .map(|id| id.iter().collect())
        .collect()
}

impl Omitted {
    fn to_row(self) -> Row<'static> {
        let [calls, polls, callbacks, waits, others] = [
            self.calls,
            self.polls,
            self.callbacks,
            self.waits,
            self.others,
        ]
        .map(|count| unless(count, 0));
        let time = Field::Number(self.to.saturating_sub(self.from));
        row([
            Field::Text("o"),
            Field::Number(self.from),
            time,
            calls,
            polls,
            callbacks,
            waits,
            others,
        ])
    }

    fn from_row(row: Values<'_>) -> Self {
        let from = row.number(1).unwrap_or_default();
        Self {
            from,
            to: from.saturating_add(row.number(2).unwrap_or_default()),
            calls: row.count(3, 0),
            polls: row.count(4, 0),
            callbacks: row.count(5, 0),
            waits: row.count(6, 0),
            others: row.count(7, 0),
        }
    }
}

/// A value as it was read.
#[derive(Debug)]
enum Value {
    Number(i64),
    Text(String),
    /// None, or of a kind that no row of this version has.
    Other,
}

/// The values of a row as it was read.
#[derive(Clone, Copy)]
struct Values<'a>(&'a [Value]);

impl<'a> Values<'a> {
    fn number(self, place: usize) -> Option<i64> {
        match self.0.get(place)? {
            Value::Number(number) => Some(*number),
            Value::Text(_) | Value::Other => None,
        }
    }

    fn unsigned(self, place: usize) -> Option<u64> {
        self.number(place)?.try_into().ok()
    }

    /// A number that is left out if it is the usual one.
    fn count(self, place: usize, usual: u64) -> u64 {
        self.unsigned(place).unwrap_or(usual)
    }

    fn text(self, place: usize) -> Option<&'a str> {
        match self.0.get(place)? {
            Value::Text(text) => Some(text),
            Value::Number(_) | Value::Other => None,
        }
    }

    fn owned(self, place: usize) -> Option<String> {
        self.text(place).map(str::to_owned)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a value of a history")
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(Value::Number(number))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(i64::try_from(number).map_or(Value::Other, Value::Number))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Value, E> {
        Ok(Value::Other)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Value, E> {
        Ok(Value::Other)
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Other)
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<Value, A::Error> {
        while values.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Value::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut values: A) -> Result<Value, A::Error> {
        while values.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Value::Other)
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}
