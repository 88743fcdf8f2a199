package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
)

// options are the command line's.
type options struct {
	n, singles, clusters, workers int
	// warm is the number of applications that are created, updated and deleted before anything is measured, so that
	// connections are open and caches full on both sides.
	warm                int
	first               string
	json, keep, verbose bool
	profiles, profiled  string
	progress            io.Writer
}

// Sides, for the flag -first.
const (
	sideReference = "reference"
	sideMeridian  = "meridian"
)

func parseOptions(args []string, stderr io.Writer) (options, error) {
	o := options{progress: stderr}
	flags := flag.NewFlagSet("converge", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.IntVar(&o.n, "n", 500, "applications that are created, updated and deleted together")
	flags.IntVar(&o.singles, "singles", 200, "applications that are created one after another")
	flags.IntVar(&o.warm, "warm", 50, "applications that are created, updated and deleted before anything is measured")
	flags.IntVar(&o.clusters, "clusters", 3, "clusters")
	flags.IntVar(&o.workers, "workers", 16, "writers at the hub, of each agent, and of the reference at each cluster")
	flags.StringVar(&o.first, "first", sideReference, "side that is measured first: reference or meridian")
	flags.BoolVar(&o.json, "json", false, "print one JSON object instead of a table")
	flags.BoolVar(&o.keep, "keep", false, "keep the folder with data and logs")
	flags.BoolVar(&o.verbose, "v", false, "tell what each step took as it ends")
	flags.StringVar(&o.profiles, "profiles", "", "folder for CPU profiles of all processes of Meridian's hub and clusters during one step")
	flags.StringVar(&o.profiled, "profiled", stepCreate, "the step: create, singles, update or delete")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	var errs []error
	for name, value := range map[string]int{"n": o.n, "singles": o.singles, "clusters": o.clusters, "workers": o.workers, "warm": o.warm} {
		if value < 1 {
			errs = append(errs, fmt.Errorf("-%s: %d is less than 1", name, value))
		}
	}
	if !slices.Contains([]string{sideReference, sideMeridian}, o.first) {
		errs = append(errs, fmt.Errorf("-first: %q is neither %s nor %s", o.first, sideReference, sideMeridian))
	}
	if !slices.Contains([]string{stepCreate, stepSingles, stepUpdate, stepDelete}, o.profiled) {
		errs = append(errs, fmt.Errorf("-profiled: there is no step %q", o.profiled))
	}
	if flags.NArg() > 0 {
		errs = append(errs, fmt.Errorf("unknown arguments %q", flags.Args()))
	}
	return o, errors.Join(errs...)
}

// say tells of progress.
func (o options) say(format string, args ...any) { fmt.Fprintf(o.progress, format+"\n", args...) }

// detail tells what a step took, with -v.
func (o options) detail(s step, r result) {
	if o.verbose {
		o.say("    %.2f s; CPU until settled, %.2f s: %s; others %.2f s", r.wall.Seconds(), r.elapsed.Seconds(), cpuLine(r.cpu), r.others.Seconds())
	}
}
