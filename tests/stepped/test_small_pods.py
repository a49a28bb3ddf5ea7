"""Pods of fewer accelerators than a node has, or of none."""

from __future__ import annotations

from collections import Counter

from tests.support.harness import started


def test_small_pods_share_a_node_and_add_their_part_of_its_watts() -> None:
    h = started()
    h.job("ones", slots=3, gpus=1, run=None)
    h.until(lambda: h.phase("job-ones") == "Running", seconds=10)
    h.job("more", slots=3, gpus=1, run=None)
    h.job("none", slots=2, gpus=0, run=None)
    h.until(lambda: {h.phase("job-more"), h.phase("job-none")} == {"Running"}, seconds=10)
    used = Counter(p["spec"]["nodeName"] for name in ("ones", "more") for p in h.pods_of(name))
    # One GPU is left on r1-n0, and a gang on one node is better than one on two.
    assert used == {"r1-n0": 3, "r1-n1": 3}
    added = {
        name: h.gang(f"job-{name}")["status"]["reservedNominalWatts"] for name in ("ones", "more", "none")
    }
    # A GPU is a quarter of what a node of 1,000 W idle adds up to 5,000 W; without one nothing is added.
    assert added == {"ones": 3_000, "more": 3_000, "none": 0}
