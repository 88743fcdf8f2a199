// Command meridian-region runs one replica of a region: it keeps what Global sends, serves its zones, and sums what
// they report.
package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"

	"github.com/meridian-federation/meridian/internal/audit"
	"github.com/meridian-federation/meridian/internal/config"
	"github.com/meridian-federation/meridian/internal/identity"
	"github.com/meridian-federation/meridian/internal/question"
	"github.com/meridian-federation/meridian/internal/run"
	"github.com/meridian-federation/meridian/internal/store/etcd"
	"github.com/meridian-federation/meridian/internal/telemetry"
	"github.com/meridian-federation/meridian/ipam/ledger"
	"github.com/meridian-federation/meridian/region"
)

const name = "meridian-region"

func main() { run.Main(name, serve) }

func serve(ctx context.Context, args []string) (err error) {
	var cfg region.Config
	if err := config.Load(name, &cfg, args); err != nil {
		return err
	}
	log, err := telemetry.NewLogger(os.Stderr, cfg.Log.Level, cfg.Log.Format)
	if err != nil {
		return err
	}
	id, err := identity.Open(ctx, identity.Config{Identity: cfg.Identity, Path: question.Path{Region: cfg.Region}, Parents: cfg.Global, Log: log})
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", cfg.Listen)
	if err != nil {
		return fmt.Errorf("listening for zones: %w", err)
	}
	defer listener.Close()
	prefix := cfg.Etcd.At("region/" + cfg.Region)
	store, closeStore, err := etcd.Open(ctx, etcd.OpenConfig{Endpoints: cfg.Etcd.Endpoints, Prefix: prefix,
		Dir: cfg.Etcd.DataDir, Files: cfg.Etcd.TLS(), Username: cfg.Etcd.Username, PasswordFile: cfg.Etcd.PasswordFile, Log: log})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeStore()) }()

	health, registry := telemetry.NewHealth(), telemetry.NewRegistry(name)
	trail, err := audit.Open(audit.Config{Place: "region/" + cfg.Region, File: cfg.Audit.File,
		MaxSizeMB: cfg.Audit.MaxSizeMB, MaxBackups: cfg.Audit.MaxBackups, Log: log, Registry: registry})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, trail.Close()) }()
	registry.MustRegister(id.Collector())
	tier := region.New(cfg, region.Deps{Store: store, Identity: id.Source, Authority: id.Authority, Listener: listener, Log: log, Audit: trail,
		Ledger: ledger.Config{Client: store.Client(), Prefix: prefix, Witness: cfg.Identity.Ledger(cfg.ID), Log: log}, Registry: registry})
	tier.Check(health)
	admin, err := telemetry.Listen(cfg.Admin, telemetry.Admin{Health: health, Registry: registry, Log: log})
	if err != nil {
		return err
	}
	group := run.NewGroup(log)
	group.Add("identity", id.Run)
	group.Add("admin", admin.Run)
	group.Add("region", tier.Run)
	log.Info("serving", "region", cfg.Region, "listen", listener.Addr().String(), "admin", admin.Address())
	return group.Run(ctx)
}
