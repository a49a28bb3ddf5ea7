"""Beside Kueue: its Workloads watched, and its AdmissionChecks that are ours kept Active (docs/kueue.md)."""
