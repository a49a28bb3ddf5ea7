"""Links in the documentation lead somewhere, and what it shows is valid."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import kubernetes_validate
import msgspec
import pytest
import yaml

from rackplane import __version__
from rackplane.api import labels
from rackplane.core.workloads.kinds import KINDS
from rackplane.core.workloads.kueue import KUEUE_GROUP, AdmissionCheck, queue_of
from rackplane.core.workloads.view import Body

ROOT = Path(__file__).resolve().parents[2]
_LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]+)[^)]*\)")
_YAML = re.compile(r"^```yaml\n(.*?)^```", re.MULTILINE | re.DOTALL)


def _pages() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    # An unpacked source archive has no git; there the known places do.
    names = listed.stdout.split() or ["README.md", "CHANGELOG.md", *map(str, ROOT.glob("docs/*.md"))]
    return [ROOT / name for name in names if (ROOT / name).exists()]


@pytest.mark.parametrize("page", _pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_relative_links_resolve(page: Path) -> None:
    targets = [link for link in _LINK.findall(page.read_text()) if "://" not in link]
    assert not [link for link in targets if not (page.parent / link).exists()]


@pytest.mark.parametrize("page", _pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_kubernetes_objects_shown_are_valid(page: Path) -> None:
    for block in _YAML.findall(page.read_text()):
        for document in yaml.safe_load_all(block):
            if not isinstance(document, dict) or "apiVersion" not in document:
                continue
            foreign = KINDS.get(document["kind"])
            if foreign is not None and document["apiVersion"].startswith(f"{foreign.group}/"):
                version = document["apiVersion"].partition("/")[2]
                reading = foreign.view(msgspec.convert(document, type=Body), version).reading
                assert (version in foreign.versions, reading.problems) == (True, ())
                assert reading.pod_sets
            elif document["apiVersion"].startswith(f"{KUEUE_GROUP}/"):
                # Its ClusterQueues are its own business; its checks that are ours must be those that we answer.
                if document["kind"] == "AdmissionCheck":
                    assert queue_of(msgspec.convert(document, type=AdmissionCheck))
            elif "rackplane.dev" not in document["apiVersion"]:
                kubernetes_validate.validate(document, "1.36", strict=True)


def test_the_readme_lists_every_annotation_that_users_write() -> None:
    text = (ROOT / "README.md").read_text()
    assert not [key for key in labels.USER_ANNOTATIONS if f"`{key}`" not in text]


def test_every_page_is_in_the_index_once() -> None:
    listed = _LINK.findall((ROOT / "docs/README.md").read_text())
    assert sorted(listed) == sorted(p.name for p in ROOT.glob("docs/*.md") if p.name != "README.md")


def test_the_readme_installs_this_version() -> None:
    assert f"rackplane:{__version__}" in (ROOT / "README.md").read_text()
