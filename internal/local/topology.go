package local

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
)

var (
	regionNames = []string{"west", "east", "north", "south", "central", "pacific", "atlantic", "alpine"}
	zoneLetters = "abcdefgh"
)

// Topology is what runs where. It is kept with the data: a run on kept data must have the same.
type Topology struct {
	Regions []Region
	Nodes   int
	Hub     int // port of the hub's API server
	Global  Ports
}

// Region is one region with its zones.
type Region struct {
	Name  string
	Ports Ports
	Zones []Zone
}

// Zone is one zone with its clusters.
type Zone struct {
	Name     string
	Ports    Ports
	Clusters []Cluster
}

// Cluster is one cluster and its agent.
type Cluster struct {
	Name  string
	API   int // port of its API server
	Admin int // port of its agent's health and metrics
}

// Ports of a tier's process.
type Ports struct{ Listen, Admin int }

// newTopology deals names and ports: 20 for Global and the hub, 20 for the regions, at least 64 for zones, then clusters.
func newTopology(o Options) Topology {
	base := o.PortBase
	t := Topology{Nodes: o.Nodes, Hub: base, Global: Ports{base + 1, base + 2}}
	count := 0
	for i := range o.Regions {
		count += at(o.ZonesPerRegion, i)
	}
	region, zone, cluster := base+20, base+40, base+40+max(64, 2*count)
	zones := 0
	for i := range o.Regions {
		r := Region{Name: regionNames[i], Ports: Ports{region, region + 1}}
		region += 2
		for j := range at(o.ZonesPerRegion, i) {
			z := Zone{Name: fmt.Sprintf("%s-%c", r.Name, zoneLetters[j]), Ports: Ports{zone, zone + 1}}
			zone += 2
			for k := range at(o.ClustersPerZone, zones) {
				z.Clusters = append(z.Clusters, Cluster{Name: z.Name + "-" + strconv.Itoa(k+1), API: cluster, Admin: cluster + 1})
				cluster += 2
			}
			zones++
			r.Zones = append(r.Zones, z)
		}
		t.Regions = append(t.Regions, r)
	}
	return t
}

// at is the i-th number, or the last.
func at(numbers []int, i int) int { return numbers[min(i, len(numbers)-1)] }

// clusters lists all clusters in their order.
func (t Topology) clusters() []Cluster {
	var out []Cluster
	for _, r := range t.Regions {
		for _, z := range r.Zones {
			out = append(out, z.Clusters...)
		}
	}
	return out
}

// kube is one API server.
type kube struct {
	Name string
	Port int
}

// kubes lists all API servers, the hub's first.
func (t Topology) kubes() []kube {
	out := []kube{{hubName, t.Hub}}
	for _, c := range t.clusters() {
		out = append(out, kube{c.Name, c.API})
	}
	return out
}

// fits tells whether the data in a folder, if there is any, is of this topology. Only ports may have changed, and only
// while nothing runs at the old ones.
func (t Topology) fits(l layout) error {
	kept, err := readTopology(l.topology())
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case !slices.Equal(kept.shape(), t.shape()):
		return fmt.Errorf("the data in %s is of another topology (%s); give the same flags, another --data-dir, or remove it with `meridian down --purge`",
			l.dir, kept)
	case kept.Hub != t.Hub:
		if name := kept.running(l); name != "" {
			return fmt.Errorf("%s runs with --port-base %d; end it with `meridian down` before you give other ports", name, kept.Hub)
		}
	}
	return nil
}

// keep writes the topology down, for a later run and for `meridian down`.
func (t Topology) keep(l layout) error {
	b, err := json.MarshalIndent(t, "", "  ")
	if err != nil {
		return fmt.Errorf("encoding the topology: %w", err)
	}
	if err := os.WriteFile(l.topology(), b, 0o600); err != nil {
		return fmt.Errorf("keeping the topology: %w", err)
	}
	return nil
}

// shape is the topology without its ports.
func (t Topology) shape() []string {
	out := []string{strconv.Itoa(t.Nodes)}
	for _, r := range t.Regions {
		for _, z := range r.Zones {
			for _, c := range z.Clusters {
				out = append(out, r.Name+"/"+z.Name+"/"+c.Name)
			}
		}
	}
	return out
}

// running names a process that runs, or "".
func (t Topology) running(l layout) string {
	r := &Run{l: l, t: t}
	for _, name := range r.Processes() {
		if _, runs := r.Process(name); runs {
			return name
		}
	}
	return ""
}

func readTopology(file string) (Topology, error) {
	var t Topology
	b, err := os.ReadFile(file)
	if err != nil {
		return t, fmt.Errorf("reading the topology: %w", err)
	}
	if err := json.Unmarshal(b, &t); err != nil {
		return t, fmt.Errorf("reading the topology in %s: %w", file, err)
	}
	return t, nil
}

// String says how much there is of it.
func (t Topology) String() string {
	zones := 0
	for _, r := range t.Regions {
		zones += len(r.Zones)
	}
	return fmt.Sprintf("%d regions, %d zones, %d clusters of %d nodes, ports from %d", len(t.Regions), zones, len(t.clusters()), t.Nodes, t.Hub)
}
