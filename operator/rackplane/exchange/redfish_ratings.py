"""What the mains of a piece of equipment may carry, from the Circuit that Redfish describes."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any, TypeGuard

from rackplane.api.base import MAX_WATTS

__all__ = ["NoRating", "is_figure", "mains_watts"]


class NoRating(ValueError):
    """A circuit that does not say enough; the text says what is missing, and goes on after a colon."""


def is_figure(value: object) -> TypeGuard[int | float]:
    """Whether it is a number above 0, and no greater than any equipment's."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= MAX_WATTS


def mains_watts(circuit: Mapping[str, Any], power_factor: float | None) -> float:
    """Watts: rated amperes times the lowest voltage that NominalVoltage allows, times the root of three where there are
    three phases (the voltage is then taken for that between two lines), times the power factor of alternating current.

    Raises:
        NoRating: one of these is not there.
    """
    amperes, said = circuit.get("RatedCurrentAmps"), circuit.get("NominalVoltage")
    if not is_figure(amperes):
        raise NoRating(f"RatedCurrentAmps is {amperes!r}")
    match = re.fullmatch(r"(AC|DC)([0-9]+)(?:To([0-9]+))?V(?:AC|DC)?", str(said))
    if match is None:
        raise NoRating(f"NominalVoltage is {said!r}")
    volts = min(int(number) for number in match.groups()[1:] if number is not None)
    if match[1] == "DC" or circuit.get("VoltageType") == "DC":
        return float(amperes * volts)
    if power_factor is None:
        raise NoRating("volt-amperes are no watts: say --power-factor")
    wiring = circuit.get("PhaseWiringType")
    if not isinstance(wiring, str):
        raise NoRating(f"PhaseWiringType is {wiring!r}")
    phases = math.sqrt(3) if wiring.startswith("ThreePhase") else 1.0
    return amperes * volts * phases * power_factor
