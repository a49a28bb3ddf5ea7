"""What the demo submits, and how it words what it sees."""

from __future__ import annotations

import io
import itertools
from typing import Any

from rich.console import Console

from rackplane.api.admission import shipped_policies
from rackplane.api.labels import QUEUE_LABEL, parse_request
from rackplane.cli import demo, demo_load, demo_view, words
from rackplane.cli.demo_view import GangView, RackView, Snapshot
from rackplane.localcluster import LocalCluster


def planned(count: int = 24) -> list[demo_load.Submission]:
    return demo_load.plan(demo_load.read_trace(), count=count, speed=1.0, facility_gpus=576)


def test_jobs_keep_the_sizes_of_the_trace() -> None:
    trace = demo_load.read_trace()
    for entry, submission in zip(trace, planned(), strict=True):
        spec = submission.manifest["spec"]
        each = int(spec["template"]["spec"]["containers"][0]["resources"]["limits"]["nvidia.com/gpu"])
        assert spec["completions"] == spec["parallelism"]
        assert spec["parallelism"] * each == entry.gpus
        assert each == min(entry.gpus, 4)


def test_only_what_is_larger_than_the_facility_cannot_start() -> None:
    assert [s.name for s in planned() if not s.startable] == ["kalos-151-1024gpu"]


def test_few_jobs_include_the_largest() -> None:
    names = [s.name for s in planned(3)]
    assert len(names) == 3 and "kalos-151-1024gpu" in names


def test_up_to_one_domain_stays_in_it_and_more_goes_in_segments_under_a_leaf() -> None:
    for submission in planned():
        request, problems = parse_request(submission.manifest["metadata"]["annotations"])
        assert problems == []
        small = submission.manifest["spec"]["parallelism"] <= 16
        assert request.required_topology == ("nvlink" if small else "leaf")
        assert request.segment_slots == (None if small else 16)


def test_longer_jobs_run_longer_and_everything_is_short() -> None:
    seconds = [demo_load.run_seconds(entry.duration_seconds) for entry in demo_load.read_trace()]
    assert all(0 < value < 3 for value in seconds)
    assert demo_load.run_seconds(100.0) < demo_load.run_seconds(10_000.0)


def test_the_embedded_cluster_takes_everything() -> None:
    cluster = LocalCluster()
    root = demo_load.checkout()
    for document in (*demo_load.definitions(root), *shipped_policies()):
        cluster.apply(document)
    cluster.settle()
    racks = []
    for document in demo_load.facility(root / "examples" / "facilities" / demo.FACILITY):
        cluster.apply(document)
        racks += [document["metadata"]["name"]] if document["kind"] == "Rack" else []
    nodes = [cluster.apply(node) for node in demo_load.nodes(racks)]
    assert len(nodes) == 144
    assert sum(int(node["status"]["allocatable"]["nvidia.com/gpu"]) for node in nodes) == 576
    evaluation = demo_load.BudgetedGang()
    for document in evaluation.documents():
        cluster.apply(document)
    for submission in [*planned(), evaluation.submission(0.0)]:
        assert cluster.apply(submission.manifest)["spec"]["suspend"] is True
    snapshot = demo_view.read(lambda path: cluster.request("GET", path))
    assert len(snapshot.gangs) == 25
    assert [rack.name for rack in snapshot.racks] == [f"r{n}" for n in range(1, 9)]
    assert {gang.phase for gang in snapshot.gangs.values()} == {""}


def job(name: str) -> dict[str, Any]:
    manifest = demo_load.job(name=name, namespace="default", gpus=64, run_seconds=1.0)
    manifest["metadata"] |= {"creationTimestamp": "2026-01-01T00:00:00Z"}
    return manifest


def gang(name: str, **status: Any) -> dict[str, Any]:
    spec = {"workload": {"kind": "Job", "name": name}}
    return {"metadata": {"namespace": "default", "name": f"job-{name}"}, "spec": spec, "status": status}


def snapshot_of(*gangs: dict[str, Any]) -> Snapshot:
    answers: dict[str, list[dict[str, Any]]] = {
        "gangs": list(gangs),
        "jobs": [job("a"), {"metadata": {"name": "unlabelled", "namespace": "default"}}],
        "racks": [
            {
                "metadata": {"name": "r1"},
                "spec": {"limitWatts": 142_000},
                "status": {"gpus": 72, "freeGpus": 8, "reservedNominalWatts": 120_800},
            },
            {"metadata": {"name": "r2"}, "spec": {"limitWatts": 142_000}},
        ],
        "powerdomains": [
            {
                "metadata": {"name": "row"},
                "spec": {},
                "status": {"reservedNominalWatts": 400_000, "usableWatts": 1_200_000},
            }
        ],
    }
    return demo_view.read(lambda path: {"items": answers[path.rsplit("/", 1)[1]]})


PLACED = {
    "phase": "Admitted",
    "message": "placed on r1",
    "decision": {"id": "1-7", "time": "2026-01-01T00:00:03Z"},
    "assignment": [{"nvlinkDomain": "nvl-r1", "rack": "r1", "nodes": ["n1", "n2"]}],
    "reservedNominalWatts": 89_600,
}


def test_reading_takes_figures_from_the_objects_only() -> None:
    seen = snapshot_of(gang("a", **PLACED))
    assert seen.racks == (RackView("r1", 72, 64, 120_800, 142_000), RackView("r2", 0, 0, 0, 142_000))
    assert seen.power == (RackView("row", 0, 0, 400_000, 1_200_000),)
    (view,) = seen.gangs.values()
    assert (view.gpus, view.pods, view.nodes, view.waited_seconds) == (64, 16, 2, 3.0)
    assert (view.domains, view.racks, view.kilowatts) == (("nvl-r1",), ("r1",), "89.6")


def test_one_line_for_each_event() -> None:
    looks = [
        Snapshot(),
        snapshot_of(),
        snapshot_of(gang("a", phase="Pending", message="needs 16 nodes")),
        snapshot_of(gang("a", phase="Pending", message="needs 15 nodes")),
        snapshot_of(gang("a", **PLACED)),
        snapshot_of(gang("a", phase="Pending", message="node n1 is gone")),
        snapshot_of(gang("a", **{**PLACED, "decision": {"id": "1-9", "time": "2026-01-01T00:00:09Z"}})),
        snapshot_of(gang("a", **{**PLACED, "phase": "Finished", "message": "the job is complete"})),
    ]
    lines = [[*demo_view.changes(a, b)] for a, b in itertools.pairwise(looks)]
    assert lines[0] == ["submitted  a: 64 GPUs in 16 pods, nvlink"]
    assert lines[1] == ["waiting    a: needs 16 nodes"]
    assert lines[2] == []
    assert lines[3] == ["placed     a on nvl-r1: 2 nodes, 89.6 kW"]
    assert lines[4] == ["requeued   a: node n1 is gone"]
    assert lines[5] == ["placed     a on nvl-r1: 2 nodes, 89.6 kW"]
    assert lines[6][-1] == "finished   a"


def test_names_in_short() -> None:
    assert words.names(["r5", "r1", "r3", "r2"]) == "r1..r3, r5"
    assert words.names(["r1", "r2"]) == "r1, r2"
    assert words.names(["a", "b"], most=1) == "a and 1 more"
    assert words.names([]) == ""


def rendered(view: Any, width: int) -> str:
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None)
    console.print(view)
    output = console.file
    assert isinstance(output, io.StringIO)
    return output.getvalue()


def test_the_screen_shows_racks_and_the_queue_on_any_width() -> None:
    seen = snapshot_of(gang("a", phase="Pending", message="needs 16 nodes", position=1))
    for width in (80, 140):
        text = rendered(demo_view.screen(seen, title="row", width=width, rows=4), width)
        assert "64/72" in text and "120.8/142.0" in text and "needs 16 nodes" in text
        assert max(map(len, text.splitlines())) <= width


def test_a_queue_longer_than_the_screen_says_so() -> None:
    gangs = {("default", f"g{n}"): GangView("default", f"g{n}", 1, 4, "nvlink", "Pending") for n in range(9)}
    text = rendered(demo_view.queue_view(Snapshot(gangs=gangs), rows=4), 80)
    assert "9 waiting" in text and "5 not shown" in text


def test_results_list_what_had_a_place() -> None:
    text = rendered(demo_view.results(snapshot_of(gang("a", **{**PLACED, "phase": "Finished"}))), 100)
    assert "nvl-r1" in text and "89.6" in text
    assert QUEUE_LABEL not in text
