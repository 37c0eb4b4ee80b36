# Nightjar's commands. `make` alone lists them.

GO      ?= go
TOOL    := $(GO) tool -modfile=tools/go.mod
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)

# Time for each fuzz target of `make fuzz`.
FUZZTIME ?= 10m

# What we also build for, beside the machine at hand.
PLATFORMS := darwin/arm64 windows/amd64 linux/arm64 linux/arm

# Where goroutines meet: these packages are tested with the race detector too.
RACE := $(patsubst %,./%/...,$(wildcard admin auth broker configs devices-sim retained sessions store topics transports))

# Pure Go everywhere; only the race detector needs C.
export CGO_ENABLED = 0

.PHONY: help run build test check fmt lint vet race fuzz bench cross spec deps clean

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-7s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## run the broker from source: make run ARGS="--config nightjar.yaml"
	$(GO) run ./cmd/nightjar serve $(ARGS)

build: ## build the one static binary, ./nightjar
	$(GO) build -trimpath -ldflags '-s -w -X main.version=$(VERSION)' -o nightjar ./cmd/nightjar

test: deps vet cross ## everything CI runs: vet, cross builds, all tests, race detector (under 10 minutes)
	@records=$$(mktemp -d) && trap 'rm -r "$$records"' EXIT && set -x && \
		NIGHTJAR_SPECCOV=$$records $(GO) test -timeout 5m ./... && $(GO) run ./internal/speccov/report -from "$$records"
	$(MAKE) --no-print-directory race

check: fmt lint ## before a commit: format, linters, tidy rules, race detector, 30 s for each fuzz target
	$(GO) test ./internal/tidy
	$(MAKE) --no-print-directory race
	.ci/fuzz 30s

fmt: ## fail if gofumpt would change a file
	@changed=$$($(TOOL) gofumpt -l .) && [ -z "$$changed" ] || { printf 'gofumpt would change:\n%s\n' "$$changed"; exit 1; }

lint: ## golangci-lint and staticcheck (the first run builds them: about a minute)
	$(TOOL) golangci-lint run ./...
	$(TOOL) staticcheck ./...

vet: ## go vet
	$(GO) vet ./...

race: ## tests of the packages where goroutines meet, with the race detector
	CGO_ENABLED=1 $(GO) test -race -timeout 5m $(RACE)

fuzz: ## run every fuzz target for FUZZTIME (10m)
	.ci/fuzz $(FUZZTIME)

bench: ## run the benchmarks six times into bench.out; compare two with: go tool -modfile=tools/go.mod benchstat old.out bench.out
	$(GO) test -run '^$$' -bench . -benchmem -count 6 ./... | tee bench.out

cross: ## build for the other platforms
	@for platform in $(PLATFORMS); do \
		echo "build for $$platform"; \
		GOOS=$${platform%/*} GOARCH=$${platform#*/} $(GO) build ./... || exit 1; \
	done

spec: ## count the statements of the standard that tests hold, write docs/conformance.md; fail if there are fewer
	$(GO) run ./internal/speccov/report

deps: ## install what the tests need beside Go (Debian, as root)
	.ci/deps

clean: ## remove what was built
	rm -rf nightjar dist bench.out
