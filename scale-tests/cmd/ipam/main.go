// Command ipam measures the ledger of address space on a real etcd that syncs to disk, beside bare transactions of the
// same size on the same etcd.
//
//	go run ./scale-tests/cmd/ipam          # a table, kept in scale-tests/results/ipam.txt
//	go run ./scale-tests/cmd/ipam -json    # one JSON object on the last line
//
// The etcd is a process of its own, as is the ledger whose start and memory are measured. What is compared takes turns, so
// that what else the machine does disturbs all of it. Nothing is left running, also after an interrupt.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/meridian-federation/meridian/internal/run"
)

func main() {
	if spec := os.Getenv(workerEnv); spec != "" {
		run.Main("ipam-worker", func(ctx context.Context, _ []string) error { return work(ctx, spec) })
	}
	o, err := parseOptions(os.Args[1:], os.Stderr)
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err == nil {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		err = measureAndReport(ctx, o, os.Stdout)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "ipam:", err)
		os.Exit(1)
	}
}

func measureAndReport(ctx context.Context, o options, out io.Writer) (err error) {
	dir, err := os.MkdirTemp(o.dir, "meridian-ipam-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	r, err := measure(ctx, o, dir)
	if err != nil {
		return err
	}
	if o.json {
		return r.writeJSON(out)
	}
	if err := r.writeTable(out); err != nil || o.keep == "" {
		return err
	}
	return r.keepIn(o.keep)
}

// keepIn writes the table to a file, whole or not at all.
func (r *report) keepIn(file string) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	f, err := os.Create(file + ".new")
	if err != nil {
		return err
	}
	if err := errors.Join(r.writeTable(f), f.Close()); err != nil {
		return err
	}
	return os.Rename(file+".new", file)
}
