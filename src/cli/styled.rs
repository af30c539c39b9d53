//! Text for the terminal in which some words have a colour.

use anstream::{AutoStream, ColorChoice};
use clap::builder::styling::{AnsiColor, Effects, Style};

use super::terminal::without_error_numbers;
use crate::printable::multi_line;

/// What a word means to its reader.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Tone {
    /// Nothing in particular.
    #[default]
    Plain,
    /// The name of a column or a section.
    Heading,
    /// Nothing is to be done.
    Good,
    /// Somebody should have a look.
    Doubtful,
    /// Something has failed.
    Bad,
}

impl Tone {
    fn style(self) -> Style {
        match self {
            Self::Plain => Style::new(),
            Self::Heading => Style::new().effects(Effects::BOLD),
            Self::Good => AnsiColor::Green.on_default(),
            Self::Doubtful => AnsiColor::Yellow.on_default(),
            Self::Bad => AnsiColor::Red.on_default().effects(Effects::BOLD),
        }
    }
}

/// A text in parts, each with its tone.
#[derive(Clone, Debug, Default)]
pub(super) struct StyledText(Vec<(Tone, String)>);

impl StyledText {
    /// Adds a part.
    pub(super) fn push(&mut self, tone: Tone, text: impl Into<String>) {
        self.0.push((tone, text.into()));
    }

    /// Adds a part without a tone.
    pub(super) fn push_plain(&mut self, text: impl Into<String>) {
        self.push(Tone::Plain, text);
    }

    /// Adds another text.
    pub(super) fn append(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// The text as it is printed. Control characters other than line ends are escaped, because much of it comes from senders
    /// and from Zoho.
    pub(super) fn rendered(&self, has_colors: bool) -> String {
        let parts = self.0.iter().map(|(tone, text)| {
            let text = without_error_numbers(text);
            let text = multi_line(&text);
            match has_colors && *tone != Tone::Plain {
                true => {
                    let style = tone.style();
                    format!("{style}{text}{style:#}")
                }
                false => text.into_owned(),
            }
        });
        parts.collect()
    }
}

impl<T: Into<String>> From<T> for StyledText {
    fn from(text: T) -> Self {
        Self(vec![(Tone::Plain, text.into())])
    }
}

/// Whether stdout shows colours: it is a terminal, and neither `NO_COLOR` nor `TERM=dumb` is set. `CLICOLOR_FORCE` wins.
pub(super) fn has_colors() -> bool {
    AutoStream::choice(&std::io::stdout()) != ColorChoice::Never
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_tones_are_coloured_and_nothing_else_passes() {
        let mut text = StyledText::from("a\u{1b}[31mb\n");
        text.push(Tone::Bad, "c\u{1b}]0;x\u{7}");
        assert_eq!(text.rendered(false), "a\\u{1b}[31mb\nc\\u{1b}]0;x\\u{7}");
        assert_eq!(
            text.rendered(true),
            "a\\u{1b}[31mb\n\u{1b}[1m\u{1b}[31mc\\u{1b}]0;x\\u{7}\u{1b}[0m"
        );
    }
}
