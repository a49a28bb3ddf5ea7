"""From flags and variables to the settings of an operator and its machine."""

from __future__ import annotations

from typing import Any

import pytest

from rackplane.cli.parser import main
from rackplane.controller.operator import Operator
from rackplane.controller.settings import OperatorSettings


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[OperatorSettings]:
    """The settings of each operator that is asked to run; none does."""
    asked: list[OperatorSettings] = []

    async def run(settings: OperatorSettings) -> None:
        asked.append(settings)

    monkeypatch.setattr("rackplane.controller.operator.run", run)
    monkeypatch.setattr("rackplane.controller.logging.configure_logging", lambda **_: None)
    return asked


@pytest.mark.parametrize(
    ("flags", "variable", "admits"),
    [
        ([], None, False),
        (["--admit-after-loss"], None, True),
        ([], "true", True),
        ([], "false", False),
    ],
)
def test_admission_after_a_loss(
    flags: list[str],
    variable: str | None,
    admits: bool,
    runs: list[OperatorSettings],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if variable is not None:
        monkeypatch.setenv("RACKPLANE_ADMIT_AFTER_LOSS", variable)
    assert main(["operator", *flags]) == 0
    [settings] = runs
    nobody: Any = None
    assert settings.admit_after_loss is admits
    assert Operator(settings=settings, client=nobody).machine.settings.admit_after_loss is admits


@pytest.mark.parametrize("of", ["supply", "state"])
def test_a_query_needs_somebody_to_ask(
    of: str, runs: list[OperatorSettings], capsys: pytest.CaptureFixture[str]
) -> None:
    query = f"--telemetry-{of}-query=up"
    with pytest.raises(SystemExit):
        main(["operator", query])
    assert f"telemetry_{of}_query: it needs a telemetry_url to ask" in capsys.readouterr().err
    assert runs == []
    assert main(["operator", query, "--telemetry-url=http://prometheus:9090"]) == 0
    assert len(runs) == 1


@pytest.mark.parametrize(
    ("flags", "assumed", "lookahead"),
    [
        ([], 86_400.0, 604_800.0),
        (["--assumed-duration-seconds=3600", "--lookahead-seconds=1209600"], 3_600.0, 1_209_600.0),
        (["--assumed-duration-seconds=inf"], float("inf"), 604_800.0),
    ],
)
def test_times_ahead(
    flags: list[str], assumed: float, lookahead: float, runs: list[OperatorSettings]
) -> None:
    assert main(["operator", *flags]) == 0
    [settings] = runs
    nobody: Any = None
    machine = Operator(settings=settings, client=nobody).machine.settings
    assert (machine.assumed_duration_seconds, machine.lookahead_seconds) == (assumed, lookahead)


@pytest.mark.parametrize(("flags", "most"), [([], 1), (["--reservations=0"], 0), (["--reservations=5"], 5)])
def test_reservations(flags: list[str], most: int, runs: list[OperatorSettings]) -> None:
    assert main(["operator", *flags]) == 0
    [settings] = runs
    nobody: Any = None
    assert Operator(settings=settings, client=nobody).machine.settings.reservations == most


def test_mode_and_lease(runs: list[OperatorSettings]) -> None:
    assert main(["operator"]) == 0
    lease = ["--lease-seconds=30", "--lease-renew-seconds=9", "--lease-retry-seconds=2"]
    assert main(["operator", "--mode=Observe", *lease]) == 0
    usual, other = runs
    nobody: Any = None
    assert [Operator(settings=s, client=nobody).machine.settings.observe for s in runs] == [False, True]
    assert (usual.lease_seconds, usual.lease_renew_seconds, usual.lease_retry_seconds) == (10.0, 3.0, 1.0)
    assert (other.lease_seconds, other.lease_renew_seconds, other.lease_retry_seconds) == (30.0, 9.0, 2.0)


@pytest.mark.parametrize(("flags", "half_life"), [([], 7 * 86_400.0), (["--share-half-life-seconds=0"], 0.0)])
def test_half_life_of_shares(flags: list[str], half_life: float, runs: list[OperatorSettings]) -> None:
    assert main(["operator", *flags]) == 0
    [settings] = runs
    nobody: Any = None
    machine = Operator(settings=settings, client=nobody).machine
    assert machine.settings.share_half_life_seconds == half_life


@pytest.mark.parametrize(
    ("flags", "levels"),
    [
        ([], ("nvlink", "leaf", "spine", "hall", "site")),
        (["--fabric-levels=sub-domain,nvlink,su"], ("sub-domain", "nvlink", "su")),
    ],
)
def test_levels(flags: list[str], levels: tuple[str, ...], runs: list[OperatorSettings]) -> None:
    assert main(["operator", *flags, "--fabric-labels=nvlink=eks"]) == 0
    [settings] = runs
    nobody: Any = None
    machine = Operator(settings=settings, client=nobody).machine
    assert machine.world.catalog.fabric.levels == levels
    assert machine.settings.fabric.keys["nvlink"] == ("topology.k8s.aws/ultraserver-id",)


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--fabric-levels=leaf,leaf", "fabric_levels, fabric_labels: level leaf is named twice"),
        ("--fabric-labels=leaf=tor", "fabric_levels, fabric_labels: 'tor' is neither a node label"),
        ("--assumed-duration-seconds=0", "assumed_duration_seconds: 0.0 is not 1 s or more"),
        (
            "--lease-seconds=6",
            "lease_renew_seconds: 3.0 must be more than 0 s and less than half of lease_seconds",
        ),
        ("--lease-retry-seconds=4", "lease_retry_seconds: 4.0 must be more than 0 s and not more than"),
        ("--mode=observe", "there is no 'observe'"),
        ("--reservations=-1", "reservations: -1 is not within 0 to 100"),
        ("--share-half-life-seconds=-1", "share_half_life_seconds: -1.0 is not within 0 to 34560000 s"),
        ("--share-half-life-seconds=nan", "share_half_life_seconds: nan is not within 0 to 34560000 s"),
        ("--assumed-duration-seconds=nan", "assumed_duration_seconds: nan is not 1 s or more"),
        ("--lookahead-seconds=inf", "lookahead_seconds: inf is not within 1 to 34560000 s"),
        ("--node-loss-seconds=-1", "node_loss_seconds: -1.0 is not 0 s or more"),
        (
            "--lost-node-conditions=GpuHealthy=no",
            "lost_node_conditions: 'GpuHealthy=no': the status of a condition is True, False or Unknown",
        ),
        (
            "--lost-node-conditions=Ready=False",
            "lost_node_conditions: Ready need not be named: a node whose Ready condition is not True is lost anyway",
        ),
        ("--lookahead-seconds=0", "lookahead_seconds: 0.0 is not within 1 to 34560000 s"),
    ],
)
def test_times_that_mean_nothing(
    flag: str, message: str, runs: list[OperatorSettings], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["operator", flag])
    assert (stopped.value.code, runs) == (2, [])
    assert message in capsys.readouterr().err


def test_discovery_is_off_unless_asked_for(runs: list[OperatorSettings]) -> None:
    assert main(["operator"]) == 0
    template = '{"limitWatts": 5, "feeds": [{"powerDomain": "a", "weight": 1}]}'
    words = [
        "--discovery",
        "--discovery-rack-labels=example.com/rack,nvlink",
        "--discovery-rack-template",
        template,
    ]
    assert main(["operator", *words]) == 0
    assert [settings.discovery for settings in runs] == [False, True]


@pytest.mark.parametrize(
    ("flag", "why"),
    [
        ("--discovery-rack-labels=no label", "discovery_rack_labels: 'no label' is neither a node label"),
        ("--discovery-rack-template={}", "discovery_rack_template: limitWatts is missing"),
        ("--discovery-seconds=0.5", "discovery_seconds: 0.5 is not 1 s or more"),
    ],
)
def test_discovery_that_cannot_be_is_refused_at_the_start(
    flag: str, why: str, runs: list[OperatorSettings], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["operator", flag])
    assert why in capsys.readouterr().err
    assert runs == []
