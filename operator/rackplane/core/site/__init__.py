"""The facility: custom resources in, the engine's description out, and what their status says."""
