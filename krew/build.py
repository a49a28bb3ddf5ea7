"""The archives that `kubectl krew install` downloads, one for each platform, and the manifest with their sha256.

An archive has the package, every library that requirements/runtime.txt locks, and krew/launcher.py as its program. It
has no Python. Wheels with machine code are for one version of Python each, so there is a folder of them for each of
`PYTHONS`; the others are there once. pip downloads them by hash, for platforms other than this one too; nothing is
compiled. The same inputs give the same bytes. Usage:

    python krew/build.py --url https://example.com/releases/v0.1.0 --homepage https://example.com dist/krew linux-amd64
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import io
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]
PROGRAMS = ("kubectl-rackplane", "kubectl_complete-rackplane")
PYTHONS = ("3.11", "3.12", "3.13")
#: By krew's words for them: wheel tags, sys_platform and platform_machine.
PLATFORMS: dict[str, tuple[tuple[str, ...], str, str]] = {
    "linux-amd64": (("manylinux_2_28_x86_64", "manylinux2014_x86_64"), "linux", "x86_64"),
    "linux-arm64": (("manylinux_2_28_aarch64", "manylinux2014_aarch64"), "linux", "aarch64"),
    "darwin-amd64": (("macosx_14_0_x86_64",), "darwin", "x86_64"),
    "darwin-arm64": (("macosx_14_0_arm64",), "darwin", "arm64"),
}
_SKIPPED = ("__pycache__", "tests")
"""Folders of wheels that no program needs: numpy's own tests are a third of its files."""


def version() -> str:
    """That of the package."""
    names: dict[str, Any] = {}
    exec((ROOT / "operator" / "rackplane" / "__init__.py").read_text(encoding="utf-8"), names)
    return str(names["__version__"])


# -- wheels ------------------------------------------------------------------------------------------


def locked_for(text: str, platform: str, python: str) -> str:
    """The lines of locked requirements that hold there, with their hashes and without their markers.

    pip judges markers by the Python that it runs in, whatever it downloads for.
    """
    _, system, machine = PLATFORMS[platform]
    there = {
        "python_version": python,
        "python_full_version": f"{python}.0",
        "sys_platform": system,
        "platform_machine": machine,
        "platform_system": system.capitalize(),
        "os_name": "posix",
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
    }
    kept = []
    lines = [line for line in text.replace("\\\n", " ").splitlines() if line.split("#")[0].strip()]
    for line in lines:
        words, *hashes = line.split(" --hash=")
        wanted = Requirement(words.strip())
        if wanted.marker is None or wanted.marker.evaluate(there):
            kept.append(
                " ".join([f"{wanted.name}{wanted.specifier}", *(f"--hash={h.strip()}" for h in hashes)])
            )
    return "\n".join(kept) + "\n"


def download(platform: str, python: str, folder: Path) -> None:
    """Every wheel for it."""
    folder.mkdir(parents=True, exist_ok=True)
    locked = folder / "requirements.txt"
    text = (ROOT / "requirements" / "runtime.txt").read_text(encoding="utf-8")
    locked.write_text(locked_for(text, platform, python), encoding="utf-8")
    tags = [word for tag in PLATFORMS[platform][0] for word in ("--platform", tag)]
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", "download", "--no-deps"),
            *("--only-binary=:all:", "--require-hashes", "--python-version", python, *tags),
            *("-r", str(locked), "-d", str(folder)),
        ],
        check=True,
    )


def is_pure(wheel: Path) -> bool:
    """Whether it is for every Python and platform, by its name."""
    return wheel.stem.endswith("-none-any")


# -- archives ----------------------------------------------------------------------------------------


def contents(wheels: Mapping[str, Iterable[Path]]) -> dict[str, tuple[bytes, bool]]:
    """By path in the archive the bytes of a file, and whether it is a program.

    Args:
        wheels: by version of Python.
    """
    launcher = (ROOT / "krew" / "launcher.py").read_bytes()
    found = dict.fromkeys(PROGRAMS, (launcher, True))
    found |= {name: ((ROOT / name).read_bytes(), False) for name in ("LICENSE", "NOTICE")}
    package = ROOT / "operator" / "rackplane"
    for path in package.rglob("*"):
        if path.is_file() and not set(_SKIPPED) & set(path.relative_to(package).parts):
            found[f"lib/any/rackplane/{path.relative_to(package).as_posix()}"] = (path.read_bytes(), False)
    for python, files in wheels.items():
        own = f"lib/cp{python.replace('.', '')}"
        found[f"{own}/.for-python-{python}"] = (b"", False)
        for wheel in files:
            found |= _unpacked(wheel, "lib/any" if is_pure(wheel) else own)
    return found


def _unpacked(wheel: Path, folder: str) -> dict[str, tuple[bytes, bool]]:
    found = {}
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            parts = name.split("/")
            if name.endswith("/") or set(_SKIPPED) & set(parts):
                continue
            if parts[0].endswith(".data"):
                if parts[1] in ("purelib", "platlib"):
                    sys.exit(f"{wheel.name}: {name} would have to be moved: unpack it as pip does")
                continue  # Programs and headers, which nobody calls here.
            found[f"{folder}/{name}"] = (archive.read(name), False)
    return found


def pack(files: Mapping[str, tuple[bytes, bool]]) -> bytes:
    """A .tar.gz that depends on nothing but these."""
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for path, (data, program) in sorted(files.items()):
            entry = tarfile.TarInfo(path)
            entry.size, entry.mode = len(data), 0o755 if program else 0o644
            archive.addfile(entry, io.BytesIO(data))
    return gzip.compress(tar.getvalue(), compresslevel=9, mtime=0)


# -- the manifest ------------------------------------------------------------------------------------


class _Dumper(yaml.SafeDumper):
    """Texts of several lines as they are written, not as one with escapes."""


_Dumper.add_representer(
    str,
    lambda dumper, text: dumper.represent_scalar(
        "tag:yaml.org,2002:str", text, style="|" if "\n" in text else None
    ),
)


def manifest(template: str, *, url: str, homepage: str, sums: Mapping[str, str]) -> str:
    """The template filled in, with the platforms that have an archive.

    Args:
        sums: sha256 of an archive by platform.
    """
    text = (
        template.replace("@VERSION@", version())
        .replace("@URL@", url.rstrip("/"))
        .replace("@HOMEPAGE@", homepage)
    )
    body = yaml.safe_load(text)
    built = []
    for platform in body["spec"]["platforms"]:
        labels = platform["selector"]["matchLabels"]
        name = f"{labels['os']}-{labels['arch']}"
        if name in sums:
            built.append({**platform, "sha256": sums[name]})
    body["spec"]["platforms"] = built
    return str(yaml.dump(body, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120))


def main(arguments: Sequence[str] | None = None) -> int:
    """Build; 0."""
    parser = argparse.ArgumentParser(description="Builds krew archives and their manifest.")
    parser.add_argument(
        "--url", required=True, help="where the archives of this release will be, without their names"
    )
    parser.add_argument("--homepage", required=True, help="of the project")
    parser.add_argument("out", type=Path, help="folder to write to")
    parser.add_argument("platforms", nargs="*", metavar="PLATFORM", help=f"default: {' '.join(PLATFORMS)}")
    options = parser.parse_args(arguments)
    platforms = options.platforms or list(PLATFORMS)
    if unknown := sorted(set(platforms) - set(PLATFORMS)):
        parser.error(f"there is no platform {unknown[0]}; there are {', '.join(PLATFORMS)}")
    options.out.mkdir(parents=True, exist_ok=True)
    sums = {}
    for platform in platforms:
        with tempfile.TemporaryDirectory() as folder:
            for python in PYTHONS:
                download(platform, python, Path(folder, python))
            wheels = {python: sorted(Path(folder, python).glob("*.whl")) for python in PYTHONS}
            data = pack(contents(wheels))
        sums[platform] = hashlib.sha256(data).hexdigest()
        path = options.out / f"kubectl-rackplane-v{version()}-{platform}.tar.gz"
        path.write_bytes(data)
        print(f"{sums[platform]}  {path}  {len(data) / 1e6:.0f} MB")
    template = (ROOT / "krew" / "rackplane.yaml").read_text(encoding="utf-8")
    filled = options.out / "rackplane.yaml"
    filled.write_text(
        manifest(template, url=options.url, homepage=options.homepage, sums=sums), encoding="utf-8"
    )
    print(filled)
    return 0


if __name__ == "__main__":
    sys.exit(main())
