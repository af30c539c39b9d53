//! Has the linker put the functions that `bootstrap` executes next to each other, which halves the memory of a function.
#![allow(
    clippy::disallowed_methods,
    reason = "cargo describes the build in the environment"
)]

use std::env;
use std::path::Path;

/// Written by `packaging/function_order.py`.
const ORDER: &str = "packaging/function-order.ld";

fn main() {
    println!("cargo:rerun-if-changed={ORDER}");
    let is = |name: &str, value: &str| env::var(name).is_ok_and(|found| found == value);
    // The linkers that Rust and zig use for these targets read such a script fast, others slowly or not at all.
    let is_known_linker = is("CARGO_CFG_TARGET_OS", "linux")
        && (is("CARGO_CFG_TARGET_ENV", "musl") || is("CARGO_CFG_TARGET_ARCH", "x86_64"));
    let flags = env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    let is_replaced = flags.contains("fuse-ld") || flags.contains("linker");
    let folder = env::var("CARGO_MANIFEST_DIR").unwrap_or_default();
    let order = Path::new(&folder).join(ORDER);
    if is("PROFILE", "release") && is_known_linker && !is_replaced && order.exists() {
        println!("cargo:rustc-link-arg-bins=-Wl,-T,{}", order.display());
    }
}
