"""What questions are asked of: the same answers from a cluster and a folder, and words for what cannot be read."""

from __future__ import annotations

import argparse
import re
from collections.abc import AsyncGenerator, Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from rackplane.api.crd import crd
from rackplane.api.kinds import KINDS
from rackplane.cli import parser
from rackplane.cli.cluster import read_cluster
from rackplane.cli.errors import CommandError
from rackplane.cli.source import add_source_arguments, namespace_of, open_source, time_of
from rackplane.core import events as e
from rackplane.core.offline.snapshot import machine_of
from rackplane.kube.client import ApiError
from tests.support.served import served
from tests.unit.cli.hall import HALL, folder, gang

CRDS = [crd(model) for model in KINDS]
NODES: list[dict[str, Any]] = [
    {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": f"{rack}-{number:02}", "labels": {"rack": rack}},
        "status": {
            "allocatable": {"nvidia.com/gpu": "4", "pods": "110"},
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    }
    for rack in ("r1", "r2", "r3")
    for number in range(1, 5)
]


def options(*words: str) -> argparse.Namespace:
    made = argparse.ArgumentParser()
    made.add_argument("-n", "--namespace")
    add_source_arguments(made)
    return made.parse_args(words)


def test_a_cluster_and_a_folder_of_the_same_objects_answer_alike(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    objects = [*HALL, gang("a", "r1-01", "r1-02", "r1-03", "r1-04"), *NODES]
    path = folder(tmp_path / "hall", *objects)
    kubeconfig = tmp_path / "kubeconfig"

    def answers(*source: str) -> list[str]:
        found = []
        for words in (
            ["tree", "power"],
            ["tree", "cooling", "-o", "json"],
            ["tree", "fabric"],
            ["explain", "gang", "a"],
        ):
            assert parser.main([*words, *source]) == 0
            found.append(capsys.readouterr().out)
        return found

    with served(kubeconfig, *CRDS, *objects):
        assert answers("--kubeconfig", str(kubeconfig)) == answers("--facility", path)


def test_a_gang_of_the_cluster_without_its_job_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kubeconfig = tmp_path / "kubeconfig"
    with served(kubeconfig, *CRDS, *HALL, gang("late")):
        assert parser.main(["explain", "gang", "late", "--kubeconfig", str(kubeconfig)]) == 1
    assert capsys.readouterr().out.splitlines()[-1] == "  because     its Job late does not exist"


# -- a cluster that answers as told ------------------------------------------------------------------


class Told:
    """A client whose lists are what `answer` makes of a path; an ApiError that it returns is raised."""

    def __init__(self, answer: Callable[[str, Mapping[str, str]], Any]) -> None:
        self.answer = answer
        self.asked: list[tuple[str, str]] = []

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: object = None,
        content_type: str = "application/json",
        timeout: float = 30,  # noqa: ASYNC109
    ) -> bytes:
        self.asked.append((method, path))
        found = self.answer(path, query or {})
        if isinstance(found, ApiError):
            raise found
        return found if isinstance(found, bytes) else msgspec.json.encode(found)

    def lines(
        self, path: str, *, query: Mapping[str, str] | None = None, timeout: float = 330
    ) -> AsyncGenerator[bytes, None]:
        raise AssertionError("questions watch nothing")


EMPTY: dict[str, Any] = {"metadata": {"resourceVersion": "1"}, "items": []}


def failing(where: str, error: ApiError) -> Told:
    return Told(lambda path, _: error if path.endswith("/" + where) else EMPTY)


async def test_what_is_asked_for_is_what_the_documented_role_allows() -> None:
    client = Told(lambda *_: EMPTY)
    assert await read_cluster(client) == []
    page = Path(__file__).parents[3] / "docs" / "cli.md"
    [role] = [
        document
        for block in re.findall(
            r"^```yaml\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
        )
        for document in yaml.safe_load_all(block)
        if document["kind"] == "ClusterRole"
    ]
    assert {verb for rule in role["rules"] for verb in rule["verbs"]} == {"list"}
    versions = {"": "/api/v1", "rackplane.dev": "/apis/rackplane.dev/v1alpha1"}
    alpha = {"podgroups": "/apis/scheduling.k8s.io/v1alpha2"}
    allowed = {
        f"{alpha.get(resource) or versions.get(group, f'/apis/{group}/v1')}/{resource}"
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
    }
    assert sorted(client.asked) == sorted(("GET", path) for path in allowed)


async def test_lists_are_read_to_their_last_page() -> None:
    def answer(path: str, query: Mapping[str, str]) -> Any:
        if not path.endswith("/racks"):
            return EMPTY
        rack = next(
            body for body in HALL if body["metadata"]["name"] == ("r1" if "continue" not in query else "r2")
        )
        more = {} if "continue" in query else {"continue": "x"}
        return {
            "metadata": {"resourceVersion": "1", **more},
            "items": [{k: rack[k] for k in ("metadata", "spec")}],
        }

    events = await read_cluster(Told(answer))
    assert [event.name for event in events if isinstance(event, e.FacilityChanged)] == ["r1", "r2"]
    state = machine_of(events, 0.0).state
    assert state is not None and [rack.name for rack in state.facility.racks] == ["r1", "r2"]


@pytest.mark.parametrize(
    ("where", "error", "said"),
    [
        pytest.param(
            "pods",
            ApiError(403, "Forbidden", 'pods is forbidden: User "jane" cannot list resource "pods"'),
            'no permission to list pods in all of the cluster: pods is forbidden: User "jane" cannot list resource '
            '"pods"; ask for a ClusterRole that allows the verb list on them (docs/cli.md has one)',
            id="forbidden",
        ),
        pytest.param(
            "racks",
            ApiError(404, "NotFound", "404 page not found"),
            "the cluster knows no racks.rackplane.dev: install the CRDs of Rackplane (helm install, or kubectl apply "
            "-f crds), or name another --context",
            id="no-crds",
        ),
        pytest.param(
            "nodes",
            ApiError(401, "Unauthorized", "Unauthorized"),
            "the API server does not know who asks: Unauthorized; log in, or name another --context",
            id="unauthorized",
        ),
        pytest.param(
            "nodes",
            ApiError(0, "Transport", "GET /api/v1/nodes: connection refused"),
            "the cluster cannot be asked: GET /api/v1/nodes: connection refused",
            id="down",
        ),
        pytest.param(
            "gangs",
            ApiError(500, "InternalError", "etcd is sad"),
            "the list of gangs.rackplane.dev was refused (500): etcd is sad",
            id="broken",
        ),
    ],
)
async def test_what_cannot_be_listed_is_told_by_verb_and_resource(
    where: str, error: ApiError, said: str
) -> None:
    with pytest.raises(CommandError) as refused:
        await read_cluster(failing(where, error))
    assert str(refused.value) == said


async def test_all_that_is_forbidden_is_told_at_once() -> None:
    forbidden = ApiError(403, "Forbidden", "not you")
    client = Told(lambda path, _: forbidden if "/v1/" in path else EMPTY)
    with pytest.raises(CommandError) as refused:
        await read_cluster(client)
    told = str(refused.value).partition(" in all of the cluster")[0]
    assert told == (
        "no permission to list nodes, jobs.batch, pods, resourceclaims.resource.k8s.io, "
        "resourceclaimtemplates.resource.k8s.io, priorityclasses.scheduling.k8s.io"
    )


async def test_an_answer_that_is_no_list_is_told() -> None:
    with pytest.raises(
        CommandError, match="the cluster cannot be asked: the answer to a list of nodes cannot be read"
    ):
        await read_cluster(Told(lambda path, _: b"<html>" if path.endswith("/nodes") else EMPTY))


async def test_a_cluster_without_resource_claims_is_fine() -> None:
    for plural in ("resourceclaims", "resourceclaimtemplates"):
        assert await read_cluster(failing(plural, ApiError(404, "NotFound", "no such resource"))) == []


@pytest.mark.parametrize("status", [403, 404])
async def test_a_cluster_without_pod_groups_or_the_right_to_see_them_is_fine(status: int) -> None:
    assert await read_cluster(failing("podgroups", ApiError(status, "", "no"))) == []


async def test_an_object_that_does_not_fit_is_passed_over_with_its_name(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def answer(path: str, _: Mapping[str, str]) -> Any:
        items = [{"metadata": {"name": "odd", "namespace": "ai", "labels": 7}}, {"metadata": {"name": "p"}}]
        return {**EMPTY, "items": items} if path.endswith("/pods") else EMPTY

    events = await read_cluster(Told(answer))
    assert [event.pod.metadata.name for event in events if isinstance(event, e.PodChanged)] == ["p"]
    assert capsys.readouterr().err == (
        "rackplane: pods ai/odd is passed over: Expected `object`, got `int` - at `$.metadata.labels`\n"
    )


# -- options -----------------------------------------------------------------------------------------


def test_a_time_may_be_asked_about() -> None:
    assert time_of(options("--at", "2026-11-21T12:00:00Z")) == 1_795_262_400.0
    assert time_of(options("--at", "2026-11-21T13:00:00+01:00")) == 1_795_262_400.0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("noon", "'noon' is no time such as 2026-11-23T17:00:00Z"),
        ("2026-11-21T12:00:00", "has no time zone: write 2026-11-21T12:00:00Z for UTC, or an offset"),
    ],
)
def test_a_time_that_is_none_is_told(text: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        options("--at", text)
    assert said in capsys.readouterr().err


def test_the_namespace_is_the_one_asked_for_or_kubectls(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kubeconfig = tmp_path / "kubeconfig"
    with served(kubeconfig):
        text = kubeconfig.read_text().replace("namespace: default", "namespace: research")
    kubeconfig.write_text(text)
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig))
    assert namespace_of(options()) == "research"
    assert namespace_of(options("-n", "ai")) == "ai"
    assert namespace_of(options("--facility", ".")) == "default"


def test_a_folder_and_a_cluster_together_are_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="leave out --kubeconfig"):
        open_source(options("--facility", str(tmp_path), "--context", "x"))


def test_no_kubeconfig_is_told_with_the_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    missing = tmp_path / "nowhere"
    assert parser.main(["tree", "power", "--kubeconfig", str(missing)]) == 3
    assert capsys.readouterr().err == (
        f"rackplane: There is no kubeconfig at {missing}; name one with --kubeconfig, or ask a folder with --facility\n"
    )


def test_a_folder_that_cannot_be_read_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "racks.yaml").write_text("kind: [\n")
    assert parser.main(["tree", "power", "--facility", str(tmp_path)]) == 3
    assert capsys.readouterr().err == (
        "rackplane: racks.yaml, document 1: it is not YAML: did not find expected node content in line 2. Correct it, "
        "or keep files of another kind elsewhere.\n"
    )


def test_a_mistyped_option_brings_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        parser.main(["tree", "power", "--facilty=x"])
    assert stopped.value.code == 2
    assert capsys.readouterr().err.splitlines()[-1] == (
        "rackplane tree: error: unrecognized arguments: --facilty=x; did you mean --facility?"
    )
