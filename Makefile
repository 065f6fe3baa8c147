# make test   sets up what the tests need (Debian) and passes them all
# make check  formatting and static analysis only
# make bench  benchmarks against bare GoBGP, printed as ratios (some minutes)
# make build  the static binary, bin/catsbgp

SHELL := /bin/bash
GO ?= go

.PHONY: build test check unit lab demo bench fuzz deb clean

build:
	CGO_ENABLED=0 $(GO) build -trimpath -o bin/catsbgp ./cmd/catsbgp

test: check
	scripts/test

check:
	@fmt=$$(gofmt -l .); [ -z "$$fmt" ] || { echo "not gofmt'd: $$fmt"; exit 1; }
	$(GO) mod verify
	$(GO) vet ./...
	$(GO) tool staticcheck ./...

unit:
	$(GO) test ./...

lab:
	CATSBGP_REQUIRE_LAB=1 $(GO) test -count=1 ./lab/...

demo:
	$(GO) run ./cmd/catsbgp demo

bench:
	scripts/bench

# Every fuzz target for a while: make fuzz FUZZTIME=5m
FUZZTIME ?= 30s
fuzz:
	scripts/fuzz $(FUZZTIME)

deb: build
	packaging/build-deb.sh

clean:
	rm -rf bin dist
