"""`kubectl rackplane`: kubectl finds the program on PATH, and it finds the cluster that kubectl would ask."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import rackplane
from rackplane.api.crd import crd
from rackplane.api.kinds import KINDS
from tests.support.served import served
from tests.unit.cli.hall import HALL, folder

pytestmark = pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not on PATH")


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """One in which kubectl finds the plugin as an installation has it: a script of that name."""
    script = tmp_path / "bin" / "kubectl-rackplane"
    script.parent.mkdir()
    script.write_text(f"#!{sys.executable}\nimport sys\nfrom rackplane.cli import main\nsys.exit(main())\n")
    script.chmod(0o755)
    path = os.pathsep.join((str(script.parent), os.environ["PATH"]))
    return {
        **os.environ,
        "PATH": path,
        "PYTHONPATH": str(Path(rackplane.__file__).parents[1]),
        "COLUMNS": "200",
    }


def kubectl(environment: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["kubectl", *words], env=environment, capture_output=True, text=True, timeout=60, check=False
    )


def test_a_tree_of_the_cluster_that_kubectl_asks(tmp_path: Path, environment: dict[str, str]) -> None:
    kubeconfig = tmp_path / "kubeconfig"
    with served(kubeconfig, *(crd(model) for model in KINDS), *HALL):
        environment["KUBECONFIG"] = str(kubeconfig)
        plugins = kubectl(environment, "plugin", "list")
        assert str(tmp_path / "bin" / "kubectl-rackplane") in plugins.stdout
        asked = kubectl(environment, "rackplane", "tree", "power", "ups-a")
        nowhere = kubectl(environment, "rackplane", "tree", "power", "--context", "nowhere")
        unknown = kubectl(environment, "rackplane", "explain", "gang", "x")
    # The cluster has no nodes: two racks draw their overhead, and half of each comes to either UPS.
    assert (asked.returncode, asked.stderr) == (0, "")
    assert asked.stdout.splitlines()[1].split()[:2] == ["ups-a", "UPS"]
    assert [line.split()[0] for line in asked.stdout.splitlines()[2:]] == ["└─"]
    assert " 2.0  100.0     96.0" in asked.stdout.splitlines()[1]
    assert nowhere.returncode == 3 and "nowhere" in nowhere.stderr
    assert (unknown.returncode, unknown.stderr) == (1, "rackplane: there is no gang x in namespace default\n")


def test_help_names_the_plugin_as_it_was_called(environment: dict[str, str]) -> None:
    asked = kubectl(environment, "rackplane", "tree", "--help")
    assert asked.stdout.startswith("usage: kubectl rackplane tree ")


def test_a_folder_needs_no_cluster(tmp_path: Path, environment: dict[str, str]) -> None:
    environment["KUBECONFIG"] = str(tmp_path / "nowhere")
    asked = kubectl(
        environment, "rackplane", "tree", "cooling", "--facility", folder(tmp_path / "hall", *HALL)
    )
    assert (asked.returncode, asked.stdout.split()[0]) == (0, "cooling")
