"""A folder of YAML becomes the operator's own machine, and what is wrong in it becomes words."""

from __future__ import annotations

from pathlib import Path

import pytest

from rackplane.core.offline.documents import DocumentError, read_documents
from rackplane.core.offline.snapshot import load_folder, snapshot
from rackplane.core.offline.yamltext import NotYaml, parse_yaml

FACILITY = """\
apiVersion: rackplane.dev/v1alpha1
kind: PowerDomain
metadata: {name: ups}
spec: {type: UPS, ratedWatts: 500_000}
---
# nothing but words
---
apiVersion: rackplane.dev/v1alpha1
kind: CoolingZone
metadata: {name: cdu}
spec:
  medium: Liquid
  neededUnits: 1
  units: [{name: cdu-1, capacityWatts: 400000}]
---
apiVersion: rackplane.dev/v1alpha1
kind: Rack
metadata: {name: r1}
spec:
  profile: gb300-nvl72
  nodeSelector: {rack: r1}
  overheadWatts: 13200
  limitWatts: 142000
  expectedNodes: 3
  feeds: [{powerDomain: ups, weight: 1}]
  cooling: {liquid: cdu}
"""
NODE = """\
apiVersion: v1
kind: Node
metadata:
  name: tray-1
  labels: {rack: r1}
status:
  allocatable: {nvidia.com/gpu: 4, cpu: 140}
  conditions: [{type: Ready, status: "True"}]
"""
JOB = """\
apiVersion: batch/v1
kind: Job
metadata: {name: train, labels: {rackplane.dev/queue: research}}
spec:
  parallelism: 2
  template:
    spec:
      containers:
      - {name: main, resources: {limits: {nvidia.com/gpu: 4, rdma/hca: 1}, requests: {cpu: 500m}}}
"""


def folder(path: Path, **files: str) -> Path:
    for name, text in files.items():
        (path / f"{name}.yaml").write_text(text)
    return path


def problems(path: Path) -> list[str]:
    with pytest.raises(DocumentError) as error:
        read_documents(path)
    return str(error.value).splitlines()


def test_a_folder_is_a_facility_whose_racks_have_the_nodes_they_are_built_for(tmp_path: Path) -> None:
    machine = snapshot(load_folder(folder(tmp_path, facility=FACILITY)))
    state = machine.state
    assert state is not None
    assert sorted(machine.world.nodes) == ["r1-01", "r1-02", "r1-03"]
    assert machine.world.nodes["r1-02"].metadata.labels == {"kubernetes.io/hostname": "r1-02", "rack": "r1"}
    report = state.report().racks["r1"]
    assert (report.nodes, report.gpus, report.free_gpus, report.problem) == (3, 12, 12, "")
    # 13,200 W of overhead and three idle GB300 trays.
    assert report.nominal_watts == 13_200 + 3 * state.facility.spec.node_types[0].idle_watts
    assert machine.world.catalog.problems(state.facility) == {}
    assert not machine.leading


def test_one_node_that_matches_is_all_the_rack_has(tmp_path: Path) -> None:
    machine = snapshot(load_folder(folder(tmp_path, facility=FACILITY, nodes=NODE)))
    assert list(machine.world.nodes) == ["tray-1"]
    assert machine.world.nodes["tray-1"].status.allocatable == {"nvidia.com/gpu": "4", "cpu": "140"}


def test_a_node_of_another_rack_leaves_the_expected_ones_and_keeps_its_name(tmp_path: Path) -> None:
    other = NODE.replace("tray-1", "r1-01").replace("rack: r1", "rack: r9")
    machine = snapshot(load_folder(folder(tmp_path, facility=FACILITY, nodes=other)))
    assert sorted(machine.world.nodes) == ["r1-01", "r1-01x", "r1-02", "r1-03"]


def test_nodes_on_paper_have_ample_of_what_a_job_asks_for_beside_gpus(tmp_path: Path) -> None:
    machine = snapshot(load_folder(folder(tmp_path, facility=FACILITY, job=JOB)))
    assert machine.world.nodes["r1-01"].status.allocatable == {
        "cpu": "1P",
        "ephemeral-storage": "1P",
        "memory": "1P",
        "nvidia.com/gpu": "4",
        "pods": "1P",
        "rdma/hca": "1P",
    }
    assert machine.world.jobs["default", "train"].spec.parallelism == 2
    assert machine.world.jobs["default", "train"].metadata.uid == "Job/default/train"


def test_a_gang_with_a_decision_is_booked(tmp_path: Path) -> None:
    gang = """\
apiVersion: rackplane.dev/v1alpha1
kind: Gang
metadata: {name: job-train, namespace: ai}
spec: {queue: research, slots: 2, gpusPerSlot: 4, workload: {apiVersion: batch/v1, kind: Job, name: train, uid: u1}}
status:
  phase: Running
  decision: {id: 1-7, term: 1, time: "2026-11-21T09:00:00Z"}
  assignment: [{nvlinkDomain: r1, rack: r1, nodes: [r1-01, r1-02]}]
  powerProfile: MaxP
"""
    machine = snapshot(load_folder(folder(tmp_path, facility=FACILITY, gang=gang)))
    assert machine.state is not None
    assert dict(machine.state.held("ai/job-train")) == {0: "r1-01", 1: "r1-02"}


def test_a_profile_of_the_folder_goes_before_the_shipped_one(tmp_path: Path) -> None:
    own = """\
apiVersion: rackplane.dev/v1alpha1
kind: HardwareProfile
metadata: {name: gb300-nvl72}
spec: {gpuModel: Other, gpusPerNode: 8, nvlinkScope: Label, idleWatts: 10, maxWatts: 20}
"""
    names = [body["metadata"]["name"] for body in load_folder(folder(tmp_path, facility=FACILITY))]
    assert names == ["gb300-nvl72", "ups", "cdu", "r1"]
    bodies = load_folder(folder(tmp_path, facility=FACILITY, profile=own))
    assert [b["spec"]["gpuModel"] for b in bodies if b["kind"] == "HardwareProfile"] == ["Other"]


def test_other_kinds_hidden_files_and_kustomizations_are_passed_over(tmp_path: Path) -> None:
    folder(tmp_path, facility=FACILITY, service="apiVersion: v1\nkind: Service\nspec: {ports: nonsense}\n")
    folder(
        tmp_path,
        volcano="apiVersion: scheduling.volcano.sh/v1beta1\nkind: Queue\n",
        kustomization="resources: [.]\n",
    )
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "config.yaml").write_text("[")
    (tmp_path / "notes.txt").write_text("[")
    assert [d.object for d in read_documents(tmp_path)] == ["PowerDomain ups", "CoolingZone cdu", "Rack r1"]


def test_lists_and_json_are_read_too(tmp_path: Path) -> None:
    (tmp_path / "queues.json").write_text(
        '{"apiVersion": "v1", "kind": "List", "items": ['
        '{"apiVersion": "rackplane.dev/v1alpha1", "kind": "Queue", "metadata": {"name": "a"}, "spec": {}},'
        '{"apiVersion": "rackplane.dev/v1alpha1", "kind": "Queue", "metadata": {"name": "b"}, "spec": {}}]}'
    )
    assert [d.object for d in read_documents(tmp_path)] == ["Queue a", "Queue b"]
    assert [d.object for d in read_documents(tmp_path / "queues.json")] == ["Queue a", "Queue b"]


def test_texts_are_read_as_kubectl_reads_them(tmp_path: Path) -> None:
    folder(
        tmp_path,
        odd="""\
apiVersion: rackplane.dev/v1alpha1
kind: PowerBudget
metadata: {name: b, annotations: {at: 18:00, version: 1.5e3x, base: 0x1F}}
spec: {start: 2026-11-21T17:00:00Z, day: 2026-11-21, clock: 18:00, hex: 0x1F, octal: 0777, signed: -1_000,
  half: .5, many: 1e3, none: ~, 7: on}
""",
    )
    with pytest.raises(DocumentError, match=r"spec\.targets is missing"):
        read_documents(tmp_path)
    [(number, body)] = parse_yaml((tmp_path / "odd.yaml").read_text())
    assert number == 1
    assert body["spec"] == {
        "start": "2026-11-21T17:00:00Z",
        "day": "2026-11-21",
        "clock": "18:00",
        "hex": 31,
        "octal": 511,
        "signed": -1000,
        "half": 0.5,
        "many": 1000.0,
        "none": None,
        "7": True,
    }


def test_merged_entries_give_way_to_the_objects_own() -> None:
    [(_, body)] = parse_yaml("base: &base {a: 1, b: 2}\nmade: {<<: *base, b: 3}\n")
    assert body["made"] == {"a": 1, "b": 3}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 1\nb: {c: 1, c: 2}\n", 'is not YAML: "c" is written twice in line 2'),
        ("a: " + "1" * 5000, "is not YAML: Exceeds the limit (4300 digits) for integer string conversion"),
        ("a: !!int word", "is not YAML: invalid literal for int() with base 0: 'word'"),
        ("a: !unknown x", "is not YAML: could not determine a constructor for the tag '!unknown' in line 1"),
        ("? {a: b}\n: c", "is not YAML: the key an object is not text in line 1"),
        ("a: &x {b: *x}", "is not YAML: found unconstructable recursive node in line 1"),
        ("a: \x00", "is not YAML: unacceptable character #x0000: control characters are not allowed"),
        ("a:\n\t- b", "is not YAML: found character that cannot start any token in line 2"),
        ("[" * 100_000, "is nested too deeply"),
    ],
)
def test_what_is_not_yaml_is_told_and_raises_nothing(text: str, said: str) -> None:
    [(number, problem)] = parse_yaml(text)
    assert isinstance(problem, NotYaml)
    assert (number, str(problem).partition(":  value")[0].partition("; use")[0].partition(": value")[0]) == (
        1,
        said,
    )


def test_json_with_tabs_and_marks_of_byte_order_are_read() -> None:
    assert list(parse_yaml('\ufeff{\n\t"a": [1, null]}')) == [(1, {"a": [1, None]})]
    assert list(parse_yaml("\ufeffa: 1\n")) == [(1, {"a": 1})]
    assert list(parse_yaml('{"a": 1}\n---\n{a: 2}\n')) == [(1, {"a": 1}), (2, {"a": 2})]


def test_every_problem_of_every_file_is_told_with_its_place(tmp_path: Path) -> None:
    folder(
        tmp_path,
        a=FACILITY.replace("limitWatts: 142000", "limitwatts: 142000").replace("type: UPS", "type: 7"),
        b=FACILITY.split("---")[0],
        c="apiVersion: v1\nkind: Node\nmetadata: {name: n, labels: {rack: 1}}\n---\njust words\n---\nkind: Rack\n",
        d="apiVersion: rackplane.dev/v1alpha1\nkind: Rack\nmetadata: {}\n---\na: 1\na: 2\n",
        e="apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec: [\n",
        f="apiVersion: rackplane.dev/v2\nkind: Rack\nmetadata: {name: r9}\nspec: {}\n",
        g="apiVersion: rackplane.dev/v1alpha1\nkind: Rock\nmetadata: {name: r9}\nspec: {}\n",
    )
    (tmp_path / "h.yaml").write_bytes(b"\xff\xfe\xfa")
    assert problems(tmp_path) == [
        "a.yaml, document 1 (PowerDomain ups): spec.type is 7, which is not one of the choices. Write one of Utility, "
        "Substation, Generator, BESS, UPS, Switchgear, TransferSwitch, Busway, PDU, FloorPDU, RPP, RackPDU, "
        "PowerShelf, Other. It means: What the element is.",
        'a.yaml, document 4 (Rack r1): spec.limitWatts is missing (there is "limitwatts": a typing error?). Write a '
        "whole number from 1 to 100000000000. It means: Nominal watts the rack may draw, overhead and idle nodes "
        "included.",
        "c.yaml, document 1 (Node n): metadata.labels does not fit: expected text, got a number. Write what Kubernetes "
        "takes here.",
        'c.yaml, document 2: it is "just words", not a Kubernetes object. Write an object with apiVersion, kind and '
        "metadata.",
        "c.yaml, document 3: apiVersion is missing. Write a Kubernetes object, or keep the file elsewhere.",
        "d.yaml, document 1 (Rack): metadata.name is missing. Name the object.",
        'd.yaml, document 2: it is not YAML: "a" is written twice in line 6. Correct it, or keep files of another kind '
        "elsewhere.",
        "e.yaml, document 1: it is not YAML: did not find expected node content in line 5. Correct it, or keep files "
        "of another kind elsewhere.",
        'f.yaml, document 1 (Rack r9): apiVersion is "rackplane.dev/v2". Write rackplane.dev/v1alpha1.',
        'g.yaml, document 1 (Rock r9): kind is "Rock", which is no kind of rackplane.dev. Write one of '
        "HardwareProfile, PowerDomain, CoolingZone, Rack, NVLinkDomain, PowerBudget, Queue, Gang.",
        "h.yaml: the file is not text in UTF-8. Correct it, or keep files of another kind elsewhere.",
    ]


def test_an_object_that_is_there_twice_is_told(tmp_path: Path) -> None:
    folder(tmp_path, a=FACILITY, b=FACILITY.split("---")[0])
    assert problems(tmp_path) == [
        "b.yaml, document 1 (PowerDomain ups): PowerDomain ups is in a.yaml, document 1 already. Remove one of the "
        "two, or rename it."
    ]


def test_a_folder_that_is_not_there_or_empty_is_told(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    assert problems(gone) == [
        f"{gone}: the folder or file does not exist. Name a folder of YAML files, or one file."
    ]
    assert problems(tmp_path) == [
        f"{tmp_path}: the folder has no YAML files. Name a folder of Kubernetes objects in YAML or JSON."
    ]
