"""The krew plugin: its manifest by krew's rules, its archive by what is in it and by running its programs."""

from __future__ import annotations

import hashlib
import importlib.util
import io
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement

from rackplane import __version__

ROOT = Path(__file__).resolve().parents[2]
TEMPLATE = (ROOT / "krew" / "rackplane.yaml").read_text(encoding="utf-8")
OWN = f"cp{sys.version_info[0]}{sys.version_info[1]}"


def _load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("krew_build", ROOT / "krew" / "build.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


build = _load()


def problems(name: str, body: dict[str, Any]) -> list[str]:
    """What krew would refuse of a manifest called NAME.yaml, by its documentation and its validation."""
    found = []
    spec = body.get("spec") or {}
    if (
        body.get("apiVersion") != "krew.googlecontainertools.github.com/v1alpha2"
        or body.get("kind") != "Plugin"
    ):
        found.append("type")
    if not re.fullmatch(r"[\w-]+", name) or body["metadata"]["name"] != name:
        found.append("name")
    if not re.fullmatch(r"v\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?", spec.get("version", "")):
        found.append("version")
    if not spec.get("shortDescription") or re.search(r"[\r\n]", spec["shortDescription"]):
        found.append("shortDescription")
    if not spec.get("platforms"):
        found.append("platforms")
    for platform in spec.get("platforms") or []:
        if not re.fullmatch(r"[a-f0-9]{64}", platform.get("sha256", "")):
            found.append("sha256")
        if not re.fullmatch(r"https://\S+\.(tar\.gz|zip)", platform.get("uri", "")):
            found.append("uri")
        if not platform.get("bin") or platform["bin"].startswith("/") or ".." in platform["bin"]:
            found.append("bin")
        files = platform.get("files")
        if files is not None and (not files or not all(f.get("from") and f.get("to") for f in files)):
            found.append("files")
        selector = platform.get("selector") or {}
        keys = {*selector.get("matchLabels", {}), *(e["key"] for e in selector.get("matchExpressions", []))}
        if not keys or not keys <= {"os", "arch"}:
            found.append("selector")
    return found


def test_the_manifest_is_one_that_krew_takes() -> None:
    sums = {platform: hashlib.sha256(platform.encode()).hexdigest() for platform in build.PLATFORMS}
    text = build.manifest(TEMPLATE, url="https://example.com/v1/", homepage="https://example.com", sums=sums)
    body = yaml.safe_load(text)
    assert problems("rackplane", body) == []
    assert "@" not in text.replace("apiVersion", "")
    assert body["spec"]["version"] == f"v{__version__}"
    assert {p["uri"]: p["sha256"] for p in body["spec"]["platforms"]} == {
        f"https://example.com/v1/kubectl-rackplane-v{__version__}-{platform}.tar.gz": sums[platform]
        for platform in build.PLATFORMS
    }


def test_a_platform_without_an_archive_is_not_in_it() -> None:
    text = build.manifest(
        TEMPLATE, url="https://example.com", homepage="https://example.com", sums={"linux-arm64": "0" * 64}
    )
    assert [p["selector"]["matchLabels"] for p in yaml.safe_load(text)["spec"]["platforms"]] == [
        {"os": "linux", "arch": "arm64"}
    ]


def test_the_template_as_it_is_would_be_refused() -> None:
    assert set(problems("rackplane", yaml.safe_load(TEMPLATE))) == {"version", "sha256", "uri"}


@pytest.mark.parametrize("python", build.PYTHONS)
def test_what_is_locked_for_a_platform(python: str) -> None:
    """Every distribution once, with hashes; what is for Windows or for another Python is left out."""
    text = (ROOT / "requirements" / "runtime.txt").read_text(encoding="utf-8")
    lines = build.locked_for(text, "darwin-arm64", python).splitlines()
    names = [Requirement(line.split(" --hash=")[0]).name for line in lines]
    assert len(names) == len(set(names)) and {"numpy", "argcomplete", "rich"} <= set(names)
    assert "colorama" not in names
    assert all(re.search(r" --hash=sha256:[a-f0-9]{64}", line) and "\\" not in line for line in lines)


def wheel(path: Path, name: str, tag: str, *modules: str) -> Path:
    made = path / f"{name}-1.0-{tag}.whl"
    with zipfile.ZipFile(made, "w") as archive:
        for module in modules:
            archive.writestr(module, f"WHERE = {module!r}\n")
    return made


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    tmp_path = tmp_path_factory.mktemp("wheels")
    python = f"{sys.version_info[0]}.{sys.version_info[1]}"
    wheels = [
        wheel(
            tmp_path,
            "pure",
            "py3-none-any",
            "pure/__init__.py",
            "pure/tests/test_x.py",
            "pure-1.0.data/scripts/x",
        ),
        wheel(tmp_path, "native", f"{OWN}-{OWN}-manylinux_2_28_x86_64", "native/__init__.py"),
    ]
    return bytes(build.pack(build.contents({python: wheels})))


def test_what_is_in_an_archive(archive: bytes) -> None:
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        modes = {entry.name: entry.mode for entry in tar.getmembers()}
    programs = [name for name, mode in modes.items() if mode == 0o755]
    assert programs == ["kubectl-rackplane", "kubectl_complete-rackplane"]
    assert {
        "LICENSE",
        "NOTICE",
        "lib/any/pure/__init__.py",
        "lib/any/rackplane/cli/parser.py",
        "lib/any/rackplane/hardwareprofiles/gb300-nvl72.yaml",
        f"lib/{OWN}/native/__init__.py",
    } <= set(modes)
    assert not [name for name in modes if "tests" in name or "__pycache__" in name or ".data/" in name]


def test_the_same_files_give_the_same_archive(tmp_path: Path) -> None:
    one = wheel(tmp_path, "pure", "py3-none-any", "pure/__init__.py")
    files = {
        path: entry for path, entry in build.contents({"3.11": [one]}).items() if "rackplane/" not in path
    }
    assert build.pack(files) == build.pack(dict(reversed(files.items())))


@pytest.fixture
def installed(archive: bytes, tmp_path: Path) -> dict[str, str]:
    """An environment with the plugin as krew installs it: unpacked, and linked from a folder on PATH."""
    store, links = tmp_path / "store", tmp_path / "bin"
    links.mkdir()
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        tar.extractall(store, filter="data")
    for program in build.PROGRAMS:
        (links / program).symlink_to(store / program)
    (links / "python3").symlink_to(sys.executable)
    # The libraries of the environment stand in for those of the wheels.
    libraries = os.pathsep.join(path for path in sys.path if path.endswith("site-packages"))
    return {**os.environ, "PATH": f"{links}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": libraries}


def run(environment: dict[str, str], *words: str) -> str:
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=60, check=True)
    return done.stdout


def test_the_programs_of_an_archive_run(installed: dict[str, str]) -> None:
    assert run(installed, "kubectl-rackplane", "version") == f"rackplane {__version__}\n"
    assert run(installed, "kubectl-rackplane", "--help").startswith("usage: kubectl rackplane ")
    assert run(installed, "kubectl_complete-rackplane", "tree", "po") == "power\twhich tree\n:4\n"


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not on PATH")
def test_kubectl_runs_it_and_asks_it_for_completions(installed: dict[str, str]) -> None:
    assert run(installed, "kubectl", "rackplane", "version") == f"rackplane {__version__}\n"
    assert run(installed, "kubectl", "__complete", "rackplane", "tree", "").splitlines() == [
        "power",
        "cooling",
        "fabric",
        ":4",
    ]


def test_a_python_without_libraries_is_told(archive: bytes, tmp_path: Path) -> None:
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        tar.extractall(tmp_path, filter="data")
    (tmp_path / "lib" / OWN).rename(tmp_path / "lib" / "cp399")
    done = subprocess.run(
        [sys.executable, str(tmp_path / "kubectl-rackplane")],
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    has = f"{sys.version_info[0]}.{sys.version_info[1]}"
    assert (done.returncode, done.stderr) == (
        1,
        f"kubectl rackplane: python3 is {has}, and this plugin needs one of python3.99 on PATH\n",
    )
