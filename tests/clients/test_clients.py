"""kubectl in two versions, the `kubernetes` client and kopf see the same on the embedded cluster as on a real server.

What they saw there is kept in `recorded`; where RACKPLANE_TEST_KUBECONFIG names a cluster, it is asked as well.
"""

from __future__ import annotations

import difflib
import os
import shutil
from pathlib import Path

import pytest

from . import recordings, servers
from .kubectl_script import FILES, NOT_HERE, Command
from .transcripts import Kubectl

KUBECONFIG = os.environ.get("RACKPLANE_TEST_KUBECONFIG", "")
# kopf and aiohttp leave the last of a connection to the event loop, which ends at once.
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


def _need(name: str) -> None:
    program = recordings.PROGRAMS[name]
    if program and shutil.which(program) is None:
        pytest.skip(f"no {program} on PATH")


def _same(expected: list[str], seen: list[str], where: str) -> None:
    lines = [*difflib.unified_diff(expected, seen, where, "the embedded cluster", lineterm="", n=4)]
    assert not lines, "\n".join(["a client sees something else:", *lines])


@pytest.mark.parametrize("name", recordings.SCRIPTS)
def test_a_client_sees_what_it_saw_of_a_real_server(name: str, tmp_path: Path) -> None:
    _need(name)
    with servers.embedded(tmp_path) as kubeconfig:
        seen = recordings.SCRIPTS[name](kubeconfig, tmp_path)
    _same(recordings.load(name), seen, "recorded from a real server")


@pytest.mark.real_cluster
@pytest.mark.skipif(not KUBECONFIG, reason="RACKPLANE_TEST_KUBECONFIG names no cluster")
@pytest.mark.parametrize("name", recordings.SCRIPTS)
def test_a_client_sees_the_same_on_both_servers(name: str, tmp_path: Path) -> None:
    _need(name)
    real = recordings.SCRIPTS[name](Path(KUBECONFIG).absolute(), tmp_path)
    with servers.embedded(tmp_path) as kubeconfig:
        seen = recordings.SCRIPTS[name](kubeconfig, tmp_path)
    _same(real, seen, "a real server")


def test_what_the_embedded_cluster_lacks_it_says(tmp_path: Path) -> None:
    _need("kubectl")
    with servers.embedded(tmp_path) as kubeconfig:
        kubectl = Kubectl("kubectl", kubeconfig, tmp_path, "default")
        for name in ("pod.yaml", "job.yaml"):
            assert name in FILES
            kubectl.run(Command(f"create -f {name}"))
        answers = {command.line: kubectl.run(command) for command in NOT_HERE}
    lacking = {line: "does not implement" in " ".join(answer) for line, answer in answers.items()}
    assert lacking == dict.fromkeys(lacking, True), answers
