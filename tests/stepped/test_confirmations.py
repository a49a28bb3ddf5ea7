"""Caps that somebody has to confirm: what counts meanwhile, what follows if nobody does, and how long it takes."""

from __future__ import annotations

import math
from dataclasses import replace

import msgspec
import pytest

from rackplane.core import events as e
from rackplane.core.arrivals import put_node
from rackplane.core.instructions import SendCap
from rackplane.core.machine import Machine
from rackplane.core.offline.verifying import Difference, differences
from rackplane.core.settings import Confirmation, MachineSettings
from tests.stepped.test_shedding import CAP, POWER, caps, lose, over, regain, running, site
from tests.support.harness import Harness

APPLIED = "rackplane.dev/power-cap-applied-watts"
AGENT = MachineSettings(validate=True, restore_seconds=60.0, confirmation=Confirmation.AGENT)
ENDPOINT = replace(AGENT, confirmation=Confirmation.ENDPOINT, send_caps=True)


def applies(h: Harness, rack: str, watts: str | None, nodes: int = 4) -> None:
    """The agents of a rack report a cap."""
    for n in range(nodes):
        h.patch(f"/api/v1/nodes/{rack}-n{n}", {"metadata": {"annotations": {APPLIED: watts}}})


def rack_of(h: Harness, gang: str) -> str:
    rack = h.gang(gang)["status"]["assignment"][0]["rack"]
    assert isinstance(rack, str)
    return rack


def p99(h: Harness) -> float:
    return h.machine.world.confirmations.times.p99(h.settings.actuation_seconds)


def test_the_load_counts_as_it_was_until_the_last_agent_has_confirmed_the_cap() -> None:
    h = site(settings=AGENT)
    running(h, keep="Checkpointable", give="Sheddable")
    lose(h)
    h.settle()
    rack = rack_of(h, "job-give")
    assert caps(h, rack) == {"4000"}
    assert over(h) != []
    applies(h, rack, "4000", nodes=3)
    h.advance(3)
    assert over(h) != []
    applies(h, rack, "4000")
    h.settle()
    assert over(h) == []
    assert h.phase("job-give") == "Running"
    times = h.machine.world.confirmations.times
    assert sum(times.counts) == 4
    assert times.total_seconds == pytest.approx(3.0)


def test_a_cap_that_no_agent_confirms_in_time_is_not_done_and_the_plan_goes_on() -> None:
    h = site(settings=AGENT)
    running(h, keep="Checkpointable", give="Sheddable")
    lose(h)
    h.advance(8)
    assert h.gang("job-keep")["status"]["powerProfile"] == "MaxP"
    h.advance(5)
    # To cap another gang is milder than to stop this one.
    assert h.gang("job-keep")["status"]["powerProfile"] == "MaxQ"
    assert h.phase("job-give") == "Running"
    h.advance(12)
    assert [t.kind for t in h.told if t.reason == "Shed"] == ["Gang", "Job"]
    # It is given a place again, at a cap that holds its pods back until it is confirmed.
    assert h.phase("job-give") != "Running"
    assert over(h) == []
    # Four nodes of each gang, none in time.
    assert h.machine.world.confirmations.times.counts[-1] == 8
    assert p99(h) == math.inf


def test_a_cap_that_is_held_higher_than_it_was_asked_for_is_not_confirmed() -> None:
    h = site(settings=AGENT)
    running(h, keep="Checkpointable", give="Sheddable")
    lose(h)
    h.settle()
    applies(h, rack_of(h, "job-give"), "4200")
    h.advance(5)
    assert over(h) != []


@pytest.mark.parametrize("text", ["", "4 kW", "-1", "٤٠٠٠"])
def test_what_is_no_number_of_watts_confirms_nothing(text: str) -> None:
    h = site(settings=AGENT)
    running(h, keep="Checkpointable", give="Sheddable")
    lose(h)
    h.settle()
    applies(h, rack_of(h, "job-give"), text)
    h.advance(5)
    assert over(h) != []


def test_a_new_process_reads_what_the_agents_have_confirmed() -> None:
    h = site(settings=AGENT)
    running(h, keep="Checkpointable", give="Sheddable")
    lose(h)
    h.settle()
    applies(h, rack_of(h, "job-give"), "4000")
    h.settle()
    h.restart_machine()
    h.advance(5)
    assert over(h) == []
    assert h.phase("job-give") == "Running"
    # Nothing was measured in this process, so what is set counts.
    assert p99(h) == 10.0


def test_no_pod_of_a_gang_that_is_to_run_lower_is_let_go_before_its_caps_are_confirmed() -> None:
    h = site(settings=AGENT)
    annotations = {"rackplane.dev/power-profile": "MaxQ"}
    h.job("low", slots=4, run=None, annotations=annotations)
    h.advance(5)
    assert h.phase("job-low") == "Admitted"
    rack = rack_of(h, "job-low")
    h.advance(10)
    (told,) = [t.message for t in h.told if t.reason == "CapNotWritten" and t.kind == "Gang"]
    assert told == (
        f"node {rack}-n0 does not take its power cap, so no pod is let go: the agent on the node has not confirmed "
        "4,000 W"
    )
    applies(h, rack, "4000")
    h.until(lambda: h.phase("job-low") == "Running")


def test_a_gang_at_full_power_waits_for_no_agent() -> None:
    h = site(settings=AGENT)
    running(h, full="Sheddable")
    assert h.phase("job-full") == "Running"


def test_the_endpoint_is_told_of_caps_and_its_answer_confirms_them() -> None:
    h = site(settings=ENDPOINT)
    running(h, keep="Checkpointable", give="Sheddable")
    h.sent.clear()
    lose(h)
    h.settle()
    rack = rack_of(h, "job-give")
    assert h.sent == [SendCap(f"{rack}-n{n}", 4000, "MaxQ", ("default/job-give",)) for n in range(4)]
    assert over(h) == []
    h.restart_machine()  # what was answered to another process is not known: it is asked once more
    h.advance(15)
    assert h.phase("job-give") == "Running"
    assert over(h) == []
    regain(h)
    h.advance(90)
    assert {(s.watts, s.profile) for s in h.sent[-4:]} == {(5000, "MaxP")}


def test_what_the_endpoint_refuses_is_sent_again_and_counts_as_not_done() -> None:
    h = site(settings=ENDPOINT)
    running(h, keep="Checkpointable", give="Sheddable")
    rack = rack_of(h, "job-give")
    h.endpoint = lambda sent: "busy" if sent.name == f"{rack}-n2" and sent.watts == 4000 else ""
    h.sent.clear()
    lose(h)
    h.advance(8)
    tries = [s for s in h.sent if s.name == f"{rack}-n2"]
    assert len(tries) >= 3
    assert [s for s in h.sent if s.name == f"{rack}-n1"] == [
        SendCap(f"{rack}-n1", 4000, "MaxQ", ("default/job-give",))
    ]
    assert over(h) != []
    h.advance(5)
    # The other gang's caps are set, and that is enough.
    assert h.gang("job-keep")["status"]["powerProfile"] == "MaxQ"
    assert over(h) == []


def test_the_endpoint_hears_when_the_last_gang_is_gone() -> None:
    h = site(settings=ENDPOINT)
    h.job("brief", slots=4, run=5)
    h.until(lambda: h.phase("job-brief") == "Running")
    rack = rack_of(h, "job-brief")
    h.sent.clear()
    h.until(lambda: len(h.sent) == 4)
    assert {(s.name, s.watts, s.gangs) for s in h.sent} == {(f"{rack}-n{n}", None, ()) for n in range(4)}


def test_without_an_endpoint_nothing_is_sent() -> None:
    h = site(settings=AGENT)
    running(h, give="Sheddable")
    assert h.sent == []


def test_what_a_node_draws_asks_nobody_what_it_is_held_to_asks_its_gangs() -> None:
    h = site(settings=AGENT)
    running(h, full="Sheddable")
    world, name = h.machine.world, f"{rack_of(h, 'job-full')}-n0"

    def annotated(key: str) -> list[tuple[str, str]]:
        node, replace_ = world.nodes[name], msgspec.structs.replace
        annotations = {**node.metadata.annotations, key: "4711"}
        world.dirty.clear()
        put_node(world, replace_(node, metadata=replace_(node.metadata, annotations=annotations)))
        return list(world.dirty)

    assert annotated("rackplane.dev/power-observed-watts") == []
    assert annotated(APPLIED) == [("default", "job-full")]


# -- pods that a gang has left behind on a node that does not answer --------------------------------------------------


def cap_of(h: Harness, node: str) -> str | None:
    found: str | None = h.get("", "nodes", node, "")["metadata"].get("annotations", {}).get(CAP)
    return found


def left_behind(settings: MachineSettings) -> tuple[Harness, str]:
    """A gang of three was capped, and its second node fell silent before that was confirmed there; and that node.

    Its slot goes to the rack's fourth node. With b alone there were 22 kW and 18 kW of 38 kW.
    """
    h = site(b_watts=38_000, settings=settings)
    running(h, keep="Checkpointable")
    h.job("give", slots=3, run=None, annotations={"rackplane.dev/disruption": "Sheddable"})
    h.until(lambda: h.phase("job-give") == "Running")
    h.advance(3)
    rack = rack_of(h, "job-give")
    silent = f"{rack}-n1"
    h.endpoint = lambda sent: "no answer" if sent.name == silent and sent.watts == 4000 else ""
    h.node_ready(silent, ready=False)
    lose(h)
    h.settle()
    assert {cap_of(h, f"{rack}-n{n}") for n in range(3)} == {"4000"}
    # There is room for the fourth node then, and who was capped stays so for a while.
    h.patch(f"{POWER}/b", {"spec": {"ratedWatts": 100_000}})
    regain(h)
    for each in [f"{rack}-n{n}" for n in (0, 2, 3)] + [f"{rack_of(h, 'job-keep')}-n{n}" for n in range(4)]:
        h.patch(f"/api/v1/nodes/{each}", {"metadata": {"annotations": {APPLIED: "4000"}}})
    h.advance(60)
    nodes = [f"{rack}-n{n}" for n in (0, 3, 2)]
    assert h.gang("job-give")["status"]["assignment"][0]["nodes"] == nodes
    return h, silent


def left(h: Harness) -> dict[str, tuple[str, int]]:
    """Nodes with pods that are left behind: the profile that they count under, and their GPUs."""
    assert h.machine.state is not None
    return dict(h.machine.state.left_nodes())


def gone(h: Harness, node: str) -> None:
    """What ran on the node is gone, says the API server."""
    for pod in h.pods():
        if pod["spec"].get("nodeName") == node:
            h.request(
                "DELETE",
                f"/api/v1/namespaces/default/pods/{pod['metadata']['name']}",
                {"gracePeriodSeconds": 0},
            )
    h.settle()


def test_pods_left_behind_count_at_what_they_were_let_go_at_until_their_node_confirms_the_lower_cap() -> None:
    h, silent = left_behind(AGENT)
    assert cap_of(h, silent) == "4000"
    assert left(h) == {silent: ("MaxP", 4)}
    h.restart_machine()
    h.settle()
    assert left(h) == {silent: ("MaxP", 4)}
    h.patch(f"/api/v1/nodes/{silent}", {"metadata": {"annotations": {APPLIED: "4000"}}})
    h.settle()
    assert left(h) == {silent: ("MaxQ", 4)}
    h.patch(f"/api/v1/nodes/{silent}", {"metadata": {"annotations": {APPLIED: "4100"}}})
    h.settle()
    assert left(h) == {silent: ("MaxP", 4)}


@pytest.mark.parametrize("confirmed", [False, True])
def test_the_cap_of_a_gang_that_is_over_stays_for_the_pods_that_it_left_behind(confirmed: bool) -> None:
    h, silent = left_behind(AGENT)
    if confirmed:
        h.patch(f"/api/v1/nodes/{silent}", {"metadata": {"annotations": {APPLIED: "4000"}}})
    h.request("DELETE", "/apis/batch/v1/namespaces/default/jobs/give", {"propagationPolicy": "Background"})
    h.advance(60)
    assert "job-give" not in h.gangs()
    for _ in range(2):
        assert cap_of(h, silent) == "4000"
        assert left(h) == {silent: ("MaxQ" if confirmed else "MaxP", 4)}
        h.restart_machine()
        h.advance(15)
    reader = Machine(settings=h.settings)
    reader.handle(h.time.now, *h.listed(), e.Synced())
    (behind,) = [pod["metadata"]["name"] for pod in h.pods() if pod["spec"].get("nodeName") == silent]
    assert differences(reader) == [
        Difference(
            "Elsewhere",
            f"Pod default/{behind}",
            f"was left on {silent} by gang default/job-give, which holds nothing there",
            "its watts count there, under the power cap of the node, until it is gone; if the machine is off, "
            f"kubectl taint node {silent} node.kubernetes.io/out-of-service=nodeshutdown:NoExecute",
        )
    ]
    gone(h, silent)
    assert (cap_of(h, silent), left(h)) == (None, {})


def test_what_was_let_go_at_a_lower_cap_was_confirmed_then() -> None:
    """After a restart too, when nobody has answered yet: else others would give way for nothing."""
    h = site(settings=AGENT)
    h.job("low", slots=3, run=None, annotations={"rackplane.dev/power-profile": "MaxQ"})
    h.settle()
    rack = rack_of(h, "job-low")
    applies(h, rack, "4000")
    h.until(lambda: h.phase("job-low") == "Running")
    silent = f"{rack}-n1"
    h.node_ready(silent, ready=False)
    h.advance(45)
    assert left(h) == {silent: ("MaxQ", 4)}
    h.patch(f"/api/v1/nodes/{silent}", {"metadata": {"annotations": {APPLIED: None}}})
    h.restart_machine()
    h.settle()
    assert left(h) == {silent: ("MaxQ", 4)}


def test_the_endpoint_is_asked_for_the_cap_of_pods_left_behind_until_it_has_set_it() -> None:
    h, silent = left_behind(ENDPOINT)
    assert left(h) == {silent: ("MaxP", 4)}
    h.sent.clear()
    h.advance(60)
    assert {(s.name, s.watts, s.profile) for s in h.sent} == {(silent, 4000, "MaxQ")}
    h.endpoint = lambda sent: ""
    h.advance(60)
    assert left(h) == {silent: ("MaxQ", 4)}
    h.sent.clear()
    h.restart_machine()  # whom nobody has told what was answered
    h.advance(5)
    assert [s.watts for s in h.sent if s.name == silent] == [4000]
    assert left(h) == {silent: ("MaxQ", 4)}
    gone(h, silent)
    h.settle()
    assert [(s.watts, s.gangs) for s in h.sent if s.name == silent][-1] == (None, ())
