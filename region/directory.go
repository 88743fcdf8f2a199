package region

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/internal/store"
)

// directory knows the region's zones: those that a cluster, an assignment, a claim or a prefix names. One whose last prefix was
// taken away is a zone until it has said that it has dropped it.
type directory struct {
	region string
	// lost is called with a zone that nothing names any more.
	lost func(zone string)
	left chan struct{} // holds one token when a zone that held prefixes holds none

	mu      sync.Mutex      // guards all below
	named   map[string]int  // how many records name a zone
	holding map[string]bool // the zones that say that they hold prefixes
	doubted map[string]bool // those to be looked at, whether anything names them still
	changed chan struct{}   // closed and replaced when a zone comes
}

func newDirectory(region string, lost func(string)) *directory {
	return &directory{region: region, lost: lost, left: make(chan struct{}, 1), named: map[string]int{}, holding: map[string]bool{},
		doubted: map[string]bool{}, changed: make(chan struct{})}
}

// run follows the mirror, and what zones say that they hold, until ctx ends.
func (d *directory) run(ctx context.Context, mirror *store.Mirror) error {
	updates := make(chan store.Update)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		sub := mirror.Subscribe()
		defer sub.Close()
		for {
			u, err := sub.Next(ctx)
			if err != nil {
				return fmt.Errorf("following the mirror: %w", err)
			}
			select {
			case updates <- u:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	})
	group.Go(func() error {
		for {
			select {
			case u := <-updates:
				d.apply(u.Changes)
			case <-d.left:
			case <-ctx.Done():
				return ctx.Err()
			}
			for _, zone := range d.gone() {
				d.lost(zone)
			}
		}
	})
	return group.Wait()
}

// apply counts the records that name zones.
func (d *directory) apply(changes []store.Change) {
	d.mu.Lock()
	defer d.mu.Unlock()
	came := false
	for _, c := range changes {
		if zone := d.zoneOf(c.New); zone != "" {
			came = came || d.named[zone] == 0
			d.named[zone]++
		}
		if zone := d.zoneOf(c.Old); zone != "" {
			d.named[zone]--
			d.doubted[zone] = true
		}
	}
	if came {
		close(d.changed)
		d.changed = make(chan struct{})
	}
}

// holds notes whether a zone says that it holds prefixes.
func (d *directory) holds(zone string, is bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.holding[zone] == is {
		return
	}
	if d.holding[zone] = is; is {
		return
	}
	delete(d.holding, zone)
	d.doubted[zone] = true
	select {
	case d.left <- struct{}{}:
	default:
	}
}

// gone takes the zones that nothing names any more.
func (d *directory) gone() (zones []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for zone := range d.doubted {
		n, known := d.named[zone]
		switch {
		case !known || n > 0: // it is gone already, or stays
			delete(d.doubted, zone)
		case !d.holding[zone]:
			delete(d.doubted, zone)
			delete(d.named, zone)
			zones = append(zones, zone)
		}
	}
	return zones
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
	case record.KindClaim, record.KindPrefix:
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
		_, known := d.named[zone]
		changed := d.changed
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
