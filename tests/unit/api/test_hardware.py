"""The shipped HardwareProfiles: valid, every figure sourced, and the arithmetic in their texts right."""

import re

import pytest
import yaml

from rackplane.api.hardware import shipped_profile_texts, shipped_profiles
from rackplane.api.hardware_profile import HardwareProfile, NVLinkScope, SourceBasis
from tests.unit.api.judge import judge

TRAYS = 18
FIGURES = (
    "gpusPerNode",
    "nvlinkScope",
    "idleWatts",
    "maxWatts",
    "typicalUtilizationPercent",
    "peakPercent",
    "liquidHeatPercent",
)
each_profile = pytest.mark.parametrize("name", sorted(shipped_profile_texts()))


#: Resource, GPUs of a node, and how far their own interconnect reaches.
SYSTEMS = {
    "dgx-b200": ("nvidia.com/gpu", 8, NVLinkScope.NODE),
    "dgx-b300": ("nvidia.com/gpu", 8, NVLinkScope.NODE),
    "dgx-h100": ("nvidia.com/gpu", 8, NVLinkScope.NODE),
    "gb200-nvl72": ("nvidia.com/gpu", 4, NVLinkScope.LABEL),
    "gb300-nvl72": ("nvidia.com/gpu", 4, NVLinkScope.LABEL),
    "mi300x": ("amd.com/gpu", 8, NVLinkScope.NODE),
    "mi355x": ("amd.com/gpu", 8, NVLinkScope.NODE),
    "tpu-v4": ("google.com/tpu", 4, NVLinkScope.OBJECT),
    "trn2": ("aws.amazon.com/neuron", 16, NVLinkScope.LABEL),
    "vera-rubin-nvl72": ("nvidia.com/gpu", 4, NVLinkScope.LABEL),
}


def test_what_ships_is_what_the_docs_name() -> None:
    found = {
        name: (p.spec.resource_name, p.spec.gpus_per_node, p.spec.nvlink_scope)
        for name, p in shipped_profiles().items()
    }
    assert list(found.items()) == list(SYSTEMS.items())


@each_profile
def test_the_api_server_takes_it(name: str) -> None:
    raw = yaml.safe_load(shipped_profile_texts()[name])
    assert judge(raw) == []
    assert raw["metadata"] == {"name": name}
    # What is not in the file would be a figure without a source.
    written = shipped_profiles()[name].spec.to_dict()
    assert raw["spec"] == written


@each_profile
def test_every_figure_has_its_source(name: str) -> None:
    spec = shipped_profiles()[name].spec
    wanted = {*FIGURES, "rack.overheadWatts"}
    for profile in spec.power_profiles:
        wanted |= {
            f"powerProfiles[{profile.name}].{figure}"
            for figure in ("nodeWatts", "relativePerformancePercent")
        }
    assert {source.field for source in spec.sources} == wanted
    for source in spec.sources:
        assert len(source.text) > 20, source
        if source.basis is SourceBasis.PRESS and "No cap" not in source.text:
            assert re.search(r"press|\(|tray|rack", source.text), source


@each_profile
def test_maxp_is_the_maximum_and_lower_caps_are_slower(name: str) -> None:
    spec = shipped_profiles()[name].spec
    best, *rest = spec.effective_power_profiles()
    assert (best.name, best.node_watts, best.relative_performance_percent) == ("MaxP", spec.max_watts, 100)
    for profile in rest:
        assert profile.node_watts < spec.max_watts
        in_proportion = (profile.node_watts - spec.idle_watts) / (spec.max_watts - spec.idle_watts)
        assert 100 * in_proportion < profile.relative_performance_percent < 100


def _overhead(profile: HardwareProfile) -> int:
    text = next(source.text for source in profile.spec.sources if source.field == "rack.overheadWatts")
    found = re.match(r"([0-9,]+)(?: W|\.)", text)
    assert found, text
    return int(found[1].replace(",", ""))


def _rack_watts(name: str, cap: str = "MaxP") -> tuple[int, int, int]:
    """Idle, nominal and peak watts of a rack of 18 trays, as DESIGN.md, section 5 adds them up."""
    profile = shipped_profiles()[name]
    spec, overhead = profile.spec, _overhead(profile)
    watts = next(p.node_watts for p in spec.effective_power_profiles() if p.name == cap)
    nominal = spec.idle_watts + spec.typical_utilization_percent * (watts - spec.idle_watts) // 100
    peak = watts * spec.peak_percent // 100
    return tuple(overhead + TRAYS * each for each in (spec.idle_watts, nominal, peak))  # type: ignore[return-value]


def test_gb300_rack_is_132_kilowatts_nominal_and_142_peak() -> None:
    idle, nominal, peak = _rack_watts("gb300-nvl72")
    assert (idle, nominal, peak) == (31_200, 132_000, 141_504)
    assert peak <= 142_000
    # A row of eight under 1.2 MW with 64 kW of network and management.
    assert 8 * peak + 64_000 <= 1_200_000


def test_four_racks_at_maxlps_in_the_envelope_of_three() -> None:
    for name in ("gb200-nvl72", "gb300-nvl72"):
        capped, full = _rack_watts(name, "MaxLPS")[1], _rack_watts(name)[1]
        assert 0.99 * 3 * full < 4 * capped <= 3 * full


def test_gb200_rack() -> None:
    assert _rack_watts("gb200-nvl72")[:2] == (22_000, 124_006)


def test_vera_rubin_rack_is_230_kilowatts_at_maxp_and_190_at_maxq() -> None:
    assert _rack_watts("vera-rubin-nvl72")[1] == 230_000
    assert _rack_watts("vera-rubin-nvl72", "MaxQ")[1] == 189_860


def test_dgx_h100_nominal_is_what_was_measured() -> None:
    spec = shipped_profiles()["dgx-h100"].spec
    nominal = spec.idle_watts + spec.typical_utilization_percent * (spec.max_watts - spec.idle_watts) // 100
    assert abs(nominal - 0.76 * spec.max_watts) < 0.005 * spec.max_watts


def test_a_profile_that_lists_no_maxp_has_it() -> None:
    spec = shipped_profiles()["gb300-nvl72"].spec.model_copy(update={"power_profiles": ()})
    (only,) = spec.effective_power_profiles()
    assert (only.name, only.node_watts, only.relative_performance_percent) == ("MaxP", 6600, 100)
