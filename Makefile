# What a developer runs. `make` alone lists it.

export FIVETRAN_SOURCE_CACHE ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/fivetran-source-prefect
export DUCKDB_LIB_DIR ?= $(FIVETRAN_SOURCE_CACHE)/duckdb

# One set of flags for everything local, so that nothing is built twice.
LOCAL := --profile local --features local
CORE := --profile local
QUIETLY := scripts/quietly.sh
RUN := cargo run --quiet $(LOCAL) --

.PHONY: help demo init debug reset test reliability sim soak planted nightly bench count scale scale-real check fmt release-check static fuzz deny advisories sbom query-results clean duckdb

help:
	@echo "make demo           a sync of the built-in demo workspace into files/warehouse.db, and a look at it"
	@echo "make init           asks where Prefect is, tries it, and writes configuration.json"
	@echo "make debug          a sync with configuration.json"
	@echo "make reset          deletes files/: the next sync starts afresh"
	@echo "make check          formatting, lints, documentation: a minute"
	@echo "make test           everything that CI runs, on real Prefect servers too"
	@echo "make scale          what a sync costs with a million runs: ten minutes"
	@echo "make scale-real     the same on real Prefect servers with 100,000 runs: five minutes"
	@echo "make sim            the sync engine against random histories (SEEDS=20000, FIRST=1000)"
	@echo "make soak           hours of spoilt answers, in simulated time (SOAK_SEEDS=100, SOAK_HOURS=8)"
	@echo "make planted        plants faults and shows that the simulation finds each: a quarter of an hour"
	@echo "make nightly        what takes too long for every change: sim, planted, scale, fuzz, two cuts"
	@echo "make bench          what a sync costs, beside its floor and beside dlt: five minutes"
	@echo "make count          instructions a row of flattening and encoding, beside the last ones (BASELINE=new)"
	@echo "make reliability    writes docs/RELIABILITY.md anew, from faults that are tried over sockets"
	@echo "make release-check  builds what Fivetran builds and looks at it"
	@echo "make static         a static executable, run in an empty root (needs root's rights and openssl)"
	@echo "make fuzz           all fuzz targets, a minute each (TARGET=pages, SECONDS=1800)"
	@echo "make deny           licences, sources and duplicates of the dependencies (needs cargo-deny)"
	@echo "make advisories     known faults of the dependencies (needs cargo-deny, and GitHub)"
	@echo "make sbom           what the executable is made of, CycloneDX JSON (needs cargo-cyclonedx)"
	@echo "make query-results  writes docs/queries/README.md anew, from the demo workspace"
	@echo "make fmt            formats the code"
	@echo "make clean          deletes what was built and files/"

demo: duckdb
	@$(RUN) debug --demo --dir files
	@scripts/demo-queries.sh $(RUN)

init: duckdb
	@$(RUN) init

debug: duckdb
	@$(RUN) debug --configuration configuration.json --dir files

reset: duckdb
	@$(RUN) reset --dir files

check: duckdb
	@$(QUIETLY) "formatting" cargo fmt --check
	@$(QUIETLY) "lints, as Fivetran builds it" cargo clippy --quiet $(CORE) --all-targets -- --deny warnings
	@$(QUIETLY) "lints, with the local run" cargo clippy --quiet $(LOCAL),fuzzing --all-targets -- --deny warnings
	@RUSTDOCFLAGS="--deny warnings" $(QUIETLY) "documentation" cargo doc --quiet $(LOCAL) --no-deps --document-private-items

test: check
	@scripts/tests.sh $(LOCAL)
	@scripts/count-instructions.sh
	@$(MAKE) --no-print-directory release-check

# What the test says is out of date.
reliability: duckdb
	@RELIABILITY=new cargo test --quiet $(LOCAL) --test it chaos::

# Minutes, and a few gigabytes of memory.
scale: duckdb
	@cargo test --quiet $(LOCAL) --test it scale:: -- --include-ignored --nocapture --test-threads 1

# On a machine that does little else, or its ratios say nothing.
scale-real: duckdb
	@cargo test --quiet $(LOCAL) --test it scale_real:: -- --include-ignored --nocapture --test-threads 1

# Other seeds than the tests' own 300, on all processors.
SEEDS ?= 20000
FIRST ?= 1000
sim: duckdb
	@SIM_SEEDS=$(SEEDS) SIM_FIRST=$(FIRST) cargo test --quiet $(LOCAL) --test it sim:: -- --nocapture

# Every answer may be spoilt, every caller may go away: so many times eight simulated hours.
export SOAK_HOURS ?= 8
export SOAK_FIRST ?= 1
soak: duckdb
	@SOAK_SEEDS=$(or $(SOAK_SEEDS),100) cargo test --quiet $(LOCAL) --test it bad_weather -- --nocapture

# Each fault in tests/planted/ is built and must be found.
planted: duckdb
	@scripts/planted-faults.sh

nightly: sim
	@cargo test --quiet $(LOCAL) --test it sim::sweep -- --ignored --nocapture
	@$(MAKE) --no-print-directory planted
	@$(MAKE) --no-print-directory scale
	@$(MAKE) --no-print-directory fuzz

# On a machine that does little else. A quick look: make bench BENCH_RUNS=20000 BENCH_LARGE=0 BENCH_STALL=0.
export BENCH_RUNS ?= 100000
export BENCH_LARGE ?= 1000000
export BENCH_STALL ?= 30
# So many syncs at once in one process, for memory.
export BENCH_TOGETHER ?= 64
bench: duckdb
	@scripts/bench.sh

# BASELINE=new writes the baseline anew: with a change that is worth what it costs, or makes it cheaper.
count:
	@scripts/count-instructions.sh $(BASELINE)

release-check:
	@scripts/release-check.sh

static: duckdb
	@scripts/static.sh

# The corpus stays in the target folder; MINIMISE=yes brings it into fuzz/corpus.
TARGET ?=
SECONDS ?= 60
fuzz:
	@scripts/fuzz.sh "$(TARGET)" "$(SECONDS)"

deny:
	@cargo deny --locked check licenses bans sources

# Apart, because the list of known faults comes from a git repository.
advisories:
	@cargo deny --locked check advisories

sbom:
	@scripts/sbom.sh

query-results: duckdb
	@scripts/query-results.sh $(RUN)

fmt:
	@cargo fmt

clean:
	@cargo clean --quiet
	@rm -rf files

# The library that the local run links; fetched once.
duckdb:
	@scripts/fetch-duckdb.sh "$(DUCKDB_LIB_DIR)"
