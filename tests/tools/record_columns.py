"""Write `columns.json` anew: the Table columns of the built-in kinds, as the server of a kubeconfig declares them.

RACKPLANE_TEST_KUBECONFIG=... python -m tests.tools.record_columns
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import rackplane.localcluster.columns
from rackplane.localcluster.resources import BUILTIN
from tests.conformance.servers import Real
from tests.conformance.steps import get

TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"


def main() -> int:
    """Ask for an empty table of each kind."""
    kubeconfig = os.environ.get("RACKPLANE_TEST_KUBECONFIG")
    if not kubeconfig:
        print("RACKPLANE_TEST_KUBECONFIG names no cluster", file=sys.stderr)
        return 2
    server, found = Real(kubeconfig), {}
    for resource in BUILTIN:
        root = f"/apis/{resource.group}" if resource.group else "/api"
        answer = server.ask(
            get(f"{root}/{resource.version}/{resource.plural}", accept=TABLE, query={"limit": "1"})
        )
        if answer.code == 200:
            found[f"{resource.plural}.{resource.group}".rstrip(".")] = answer.object["columnDefinitions"]
    path = Path(rackplane.localcluster.columns.__file__).with_name("columns.json")
    path.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
