"""docs/metrics.md is what the code says, and the code tells nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from rackplane.controller.metrics.families import Family, Kind
from rackplane.controller.metrics.reference import SECTIONS, render, scraped

PAGE = Path(__file__).resolve().parents[4] / "docs" / "metrics.md"


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == render(), "run make metrics-docs"


def test_no_name_stands_twice_and_histograms_tell_what_they_measure() -> None:
    names = [name for section in SECTIONS for family in section for name in family.scraped]
    assert len(names) == len(set(names)) == len(scraped())
    for section in SECTIONS:
        for family in section:
            assert family.name.startswith("rackplane_") and family.text.endswith(".")
            if family.kind is Kind.HISTOGRAM:
                assert family.buckets == tuple(sorted(family.buckets))
                assert family.name.endswith(("_seconds", "_over_minimum"))


def test_a_counter_is_known_by_its_name() -> None:
    with pytest.raises(ValueError, match="end in _total"):
        Family("rackplane_things", Kind.COUNTER, "Things.")
