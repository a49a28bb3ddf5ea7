"""What a program sees of a cluster through the `kubernetes` package: models, dynamic client, watches, async client."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kubernetes import client, config, watch
from kubernetes.aio import client as aio_client
from kubernetes.aio import config as aio_config
from kubernetes.client.exceptions import ApiException
from kubernetes.dynamic import DynamicClient

_MANAGER = "clients"
_SPEC = {
    "queue": "research",
    "gpusPerSlot": 1,
    "workload": {"apiVersion": "batch/v1", "kind": "Job", "name": "j", "uid": ""},
}


def _refused(ask: Callable[[], Any]) -> list[Any]:
    """What a refusal says."""
    try:
        ask()
    except ApiException as problem:
        body = json.loads(problem.body)
        return [problem.status, body["reason"], body["message"]]
    return ["not refused"]


def _kind(answer: dict[str, Any]) -> list[Any]:
    """Of the answer to a deletion, what it is: the object or a Status."""
    return [answer.get("kind"), answer.get("status"), (answer.get("details") or {}).get("kind")]


def _job(name: str) -> client.V1Job:
    return client.V1Job(
        metadata=client.V1ObjectMeta(name=name, labels={"app": name}),
        spec=client.V1JobSpec(
            suspend=True,
            completions=2,
            template=client.V1PodTemplateSpec(
                spec=client.V1PodSpec(
                    restart_policy="Never", containers=[client.V1Container(name="main", image="busybox:1")]
                )
            ),
        ),
    )


def run(kubeconfig: Path, namespace: str) -> list[str]:
    """The synchronous script: one line for each thing seen."""
    seen: list[str] = []

    def say(what: str, *values: Any) -> None:
        seen.append(f"{what}: {json.dumps(values, default=str, sort_keys=True)}".replace(namespace, "$NS"))

    with config.new_client_from_config(str(kubeconfig)) as api:
        core, batch, custom = client.CoreV1Api(api), client.BatchV1Api(api), client.CustomObjectsApi(api)
        made = core.create_namespace(client.V1Namespace(metadata=client.V1ObjectMeta(name=namespace)))
        say("namespace", made.kind, made.metadata.labels, made.spec.finalizers, made.status.phase)
        say("server", client.VersionApi(api).get_code().minor)
        say("groups", "batch" in [group.name for group in client.ApisApi(api).get_api_versions().groups])

        body = client.V1ConfigMap(metadata=client.V1ObjectMeta(name="a", labels={"x": "1"}), data={"k": "v"})
        first = core.create_namespaced_config_map(namespace, body, field_manager=_MANAGER)
        say("created", first.api_version, first.kind, first.data, first.metadata.managed_fields[0].manager)
        say("again", *_refused(lambda: core.create_namespaced_config_map(namespace, body)))
        first.data = {"k": "w"}
        second = core.replace_namespaced_config_map("a", namespace, first)
        say("replaced", second.data, second.metadata.resource_version != first.metadata.resource_version)
        say("stale", *_refused(lambda: core.replace_namespaced_config_map("a", namespace, first)))
        patched = core.patch_namespaced_config_map("a", namespace, {"data": {"k": None, "n": "1"}})
        say("patched", patched.data)
        dry = core.patch_namespaced_config_map("a", namespace, {"data": {"n": "2"}}, dry_run="All")
        say("dry run", dry.data, core.read_namespaced_config_map("a", namespace).data)
        bad = client.V1ConfigMap(metadata=client.V1ObjectMeta(name="Not_A_Name"))
        say("bad name", *_refused(lambda: core.create_namespaced_config_map(namespace, bad)))
        say("absent", *_refused(lambda: core.read_namespaced_config_map("none", namespace)))
        for name in ("b", "c"):
            body.metadata.name = name
            core.create_namespaced_config_map(namespace, body)
        page = core.list_namespaced_config_map(namespace, label_selector="x=1", limit=2)
        rest = core.list_namespaced_config_map(
            namespace, label_selector="x=1", limit=2, _continue=page.metadata._continue
        )
        say("pages", *([item.metadata.name for item in part.items] for part in (page, rest)))
        say("left", page.metadata.remaining_item_count, rest.metadata._continue)
        say(
            "selector", *_refused(lambda: core.list_namespaced_config_map(namespace, label_selector="x in ("))
        )

        core.delete_namespaced_config_map("b", namespace)
        stream = watch.Watch().stream(
            core.list_namespaced_config_map,
            namespace,
            label_selector="x=1",
            resource_version=rest.metadata.resource_version,
            timeout_seconds=1,
        )
        say("watched", *([event["type"], event["object"].metadata.name] for event in stream))

        job = batch.create_namespaced_job(namespace, _job("j"))
        say("job", job.spec.suspend, job.spec.parallelism, job.spec.backoff_limit, job.spec.completion_mode)
        template = job.spec.template.spec
        say(
            "template", template.dns_policy, template.restart_policy, template.containers[0].image_pull_policy
        )
        frozen = {
            "spec": {"completions": 3, "template": {"spec": {"containers": [{"name": "main", "image": "y"}]}}}
        }
        say("frozen", _refused(lambda: batch.patch_namespaced_job("j", namespace, frozen))[:2])
        scaled = batch.patch_namespaced_job("j", namespace, {"spec": {"parallelism": 4}})
        say("scaled", scaled.spec.parallelism, scaled.metadata.generation)
        gone = batch.delete_namespaced_job("j", namespace, propagation_policy="Background")
        say("deleted", _kind(api.sanitize_for_serialization(gone)))

        place = ("rackplane.dev", "v1alpha1", namespace, "gangs")
        gang = {
            "apiVersion": "rackplane.dev/v1alpha1",
            "kind": "Gang",
            "metadata": {"name": "g"},
            "spec": {**_SPEC, "slots": 2},
        }
        say("custom", custom.create_namespaced_custom_object(*place, gang)["spec"])
        wrong = {**gang, "metadata": {"name": "w"}, "spec": {**_SPEC, "slots": -1}}
        say("custom refused", *_refused(lambda: custom.create_namespaced_custom_object(*place, wrong)))
        status = custom.patch_namespaced_custom_object_status(*place, "g", {"status": {"phase": "Pending"}})
        say("custom status", status["status"], status["metadata"]["generation"])
        say(
            "custom list",
            [item["metadata"]["name"] for item in custom.list_namespaced_custom_object(*place)["items"]],
        )

        dynamic = DynamicClient(api)
        gangs = dynamic.resources.get(api_version="rackplane.dev/v1alpha1", kind="Gang")
        say("dynamic", gangs.name, gangs.namespaced, sorted(gangs.verbs), sorted(gangs.subresources))
        applied = dynamic.server_side_apply(
            gangs,
            {**gang, "spec": {**_SPEC, "slots": 3}},
            namespace=namespace,
            name="g",
            field_manager=_MANAGER,
            force_conflicts=True,
        )
        say(
            "applied",
            applied.spec.slots,
            sorted(entry.manager for entry in applied.metadata.managedFields)[:1],
        )
        say(
            "patched",
            gangs.patch(
                {"metadata": {"labels": {"q": "1"}}},
                name="g",
                namespace=namespace,
                content_type="application/merge-patch+json",
            ).metadata.labels.to_dict(),
        )
        maps = dynamic.resources.get(api_version="v1", kind="ConfigMap")
        say(
            "dynamic list",
            [item.metadata.name for item in maps.get(namespace=namespace, label_selector="x=1").items],
        )
        say("deleted", gangs.delete(name="g", namespace=namespace).status)
        core.delete_collection_namespaced_config_map(namespace, label_selector="x=1")
        say("none left", core.list_namespaced_config_map(namespace, label_selector="x=1").items)
        core.delete_namespace(namespace)
    return seen


async def run_async(kubeconfig: Path, namespace: str) -> list[str]:
    """The script of the asynchronous client."""
    seen: list[str] = []

    def say(what: str, *values: Any) -> None:
        seen.append(
            f"async {what}: {json.dumps(values, default=str, sort_keys=True)}".replace(namespace, "$NS")
        )

    await aio_config.load_kube_config(str(kubeconfig))
    async with aio_client.ApiClient() as api:
        core = aio_client.CoreV1Api(api)
        await core.create_namespace({"metadata": {"name": namespace}})
        made = await core.create_namespaced_secret(
            namespace, {"metadata": {"name": "s", "labels": {"x": "1"}}, "stringData": {"p": "q"}}
        )
        say("created", made.type, made.data, made.string_data)
        changed = await core.patch_namespaced_secret("s", namespace, {"stringData": {"p": "r"}})
        say("patched", changed.data)
        listed = await core.list_namespaced_secret(namespace, label_selector="x=1")
        say("listed", listed.kind, [item.metadata.name for item in listed.items], listed.items[0].kind)
        try:
            await core.read_namespaced_secret("none", namespace)
        except aio_client.ApiException as problem:
            say("absent", problem.status, json.loads(problem.body)["message"])
        gone = await core.delete_namespaced_secret("s", namespace)
        say("deleted", _kind(api.sanitize_for_serialization(gone)))
        await core.delete_namespace(namespace)
    return seen
