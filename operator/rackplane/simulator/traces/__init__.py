"""Traces of other clusters: files in, `rackplane.simulator.jobs.TraceJob` out, and words about lines that are bad."""
