package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"time"
)

// maxEntries is what fits the blocks: a /8 for each ledger, half of it so that there is always room.
const maxEntries = 1 << 23

// options are the command line's.
type options struct {
	callers, rounds, batch, entries int
	slice                           time.Duration
	json                            bool
	keep, dir, profiles             string
}

func parseOptions(args []string, stderr io.Writer) (options, error) {
	var o options
	flags := flag.NewFlagSet("ipam", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.IntVar(&o.callers, "callers", 128, "callers at once, of bare transactions as well as of the ledger")
	flags.IntVar(&o.rounds, "rounds", 5, "rounds in which all take turns")
	flags.DurationVar(&o.slice, "slice", 2*time.Second, "a turn")
	flags.IntVar(&o.batch, "batch", 32, "allocations that a machine in a zone asks for at once (local)")
	flags.IntVar(&o.entries, "entries", 1_000_000, "allocations that are there when a ledger's start and memory are measured")
	flags.BoolVar(&o.json, "json", false, "print one JSON object instead of a table")
	flags.StringVar(&o.keep, "keep", "scale-tests/results/ipam.txt", "file for the table; empty for none, as with -json")
	flags.StringVar(&o.dir, "dir", "", "folder for the etcd's data, on the disk that is to be measured (default the system's for temporary files)")
	flags.StringVar(&o.profiles, "profiles", "", "folder for a CPU profile of each of the things compared")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	var errs []error
	for name, n := range map[string]int{"callers": o.callers, "rounds": o.rounds, "batch": o.batch, "entries": o.entries} {
		if n < 1 || n > maxEntries {
			errs = append(errs, fmt.Errorf("-%s: %d is not between 1 and %d", name, n, maxEntries))
		}
	}
	if o.slice < 100*time.Millisecond {
		errs = append(errs, fmt.Errorf("-slice: %v is less than 100ms", o.slice))
	}
	if flags.NArg() > 0 {
		errs = append(errs, fmt.Errorf("unknown arguments %q", flags.Args()))
	}
	return o, errors.Join(errs...)
}
