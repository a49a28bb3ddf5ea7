"""Prometheus metrics: what happens is counted as it happens, what is is read from the machine at scrape time.

A module for each section of docs/metrics.md, which is rendered from them (`reference`).
"""

from __future__ import annotations

from rackplane.controller.metrics.collector import MachineCollector
from rackplane.controller.metrics.process import Metrics

__all__ = ["MachineCollector", "Metrics"]
