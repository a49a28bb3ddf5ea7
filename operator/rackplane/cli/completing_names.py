"""Names of what there is, for the shell: quickly, or none."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any, Final

__all__ = ["contexts", "names_of", "namespaces"]

_SECONDS: Final = 3.0
"""A shell that waits for names seems to hang."""


def names_of(options: argparse.Namespace, kinds: Sequence[str]) -> list[str]:
    """Names of objects of these kinds in the folder or cluster that the options name; none if it cannot be read."""
    try:
        folder = getattr(options, "facility", None)
        found = _of_folder(folder, kinds, options) if folder else _of_cluster(options, kinds)
    except (
        Exception
    ):  # Whatever is wrong with it: the command says so, the shell's prompt is no place for it.
        return []
    return sorted(set(found))


def namespaces(options: argparse.Namespace) -> list[str]:
    """Those of the cluster; none if they cannot be read."""
    return [] if getattr(options, "facility", None) else names_of(options, ("Namespace",))


def contexts(options: argparse.Namespace) -> list[str]:
    """Those of the kubeconfig; none if it cannot be read."""
    import os
    from pathlib import Path

    import yaml

    path = getattr(options, "kubeconfig", None) or os.environ.get("KUBECONFIG") or "~/.kube/config"
    found: set[str] = set()
    for part in str(path).split(os.pathsep):
        try:
            body = yaml.safe_load(Path(part).expanduser().read_text(encoding="utf-8"))
            found.update(str(context["name"]) for context in body["contexts"])
        except (OSError, ValueError, TypeError, KeyError, yaml.YAMLError):
            continue
    return sorted(found)


def _of_folder(folder: str, kinds: Sequence[str], options: argparse.Namespace) -> list[str]:
    from rackplane.core.offline.documents import read_documents

    # A Job is as good as the Gang that it will be.
    wanted = {*kinds, *(("Job",) if "Gang" in kinds else ())}
    bodies = [document.body for document in read_documents(folder)]
    return [str(b["metadata"]["name"]) for b in bodies if b["kind"] in wanted and _is_asked(b, options)]


def _is_asked(body: dict[str, Any], options: argparse.Namespace) -> bool:
    namespace = getattr(options, "namespace", None)
    return body["kind"] not in ("Gang", "Job") or body["metadata"].get("namespace", "default") == (
        namespace or "default"
    )


def _of_cluster(options: argparse.Namespace, kinds: Sequence[str]) -> list[str]:
    import asyncio

    import rackplane.kube.client  # which takes time that is not the cluster's  # noqa: F401

    return asyncio.run(asyncio.wait_for(_listed(options, kinds), _SECONDS))


async def _listed(options: argparse.Namespace, kinds: Sequence[str]) -> list[str]:
    import msgspec

    from rackplane.api.kinds import BY_KIND
    from rackplane.kube.client import KubeClient, current_namespace
    from rackplane.kube.listing import list_all
    from rackplane.kube.resources import GANGS, Resource, facility

    def resource(kind: str) -> Resource:
        if kind == "Namespace":
            return Resource("", "v1", "namespaces", namespaced=False)
        return GANGS if kind == "Gang" else facility(BY_KIND[kind].info.plural)

    where = getattr(options, "kubeconfig", None), getattr(options, "context", None)
    client = await KubeClient.connect(where[0], context=where[1])
    try:
        found = []
        for kind in kinds:
            _, metadata = await list_all(
                client, resource(kind), each=lambda raw: msgspec.json.decode(raw)["metadata"]
            )
            if kind == "Gang":
                wanted = getattr(options, "namespace", None) or current_namespace(where[0], context=where[1])
                metadata = [m for m in metadata if m["namespace"] == wanted]
            found += [str(m["name"]) for m in metadata]
        return found
    finally:
        await client.close()
