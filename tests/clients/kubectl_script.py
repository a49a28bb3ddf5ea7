"""One script of kubectl commands, from an empty namespace to an empty namespace. `$NS` is its name."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Command:
    """A command line after `kubectl`.

    Args:
        keep: of the output, only lines that this regular expression finds: a real server serves more.
        editor: the editor that `kubectl edit` starts.
        unordered: lines may come in any order: events of one second have none.
    """

    line: str
    keep: str = ""
    editor: str = ""
    unordered: bool = False


FILES = {
    "job.yaml": """\
apiVersion: batch/v1
kind: Job
metadata: {name: train, labels: {app: train}}
spec:
  suspend: true
  parallelism: 2
  completions: 2
  completionMode: Indexed
  template:
    metadata: {labels: {app: train}}
    spec:
      restartPolicy: Never
      nodeSelector: {clients: $NS-none}
      containers:
      - {name: main, image: "busybox:1", command: [sleep, "1"], resources: {requests: {cpu: 500m, memory: 1Gi}}}
""",
    "map.yaml": """\
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, labels: {app: settings, clients: $NS}}
data: {a: "1", b: "2"}
""",
    "map-changed.yaml": """\
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, labels: {app: settings, clients: $NS}}
data: {a: "9", c: "3"}
""",
    "map-owned.yaml": """\
apiVersion: v1
kind: ConfigMap
metadata: {name: owned}
data: {a: "1"}
""",
    "map-wanted.yaml": """\
apiVersion: v1
kind: ConfigMap
metadata: {name: owned}
data: {a: "2"}
""",
    "unknown.yaml": """\
apiVersion: v1
kind: Pod
metadata: {name: odd}
spec: {containers: [{name: c, image: "busybox:1", colour: red}], size: 3}
""",
    "wrong.yaml": """\
apiVersion: batch/v1
kind: Job
metadata: {name: wrong}
spec: {template: {spec: {restartPolicy: Always, containers: [{name: c, image: "busybox:1"}]}}}
""",
    "pod.yaml": """\
apiVersion: v1
kind: Pod
metadata: {name: gated, labels: {app: gated}}
spec:
  terminationGracePeriodSeconds: 0
  schedulingGates: [{name: example.com/wait}]
  containers: [{name: main, image: "busybox:1"}, {name: side, image: "busybox:1"}]
""",
    "node.yaml": """\
apiVersion: v1
kind: Node
metadata: {name: $NS-node, labels: {clients: $NS, kubernetes.io/hostname: $NS-node}}
status:
  capacity: {cpu: "8", memory: 32Gi, pods: "20", nvidia.com/gpu: "4"}
  allocatable: {cpu: "8", memory: 32Gi, pods: "20", nvidia.com/gpu: "4"}
""",
    "bound.yaml": """\
apiVersion: v1
kind: Pod
metadata: {name: bound, labels: {app: bound}}
spec:
  nodeName: $NS-node
  terminationGracePeriodSeconds: 0
  tolerations: [{operator: Exists}]
  containers: [{name: main, image: "busybox:1", resources: {requests: {cpu: "1"}, limits: {nvidia.com/gpu: "1"}}}]
""",
    "queue.yaml": """\
apiVersion: rackplane.dev/v1alpha1
kind: Queue
metadata: {name: $NS, labels: {clients: $NS}}
spec: {priority: 5}
---
apiVersion: rackplane.dev/v1alpha1
kind: Gang
metadata: {name: trial, labels: {clients: $NS}}
spec:
  queue: $NS
  slots: 4
  gpusPerSlot: 2
  power: {profile: MaxQ}
  workload: {apiVersion: batch/v1, kind: Job, name: trial, uid: ""}
""",
    "queue-wrong.yaml": """\
apiVersion: rackplane.dev/v1alpha1
kind: Gang
metadata: {name: wrong}
spec:
  queue: $NS
  slots: many
  gpusPerSlot: 2
  colour: red
  workload: {apiVersion: batch/v1, kind: Job, name: trial, uid: ""}
""",
}

_SERVED = (
    "^(admissionregistration.k8s.io/v1|apiextensions.k8s.io/v1|batch/v1|coordination.k8s.io/v1|events.k8s.io/v1|"
    "policy/v1|rackplane.dev/v1alpha1|rbac.authorization.k8s.io/v1|resource.k8s.io/v1|scheduling.k8s.io/v1|v1)$"
)

SCRIPT = (
    # what there is
    Command("version"),
    Command("cluster-info"),
    Command("get --raw /healthz"),
    Command("api-versions", keep=_SERVED),
    Command("api-resources --api-group=policy"),
    Command("api-resources --api-group=scheduling.k8s.io -o wide"),
    Command("api-resources --api-group=rackplane.dev --namespaced=true --sort-by=name"),
    Command("api-resources --api-group=resource.k8s.io -o name"),
    Command("explain job.spec.suspend"),
    Command("explain pod.spec.schedulingGates --recursive"),
    Command("explain gangs.spec.power"),
    Command("explain pod.spec.nonesuch"),
    Command("auth can-i create jobs"),
    Command("get nonesuch"),
    # a namespace, and what `kubectl create` makes by itself
    Command("create namespace $NS"),
    Command("wait --for=create serviceaccount/default --timeout=20s"),
    Command("create configmap made --from-literal=a=b --from-literal=c=d"),
    Command("create secret generic hidden --from-literal=password=x"),
    Command("create serviceaccount worker"),
    Command("create role reader --verb=get,list --resource=pods"),
    Command("create rolebinding reader --role=reader --serviceaccount=$NS:worker"),
    Command("create poddisruptionbudget guard --selector=app=bound --min-available=1"),
    Command("create priorityclass $NS --value=7 --description=high"),
    Command("create job once --image=busybox:1 --dry-run=server -o name -- sleep 1"),
    Command("create configmap made --from-literal=a=b"),
    Command("get configmap,secret,serviceaccount,role,rolebinding"),
    Command("get pdb guard"),
    Command("get priorityclass $NS"),
    Command("describe configmap made"),
    Command("describe secret hidden"),
    Command("describe role reader"),
    Command("describe namespace $NS"),
    Command("describe pdb guard"),
    # a Job
    Command("create -f job.yaml"),
    Command("wait --for=condition=Suspended job/train --timeout=20s"),
    Command("get jobs"),
    Command("get jobs -o wide"),
    Command("describe job train"),
    Command("get job train -o yaml"),
    Command("get job train -o jsonpath={.spec.completions}/{.spec.template.spec.containers[0].image}"),
    Command("""patch job train --type=merge -p {"spec":{"suspend":false}}"""),
    Command("wait --for=jsonpath={.status.active}=2 job/train --timeout=20s"),
    Command("get pods -l app=train --sort-by=.metadata.name"),
    Command("get pods -l app=train -o name --chunk-size=1"),
    Command("get pods --field-selector=status.phase=Running"),
    Command("get pods --field-selector=spec.colour=red"),
    Command("get all -l app=train"),
    Command("events --for job/train", unordered=True),
    Command(
        "get events --field-selector=involvedObject.kind=Job "
        "-o custom-columns=REASON:.reason,TYPE:.type,KIND:.involvedObject.kind",
        unordered=True,
    ),
    Command("create -f wrong.yaml"),
    Command("apply -f unknown.yaml"),
    Command("apply -f unknown.yaml --validate=warn --dry-run=server"),
    Command("delete job train --cascade=foreground --timeout=20s"),
    Command("get pods -l app=train"),
    # apply, on both sides
    Command("apply -f map.yaml"),
    Command("apply -f map.yaml"),
    Command("diff -f map-changed.yaml"),
    Command("apply -f map-changed.yaml --dry-run=server"),
    Command("apply -f map-changed.yaml"),
    Command("get configmap settings -o yaml --show-managed-fields"),
    Command("apply view-last-applied configmap settings"),
    Command("apply --server-side --field-manager=first -f map-owned.yaml"),
    Command("apply --server-side --field-manager=second -f map-wanted.yaml"),
    Command("apply --server-side --field-manager=second --force-conflicts -f map-wanted.yaml"),
    Command("diff --server-side --field-manager=first -f map-owned.yaml"),
    Command("get configmap owned -o json --show-managed-fields"),
    # small changes
    Command("""patch configmap made --type=json -p [{"op":"replace","path":"/data/a","value":"z"}]"""),
    Command("""patch configmap made --type=json -p [{"op":"remove","path":"/data/nonesuch"}]"""),
    Command("label configmap made tier=gold"),
    Command("label configmap made tier=silver"),
    Command("label configmap made tier=silver --overwrite"),
    Command("label configmap made tier-"),
    Command("annotate configmap made note=first"),
    Command("get configmap made -o jsonpath={.data}{.metadata.annotations}"),
    Command("edit configmap made", editor="sed -i s/first/second/"),
    Command("edit configmap made", editor="true"),
    Command("get configmap made -o jsonpath={.metadata.annotations.note}"),
    Command("replace -f map.yaml"),
    Command("replace -f pod.yaml"),
    Command("get configmaps -l app=settings --show-labels"),
    Command("get configmaps -l app=settings --watch --request-timeout=1s"),
    Command("get configmaps -A -l clients=$NS"),
    Command("get configmaps -o custom-columns=NAME:.metadata.name,A:.data.a"),
    Command("get --raw /api/v1/namespaces/$NS/configmaps/made"),
    # a gated pod
    Command("apply -f pod.yaml"),
    Command("get pod gated -o wide"),
    Command("describe pod gated"),
    Command(
        """patch pod gated -p {"spec":{"schedulingGates":[{"$patch":"delete","name":"example.com/wait"}],"""
        """"nodeSelector":{"clients":"$NS-none"}}}"""
    ),
    Command("""patch pod gated -p {"spec":{"nodeSelector":{"clients":"other"}}}"""),
    Command("wait --for=condition=PodScheduled=false pod/gated --timeout=20s"),
    Command("wait --for=condition=Ready pod/gated --timeout=1s"),
    Command("delete pod gated --wait=false"),
    Command("wait --for=delete pod/gated --timeout=20s"),
    # a node, its pod, and a drain that a budget holds up
    Command("create -f node.yaml"),
    Command("taint node $NS-node team=a:NoSchedule"),
    Command("taint node $NS-node team=a:NoSchedule"),
    Command("taint node $NS-node team-"),
    Command("cordon $NS-node"),
    Command("get node $NS-node"),
    Command("get node $NS-node -o jsonpath={.spec}"),
    Command("uncordon $NS-node"),
    Command("apply -f bound.yaml"),
    Command(
        """patch pod bound --subresource=status -p """
        """{"status":{"phase":"Running","conditions":[{"type":"Ready","status":"True"}]}}"""
    ),
    Command("get pod bound -o wide"),
    Command("describe node $NS-node"),
    Command("wait --for=jsonpath={.status.currentHealthy}=1 pdb/guard --timeout=20s"),
    Command("drain $NS-node --force --timeout=2s"),
    Command("delete pdb guard"),
    Command("drain $NS-node --force --timeout=20s"),
    Command("get pods"),
    # our own kinds
    Command("apply -f queue.yaml"),
    Command("apply -f queue.yaml"),
    Command("get queue $NS"),
    Command("get queue $NS -o wide"),
    Command("get gang trial -o yaml"),
    Command("get rackplane -l clients=$NS"),
    Command("describe gang trial"),
    Command("create -f queue-wrong.yaml"),
    Command("""patch gang trial --type=merge --subresource=status -p {"status":{"phase":"Pending"}}"""),
    Command("get gang trial -o jsonpath={.status.phase}"),
    Command("apply --server-side --field-manager=third -f queue.yaml"),
    Command("delete -f queue.yaml"),
    # the end
    Command("delete configmap made"),
    Command("delete configmap made"),
    Command("delete configmap made --ignore-not-found"),
    Command("delete configmaps -l app=settings --dry-run=server"),
    Command("delete configmaps,secrets --all"),
    Command("delete node $NS-node"),
    Command("delete priorityclass $NS"),
    Command("delete namespace $NS --timeout=30s"),
    Command("get namespace $NS"),
)

#: What the embedded cluster has not: it says so, and kubectl shows it.
NOT_HERE = (
    Command("logs gated -c main"),
    Command("exec gated -c main -- ls"),
    Command("attach gated -c main"),
    Command("scale job train --replicas=2"),
    Command("create deployment web --image=busybox:1"),
    Command("create quota q --hard=pods=1"),
    Command("create token worker"),
)
