//! Has the linker put the functions that `bootstrap` executes next to each other, in the order of their execution, which saves
//! a third of a function's memory and some of its time.
#![allow(
    clippy::disallowed_methods,
    reason = "cargo describes the build in the environment"
)]

use std::env;
use std::path::Path;
use std::process::Command;

/// Written by `packaging/function_order.py`.
const ORDER: &str = "packaging/function-order.ld";

fn main() {
    println!("cargo:rerun-if-changed={ORDER}");
    let order = Path::new(&variable("CARGO_MANIFEST_DIR")).join(ORDER);
    if variable("PROFILE") == "release" && order.exists() && is_lld() {
        println!("cargo:rustc-link-arg-bins=-Wl,-T,{}", order.display());
    }
}

/// Whether LLVM's linker links the program. GNU's would take minutes for this script, and others do not read it.
fn is_lld() -> bool {
    let (linker, flags) = (
        variable("RUSTC_LINKER"),
        variable("CARGO_ENCODED_RUSTFLAGS"),
    );
    let is_chosen_by_flags = flags.contains("fuse-ld") || flags.contains("linker");
    if variable("CARGO_CFG_TARGET_OS") != "linux" || is_chosen_by_flags {
        return false;
    }
    // cargo-zigbuild and cargo-lambda set the linker; Rust comes with its own for this target.
    linker.contains("zig")
        || linker.is_empty()
            && variable("TARGET") == "x86_64-unknown-linux-gnu"
            && variable("HOST") == variable("TARGET")
            && rust_has_lld().unwrap_or_default()
}

/// Whether Rust's distribution contains the linker, which it then uses.
fn rust_has_lld() -> Option<bool> {
    let mut rustc = Command::new(env::var_os("RUSTC")?);
    let found = rustc.args(["--print", "sysroot"]).output().ok()?;
    let sysroot = String::from_utf8(found.stdout).ok()?;
    let wrapper = "lib/rustlib/x86_64-unknown-linux-gnu/bin/gcc-ld/ld.lld";
    Some(Path::new(sysroot.trim()).join(wrapper).exists())
}

fn variable(name: &str) -> String {
    env::var(name).unwrap_or_default()
}
