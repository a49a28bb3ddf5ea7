"""What of a large answer is compared, by name."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from rackplane.localcluster.resources import BUILTIN

View = Callable[[Any], Any]

VIEWS: dict[str, View] = {}


def view(function: View) -> View:
    """Make a function of an answer's object known by its name."""
    VIEWS[function.__name__] = function
    return function


@view
def nothing(answer: Any) -> Any:
    """Only the status code counts."""
    return None


@view
def node(answer: Any) -> Any:
    """A Node without what every one has empty; a Status whole."""
    if answer.get("kind") != "Node":
        return answer
    status = {key: answer.get("status", {}).get(key) for key in ("capacity", "allocatable")}
    return {"metadata": answer["metadata"], "spec": answer["spec"], "status": status}


@view
def kind_and_message(answer: Any) -> Any:
    """Of a Status, what people and clients read; of anything else, its kind."""
    keys = ("kind", "status", "reason", "message", "code")
    return {key: answer[key] for key in keys if key in answer}


@view
def spec_or_causes(answer: Any) -> Any:
    """Of a Status, its causes in order of their fields; of an object, its kind and spec, defaults included."""
    if not isinstance(answer, dict):
        return answer
    if answer.get("kind") != "Status":
        return {"kind": answer["kind"], "spec": answer.get("spec")}
    causes = answer.get("details", {}).get("causes")
    if causes is None:
        return {"message": answer["message"]}
    return {"causes": sorted(causes, key=lambda cause: (cause["field"], cause["message"]))}


@view
def reasons(answer: Any) -> Any:
    """Of a Status, its reason and the messages of its causes: what does not tell the object's name."""
    causes = answer.get("details", {}).get("causes", ())
    return {"reason": answer.get("reason"), "causes": [cause["message"] for cause in causes]}


# -- discovery and OpenAPI: a real server has more groups, resources and documents; those of the embedded cluster count

_OURS = {entry.group for entry in BUILTIN}
_KNOWN = {
    (entry.group, name)
    for entry in BUILTIN
    for name in (entry.plural, *(f"{entry.plural}/{part}" for part in entry.subresources))
}
_WRITING = ("dryRun", "fieldManager", "fieldValidation", "force")


def _known(group: str, name: str) -> bool:
    return (group, name) in _KNOWN or group == "rackplane.dev"


@view
def version_rules(answer: Any) -> Any:
    """Of /version, what is not about the build."""
    return {key: value for key, value in answer.items() if "inor" in key or "ajor" in key}


@view
def health(answer: Any) -> Any:
    """Of a verbose health report, its ends: a real server has checks of its own in between."""
    lines = answer.splitlines()
    return [*lines[:2], "...", lines[-1]]


@view
def served_versions(answer: Any) -> Any:
    """Of /api, all but where the server is reached."""
    return {key: value for key, value in answer.items() if key != "serverAddressByClientCIDRs"}


@view
def served_groups(answer: Any) -> Any:
    """The groups in order, with the versions served here."""
    listed = [
        {**group, "versions": [entry for entry in group["versions"] if entry["version"] != "v1beta1"]}
        for group in answer["groups"]
        if group["name"] in _OURS
    ]
    return {**answer, "groups": listed}


@view
def served_resources(answer: Any) -> Any:
    """Of the resources of a group and version, those served here; those of definitions come in any order."""
    group = answer["groupVersion"].rpartition("/")[0]
    listed = [entry for entry in answer["resources"] if _known(group, entry["name"])]
    if group == "rackplane.dev":
        listed.sort(key=lambda entry: str(entry["name"]))
    return {**answer, "resources": listed}


@view
def aggregated_discovery(answer: Any) -> Any:
    """Of all groups at once, the groups, resources and subresources served here."""
    items = []
    for item in answer["items"]:
        group = item["metadata"].get("name", "")
        if group not in _OURS:
            continue
        versions = []
        for version in item["versions"]:
            if version["version"] == "v1beta1":
                continue
            resources = []
            for entry in version["resources"]:
                parts = [
                    part
                    for part in entry.get("subresources", ())
                    if _known(group, f"{entry['resource']}/{part['subresource']}")
                ]
                if _known(group, entry["resource"]):
                    rest = {key: value for key, value in entry.items() if key != "subresources"}
                    resources.append({**rest, "subresources": parts} if parts else rest)
            versions.append({**version, "resources": resources})
        items.append({**item, "versions": versions})
    return {**answer, "items": items}


@view
def openapi_index(answer: Any) -> Any:
    """The addresses of the documents of groups served here, their hashes left out."""
    # A real server sends it as plain text.
    index = json.loads(answer) if isinstance(answer, str) else answer
    paths = {}
    for name, entry in index["paths"].items():
        group = name.split("/")[1] if name.count("/") == 2 else "none"
        if name == "api/v1" or (group in _OURS and not name.endswith("v1beta1")):
            paths[name] = "".join(entry["serverRelativeURL"].partition("?hash=")[:2])
    return paths


@view
def openapi_paths(answer: Any) -> Any:
    """Of each path served here, its verbs: kind, action, and the parameters that say how to write."""
    found = {}
    for path, item in answer["paths"].items():
        parts = path.replace("/namespaces/{namespace}/", "/").split("/")[2:]
        group, rest = ("", parts[1:]) if path.startswith("/api/") else (parts[0], parts[2:])
        name = "/".join(part for part in rest if part != "{name}")
        if not _known(group, name):
            continue
        shared = [entry["name"] for entry in item.get("parameters", ())]
        found[path] = {
            method: [
                operation["x-kubernetes-action"],
                operation["x-kubernetes-group-version-kind"],
                sorted(
                    entry
                    for entry in {*shared, *(entry["name"] for entry in operation.get("parameters", ()))}
                    if entry in _WRITING
                ),
            ]
            for method, operation in item.items()
            if method != "parameters"
        }
    return found


@view
def openapi_schemas(answer: Any) -> Any:
    """Schemas of the kinds served here, without descriptions, which are long."""
    wanted = {(entry.group, kind) for entry in BUILTIN for kind in (entry.kind, entry.list_kind)}

    def plain(schema: Any, *, named: bool = False) -> Any:
        if isinstance(schema, list):
            return [plain(part) for part in schema]
        if not isinstance(schema, dict):
            return schema
        return {
            key: plain(part, named=key == "properties" and not named)
            for key, part in schema.items()
            if named or key != "description"
        }

    return {
        name: plain(schema)
        for name, schema in answer["components"]["schemas"].items()
        for entry in schema.get("x-kubernetes-group-version-kind", ())
        if (entry["group"], entry["kind"]) in wanted
        if len(schema["x-kubernetes-group-version-kind"]) == 1
    }


@view
def of_job(answer: Any) -> Any:
    """Of a Job, what its controller says of it."""
    return answer["status"]


@view
def pods_of_job(answer: Any) -> Any:
    """Of a list of pods, what makes them the pods of their Job and what became of them, in order of their names."""
    shown = []
    for pod in answer["items"]:
        metadata = {key: value for key, value in pod["metadata"].items() if key not in _OF_ONE_POD}
        spec = {key: pod["spec"][key] for key in _FROM_TEMPLATE if key in pod["spec"]}
        env = [container["env"] for container in pod["spec"]["containers"] if "env" in container]
        shown.append({"metadata": metadata, "spec": spec, "env": env, "phase": pod["status"]["phase"]})
    return sorted(shown, key=repr)


_OF_ONE_POD = ("uid", "resourceVersion", "creationTimestamp")
_FROM_TEMPLATE = ("hostname", "subdomain", "nodeSelector", "affinity", "schedulingGates", "restartPolicy")


@view
def told(answer: Any) -> Any:
    """Of a list of Events, who said what about whom, and how often, regardless of the order."""
    return sorted(
        [
            event["involvedObject"]["kind"],
            event["involvedObject"]["name"],
            event["type"],
            event["reason"],
            event["message"],
            event["count"],
            event["source"]["component"],
        ]
        for event in answer["items"]
    )


@view
def how_many(answer: Any) -> Any:
    """Of a list, how many items it has."""
    return {"items": len(answer["items"])}


@view
def metadata_of_pod(answer: Any) -> Any:
    """Of a pod, its metadata."""
    return answer["metadata"]


@view
def step_of_job(event: Any) -> Any:
    """Of an event of a watch, its type and the status of its Job."""
    return {"type": event["type"], "status": event["object"]["status"]}


@view
def listing(answer: Any) -> Any:
    """Of a list, the names of its items and its metadata; of anything else, a Status say, all."""
    if "items" not in answer:
        return answer
    listed = [
        f"{item['metadata'].get('namespace', '')}/{item['metadata']['name']}" for item in answer["items"]
    ]
    return {"kind": answer["kind"], "metadata": answer["metadata"], "items": listed}


@view
def kind_or_status(answer: Any) -> Any:
    """A Status whole; of a list, its kind."""
    return answer if answer["kind"] == "Status" else {"kind": answer["kind"]}


@view
def told_roughly(answer: Any) -> Any:
    """Of a list of Events, what was said without names that end at random, and how often."""
    return sorted(
        [event["reason"], re.sub(r"-[a-z0-9]{5}$", "-<random>", event["message"]), event["count"]]
        for event in answer["items"]
    )


@view
def rows(answer: Any) -> Any:
    """Of a Table, its columns and rows, without its version."""
    return {key: answer[key] for key in ("columnDefinitions", "rows")}


@view
def item_names(answer: Any) -> Any:
    """Of a list, the names of its items."""
    return [item["metadata"]["name"] for item in answer["items"]]


@view
def told_reasons(answer: Any) -> Any:
    """Of a list of Events, how often what was said."""
    return sorted([event["type"], event["reason"], event["count"]] for event in answer["items"])


# -- patches and field management


@view
def ownership(answer: Any) -> Any:
    """Of an object, its metadata; a Status whole, its causes in order: those of several managers come in any."""
    if answer.get("kind") != "Status":
        return answer["metadata"]
    details = answer.get("details", {})
    if "causes" not in details:
        return answer
    causes = sorted(details["causes"], key=lambda cause: (cause["message"], cause.get("field", "")))
    return {**answer, "details": {**details, "causes": causes}}


@view
def pod_lists(answer: Any) -> Any:
    """Of a pod, its version and the lists of its spec that a patch may be about; a Status whole."""
    if answer.get("kind") == "Status":
        return answer
    kept = ("containers", "initContainers", "tolerations", "schedulingGates", "nodeSelector")
    found = {key: answer["spec"][key] for key in kept if key in answer["spec"]}
    return {"resourceVersion": answer["metadata"]["resourceVersion"], "spec": found}


@view
def without_the_patched(answer: Any) -> Any:
    """Of a Status that shows the whole patched object as text, all but that text; anything else as it is."""
    if answer.get("kind") != "Status":
        return answer
    text = json.dumps(answer)
    return json.loads(
        re.sub(r'(patch: )?Invalid value: \\"(\\\\\\"|[^"\\]|\\[^"])*\\": ', "Invalid value: ...: ", text)
    )


@view
def placement(answer: Any) -> Any:
    """Of a pod, where it is or why it is nowhere; without messages, which count all nodes of a cluster."""
    spec, status = answer.get("spec") or {}, answer.get("status") or {}
    conditions = [
        {key: entry[key] for key in ("type", "status", "reason", "observedGeneration") if key in entry}
        for entry in status.get("conditions") or ()
    ]
    return {
        "node": spec.get("nodeName"),
        "nominated": status.get("nominatedNodeName"),
        "phase": status.get("phase"),
        "deleted": "deletionTimestamp" in (answer.get("metadata") or {}),
        "conditions": conditions,
    }
