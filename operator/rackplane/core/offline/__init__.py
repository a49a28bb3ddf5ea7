"""Questions without a cluster: folders of YAML, a machine made from objects, and what it would decide."""
