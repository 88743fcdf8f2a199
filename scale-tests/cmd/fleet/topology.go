package main

import (
	"fmt"
	"strings"

	"github.com/meridian-federation/meridian/api/v1alpha1"
	"github.com/meridian-federation/meridian/internal/record"
)

// Names in the inventory.
const (
	environment = "prod"
	network     = "backbone"
	namespace   = "load"
	// sliceLabel deals the clusters into slices of about equal size.
	sliceLabel = "slice"
)

// topology is the inventory of a federation.
type topology struct {
	clusters []cluster
	// slices is how many there are.
	slices int
}

// cluster is one of them, with its place.
type cluster struct {
	name, zone, region string
	slice              int
}

// newTopology deals clusters to zones and zones to regions, as evenly as it goes. placed is the size of a slice. A slice
// goes through as many zones as it can or, near, lies in two places.
func newTopology(clusters, zones, regions, placed int, near bool) topology {
	t := topology{slices: max(clusters/placed, 1)}
	slice := func(c int) int { return c % t.slices }
	if half := clusters / 2; near && half > 0 {
		slice = func(c int) int { return c % half * t.slices / half }
	}
	next := map[string]int{}
	for c := range clusters {
		z := c * zones / clusters
		r := z * regions / zones
		region := fmt.Sprintf("r%02d", r)
		zone := fmt.Sprintf("%s-z%03d", region, z)
		t.clusters = append(t.clusters, cluster{name: fmt.Sprintf("%s-c%02d", zone, next[zone]), zone: zone, region: region, slice: slice(c)})
		next[zone]++
	}
	return t
}

// regions lists the regions, zones the zones of all, both in order.
func (t topology) regions() []string {
	return t.distinct(func(c cluster) string { return c.region })
}

func (t topology) zones() []string { return t.distinct(func(c cluster) string { return c.zone }) }

func (t topology) distinct(of func(cluster) string) []string {
	var out []string
	for _, c := range t.clusters {
		if name := of(c); len(out) == 0 || out[len(out)-1] != name {
			out = append(out, name)
		}
	}
	return out
}

// regionOf is the region of a zone.
func regionOf(zone string) string {
	region, _, _ := strings.Cut(zone, "-")
	return region
}

// slice lists the clusters of one slice.
func (t topology) slice(n int) []cluster {
	var out []cluster
	for _, c := range t.clusters {
		if c.slice == n {
			out = append(out, c)
		}
	}
	return out
}

// inventory is the resources that describe the topology, those that others name first.
func (t topology) inventory() [][]resource {
	first := []resource{
		{"environments", "", manifest("Environment", environment, nil, nil)},
		{"networks", "", manifest("Network", network, nil, nil)},
	}
	var regions, zones, clusters []resource
	for _, r := range t.regions() {
		regions = append(regions, resource{"regions", "", manifest("Region", r, nil, nil)})
	}
	for _, z := range t.zones() {
		zones = append(zones, resource{"zones", "", manifest("Zone", z, nil, map[string]any{"region": regionOf(z)})})
	}
	for _, c := range t.clusters {
		clusters = append(clusters, resource{"clusters", "", manifest("Cluster", c.name,
			map[string]any{sliceLabel: fmt.Sprint(c.slice)},
			map[string]any{"zone": c.zone, "environments": []string{environment}, "network": network})})
	}
	return [][]resource{first, regions, zones, clusters}
}

// compiled is a cluster as the compiler sees it, with the defaults of the resource.
func (c cluster) compiled() record.Cluster {
	return record.Cluster{Name: c.name, Zone: c.zone, Region: c.region, Network: network, Mesh: record.Mesh{
		Dataplane: string(v1alpha1.DataplaneSidecar), DefaultSidecar: true, RootNamespace: "istio-system"}}
}
