//! `masshook completions` and `masshook man`: files for shells and packages, made from the commands.

use std::path::PathBuf;

use clap::Args;
use clap_complete::Shell;

use super::command_tree::command;
use super::terminal::{ExitStatus, print_error, print_line};
use super::text::count_of;

/// Arguments of `masshook completions`.
#[derive(Debug, Args)]
pub(super) struct CompletionsArgs {
    /// Shell.
    #[arg(value_enum)]
    shell: Shell,
}

/// Arguments of `masshook man`.
#[derive(Debug, Args)]
pub(super) struct ManArgs {
    /// Folder for the pages; created if it does not exist.
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

/// Runs `masshook completions`.
pub(super) fn completions(args: &CompletionsArgs) -> ExitStatus {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command(), "masshook", &mut script);
    print_line(String::from_utf8_lossy(&script).trim_end());
    ExitStatus::Success
}

/// Runs `masshook man`.
pub(super) fn man(args: &ManArgs) -> ExitStatus {
    let folder = args.folder.display();
    let written = std::fs::create_dir_all(&args.folder)
        .and_then(|()| clap_mangen::generate_to(command(), &args.folder))
        .and_then(|()| std::fs::read_dir(&args.folder).map(Iterator::count));
    match written {
        Ok(count) => {
            print_line(&format!("{} in {folder}", count_of(count as u64, "file")));
            ExitStatus::Success
        }
        Err(error) => {
            print_error(&format!("{folder}: {error}"));
            ExitStatus::UsageError
        }
    }
}
