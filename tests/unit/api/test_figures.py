"""What the status may say is what the engine knows."""

from __future__ import annotations

from rackplane.api.figures import LimitKind, StrandedCause
from rackplane.core.site.figures import LIMIT_KINDS
from rackplane.engine.physics.rows import RowKind
from rackplane.engine.reporting.stranded import StrandedBy


def test_every_limit_has_a_name_of_its_own() -> None:
    assert set(LIMIT_KINDS) == set(RowKind)
    assert set(LIMIT_KINDS.values()) == set(LimitKind)


def test_causes_are_the_engines() -> None:
    assert [c.value for c in StrandedCause] == [c.value for c in StrandedBy]
