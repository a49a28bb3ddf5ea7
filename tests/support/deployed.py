"""A cluster with the operator's Deployment in it, which the embedded one does not serve; it notes what is asked."""

from __future__ import annotations

import json
from typing import Any

from rackplane.kube.client import ApiError
from rackplane.localcluster import Request
from tests.support.harness import Harness

__all__ = ["LEASE", "SCALE", "WithDeployment"]

LEASE = "/apis/coordination.k8s.io/v1/namespaces/rackplane-system/leases/rackplane"
SCALE = "/apis/apps/v1/namespaces/rackplane-system/deployments/rackplane/scale"


class WithDeployment:
    """The harness's cluster, which knows no Deployments, with one: its pods end a while after they are told."""

    def __init__(self, h: Harness, *, refuse: str = "", seconds: float = 2) -> None:
        self._h, self._inner, self._refuse = h, h.cluster.client(), refuse
        self._left = seconds
        self.replicas = 2
        self.order: list[str] = []
        self.asked: list[Request] = []
        lines = self._inner.lines
        self.lines = lines

    async def request(self, method: str, path: str, *, body: object = None, **rest: Any) -> bytes:
        self.asked.append(Request(method, path, query=rest.get("query") or {}))
        if path == SCALE:
            if method == "PATCH":
                assert body == {"spec": {"replicas": 0}}
                self.order.append("operator")
                self.replicas = 0
            return json.dumps({"spec": {"replicas": self.replicas}}).encode()
        if method != "GET":
            self.order.append(path.split("/")[-2])
            if self._refuse and path.endswith(self._refuse):
                raise ApiError(403, "Forbidden", "not you")
        return await self._inner.request(method, path, body=body, **rest)

    async def pause(self) -> None:
        self._left -= 1
        if self._left <= 0 and not self.replicas:
            self._h.patch(LEASE, {"spec": {"holderIdentity": ""}})
