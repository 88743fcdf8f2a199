package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// all is the scenario that stands for every one.
const all = "all"

// options are the command line's.
type options struct {
	scenarios []string

	clusters, zones, regions       int
	zonesPerProcess                int
	applications, placed, replicas int
	repeats, kills                 int
	scopeApplications, scopePlaced int
	near                           bool // an application's clusters lie in two places
	rate                           float64
	duration, idle, pause          time.Duration
	latency                        time.Duration
	failures                       float64
	writers                        int
	seed                           uint64
	timeout                        time.Duration
	json, keep, rotate             bool
	profiles, results              string
	progress, tables               io.Writer
}

func parseOptions(args []string, stderr io.Writer) (options, error) {
	o := options{progress: stderr, tables: stderr}
	flags := flag.NewFlagSet("fleet", flag.ContinueOnError)
	flags.SetOutput(stderr)
	scenario := flags.String("scenario", all, strings.Join(names(), ", ")+", several of them with commas between, or "+all)
	flags.IntVar(&o.clusters, "clusters", 1000, "clusters")
	flags.IntVar(&o.zones, "zones", 100, "zones")
	flags.IntVar(&o.zonesPerProcess, "zones-per-process", 20, "zones that share a process")
	flags.IntVar(&o.regions, "regions", 10, "regions")
	flags.IntVar(&o.applications, "applications", 1000, "applications that restart, storm, churn and failover begin with")
	flags.IntVar(&o.placed, "placed", 100, "clusters of each application")
	flags.IntVar(&o.replicas, "replicas", 0, "replicas of the first zone, which is the one that is broken; 0 is 3 in failover and 1 otherwise")
	flags.IntVar(&o.repeats, "repeats", 100, "placements of fanout")
	flags.IntVar(&o.kills, "kills", 20, "kills of failover")
	flags.IntVar(&o.scopeApplications, "scope-applications", 10000, "applications of scope")
	flags.IntVar(&o.scopePlaced, "scope-placed", 10, "clusters of each application of scope, in two places")
	flags.Float64Var(&o.rate, "rate", 10, "changes a second in churn and failover")
	flags.DurationVar(&o.duration, "duration", 5*time.Minute, "length of churn")
	flags.BoolVar(&o.rotate, "rotate", false, "in churn, have all certificates issued by Meridian's own authority, renewed again and again, and their root replaced")
	flags.DurationVar(&o.pause, "pause", 3*time.Second, "time between a replica's return and the next kill in failover")
	flags.DurationVar(&o.idle, "idle", 30*time.Second, "length of the idle measurement; a third of it goes before")
	flags.DurationVar(&o.latency, "latency", 5*time.Millisecond, "what a cluster takes to apply 16 objects")
	flags.Float64Var(&o.failures, "failures", 0, "part of all writes that a cluster refuses for a second, 0 to 1")
	flags.IntVar(&o.writers, "writers", 8, "writers at the hub")
	flags.Uint64Var(&o.seed, "seed", 1, "seed of what is drawn")
	flags.DurationVar(&o.timeout, "timeout", 30*time.Minute, "the most that one scenario, or connecting and loading before, may take")
	flags.BoolVar(&o.json, "json", false, "print one JSON object on the last line instead of tables and plots")
	flags.BoolVar(&o.keep, "keep", false, "keep the folder with data and logs")
	flags.StringVar(&o.profiles, "profiles", "", "folder for CPU and memory profiles: of Global, regions, zones and etcd, in restart of what was restarted, in failover none")
	flags.StringVar(&o.results, "results", "", "folder for plots; scale-tests/results by default")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if o.scenarios = strings.Split(*scenario, ","); *scenario == all {
		o.scenarios = names()
	}
	var errs []error
	if flags.NArg() > 0 {
		errs = append(errs, fmt.Errorf("unknown arguments %q", flags.Args()))
	}
	return o, errors.Join(append(errs, o.validate())...)
}

func (o options) validate() error {
	var errs []error
	for _, name := range o.scenarios {
		if !slices.Contains(names(), name) {
			errs = append(errs, fmt.Errorf("-scenario: %q is none of %s, %s", name, strings.Join(names(), ", "), all))
		}
	}
	for _, c := range []struct {
		name         string
		value, least int
	}{
		{"regions", o.regions, 1}, {"zones", o.zones, o.regions}, {"clusters", o.clusters, o.zones},
		{"zones-per-process", o.zonesPerProcess, 1}, {"applications", o.applications, 2}, {"replicas", o.replicas, 0},
		{"repeats", o.repeats, 1}, {"kills", o.kills, 1}, {"writers", o.writers, 1},
	} {
		if c.value < c.least {
			errs = append(errs, fmt.Errorf("-%s: %d is less than %d", c.name, c.value, c.least))
		}
	}
	if o.rate <= 0 || o.failures < 0 || o.failures >= 1 {
		errs = append(errs, errors.New("-rate is above 0, and -failures from 0 to below 1"))
	}
	if o.duration <= 0 || o.idle <= 0 || o.timeout <= 0 {
		errs = append(errs, errors.New("-duration, -idle and -timeout are above 0"))
	}
	if o.rotate && !slices.Equal(o.scenarios, []string{churnName}) {
		errs = append(errs, errors.New("-rotate: is for -scenario churn alone"))
	}
	return errors.Join(append(errs, o.validatePlaced()...)...)
}

// validatePlaced checks what only some scenarios look at, if one of them was asked for.
func (o options) validatePlaced() (errs []error) {
	placed := func(name string, value, least int) {
		if value < least || value > o.clusters {
			errs = append(errs, fmt.Errorf("-%s: %d is not from %d to the %d clusters", name, value, least, o.clusters))
		}
	}
	if slices.ContainsFunc(o.scenarios, func(name string) bool { return name != scopeName }) {
		placed("placed", o.placed, 1)
	}
	if slices.Contains(o.scenarios, scopeName) {
		placed("scope-placed", o.scopePlaced, 2)
		if o.scopeApplications < 2 {
			errs = append(errs, fmt.Errorf("-scope-applications: %d is less than 2", o.scopeApplications))
		}
	}
	if slices.Contains(o.scenarios, failoverName) && o.replicas == 1 {
		errs = append(errs, errors.New("-replicas: failover takes at least 2"))
	}
	return errs
}

// say tells of progress.
func (o options) say(format string, args ...any) { fmt.Fprintf(o.progress, format+"\n", args...) }
