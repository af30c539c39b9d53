//! The two ways of updating records side by side: what each of them takes, and which one is taken. Pure.

use std::fmt;

use serde_json::{Value, json};

use super::price::{Price, Tariff};
use super::{Call, Limits, Target, field_groups};
use crate::update::{FieldName, Method, ModuleName, UpdateRequest};

/// One of Zoho's calls that change records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// A mass update: the same values for many records, or for those of a custom view.
    MassUpdate,
    /// An update of records: each of them is a row of its own.
    Records,
}

impl Way {
    const BOTH: [Self; 2] = [Self::MassUpdate, Self::Records];

    /// Its word, which is that of the method.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::MassUpdate => Method::MassUpdate.as_str(),
            Self::Records => Method::Records.as_str(),
        }
    }

    /// Its HTTP method.
    pub fn verb(self) -> &'static str {
        match self {
            Self::MassUpdate => "POST",
            Self::Records => "PUT",
        }
    }

    /// The path that its calls are sent to.
    pub fn path(self, module: &ModuleName) -> String {
        match self {
            Self::MassUpdate => super::mass_update_path(module),
            Self::Records => super::records_path(module),
        }
    }
}

/// Why a way is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// `update_by` names it.
    Asked,
    /// It takes fewer calls.
    FewerCalls,
    /// Both take as many calls.
    AsMany,
    /// It alone sets every field.
    Fields,
    /// Nothing else updates a custom view.
    View,
}

impl Why {
    /// Its word in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Asked => "asked",
            Self::FewerCalls => "fewer_calls",
            Self::AsMany => "as_many_calls",
            Self::Fields => "fields",
            Self::View => "view",
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Asked => "`update_by` says so",
            Self::FewerCalls => "fewer calls",
            Self::AsMany => "the other way takes as many calls",
            Self::Fields => "no mass update sets all of the fields",
            Self::View => "nothing else updates a custom view",
        })
    }
}

/// How many records are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Amount {
    /// So many, by their ids.
    Named(usize),
    /// Those of a custom view.
    View,
}

/// What both ways come to for one update request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ways {
    /// The price of mass updates; none if they cannot set every field.
    pub mass_update: Option<Price>,
    /// The price of updates of the records; none for those of a custom view.
    pub records: Option<Price>,
    /// The way that is taken.
    pub taken: Way,
    /// Why it is that one.
    pub why: Why,
}

impl Ways {
    /// Weighs both ways, and gives the calls of the one that is taken.
    pub(super) fn weigh(
        request: &UpdateRequest,
        amount: Amount,
        limits: &Limits,
    ) -> (Self, Vec<Call>) {
        let needed = request.needs_records();
        let mass_update = mass_updates(request, amount, limits);
        let price = |calls: &[Call]| Price::of(calls, Tariff::DOCUMENTED);
        let of_mass_update = Some(price(&mass_update)).filter(|_| !needed);
        let Amount::Named(count) = amount else {
            let ways = Self {
                mass_update: of_mass_update,
                records: None,
                taken: Way::MassUpdate,
                why: Why::View,
            };
            return (ways, mass_update);
        };
        let records = record_updates(request, count, limits);
        let (taken, why) = match (request.update_by, records.len(), mass_update.len()) {
            (Method::MassUpdate, ..) => (Way::MassUpdate, Why::Asked),
            (Method::Records, ..) => (Way::Records, Why::Asked),
            (Method::Auto, ..) if needed => (Way::Records, Why::Fields),
            (Method::Auto, rows, mass) if rows < mass => (Way::Records, Why::FewerCalls),
            (Method::Auto, rows, mass) if rows > mass => (Way::MassUpdate, Why::FewerCalls),
            (Method::Auto, ..) => (Way::MassUpdate, Why::AsMany),
        };
        let ways = Self {
            mass_update: of_mass_update,
            records: Some(price(&records)),
            taken,
            why,
        };
        let calls = match taken {
            Way::MassUpdate => mass_update,
            Way::Records => records,
        };
        (ways, calls)
    }

    /// The same at what an org pays. Which way is taken goes by the calls, so it stays.
    #[must_use]
    pub fn at(self, tariff: Tariff) -> Self {
        Self {
            mass_update: self.mass_update.map(|price| price.at(tariff.mass_update)),
            ..self
        }
    }

    /// What is said of one way.
    fn told(self, way: Way) -> String {
        let (price, barred) = match way {
            Way::MassUpdate => (
                self.mass_update,
                "not possible: it does not set all of the fields",
            ),
            Way::Records => (
                self.records,
                "not possible: a custom view is only mass-updated",
            ),
        };
        let price = price.map_or_else(|| barred.to_owned(), |price| price.to_string());
        match way == self.taken {
            true => format!("{price}; taken: {}", self.why),
            false => price,
        }
    }

    /// Both ways in one line.
    pub fn in_a_line(self) -> String {
        let told = Way::BOTH.map(|way| format!("by {} {}", way.as_str(), self.told(way)));
        told.join("; ")
    }

    /// The prices, for machines.
    pub(super) fn to_json(self) -> Value {
        json!({
            "mass_update": self.mass_update.map(Price::to_json),
            "records": self.records.map(Price::to_json),
        })
    }
}

impl fmt::Display for Ways {
    /// A line for each way.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for way in Way::BOTH {
            write!(formatter, "\n  by {:<12} {}", way.as_str(), self.told(way))?;
        }
        Ok(())
    }
}

/// One group of fields after the other, each for all records.
fn mass_updates(request: &UpdateRequest, amount: Amount, limits: &Limits) -> Vec<Call> {
    let targets = match amount {
        Amount::Named(count) => chunks(count, limits.ids_per_call)
            .map(Target::Immediate)
            .collect(),
        Amount::View => vec![Target::Scheduled],
    };
    let mut calls = Vec::new();
    for (group, fields) in field_groups(request, limits).into_iter().enumerate() {
        for target in &targets {
            calls.push(Call {
                seq: calls.len() + 1,
                group: group + 1,
                fields: fields.clone(),
                target: target.clone(),
            });
        }
    }
    calls
}

/// All fields at once, some records after the other.
fn record_updates(request: &UpdateRequest, count: usize, limits: &Limits) -> Vec<Call> {
    let fields: Vec<FieldName> = request
        .fields
        .iter()
        .map(|assignment| assignment.field.clone())
        .collect();
    let targets = chunks(count, limits.records_per_call).map(Target::Records);
    let calls = targets.enumerate().map(|(index, target)| Call {
        seq: index + 1,
        group: 1,
        fields: fields.clone(),
        target,
    });
    calls.collect()
}

fn chunks(count: usize, most: usize) -> impl Iterator<Item = std::ops::Range<usize>> {
    let most = most.max(1);
    let starts = (0..count).step_by(most);
    starts.map(move |start| start..count.min(start + most))
}
