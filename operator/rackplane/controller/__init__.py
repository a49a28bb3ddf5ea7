"""`rackplane operator`: the shell around `rackplane.core.machine.Machine` that watches, writes and is observed."""
