// Command meridian-global runs one replica of the top tier: it watches the resources at the hub's API server, decides,
// and serves the regions.
package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"

	"github.com/meridian-federation/meridian/global"
	"github.com/meridian-federation/meridian/internal/audit"
	"github.com/meridian-federation/meridian/internal/config"
	"github.com/meridian-federation/meridian/internal/feed"
	"github.com/meridian-federation/meridian/internal/identity"
	"github.com/meridian-federation/meridian/internal/run"
	"github.com/meridian-federation/meridian/internal/store/etcd"
	"github.com/meridian-federation/meridian/internal/telemetry"
	"github.com/meridian-federation/meridian/ipam/ledger"
)

const name = "meridian-global"

func main() { run.Main(name, serve) }

func serve(ctx context.Context, args []string) (err error) {
	var cfg global.Config
	if err := config.Load(name, &cfg, args); err != nil {
		return err
	}
	log, err := telemetry.NewLogger(os.Stderr, cfg.Log.Level, cfg.Log.Format)
	if err != nil {
		return err
	}
	klog.SetSlogLogger(log)
	hub, err := hubConfig(cfg.Kubeconfig)
	if err != nil {
		return err
	}
	id, err := identity.Open(ctx, identity.Config{Identity: cfg.Identity, Log: log})
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", cfg.Listen)
	if err != nil {
		return fmt.Errorf("listening for regions: %w", err)
	}
	defer listener.Close()
	store, closeStore, err := etcd.Open(ctx, etcd.OpenConfig{Endpoints: cfg.Etcd.Endpoints, Prefix: cfg.Etcd.Prefix,
		Dir: cfg.Etcd.DataDir, Files: cfg.Etcd.TLS(), Username: cfg.Etcd.Username, PasswordFile: cfg.Etcd.PasswordFile, Log: log})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeStore()) }()

	stats := &feed.Stats{}
	health, registry := telemetry.NewHealth(), telemetry.NewRegistry(name)
	trail, err := audit.Open(audit.Config{Place: "global", File: cfg.Audit.File,
		MaxSizeMB: cfg.Audit.MaxSizeMB, MaxBackups: cfg.Audit.MaxBackups, Log: log, Registry: registry})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, trail.Close()) }()
	registry.MustRegister(id.Collector())
	tier, err := global.New(cfg, global.Deps{Store: store, Identity: id.Source, Authority: id.Authority, Hub: hub, Listener: listener, Log: log, Audit: trail, Stats: stats,
		Ledger: ledger.Config{Client: store.Client(), Prefix: cfg.Etcd.Prefix, Witness: cfg.Identity.Ledger(cfg.ID), Log: log}, Registry: registry})
	if err != nil {
		return err
	}
	health.Add("records", tier.Ready)
	registry.MustRegister(telemetry.FeedCollector("children", stats))
	admin, err := telemetry.Listen(cfg.Admin, telemetry.Admin{Health: health, Registry: registry, Log: log})
	if err != nil {
		return err
	}
	group := run.NewGroup(log)
	group.Add("identity", id.Run)
	group.Add("admin", admin.Run)
	group.Add("global", tier.Run)
	log.Info("serving", "listen", listener.Addr().String(), "admin", admin.Address())
	return group.Run(ctx)
}

// hubConfig reads the credentials for the hub's API server. Global's own bounds on concurrency are its flow control.
func hubConfig(kubeconfig string) (*rest.Config, error) {
	cfg, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("reading kubeconfig %q: %w", kubeconfig, err)
	}
	cfg.QPS = -1
	cfg.UserAgent = name
	return cfg, nil
}
