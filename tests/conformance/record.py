"""Record the table anew from a real API server: `python -m tests.conformance.record [AREA | AREA:PART-OF-A-NAME]...`.

The server is the one that RACKPLANE_TEST_KUBECONFIG names; its user must be an administrator, and kube-scheduler and
kube-controller-manager must run. Scenarios make namespaces, Nodes and CRDs of their own and remove them.
"""

from __future__ import annotations

import os
import sys

from . import table
from .run import run
from .servers import Real


def main(wanted: list[str]) -> int:
    """Record the named areas, or all."""
    kubeconfig = os.environ.get("RACKPLANE_TEST_KUBECONFIG")
    if not kubeconfig:
        print(
            "RACKPLANE_TEST_KUBECONFIG names no cluster: set it to the path of a kubeconfig", file=sys.stderr
        )
        return 2
    server = Real(kubeconfig)
    version = server.version()
    for name in wanted or table.areas():
        area, _, part = name.partition(":")
        rows = table.load(area)
        for scenario in table.scenarios(area):
            if part in scenario.name:
                rows[scenario.name] = run(scenario, server)
                print(f"{area}: {scenario.name}: {len(rows[scenario.name])} rows", flush=True)
        table.save(area, version, rows)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
