"""Record what clients see of the cluster that RACKPLANE_TEST_KUBECONFIG names, which needs our CRDs:

RACKPLANE_TEST_KUBECONFIG=FILE python -m tests.clients.record [SCRIPT...]
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from .recordings import SCRIPTS, save


def main(names: list[str]) -> int:
    """Record the scripts of these names, or all."""
    kubeconfig = os.environ.get("RACKPLANE_TEST_KUBECONFIG", "")
    if not kubeconfig:
        print(__doc__, file=sys.stderr)
        return 2
    for name in names or SCRIPTS:
        with tempfile.TemporaryDirectory() as folder:
            lines = SCRIPTS[name](Path(kubeconfig).absolute(), Path(folder))
        save(name, lines)
        print(f"{name}: {len(lines)} lines")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
