"""`rackplane cluster`: what is in it when it starts, and how it ends."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from pathlib import Path
from urllib.request import urlopen

import pytest

QUEUED = ["jobs", "jobsets", "mpijobs", "pods", "pytorchjobs", "trainjobs"]
POLICIES = "/apis/admissionregistration.k8s.io/v1/mutatingadmissionpolicies"


@pytest.mark.parametrize(
    ("flags", "policies"),
    [
        pytest.param([], [f"rackplane-queue-{plural}" for plural in QUEUED], id="as-with-the-chart"),
        pytest.param(["--bare"], [], id="bare"),
    ],
)
def test_the_cluster_has_the_charts_policies_unless_it_is_bare(
    tmp_path: Path, flags: list[str], policies: list[str]
) -> None:
    command = [sys.executable, "-m", "rackplane", "cluster", "--kubeconfig", str(tmp_path / "config"), *flags]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            listens = re.search(r"listens on (http://\S+)\.", process.stdout.readline())
            assert listens is not None
            with urlopen(listens[1] + POLICIES) as answer:
                found = json.load(answer)["items"]
        finally:
            process.send_signal(signal.SIGTERM)
    assert [policy["metadata"]["name"] for policy in found] == policies
    assert process.returncode == 0
    assert (tmp_path / "config").exists()
