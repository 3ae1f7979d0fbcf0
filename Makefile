# Penstock. `make demo` shows it, `make test` holds it; `make help` lists the rest.
# GNU make, Go and git are enough for everything but the targets that say they need Node.

GO        ?= go
BIN       := bin
SETS      := quality security health
VERSION   ?= $(or $(patsubst v%,%,$(shell git describe --tags --match 'v*' --dirty 2>/dev/null)),0.1.0-dev)
COMMIT    := $(shell git rev-parse HEAD 2>/dev/null)
INFO      := github.com/penstock-ci/penstock/internal/buildinfo
EXE       := $(shell $(GO) env GOEXE)
PLUGINS   := $(SETS:%=$(BIN)/penstock-gates-%$(EXE))
GOFILES   := $(shell git ls-files -co --exclude-standard '*.go' '*.proto' '*.js' '*.json' '*.html' '*.sql' 2>/dev/null | grep -v ^examples/) go.mod go.sum
WORKERD_PACKAGE := @cloudflare/workerd-$(shell $(GO) env GOHOSTOS)-$(patsubst amd64,64,$(shell $(GO) env GOHOSTARCH))
WORKERD   := .work/workerd/node_modules/$(WORKERD_PACKAGE)/bin/workerd
LINT      := $(BIN)/golangci-lint-v2.15.0
# -trimpath: the same source gives the same binary in any folder.
GOBUILD   := $(GO) build -trimpath -buildvcs=false

.PHONY: demo build test test-slow race lint bench cross clean help fmt generate ci

demo: build ## run the whole pipeline of examples/atomic-guide against a Cloudflare on this machine (needs Node)
	@$(BIN)/penstock$(EXE) deploy --env local -C examples/atomic-guide

build: $(BIN)/penstock$(EXE) ## build penstock and its gate sets into bin/

$(BIN)/penstock-gates-%$(EXE): $(GOFILES)
	@$(GOBUILD) -ldflags '-s -w' -o $@ ./plugins/$*

# The gate sets that come with a build are pinned by that build: their checksums are linked into it.
$(BIN)/penstock$(EXE): $(PLUGINS) $(GOFILES)
	@pins=$$(for set in $(SETS); do printf '%s=%s,' $$set $$(./tools/sha256 $(BIN)/penstock-gates-$$set$(EXE)); done) && \
	$(GOBUILD) -ldflags "-s -w -X $(INFO).Version=$(VERSION) -X $(INFO).Commit=$(COMMIT) -X $(INFO).GatePins=$${pins%,}" -o $@ ./cmd/penstock

test: build $(WORKERD) ## everything that must hold, without the slow tier
	$(GO) vet ./...
	PENSTOCK_WORKERD=$(abspath $(WORKERD)) $(GO) test ./...

test-slow: build $(WORKERD) ## the slow tier too: real npm, wrangler and workerd, the whole story (needs Node)
	PENSTOCK_SLOW=1 PENSTOCK_WORKERD=$(abspath $(WORKERD)) $(GO) test -count=1 -timeout 30m ./...

# The Workers runtime that the tests of the local Cloudflare use, from the registry that npm is set to. Pinned: state that a
# newer one wrote is not readable by an older one.
$(WORKERD):
	@mkdir -p .work/workerd && npm install --silent --no-audit --no-fund --no-save --prefix .work/workerd $(WORKERD_PACKAGE)@1.20260426.1

race: $(WORKERD) ## all fast tests under the race detector
	PENSTOCK_WORKERD=$(abspath $(WORKERD)) $(GO) test -race ./...

lint: $(LINT) ## golangci-lint with the linters of .golangci.yml
	$(LINT) run ./...

$(LINT):
	GOBIN=$(abspath $(BIN)) $(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
	@mv $(BIN)/golangci-lint$(EXE) $@

cross: ## build for every platform that we ship
	for target in linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64; do \
		GOOS=$${target%/*} GOARCH=$${target#*/} $(GO) build -o /dev/null ./cmd/penstock ./plugins/... || exit 1; echo "$$target builds"; done

bench: build ## measure Penstock beside make, bash and bare process starts on this machine
	$(GO) run ./bench

fmt: ## format
	gofmt -w $$(git ls-files '*.go' | grep -v -e '\.pb\.go$$')

generate: ## generate the gate wire again (needs protoc 3.21, protoc-gen-go v1.36.12 and protoc-gen-go-grpc v1.6.2)
	cd gates/internal/wire && protoc --go_out=. --go_opt=paths=source_relative --go-grpc_out=. --go-grpc_opt=paths=source_relative gates.proto

ci: ## what CI runs
	bash .ci/run

clean: ## remove what was built
	rm -rf $(BIN)

help: ## list these targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14
