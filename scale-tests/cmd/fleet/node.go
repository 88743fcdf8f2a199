package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/meridian-federation/meridian/az"
	"github.com/meridian-federation/meridian/global"
	"github.com/meridian-federation/meridian/internal/config"
	"github.com/meridian-federation/meridian/internal/feed"
	"github.com/meridian-federation/meridian/internal/identity"
	"github.com/meridian-federation/meridian/internal/question"
	"github.com/meridian-federation/meridian/internal/shard/gossip"
	"github.com/meridian-federation/meridian/internal/store/etcd"
	"github.com/meridian-federation/meridian/internal/telemetry"
	"github.com/meridian-federation/meridian/region"
)

// storePrefix is where the records of one instance of a tier are in the etcd.
func storePrefix(n nodeSpec) string {
	switch {
	case n.Zone != "":
		return "/fleet/zone/" + n.Zone
	case n.Region != "":
		return "/fleet/region/" + n.Region
	default:
		return "/fleet/global"
	}
}

// path is the node's place.
func (n nodeSpec) path() question.Path { return question.Path{Region: n.Region, Zone: n.Zone} }

// serveNode runs one instance of a tier, with its own connection to the etcd. Its metrics carry its name.
func serveNode(ctx context.Context, spec workerSpec, n nodeSpec, registry *prometheus.Registry, log *slog.Logger) (err error) {
	listener, err := net.Listen("tcp", n.Listen)
	if err != nil {
		return fmt.Errorf("listening for children: %w", err)
	}
	own := prometheus.WrapRegistererWith(prometheus.Labels{"node": n.ID}, registry)
	listener = newMeteredListener(listener, own)
	defer listener.Close()
	at := config.Etcd{Endpoints: []string{"http://" + spec.Etcd}, Prefix: storePrefix(n)}
	store, closeStore, err := etcd.Open(ctx, etcd.OpenConfig{Endpoints: at.Endpoints, Prefix: at.Prefix, Log: log})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeStore()) }()
	id, err := identity.Open(ctx, identity.Config{Identity: n.Identity, Path: n.path(), Parents: n.Parents, Log: log})
	if err != nil {
		return err
	}
	own.MustRegister(id.Collector())
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return id.Run(ctx) })
	g.Go(func() error {
		switch spec.Tier {
		case tierZones:
			return serveZone(ctx, n, at, az.Deps{Store: store, Identity: id.Source, Authority: id.Authority, Listener: listener, Log: log, Registry: own})
		case tierRegions:
			cfg := region.Config{ID: n.ID, Region: n.Region, Global: n.Parents, Listen: n.Listen, Etcd: at}
			cfg.Default()
			return region.New(cfg, region.Deps{Store: store, Identity: id.Source, Authority: id.Authority, Listener: listener, Log: log, Registry: own}).Run(ctx)
		default:
			return serveGlobal(ctx, spec, n, at, global.Deps{Store: store, Identity: id.Source, Authority: id.Authority, Listener: listener, Log: log,
				Registry: own, Stats: &feed.Stats{}})
		}
	})
	return g.Wait()
}

func serveGlobal(ctx context.Context, spec workerSpec, n nodeSpec, at config.Etcd, deps global.Deps) error {
	hub, err := clientcmd.BuildConfigFromFlags("", spec.Kubeconfig)
	if err != nil {
		return fmt.Errorf("reading the hub's kubeconfig: %w", err)
	}
	hub.QPS = -1
	deps.Hub = hub
	cfg := global.Config{ID: n.ID, Listen: n.Listen, Kubeconfig: spec.Kubeconfig, Etcd: at}
	cfg.Default()
	tier, err := global.New(cfg, deps)
	if err != nil {
		return err
	}
	deps.Registry.MustRegister(telemetry.FeedCollector("children", deps.Stats))
	return tier.Run(ctx)
}

func serveZone(ctx context.Context, n nodeSpec, at config.Etcd, deps az.Deps) error {
	cfg := az.Config{ID: n.ID, Region: n.Region, Zone: n.Zone, Parent: n.Parents, Listen: n.Listen, Etcd: at}
	cfg.Default()
	if n.Gossip != "" {
		members, err := gossip.New(gossip.Config{ID: n.ID, Label: n.Region + "/" + n.Zone, Bind: n.Gossip, Join: n.Join,
			KeyFile: n.KeyFile, Log: deps.Log})
		if err != nil {
			return err
		}
		defer members.Close()
		deps.Gossip = members
	}
	return az.New(cfg, deps).Run(ctx)
}
