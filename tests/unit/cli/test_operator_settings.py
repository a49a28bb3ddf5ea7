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
