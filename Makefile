# Commands for developers. `make` without a target lists them.

export FIVETRAN_SOURCE_CACHE ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/fivetran-source-prefect
export DUCKDB_LIB_DIR ?= $(FIVETRAN_SOURCE_CACHE)/duckdb

# One set of flags for all local builds, so that nothing is built twice.
LOCAL := --profile local --features local
CORE := --profile local
QUIETLY := scripts/quietly.sh
RUN := cargo run --quiet $(LOCAL) --

.PHONY: help demo init debug reset test wheel release reliability sim soak planted nightly bench bench-real count scale scale-real long-texts check fmt release-check static fuzz deny advisories sbom generated query-results terminal-recordings clean duckdb

help:
	@echo "make demo           syncs the built-in demo workspace into files/demo/warehouse.db and runs three queries"
	@echo "make init           asks for the address of Prefect, tests it, and writes configuration.json"
	@echo "make debug          syncs with configuration.json"
	@echo "make reset          deletes files/, so that the next sync starts from the beginning"
	@echo "make check          formatting, lints, documentation (a minute)"
	@echo "make test           everything that CI runs, including tests on real Prefect servers"
	@echo "make scale          measures syncs and landings of a million runs (13 minutes)"
	@echo "make scale-real     the same on real Prefect servers with 100,000 runs (five minutes)"
	@echo "make long-texts     syncs 10 GB of long texts with 2 GB of memory (needs 11 GB of disk; root for the limit)"
	@echo "make sim            tests the sync engine with random histories (SEEDS=20000, FIRST=1000)"
	@echo "make soak           simulates hours of faulty responses (SOAK_SEEDS=100, SOAK_HOURS=8)"
	@echo "make planted        plants faults and checks that the simulation finds each (15 minutes)"
	@echo "make nightly        tests that are too slow for every change: sim, two cuts, planted, scale, fuzz"
	@echo "make bench          compares the cost of a sync with its minimum, an earlier build and other connectors (five minutes)"
	@echo "make bench-real     four syncs of a real Prefect server, beside the official connector (ten minutes)"
	@echo "make count          instructions per row of flattening and encoding, against the baseline (BASELINE=new)"
	@echo "make reliability    generates docs/RELIABILITY.md from faults that are injected over sockets"
	@echo "make release-check  builds the executable as Fivetran does, and checks it"
	@echo "make wheel          builds the local run for other machines: a Python wheel and an archive, and tries both"
	@echo "make release        builds all files of a release into target/release-files"
	@echo "make static         builds a static executable and runs it in an empty root (needs root and openssl)"
	@echo "make fuzz           runs all fuzz targets, a minute each (TARGET=pages, SECONDS=1800)"
	@echo "make deny           checks licences, sources and duplicates of the dependencies (needs cargo-deny)"
	@echo "make advisories     checks the dependencies for known vulnerabilities (needs cargo-deny and GitHub)"
	@echo "make sbom           lists the components of the executable as CycloneDX JSON (needs cargo-cyclonedx)"
	@echo "make generated      writes all files that are generated from the code (some minutes)"
	@echo "make query-results  generates docs/queries/README.md and REAL_SERVER.md"
	@echo "make terminal-recordings  records the commands at a terminal of 80 x 24 into target/terminal"
	@echo "make fmt            formats the code"
	@echo "make clean          deletes build results and files/"

demo: duckdb
	@$(RUN) debug --demo
	@scripts/demo-queries.sh $(RUN)

init: duckdb
	@$(RUN) init

debug: duckdb
	@$(RUN) debug

reset: duckdb
	@$(RUN) reset

check: duckdb
	@$(QUIETLY) "formatting" cargo fmt --all --check
	@$(QUIETLY) "prose" scripts/check-prose.sh
	@$(QUIETLY) "workflows" scripts/lint-workflows.sh
	@$(QUIETLY) "lints, as Fivetran builds it" cargo clippy --quiet $(CORE) --workspace --exclude fivetran-runner --exclude prefect-fake --all-targets -- --deny warnings
	@$(QUIETLY) "lints, with the local run" cargo clippy --quiet $(LOCAL),fuzzing --workspace --all-targets -- --deny warnings
	@RUSTDOCFLAGS="--deny warnings" $(QUIETLY) "documentation" cargo doc --quiet $(LOCAL) --workspace --no-deps --document-private-items

test: check
	@scripts/tests.sh $(LOCAL)
	@scripts/count-instructions.sh
	@$(MAKE) --no-print-directory release-check

# The test reports when the document is out of date.
reliability: duckdb
	@RELIABILITY=new cargo test --quiet $(LOCAL) --test it chaos::

# Takes minutes and a few gigabytes of memory.
scale: duckdb
	@cargo test --quiet $(LOCAL) --test it scale:: -- --include-ignored --nocapture --test-threads 1
	@cargo test --quiet $(LOCAL) --package fivetran-runner landing_cost:: -- --include-ignored --nocapture --test-threads 1

# Needs an otherwise idle machine; on a busy one its ratios mean nothing.
scale-real: duckdb
	@cargo test --quiet $(LOCAL) --test it scale_real:: -- --include-ignored --nocapture --test-threads 1

# For a quick run: make long-texts ROWS=1000.
ROWS ?= 10240
BYTES ?= 1048576
long-texts: duckdb
	@cargo build --quiet $(LOCAL)
	@scripts/long-texts.sh "$(or $(CARGO_TARGET_DIR),target)/local/fivetran_source" "$(ROWS)" "$(BYTES)"

# Uses other seeds than the 300 of the tests, on all processors.
SEEDS ?= 20000
FIRST ?= 1000
sim: duckdb
	@SIM_SEEDS=$(SEEDS) SIM_FIRST=$(FIRST) cargo test --quiet $(LOCAL) --test it sim:: -- --nocapture

# Any response may be faulty, and any caller may disconnect. Each seed simulates eight hours.
export SOAK_HOURS ?= 8
export SOAK_FIRST ?= 1
soak: duckdb
	@SOAK_SEEDS=$(or $(SOAK_SEEDS),100) cargo test --quiet $(LOCAL) --test it bad_weather -- --nocapture

# Builds each fault of tests/planted/, which must be found.
planted: duckdb
	@scripts/planted-faults.sh

nightly: sim
	@cargo test --quiet $(LOCAL) --test it sim::sweep -- --ignored --nocapture
	@$(MAKE) --no-print-directory planted
	@$(MAKE) --no-print-directory scale
	@$(MAKE) --no-print-directory fuzz

# Needs an otherwise idle machine. For a quick run: make bench BENCH_RUNS=20000 BENCH_LARGE=0 BENCH_STALL=0.
export BENCH_RUNS ?= 100000
export BENCH_LARGE ?= 1000000
export BENCH_STALL ?= 30
# The number of concurrent syncs in one process, to measure memory.
export BENCH_TOGETHER ?= 64
bench: duckdb
	@scripts/bench.sh

# Four syncs of a real server with PostgreSQL and 100,000 runs, and of the official connector if its file is given.
bench-real:
	@scripts/bench-real.sh

# BASELINE=new writes the baseline again: for a change that is worth its cost, or lowers the cost.
count:
	@scripts/count-instructions.sh $(BASELINE)

release-check:
	@scripts/release-check.sh

static: duckdb
	@scripts/static.sh

# Some minutes: an optimized build with another linker.
WHEEL_DIR ?= target/wheel-files
wheel:
	@rm -rf "$(WHEEL_DIR)"
	@scripts/wheel.sh "$(WHEEL_DIR)"
	@scripts/wheel-check.sh "$(WHEEL_DIR)"

release:
	@rm -rf target/release-files
	@scripts/release.sh target/release-files
	@scripts/wheel-check.sh target/release-files

# The corpus stays in the target folder; MINIMISE=yes brings it into fuzz/corpus.
TARGET ?=
SECONDS ?= 60
fuzz:
	@scripts/fuzz.sh "$(TARGET)" "$(SECONDS)"

deny:
	@cargo deny --locked check licenses bans sources

# Separate, because the list of known vulnerabilities is fetched from a git repository.
advisories:
	@cargo deny --locked check advisories

sbom:
	@scripts/sbom.sh

# CONTRIBUTING.md lists the files. The queries come last, because the lists of tables in them are generated, too.
generated: duckdb
	@scripts/generated.sh $(RUN)
	@RUNS=new cargo test --quiet $(LOCAL) --lib runs::document
	@$(MAKE) --no-print-directory reliability
	@$(MAKE) --no-print-directory query-results

query-results: duckdb
	@scripts/query-results.sh $(RUN)

# As text, and in asciinema's format: `asciinema play target/terminal/demo-first-sync.cast`.
terminal-recordings: duckdb
	@TERMINAL_RECORDINGS=$(CURDIR)/target/terminal cargo test --quiet $(LOCAL) --test it terminal::narrow
	@ls target/terminal/*.txt

fmt:
	@cargo fmt --all

clean:
	@cargo clean --quiet
	@rm -rf files

# The library that the local run links, fetched once.
duckdb:
	@scripts/fetch-duckdb.sh "$(DUCKDB_LIB_DIR)"
