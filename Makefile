# Everything that is done with this checkout. `make help` lists the targets.
#
# Needed: Go, a C compiler, make, bash, curl, and Python 3 with pip for the Envoy. Whatever else is used installs itself
# into .tools/ and .envoy/ of the checkout, in the versions named here.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

GO ?= go
ENVOY_VERSION ?= 1.39.3
ENVOY_VERSIONS ?= 1.38.3 1.39.3 1.40.0
STATICCHECK_VERSION := 0.8.2
GOFUMPT_VERSION := 0.12.0
ZIG_VERSION := 0.17.1
FUZZTIME ?= 10000x
SOAKTIME ?= 10m

VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
LDFLAGS := -X mosn.io/moe/internal/build.Version=$(VERSION)
# Go modules of this repository; each is built and tested in its own folder.
MODULES := $(patsubst %/go.mod,%,$(wildcard go.mod e2e/go.mod e2e/bridge/plugins/go.mod e2e/mosn/go.mod e2e/openfga/go.mod e2e/otelcol/go.mod plugins/mosn/go.mod \
  docs/examples/mosnfilter/go.mod bench/upstreamsdk/go.mod))
MODULES := $(patsubst go.mod,.,$(MODULES))
STATICCHECK := .tools/staticcheck-$(STATICCHECK_VERSION)/staticcheck
GOFUMPT := .tools/gofumpt-$(GOFUMPT_VERSION)/gofumpt
ZIG := .tools/zig-$(ZIG_VERSION)/ziglang/zig

##@ Build and run

help: ## List the targets
	@awk 'BEGIN { FS = ":.*## " } \
	  /^##@ / { printf "\n%s\n", substr($$0, 5) } \
	  /^[a-z][a-z-]*:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

libmoe: ## Build build/libmoe.so, the dynamic module for Envoy
	CGO_ENABLED=1 $(GO) build -buildmode=c-shared -trimpath -ldflags '$(LDFLAGS)' -o build/libmoe.so ./cmd/libmoe

libmoe-mosn: ## Build build/libmoe-mosn.so, which has MOSN's own stream filters too
	cd plugins/mosn && CGO_ENABLED=1 $(GO) build -buildmode=c-shared -trimpath -ldflags '$(LDFLAGS)' \
	  -o '$(CURDIR)/build/libmoe-mosn.so' ./libmoe

moe: ## Build build/moe, the command
	$(GO) build -ldflags '$(LDFLAGS)' -o build/moe ./cmd/moe

bridge: build/libgolang_bridge.so ## Build build/libgolang_bridge.so, which runs contrib Golang filters on stock Envoy

BRIDGE_SOURCES := $(wildcard bridge/*.cc)
BRIDGE_HEADERS := $(wildcard bridge/*.h) framework/host/dynmod/abi.h framework/host/golang/limits.h
BRIDGE_FLAGS := -std=c++17 -fPIC -fvisibility=hidden -fno-exceptions -pthread -Wall -Wextra -Werror

# The C++ library goes in, so that any Envoy image will do; nothing but the two ABIs comes out.
build/libgolang_bridge.so: $(patsubst bridge/%.cc,build/bridge/%.o,$(BRIDGE_SOURCES)) bridge/exports.map
	$(CXX) -shared -pthread -static-libstdc++ -static-libgcc -Wl,--version-script=bridge/exports.map \
	  -o $@ $(filter %.o,$^) -ldl

build/bridge/%.o: bridge/%.cc $(BRIDGE_HEADERS)
	@mkdir -p $(@D)
	$(CXX) $(BRIDGE_FLAGS) -O2 -g1 -c -o $@ $<

build/sanitize/libgolang_bridge.so: $(patsubst bridge/%.cc,build/sanitize/%.o,$(BRIDGE_SOURCES)) bridge/exports.map
	$(CXX) -shared -pthread $(SANITIZERS) -Wl,--version-script=bridge/exports.map -o $@ $(filter %.o,$^) -ldl

SANITIZERS := -fsanitize=address,undefined -fno-sanitize-recover=undefined
build/sanitize/%.o: bridge/%.cc $(BRIDGE_HEADERS)
	@mkdir -p $(@D)
	$(CXX) $(BRIDGE_FLAGS) $(SANITIZERS) -DPROBE_MODULE='"$(CURDIR)/build/libgolang_bridge.so"' \
	  -O1 -g -fno-omit-frame-pointer -c -o $@ $<

# For arm64, as scripts/portable asks for it. Zig's C++ library is static anyway.
build/arm64/libgolang_bridge.so: $(patsubst bridge/%.cc,build/arm64/%.o,$(BRIDGE_SOURCES)) bridge/exports.map
	$(CXX_ARM64) -shared -pthread -Wl,--version-script=bridge/exports.map -o $@ $(filter %.o,$^) -ldl

build/arm64/%.o: bridge/%.cc $(BRIDGE_HEADERS)
	@mkdir -p $(@D)
	$(CXX_ARM64) $(BRIDGE_FLAGS) -O2 -g1 -c -o $@ $<

# The parsers by themselves, for their tests.
PARSERS := build/sanitize/parsers.o $(patsubst %,build/sanitize/%.o,json wire any elf)
build/sanitize/parsers: $(PARSERS)
	$(CXX) $(SANITIZERS) -o $@ $(PARSERS)

build/sanitize/parsers.o: e2e/bridge/parsers/testdata/driver.cc $(BRIDGE_HEADERS)
	@mkdir -p $(@D)
	$(CXX) $(BRIDGE_FLAGS) $(SANITIZERS) -Ibridge -O1 -g -fno-omit-frame-pointer -c -o $@ $<

build/sanitize/reserve.so: bridge/sanitize/reserve.c
	@mkdir -p $(@D)
	$(CC) -shared -fPIC -O1 -Wall -Wextra -Werror -o $@ $< -ldl

envoy: ## Install stock Envoy ($ENVOY_VERSION, 1.39.3) into .envoy/; ENVOY=PATH is used instead
	@scripts/install-envoy $(ENVOY_VERSION)

envoys: ## Install every Envoy of the test matrix ($ENVOY_VERSIONS)
	@scripts/install-envoy $(ENVOY_VERSIONS)

pilot: ## Build Istio's discovery server into .tools/ (some minutes, once); PILOT_DISCOVERY=PATH is used instead
	@scripts/build-pilot

redis: ## Install redis-server by the system's package manager, for the tests; REDIS_SERVER=PATH is used instead
	@scripts/install-redis

slapd: ## Install slapd, the server of OpenLDAP, by apt-get, for the tests
	@scripts/install-slapd

chromium: ## Install Debian's chromium by apt-get, for the tests of the page; CHROMIUM=PATH is used instead
	@scripts/install-chromium

demo: libmoe moe envoy ## Start Envoy with the seeds' plugins, send requests, show the answers
	@scripts/demo

release: $(ZIG) ## Write build/release: tarballs for amd64 and arm64, and SHA256SUMS; the same commit gives the same bytes
	@ZIG='$(CURDIR)/$(ZIG)' VERSION='$(VERSION)' scripts/release build/release

check-release: release ## Build the release again elsewhere and compare; prove that it runs (some minutes)
	@ZIG='$(CURDIR)/$(ZIG)' VERSION='$(VERSION)' scripts/check-release build/release

check-image: envoy ## Run the steps of packaging/Dockerfile without Docker, and serve a request with what they make
	@ENVOY="$${ENVOY:-$(CURDIR)/.envoy/$(ENVOY_VERSION)/envoy}" scripts/check-image

clean: ## Remove build/; .envoy/ and .tools/ stay
	rm -rf build

##@ Check

test: ## Run everything that CI checks
	@scripts/test

lint: $(GOFUMPT) $(STATICCHECK) ## Check formatting, vet and staticcheck
	@scripts/lint $(GOFUMPT) $(STATICCHECK) $(MODULES)

fmt: $(GOFUMPT) ## Format all Go files
	git ls-files -z --cached --others --exclude-standard '*.go' | xargs -0 $(GOFUMPT) -w

unit: envoy redis ## Run the unit tests with the race detector
	$(GO) test -race ./framework/... ./plugins/... ./pkg/... ./internal/... ./cmd/...
	$(GO) test ./bench/...
	$(GO) test -run 'TestCoreRuleSet|Suite' ./plugins/waf ./plugins/transform
	cd plugins/mosn && $(GO) test ./...

portable: $(ZIG) ## Compile what plugin authors import without cgo, and all for other systems
	@ZIG='$(CURDIR)/$(ZIG)' scripts/portable

# -count=1: Go would keep the results although a library has changed that the tests do not import.
conformance: libmoe moe bridge envoys redis slapd ## Run the conformance suite over every host on every Envoy
	cd e2e && $(GO) build -buildmode=c-shared -o '$(CURDIR)/build/testmodule/libmoe.so' ./testmodule
	cd e2e && E2E_MODULE='$(CURDIR)/build/testmodule/libmoe.so' E2E_BRIDGE='$(CURDIR)/build/libgolang_bridge.so' \
	  $(GO) test -count=1 -timeout 20m $$($(GO) list ./... | grep -vE '/e2e/(istio|page)')
	cd e2e/mosn && E2E_MOE='$(CURDIR)/build/moe' $(GO) test -count=1 -timeout 20m ./...

istio: libmoe moe envoys pilot ## Prove pkg/istio with Istio's discovery server before every Envoy
	cd e2e && E2E_LIBMOE='$(CURDIR)/build/libmoe.so' E2E_MOE='$(CURDIR)/build/moe' $(GO) test -count=1 -timeout 20m ./istio

page: libmoe moe envoy chromium ## Look at the page of moe run in Chromium, and write the pictures of docs/page.md
	cd e2e && ENVOY_VERSIONS='$(ENVOY_VERSION)' E2E_LIBMOE='$(CURDIR)/build/libmoe.so' E2E_MOE='$(CURDIR)/build/moe' \
	  E2E_PICTURES='$(CURDIR)/docs/page' $(GO) test -count=1 ./page

soak: envoys bridge ## Soak every host on every Envoy for $SOAKTIME (10m each)
	cd e2e && $(GO) test ./soak -v -timeout 8h -parallel 1 -soak.all -soak.duration $(SOAKTIME)

methods: envoys bridge ## Call every method of a stream after every other, on every host and Envoy (CI: in part on two)
	cd e2e && $(GO) test ./soak -v -timeout 1h -run TestMethods -soak.all

examples: ## Test the examples and what the docs show
	$(GO) test ./docs/... ./internal/doccheck
	cd docs/examples/mosnfilter && $(GO) test ./...

fuzz: ## Run every fuzz test for $FUZZTIME (10000x, so many inputs; or a time: 1m)
	@scripts/fuzz $(FUZZTIME)

generate: ## Write all generated files anew
	$(GO) generate ./...
	$(GO) run ./internal/cmd/schemagen
	$(GO) run ./internal/cmd/metricsgen

check-generated: ## Fail if a generated file is out of date
	@scripts/check-generated

sanitize: bridge build/sanitize/libgolang_bridge.so build/sanitize/reserve.so envoy ## Run the hosts' C and the bridge with address and undefined-behaviour sanitizers
	@scripts/sanitize $(ENVOY_VERSION)

bench-quick: ## Compare what a request costs the chain, in instructions and allocations, with what is recorded
	$(GO) run ./bench/quick

bench: libmoe envoy ## Measure MoE beside other ways to extend Envoy (some minutes; quiet machine)
	$(GO) run ./bench
	$(GO) run ./bench/extproc
	$(GO) run ./bench/library
	$(GO) run ./bench/redis
	cd e2e/mosn && $(GO) run ./bench

# Tools live in folders of their version, so that a new version is a new file.
.tools/staticcheck-%/staticcheck:
	GOBIN='$(CURDIR)/.tools/staticcheck-$*' $(GO) install honnef.co/go/tools/cmd/staticcheck@v$*

.tools/gofumpt-%/gofumpt:
	GOBIN='$(CURDIR)/.tools/gofumpt-$*' $(GO) install mvdan.cc/gofumpt@v$*

# A C compiler for other processors: the wheel `ziglang` of the Python package index.
.tools/zig-%/ziglang/zig:
	mkdir -p .tools && rm -rf .tools/zig-$*.part
	$${PYTHON:-python3} -m pip install --quiet --disable-pip-version-check --no-deps --no-compile \
	  --target .tools/zig-$*.part ziglang==$*
	rm -rf .tools/zig-$* && mv .tools/zig-$*.part .tools/zig-$*
	test -x $@

.PHONY: help libmoe moe bridge sanitize envoy envoys pilot redis slapd chromium demo release check-release check-image clean test lint \
	fmt unit portable conformance istio page soak methods examples fuzz generate check-generated bench bench-quick
