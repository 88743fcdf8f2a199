// Command meridian-agent is the agent of one cluster: it applies what its zone compiled for the cluster, and reports
// how the workloads do. See package clusteragent.
package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	clusteragent "github.com/meridian-federation/meridian/cluster-agent"
	"github.com/meridian-federation/meridian/internal/config"
	"github.com/meridian-federation/meridian/internal/feed"
	"github.com/meridian-federation/meridian/internal/identity"
	"github.com/meridian-federation/meridian/internal/question"
	"github.com/meridian-federation/meridian/internal/run"
	"github.com/meridian-federation/meridian/internal/telemetry"
)

const name = "meridian-agent"

func main() { run.Main(name, body) }

func body(ctx context.Context, args []string) error {
	var cfg clusteragent.Config
	if err := config.Load(name, &cfg, args); err != nil {
		return err
	}
	log, err := telemetry.NewLogger(os.Stderr, cfg.Log.Level, cfg.Log.Format)
	if err != nil {
		return err
	}
	id, err := identity.Open(ctx, identity.Config{Identity: cfg.Identity, Parents: cfg.ZoneAddresses, Log: log,
		Path: question.Path{Region: cfg.Region, Zone: cfg.Zone, Cluster: cfg.Cluster}})
	if err != nil {
		return err
	}
	kube, err := kubeconfig(cfg.Kubeconfig)
	if err != nil {
		return err
	}
	registry, health, stats := telemetry.NewRegistry(name), telemetry.NewHealth(), &feed.Stats{}
	registry.MustRegister(telemetry.FeedCollector("parent", stats), id.Collector())
	admin, err := telemetry.Listen(cfg.Admin, telemetry.Admin{Health: health, Registry: registry, Log: log})
	if err != nil {
		return err
	}
	log.Info("starting", slog.String("cluster", cfg.Cluster), slog.Any("zone", cfg.ZoneAddresses),
		slog.String("admin", admin.Address()))
	g := run.NewGroup(log)
	g.Add("identity", id.Run)
	g.Add("admin server", admin.Run)
	g.Add("agent", func(ctx context.Context) error {
		return clusteragent.Run(ctx, cfg, clusteragent.Deps{Log: log, Kube: kube, Identity: id.Source, Learned: id.Learned, Served: id.Served,
			Health: health, Registry: registry, Stats: stats})
	})
	return g.Run(ctx)
}

// kubeconfig reads a file, or takes the service account of the pod.
func kubeconfig(file string) (*rest.Config, error) {
	if file == "" {
		cfg, err := rest.InClusterConfig()
		if err != nil {
			return nil, fmt.Errorf("no --kubeconfig is given, and this is not a pod: %w", err)
		}
		return cfg, nil
	}
	cfg, err := clientcmd.BuildConfigFromFlags("", file)
	if err != nil {
		return nil, fmt.Errorf("reading kubeconfig %s: %w", file, err)
	}
	return cfg, nil
}
