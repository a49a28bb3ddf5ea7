"""Mock GPUs for nodes that have none: the kubelet's device plugin API, and DCGM's metrics."""
