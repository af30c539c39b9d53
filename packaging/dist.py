#!/usr/bin/env python3
"""Builds the packages of a release into `dist/`: archives with static binaries, Debian packages, functions for AWS Lambda, and
bundles that deploy them without Rust.

    python3 packaging/dist.py                                    # both architectures
    python3 packaging/dist.py --arch x86_64                      # one
    python3 packaging/dist.py --arch x86_64 --binaries target/debug   # packages existing binaries, to test the packaging

Archives are reproducible: the time of their files is that of the last commit, and their order is fixed.
"""

import argparse
import gzip
import hashlib
import io
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

from binaries import ARCHITECTURES, PACKAGING, PROGRAMS, ROOT, build, run, runner

SHELLS = {"bash": "masshook.bash", "zsh": "_masshook", "fish": "masshook.fish"}
DEBIAN_ARCH = {"x86_64": "amd64", "aarch64": "arm64"}
LAMBDA_ARCH = {"x86_64": "x86_64", "aarch64": "arm64"}
ELF_MACHINE = {"x86_64": 62, "aarch64": 183}


def manifest(key):
    """A value of Cargo.toml. Python 3.10 has no reader of TOML."""
    found = re.search(rf'^{key} = "([^"]+)"$', (ROOT / "Cargo.toml").read_text(), re.MULTILINE)
    return found.group(1) if found else sys.exit(f"Cargo.toml has no {key}")


def version():
    return manifest("version")


def commit_time():
    if "SOURCE_DATE_EPOCH" in os.environ:
        return int(os.environ["SOURCE_DATE_EPOCH"])
    git = subprocess.run(["git", "log", "-1", "--format=%ct"], cwd=ROOT, capture_output=True, text=True, check=False)
    return int(git.stdout) if git.returncode == 0 else sys.exit("set SOURCE_DATE_EPOCH: this is no clone of a git repository")


# Binaries


def check_binary(path, arch, must_be_static):
    """Refuses a binary of another architecture, or one that needs libraries of the machine."""
    head = path.read_bytes()[:64]
    if head[:4] != b"\x7fELF":
        sys.exit(f"{path} is not a Linux program")
    machine = int.from_bytes(head[18:20], "little")
    if machine != ELF_MACHINE[arch]:
        sys.exit(f"{path} is not for {arch}")
    headers = subprocess.run(["readelf", "--program-headers", path], check=True, capture_output=True, text=True).stdout
    if must_be_static and "INTERP" in headers:
        sys.exit(f"{path} is not static")


def texts(binaries, arch, folder):
    """Writes the shell completions and man pages into `folder`. They are the same for every architecture."""
    program = [*runner(arch), binaries / "masshook"]
    completions, man = folder / "completions", folder / "man"
    completions.mkdir(parents=True)
    man.mkdir()
    for shell, name in SHELLS.items():
        made = run(*program, "completions", shell, capture_output=True)
        (completions / name).write_bytes(made.stdout)
    run(*program, "man", man, stdout=subprocess.DEVNULL)
    if not (man / "masshook.1").exists():
        sys.exit("`masshook man` wrote no masshook.1")


# Archives


def tar(path, root, entries, time):
    """Writes a .tar.gz with `entries`, pairs of a name and a file, below the folder `root`."""
    with open(path, "wb") as file, gzip.GzipFile("", "wb", 6, file, mtime=time) as zipped:
        with tarfile.open(fileobj=zipped, mode="w", format=tarfile.GNU_FORMAT) as archive:
            for name, source in sorted(entries):
                info = tarfile.TarInfo(f"{root}/{name}")
                data = source if isinstance(source, bytes) else source.read_bytes()
                is_program = not isinstance(source, bytes) and os.access(source, os.X_OK)
                info.size, info.mtime, info.mode = len(data), time, 0o755 if is_program else 0o644
                archive.addfile(info, io.BytesIO(data))


def function_zip(path, bootstrap):
    """Writes the code of a function. Its time is fixed, so that an unchanged program is an unchanged function."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        entry = zipfile.ZipInfo("bootstrap", (1980, 1, 1, 0, 0, 0))
        entry.create_system, entry.external_attr = 3, 0o100755 << 16
        entry.compress_type = zipfile.ZIP_DEFLATED
        archive.writestr(entry, bootstrap.read_bytes())


def built_template(arch):
    """The template with the built functions of one architecture instead of their sources."""
    template = (ROOT / "template.yaml").read_text()

    def replaced(pattern, new, count):
        nonlocal template
        template, found = re.subn(pattern, new, template, flags=re.MULTILINE)
        if found != count:
            sys.exit(f"template.yaml has {found} and not {count} of {pattern!r}")

    replaced(r"^    Metadata:\n(?:^      .*\n)+(?=    Properties:\n      CodeUri: \.$)", "", 2)
    replaced(r"^      CodeUri: \.$", "      CodeUri: function.zip", 2)
    wanted = LAMBDA_ARCH[arch]
    replaced(r"^    Default: x86_64\n    AllowedValues: \[x86_64, arm64\]$", f"    Default: {wanted}\n    AllowedValues: [{wanted}]", 1)
    replaced(r"^    Description: >-\n      The processor architecture\.(?:.*\n)(?:^      .*\n)+", "    Description: The processor architecture of function.zip.\n", 1)
    replaced(
        r"^# Requires cargo, and cargo-lambda(?:.*\n)(?:^#.*\n)+",
        "# The functions are built: function.zip. README.md explains how to deploy them.\n",
        1,
    )
    return template


def licences():
    return [(name, ROOT / name) for name in ("LICENSE-APACHE", "LICENSE-MIT")]


def archive_of_programs(out, arch, binaries, made, time):
    name = f"masshook-{version()}-{arch}-unknown-linux-musl"
    entries = [(program, binaries / program) for program in PROGRAMS] + licences()
    entries += [(page, ROOT / page) for page in ("README.md", "CHANGELOG.md")]
    entries += [(f"{path.parent.name}/{path.name}", path) for path in made.glob("*/*")]
    tar(out / f"{name}.tar.gz", name, entries, time)


def bundle_for_aws(out, arch, binaries, time):
    wanted = LAMBDA_ARCH[arch]
    function = out / f"masshook-{version()}-lambda-{wanted}.zip"
    function_zip(function, binaries / "bootstrap")
    settings = (ROOT / "samconfig.toml").read_text().replace("Architecture=arm64", f"Architecture={wanted}")
    entries = [
        ("function.zip", function),
        ("layer/masshook.yaml", ROOT / "layer/masshook.yaml"),
        ("README.md", PACKAGING / "aws/README.md"),
        ("template.yaml", built_template(arch).encode()),
        ("samconfig.toml", settings.encode()),
        *licences(),
    ]
    name = f"masshook-{version()}-aws-{wanted}"
    tar(out / f"{name}.tar.gz", name, entries, time)


# The Debian package


def gzipped(data, time):
    return gzip.compress(data, 9, mtime=time)


def debian_control(arch, size):
    return f"""\
Package: masshook
Version: {version()}
Architecture: {DEBIAN_ARCH[arch]}
Maintainer: The masshook authors <masshook@users.noreply.github.com>
Installed-Size: {size}
Depends: ca-certificates
Section: net
Priority: optional
Homepage: {manifest("repository")}
Description: turns webhooks into Zoho CRM mass updates
 masshook receives the webhooks of any sender, verifies their signatures, maps
 them to update requests with jq programs, carries the updates out through
 Zoho's API, and reports each outcome to a callback URL with a signature.
 .
 The service starts once /etc/masshook/masshook.yaml exists.
"""


def debian_files(binaries, made, time):
    """Pairs of a path in the package, its content and its mode."""
    deb = PACKAGING / "deb"
    doc = "usr/share/doc/masshook"
    changelog = f"masshook ({version()}) stable; urgency=medium\n\n  * See CHANGELOG.md.gz.\n\n"
    date = subprocess.run(["date", "--utc", "-R", f"--date=@{time}"], check=True, capture_output=True, text=True).stdout
    changelog += f" -- The masshook authors <masshook@users.noreply.github.com>  {date}"
    yield "usr/bin/masshook", (binaries / "masshook").read_bytes(), 0o755
    yield "usr/lib/systemd/system/masshook.service", (deb / "masshook.service").read_bytes(), 0o644
    yield "etc/masshook/masshook.env", (deb / "masshook.env").read_bytes(), 0o600
    yield f"{doc}/examples/masshook.yaml", (deb / "masshook.yaml").read_bytes(), 0o644
    yield f"{doc}/copyright", (deb / "copyright").read_bytes(), 0o644
    yield f"{doc}/changelog.gz", gzipped(changelog.encode(), time), 0o644
    yield f"{doc}/CHANGELOG.md.gz", gzipped((ROOT / "CHANGELOG.md").read_bytes(), time), 0o644
    yield f"{doc}/README.md.gz", gzipped((ROOT / "README.md").read_bytes(), time), 0o644
    completions = made / "completions"
    yield "usr/share/bash-completion/completions/masshook", (completions / SHELLS["bash"]).read_bytes(), 0o644
    yield "usr/share/zsh/vendor-completions/_masshook", (completions / SHELLS["zsh"]).read_bytes(), 0o644
    yield "usr/share/fish/vendor_completions.d/masshook.fish", (completions / SHELLS["fish"]).read_bytes(), 0o644
    for page in sorted((made / "man").glob("*.1")):
        yield f"usr/share/man/man1/{page.name}.gz", gzipped(page.read_bytes(), time), 0o644


def debian_package(out, arch, binaries, made, time):
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder)
        tree.chmod(0o755)
        sums, size = [], 0
        for name, data, mode in debian_files(binaries, made, time):
            path = tree / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
            path.chmod(mode)
            size += -(-len(data) // 1024)
            if not name.startswith("etc/"):
                sums.append(f"{hashlib.md5(data).hexdigest()}  {name}\n")
        control = tree / "DEBIAN"
        control.mkdir()
        (control / "control").write_text(debian_control(arch, size))
        (control / "md5sums").write_text("".join(sums))
        (control / "conffiles").write_text("/etc/masshook/masshook.env\n")
        for script in ("postinst", "prerm", "postrm"):
            (control / script).write_bytes((PACKAGING / "deb" / script).read_bytes())
            (control / script).chmod(0o755)
        for path in [tree, *tree.rglob("*")]:
            if path.is_dir():
                path.chmod(0o755)
            os.utime(path, (time, time))
        name = f"masshook_{version()}_{DEBIAN_ARCH[arch]}.deb"
        environment = {**os.environ, "SOURCE_DATE_EPOCH": str(time)}
        run("dpkg-deb", "--root-owner-group", "-Zxz", "--build", tree, out / name, env=environment, stdout=subprocess.DEVNULL)


def image_files(out, arch, binaries):
    """Writes what the Dockerfile copies: the program, certificates, and an empty folder for the jobs."""
    folder = out / "image" / DEBIAN_ARCH[arch]
    (folder / "data").mkdir(parents=True)
    shutil.copy(binaries / "masshook", folder)
    certificates = Path("/etc/ssl/certs/ca-certificates.crt")
    if not certificates.exists():
        sys.exit(f"{certificates} is missing; install ca-certificates")
    shutil.copy(certificates, folder)


def checksums(out):
    lines = []
    for path in sorted(out.iterdir()):
        if path.is_file():
            lines.append(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n")
    (out / "SHA256SUMS").write_text("".join(lines))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--arch", action="append", choices=ARCHITECTURES, help="architecture; default: both")
    parser.add_argument("--binaries", type=Path, help="folder with binaries, instead of a build; they need not be static")
    parser.add_argument("--out", type=Path, default=ROOT / "dist", help="folder for the packages; default: dist")
    arguments = parser.parse_args()
    if arguments.binaries and len(arguments.arch or []) != 1:
        parser.error("--binaries needs one --arch")
    out, time = arguments.out.resolve(), commit_time()
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    for arch in arguments.arch or ARCHITECTURES:
        binaries = arguments.binaries.resolve() if arguments.binaries else build(arch)
        for program in PROGRAMS:
            check_binary(binaries / program, arch, must_be_static=arguments.binaries is None)
        with tempfile.TemporaryDirectory() as folder:
            made = Path(folder)
            texts(binaries, arch, made)
            archive_of_programs(out, arch, binaries, made, time)
            bundle_for_aws(out, arch, binaries, time)
            image_files(out, arch, binaries)
            if shutil.which("dpkg-deb"):
                debian_package(out, arch, binaries, made, time)
            else:
                print("no Debian package: dpkg-deb is not installed", file=sys.stderr)
    checksums(out)
    print((out / "SHA256SUMS").read_text(), end="")


if __name__ == "__main__":
    main()
