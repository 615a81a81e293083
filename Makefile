# `make` prints the menu. Every target does its own set-up.
SHELL := /bin/bash
.DEFAULT_GOAL := help
CACHE ?= $(if $(XDG_CACHE_HOME),$(XDG_CACHE_HOME),$(HOME)/.cache)/drmwatch
BIN := $(CACHE)/bin
MUSL := x86_64-unknown-linux-musl
IMAGES := target/images
PROFILE ?= release
KEEP := /tmp/drmwatch-kept
# The kept cluster, where there is one.
KEPT = $(if $(wildcard $(KEEP)/admin.kubeconfig),$(KEEP))
PROGRAMS := -p drmwatch-cli -p drmwatch-operator -p drmwatch-runner -p drmwatch-bridge -p drmwatch-reader -p drmwatch-testkit
export RUST_BACKTRACE ?= 0

.PHONY: help
help: ## print this menu
	@awk -F':.*## ' '/^[a-z0-9-]+:.*## /{printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: demo
demo: setup-rust ## probe a practice service on this computer, break a stream, and repair it (DEMO_SECONDS=60 ends by itself)
	@bash scripts/need.sh curl
	@bash demo/run.sh

.PHONY: demo-cluster
demo-cluster: setup-e2e images ## the same on a real Kubernetes made for it, with the Prometheus Operator: install, break, a message and a ticket, repair, remove
	E2E_VERBOSE=1 bash e2e/run.sh $(BIN) $(IMAGES) 10-routing

.PHONY: newcomer
newcomer: ## the README as a newcomer follows it: a minimal Debian, an empty home, empty caches (root)
	bash scripts/newcomer.sh

.PHONY: test
test: ## everything: unit, integration, packagers, chart, rules, and e2e on a real Kubernetes
	@TEST_OUTPUT=$(TEST_OUTPUT) bash scripts/test.sh

# What e2e needs, before it is needed.
.PHONY: prepare
prepare: setup-e2e build

.PHONY: unit
unit: setup-rust setup-results ## unit and integration tests
	@bash scripts/need.sh prometheus clock pdf postgres age curl
	RESULTS_ORACLE=$(CACHE)/results/bin/python cargo test --workspace --quiet$(if $(TEST_OUTPUT), -- --show-output)

.PHONY: results
results: setup-rust setup-results ## a month of 50 tenants recomputed by pyarrow from the encrypted records, hundreds of kills, an ill S3 (RESULTS_TENANTS=50 KILLS=500)
	@bash scripts/need.sh pdf postgres
	RESULTS_ORACLE=$(CACHE)/results/bin/python RESULTS_TENANTS=$${RESULTS_TENANTS:-50} cargo test --quiet -p drmwatch-cli --test reports -- --nocapture
	RESULTS_ORACLE=$(CACHE)/results/bin/python KILLS=$${KILLS:-500} cargo test --quiet -p drmwatch-runs -- --nocapture

.PHONY: packagers
packagers: setup-packagers ## live streams of ffmpeg, gohlslib and nginx, an RTMP ingest, secure_link: no false alarm (SOAK_SECONDS=3600 for an hour)
	GOHLSLIB=$(BIN)/gohlslib cargo test --workspace --test packagers -- --nocapture

.PHONY: verdicts
verdicts: setup-rust ## the confusion tables: stream checks by fault (benign, borderline, severe), DRM systems by fault
	cargo test --quiet -p drmwatch-probe --test verdict_table -- --nocapture
	cargo test --quiet -p drmwatch-probe --test licenses every_fault -- --nocapture

.PHONY: soak
soak: setup-rust ## hours of healthy streams in virtual time, punctual and not, and the real ones for SOAK_SECONDS (600)
	cargo test --quiet -p drmwatch-probe --test soak
	SOAK_SECONDS=$${SOAK_SECONDS:-600} $(MAKE) packagers

.PHONY: opinions
opinions: setup-rust ## other people's parsers, clients, servers and a browser on the same bytes (Node.js, Python, Chromium)
	@bash scripts/need.sh npm python chromium
	cd e2e/opinions && npm install --silent --no-audit --no-fund
	@bash e2e/opinions/drm/setup.sh $(CACHE)/opinions
	@command -v go >/dev/null || { echo "needs Go 1.23 or newer (https://go.dev/dl)"; exit 1; }
	cd e2e/oracles/cron && go run . > $(CURDIR)/target/cron.jsonl
	CRON_ORACLE=$(CURDIR)/target/cron.jsonl cargo test --quiet -p drmwatch-plan --test cron
	OPINIONS=$(CURDIR)/e2e/opinions cargo test --quiet -p drmwatch-media --test second_opinions -- --nocapture
	OPINIONS=$(CURDIR)/e2e/opinions DRM_OPINIONS=$(CACHE)/opinions cargo test --quiet -p drmwatch-probe --test licenses opinions -- --nocapture
	DRM_OPINIONS=$(CACHE)/opinions cargo test --quiet -p drmwatch-bridge opinions -- --nocapture

.PHONY: bench
bench: setup-rust setup-e2e ## speed and memory beside peers in the same run, as ratios; writes docs/benchmarks.md (BENCHES="engine fleet" for some)
	@bash scripts/need.sh bench
	bash scripts/bench.sh $(BIN)

.PHONY: profile
profile: setup-rust ## where a probe's CPU time goes, by perf; writes docs/profiles
	@bash scripts/need.sh bench perf
	bash scripts/profile.sh

.PHONY: scale
scale: setup-rust setup-e2e ## the operator beside a real control plane with SCALE_PROBES (10000) of SCALE_TENANTS (500)
	bash e2e/scale/run.sh $(BIN)

.PHONY: fuzz
fuzz: setup-rust ## each parser for FUZZ_SECONDS (60); what is new is kept in fuzz/corpus and replayed by `make unit`
	@bash scripts/need.sh cxx
	@command -v cargo-fuzz >/dev/null || cargo install --locked cargo-fuzz
	cd fuzz && for target in fuzz_targets/*.rs; do \
	  RUSTC_BOOTSTRAP=1 cargo fuzz run -s none $$(basename $$target .rs) -- -max_total_time=$${FUZZ_SECONDS:-60} -timeout=5 -rss_limit_mb=2048 || exit 1; done

.PHONY: lint
lint: setup-rust ## rustfmt, clippy, licenses and bans of dependencies (cargo-deny), shell syntax
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --quiet -- -D warnings
	@bash scripts/deny.sh $(CACHE)
	@for f in $$(git ls-files '*.sh') .ci/run; do bash -n $$f || exit 1; done

.PHONY: generate
generate: setup-rust setup-e2e ## rewrite what is generated: crds/, the chart's copy, docs/, snapshots, rendered charts
	UPDATE=1 INSTA_UPDATE=always cargo test -p drmwatch-outcome -p drmwatch-api -p drmwatch-dashboards -p drmwatch-metrics -p drmwatch-checks -p drmwatch-operator -p drmwatch-alerts --quiet
	UPDATE=1 cargo test -p drmwatch-probe --test verdict_table --test licenses --quiet
	UPDATE=1 bash charts/test.sh $(BIN)

.PHONY: chart
chart: setup-rust setup-e2e ## helm lint, schema, rendered goldens, promtool and mutants on the rules, objectives beside Sloth
	@bash scripts/need.sh prometheus
	SLOTH=$(BIN)/sloth cargo test --quiet --workspace --test sloth -- --nocapture
	bash charts/test.sh $(BIN)

.PHONY: build
build: setup-rust ## static binaries (PROFILE=dist for publishing)
	@bash scripts/need.sh musl
	@rustup target list --installed | grep -q $(MUSL) || rustup target add $(MUSL)
	cargo build --profile $(PROFILE) --target $(MUSL) $(PROGRAMS)

.PHONY: images
images: build ## container images FROM scratch, sizes printed
	@bash scripts/need.sh buildah
	bash images/build.sh target/$(MUSL)/$(PROFILE) $(IMAGES)

.PHONY: e2e
e2e: setup-e2e images ## every case on real Kubernetes clusters made for it (case=03 or case="03 12" for some; E2E_CONTEXT=current: on yours)
	cargo build --quiet --workspace --example mutants
	E2E_CLUSTER=$(if $(case),$(KEPT)) bash e2e/run.sh $(BIN) $(IMAGES) $(case)

.PHONY: e2e-cluster
e2e-cluster: setup-e2e images ## a Kubernetes that is kept: `make e2e case=03` uses it; `make e2e-down` takes it down
	@[ -e $(KEEP)/admin.kubeconfig ] || BIN=$(BIN) bash e2e/cluster/up.sh $(KEEP)
	@echo "kubectl: nsenter --net=/var/run/netns/$$(cat $(KEEP)/netns) env KUBECONFIG=$(KEEP)/admin.kubeconfig $(BIN)/kube kubectl get pods -A"

.PHONY: e2e-down
e2e-down: ## take the kept cluster down
	bash e2e/cluster/down.sh $(KEEP)

.PHONY: setup-rust
setup-rust:
	@command -v cargo >/dev/null || { echo "needs Rust: https://rustup.rs"; exit 1; }
	@bash scripts/need.sh cc

.PHONY: setup-results
setup-results:
	@bash scripts/need.sh python openssl
	@bash e2e/oracles/results/setup.sh $(CACHE)/results

.PHONY: setup-packagers
setup-packagers: setup-rust
	@bash scripts/need.sh packagers
	@bash e2e/packagers/tools.sh $(BIN)

.PHONY: setup-e2e
setup-e2e:
	@bash scripts/need.sh cluster
	@bash e2e/tools.sh $(BIN)
