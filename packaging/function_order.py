#!/usr/bin/env python3
"""Writes `packaging/function-order.ld`: the functions that `bootstrap` executes from its start through some events. The linker
puts them next to each other: first those of an event, in the order of their execution, then those of the start. They are a
fifth of the program. The kernel maps 64 KiB around each page in use, and the processor reads code ahead.

    CARGO_PROFILE_RELEASE_STRIP=none cargo build --release --bin bootstrap --example inline --example bare_function
    python3 packaging/function_order.py target/release/examples/inline target/release/bootstrap [ANOTHER BUILD...]

Builds for several targets inline different functions, so both glibc and musl are wanted. Run it again with programs that were
linked with its result, until that stays the same. Needs Linux on x86_64, a C compiler and binutils. The list stays useful while
the program changes: names that do not exist are ignored, and functions that are not listed follow in the usual order. Renew it
now and then, for example with a new version of Rust.
"""

import argparse
import re
import subprocess
import sys
import tempfile
from pathlib import Path

PACKAGING = Path(__file__).resolve().parent
# The tracer needs two seconds to see that events execute nothing further.
EVENTS = 20_000


def executed(bootstrap, inline):
    """The functions that the program executes for an event, and those from its start on, both in the order of their execution:
    pairs of a name, and whether the function lies outside the list with which the program was linked."""
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        tracer, symbols, found, run = (folder / name for name in ("tracer", "symbols", "found", "run"))
        subprocess.run(["cc", "-O2", "-o", tracer, PACKAGING / "executed_functions.c"], check=True)
        listed = subprocess.run(["nm", bootstrap], check=True, capture_output=True, text=True).stdout
        functions = {address: name for address, kind, name in map(str.split, re.findall("^[0-9a-f]+ [tTwW] .+$", listed, re.M))}
        if not functions:
            sys.exit(f"{bootstrap} has no symbols: build it with CARGO_PROFILE_RELEASE_STRIP=none")
        addresses = {name: int(address, 16) for address, name in functions.items()}
        symbols.write_text("".join(f"{address} {name}\n" for address, name in functions.items()))
        run.write_text(f'#!/bin/sh\nexec {tracer} {symbols} {found} {bootstrap} "$@"\n')
        run.chmod(0o755)
        # Fails, because a traced program meets no requirement.
        subprocess.run([inline, str(EVENTS), "1", run], check=False, stdout=subprocess.DEVNULL)
        start, _, event = (names.split() for names in found.read_text().partition("\n\n"))
        if not event:
            sys.exit(f"{bootstrap}: the benchmark ended before its events executed nothing further")
    first, end = placed(bootstrap)
    return [[(pattern(name), end > 0 and not first <= addresses[name] < end) for name in names] for names in (event, start)]


def placed(bootstrap):
    """The addresses between which this build has the functions of the list with which it was linked."""
    sections = subprocess.run(["readelf", "-SW", bootstrap], check=True, capture_output=True, text=True).stdout
    found = re.search(r" \.text\.executed +PROGBITS +([0-9a-f]+) [0-9a-f]+ ([0-9a-f]+)", sections)
    return (int(found[1], 16), int(found[1], 16) + int(found[2], 16)) if found else (0, 0)


def pattern(name):
    """A function without what differs between builds: the hash of a crate, and the number of a module."""
    name = re.sub(r"\.llvm\.\d+$", "", name)
    return re.sub(r"Cs[0-9A-Za-z]+_(?=\d)", "Cs*_", name)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("inline", type=Path, help="a build of the example inline, beside that of bare_function")
    parser.add_argument("bootstrap", type=Path, nargs="+", help="an unstripped build of bootstrap")
    arguments = parser.parse_args()
    inline, out = arguments.inline.resolve(), PACKAGING / "function-order.ld"
    events, starts = zip(*(executed(bootstrap.resolve(), inline) for bootstrap in arguments.bootstrap))
    functions = [one for names in events + starts for one in names]
    names = list(dict.fromkeys(name for name, _ in functions))
    # A function that the compiler considers unlikely has a section of another name. Only a linked program shows that.
    former = out.read_text().split() if out.exists() else []
    unlikely = {name for name, is_elsewhere in functions if is_elsewhere or f"*(.text.unlikely.{name})" in former}
    sections = [f".text.{name}" for name in names] + [f".text.unlikely.{name}" for name in names if name in unlikely]
    # One statement each: the sections of one statement would be in the order of the object file.
    lines = "".join(f"    *({section})\n" for section in sections)
    out.write_text(
        "/* Written by packaging/function_order.py. */\n"
        f"SECTIONS\n{{\n  .text.executed :\n  {{\n{lines}  }}\n}}\nINSERT BEFORE .text;\n"
    )
    print(f"{out}: {len(names)} functions, {len(unlikely)} of them unlikely")


if __name__ == "__main__":
    main()
