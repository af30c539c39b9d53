#!/usr/bin/env python3
"""Builds the static programs of a release. The compiler is guided by a profile: programs that count what they execute are
built first, and do the work of the benchmarks `inline` and `accept`. A function then needs a quarter less processor time for an
event than one of `cargo build --release`. What they do not execute is made small and put apart.

    python3 packaging/binaries.py                   # for this machine's processor
    python3 packaging/binaries.py --arch aarch64    # runs the counting programs in qemu-aarch64-static

They are then in target/x86_64-unknown-linux-musl/release (or aarch64). Both builds together take an hour on two cores.
"""

import argparse
import hashlib
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path

import function_order

ROOT = Path(__file__).resolve().parent.parent
PACKAGING = ROOT / "packaging"
ARCHITECTURES = ["x86_64", "aarch64"]

# What each program does while it counts: an example, and its arguments before the program.
EVENTS, SECONDS, CONNECTIONS, ANY_RATE, NO_OLD_JOBS = 5_000, 10, 64, 0, 0
WORK = {
    "bootstrap": ["inline", EVENTS, 1],
    "masshook": ["accept", SECONDS, CONNECTIONS, ANY_RATE, NO_OLD_JOBS],
}
PROGRAMS = list(WORK)

# The time within which a program writes its counts when it ends, in seconds.
END_TIME = 60


def run(*command, **options):
    return subprocess.run([str(part) for part in command], check=True, cwd=ROOT, **options)


def target_folder():
    return Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve()


def runner(arch):
    """The command before a program of this architecture."""
    if arch == os.uname().machine:
        return []
    emulator = shutil.which(f"qemu-{arch}-static")
    return [emulator] if emulator else sys.exit(f"this machine cannot run a program for {arch}; install qemu-user-static")


def build(arch):
    """Builds the programs; returns their folder."""
    target = f"{arch}-unknown-linux-musl"
    for variable in ("RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS"):
        if variable in os.environ:
            sys.exit(f"{variable} is set, and would replace the flags of this build: unset it")
    installed = run("rustup", "target", "list", "--installed", capture_output=True, text=True).stdout.split()
    if target not in installed:
        run("rustup", "target", "add", target)
    folder = target_folder() / "profile" / target
    # Zig cannot link the counters.
    rust_linker = ["-Clinker=rust-lld", "-Clinker-flavor=ld.lld"]
    counting = compile_programs(target, folder / "build", ["-Cprofile-generate", *rust_linker])
    run("cargo", "build", "--locked", *(f"--example={name}" for name in ("inline", "bare_function", "accept")))
    counts = {name: work(arch, counting / name, folder / name) for name in PROGRAMS}
    profile, order = folder / "profile", folder / "function-order.txt"
    merge(counts.values(), profile)
    function_order.write(order, [*function_order.committed(), *counted(counts["bootstrap"])])
    # Cargo does not see that a profile has changed.
    shutil.rmtree(target_folder() / target / "release", ignore_errors=True)
    return compile_programs(target, target_folder(), [f"-Cprofile-use={profile}"], MASSHOOK_FUNCTION_ORDER=str(order))


def compile_programs(target, folder, flags, **environment):
    """Compiles the programs with flags beside those of .cargo/config.toml. Returns their folder."""
    # Cargo.toml asks for small programs. With a profile the compiler makes small what is seldom executed.
    config = f"build.rustflags={json.dumps(['-Copt-level=3', *flags])}"
    command = ["cargo", "zigbuild", "--config", config, "--release", "--locked", "--bins"]
    run(*command, "--target", target, "--target-dir", folder, env=zig_environment() | environment)
    return folder / target / "release"


def zig_environment():
    """The environment with cargo-zigbuild and zig, which are installed once."""
    requirements = PACKAGING / "requirements.txt"
    digest = hashlib.sha256(requirements.read_bytes()).hexdigest()[:12]
    folder = target_folder() / "dist-tools" / digest
    if not (folder / "complete").exists():
        shutil.rmtree(folder, ignore_errors=True)
        venv.create(folder, with_pip=True)
        python = folder / "bin" / "python"
        run(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement", requirements)
        (folder / "complete").touch()
    return {**os.environ, "PATH": f"{folder / 'bin'}:{os.environ['PATH']}"}


# The profile


def work(arch, program, counts):
    """Has a counting program work. Returns the file of its counts."""
    name = program.name
    example, *arguments = WORK[name]
    shutil.rmtree(counts, ignore_errors=True)
    with tempfile.TemporaryDirectory() as folder:
        started, wrapper = Path(folder) / "started", Path(folder) / name
        command = shlex.join([*runner(arch), str(program)])
        # A benchmark kills what it started, and a killed program writes no counts: so that is a shell.
        wrapper.write_text(
            f'#!/bin/sh\nexport LLVM_PROFILE_FILE={shlex.quote(str(counts))}/%m.profraw\n'
            f'{command} "$@" & echo $! >>{shlex.quote(str(started))}\nwait $!\n'
        )
        wrapper.chmod(0o755)
        # It fails, because a counting program meets no requirement.
        benchmark = [target_folder() / "debug/examples" / example, *arguments, wrapper]
        subprocess.run([str(part) for part in benchmark], check=False, stdout=subprocess.DEVNULL)
        end_all(started, name)
    found = sorted(counts.glob("*.profraw"))
    if len(found) != 1:
        sys.exit(f"{counts} has {len(found)} files of counts and not one")
    return found[0]


def end_all(started, name):
    """Waits until the programs have ended. A function ends by itself once it has no runtime API, and a server at SIGTERM."""
    for pid in map(int, started.read_text().split()):
        if name == "masshook" and is_running(pid):
            os.kill(pid, signal.SIGTERM)
        until = time.monotonic() + END_TIME
        while is_running(pid):
            if time.monotonic() > until:
                os.kill(pid, signal.SIGKILL)
                sys.exit(f"{name} did not end within {END_TIME} s, so there is no profile of it")
            time.sleep(0.1)


def is_running(pid):
    """Whether the process runs. One that has ended may still have a number, but no program."""
    return os.path.exists(f"/proc/{pid}/exe")


def merge(counts, profile):
    """Merges the counts of the programs into one profile. Functions that were not executed stay in it, so that the compiler makes
    them small: it takes those without counts for ordinary ones."""
    run(profile_tool(), "merge", "--output", profile, *counts)


def counted(counts):
    """The functions that a program executed, without those of the standard library and of C. The compiler counts before most of
    its inlining, so that these include what a program compiled with the profile has left of them."""
    shown = run(profile_tool(), "show", "--covered", counts, capture_output=True, text=True).stdout
    # A function of one module has the name of the module before its own.
    return [line.rpartition(";")[2] for line in shown.splitlines()]


def profile_tool():
    libraries = run("rustc", "--print", "target-libdir", capture_output=True, text=True).stdout.strip()
    tool = Path(libraries).parent / "bin" / "llvm-profdata"
    if not tool.exists():
        run("rustup", "component", "add", "llvm-tools")
    return tool


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--arch", choices=ARCHITECTURES, default=os.uname().machine, help="architecture; default: this machine's")
    folder = build(parser.parse_args().arch)
    print("\n".join(str(folder / program) for program in PROGRAMS))


if __name__ == "__main__":
    main()
