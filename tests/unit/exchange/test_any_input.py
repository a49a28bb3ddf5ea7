"""Whatever a file says, it is read or refused in words: nothing raises, and what comes out is valid."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rackplane.api.decode import decode_any
from rackplane.core.discovery.template import read_template
from rackplane.exchange import dps, redfish, slurm, spreadsheet, topologies, volcano
from tests.support.thorough import some
from tests.unit.exchange.reading import DATA, run

TEMPLATE = read_template("profile: p\nlimitWatts: 9\nfeeds: [{powerDomain: a, weight: 1}]", partial=True)
JUNK = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 2**70),
    st.floats(),
    st.text(max_size=4),
    st.sampled_from(["n[1-2]", "n[", "-1", "MODE_1", "Node", "HyperNode", "a" * 70, "x,y", "1e400"]),
    st.just([]),
    st.just({}),
    st.just([None]),
    st.just({"a": [1]}),
)


def places(value: Any, above: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Paths to everything inside."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [p for key, item in inside for p in ((*above, key), *places(item, (*above, key)))]


def spoiled(documents: Any, draw: st.DrawFn) -> Any:
    """One to three parts replaced, removed or written twice."""
    documents = copy.deepcopy(documents)
    for _ in range(draw(st.integers(1, 3))):
        found = places(documents)
        if not found:
            break
        *path, last = draw(st.sampled_from(found))
        within = documents
        for key in path:
            within = within[key]
        match draw(st.integers(0, 3)):
            case 0:
                del within[last]
            case 1 if isinstance(within, list):
                within.append(copy.deepcopy(within[last]))
            case _:
                within[last] = copy.deepcopy(draw(JUNK))
    return documents


def loaded(name: str) -> list[Any]:
    texts = [path.read_text() for path in sorted((DATA / name).iterdir())]
    return [body for text in texts for body in yaml.safe_load_all(text)]


EXAMPLES: dict[str, tuple[Callable[..., Any], list[Any], dict[str, Any]]] = {
    "dps": (dps.read, loaded("dps"), {"ratings": {"RackBusbar_132kW": 132_000}}),
    "kueue": (topologies.read, loaded("kueue"), {}),
    "redfish": (redfish.read, loaded("redfish"), {"power_factor": 0.9}),
    "slurm": (slurm.read, loaded("slurm"), {}),
    "volcano": (volcano.read, loaded("volcano"), {}),
}


@pytest.mark.parametrize("name", EXAMPLES)
@settings(max_examples=some(60), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_a_spoiled_file_is_read_or_refused(name: str, data: st.DataObject) -> None:
    read, documents, options = EXAMPLES[name]
    bodies = data.draw(st.composite(lambda draw: spoiled(documents, draw))())
    found = run(read, *(json.dumps(body) for body in bodies or [None]), template=TEMPLATE, **options)
    assert found.losses.failed or all(not isinstance(decode_any(b), list) for b in found.imported.objects)


@settings(max_examples=some(100), deadline=None)
@given(
    st.lists(
        st.lists(
            st.sampled_from(
                ["", "PDU", "UPS", "Rack", "CoolingUnit", "a", "b", "5", "-5", "1,5", "a*2", "a (standby)"]
            )
            | st.text(max_size=5),
            max_size=9,
        ),
        max_size=5,
    )
)
def test_any_spreadsheet_is_read_or_refused(rows: list[list[str]]) -> None:
    head = ["kind", "name", "type", "limit_kw", "base_kw", "fed_by", "zone", "needed", "nodes"]
    text = "\n".join(";".join(row) for row in [head, *rows])
    found = run(spreadsheet.read, text, template=TEMPLATE)
    assert found.losses.failed or all(not isinstance(decode_any(b), list) for b in found.imported.objects)


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    for read, _, options in EXAMPLES.values():
        assert run(read, text, template=None, **options).losses.failed
    run(spreadsheet.read, text, template=None)
