# Two commands for a fresh clone: `make demo` and `make test`. Both install or name what is missing.

TARGET := $(if $(CARGO_TARGET_DIR),$(CARGO_TARGET_DIR),target)
BIN := $(TARGET)/debug
PREFIX ?= $(if $(CARGO_HOME),$(CARGO_HOME),$(HOME)/.cargo)

.PHONY: demo test bench install build tools clean help

help:
	@echo "make demo     build, stream real input through the example, print what happened (KEEP=1: serve on)"
	@echo "make test     everything that the gate runs"
	@echo "make bench    the figures, as ratios, also in $(TARGET)/bench/results.json"
	@echo "make reference  write what is generated: pages of runtime/docs, deploy/grafana/dashboards"
	@echo "make install  put fnctl on the path ($(PREFIX)/bin)"

demo:
	@CARGO_TARGET_DIR=$(abspath $(TARGET)) tests/demo/run $(if $(KEEP),--keep)

test:
	@CARGO_TARGET_DIR=$(abspath $(TARGET)) tests/gate

bench:
	@CARGO_TARGET_DIR=$(abspath $(TARGET)) tests/bench/run

# What tests compare with its source: pages of metrics, commands and errors, and the dashboards.
.PHONY: reference
reference:
	@CARGO_TARGET_DIR=$(abspath $(TARGET)) FNCTL_REFERENCE=write cargo test --quiet -p fnctl-host metrics::table
	@CARGO_TARGET_DIR=$(abspath $(TARGET)) FNCTL_REFERENCE=write cargo test --quiet -p fnctl-cli --bin fnctl docs::
	@python3 deploy/grafana/generate.py

build:
	@CARGO_TARGET_DIR=$(abspath $(TARGET)) cargo build -p fnctl-cli

# Our own crates without debug assertions; the dependencies are the ones that demo and tests use.
install:
	@tests/tools build
	@CARGO_TARGET_DIR=$(abspath $(TARGET)) CARGO_PROFILE_DEV_DEBUG_ASSERTIONS=false \
	    CARGO_PROFILE_DEV_OVERFLOW_CHECKS=false cargo build -p fnctl-cli
	@mkdir -p "$(PREFIX)/bin"
	@install -m 755 "$(BIN)/fnctl" "$(PREFIX)/bin/fnctl"
	@echo "installed $(PREFIX)/bin/fnctl"

tools:
	@tests/tools test

clean:
	cargo clean
