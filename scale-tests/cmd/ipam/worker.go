package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/meridian-federation/meridian/internal/store/etcd"
	"github.com/meridian-federation/meridian/scale-tests/internal/latency"
	"github.com/meridian-federation/meridian/scale-tests/internal/usage"
)

// workerEnv holds the workerSpec of a process of this program that is one of those measured.
const workerEnv = "MERIDIAN_IPAM_WORKER"

// workerSpec is what a worker is to be: the etcd, or with Prefix a ledger that opens, is measured, and ends.
type workerSpec struct {
	// Etcd is its address, HOST:PORT.
	Etcd string
	// Dir is where the etcd keeps its data.
	Dir string
	// Prefix is the ledger's, and Result the file for what was measured.
	Prefix, Result string
}

// opening is what a process cost that has a ledger and nothing else.
type opening struct {
	Seconds    float64 `json:"seconds"`     // of Open
	CPUSeconds float64 `json:"cpu_seconds"` // of this process alone
	// Before and After are the process's memory without a ledger and with one, in MB, once what was read has been collected;
	// Peak is the most that it was. Heap is what the ledger alone holds.
	Before, After, Peak, Heap float64
}

func work(ctx context.Context, content string) error {
	var spec workerSpec
	if err := json.Unmarshal([]byte(content), &spec); err != nil {
		return fmt.Errorf("reading what to be: %w", err)
	}
	if spec.Prefix == "" {
		return serveEtcd(ctx, spec)
	}
	o, err := measureOpening(ctx, spec)
	if err != nil {
		return err
	}
	line, err := json.Marshal(o)
	if err != nil {
		return err
	}
	return os.WriteFile(spec.Result, line, 0o600)
}

// serveEtcd runs an etcd that syncs to disk.
func serveEtcd(ctx context.Context, spec workerSpec) error {
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	server, err := etcd.Embed(ctx, etcd.EmbedConfig{Dir: spec.Dir, Listen: "http://" + spec.Etcd, Log: log})
	if err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		return server.Close()
	case <-server.Done():
		return errors.Join(errors.New("etcd ended by itself"), server.Close())
	}
}

// measureOpening opens a ledger that others have filled.
func measureOpening(ctx context.Context, spec workerSpec) (o opening, err error) {
	meter := usage.NewMeter()
	meter.Add(self, os.Getpid())
	var heap uint64
	if o.Before, heap, err = memory(meter); err != nil {
		return o, err
	}
	spent, err := meter.CPU()
	if err != nil {
		return o, err
	}
	begun := time.Now()
	h, err := open(ctx, spec.Etcd, spec.Prefix, 0)
	if err != nil {
		return o, err
	}
	defer func() { err = errors.Join(err, h.close()) }()
	o.Seconds = latency.Seconds(time.Since(begun))
	now, err := meter.CPU()
	if err != nil {
		return o, err
	}
	o.CPUSeconds = latency.Seconds(now.Since(spent)[self])
	peak, err := meter.PeakRSS()
	if err != nil {
		return o, err
	}
	o.Peak = megabytes(peak[self])
	var with uint64
	if o.After, with, err = memory(meter); err != nil {
		return o, err
	}
	o.Heap = megabytes(int64(with) - int64(heap))
	runtime.KeepAlive(h)
	return o, nil
}

// memory is what this process holds of the machine, in MB, and of its heap, once garbage is gone.
func memory(meter *usage.Meter) (mb float64, heap uint64, err error) {
	debug.FreeOSMemory()
	rss, err := meter.RSS()
	if err != nil {
		return 0, 0, err
	}
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return megabytes(rss[self]), stats.HeapAlloc, nil
}

// megabytes is in units of 1,000,000 bytes, rounded to tenths.
func megabytes(bytes int64) float64 { return float64(bytes/100_000) / 10 }
