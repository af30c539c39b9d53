#!/usr/bin/env python3
"""Writes `packaging/function-order.txt`: the functions that `bootstrap` executes from its start through some events. The linker
puts them next to each other: first those of an event, in the order of their execution, then those of the start. They are a
fifth of the program. The kernel maps 64 KiB around each page in use, and the processor reads code ahead.

    export CARGO_PROFILE_RELEASE_STRIP=none
    cargo build --release --bin bootstrap --example inline --example bare_function && python3 packaging/binaries.py
    python3 packaging/function_order.py target/release/examples/inline target/x86_64-unknown-linux-musl/release/bootstrap target/release/bootstrap

Builds inline different functions, so that of a package and that of `cargo build --release` are wanted. Needs Linux on x86_64, a C
compiler and binutils. The list stays useful while the program changes: names that do not exist are ignored, and functions that
are not listed follow in the usual order. Renew it now and then, for example with a new version of Rust.
"""

import argparse
import re
import subprocess
import sys
import tempfile
from pathlib import Path

PACKAGING = Path(__file__).resolve().parent
COMMITTED = PACKAGING / "function-order.txt"
# The tracer needs two seconds to see that events execute nothing further.
EVENTS = 20_000


def executed(bootstrap, inline):
    """The functions that the program executes for an event, and those from its start on, both in the order of their execution."""
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        tracer, symbols, found, run = (folder / name for name in ("tracer", "symbols", "found", "run"))
        subprocess.run(["cc", "-O2", "-o", tracer, PACKAGING / "executed_functions.c"], check=True)
        listed = subprocess.run(["nm", bootstrap], check=True, capture_output=True, text=True).stdout
        functions = {}
        for address, name in re.findall("^([0-9a-f]+) [tTwW] (.+)$", listed, re.M):
            functions.setdefault(address, []).append(name)
        if not functions:
            sys.exit(f"{bootstrap} has no symbols: build it with CARGO_PROFILE_RELEASE_STRIP=none")
        symbols.write_text("".join(f"{address} {address}\n" for address in functions))
        run.write_text(f'#!/bin/sh\nexec {tracer} {symbols} {found} {bootstrap} "$@"\n')
        run.chmod(0o755)
        # Fails, because a traced program meets no requirement.
        subprocess.run([inline, str(EVENTS), "1", run], check=False, stdout=subprocess.DEVNULL)
        start, _, event = (addresses.split() for addresses in found.read_text().partition("\n\n"))
        if not event:
            sys.exit(f"{bootstrap}: the benchmark ended before its events executed nothing further")
    # A section has one of the names.
    return [[name for address in addresses for name in functions[address]] for addresses in (event, start)]


def patterns(name):
    """A function without what differs between builds: the hash of a crate, and the number of a module or of a copy."""
    name = re.sub(r"Cs[0-9A-Za-z]+_(?=\d)", "Cs*_", name)
    unnumbered = re.sub(r"(\.llvm)?\.\d+$", "", name)
    return [name] if name == unnumbered else [unnumbered, f"{unnumbered}.*"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("inline", type=Path, help="a build of the example inline, beside that of bare_function")
    parser.add_argument("bootstrap", type=Path, nargs="+", help="an unstripped build of bootstrap")
    arguments = parser.parse_args()
    inline = arguments.inline.resolve()
    events, starts = zip(*(executed(bootstrap.resolve(), inline) for bootstrap in arguments.bootstrap))
    names = [name for functions in events + starts for name in functions]
    write(COMMITTED, names)


def committed():
    """The functions of the committed list."""
    return COMMITTED.read_text().split()


def write(out, names):
    """Writes a list of functions, in their order."""
    names = dict.fromkeys(found for name in names for found in patterns(name))
    out.write_text("".join(f"{name}\n" for name in names))
    print(f"{out}: {len(names)} functions")


if __name__ == "__main__":
    main()
