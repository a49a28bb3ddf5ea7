"""Lists: selectors by label and field, pages, versions; reading one object at a version."""

from __future__ import annotations

from tests.conformance.steps import Ask, Scenario, get, patch, post

MAPS = "/api/v1/namespaces/${ns}/configmaps"
SECRETS = "/api/v1/namespaces/${ns}/secrets"
EVENTS = "/api/v1/namespaces/${ns}/events"
PODS = "/api/v1/namespaces/${ns}/pods"
EVERYWHERE = "/api/v1/configmaps"

MINE = {"labelSelector": "in=${ns}"}


def _map(name: str, **labels: str) -> Ask:
    body = {"metadata": {"name": name, "labels": {"in": "${ns}", **labels}}}
    return post(MAPS, body, save=name)


def _by_label(selector: str) -> Ask:
    return get(MAPS, query={"labelSelector": selector}, view="listing")


def _by_field(path: str, selector: str) -> Ask:
    return get(path, query={"fieldSelector": selector}, view="listing")


ABC = (_map("a", tier="x", env="dev"), _map("b", tier="y"), _map("c", env="prod"))

SCENARIOS = (
    Scenario(
        name="a list shows what its label selector selects",
        steps=(
            *ABC,
            _by_label("tier=x"),
            _by_label("tier==x"),
            _by_label("tier!=x,in=${ns}"),
            _by_label("tier in (x,y)"),
            _by_label("tier in ( x , y ),env=dev"),
            _by_label("tier notin (x),in"),
            _by_label("tier,in"),
            _by_label("!tier,in"),
            _by_label("in=${ns},tier="),
            _by_label("tier in (),in"),
            _by_label("tier=x,tier=y"),
            _by_label("absent=1"),
        ),
    ),
    Scenario(
        name="label selectors that are none",
        steps=(
            _by_label("tier in x"),
            _by_label("tier in (x"),
            _by_label("=x"),
            _by_label("tier=x="),
            _by_label("tier x"),
            _by_label("bad key=x"),
            _by_label("_/k=x"),
            _by_label("k=bad value"),
            _by_label("k=-"),
            _by_label("k>a"),
            _by_label("k>1"),
            _by_label(","),
            _by_label("a,,b"),
            _by_label("k in (a,-)"),
            _by_label("!"),
            _by_label("(a)"),
        ),
    ),
    Scenario(
        name="a list shows what its field selector selects",
        leftovers=("/api/v1/nodes/${ns}",),
        steps=(
            *ABC,
            _by_field(MAPS, "metadata.name=a"),
            _by_field(MAPS, "metadata.name!=a,metadata.name!=kube-root-ca.crt"),
            _by_field(MAPS, "metadata.name=a,metadata.namespace=${ns}"),
            _by_field(MAPS, "metadata.namespace=elsewhere"),
            _by_field(EVERYWHERE, "metadata.namespace=${ns},metadata.name==b"),
            _by_field("/api/v1/namespaces", "metadata.name=${ns}"),
            _by_field("/api/v1/namespaces", "metadata.name=${ns},status.phase=Active"),
            _by_field("/api/v1/namespaces", "metadata.name=${ns},status.phase=Terminating"),
            post(SECRETS, {"metadata": {"name": "s"}, "type": "example.org/own"}, view="nothing"),
            _by_field(SECRETS, "type=example.org/own"),
            _by_field(SECRETS, "type=Opaque"),
            post("/api/v1/nodes", {"metadata": {"name": "${ns}"}}, view="nothing"),
            _by_field("/api/v1/nodes", "metadata.name=${ns},spec.unschedulable=false"),
            _by_field("/api/v1/nodes", "metadata.name=${ns},spec.unschedulable=true"),
            post(
                PODS,
                {
                    "metadata": {"name": "p"},
                    "spec": {"schedulerName": "nobody", "containers": [{"name": "c", "image": "i"}]},
                },
                view="nothing",
            ),
            _by_field(PODS, "spec.nodeName="),
            _by_field(PODS, "spec.nodeName=n"),
            _by_field(PODS, "status.phase=Pending,spec.schedulerName=nobody"),
            _by_field(PODS, "status.phase!=Pending"),
            _by_field(PODS, "spec.restartPolicy=Always,spec.hostNetwork=false"),
            _by_field(PODS, "spec.serviceAccountName=default"),
            _by_field(PODS, "status.nominatedNodeName="),
        ),
    ),
    Scenario(
        name="field selectors that are none, or not of the kind",
        steps=(
            _by_field(MAPS, "data.x=1"),
            _by_field(MAPS, "metadata.labels=1"),
            _by_field(MAPS, "metadata.name"),
            _by_field(MAPS, "metadata.name>a"),
            _by_field(MAPS, "status.phase=x"),
            _by_field(SECRETS, "data=x"),
            _by_field(PODS, "spec.priority=1"),
            _by_field("/api/v1/nodes", "spec.nodeName=x"),
            _by_field("/api/v1/namespaces", "metadata.uid=x"),
            _by_field(EVENTS, "message=x"),
            _by_field("/apis/events.k8s.io/v1/namespaces/${ns}/events", "note=x"),
            _by_field("/apis/coordination.k8s.io/v1/namespaces/${ns}/leases", "spec.holderIdentity=x"),
            _by_field("/apis/scheduling.k8s.io/v1/priorityclasses", "value=5"),
        ),
    ),
    Scenario(
        name="a long list comes in pages of one state",
        steps=(
            *ABC,
            get(MAPS, query={**MINE, "limit": "2"}, save="page", view="listing"),
            _map("bb"),
            get(
                MAPS,
                query={**MINE, "limit": "2", "continue": "${page.metadata.continue}"},
                view="listing",
            ),
            get(MAPS, query={**MINE, "continue": "${page.metadata.continue}"}, view="listing"),
            get(MAPS, query={**MINE, "limit": "5"}, view="listing"),
            get(MAPS, query={**MINE, "limit": "0"}, view="listing"),
            get(
                MAPS, query={"fieldSelector": "metadata.name!=kube-root-ca.crt", "limit": "1"}, view="listing"
            ),
            get(EVERYWHERE, query={**MINE, "limit": "3"}, view="listing"),
        ),
    ),
    Scenario(
        name="a list without a selector says how many items remain",
        steps=(
            post(SECRETS, {"metadata": {"name": "a"}}, view="nothing"),
            post(SECRETS, {"metadata": {"name": "b"}}, view="nothing"),
            post(SECRETS, {"metadata": {"name": "c"}}, view="nothing"),
            get(SECRETS, query={"limit": "1"}, save="page", view="listing"),
            get(SECRETS, query={"limit": "1", "continue": "${page.metadata.continue}"}, view="listing"),
            get(SECRETS, query={"limit": "2", "continue": "${page.metadata.continue}"}, view="listing"),
        ),
    ),
    Scenario(
        name="parameters of a list that are none, or do not fit together",
        steps=(
            _map("a"),
            get(MAPS, query={"limit": "-1"}, view="kind_or_status"),
            get(MAPS, query={"limit": "many"}, view="kind_or_status"),
            get(MAPS, query={"continue": "nonsense"}, view="kind_or_status"),
            get(MAPS, query={"continue": "eyJ2IjoieCJ9"}, view="kind_or_status"),
            get(MAPS, query={"resourceVersion": "text"}, view="kind_or_status"),
            get(MAPS, query={"resourceVersion": "-1"}, view="kind_or_status"),
            get(MAPS, query={"resourceVersionMatch": "Exact"}, view="kind_or_status"),
            get(MAPS, query={"resourceVersionMatch": "NotOlderThan"}, view="kind_or_status"),
            get(MAPS, query={"resourceVersion": "0", "resourceVersionMatch": "Exact"}, view="kind_or_status"),
            get(
                MAPS,
                query={"resourceVersion": "1", "resourceVersionMatch": "Roughly"},
                view="kind_or_status",
            ),
            get(
                MAPS,
                query={"resourceVersion": "1", "continue": "x", "limit": "1"},
                view="kind_or_status",
            ),
            get(
                MAPS,
                query={"resourceVersion": "1", "resourceVersionMatch": "NotOlderThan", "continue": "x"},
                view="kind_or_status",
            ),
            get(MAPS, query={"sendInitialEvents": "true"}, view="kind_or_status"),
            get(MAPS, query={"timeoutSeconds": "x"}, view="kind_or_status"),
        ),
    ),
    Scenario(
        name="a list at a version shows that state, or a later one",
        steps=(
            _map("a"),
            _map("b"),
            patch(f"{MAPS}/a", {"data": {"x": "1"}}, save="later"),
            get(
                MAPS,
                query={
                    **MINE,
                    "resourceVersion": "${a.metadata.resourceVersion}",
                    "resourceVersionMatch": "Exact",
                },
            ),
            get(
                MAPS,
                query={
                    **MINE,
                    "resourceVersion": "${b.metadata.resourceVersion}",
                    "resourceVersionMatch": "Exact",
                },
            ),
            get(
                MAPS,
                query={
                    **MINE,
                    "resourceVersion": "${b.metadata.resourceVersion}",
                    "resourceVersionMatch": "Exact",
                    "limit": "1",
                },
                save="page",
            ),
            get(MAPS, query={**MINE, "continue": "${page.metadata.continue}"}),
            get(
                MAPS,
                query={
                    **MINE,
                    "resourceVersion": "${later.metadata.resourceVersion}",
                    "resourceVersionMatch": "NotOlderThan",
                },
            ),
            get(MAPS, query={**MINE, "resourceVersion": "${later.metadata.resourceVersion}"}),
            get(
                MAPS,
                query={**MINE, "resourceVersion": "9000000000000", "resourceVersionMatch": "NotOlderThan"},
            ),
            get(MAPS, query={**MINE, "resourceVersion": "9000000000000"}),
            get(MAPS, query={**MINE, "resourceVersion": "9000000000000", "resourceVersionMatch": "Exact"}),
        ),
    ),
    Scenario(
        name="one object is read at a version or later",
        steps=(
            _map("a"),
            get(f"{MAPS}/a", query={"resourceVersion": "${a.metadata.resourceVersion}"}),
            get(f"{MAPS}/a", query={"resourceVersion": "9000000000000"}),
            get(f"{MAPS}/a", query={"resourceVersion": "text"}),
            get(f"{MAPS}/missing", query={"resourceVersion": "0"}),
            get(f"{MAPS}/a", query={"labelSelector": "absent"}),
        ),
    ),
    Scenario(
        name="a list across namespaces is in the order of namespaces and names",
        leftovers=("/api/v1/namespaces/${ns}-a",),
        steps=(
            post("/api/v1/namespaces", {"metadata": {"name": "${ns}-a"}}, view="nothing"),
            _map("b"),
            _map("a"),
            post(
                "/api/v1/namespaces/${ns}-a/configmaps",
                {"metadata": {"name": "aa", "labels": {"in": "${ns}"}}},
                view="nothing",
            ),
            get(EVERYWHERE, query=MINE, view="listing"),
            get(EVERYWHERE, query={**MINE, "limit": "2"}, save="page", view="listing"),
            get(EVERYWHERE, query={**MINE, "continue": "${page.metadata.continue}"}, view="listing"),
            get("/api/v1/namespaces/absent-namespace/configmaps"),
        ),
    ),
    Scenario(
        name="odd selectors people send",
        steps=(
            *ABC,
            _by_label(" tier = x , in "),
            _by_label("tier=x,"),
            _by_label("tier notin (x,y),in"),
            _by_label("! tier,in"),
            _by_label("tier!=,in"),
            _by_label("tier in (x"),
            _by_label("tier<5"),
            _by_field(MAPS, "metadata.name=a,"),
            _by_field(MAPS, "metadata.name=a,metadata.name=b"),
            _by_field(MAPS, "metadata.name==a,metadata.name!=b"),
            _by_field(MAPS, "=a"),
        ),
    ),
)
