# Meridian's tasks. `make help` lists them.
#
# Go, make and git are all that is needed. Tools are Go tools of their own
# module, tools/, so that what they import stays out of Meridian's go.mod.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

TOOL := go tool -modfile=tools/go.mod

# What `make generate` writes; nothing else may be edited by it.
GENERATED = $(shell find api internal ipam -name 'zz_generated.*.go' -o -name '*.pb.go' -o -path 'api/crds/*.yaml' | LC_ALL=C sort) deploy/agent/rbac.yaml

##@ Help

.PHONY: help
help: ## List the targets.
	@awk 'BEGIN { FS = ":.*## " } \
	  /^##@/ { printf "\n%s\n", substr($$0, 5) } \
	  /^[a-z-]+:.*## / { printf "  %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

##@ Run

.PHONY: up
up: bin/meridian ## Run a whole Meridian on this machine (UP_FLAGS="--help" lists its knobs).
	bin/meridian up $(UP_FLAGS)

.PHONY: down
down: bin/meridian ## Stop it; its data stays in .meridian/.
	bin/meridian down

.PHONY: purge
purge: bin/meridian ## Stop it and remove its data.
	bin/meridian down --purge

.PHONY: bin/meridian
bin/meridian:
	@echo "building the meridian command"
	@mkdir -p bin
	go build -o bin/meridian ./cmd/meridian

##@ Test

# The programs of the local clusters are built once, before the tests that share them. The end-to-end tests run a whole
# Meridian, or a whole zone in network namespaces (as root, or where users may make them), and come last, each on its own.
.PHONY: test
test: bin/meridian ## Run all tests, on real API servers and etcds.
	bin/meridian build
	go test -p 3 -timeout 15m $$(go list ./... | grep -v /e2e)
	go test -timeout 15m ./e2e
	go test -timeout 15m ./e2e/zonefaults

.PHONY: bench
bench: ## Measure what a change costs among others; keeps scale-tests/results/flat.txt.
	scale-tests/flat.sh

##@ Development

.PHONY: generate
generate: ## Write the CRDs, deep copies, protobuf code and the agent's role.
	$(TOOL) controller-gen object paths=./api/v1alpha1
	$(TOOL) controller-gen crd:generateEmbeddedObjectMeta=true paths=./api/v1alpha1 output:crd:artifacts:config=api/crds
	$(TOOL) buf lint
	$(TOOL) buf generate
	go generate ./deploy/agent

.PHONY: generate-check
generate-check: ## Fail if `make generate` would change a file.
	@before=$$(sha256sum $(GENERATED)); \
	$(MAKE) --no-print-directory generate; \
	after=$$($(MAKE) --no-print-directory -s generated-sums); \
	diff <(echo "$$before") <(echo "$$after") || { \
	  echo "generated files were out of date; they are written anew, commit them" >&2; exit 1; }

.PHONY: generated-sums
generated-sums:
	@sha256sum $(GENERATED)

.PHONY: lint
lint: ## Check formatting, go vet and staticcheck.
	@unformatted=$$(git ls-files -z --cached --others --exclude-standard '*.go' | xargs -0 -r ls 2>/dev/null | xargs -r gofmt -s -l); \
	if [ -n "$$unformatted" ]; then echo "gofmt -s would change:"; echo "$$unformatted"; exit 1; fi
	go vet ./...
	$(TOOL) staticcheck ./...

.PHONY: vuln
vuln: ## Look for known vulnerabilities (needs vuln.go.dev, and says so where it cannot be reached).
	.ci/vulnerabilities

.PHONY: fuzz
fuzz: ## Fuzz all targets, for FUZZ_SECONDS in all (60).
	.ci/fuzz $(FUZZ_SECONDS)

##@ Release

# No cgo, no paths of this machine and no time of the build: who builds a commit by the same Go gets the same bytes.
.PHONY: release
release: ## Build the binaries to be shipped, in bin/release.
	CGO_ENABLED=0 GOFLAGS= go build -trimpath -buildvcs=true -ldflags='-s -w' -o bin/release/ ./cmd/...

.PHONY: reproducible
reproducible: ## Build them twice, in two folders with nothing cached, and compare.
	.ci/reproducible

.PHONY: sbom
sbom: release ## List what the binaries are made of, as SPDX beside each.
	cd tools && go run ./sbom ../bin/release
