# Each target does its own setup: as root it installs the Debian packages that it needs, otherwise it names them.
# `make help` lists the targets.

SHELL := /bin/sh
CARGO ?= cargo
# Where the tests store screenshots and the logs of failures.
export EICE_TEST_OUT ?= $(CURDIR)/target/e2e

BUILD_NEEDS := cargo cc ca-certificates
PAGE_NEEDS  := node npm ca-certificates
TEST_NEEDS  := sshd ssh scp ssh-agent ssh-keygen docker busybox chromium rsync curl jq ps setsid tmux useradd vi git zsh fish groff mandoc nginx openssl postgres setpriv
DEB_NEEDS   := dpkg-deb jq
PACK_NEEDS  := dnsmasq lintian systemd-analyze

# The page is rebuilt only after a change.
PAGE_SOURCES := $(shell find web -type f -not -path 'web/node_modules/*' -not -path 'web/dist/*' 2>/dev/null)

.DEFAULT_GOAL := help
.PHONY: help demo test test-awscli soak fuzz bench web lint unit setup-build static deb test-static test-deb

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 14

demo: setup-build web/dist/index.html ## a terminal in the browser, on this machine, without AWS
	$(CARGO) run --locked --quiet -- demo

test: ## everything: page, lints, unit and end-to-end tests, documentation, dependency rules
	scripts/setup.sh $(BUILD_NEEDS) $(PAGE_NEEDS) $(TEST_NEEDS) $(DEB_NEEDS) $(PACK_NEEDS)
	$(MAKE) --no-print-directory web-test
	$(MAKE) --no-print-directory lint
	$(MAKE) --no-print-directory unit
	$(MAKE) --no-print-directory features
	$(MAKE) --no-print-directory publish-check
	$(MAKE) --no-print-directory test-static
	$(MAKE) --no-print-directory test-deb

.PHONY: web-test features publish-check
web-test: web/node_modules/.package-lock.json
	cd web && npm run --silent check && npm run --silent test
	$(MAKE) --no-print-directory web/dist/index.html

lint: setup-build ## formatting, clippy, rustdoc, and that `ring` is not in the tree
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS='-D warnings' $(CARGO) doc --locked --workspace --no-deps --document-private-items
	@test -z "$$($(CARGO) tree --locked --workspace -e normal,build,dev -i ring 2>/dev/null)" \
		|| { echo 'ring is in the dependency tree; aws-lc-rs is the one crypto provider' >&2; exit 1; }

unit: setup-build ## the Rust tests, against real sshd, Docker, ssh and Chromium
	$(CARGO) test --locked --workspace --no-fail-fast

test-awscli: ## aws-cli v2 (AWS=/path/to/aws) against its transcripts and compared with eice, as root
	@test -x "$(AWS)" || { echo 'usage: make test-awscli AWS=/path/to/aws' >&2; exit 64; }
	scripts/setup.sh $(BUILD_NEEDS) sshd ssh ssh-keygen unshare
	EICE_AWSCLI="$(AWS)" $(CARGO) test --locked --test e2e aws_shim::aws_cli -- --ignored --nocapture --test-threads=1

# Each feature on its own, the library's without the program's; a default build covers the rest. The tree of `connect`
# has nothing that only the program needs.
features: setup-build
	$(CARGO) check --locked -p eice --lib --no-default-features
	$(CARGO) check --locked -p eice --lib --no-default-features --features connect
	$(CARGO) check --locked -p eice --lib --no-default-features --features gateway
	$(CARGO) check --locked -p eice --lib --no-default-features --features emulator
	$(CARGO) check --locked -p eice --bins --no-default-features --features client
	$(CARGO) check --locked -p eice --bins --no-default-features --features cli,gateway
	$(CARGO) check --locked -p eice --bins --no-default-features --features cli,emulator
	@for crate in clap tracing-subscriber pty-process axum toml; do \
		test -z "$$($(CARGO) tree --locked -p eice --no-default-features --features connect -e normal -i $$crate 2>/dev/null)" \
			|| { echo "$$crate is in the tree of the feature connect" >&2; exit 1; }; \
	done

# What crates.io would get; the workflow compiles it once a week.
publish-check: setup-build
	$(CARGO) publish --locked --workspace --dry-run --no-verify --allow-dirty

# The released binary: no shared library, no loader, and bundled TLS roots. `--target` keeps the flag from build scripts and
# macros, which cannot be static. Without jitter entropy a process starts 30 ms sooner: docs/architecture.md, "Decisions".
FEATURES      ?= client
STATIC_TARGET := $(shell uname -m)-unknown-linux-gnu
STATIC_BUILD   = RUSTFLAGS='-C target-feature=+crt-static' AWS_LC_SYS_NO_JITTER_ENTROPY=1 $(CARGO) build --locked \
	--profile static --target $(STATIC_TARGET) -p eice --bin eice
STATIC_BUILT  := target/$(STATIC_TARGET)/static/eice
comma := ,

static: setup-build $(if $(filter all gateway,$(subst $(comma), ,$(FEATURES))),web/dist/index.html) ## one static binary, target/packages/eice (FEATURES: client, or all)
	$(STATIC_BUILD) $(if $(filter all,$(FEATURES)),--all-features,--no-default-features --features cli,$(FEATURES),bundled-roots)
	install -D -m 755 $(STATIC_BUILT) target/packages/eice

deb: setup-build web/dist/index.html ## the Debian package, target/packages/eice_VERSION_ARCH.deb
	scripts/setup.sh $(DEB_NEEDS)
	$(STATIC_BUILD) --all-features
	packaging/deb.sh $(STATIC_BUILT) target/packages

# Their tests are ignored otherwise, because the builds take minutes.
test-static: ## the static binary, in an empty container
	scripts/setup.sh $(TEST_NEEDS) $(PACK_NEEDS)
	$(MAKE) --no-print-directory static FEATURES=client
	$(CARGO) test --locked -p eice --test e2e -- --ignored static_binary::

test-deb: deb ## the Debian package, with Debian's own tools
	scripts/setup.sh $(TEST_NEEDS) $(PACK_NEEDS)
	$(CARGO) test --locked -p eice --test e2e -- --ignored deb::

soak: ## the end-to-end tests in a loop (SOAK_ROUNDS, 20); writes docs/soak.log
	scripts/setup.sh $(BUILD_NEEDS) $(TEST_NEEDS)
	scripts/soak.sh docs/soak.log

fuzz: setup-build ## each parser for a set time from its seeds (FUZZ_SECONDS, 30)
	fuzz/run.sh

bench: ## connect, files, keystroke, throughput, sigv4, compared with OpenSSH to the same sshd
	scripts/setup.sh $(BUILD_NEEDS) sshd ssh scp ssh-keygen curl useradd
	$(CARGO) bench --locked -p eice

web: web/dist/index.html ## the page

setup-build:
	@scripts/setup.sh $(BUILD_NEEDS)

web/node_modules/.package-lock.json: web/package.json web/package-lock.json
	@scripts/setup.sh $(PAGE_NEEDS)
	cd web && npm ci --no-audit --no-fund --loglevel=error
	@touch $@

web/dist/index.html: web/node_modules/.package-lock.json $(PAGE_SOURCES)
	cd web && npm run --silent build
	@touch $@ src/gateway/page.rs # so that cargo sees a page that was not there before
