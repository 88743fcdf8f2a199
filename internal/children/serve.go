package children

import (
	"context"
	"fmt"
	"net"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"

	"github.com/meridian-federation/meridian/internal/audit"
	"github.com/meridian-federation/meridian/internal/feed/feedgrpc"
	"github.com/meridian-federation/meridian/internal/identity"
	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/internal/store"
)

// Config is what a parent serves with, at its one port.
type Config struct {
	// Feed is how sessions are served; Identify and Valid are set here.
	Feed feedgrpc.ServerConfig
	// May refuses claims of those who are no children here.
	May func(Claim) error
	// Identity is who the parent is. Authority issues certificates to the children; nil where others do. Redeemer is
	// Global's; nil has the parent's asked.
	Identity  *identity.Source
	Authority *identity.Authority
	Redeemer  identity.Redeemer
	// Mirror has the grants by which certificates are refused.
	Mirror *store.Mirror
	// Audit is told of those who are refused; a nil one discards.
	Audit *audit.Log
	// Refusals counts them; nil counts nothing.
	Refusals *Refusals
	// More registers what else is served.
	More []func(grpc.ServiceRegistrar)
}

// Serve serves children at the listener until ctx ends, and returns when their sessions have ended.
func Serve(ctx context.Context, listener net.Listener, cfg Config) error {
	d := &door{may: cfg.May, lowest: Lowest(cfg.Mirror), authority: cfg.Authority, audit: cfg.Audit, refusals: cfg.Refusals}
	cfg.Feed.Identify, cfg.Feed.Valid = d.identify, d.valid
	feeds := feedgrpc.NewServer(cfg.Feed)
	tls, closeRevoked := identity.ServerCredentials(cfg.Identity, d.lowest, d.refused)
	creds := feedgrpc.Credentials(tls, cfg.Feed.Limits, d.refused)
	server := grpc.NewServer(append(feedgrpc.ServerOptions(cfg.Feed.Limits), grpc.Creds(creds))...)
	feeds.Register(server)
	standing := []func(){feeds.Revalidate, func() { cfg.Refusals.count(identity.CauseRevoked, closeRevoked()) }}
	if cfg.Authority != nil {
		standing = append(standing, identity.Serve(server, identity.ServiceConfig{Authority: cfg.Authority, Redeemer: cfg.Redeemer, Lowest: d.lowest,
			Audit: cfg.Audit, Log: cfg.Feed.Log}))
	}
	for _, register := range cfg.More {
		register(server)
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		if err := server.Serve(feedgrpc.Listener(listener, cfg.Feed.Limits, d.crowded)); err != nil && ctx.Err() == nil {
			return fmt.Errorf("serving children: %w", err)
		}
		return nil
	})
	group.Go(func() error { return revalidate(ctx, cfg.Mirror, standing) })
	group.Go(func() error {
		<-ctx.Done()
		feeds.Close()
		server.Stop()
		return nil
	})
	return group.Wait()
}

// revalidate has what stands of children whose place is revoked end, until ctx ends.
func revalidate(ctx context.Context, mirror *store.Mirror, standing []func()) error {
	sub := mirror.Subscribe()
	defer sub.Close()
	for {
		u, err := sub.Next(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("following grants: %w", err)
		}
		for _, c := range u.Changes {
			if c.Key.Kind == record.KindGrant {
				for _, again := range standing {
					again()
				}
				break
			}
		}
	}
}
