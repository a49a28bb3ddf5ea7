"""The two servers a scenario can run on: any that a kubeconfig names, and the embedded cluster in virtual time."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Protocol
from urllib.parse import urlencode

import urllib3
from kubernetes.client import Configuration
from kubernetes.config import load_kube_config

from rackplane.api.crd import crd
from rackplane.api.kinds import KINDS
from rackplane.localcluster import ApiError, LocalCluster, Request
from rackplane.localcluster.requests import decode_body

from .steps import Ask, Watch

POLL_SECONDS = 0.1
QUIET_SECONDS = 0.4
_WARNING = re.compile(r'299 \S+ "((?:[^"\\]|\\.)*)"')


@dataclass(slots=True)
class Answer:
    """What a server said. `type` is its content type, `retry_after` the header in seconds."""

    code: int
    object: Any = None
    type: str = "application/json"
    warnings: list[str] = field(default_factory=list)
    retry_after: str = ""
    events: list[Any] | None = None


class Server(Protocol):
    """Carries out steps whose placeholders are filled in."""

    def ask(self, step: Ask) -> Answer: ...

    def watch(self, step: Watch) -> Answer: ...

    def pass_time(self, seconds: float) -> None: ...

    def prepare(self, namespace: str, *, crds: bool) -> None: ...

    def clean_up(self, namespace: str, leftovers: tuple[str, ...]) -> None: ...


@cache
def _crds() -> tuple[dict[str, Any], ...]:
    return tuple(crd(model) for model in KINDS)


def _text(step: Ask) -> str | None:
    """The body as it is sent; None: no body."""
    if step.raw is not None:
        return step.raw
    return None if step.body is None else json.dumps(step.body)


class Embedded:
    """An embedded cluster of its own, without sockets; time is virtual."""

    def __init__(self) -> None:
        self._now = 1_700_000_000.0
        self.cluster = LocalCluster(clock=lambda: self._now, seed=11, job_batch_seconds=1.0)

    def _request(self, method: str, step: Ask | Watch, query: Mapping[str, str], body: Any = None) -> Request:
        if isinstance(step, Watch):
            return Request("GET", step.path, query=query, accept=step.accept)
        return Request(
            method,
            step.path,
            query=query,
            body=body,
            content_type=step.type,
            accept=step.accept,
            user=step.user or "admin",
            groups=step.groups,
            agent=step.agent,
        )

    def ask(self, step: Ask) -> Answer:
        text = _text(step)
        try:
            body = decode_body((text or "").encode(), step.type)
            response = self.cluster.handle(self._request(step.method, step, step.query, body))
        except ApiError as problem:
            return Answer(problem.code, problem.status(), retry_after=_retry_after(problem.status()))
        answer = Answer(
            response.code,
            response.body,
            response.content_type,
            list(response.warnings),
            _retry_after(response.body),
        )
        self.cluster.settle()
        return answer

    def watch(self, step: Watch) -> Answer:
        response = self.cluster.handle(self._request("GET", step, {**step.query, "watch": "true"}))
        if response.watch is None:
            return Answer(response.code, response.body, response.content_type)
        events = response.watch.poll()
        return Answer(200, events=json.loads(json.dumps(events if step.quiet else events[: step.events])))

    def pass_time(self, seconds: float) -> None:
        end = self._now + seconds
        while self._now < end:
            self._now = min(end, self._now + POLL_SECONDS)
            self.cluster.settle()

    def prepare(self, namespace: str, *, crds: bool) -> None:
        self.cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
        for definition in _crds() if crds else ():
            self.cluster.apply(definition)
        self.cluster.settle()

    def clean_up(self, namespace: str, leftovers: tuple[str, ...]) -> None:
        """Nothing outlives the object."""


def _retry_after(body: Any) -> str:
    details = body.get("details") if isinstance(body, dict) else None
    seconds = details.get("retryAfterSeconds") if isinstance(details, dict) else None
    return str(seconds) if seconds else ""


class Real:
    """The API server that a kubeconfig's current context names; its user must be an administrator."""

    def __init__(self, kubeconfig: str) -> None:
        configuration = Configuration()
        load_kube_config(config_file=kubeconfig, client_configuration=configuration, persist_config=False)
        self._base = str(configuration.host).rstrip("/")
        self._headers: dict[str, str] = {}
        if token := configuration.get_api_key_with_prefix("authorization"):
            self._headers["Authorization"] = token
        self._pool = urllib3.PoolManager(
            ca_certs=configuration.ssl_ca_cert,
            cert_file=configuration.cert_file,
            key_file=configuration.key_file,
            cert_reqs="CERT_REQUIRED" if configuration.verify_ssl else "CERT_NONE",
            retries=False,
            timeout=urllib3.Timeout(connect=5, read=60),
        )
        self._made: list[str] = []
        # What would stay for ever once its scenario, which alone knows its finalizers, is over.
        self._held: set[str] = set()

    def version(self) -> str:
        """The server's version."""
        return str(self.ask(Ask(method="GET", path="/version")).object["gitVersion"])

    def _url(self, path: str, query: Mapping[str, str]) -> str:
        return self._base + path + ("?" + urlencode(query) if query else "")

    def ask(self, step: Ask) -> Answer:
        text = _text(step)
        headers = urllib3.HTTPHeaderDict(self._headers)
        headers.extend({"Accept": step.accept, "User-Agent": step.agent})
        if text is not None:
            headers.add("Content-Type", step.type)
        if step.user:
            headers.add("Impersonate-User", step.user)
        for group in step.groups:
            headers.add("Impersonate-Group", group)
        body = text.encode() if text is not None else None
        response = self._pool.request(
            step.method, self._url(step.path, step.query), body=body, headers=headers
        )
        kind = response.headers.get("Content-Type", "")
        data = response.data
        shown = json.loads(data) if "json" in kind and data else data.decode(errors="replace")
        self._note_finalizers(step, response.status, shown)
        return Answer(
            response.status,
            shown,
            kind.replace("; charset=utf-8", "").replace(";charset=utf-8", ""),
            [
                found[1].replace('\\"', '"').replace("\\\\", "\\")
                for header in response.headers.getlist("Warning")
                for found in _WARNING.finditer(header)
            ],
            response.headers.get("Retry-After", ""),
        )

    def watch(self, step: Watch) -> Answer:
        url = self._url(step.path, {**step.query, "watch": "true"})
        headers = {**self._headers, "Accept": step.accept}
        response: Any = self._pool.request("GET", url, headers=headers, preload_content=False)
        if response.status != 200:
            return Answer(response.status, json.loads(response.read()))
        events: list[Any] = []
        lines = _lines(response)
        try:
            while len(events) < step.events:
                events.append(next(lines))
            if step.quiet and response.connection is not None:
                # One that must not come has a moment to come; reading times out otherwise.
                response.connection.sock.settimeout(QUIET_SECONDS)
                events.extend(lines)
        except (StopIteration, urllib3.exceptions.HTTPError, TimeoutError):
            pass
        finally:
            response.close()
        return Answer(200, events=events)

    def pass_time(self, seconds: float) -> None:
        time.sleep(seconds)

    # -- before and after a scenario

    def _do(self, method: str, path: str, body: Any = None, type: str = "application/json") -> Answer:
        return self.ask(Ask(method=method, path=path, body=body, type=type))

    def prepare(self, namespace: str, *, crds: bool) -> None:
        made = self._do("POST", "/api/v1/namespaces", {"metadata": {"name": namespace}})
        if made.code != 201:
            raise RuntimeError(f"the namespace {namespace} cannot be made: {made.object}")
        account = f"/api/v1/namespaces/{namespace}/serviceaccounts/default"
        self._wait(lambda: self._do("GET", account).code == 200, account)
        for definition in _crds() if crds else ():
            path = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{definition['metadata']['name']}"
            made = self._do("POST", path.rpartition("/")[0], definition)
            if made.code == 201:
                self._made.append(path)
            else:
                self._do("PATCH", path, {"spec": definition["spec"]}, "application/merge-patch+json")
            group, plural = definition["spec"]["group"], definition["spec"]["names"]["plural"]
            version = definition["spec"]["versions"][0]["name"]
            served = f"/apis/{group}/{version}/{plural}"
            self._wait(lambda served=served: self._do("GET", served).code == 200, served)

    def _note_finalizers(self, step: Ask, code: int, shown: Any) -> None:
        metadata = shown.get("metadata") if isinstance(shown, dict) else None
        if code < 300 and step.method != "GET" and isinstance(metadata, dict) and metadata.get("finalizers"):
            self._held.add(f"{step.path}/{metadata['name']}" if step.method == "POST" else step.path)

    def clean_up(self, namespace: str, leftovers: tuple[str, ...]) -> None:
        for path in self._held - {*leftovers, *self._made}:
            self._do("PATCH", path, {"metadata": {"finalizers": None}}, "application/merge-patch+json")
        self._held.clear()
        pods = f"/api/v1/namespaces/{namespace}/pods"
        jobs = f"/apis/batch/v1/namespaces/{namespace}/jobs"
        self._do("DELETE", f"{jobs}", {"propagationPolicy": "Background"})
        for path in [
            *(f"{pods}/{pod['metadata']['name']}" for pod in self._do("GET", pods).object["items"]),
            *leftovers,
            *self._made,
        ]:
            # Nobody else acts on the finalizers of a scenario, and no kubelet ends its pods.
            self._do("PATCH", path, {"metadata": {"finalizers": None}}, "application/merge-patch+json")
            self._do("DELETE", path, {"gracePeriodSeconds": 0})
        self._made.clear()
        self._do("DELETE", f"/api/v1/namespaces/{namespace}")

    def _wait(self, done: Any, what: str) -> None:
        end = time.monotonic() + 30
        while not done():
            if time.monotonic() > end:
                raise TimeoutError(f"{what} is not there after 30 s")
            time.sleep(POLL_SECONDS)


def _lines(response: Any) -> Iterator[Any]:
    rest = b""
    for chunk in response.stream(amt=None):
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            if line:
                yield json.loads(line)
