// Command meridian-zone runs one replica of a zone: it decides which clusters run what, compiles what they run, and
// serves their agents.
package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"

	"github.com/meridian-federation/meridian/az"
	"github.com/meridian-federation/meridian/internal/audit"
	"github.com/meridian-federation/meridian/internal/config"
	"github.com/meridian-federation/meridian/internal/identity"
	"github.com/meridian-federation/meridian/internal/question"
	"github.com/meridian-federation/meridian/internal/run"
	"github.com/meridian-federation/meridian/internal/shard/gossip"
	"github.com/meridian-federation/meridian/internal/store/etcd"
	"github.com/meridian-federation/meridian/internal/telemetry"
	"github.com/meridian-federation/meridian/ipam/ledger"
)

const name = "meridian-zone"

func main() { run.Main(name, serve) }

func serve(ctx context.Context, args []string) (err error) {
	var cfg az.Config
	if err := config.Load(name, &cfg, args); err != nil {
		return err
	}
	log, err := telemetry.NewLogger(os.Stderr, cfg.Log.Level, cfg.Log.Format)
	if err != nil {
		return err
	}
	id, err := identity.Open(ctx, identity.Config{Identity: cfg.Identity, Path: question.Path{Region: cfg.Region, Zone: cfg.Zone},
		Parents: cfg.Parent, Log: log})
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", cfg.Listen)
	if err != nil {
		return fmt.Errorf("listening for agents: %w", err)
	}
	defer listener.Close()
	prefix := cfg.Etcd.At("zone/" + cfg.Zone)
	store, closeStore, err := etcd.Open(ctx, etcd.OpenConfig{Endpoints: cfg.Etcd.Endpoints, Prefix: prefix,
		Dir: cfg.Etcd.DataDir, Files: cfg.Etcd.TLS(), Username: cfg.Etcd.Username, PasswordFile: cfg.Etcd.PasswordFile, Log: log})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeStore()) }()

	health, registry := telemetry.NewHealth(), telemetry.NewRegistry(name)
	trail, err := audit.Open(audit.Config{Place: "region/" + cfg.Region + "/zone/" + cfg.Zone, File: cfg.Audit.File,
		MaxSizeMB: cfg.Audit.MaxSizeMB, MaxBackups: cfg.Audit.MaxBackups, Log: log, Registry: registry})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, trail.Close()) }()
	registry.MustRegister(id.Collector())
	deps := az.Deps{Store: store, Identity: id.Source, Authority: id.Authority, Listener: listener, Log: log, Audit: trail,
		Ledger: ledger.Config{Client: store.Client(), Prefix: prefix, Witness: cfg.Identity.Ledger(cfg.ID), Log: log}, Registry: registry}
	if cfg.Authorization.Address != "" {
		if deps.Authorization, err = net.Listen("tcp", cfg.Authorization.Address); err != nil {
			return fmt.Errorf("listening for proxies: %w", err)
		}
		defer deps.Authorization.Close()
	}
	if cfg.Gossip.Bind != "" {
		members, err := gossip.New(gossip.Config{ID: cfg.ID, Label: cfg.Region + "/" + cfg.Zone, Bind: cfg.Gossip.Bind,
			Advertise: cfg.Gossip.Advertise, Join: cfg.Gossip.Join, KeyFile: cfg.Gossip.KeyFile, Log: log})
		if err != nil {
			return fmt.Errorf("setting up gossip: %w", err)
		}
		defer members.Close()
		deps.Gossip = members
	}
	zone := az.New(cfg, deps)
	zone.Check(health)
	admin, err := telemetry.Listen(cfg.Admin, telemetry.Admin{Health: health, Registry: registry, Log: log})
	if err != nil {
		return err
	}
	group := run.NewGroup(log)
	group.Add("identity", id.Run)
	group.Add("admin", admin.Run)
	group.Add("zone", zone.Run)
	log.Info("serving", "zone", cfg.Zone, "listen", listener.Addr().String(), "admin", admin.Address())
	return group.Run(ctx)
}
