package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"

	"github.com/meridian-federation/meridian/internal/config"
	"github.com/meridian-federation/meridian/internal/run"
	"github.com/meridian-federation/meridian/internal/store/etcd"
	"github.com/meridian-federation/meridian/internal/telemetry"
)

// workerEnv names the file that tells a process of this program to be a worker: one of the processes that are measured.
const workerEnv = "MERIDIAN_FLEET_WORKER"

// Roles of workers, which are the tiers in the report as well.
const (
	tierEtcd    = "etcd"
	tierGlobal  = "global"
	tierRegions = "regions"
	tierZones   = "zones"
)

// workerSpec is what a worker is to be.
type workerSpec struct {
	Tier string
	// Admin is the address of metrics and profiles.
	Admin string
	// Etcd is the address of the one etcd.
	Etcd string
	// Dir is where the etcd keeps its data.
	Dir        string
	Kubeconfig string
	Nodes      []nodeSpec
}

// nodeSpec is one instance of a tier.
type nodeSpec struct {
	ID, Region, Zone string
	// Identity is where its certificate is.
	Identity config.Identity
	Listen   string
	Parents  []string
	// Gossip is where a zone's replica hears of the others, Join where it finds them; none for a lone replica.
	Gossip  string
	Join    []string
	KeyFile string
}

// work runs the worker that a file describes, until ctx ends.
func work(ctx context.Context, file string) error {
	content, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("reading what to be: %w", err)
	}
	var spec workerSpec
	if err := json.Unmarshal(content, &spec); err != nil {
		return fmt.Errorf("reading %s: %w", file, err)
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	registry := telemetry.NewRegistry("fleet-" + spec.Tier)
	admin, err := telemetry.Listen(config.Admin{Address: spec.Admin}, telemetry.Admin{Health: telemetry.NewHealth(), Registry: registry, Log: log})
	if err != nil {
		return err
	}
	group := run.NewGroup(log)
	group.Add("admin", admin.Run)
	if spec.Tier == tierEtcd {
		group.Add(tierEtcd, func(ctx context.Context) error { return serveEtcd(ctx, spec, log) })
	}
	for _, n := range spec.Nodes {
		group.Add(n.ID, func(ctx context.Context) error { return serveNode(ctx, spec, n, registry, log.With("node", n.ID)) })
	}
	return group.Run(ctx)
}

// serveEtcd runs the etcd of all tiers. It syncs to disk.
func serveEtcd(ctx context.Context, spec workerSpec, log *slog.Logger) error {
	server, err := etcd.Embed(ctx, etcd.EmbedConfig{Dir: spec.Dir, Listen: "http://" + spec.Etcd, Log: log})
	if err != nil {
		return err
	}
	return closeWith(ctx, server)
}

// ending is a server that may end before it is closed.
type ending interface {
	Done() <-chan struct{}
	Close() error
}

// closeWith closes a server when ctx ends. One that ends before is an error.
func closeWith(ctx context.Context, server ending) error {
	select {
	case <-ctx.Done():
		return server.Close()
	case <-server.Done():
	}
	if ctx.Err() != nil {
		return server.Close()
	}
	return errors.Join(errors.New("etcd ended by itself"), server.Close())
}
