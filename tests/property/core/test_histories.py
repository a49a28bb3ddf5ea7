"""Random facilities, work, losses and deaths of the operator: what must never be is looked for after every step."""

from __future__ import annotations

from collections import Counter
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rackplane.api.kinds import BY_KIND
from rackplane.core.gangs.slots import parse_slots
from tests.property.core.watts import Watts, two_sides
from tests.support.harness import GPU, GROUP, QUEUE, RUN, Harness, node
from tests.support.thorough import some

# As a node agent has it: the guard lets nobody else name our taint.
EVERY_TAINT = [{"operator": "Exists"}]

jobs = st.tuples(
    st.just("job"),
    st.integers(1, 6),
    st.sampled_from([1, 2, 4]),
    st.integers(1, 8),
    st.integers(0, 2),
    st.booleans(),
    st.sampled_from([None, "nvlink", "leaf"]),
)
steps = st.one_of(
    jobs,
    jobs,
    st.tuples(st.just("bare"), st.integers(1, 3), st.sampled_from([1, 4]), st.integers(1, 6)),
    st.tuples(st.just("advance"), st.integers(1, 8)),
    st.tuples(
        st.just("micro"),
        st.lists(st.sampled_from([0, 1, 1, 2, 3, 4, 5, 5, 6, 6, 6]), min_size=1, max_size=30),
    ),
    st.tuples(
        st.just("micro"),
        st.lists(st.sampled_from([0, 1, 1, 2, 3, 4, 5, 5, 6, 6, 6]), min_size=1, max_size=30),
    ),
    st.tuples(st.just("restart")),
    st.tuples(st.sampled_from(["lose", "return", "delete"]), st.integers(0, 5)),
    st.tuples(st.sampled_from(["suspend", "resume"]), st.integers(0, 3)),
    st.tuples(st.just("alien"), st.integers(0, 5), st.integers(1, 4)),
    st.tuples(
        st.just("remove"),
        st.sampled_from(["HardwareProfile small", "Rack r1", "PowerDomain b", "CoolingZone air"]),
    ),
    st.tuples(st.just("outage"), st.sampled_from(["a", "b", "cdu-a", "cdu-b"]), st.booleans()),
)


class History:
    """One random run. `disturbed` once something that no operator can refuse may have broken a limit."""

    def __init__(self, *, racks: int, nodes: int, **watts: int) -> None:
        self.h = Harness()
        self.objects = two_sides(racks=racks, nodes=nodes, **watts)
        self.h.apply(*self.objects)
        self.watts = Watts(self.h)
        self.nodes = [(f"r{r}-n{n}", f"r{r}") for r in range(1, racks + 1) for n in range(nodes)]
        self.disturbed = False
        self.count = 0
        self.aliens: list[str] = []
        self.h.check = self.check
        self.h.cluster.store.subscribe(self.changed)
        self.h.start_machine()

    # -- what must never be

    def check(self) -> None:
        state = self.h.machine.state
        if state is not None and not self.disturbed:
            assert state.violations() == []
            assert state.overbooked() == []
        self.watts.check(self.disturbed)
        used: Counter[str] = Counter()
        for pod in self.h.pods():
            if pod["spec"].get("nodeName") and pod["status"].get("phase") not in ("Succeeded", "Failed"):
                limits = pod["spec"]["containers"][0]["resources"].get("limits", {})
                used[pod["spec"]["nodeName"]] += int(limits.get(GPU, 0))
        assert all(gpus <= 4 for gpus in used.values()), f"a GPU is used twice: {used}"
        self.check_gangs()

        self.check_starts()

    def check_starts(self) -> None:
        """No first pod is let go before the machine has seen a pod for every slot."""
        for key, record in self.h.machine.gangs.items():
            pods = list(record.pods.values())
            if record.phase != "Admitted" or any(not p.spec.scheduling_gates for p in pods):
                continue
            if record.ungating and not any(p.status.phase in ("Succeeded", "Failed") for p in pods):
                wanted = self.needed(self.h.gang(key[1]))
                assert len(pods) >= wanted, f"{key[1]} is half started: {len(pods)} of {wanted} pods"

    def check_gangs(self) -> None:
        promised: Counter[str] = Counter()
        for gang in self.h.cluster.store.items((GROUP, "gangs")):
            status, spec = gang.get("status", {}), gang["spec"]
            if status.get("phase") not in ("Admitted", "Running", "Stopping"):
                continue
            slots = [name for group in status["assignment"] for name in group["nodes"]]
            assert len(slots) == spec["slots"], "a gang is split"
            if spec.get("topology", {}).get("required") == "nvlink":
                assert len({group["nvlinkDomain"] for group in status["assignment"]}) == 1
            over = parse_slots(status.get("releasedSlots", ""))
            for slot, name in enumerate(slots):
                promised[name] += 0 if slot in over else spec["gpusPerSlot"]
            placed = {}
            for pod in self.pods_of(gang):
                slot = pod["metadata"].get("annotations", {}).get("rackplane.dev/slot")
                if slot is None or pod["status"].get("phase") in ("Succeeded", "Failed"):
                    continue
                assert slot not in placed, f"two pods hold slot {slot}"
                placed[slot] = pod
                assert pod["spec"]["nodeSelector"]["kubernetes.io/hostname"] == slots[int(slot)]
        # A gang that nobody would start again keeps its promise though another's pods may hold the node's GPUs.
        assert all(gpus <= 4 for gpus in promised.values()), f"a GPU is promised twice: {promised}"

    def changed(self, change: Any) -> None:
        """The moment the first pod of a gang is let go, every slot has its pod."""
        if change.resource != ("", "pods") or change.previous is None or change.type == "DELETED":
            return
        if not change.previous["spec"].get("schedulingGates") or change.object["spec"].get("schedulingGates"):
            return
        name = change.object["metadata"]["annotations"]["rackplane.dev/gang"]
        gang = self.h.gang(name)
        assert gang["status"]["phase"] in ("Admitted", "Running"), "a pod was let go without a place"
        others = [p for p in self.pods_of(gang) if p["metadata"]["uid"] != change.object["metadata"]["uid"]]
        if gang["status"]["phase"] == "Running" or any(not p["spec"].get("schedulingGates") for p in others):
            return
        assert len(others) + 1 >= self.needed(gang), "a gang was half started"

    def needed(self, gang: dict[str, Any]) -> int:
        if gang["spec"]["workload"]["kind"] != "Job":
            return int(gang["spec"]["slots"])
        job = self.h.get("batch", "jobs", gang["spec"]["workload"]["name"])
        left = job["spec"]["completions"] - job.get("status", {}).get("succeeded", 0)
        return int(min(gang["spec"]["slots"], left))

    def pods_of(self, gang: dict[str, Any]) -> list[dict[str, Any]]:
        workload = gang["spec"]["workload"]
        if workload["kind"] == "Job":
            return self.h.pods_of(workload["name"])
        label = gang["metadata"]["name"].removeprefix("pod-")
        return self.h.pods(**{"rackplane.dev/gang": label})

    # -- what happens

    def step(self, kind: str, *arguments: Any) -> None:
        getattr(self, f"do_{kind}")(*arguments)

    def do_job(self, slots: int, gpus: int, run: int, more: int, indexed: bool, topology: str | None) -> None:
        self.count += 1
        annotations = {"rackplane.dev/required-topology": topology} if topology else {}
        self.h.job(
            f"j{self.count}",
            slots=slots,
            gpus=gpus,
            run=run,
            completions=slots + more,
            indexed=indexed,
            annotations=annotations,
        )

    def do_bare(self, size: int, gpus: int, run: int) -> None:
        self.count += 1
        name = f"b{self.count}"
        for i in range(size):
            self.h.pod(
                f"{name}-{i}",
                gpus=gpus,
                labels={QUEUE: "research", "rackplane.dev/gang": name},
                annotations={"rackplane.dev/gang-size": str(size), RUN: str(run)},
            )

    def do_advance(self, seconds: int) -> None:
        self.h.advance(seconds)

    def do_micro(self, order: list[int]) -> None:
        self.h.one_by_one(order)

    def do_restart(self) -> None:
        self.watts.restarting()
        self.h.restart_machine()

    def exists(self, name: str) -> bool:
        return self.h.cluster.store.get(("", "nodes"), "", name) is not None

    def do_lose(self, index: int) -> None:
        name, _ = self.nodes[index % len(self.nodes)]
        if self.exists(name):
            self.h.node_ready(name, False)

    def do_return(self, index: int) -> None:
        name, rack = self.nodes[index % len(self.nodes)]
        if self.exists(name):
            self.h.node_ready(name, True)
        else:
            self.disturbed = True
            self.h.down.discard(name)
            self.h.apply(node(name, rack))

    def do_delete(self, index: int) -> None:
        name, _ = self.nodes[index % len(self.nodes)]
        if not self.exists(name):
            return
        self.disturbed = True
        self.h.request("DELETE", f"/api/v1/nodes/{name}")
        for pod in self.h.pods():
            if pod["spec"].get("nodeName") == name:
                path = f"/api/v1/namespaces/default/pods/{pod['metadata']['name']}"
                self.h.request("DELETE", path, {"gracePeriodSeconds": 0})

    def do_suspend(self, index: int, value: bool = True) -> None:
        names = sorted(job["metadata"]["name"] for job in self.h.cluster.store.items(("batch", "jobs")))
        if names:
            self.h.suspend(names[index % len(names)], value)

    def do_resume(self, index: int) -> None:
        self.do_suspend(index, False)

    def do_alien(self, index: int, gpus: int) -> None:
        self.count += 1
        self.disturbed = True
        name = f"alien-{self.count}"
        target = self.nodes[index % len(self.nodes)][0]
        self.h.pod(name, gpus=gpus, tolerations=EVERY_TAINT, nodeSelector={"kubernetes.io/hostname": target})
        self.aliens.append(name)

    def do_outage(self, name: str, back: bool) -> None:
        """Half the power, or half the cooling, goes or comes back."""
        self.disturbed = True
        state = "Online" if back else "Offline"
        kinds = f"/apis/{GROUP}/v1alpha1"
        if name in ("a", "b"):
            if self.h.cluster.store.get((GROUP, "powerdomains"), "", name) is not None:
                self.h.patch(f"{kinds}/powerdomains/{name}", {"spec": {"state": state}})
            return
        units = self.h.get(GROUP, "coolingzones", "liquid", "")["spec"]["units"]
        changed = [unit | ({"state": state} if unit["name"] == name else {}) for unit in units]
        self.h.patch(f"{kinds}/coolingzones/liquid", {"spec": {"units": changed}})

    def do_remove(self, which: str) -> None:
        """Somebody deletes a part of the facility that may be in use, or puts it back."""
        self.disturbed = True
        kind, name = which.split()
        plural = BY_KIND[kind].info.plural
        found = self.h.cluster.store.get((GROUP, plural), "", name)
        if found is None:
            self.h.apply(*(o for o in self.objects if (o["kind"], o["metadata"]["name"]) == (kind, name)))
        elif "deletionTimestamp" in found["metadata"]:
            # Held while it is in use: somebody does not want to wait.
            self.h.patch(f"/apis/{GROUP}/v1alpha1/{plural}/{name}", {"metadata": {"finalizers": None}})
        else:
            self.h.request("DELETE", f"/apis/{GROUP}/v1alpha1/{plural}/{name}")

    def finish(self) -> None:
        """Everything returns, strangers leave, users let their Jobs go on: whatever fits comes to its end."""
        for name in self.aliens:
            if self.h.cluster.store.get(("", "pods"), "default", name) is not None:
                self.h.request("DELETE", f"/api/v1/namespaces/default/pods/{name}", {"gracePeriodSeconds": 0})
        for index in range(len(self.nodes)):
            self.do_return(index)
        for kind in ("Rack", "PowerDomain", "CoolingZone", "HardwareProfile"):
            for found in self.h.cluster.store.items((GROUP, BY_KIND[kind].info.plural)):
                if "deletionTimestamp" in found["metadata"]:
                    self.do_remove(f"{kind} {found['metadata']['name']}")
        self.h.apply(*(thing for thing in self.objects if thing["kind"] != "Node"))
        self.h.settle()
        for job in self.h.cluster.store.items(("batch", "jobs")):
            theirs = "rackplane.dev/suspended-by" not in job["metadata"].get("annotations", {})
            if job["spec"].get("suspend") and theirs:
                self.h.suspend(job["metadata"]["name"], False)
        self.h.until(self.quiet, seconds=900, step=5)
        for name, phase in self.h.gangs().items():
            if phase == "Pending":
                assert self.h.gang(name)["status"]["message"]
            if phase == "Failed":
                assert name.startswith("pod-"), self.h.summary()

    def quiet(self) -> bool:
        """Nothing holds a place, and what waits is refused by an empty facility."""
        phases = self.h.gangs()
        world = self.h.machine.world
        waiting = {key[1] for key in world.gangs if world.waiting.is_refused(key, world.version)}
        idle = all(
            p in ("Finished", "Failed") or (p == "Pending" and n in waiting) for n, p in phases.items()
        )
        return idle and self.h.machine.state is not None and not list(self.h.machine.state.keys())


@settings(max_examples=some(100), deadline=None, suppress_health_check=list(HealthCheck))
@given(
    racks=st.integers(1, 3),
    nodes=st.integers(1, 3),
    rack_watts=st.sampled_from([9_000, 13_000, 30_000]),
    side_watts=st.sampled_from([5_000, 13_000, 40_000]),
    cooling_watts=st.sampled_from([4_000, 9_000, 40_000]),
    history=st.lists(steps, min_size=1, max_size=14),
)
def test_no_history_breaks_a_promise(
    racks: int,
    nodes: int,
    rack_watts: int,
    side_watts: int,
    cooling_watts: int,
    history: list[tuple[Any, ...]],
) -> None:
    run = History(
        racks=racks, nodes=nodes, rack_watts=rack_watts, side_watts=side_watts, cooling_watts=cooling_watts
    )
    for kind, *arguments in history:
        run.step(kind, *arguments)
    run.finish()
