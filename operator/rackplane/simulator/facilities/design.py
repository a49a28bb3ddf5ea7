"""What a new facility is made of: its figures, and those that follow from them.

Loads are of every node at work, at peak: a facility that carries these carries everything else.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from enum import StrEnum
from itertools import combinations
from typing import Final

from rackplane.api.hardware_profile import HardwareProfile

__all__ = [
    "Design",
    "DesignError",
    "Path",
    "Row",
    "Scheme",
    "Shape",
    "parse_pairs",
    "parse_scheme",
    "rounded_up",
]

EFFICIENCY_BASIS_POINTS: Final = 9_700
CDU_DRAW_WATTS: Final = 15_000
CRAH_DRAW_WATTS: Final = 7_000
_MODULES: Final = 5
_MOST_UPS: Final = 9
_MOST_UNITS: Final = 60
_MOST_RACKS: Final = 20_000
_NAME: Final = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_LETTERS: Final = "abcdefghi"
#: What a rack draws beside its nodes, in watts, by the sources of the shipped profiles; others count it in the node.
_OVERHEAD: Final = {"gb300-nvl72": 13_200, "gb200-nvl72": 4_000, "vera-rubin-nvl72": 8_600}
_NODES: Final = {"nvl72": 18}


class DesignError(ValueError):
    """Figures that make no facility: which one, why, and what to do."""


class Shape(StrEnum):
    """N: one path. N_PLUS_1: one path whose UPS has a module more than it needs. SHARED: kN/(k-1), every pair of k UPS
    feeds as many rows; 2N is k = 2. CATCHER: k UPS, and one in reserve behind static transfer switches."""

    N = "N"
    N_PLUS_1 = "N+1"
    SHARED = "kN/(k-1)"
    CATCHER = "catcher"


@dataclass(frozen=True, slots=True)
class Scheme:
    """A redundancy scheme with its number of UPS that work; the catcher's reserve is not among them."""

    name: str
    shape: Shape
    ups: int


def parse_scheme(text: str) -> Scheme:
    """N, N+1, 2N, 3N/2, 4N/3, 5N/4 and so on, or catcher (of four) or catcher-K.

    Raises:
        DesignError: it is none of them.
    """
    said = text.strip().replace(" ", "").upper()
    if said in ("N", "N+1"):
        return Scheme(said, Shape.N if said == "N" else Shape.N_PLUS_1, 1)
    if said == "2N":
        return Scheme("2N", Shape.SHARED, 2)
    shared = re.fullmatch(r"([3-9])N/([2-8])", said)
    if shared and int(shared[1]) == int(shared[2]) + 1:
        return Scheme(said, Shape.SHARED, int(shared[1]))
    catcher = re.fullmatch(r"CATCHER(?:-([2-9]))?", said)
    if catcher:
        return Scheme("catcher", Shape.CATCHER, int(catcher[1] or 4))
    known = f"N, N+1, 2N, 3N/2, 4N/3, 5N/4 (up to {_MOST_UPS}N/{_MOST_UPS - 1}), catcher, catcher-K"
    raise DesignError(f"--scheme {text}: it is one of {known}")


@dataclass(frozen=True, slots=True)
class Path:
    """What feeds a row: UPS, by their letter or number."""

    sources: tuple[str, ...]

    @property
    def name(self) -> str:
        return "".join(self.sources)


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a hall; its name is unique in it."""

    name: str
    path: Path


def parse_pairs(text: str) -> tuple[Path, ...]:
    """ "AB,AC,BC": what the rows of a hall are fed by, in turn; whether there are such UPS is the design's to say."""
    return tuple(Path(tuple(part.strip().lower())) for part in text.split(","))


def rounded_up(watts: float, to: int) -> int:
    return math.ceil(watts / to - 1e-9) * to


@dataclass(frozen=True, slots=True)
class Design:
    """A campus of halls that are alike. Watts; None is worked out from the others.

    Args:
        rows: of a hall; None: one for each pair of UPS, or each UPS of a catcher, else 1.
        racks: of a row.
        nodes: of a rack; None: 18 for an NVL72, else 4.
        rack_overhead: what a rack draws beside its nodes.
        rack_limit: None: its peak.
        pairs: what each row is fed by, if not every pair of UPS feeds as many; only with a shared scheme.
        row_base: what a row draws beside its racks. Where rows have no busway it is counted as part of the racks.
        row_rating: of a row's busway, where there is one path; None: what it carries.
        ups_rating: None: as much as is needed after any loss.
        utility_rating: None: as much as all halls need.
        switchboard: instead of the UPS, and without losses; only with N.
        cooling: whether there are loops and air handlers.
        cdu_capacity, crah_capacity: of one unit.
    """

    profile: HardwareProfile
    scheme: Scheme
    halls: int = 1
    rows: int | None = None
    racks: int = 8
    nodes: int | None = None
    rack_overhead: int | None = None
    rack_limit: int | None = None
    row_base: int = 0
    row_rating: int | None = None
    ups_rating: int | None = None
    utility_rating: int | None = None
    pairs: tuple[Path, ...] = ()
    switchboard: bool = False
    cooling: bool = True
    cdu_capacity: int = 1_300_000
    crah_capacity: int = 110_000
    queue: str = "research"

    def check(self) -> None:
        """
        Raises:
            DesignError: the figures make no facility.
        """
        for name, value in (("halls", self.halls), ("racks", self.racks), ("rows", self.rows_of_a_hall)):
            if value < 1:
                raise DesignError(f"--{name} {value}: at least 1 is needed")
        if not _NAME.fullmatch(self.queue):
            raise DesignError(f"--queue {self.queue}: a name has lower-case letters, digits and hyphens")
        if self.halls * self.rows_of_a_hall * self.racks > _MOST_RACKS:
            raise DesignError(
                f"--halls, --rows, --racks: more than {_MOST_RACKS:,} racks are written for nobody"
            )
        self._check_paths()
        if self.row_rating is not None and not self.has_busways:
            raise DesignError(f"--row-rating: with {self.scheme.name} rows have no busway")
        if self.switchboard and self.scheme.shape is not Shape.N:
            raise DesignError(
                f"--switchboard: with {self.scheme.name} the UPS are the scheme: only N has none"
            )
        if self.rack_limit is not None and self.rack_limit < self.idle_of_a_rack:
            raise DesignError(
                f"--rack-limit {self.rack_limit}: idle, a rack draws {self.idle_of_a_rack:,} W already"
            )
        for name, heat, capacity in (
            ("cdu-capacity", self.liquid_of_a_hall, self.cdu_capacity),
            ("crah-capacity", self.air_of_a_hall, self.crah_capacity),
        ):
            units = self.units(heat, capacity)
            if self.cooling and units > _MOST_UNITS:
                raise DesignError(f"--{name} {capacity}: a hall would need {units} units: take larger ones")

    def _check_paths(self) -> None:
        if self.pairs:
            ups = _LETTERS[: self.scheme.ups] if self.scheme.shape is Shape.SHARED else ""
            for pair in self.pairs:
                if len(set(pair.sources)) != 2 or not set(pair.sources) <= set(ups):
                    known = f"its UPS are {', '.join(ups.upper())}" if ups else "it has no pairs"
                    raise DesignError(f"--pairs {pair.name.upper()}: no pair of {self.scheme.name}: {known}")
            if self.rows_of_a_hall % len(self.pairs):
                raise DesignError(
                    f"--rows {self.rows_of_a_hall}: --pairs names {len(self.pairs)}: give a multiple of that"
                )
        elif self.rows_of_a_hall % len(self.paths):
            raise DesignError(
                f"--rows {self.rows_of_a_hall}: {self.scheme.name} has {len(self.paths)} paths, and a hall survives a "
                f"loss only if all carry the same: give a multiple of {len(self.paths)}"
            )

    # -- counts --------------------------------------------------------------------------------------

    @property
    def paths(self) -> tuple[Path, ...]:
        """What rows are fed by, in turn."""
        if self.pairs:
            return tuple(dict.fromkeys(self.pairs))
        if self.scheme.shape is Shape.SHARED:
            return tuple(Path(pair) for pair in combinations(_LETTERS[: self.scheme.ups], 2))
        if self.scheme.shape is Shape.CATCHER:
            return tuple(Path((str(number),)) for number in range(1, self.scheme.ups + 1))
        return (Path(("",)),)

    @property
    def rows_of_a_hall(self) -> int:
        return len(self.pairs or self.paths) if self.rows is None else self.rows

    @property
    def has_busways(self) -> bool:
        """Whether there is an element between the UPS and the racks of a row."""
        return self.scheme.shape in (Shape.N, Shape.N_PLUS_1)

    @property
    def hall_rows(self) -> tuple[Row, ...]:
        in_turn = self.pairs or self.paths
        found = []
        for path in self.paths:
            of_a_path = in_turn.count(path) * self.rows_of_a_hall // len(in_turn)
            for number in range(1, of_a_path + 1):
                name = (
                    path.name
                    if of_a_path == 1 and path.name
                    else f"{path.name}{'-' if path.name else ''}{number}"
                )
                found.append(Row(name, path))
        return tuple(found)

    @property
    def nodes_of_a_rack(self) -> int:
        if self.nodes is not None:
            return self.nodes
        return next((count for part, count in _NODES.items() if part in self.profile.metadata.name), 4)

    @property
    def gpus(self) -> int:
        racks = self.halls * self.rows_of_a_hall * self.racks
        return racks * self.nodes_of_a_rack * self.profile.spec.gpus_per_node

    # -- watts ---------------------------------------------------------------------------------------

    @property
    def overhead_of_a_rack(self) -> int:
        known = self.rack_overhead
        if known is None:
            known = _OVERHEAD.get(self.profile.metadata.name, 0)
        shared = 0 if self.has_busways else self.row_base
        return known + math.ceil(shared / self.racks)

    @property
    def idle_of_a_rack(self) -> int:
        return self.overhead_of_a_rack + self.nodes_of_a_rack * self.profile.spec.idle_watts

    @property
    def peak_of_a_rack(self) -> int:
        spec = self.profile.spec
        return self.overhead_of_a_rack + self.nodes_of_a_rack * -(-spec.max_watts * spec.peak_percent // 100)

    @property
    def limit_of_a_rack(self) -> int:
        return rounded_up(self.peak_of_a_rack, 1_000) if self.rack_limit is None else self.rack_limit

    @property
    def load_of_a_row(self) -> int:
        base = self.row_base if self.has_busways else 0
        return self.racks * min(self.limit_of_a_rack, self.peak_of_a_rack) + base

    @property
    def load_of_a_hall(self) -> int:
        return self.rows_of_a_hall * self.load_of_a_row

    @property
    def rating_of_a_row(self) -> int:
        return rounded_up(self.load_of_a_row, 10_000) if self.row_rating is None else self.row_rating

    @property
    def rating_of_a_ups(self) -> int:
        """Of the whole UPS; of N+1 what may be used of it."""
        if self.ups_rating is not None:
            return self.ups_rating
        return rounded_up(self.most_of_a_ups, 10_000)

    @property
    def most_of_a_ups(self) -> float:
        """What the UPS that carries most has, after whichever loss: of a pair that has lost one the other has all."""
        if self.scheme.shape is not Shape.SHARED:
            return self.load_of_a_hall / self.scheme.ups
        fed = [row.path.sources for row in self.hall_rows]
        ups = sorted({source for sources in fed for source in sources})
        return self.load_of_a_row * max(
            sum(1.0 if lost in sources else 0.5 for sources in fed if one in sources)
            for one in ups
            for lost in ups
            if lost != one
        )

    @property
    def module_of_a_ups(self) -> int:
        """Of N+1: five carry the load, and there are six."""
        return rounded_up(self.rating_of_a_ups / _MODULES, 1_000)

    @property
    def modules(self) -> tuple[int, int]:
        """Installed, and needed."""
        return _MODULES + 1, _MODULES

    @property
    def rating_of_the_utility(self) -> int:
        if self.utility_rating is not None:
            return self.utility_rating
        of_a_hall = self.load_of_a_hall * 10_000 / EFFICIENCY_BASIS_POINTS + self.mechanical_of_a_hall
        return rounded_up(self.halls * of_a_hall, 100_000)

    # -- heat ----------------------------------------------------------------------------------------

    @property
    def liquid_of_a_hall(self) -> int:
        racks = self.rows_of_a_hall * self.racks * min(self.limit_of_a_rack, self.peak_of_a_rack)
        return math.ceil(racks * self.profile.spec.liquid_heat_percent / 100)

    @property
    def air_of_a_hall(self) -> int:
        racks = self.rows_of_a_hall * self.racks * min(self.limit_of_a_rack, self.peak_of_a_rack)
        return racks - racks * self.profile.spec.liquid_heat_percent // 100

    @staticmethod
    def units(heat: int, capacity: int) -> int:
        """Units that are needed; one more is installed."""
        return math.ceil(heat / capacity)

    @property
    def mechanical_of_a_hall(self) -> int:
        """What all units of a hall draw, all running."""
        if not self.cooling:
            return 0
        found = 0
        if self.liquid_of_a_hall:
            found += (self.units(self.liquid_of_a_hall, self.cdu_capacity) + 1) * CDU_DRAW_WATTS
        if self.air_of_a_hall:
            found += (self.units(self.air_of_a_hall, self.crah_capacity) + 1) * CRAH_DRAW_WATTS
        return found
