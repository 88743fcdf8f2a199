// Command compile measures the zone's compiler: one cluster with very many applications, compiled as a whole and then one
// change after another.
//
//	go run ./scale-tests/cmd/compile -apps 10000 -json
//
// The applications are generated, with a call graph whose tail is heavy; a part of them runs elsewhere too, or only there,
// behind gateways or on the same network. The records are in a store in memory and reach the compiler as they do in a
// zone. The last line with -json is one object; see report for its fields.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	o, err := parseOptions(os.Args[1:], os.Stderr)
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err == nil {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		err = run(ctx, o, os.Stdout)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "compile:", err)
		os.Exit(1)
	}
}

// options are the command line's.
type options struct {
	apps, changes int
	seed          uint64
	json          bool
	profile       string
}

func parseOptions(args []string, stderr io.Writer) (options, error) {
	var o options
	flags := flag.NewFlagSet("compile", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.IntVar(&o.apps, "apps", 1000, "applications")
	flags.IntVar(&o.changes, "changes", 200, "changes of each kind")
	flags.Uint64Var(&o.seed, "seed", 1, "seed of the call graph")
	flags.BoolVar(&o.json, "json", false, "print one JSON object instead of a table")
	flags.StringVar(&o.profile, "profile", "", "file for a CPU profile of the full compilation and the changes")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	var errs []error
	if o.apps < 100 {
		errs = append(errs, fmt.Errorf("-apps: %d is less than 100", o.apps))
	}
	if o.changes < 1 {
		errs = append(errs, fmt.Errorf("-changes: %d is less than 1", o.changes))
	}
	if flags.NArg() > 0 {
		errs = append(errs, fmt.Errorf("unknown arguments %q", flags.Args()))
	}
	return o, errors.Join(errs...)
}

func run(ctx context.Context, o options, out io.Writer) error {
	b, err := newBench(o)
	if err != nil {
		return err
	}
	defer b.store.Close()
	r, err := b.measure(ctx)
	if err != nil {
		return err
	}
	if o.json {
		return r.writeJSON(out)
	}
	return r.writeTable(out)
}
