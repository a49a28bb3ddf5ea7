"""What the API server warns of in a pod that it creates all the same."""

from __future__ import annotations

from rackplane.localcluster import names, quantities
from rackplane.localcluster.objects import Obj, dig, name_of

_NODE_LABELS = {
    "beta.kubernetes.io/arch": 'deprecated since v1.14; use "kubernetes.io/arch" instead',
    "beta.kubernetes.io/os": 'deprecated since v1.14; use "kubernetes.io/os" instead',
    "failure-domain.beta.kubernetes.io/region": 'deprecated since v1.17; use "topology.kubernetes.io/region" instead',
    "failure-domain.beta.kubernetes.io/zone": 'deprecated since v1.17; use "topology.kubernetes.io/zone" instead',
    "beta.kubernetes.io/instance-type": 'deprecated since v1.17; use "node.kubernetes.io/instance-type" instead',
    "app.kubernetes.io/created-by": "deprecated since v1.9",
    "scheduler.alpha.kubernetes.io/preferAvoidPods": "deprecated since v1.22; use Taints and Tolerations instead",
    "node-role.kubernetes.io/master": 'use "node-role.kubernetes.io/control-plane" instead',
}
_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
_PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"
_NO_SELECTOR = "a null labelSelector results in matching no pod"
_BYTES = ("memory", "ephemeral-storage")


def pod_cautions(pod: Obj) -> list[str]:
    """Of a new pod."""
    name = name_of(pod)
    texts = names.dns_label(name)
    found = []
    if texts:
        found.append(
            "metadata.name: this is used in the Pod's hostname, which can result in surprising behavior; a DNS label "
            f"is recommended: [{' '.join(texts)}]"
        )
    return found + spec_cautions(pod["spec"], "spec")


def spec_cautions(spec: Obj, path: str) -> list[str]:
    """Of a pod spec, in a pod or in a template."""
    found = [
        f"{path}.nodeSelector[{key}]: {_NODE_LABELS[key]}"
        for key in spec.get("nodeSelector") or ()
        if key in _NODE_LABELS
    ]
    affinity = spec.get("affinity") or {}
    needed = dig(affinity, "nodeAffinity", _REQUIRED, "nodeSelectorTerms") or ()
    for index, term in enumerate(needed):
        found += _node_term(term, f"{path}.affinity.nodeAffinity.{_REQUIRED}.nodeSelectorTerms[{index}]")
    for index, entry in enumerate(dig(affinity, "nodeAffinity", _PREFERRED) or ()):
        where = f"{path}.affinity.nodeAffinity.{_PREFERRED}[{index}].preference"
        found += _node_term(entry.get("preference") or {}, where)
    for index, entry in enumerate(spec.get("topologySpreadConstraints") or ()):
        where = f"{path}.topologySpreadConstraints[{index}]"
        key = entry.get("topologyKey") or ""
        if key in _NODE_LABELS:
            found.append(f"{where}.topologyKey: {key} is {_NODE_LABELS[key]}")
        if entry.get("labelSelector") is None:
            found.append(f"{where}.labelSelector: {_NO_SELECTOR}")
    found += _pull_secrets(spec.get("imagePullSecrets") or [], path)
    found += _containers(spec, path)
    if (spec.get("terminationGracePeriodSeconds") or 0) < 0:
        where = f"{path}.terminationGracePeriodSeconds"
        found.append(f"{where}: must be >= 0; negative values are invalid and will be treated as 1")
    for kind in ("podAffinity", "podAntiAffinity"):
        for field, inner in ((_REQUIRED, ""), (_PREFERRED, ".podAffinityTerm")):
            for index, term in enumerate(dig(affinity, kind, field) or ()):
                target = term.get("podAffinityTerm") or {} if inner else term
                if target.get("labelSelector") is None:
                    where = f"{path}.affinity.{kind}.{field}[{index}]{inner}.labelSelector"
                    found.append(f"{where}: {_NO_SELECTOR}")
    return found


def _node_term(term: Obj, path: str) -> list[str]:
    return [
        f"{path}.matchExpressions[{index}].key: {entry['key']} is {_NODE_LABELS[entry['key']]}"
        for index, entry in enumerate(term.get("matchExpressions") or ())
        if entry.get("key") in _NODE_LABELS
    ]


def _pull_secrets(secrets: list[Obj], path: str) -> list[str]:
    found = []
    seen: set[str] = set()
    for index, entry in enumerate(secrets if len(secrets) > 1 else ()):
        name = entry.get("name") or ""
        if name in seen:
            found.append(f'{path}.imagePullSecrets[{index}].name: duplicate name "{name}"')
        seen.add(name)
    for index, entry in enumerate(secrets):
        if not entry.get("name"):
            found.append(f'{path}.imagePullSecrets[{index}].name: invalid empty name ""')
    return found


def _containers(spec: Obj, path: str) -> list[str]:
    placed = [
        (f"{path}.{field}[{index}]", container)
        for field in ("initContainers", "containers")
        for index, container in enumerate(spec.get(field) or ())
    ]
    found: list[str] = []
    for where, container in placed:
        found += _fractions(container.get("resources") or {}, where)
        found += _hidden(container.get("env") or [], where)
    return found + _ports(placed)


def _fractional(text: str) -> bool:
    """Whether the server takes an amount for one with a fraction.

    It looks at the thousandths; of a number of more than 18 digits it has but the lowest 64 bits of them.
    """
    thousandths = quantities.parse(text) * 1000
    if sum(letter.isdecimal() for letter in text) > 18 and thousandths.denominator == 1:
        wrapped = thousandths.numerator % 2**64
        return (wrapped if wrapped < 2**63 else 2**64 - wrapped) % 1000 != 0
    return thousandths % 1000 != 0


def _fractions(resources: Obj, where: str) -> list[str]:
    found = []
    for name in _BYTES:
        for kind in ("limits", "requests"):
            text = (resources.get(kind) or {}).get(name)
            if text is not None and _fractional(str(text)):
                path = f"{where}.resources.{kind}[{name}]"
                found.append(f'{path}: fractional byte value "{text}" is invalid, must be an integer')
    return found


def _hidden(variables: list[Obj], where: str) -> list[str]:
    found = []
    seen: set[str] = set()
    for index, entry in enumerate(variables):
        name, value = entry.get("name") or "", entry.get("value") or ""
        reference = f"$({name})"
        if name in seen and (
            entry.get("valueFrom") is not None or value == reference or reference not in value
        ):
            what = f'hides previous definition of "{name}", which may be dropped when using apply'
            found.append(f"{where}.env[{index}]: {what}")
        seen.add(name)
    return found


def _ports(placed: list[tuple[str, Obj]]) -> list[str]:
    found = []
    taken: dict[tuple[object, object], list[tuple[str, Obj]]] = {}
    named: dict[str, str] = {}
    again = []
    for where, container in placed:
        for index, port in enumerate(container.get("ports") or ()):
            path = f"{where}.ports[{index}]"
            others = taken.setdefault((port.get("containerPort"), port.get("protocol")), [])
            for place, other in others:
                clash = _clash(port, other)
                if clash:
                    found.append(f"{path}: {clash} port definition with {place}")
            others.append((path, port))
            name = port.get("name") or ""
            if name in named:
                first = named[name]
                again.append(
                    f'{path}: duplicate port name "{name}" with {first}, services and probes that select ports by name '
                    f"will use {first}"
                )
            elif name:
                named[name] = path
    return found + again


def _clash(port: Obj, other: Obj) -> str:
    mine, theirs = (
        (port.get("hostIP") or "", port.get("hostPort") or 0),
        (other.get("hostIP") or "", other.get("hostPort") or 0),
    )
    if mine == theirs:
        return "duplicate"
    if not mine[1] or not theirs[1]:
        return "overlapping"
    return "dangerously ambiguous" if mine[1] == theirs[1] and bool(mine[0]) != bool(theirs[0]) else ""
