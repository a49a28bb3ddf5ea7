"""An embedded Kubernetes cluster: a small API server in memory with the controllers a training job needs.

Behind `rackplane cluster`, the demo and the tests. It answers what it implements as Kubernetes 1.36 does and
everything else with 501. `cluster` puts the parts together. Where to look for what:

The way of a request
    http, client       in: over sockets, or without; users, requests: who asks, what for, and the answer
    delivery           through the faults that are ordered: faults (which request), effects (what happens to it)
    api                the way through the server; preflight, kindcheck: what is refused first
    bodies, decoding   JSON, YAML, protobuf, jsonsyntax: text to objects; gotypes, builtin_schemas: what these hold
    reads, watch       GET: listoptions, selectors and labelsyntax, pages; streams: open watches as bytes
    tables             how objects are shown: columns and podcells of built-in kinds, jsonpath of the others
    writes, deletes    POST, PUT; patching with patches, jsonpatches, strategic; DELETE; podverbs
    reviews            what a user may do; accessreviews: whose a token is, for servers that ask
    frontdoor          discovery, openapi, health: what clients ask before they ask anything else
What a write does
    service            the turns of a create, an update, a delete; kinds: which rules a kind has at which turn
    metadata, parts    what all objects obey: names, generation, status; deletion: finalizers, namespaces
    admission          admission policies
    fields             who manages which field; server-side apply
    store, history     objects, revisions, past changes
    errors, names      what is said of what is refused; gojson, gotext: values in such texts
The kinds
    resources          which are served
    pods, podrules     what the server demands of pods and does to them
    jobs, budgets      Jobs and PodDisruptionBudgets: their rules, and their controllers
    crds, crdchecks    custom resources; schemas: their schemas and CEL rules
    smallkinds         ConfigMap to Lease; eventrules and events, rbacrules
The controllers
    scheduler          and scheduling: filters, scores, preemption
    nodeagent          what kubelets would do, for any cluster that has none; podruns: how a pod runs and ends
    gc, namespaces     what owners, namespaces and CRDs leave behind; crdcontroller, accounts
Under all of them: objects (JSON), quantities, clocks.
"""

from .clocks import WallClock
from .cluster import USERS, LocalCluster, NotSettled
from .errors import ApiError
from .faults import Fault
from .requests import Request, Response

__all__ = ["USERS", "ApiError", "Fault", "LocalCluster", "NotSettled", "Request", "Response", "WallClock"]
