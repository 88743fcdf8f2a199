package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"

	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/rest"

	"github.com/meridian-federation/meridian/internal/localkube"
	"github.com/meridian-federation/meridian/scale-tests/internal/fleet"
)

// profileSeconds is how long a profile is taken, from a step's beginning; the step's end does not end it.
const profileSeconds = 10

// profiler keeps CPU profiles and metrics of all processes of a federation during one step. Taking them costs CPU time.
type profiler struct {
	dir, step  string
	federation *fleet.Federation
}

// start begins to take the profiles if the step is the one wanted. The function that it returns waits for them.
func (p *profiler) start(ctx context.Context, step string) func() error {
	if p.dir == "" || step != p.step || p.federation == nil {
		return func() error { return nil }
	}
	var g errgroup.Group
	for name, admin := range p.federation.Admin {
		g.Go(func() error { return p.take(ctx, http.DefaultClient, "http://"+admin, name) })
	}
	for _, kube := range append([]*localkube.Cluster{p.federation.Hub}, p.federation.Members...) {
		g.Go(func() error {
			cfg := kube.RESTConfig()
			client, err := rest.HTTPClientFor(cfg)
			if err != nil {
				return err
			}
			return p.take(ctx, client, cfg.Host, kube.Name())
		})
	}
	return g.Wait
}

// take keeps the profile of one process, and its metrics as they are after it.
func (p *profiler) take(ctx context.Context, client *http.Client, address, name string) error {
	err := p.keep(ctx, client, fmt.Sprintf("%s/debug/pprof/profile?seconds=%d", address, profileSeconds), name+".pprof")
	if err == nil {
		err = p.keep(ctx, client, address+"/metrics", name+".metrics")
	}
	if err != nil {
		return fmt.Errorf("profiling %s: %w", name, err)
	}
	return nil
}

func (p *profiler) keep(ctx context.Context, client *http.Client, url, file string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", response.Status, content)
	}
	if err != nil {
		return err
	}
	if err := os.MkdirAll(p.dir, 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(p.dir, file), content, 0o644)
}
