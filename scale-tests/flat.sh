#!/bin/bash
# Measures what one change costs among 1,000, 10,000 and 100,000 records that it does not concern, in each part that it
# passes through, and keeps the result in scale-tests/results/flat.txt.
set -eu -o pipefail
cd "$(dirname "$0")/.."
packages="./internal/store ./internal/store/etcd ./internal/scope ./internal/location ./az ./az/compile ./internal/tiertest"
mkdir -p scale-tests/results
out=scale-tests/results/flat.txt
{
  echo "# go test -bench 'Change|Among', $(date -u +%F), $(nproc) cores, load $(cut -d' ' -f1 /proc/loadavg) at the start"
  echo "# On a busy machine compare the lowest times, and allocations."
  # One package at a time, so that they do not disturb each other.
  go test -vet=off -p 1 -timeout 30m -run '^$' -bench 'Change|Among' -benchtime 0.5s -count "${COUNT:-4}" $packages
} | tee "$out.new"
mv "$out.new" "$out"
