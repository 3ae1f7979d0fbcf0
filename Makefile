# Penstock. `make demo` shows it, `make test` holds it; `make help` lists the rest.
# GNU make (3.81 will do), Go and git are enough for everything but the targets that say they need Node or npm. The folder that
# this lies in may have spaces in its name: paths from its root are quoted, all others are relative.

GO        ?= go
NPM       ?= npm
BIN       := bin
SETS      := quality security health data release cloudflare
VERSION   ?= $(or $(patsubst v%,%,$(shell git describe --tags --match 'v*' --dirty 2>/dev/null)),0.1.0-dev)
COMMIT    := $(shell git rev-parse HEAD 2>/dev/null)
INFO      := github.com/penstock-ci/penstock/internal/buildinfo
EXE       := $(shell $(GO) env GOEXE)
PLUGINS   := $(SETS:%=$(BIN)/penstock-gates-%$(EXE))
# wildcard drops what was deleted and is still in git's index. Go packages have no spaces in their names.
GOFILES   := $(wildcard $(shell git ls-files -co --exclude-standard '*.go' '*.proto' '*.js' '*.json' '*.html' '*.sql' 2>/dev/null | grep -v -e '^examples/' -e ' ')) go.mod go.sum
WORKERD_PACKAGE := @cloudflare/workerd-$(shell $(GO) env GOHOSTOS)-$(patsubst amd64,64,$(shell $(GO) env GOHOSTARCH))
WORKERD   := .work/workerd/node_modules/$(WORKERD_PACKAGE)/bin/workerd$(EXE)
# Where there is no workerd, tests that need it skip.
TEST      := if [ -x '$(WORKERD)' ]; then export PENSTOCK_WORKERD="$(CURDIR)/$(WORKERD)"; fi; $(GO) test
ACT       := $(BIN)/act-v0.2.89$(EXE)
LINT      := $(BIN)/golangci-lint-v2.15.0$(EXE)
# -trimpath: the same source gives the same binary in any folder.
GOBUILD   := $(GO) build -trimpath -buildvcs=false

.PHONY: demo build test test-slow race lint bench cross clean help fmt generate record-dagger ci-module ci FORCE

demo: build ## run the whole pipeline of examples/atomic-guide against a Cloudflare on this machine (needs Node)
	@$(BIN)/penstock$(EXE) deploy --env local -C examples/atomic-guide

build: $(BIN)/penstock$(EXE) ## build penstock and its gate sets into bin/

$(BIN)/penstock-gates-%$(EXE): $(GOFILES)
	@$(GOBUILD) -ldflags '-s -w' -o $@ ./plugins/$*

# The gate sets that come with a build are pinned by that build: their checksums are linked into it.
$(BIN)/penstock$(EXE): $(PLUGINS) $(GOFILES) $(BIN)/built-as
	@pins=$$(for set in $(SETS); do printf '%s=%s,' $$set $$(./tools/sha256 $(BIN)/penstock-gates-$$set$(EXE)); done) && \
	$(GOBUILD) -ldflags "-s -w -X $(INFO).Version=$(VERSION) -X $(INFO).Commit=$(COMMIT) -X $(INFO).GatePins=$${pins%,}" -o $@ ./cmd/penstock

# What is linked in and is no file. Written only when it differs, so that only then everything is linked anew.
$(BIN)/built-as: FORCE
	@mkdir -p $(BIN) && echo '$(VERSION) $(COMMIT) $(SETS)' | cmp -s - $@ || echo '$(VERSION) $(COMMIT) $(SETS)' >$@

ci-module: ## build, vet and test the Dagger module, which needs no engine for that
	cd ci && $(GO) build ./... && $(GO) vet ./... && $(GO) test ./...

test: build $(WORKERD) ci-module ## everything that must hold, without the slow tier (with npm: what needs workerd, too)
	$(GO) vet ./...
	@$(TEST) ./...
	@echo "the slow tier did not run (real npm, wrangler and workerd, the whole story): make test-slow"

test-slow: build $(WORKERD) $(ACT) ## the slow tier too: real npm, wrangler and workerd, the whole story (needs Node)
	@export PENSTOCK_SLOW=1; $(TEST) -count=1 -timeout 40m ./...

# Runs workflows on this machine; a test runs our action by it.
$(ACT):
	GOBIN="$(CURDIR)/$(BIN)" $(GO) install github.com/nektos/act@v0.2.89
	@mv $(BIN)/act$(EXE) $@

# The Workers runtime that the tests of the local Cloudflare use, from the registry that npm is set to. Pinned: state that a
# newer one wrote is not readable by an older one. Only in CI must it be there.
$(WORKERD):
	@mkdir -p .work/workerd && $(NPM) install --silent --no-audit --no-fund --no-save --prefix .work/workerd $(WORKERD_PACKAGE)@1.20260426.1 || \
	{ echo 'npm could not install $(WORKERD_PACKAGE): tests that need it SKIP; install Node with npm, then make again' >&2; [ -z "$$CI" ]; }

race: $(WORKERD) ## all fast tests under the race detector (needs a C compiler; with npm: what needs workerd, too)
	@$(TEST) -race ./...

lint: $(LINT) ## golangci-lint with the linters of .golangci.yml
	$(LINT) run ./...

$(LINT):
	GOBIN="$(CURDIR)/$(BIN)" $(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
	@mv $(BIN)/golangci-lint$(EXE) $@

cross: ## build for every platform that we ship
	for target in linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64; do \
		GOOS=$${target%/*} GOARCH=$${target#*/} $(GO) build -o /dev/null ./cmd/penstock ./plugins/... || exit 1; echo "$$target builds"; done

bench: build ## measure Penstock beside make, bash and bare process starts on this machine
	$(GO) run ./bench

fmt: ## format
	$(GO) fmt ./...

generate: ## generate the gate wire again (needs protoc 3.21, protoc-gen-go v1.36.12 and protoc-gen-go-grpc v1.6.2)
	cd gates/internal/wire && protoc --go_out=. --go_opt=paths=source_relative --go-grpc_out=. --go-grpc_opt=paths=source_relative gates.proto

record-dagger: ## record anew what a Dagger engine answers (needs one: _EXPERIMENTAL_DAGGER_RUNNER_HOST)
	PENSTOCK_RECORD_DAGGER=1 $(GO) test -count=1 -run '^TestLive$$' ./internal/executor/dagger

ci: ## what CI runs
	bash .ci/run

clean: ## remove what was built
	rm -rf $(BIN)

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-12s %s\n", $$1, $$2 }' Makefile
