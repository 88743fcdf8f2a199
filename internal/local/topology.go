package local

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
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
	Replicas []Replica
	// Etcd is the port of the etcd that several replicas share; 0 where the only one has its own.
	Etcd     int `json:",omitempty"`
	Clusters []Cluster
	// Ports were those of the only replica, in data of runs from before zones had several.
	Ports *Ports `json:",omitempty"`
}

// Replica is one process of a zone.
type Replica struct {
	Ports
	// Gossip is where the others find it; 0 where there are none.
	Gossip int `json:",omitempty"`
	// Authorization is where proxies ask for external authorization.
	Authorization int `json:",omitempty"`
}

// Cluster is one cluster and its agent.
type Cluster struct {
	Name  string
	API   int // port of its API server
	Admin int // port of its agent's health and metrics
}

// Ports of a tier's process.
type Ports struct{ Listen, Admin int }

// newTopology deals names and ports: 20 for Global and the hub, 20 for the regions, at least 64 for zones, then clusters, then
// external authorization.
func newTopology(o Options) Topology {
	base := o.PortBase
	t := Topology{Nodes: o.Nodes, Hub: base, Global: Ports{base + 1, base + 2}}
	region, zone, zones := base+20, base+40, 0
	for i := range o.Regions {
		r := Region{Name: regionNames[i], Ports: Ports{region, region + 1}}
		region += 2
		for j := range at(o.ZonesPerRegion, i) {
			z := Zone{Name: fmt.Sprintf("%s-%c", r.Name, zoneLetters[j])}
			zone = z.deal(zone, at(o.ReplicasPerZone, zones))
			zones++
			r.Zones = append(r.Zones, z)
		}
		t.Regions = append(t.Regions, r)
	}
	cluster := max(base+40+64, zone)
	zones = 0
	for _, r := range t.Regions {
		for j := range r.Zones {
			z := &r.Zones[j]
			for k := range at(o.ClustersPerZone, zones) {
				z.Clusters = append(z.Clusters, Cluster{Name: z.Name + "-" + strconv.Itoa(k+1), API: cluster, Admin: cluster + 1})
				cluster += 2
			}
			zones++
		}
	}
	t.dealAuthorization()
	return t
}

// dealAuthorization gives the replicas that have no port for external authorization one behind those of the clusters, as
// data of runs from before there was any needs.
func (t Topology) dealAuthorization() {
	next := 0
	for _, c := range t.clusters() {
		next = max(next, c.Admin+1)
	}
	for _, z := range t.zones() {
		for i := range z.Replicas {
			if z.Replicas[i].Authorization == 0 {
				z.Replicas[i].Authorization = next
			}
			next++
		}
	}
}

// deal gives a zone its replicas' ports, from the next on, and returns the next then.
func (z *Zone) deal(next, replicas int) int {
	for range replicas {
		r := Replica{Ports: Ports{next, next + 1}}
		next += 2
		if replicas > 1 {
			r.Gossip = next
			next++
		}
		z.Replicas = append(z.Replicas, r)
	}
	if replicas > 1 {
		z.Etcd = next
		next++
	}
	return next
}

// at is the i-th number, or the last.
func at(numbers []int, i int) int { return numbers[min(i, len(numbers)-1)] }

// zones lists all zones in their order.
func (t Topology) zones() []Zone {
	var out []Zone
	for _, r := range t.Regions {
		out = append(out, r.Zones...)
	}
	return out
}

// clusters lists all clusters in their order.
func (t Topology) clusters() []Cluster {
	var out []Cluster
	for _, z := range t.zones() {
		out = append(out, z.Clusters...)
	}
	return out
}

// replicas is how many each zone has, as the flag takes it.
func (t Topology) replicas() string {
	var out []string
	for _, z := range t.zones() {
		out = append(out, strconv.Itoa(len(z.Replicas)))
	}
	return strings.Join(out, ",")
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

// fits tells whether the data in a folder, if there is any, is of this topology. Only ports, and the replicas of zones
// that have several, may have changed, and only while nothing runs.
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
	}
	if zone := t.moved(kept); zone != "" {
		return fmt.Errorf("the data in %s has zone %s's records in %s, and with these flags they would be in %s; keep it with --replicas-per-zone %s, or remove it with `meridian down --purge`",
			l.dir, zone, kept.places()[zone], t.places()[zone], kept.replicas())
	}
	if name := kept.running(l); name != "" && !reflect.DeepEqual(kept, t) {
		return fmt.Errorf("%s runs with --port-base %d and --replicas-per-zone %s; end it with `meridian down` before you give others",
			name, kept.Hub, kept.replicas())
	}
	return nil
}

// moved names a zone whose records would have to be moved since the data was made, or "".
func (t Topology) moved(kept Topology) string {
	now, before := t.places(), kept.places()
	for _, z := range t.zones() {
		if now[z.Name] != before[z.Name] {
			return z.Name
		}
	}
	return ""
}

// places says, by zone, which process keeps its records.
func (t Topology) places() map[string]string {
	out := map[string]string{}
	for _, z := range t.zones() {
		out[z.Name] = replicaName(z, 0)
		if len(z.Replicas) > 1 {
			out[z.Name] = etcdName(z.Name)
		}
	}
	return out
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

// shape is the topology without its ports and replicas.
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
	for _, r := range t.Regions {
		for i := range r.Zones {
			if z := &r.Zones[i]; z.Ports != nil {
				z.Replicas, z.Ports = []Replica{{Ports: *z.Ports}}, nil
			}
		}
	}
	t.dealAuthorization()
	return t, nil
}

// String says how much there is of it.
func (t Topology) String() string {
	zones := t.zones()
	replicas := 0
	for _, z := range zones {
		replicas += len(z.Replicas)
	}
	return fmt.Sprintf("%d regions, %d zones with %d replicas, %d clusters of %d nodes, ports from %d", len(t.Regions), len(zones),
		replicas, len(t.clusters()), t.Nodes, t.Hub)
}
