"""`rackplane explain gang`: what the operator would decide, on the hall of the trees' tests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from rackplane.cli import parser
from tests.support.podgroups import pod_group
from tests.unit.cli.hall import HALL, folder, gang, job

EXPECTED = Path(__file__).with_name("expected")
#: Free nodes: four in r2, two in r3.
GANGS = (
    gang("a", "r1-01", "r1-02", "r1-03", "r1-04"),
    gang("b", "r3-01", "r3-02", rack="r3", profile="MaxQ"),
)
AT = ("--at", "2026-11-21T12:00:00Z")


@pytest.fixture
def hall(tmp_path: Path) -> str:
    return folder(tmp_path / "hall", *HALL, *GANGS)


def ask(capsys: pytest.CaptureFixture[str], *arguments: str, code: int) -> str:
    assert parser.main(["explain", "gang", *arguments, *AT]) == code
    captured = capsys.readouterr()
    assert not (captured.out and captured.err)
    return captured.out or captured.err


def data(capsys: pytest.CaptureFixture[str], *arguments: str, code: int) -> Any:
    return json.loads(ask(capsys, *arguments, "-o", "json", code=code))


def expected(name: str) -> str:
    return (EXPECTED / f"{name}.txt").read_text(encoding="utf-8")


def file(path: Path, *objects: dict[str, Any]) -> str:
    path.write_text(yaml.safe_dump_all(objects))
    return str(path)


def test_a_gang_that_runs_shows_what_it_holds_on_the_way_up(
    hall: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ask(capsys, "job-a", "--facility", hall, code=0) == expected("explain-runs")
    # By the name of its Job as well.
    assert ask(capsys, "a", "--facility", hall, code=0) == expected("explain-runs")


def test_a_job_that_is_not_submitted_could_start(
    hall: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = file(
        tmp_path / "job.yaml", job("c", pods=6, annotations={"rackplane.dev/required-topology": "leaf"})
    )
    assert ask(capsys, "-f", asked, "--facility", hall, code=0) == expected("explain-could-start")


def test_a_job_that_does_not_fit_is_told_why_and_what_would_help(
    hall: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = file(tmp_path / "job.yaml", job("c", pods=7))
    assert ask(capsys, "-f", asked, "--facility", hall, code=1) == expected("explain-waits")


def test_a_job_of_the_folder_is_queued_behind_those_before_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = folder(tmp_path / "hall", *HALL, *GANGS, job("first", pods=4), job("second", pods=4))
    first = data(capsys, "first", "--facility", path, code=0)
    second = data(capsys, "second", "--facility", path, code=1)
    assert (first["outcome"], first["position"], first["waiting"]) == ("CouldStart", 1, 2)
    assert [group["rack"] for group in first["placement"]["assignment"]] == ["r2"]
    assert (second["outcome"], second["position"]) == ("Waits", 2)
    assert second["message"].startswith("needs 4 nodes of 4 GPUs; the facility has 2 free; ")
    assert [relief["type"] for relief in second["explanation"]["reliefs"]] == ["GangEnd", "FewerSlots"]


def test_a_gang_alone_is_asked_for_with_its_gpus(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    waiting = gang("later", slots=3, topology={"required": "nvlink"})
    path = folder(tmp_path / "hall", *HALL, *GANGS, waiting)
    found = data(capsys, "later", "--facility", path, code=0)
    assert [(g["rack"], len(g["nodes"])) for g in found["placement"]["assignment"]] == [("r2", 3)]
    bare = {**waiting, "metadata": {"name": "pod-group", "namespace": "default"}}
    path = folder(tmp_path / "bare", *HALL, *GANGS, bare)
    assert data(capsys, "group", "--facility", path, code=0)["placement"] == found["placement"]


def test_the_pods_of_a_gang_are_asked_for_together(
    hall: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    template = job("x", pods=1)["spec"]["template"]["spec"]
    labels = {"rackplane.dev/queue": "research", "rackplane.dev/gang": "pair"}
    pods = [
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "labels": labels, "annotations": {"rackplane.dev/gang-size": "2"}},
            "spec": template,
        }
        for name in ("pair-0", "pair-1")
    ]
    asked = file(tmp_path / "pods.yaml", *pods)
    found = data(capsys, "-f", asked, "--facility", hall, code=0)
    assert (found["name"], found["slots"]) == ("pod-pair", 2)
    assert found["placement"]["nominalWatts"] == 18_000


def test_a_lower_profile_is_offered_and_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tight = [{**b, "spec": {**b["spec"], "limitWatts": 35_000}} if b["kind"] == "Rack" else b for b in HALL]
    path = folder(tmp_path / "hall", *tight)
    asked = file(
        tmp_path / "job.yaml", job("c", pods=4, annotations={"rackplane.dev/required-topology": "nvlink"})
    )
    found = data(capsys, "-f", asked, "--facility", path, code=0)["placement"]
    assert (found["powerProfile"], found["nodeWatts"], found["relativePerformancePercent"]) == (
        "MaxQ",
        [7_000],
        85,
    )
    text = ask(capsys, "-f", asked, "--facility", path, code=0)
    assert "profile     MaxQ instead of MaxP, 7,000 W a node, 85 % of full speed\n" in text


def test_a_gang_that_has_ended_or_is_held_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def ended(name: str, phase: str, message: str) -> dict[str, Any]:
        return {**gang(name), "status": {"phase": phase, "message": message}}

    path = folder(
        tmp_path / "hall",
        *HALL,
        ended("done", "Finished", "the job is complete"),
        ended("held", "Held", "the Job is suspended by its user"),
    )
    assert (
        ask(capsys, "done", "--facility", path, code=0).splitlines()[0]
        == "Gang default/job-done has finished"
    )
    assert ask(capsys, "held", "--facility", path, code=1).splitlines()[::3] == [
        "Gang default/job-held is held",
        "  because     the Job is suspended by its user",
    ]


# -- what cannot be answered -------------------------------------------------------------------------


def test_a_request_that_cannot_be_read_names_the_field(
    hall: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = file(tmp_path / "job.yaml", job("c", pods=1, annotations={"rackplane.dev/segment-size": "many"}))
    said = ask(capsys, "-f", asked, "--facility", hall, code=3)
    assert said.startswith(
        "rackplane: default/job-c asks for what cannot be read: metadata.annotations[rackplane.dev/segment-size] "
    )


def test_names_that_are_not_there(hall: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = file(
        tmp_path / "service.yaml", {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"}}
    )
    plain = job("c", pods=1)
    del plain["metadata"]["labels"]
    unlabelled = file(tmp_path / "plain.yaml", plain)
    known = file(tmp_path / "known.yaml", *(b for b in GANGS[:1]), job("a", pods=1), job("b", pods=1))
    assert [
        ask(capsys, *words, "--facility", hall, code=code)
        for code, words in (
            (1, ["jbo-a"]),
            (1, ["a", "-n", "other"]),
            (2, []),
            (3, ["-f", other]),
            (3, ["-f", unlabelled]),
            (2, ["-f", known]),
            (3, ["-f", str(tmp_path / "gone.yaml")]),
        )
    ] == [
        "rackplane: there is no gang jbo-a in namespace default; did you mean job-a?\n",
        "rackplane: there is no gang a in namespace other; there is one in default: add -n\n",
        "rackplane: name a gang, or a file with -f\n",
        f"rackplane: {other} has no Job and no Pod: name a file with a workload\n",
        f"rackplane: {unlabelled}: Job c has no label rackplane.dev/queue, so Rackplane leaves it to others; add the "
        "label with the name of a Queue\n",
        "rackplane: -f has 2 gangs; name one of job-a, job-b\n",
        f"rackplane: {tmp_path}/gone.yaml: the folder or file does not exist. Name a folder of YAML files, or one "
        "file.\n",
    ]


def test_wrong_usage_is_an_error_and_no_answer(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        parser.main(["explain", "gnag", "x"])
    assert stopped.value.code == 2
    assert capsys.readouterr().err.splitlines()[-1] == (
        "rackplane explain: error: argument what: there is no 'gnag'; did you mean gang?"
    )


def test_pods_of_a_pod_group_in_the_file_are_one_gang(
    hall: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    container = {"name": "main", "image": "example", "resources": {"limits": {"nvidia.com/gpu": 4}}}
    pods = [
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": f"w-{i}", "labels": {"rackplane.dev/queue": "research"}},
            "spec": {"containers": [container], "schedulingGroup": {"podGroupName": "train"}},
        }
        for i in range(2)
    ]
    asked = file(tmp_path / "pods.yaml", pod_group("train", gang=2), *pods)
    found = data(capsys, "-f", asked, "--facility", hall, code=0)
    assert (found["name"], found["slots"]) == ("podgroup-train", 2)
    alone = file(tmp_path / "alone.yaml", *pods)
    said = ask(capsys, "-f", alone, "--facility", hall, code=3)
    assert 'names PodGroup "train", which is not seen in namespace default' in said
