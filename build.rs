//! Has the linker put the functions that `bootstrap` executes next to each other, in the order of their execution, which saves
//! a third of a function's memory and some of its time.
#![allow(
    clippy::disallowed_methods,
    reason = "cargo describes the build in the environment"
)]

use std::path::Path;
use std::process::Command;
use std::{env, fs};

/// The functions, each in a line. Written by `packaging/function_order.py`.
const ORDER: &str = "packaging/function-order.txt";

/// The environment variable that names another list.
const OTHER_ORDER: &str = "MASSHOOK_FUNCTION_ORDER";

fn main() {
    println!("cargo:rerun-if-env-changed={OTHER_ORDER}");
    let order = env::var(OTHER_ORDER).unwrap_or_else(|_| ORDER.to_owned());
    let order = Path::new(&variable("CARGO_MANIFEST_DIR")).join(order);
    println!("cargo:rerun-if-changed={}", order.display());
    if variable("PROFILE") != "release" || !is_lld() {
        return;
    }
    let names = fs::read_to_string(&order)
        .unwrap_or_else(|error| panic!("{} cannot be read: {error}", order.display()));
    let path = Path::new(&variable("OUT_DIR")).join("function-order.ld");
    fs::write(&path, script(&names)).expect("a folder for the linker script");
    println!("cargo:rustc-link-arg-bins=-Wl,-T,{}", path.display());
}

/// The linker script. What the compiler takes for unlikely to be executed is put apart as well.
fn script(names: &str) -> String {
    let mut script = "SECTIONS\n{\n  .text.executed :\n  {\n".to_owned();
    // A section may have a prefix, `.text.hot.` or `.text.unlikely.`. One statement for each function: the sections of one
    // statement would be in the order of the object file.
    for name in names.lines() {
        script += &format!("    *(.text*.{name})\n");
    }
    script
        + "  }\n}\nINSERT BEFORE .text;\nSECTIONS\n{\n  .text.unlikely :\n  {\n    *(.text.unlikely.*)\n  }\n}\nINSERT AFTER .text;\n"
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
