package cli_test

import (
	"context"
	"log/slog"
	"net"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/meridian-federation/meridian/az"
	"github.com/meridian-federation/meridian/global"
	"github.com/meridian-federation/meridian/internal/feed"
	"github.com/meridian-federation/meridian/internal/question"
	"github.com/meridian-federation/meridian/internal/store/mem"
	"github.com/meridian-federation/meridian/internal/tiertest"
	"github.com/meridian-federation/meridian/region"
)

// runner is a tier.
type runner interface {
	Run(ctx context.Context) error
}

// tree is Global at a real API server, region west, its zone west-a, and the agent of cluster a1. Zone west-b and its cluster,
// the only one of environment lab, are in the inventory alone.
type tree struct {
	terminal
	agent *tiertest.Child
}

const inventory = `
apiVersion: meridian.dev/v1alpha1
kind: Environment
metadata: {name: prod}
---
apiVersion: meridian.dev/v1alpha1
kind: Environment
metadata: {name: lab}
spec: {trustDomain: lab.example}
---
apiVersion: meridian.dev/v1alpha1
kind: Network
metadata: {name: net}
---
apiVersion: meridian.dev/v1alpha1
kind: Region
metadata: {name: west}
---
apiVersion: meridian.dev/v1alpha1
kind: Zone
metadata: {name: west-a}
spec: {region: west}
---
apiVersion: meridian.dev/v1alpha1
kind: Zone
metadata: {name: west-b}
spec: {region: west}
---
apiVersion: meridian.dev/v1alpha1
kind: Cluster
metadata: {name: a1}
spec: {zone: west-a, network: net, environments: [prod]}
---
apiVersion: meridian.dev/v1alpha1
kind: Cluster
metadata: {name: b1}
spec: {zone: west-b, network: net, environments: [lab]}
---
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {meridian.dev/environment: prod}}
---
apiVersion: v1
kind: Namespace
metadata: {name: payments, labels: {meridian.dev/environment: prod}}
---
apiVersion: v1
kind: Namespace
metadata: {name: trial, labels: {meridian.dev/environment: lab}}
`

// startTree starts the tiers on stores in memory.
func startTree(t *testing.T) tree {
	t.Helper()
	tm := startServer(t)
	hub, err := clientcmd.BuildConfigFromFlags("", tm.kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	hub.QPS = -1 // as in the program
	log := slog.New(slog.DiscardHandler)
	own, err := tiertest.Root().Authority(question.Path{})
	if err != nil {
		t.Fatal(err)
	}
	top := startTier(t, func(l net.Listener) runner {
		cfg := global.Config{ID: "global-0", Listen: l.Addr().String(), Advertise: l.Addr().String()}
		g, err := global.New(cfg, global.Deps{Store: mem.New(), Hub: hub, Listener: l, Log: log, Stats: &feed.Stats{},
			Registry: prometheus.NewRegistry(), Identity: own.Source(), Authority: own})
		if err != nil {
			t.Fatal(err)
		}
		return g
	})
	middle := startTier(t, func(l net.Listener) runner {
		cfg := region.Config{ID: "region-0", Region: "west", Global: []string{top}}
		cfg.Default()
		return region.New(cfg, region.Deps{Store: mem.New(), Listener: l, Log: log, Identity: tiertest.Source(t, "region/west")})
	})
	zone := startTier(t, func(l net.Listener) runner {
		cfg := az.Config{ID: "zone-0", Region: "west", Zone: "west-a", Parent: []string{middle}}
		cfg.Default()
		return az.New(cfg, az.Deps{Store: mem.New(), Listener: l, Log: log, Identity: tiertest.Source(t, "region/west/zone/west-a")})
	})
	agent := tiertest.NewChild(t, "cluster", "region/west/zone/west-a/cluster/a1", zone)
	agent.Ready(tiertest.Replicas)
	agent.Start()
	tm.ok(inventory, "apply", "-f", "-")
	tr := tree{tm, agent}
	tr.await("west-a", "status") // Global has said at the hub where it answers
	return tr
}

// startTier runs a tier until the test ends, and returns its address.
func startTier(t *testing.T, build func(net.Listener) runner) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	tier := build(listener)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- tier.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("running a tier: %v", err)
		}
	})
	return listener.Addr().String()
}

// await runs a command until what it wrote, or its error, has a part.
func (tr tree) await(part string, args ...string) {
	tr.t.Helper()
	var r result
	tiertest.Await(tr.t, "meridian "+strings.Join(args, " ")+" says "+part, func() bool {
		r = tr.run("", args...)
		return strings.Contains(r.out, part) || r.failed != nil && strings.Contains(r.failed.Error(), part)
	})
}
