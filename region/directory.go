package region

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/internal/store"
)

// directory knows the region's zones: those that a cluster, an assignment or a claim names.
type directory struct {
	region string
	// lost is called with a zone that nothing names any more.
	lost func(zone string)

	mu      sync.Mutex
	named   map[string]int // guarded by mu; how many records name a zone
	changed chan struct{}  // guarded by mu; closed and replaced when a zone comes
}

func newDirectory(region string, lost func(string)) *directory {
	return &directory{region: region, lost: lost, named: map[string]int{}, changed: make(chan struct{})}
}

// run follows the mirror until ctx ends.
func (d *directory) run(ctx context.Context, mirror *store.Mirror) error {
	sub := mirror.Subscribe()
	defer sub.Close()
	for {
		u, err := sub.Next(ctx)
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("following the mirror: %w", err)
		}
		for _, zone := range d.apply(u.Changes) {
			d.lost(zone)
		}
	}
}

// apply counts, and returns the zones that are gone.
func (d *directory) apply(changes []store.Change) (gone []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	came := false
	touched := map[string]bool{}
	for _, c := range changes {
		if zone := d.zoneOf(c.New); zone != "" {
			came = came || d.named[zone] == 0
			d.named[zone]++
		}
		if zone := d.zoneOf(c.Old); zone != "" {
			d.named[zone]--
			touched[zone] = true
		}
	}
	for zone := range touched {
		if d.named[zone] == 0 {
			delete(d.named, zone)
			gone = append(gone, zone)
		}
	}
	if came {
		close(d.changed)
		d.changed = make(chan struct{})
	}
	return gone
}

func (d *directory) zoneOf(e *store.Entry) string {
	if e == nil {
		return ""
	}
	switch e.Key.Kind {
	case record.KindCluster:
		if c, err := record.DecodeCluster(e.Record); err == nil && c.Region == d.region {
			return c.Zone
		}
	case record.KindAssignment:
		if parts := e.Key.Parts(); len(parts) == 3 {
			return parts[2]
		}
	case record.KindClaim:
		if region, zone := e.Key.Place(); region == d.region {
			return zone
		}
	}
	return ""
}

// await waits until the zone is known, or ctx ends.
func (d *directory) await(ctx context.Context, zone string) error {
	for {
		d.mu.Lock()
		known, changed := d.named[zone] > 0, d.changed
		d.mu.Unlock()
		if known {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("zone %s is not in the inventory of region %s; create a Zone %s and a Cluster in it at Global",
				zone, d.region, zone)
		}
	}
}

// zones lists the zones, sorted.
func (d *directory) zones() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Sorted(maps.Keys(d.named))
}
