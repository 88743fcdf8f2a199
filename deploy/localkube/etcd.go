package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/pflag"
	"go.etcd.io/etcd/server/v3/embed"
)

// quotaBytes bounds the database; etcd's own default of 2 GiB is reached by
// load tests between two compactions.
const quotaBytes = 8 << 30

// keptRevisions is how much history a standalone etcd keeps. An API server
// compacts its own.
const keptRevisions = "10000"

type etcdConfig struct {
	dir    string
	listen string
	fsync  bool
	// keep is how many revisions to keep; empty keeps all, for those who compact.
	keep string
	keys etcdKeys
}

func (c *etcdConfig) addFlags(fs *pflag.FlagSet) {
	fs.StringVar(&c.dir, "etcd-data-dir", "", "Folder of the embedded etcd.")
	fs.StringVar(&c.listen, "etcd-listen", "127.0.0.1:0", "Address of the etcd; port 0 takes any free one.")
	fs.BoolVar(&c.fsync, "etcd-fsync", false, "Sync the embedded etcd to disk on every commit. Off by default: a machine that loses power loses the cluster, a killed process loses nothing.")
}

type etcd struct{ *embed.Etcd }

// endpoint is the address etcd listens on, with the port it was given.
func (e etcd) endpoint() string { return "https://" + e.Clients[0].Addr().String() }

// startEtcd returns once the database serves. A single member needs no peer
// listener, so it opens one port only.
func startEtcd(ctx context.Context, c etcdConfig) (etcd, error) {
	if c.dir == "" {
		return etcd{}, fmt.Errorf("starting etcd: --etcd-data-dir is not set")
	}
	client := url.URL{Scheme: "https", Host: c.listen}
	cfg := embed.NewConfig()
	cfg.Name = "localkube"
	cfg.Dir = c.dir
	cfg.ListenClientUrls = []url.URL{client}
	cfg.AdvertiseClientUrls = []url.URL{client}
	cfg.ClientTLSInfo = c.keys.tls()
	cfg.ListenPeerUrls = nil
	cfg.InitialCluster = cfg.InitialClusterFromName(cfg.Name)
	cfg.UnsafeNoFsync = !c.fsync
	cfg.QuotaBackendBytes = quotaBytes
	if c.keep != "" {
		cfg.AutoCompactionMode, cfg.AutoCompactionRetention = embed.CompactorModeRevision, c.keep
	}
	cfg.EnableGRPCGateway = false
	cfg.LogLevel = "warn"
	cfg.LogFormat = "console"
	cfg.LogOutputs = []string{"stderr"}

	e, err := embed.StartEtcd(cfg)
	if err != nil {
		return etcd{}, fmt.Errorf("starting etcd in %s: %w", c.dir, err)
	}
	select {
	case <-e.Server.ReadyNotify():
		return etcd{e}, nil
	case err := <-e.Err():
		e.Close()
		return etcd{}, fmt.Errorf("starting etcd in %s: %w", c.dir, err)
	case <-ctx.Done():
		e.Close()
		return etcd{}, fmt.Errorf("starting etcd in %s: %w", c.dir, ctx.Err())
	}
}

// runEtcd runs etcd alone, of one member, until it is told to end.
func runEtcd() int {
	if err := serveEtcd(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "localkube etcd:", err)
		return 1
	}
	return 0
}

func serveEtcd(args []string) error {
	cfg := etcdConfig{keep: keptRevisions}
	flags := pflag.NewFlagSet("localkube etcd", pflag.ContinueOnError)
	cfg.addFlags(flags)
	cfg.keys.addFlags(flags)
	if err := flags.Parse(args); errors.Is(err, pflag.ErrHelp) {
		return nil
	} else if err != nil {
		return err
	}
	if err := cfg.keys.validate(); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	db, err := startEtcd(ctx, cfg)
	if err != nil {
		return err
	}
	defer db.Close()
	select {
	case <-ctx.Done():
		return nil
	case err := <-db.Err():
		return err
	case <-db.Server.StopNotify():
		return errors.New("it stopped by itself")
	}
}
