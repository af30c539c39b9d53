//! Which term of a predicate is the first to be false, and what it looked at: each is run as a program of its own, in
//! the order in which jq would ask it.

mod apart;

use std::ops::Range;

use serde_json::Value;

use super::failure::{self, Place};
use super::natives;
use super::{Document, EvalError, Input, Limits, Program, cut, truthy};
use apart::{Apart, readings};

/// Characters of a value that are shown.
const SHOWN: usize = 200;

/// What a predicate says of a delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// Whether it holds.
    pub holds: bool,
    /// Its terms, in the order in which jq asks them: one, if nothing joins it by `and`.
    pub terms: Vec<JudgedTerm>,
}

impl Judgement {
    /// The term because of which it does not hold.
    pub fn first_false(&self) -> Option<&JudgedTerm> {
        self.terms.iter().find(|term| term.holds == Some(false))
    }
}

/// A term of a predicate.
#[derive(Clone, PartialEq, Eq)]
pub struct JudgedTerm {
    /// Its text.
    pub text: String,
    /// Where it begins.
    pub place: Place,
    /// Whether it holds; `None` if that was not asked, because one before it does not.
    pub holds: Option<bool>,
    /// What it looks at and finds there, if it does not hold: texts of the program, and values of the delivery. These are
    /// people's data: for the terminal of whoever tries a route.
    pub looked_at: Vec<(String, String)>,
    /// Keys and types of what it was asked of, if something that it looks at is not there.
    pub shape: Option<String>,
}

/// People's data is not printed.
impl std::fmt::Debug for JudgedTerm {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("JudgedTerm")
            .field("text", &self.text)
            .field("holds", &self.holds)
            .finish_non_exhaustive()
    }
}

impl Program {
    /// Asks the program, as a predicate, and if it does not hold, its terms in turn up to the first that does not.
    ///
    /// # Errors
    /// As for [`Program::run`].
    pub async fn judge(&self, input: &Input<'_>, limits: &Limits) -> Result<Judgement, EvalError> {
        let holds = truthy(&self.run(input, limits).await?);
        let source = self.source();
        let apart = Apart::of(source)?;
        let mut terms: Vec<JudgedTerm> = apart
            .terms
            .iter()
            .map(|term| JudgedTerm {
                text: source[term.clone()].to_owned(),
                place: Place::at(source, term.start),
                holds: holds.then_some(true),
                looked_at: Vec::new(),
                shape: None,
            })
            .collect();
        if holds {
            return Ok(Judgement { holds, terms });
        }
        for (judged, term) in terms.iter_mut().zip(&apart.terms) {
            // With one term that is asked already.
            let found = match apart.terms.len() {
                1 => false,
                _ => truthy(&apart.program(source, term).run(input, limits).await?),
            };
            judged.holds = Some(found);
            if !found {
                apart.look(source, term, judged, input, limits).await?;
                break;
            }
        }
        Ok(Judgement { holds, terms })
    }
}

impl Apart {
    /// Fills in what a term looks at.
    async fn look(
        &self,
        source: &str,
        term: &Range<usize>,
        judged: &mut JudgedTerm,
        input: &Input<'_>,
        limits: &Limits,
    ) -> Result<(), EvalError> {
        let mut absent = false;
        for reading in readings(source, term)? {
            let text = &source[reading.clone()];
            if judged.looked_at.iter().any(|(known, _)| known == text) {
                continue;
            }
            let value = match self.program(source, &reading).run(input, limits).await {
                Ok(outputs) => {
                    absent |= !outputs.iter().any(|output| !output.is_null());
                    shown(&outputs)
                }
                Err(EvalError::Failed(failure)) => format!("an error: {}", failure.told()),
                Err(other) => return Err(other),
            };
            judged.looked_at.push((text.to_owned(), value));
        }
        if absent {
            let outputs = self.asked_of(source, term).run(input, limits).await?;
            judged.shape = outputs.first().map(shape);
        }
        Ok(())
    }
}

/// Values on one line, each cut.
fn shown(outputs: &[Value]) -> String {
    let first = outputs.iter().take(3);
    let mut texts: Vec<String> = first.map(|value| cut(&value.to_string(), SHOWN)).collect();
    if outputs.len() > texts.len() {
        texts.push(format!("… {} in all", outputs.len()));
    }
    match texts.is_empty() {
        true => "nothing".to_owned(),
        false => texts.join(", "),
    }
}

fn shape(value: &Value) -> String {
    failure::shape(&natives::read(&Document::from_value(value)).val)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{input_of, limits};
    use super::*;

    fn judge(source: &str, body: &str) -> Result<Judgement, EvalError> {
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        let (runtime, limits) = (runtime.expect("a runtime"), limits());
        input_of(body, |input| {
            runtime.block_on(Program::new(source).judge(input, &limits))
        })
    }

    #[test]
    fn a_term_that_is_false_shows_what_it_looked_at() {
        let body = r#"{"a": {"b": 1, "c": "x"}, "list": [1, 2], "off": false}"#;
        let shown = |source: &str| {
            let judged = judge(source, body).expect(source);
            let first = judged.first_false().expect(source);
            let looked_at = first.looked_at.iter();
            let looked_at: Vec<String> = looked_at
                .map(|(text, value)| format!("{text} = {value}"))
                .collect();
            format!(
                "{}\n{}\n{}",
                first.place.excerpt(),
                looked_at.join("; "),
                first.shape.as_deref().unwrap_or("-")
            )
        };
        insta::assert_snapshot!(shown(".a.b == 1 and .a.c == \"y\" and .off"), @r#"
        1 | .a.b == 1 and .a.c == "y" and .off
          |               ^
        .a.c = "x"
        -
        "#);
        insta::assert_snapshot!(shown(".a |\n  .b == 1 and\n  (.d // \"\" | test(\"z\"))"), @r#"
        3 |   (.d // "" | test("z"))
          |   ^
        .d = null
        {b: number, c: string}
        "#);
        insta::assert_snapshot!(shown("def big: . > 5; (.a.b | big) or .a.b + (.list | length) == 4 or .off"), @r#"
        1 | def big: . > 5; (.a.b | big) or .a.b + (.list | length) == 4 or .off
          |                 ^
        .a.b | big = false; .a.b = 1; .list | length = 2; .off = false
        -
        "#);
        insta::assert_snapshot!(shown("$headers[\"x-kind\"] == \"deal\" and (.list[] | . > 5) and .never"), @r#"
        1 | $headers["x-kind"] == "deal" and (.list[] | . > 5) and .never
          |                                  ^
        .list[] = 1, 2
        -
        "#);
        insta::assert_snapshot!(shown(".list[7:][]"), @"
        1 | .list[7:][]
          | ^
        .list[7:][] = nothing
        {a: {b: number, c: string}, list: [number, … 2 in all], off: boolean}
        ");
        let judged = judge(".off and (error(\"never asked\"))", body).expect("an answer");
        let asked: Vec<Option<bool>> = judged.terms.iter().map(|term| term.holds).collect();
        assert_eq!(asked, [Some(false), None]);
        let judged = judge(".a and .list", body).expect("an answer");
        assert!(judged.holds && judged.first_false().is_none() && judged.terms.len() == 2);
    }
}
