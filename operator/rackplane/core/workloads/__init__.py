"""Workloads of other projects' kinds, seen as what the rest of the core knows: Jobs that are one gang."""
