"""The admission policies of the chart, for a cluster without helm."""

from __future__ import annotations

from importlib import resources
from typing import Any

import yaml

__all__ = ["shipped_policies"]


def shipped_policies() -> list[dict[str, Any]]:
    """The policies and their bindings as the chart creates them with default values.

    In every namespace labelled Jobs and pods queue, and only the ServiceAccount `rackplane` of the namespace
    `rackplane-system` opens the scheduling gate.
    """
    text = (resources.files("rackplane") / "admission" / "policies.yaml").read_text(encoding="utf-8")
    return [document for document in yaml.safe_load_all(text) if document]
