package main

import "testing"

func TestTopology(t *testing.T) {
	for name, c := range map[string]struct {
		clusters, zones, regions, placed int
		near                             bool
		wantSlices, wantZones, wantEach  int // zones of the first slice, clusters of each
	}{
		"full size":       {1000, 100, 10, 100, false, 10, 100, 100},
		"small":           {20, 4, 2, 5, false, 4, 4, 5},
		"one of each":     {1, 1, 1, 1, false, 1, 1, 1},
		"near, full size": {1000, 100, 10, 10, true, 100, 2, 10},
		"near, small":     {8, 4, 2, 2, true, 4, 2, 2},
	} {
		t.Run(name, func(t *testing.T) {
			topo := newTopology(c.clusters, c.zones, c.regions, c.placed, c.near)
			if got := len(topo.clusters); got != c.clusters {
				t.Errorf("got %d clusters, want %d", got, c.clusters)
			}
			if zones, regions := len(topo.zones()), len(topo.regions()); zones != c.zones || regions != c.regions {
				t.Errorf("got %d zones in %d regions, want %d in %d", zones, regions, c.zones, c.regions)
			}
			if topo.slices != c.wantSlices {
				t.Errorf("got %d slices, want %d", topo.slices, c.wantSlices)
			}
			for slice := range topo.slices {
				if got := len(topo.slice(slice)); got != c.wantEach {
					t.Errorf("slice %d: got %d clusters, want %d", slice, got, c.wantEach)
				}
			}
			zones := map[string]bool{}
			for _, cluster := range topo.slice(0) {
				zones[cluster.zone] = true
			}
			if len(zones) != c.wantZones {
				t.Errorf("slice 0: got %d zones, want %d", len(zones), c.wantZones)
			}
		})
	}
}
