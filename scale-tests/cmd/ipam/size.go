package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/meridian-federation/meridian/internal/process"
)

// million is the ledger that is filled, whatever the number of its entries.
const million = "million"

// fillBatch is how many allocations a caller asks for at once while the ledger is filled.
const fillBatch = 256

// openWithin bounds the start of a ledger that is full.
const openWithin = 5 * time.Minute

// size is what a ledger with many entries costs.
type size struct {
	opening
	fillPerSecond float64
	etcdMB        float64 // what the etcd holds of the machine then
}

// size fills a ledger, and opens it in a process of its own.
func (b *bench) size(ctx context.Context) (s size, err error) {
	if s.fillPerSecond, err = b.fill(ctx); err != nil {
		return s, err
	}
	result := filepath.Join(b.dir, opener+".json")
	spec, err := b.worker(opener, workerSpec{Etcd: b.etcd, Prefix: prefixOf(million), Result: result})
	if err != nil {
		return s, err
	}
	ctx, cancel := context.WithTimeout(ctx, openWithin)
	defer cancel()
	p, err := process.Start(spec)
	if err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, p.Stop(context.WithoutCancel(ctx), 0)) }()
	if err := p.Wait(ctx); err != nil {
		return s, fmt.Errorf("opening a ledger with %d entries: %w", b.entries, err)
	}
	content, err := os.ReadFile(result)
	if err == nil {
		err = json.Unmarshal(content, &s.opening)
	}
	if err != nil {
		return s, fmt.Errorf("reading what %s measured: %w", opener, err)
	}
	rss, err := b.fleet.Meter.RSS()
	s.etcdMB = megabytes(rss[etcdWorker])
	return s, err
}

// fill makes the allocations, and returns how many a second that was.
func (b *bench) fill(ctx context.Context) (rate float64, err error) {
	h, err := open(ctx, b.etcd, prefixOf(million), 0)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, h.close()) }()
	if err := h.addBlock(ctx); err != nil {
		return 0, err
	}
	calls := int64((b.entries + fillBatch - 1) / fillBatch)
	begun := time.Now()
	var claimed atomic.Int64
	_, err = call(ctx, contender{name: million, do: h.allocate(fillBatch)}, 8, 0, func() bool { return claimed.Add(1) <= calls })
	if err != nil {
		return 0, fmt.Errorf("filling the ledger: %w", err)
	}
	return float64(calls*fillBatch) / time.Since(begun).Seconds(), nil
}
