#!/usr/bin/env python3
"""Writes `packaging/function-order.ld`: the functions that `bootstrap` executes from its start through some events, which the
linker puts next to each other. A function uses a fifth of the program, and the kernel maps 64 KiB around each page in use.

    CARGO_PROFILE_RELEASE_STRIP=none cargo build --release --bin bootstrap --example inline --example bare_function
    python3 packaging/function_order.py target/release/examples/inline target/release/bootstrap [ANOTHER BUILD...]

Builds for several targets inline different functions, so the lists of glibc and musl are both wanted. Needs Linux on x86_64, a C compiler and `nm`. The order stays useful while the program changes: names that do not exist are
ignored, and functions that are not listed follow in the usual order. Renew it now and then, for example with a new Rust.
"""

import argparse
import re
import subprocess
import sys
import tempfile
from pathlib import Path

PACKAGING = Path(__file__).resolve().parent
EVENTS = 300


def executed(bootstrap, inline):
    """The names of the functions that the program executes in the benchmark, in the order of their first execution."""
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        tracer, symbols, found, run = (folder / name for name in ("tracer", "symbols", "found", "run"))
        subprocess.run(["cc", "-O2", "-o", tracer, PACKAGING / "executed_functions.c"], check=True)
        listed = subprocess.run(["nm", bootstrap], check=True, capture_output=True, text=True).stdout
        functions = {address: name for address, kind, name in map(str.split, re.findall("^[0-9a-f]+ [tTwW] .+$", listed, re.M))}
        if not functions:
            sys.exit(f"{bootstrap} has no symbols: build it with CARGO_PROFILE_RELEASE_STRIP=none")
        symbols.write_text("".join(f"{address} {name}\n" for address, name in functions.items()))
        run.write_text(f'#!/bin/sh\nexec {tracer} {symbols} {found} {bootstrap} "$@"\n')
        run.chmod(0o755)
        # Fails, because a traced program meets no requirement.
        subprocess.run([inline, str(EVENTS), "1", run], check=False, stdout=subprocess.DEVNULL)
        return found.read_text().split()


def pattern(name):
    """The section of a function, without what differs between builds: the hash of a crate, and the number of a module."""
    name = re.sub(r"\.llvm\.\d+$", "", name)
    return ".text." + re.sub(r"Cs[0-9A-Za-z]+_(?=\d)", "Cs*_", name)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("inline", type=Path, help="a build of the example inline, beside that of bare_function")
    parser.add_argument("bootstrap", type=Path, nargs="+", help="an unstripped build of bootstrap")
    arguments = parser.parse_args()
    inline = arguments.inline.resolve()
    names = [name for one in arguments.bootstrap for name in executed(one.resolve(), inline)]
    patterns = list(dict.fromkeys(map(pattern, names)))
    lines = "".join(f"      {one}\n" for one in patterns)
    out = PACKAGING / "function-order.ld"
    out.write_text(
        "/* Written by packaging/function_order.py. */\n"
        f"SECTIONS\n{{\n  .text.executed :\n  {{\n    *(\n{lines}    )\n  }}\n}}\nINSERT BEFORE .text;\n"
    )
    print(f"{out}: {len(patterns)} functions")


if __name__ == "__main__":
    main()
