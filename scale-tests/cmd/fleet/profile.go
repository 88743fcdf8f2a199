package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sync/errgroup"
)

// profileSeconds is how long a CPU profile is taken, from a scenario's beginning; its end does not end it.
const profileSeconds = 20

// profile begins to take CPU profiles of workers, or of all, if they are wanted. The function that it returns waits for
// them, and takes those of memory. However that goes, within waits for all of it.
func (f *federation) profile(ctx context.Context, scenario string, workers ...string) func() error {
	if f.o.profiles == "" {
		return func() error { return nil }
	}
	if len(workers) == 0 {
		workers = slices.Collect(maps.Keys(f.workers))
	}
	g := &errgroup.Group{}
	f.profiling = append(f.profiling, g)
	take := func(kind, query string) {
		for _, name := range workers {
			g.Go(func() error {
				return keep(ctx, "http://"+f.workers[name].spec.Admin+"/debug/pprof/"+query,
					filepath.Join(f.o.profiles, scenario, name+"."+kind+".pprof"))
			})
		}
	}
	take("cpu", fmt.Sprintf("profile?seconds=%d", profileSeconds))
	return func() error {
		take("heap", "heap?gc=1")
		return g.Wait()
	}
}

// endProfiles waits for profiles that nobody waits for any more. Their context has ended.
func (f *federation) endProfiles() {
	for _, g := range f.profiling {
		_ = g.Wait() // who wanted them has gone
	}
	f.profiling = nil
}

// keep writes what a URL serves to a file.
func keep(ctx context.Context, url, file string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("taking a profile: %w", err)
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("taking a profile: %s: %s", response.Status, content)
	}
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	return os.WriteFile(file, content, 0o644)
}
