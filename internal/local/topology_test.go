package local

import (
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func TestTopologyHasTheDefaultNames(t *testing.T) {
	top := newTopology(Defaults())
	var got []string
	for _, r := range top.Regions {
		for _, z := range r.Zones {
			for _, c := range z.Clusters {
				got = append(got, r.Name+" "+z.Name+" "+c.Name)
			}
		}
	}
	want := []string{"west west-a west-a-1", "west west-a west-a-2", "west west-b west-b-1", "east east-a east-a-1"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestTopologyDealsEveryPortOnce(t *testing.T) {
	o := Defaults()
	o.Regions, o.ZonesPerRegion, o.ClustersPerZone = len(regionNames), []int{len(zoneLetters)}, []int{3}
	o.ReplicasPerZone = []int{maxReplicas, 1, 2}
	top := newTopology(o)
	seen := map[int]string{}
	take := func(name string, ports ...int) {
		for _, port := range ports {
			if other, ok := seen[port]; ok {
				t.Errorf("port %d is of %s and of %s", port, other, name)
			}
			seen[port] = name
		}
	}
	for _, kube := range top.kubes() {
		take(apiServerName(kube.Name), kube.Port)
	}
	for _, tier := range top.tiers(layout{}) {
		take(tier.name, tier.ports...)
	}
}

func TestTopologyFitsKeptData(t *testing.T) {
	l := layout{dir: t.TempDir()}
	if err := l.make(); err != nil {
		t.Fatal(err)
	}
	o := Defaults()
	if err := newTopology(o).keep(l); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		change func(*Options)
		err    string
	}{
		{"the same flags", func(*Options) {}, ""},
		{"other ports while nothing runs", func(o *Options) { o.PortBase += 1000 }, ""},
		{"another region", func(o *Options) { o.Regions++ }, "another topology (2 regions, 3 zones with 4 replicas, 4 clusters of 3 nodes"},
		{"another replica where there are several", func(o *Options) { o.ReplicasPerZone = []int{3, 1} }, ""},
		{"one replica where there were several", func(o *Options) { o.ReplicasPerZone = []int{1} },
			"zone west-a's records in etcd-west-a, and with these flags they would be in zone-west-a; keep it with --replicas-per-zone 2,1,1"},
		{"several where there was one", func(o *Options) { o.ReplicasPerZone = []int{2} }, "zone west-b's records in zone-west-b"},
		{"more nodes", func(o *Options) { o.Nodes++ }, "meridian down --purge"},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := o
			c.change(&o)
			err := newTopology(o).fits(l)
			if c.err == "" && err != nil {
				t.Errorf("got %v, want none", err)
			}
			if c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
				t.Errorf("got %v, want one with %q", err, c.err)
			}
		})
	}
	t.Run("a folder without data", func(t *testing.T) {
		if err := newTopology(o).fits(layout{dir: t.TempDir()}); err != nil {
			t.Errorf("got %v, want none", err)
		}
	})
	t.Run("data that cannot be read", func(t *testing.T) {
		if err := os.WriteFile(l.topology(), []byte("{"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := newTopology(o).fits(l); err == nil || !strings.Contains(err.Error(), l.topology()) {
			t.Errorf("got %v, want one that names %s", err, l.topology())
		}
	})
}

// TestTopologyReadsDataFromBeforeReplicas reads what was kept when a zone had one process, which can go on alone.
func TestTopologyReadsDataFromBeforeReplicas(t *testing.T) {
	l := layout{dir: t.TempDir()}
	if err := l.make(); err != nil {
		t.Fatal(err)
	}
	const kept = `{"Regions":[{"Name":"west","Ports":{"Listen":17420,"Admin":17421},"Zones":[{"Name":"west-a",
		"Ports":{"Listen":17440,"Admin":17441},"Clusters":[{"Name":"west-a-1","API":17504,"Admin":17505}]}]}],
		"Nodes":3,"Hub":17400,"Global":{"Listen":17401,"Admin":17402}}`
	if err := os.WriteFile(l.topology(), []byte(kept), 0o600); err != nil {
		t.Fatal(err)
	}
	o := Defaults()
	o.Regions, o.ZonesPerRegion, o.ClustersPerZone, o.ReplicasPerZone = 1, []int{1}, []int{1}, []int{1}
	if err := newTopology(o).fits(l); err != nil {
		t.Errorf("with one replica: got %v, want none", err)
	}
	had, err := readTopology(l.topology())
	if err != nil {
		t.Fatal(err)
	}
	if now := newTopology(o); !reflect.DeepEqual(had, now) {
		t.Errorf("got %+v, want %+v", had, now)
	}
	o.ReplicasPerZone = []int{2}
	if err := newTopology(o).fits(l); err == nil || !strings.Contains(err.Error(), "--replicas-per-zone 1,") {
		t.Errorf("with two replicas: got %v, want one that says what to give", err)
	}
}

func TestOptionsNameTheFlagThatIsWrong(t *testing.T) {
	for _, c := range []struct {
		flag   string
		change func(*Options)
	}{
		{"--data-dir", func(o *Options) { o.Dir = "" }},
		{"--regions", func(o *Options) { o.Regions = 9 }},
		{"--zones-per-region", func(o *Options) { o.ZonesPerRegion = nil }},
		{"--clusters-per-zone", func(o *Options) { o.ClustersPerZone = []int{2, 0} }},
		{"--replicas-per-zone", func(o *Options) { o.ReplicasPerZone = []int{0} }},
		{"--nodes-per-cluster", func(o *Options) { o.Nodes = 0 }},
		{"--port-base", func(o *Options) { o.PortBase = 80 }},
	} {
		o := Defaults()
		c.change(&o)
		if err := o.Validate(); err == nil || !strings.Contains(err.Error(), c.flag) {
			t.Errorf("%s: got %v", c.flag, err)
		}
	}
	if err := Defaults().Validate(); err != nil {
		t.Errorf("the defaults: %v", err)
	}
}
