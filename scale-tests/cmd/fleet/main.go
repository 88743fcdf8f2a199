// Command fleet measures a whole Meridian at the size of a thousand clusters: the real Global, regions and zones, a real
// API server as the hub, and simulated agents that speak the real protocol.
//
//	go run ./scale-tests/cmd/fleet                          # all scenarios, tables, plots in scale-tests/results
//	go run ./scale-tests/cmd/fleet -scenario fanout -json   # one JSON object on the last line
//
// The tiers run in processes of this same program, so that each can be measured and killed: one etcd for all, Global, one
// region alone and the others together, each replica of one zone alone and the other zones together. The agents run in the
// harness itself. Nothing is left running, also after an interrupt.
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

	"github.com/meridian-federation/meridian/internal/run"
)

func main() {
	klog.LogToStderr(false)
	if file := os.Getenv(workerEnv); file != "" {
		run.Main("fleet-worker", func(ctx context.Context, _ []string) error { return work(ctx, file) })
	}
	o, err := parseOptions(os.Args[1:], os.Stderr)
	if o.tables = os.Stdout; o.json {
		o.tables = os.Stderr
	}
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err == nil {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		err = measureAndReport(ctx, o)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "fleet:", err)
		os.Exit(1)
	}
}

// measureAndReport reports, after an error, what was measured before.
func measureAndReport(ctx context.Context, o options) error {
	results, err := measureAll(ctx, o)
	switch {
	case len(results) == 0:
		return err
	case o.json:
		return errors.Join(err, writeJSON(os.Stdout, results, len(o.scenarios) > 1))
	default:
		return errors.Join(err, o.plot(results))
	}
}
