// Command converge measures how fast, and at what cost, Meridian brings applications to clusters, beside the same
// objects written to the same number of clusters with no hub between.
//
//	go run ./scale-tests/cmd/converge -n 500 -json
//
// It starts everything itself: a hub with Global, one region, one zone and three agents, API servers for hub and
// clusters, and for the reference API servers of its own; every etcd syncs to disk. One side runs after the other, each on
// fresh API servers that are warmed up alike. The last line with -json is one object; see report for its fields.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"k8s.io/klog/v2"

	"github.com/meridian-federation/meridian/internal/localkube"
	"github.com/meridian-federation/meridian/scale-tests/internal/fleet"
)

func main() {
	o, err := parseOptions(os.Args[1:], os.Stderr)
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err == nil {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		err = run(ctx, o)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "converge:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) error {
	klog.LogToStderr(false)
	r, err := compare(ctx, o)
	if err != nil {
		return err
	}
	if o.json {
		return r.writeJSON(os.Stdout)
	}
	return r.writeTable(os.Stdout)
}

// compare measures both sides, one after the other.
func compare(ctx context.Context, o options) (*report, error) {
	root, err := localkube.FindRoot("")
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "meridian-converge-")
	if err != nil {
		return nil, fmt.Errorf("making a folder: %w", err)
	}
	if o.keep {
		o.say("data and logs are in %s", dir)
	} else {
		defer os.RemoveAll(dir)
	}
	o.say("building")
	if err := fleet.Build(ctx, root, dir, func(text string) { o.say("  %s", text) }); err != nil {
		return nil, err
	}
	sides := map[string]func(context.Context, options, *fleet.Fleet) (side, error){
		sideReference: runReference, sideMeridian: runMeridian}
	order := []string{sideReference, sideMeridian}
	if o.first == sideMeridian {
		order = []string{sideMeridian, sideReference}
	}
	measured := map[string]side{}
	for _, name := range order {
		o.say("measuring %s", name)
		f, fctx := fleet.New(ctx, root, dir)
		s, err := sides[name](fctx, o, f)
		if err != nil && ctx.Err() == nil {
			err = errors.Join(err, context.Cause(fctx))
		}
		if err := errors.Join(err, f.Stop()); err != nil {
			return nil, fmt.Errorf("measuring %s: %w", name, err)
		}
		measured[name] = s
	}
	return newReport(o, measured[sideReference], measured[sideMeridian]), nil
}
