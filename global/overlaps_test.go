package global

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/meridian-federation/meridian/api/v1alpha1"
	"github.com/meridian-federation/meridian/internal/record"
)

// TestOverlaps has clusters of one network say what is not so. The first of each case is the oldest.
func TestOverlaps(t *testing.T) {
	type cluster struct{ name, reported, given string }
	wide := "0.0.0.0/1 64.0.0.0/2"
	for n := range 62 {
		wide += fmt.Sprintf(" %d.0.0.0/8", 128+n)
	}
	for _, tt := range []struct {
		name     string
		pods     string
		clusters []cluster
		apart    map[string]string // what is said of those that are set apart
	}{
		{name: "neither has anything of IPAM", clusters: []cluster{{"a", "10.1.0.0/16", ""}, {"b", "10.1.4.0/24", ""}},
			apart: map[string]string{"b": "pods of cluster b have addresses of 10.1.4.0/24, and those of the older cluster a addresses of 10.1.0.0/16: on network net"}},
		{name: "an older one is in what IPAM gave a younger", clusters: []cluster{{"a", "10.1.0.0/16", ""}, {"b", "10.1.4.0/24", "10.1.4.0/24"}},
			apart: map[string]string{"a": "pods of cluster a have addresses of 10.1.0.0/16, and those of cluster b addresses of 10.1.4.0/24; " +
				"10.1.0.0/16 has addresses of 10.1.4.0/24, which IPAM gave to cluster b and not to a: on network net"}},
		{name: "which has told nothing yet", clusters: []cluster{{"a", "10.1.0.0/16", ""}, {"b", "", "10.1.4.0/24"}},
			apart: map[string]string{"a": "which IPAM gave to cluster b and not to a"}},
		{name: "and of which the younger uses a part", clusters: []cluster{{"a", "10.1.0.0/16", ""}, {"b", "10.1.4.0/28", "10.1.4.0/24"}},
			apart: map[string]string{"a": "which IPAM gave to cluster b and not to a"}},
		{name: "an older one that has something of IPAM reaches outside it", clusters: []cluster{{"a", "10.1.0.0/16 10.9.0.0/24", "10.1.0.0/16"}, {"b", "10.9.0.0/16", ""}},
			apart: map[string]string{"a": "10.9.0.0/24 is not within 10.1.0.0/16, which IPAM gave to it"}},
		{name: "both do", clusters: []cluster{{"a", "10.9.0.0/24", "10.1.0.0/16"}, {"b", "10.9.0.0/24", "10.2.0.0/16"}},
			apart: map[string]string{"b": "those of the older cluster a"}},
		{name: "one of them into what the other has", clusters: []cluster{{"a", "10.9.0.0/24 10.2.3.0/24", "10.1.0.0/16"}, {"b", "10.9.0.0/24", "10.2.0.0/16"}},
			apart: map[string]string{"a": "10.2.3.0/24 has addresses of 10.2.0.0/16, which IPAM gave to cluster b"}},
		{name: "each into what the other has", clusters: []cluster{{"a", "10.2.0.0/24", "10.1.0.0/16"}, {"b", "10.1.0.0/24", "10.2.0.0/16"}},
			apart: map[string]string{"b": "those of the older cluster a"}},
		{name: "an older one is outside what its network has for pods", pods: "10.0.0.0/8 fd00::/8", clusters: []cluster{{"a", "172.16.0.0/12 10.1.0.0/16", ""}, {"b", "10.1.0.0/24", ""}},
			apart: map[string]string{"a": "172.16.0.0/12 is within none of the ranges that network net has for pods"}},
		{name: "where that says nothing of a family", pods: "10.0.0.0/8", clusters: []cluster{{"a", "10.1.0.0/16 2001:db8::/56", ""}, {"b", "10.2.0.0/16 2001:db8::/64", ""}},
			apart: map[string]string{"b": "those of the older cluster a"}},
		{name: "what IPAM gave is for pods, whatever the network has", pods: "10.0.0.0/8", clusters: []cluster{{"a", "172.16.0.0/16", "172.16.0.0/16"}, {"b", "10.1.0.0/16", ""}},
			apart: map[string]string{}},
		{name: "the oldest has everything", clusters: []cluster{{"a", "0.0.0.0/0", ""}, {"b", "10.1.0.0/16", ""}, {"c", "10.2.0.0/16", "10.2.0.0/16"}, {"d", "10.3.0.0/16", ""}},
			apart: map[string]string{"a": "0.0.0.0/0 has addresses of 10.2.0.0/16, which IPAM gave to cluster c and not to a"}},
		{name: "and IPAM gave nothing", clusters: []cluster{{"a", "0.0.0.0/0 ::/0", ""}, {"b", "10.1.0.0/16", ""}, {"c", "2001:db8::/56", ""}},
			apart: map[string]string{"a": "0.0.0.0/0 is more than a cluster has for pods, /8 at most"}},
		{name: "and says so in as many prefixes as it may", clusters: []cluster{{"a", wide, ""}, {"b", "10.1.0.0/16", ""}, {"c", "172.16.0.0/16", ""}},
			apart: map[string]string{"a": "more than a cluster has for pods"}},
		{name: "one that is set apart sets nobody apart", clusters: []cluster{{"a", "10.1.0.0/24", ""}, {"b", "10.1.0.0/16", ""}, {"c", "10.1.4.0/24", ""}},
			apart: map[string]string{"b": "those of the older cluster a"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRanges()
			ages := map[string]time.Time{}
			for i, c := range tt.clusters {
				ages[c.name] = time.Unix(int64(i), 0)
				now := podRanges{network: "net", reported: outermost(strings.Fields(c.reported))}
				if c.given != "" {
					now.given = netip.MustParsePrefix(c.given)
				}
				r.set(c.name, now)
			}
			got := r.judge(grounds{created: func(name string) time.Time { return ages[name] },
				pods: map[string][]netip.Prefix{"net": outermost(strings.Fields(tt.pods))}, apart: func(string) bool { return false }})
			if !slices.Equal(names(got.apart), names(tt.apart)) {
				t.Errorf("set apart are %v, want %v", got.apart, names(tt.apart))
			}
			for name, want := range tt.apart {
				if !strings.Contains(got.apart[name], want) {
					t.Errorf("of %s is said %q, want %q", name, got.apart[name], want)
				}
			}
			if said := got.networks["net"]; (said == "") != (len(tt.apart) == 0) {
				t.Errorf("of the network is said %q", said)
			}
		})
	}
}

// TestReachingOutside has an old cluster tell of what IPAM gave a young one.
func TestReachingOutside(t *testing.T) {
	d := newDesk(t, nil)
	d.step()
	ask := func(name string, age int64, edit func(*v1alpha1.Cluster)) {
		c, _ := d.hub.clusters.get(name)
		c = c.DeepCopy()
		c.CreationTimestamp.Time = time.Unix(age, 0)
		edit(c)
		fill(d.hub.clusters, []*v1alpha1.Cluster{c})
		d.queue.clusterEvents().OnAdd(c, false)
	}
	ask("w1-0", 2, func(c *v1alpha1.Cluster) {
		c.Spec.Addresses = &v1alpha1.ClusterAddresses{PodRange: &v1alpha1.PodRangeRequest{}}
	})
	ask("w2-0", 1, func(*v1alpha1.Cluster) {})
	d.step()
	d.told("w")
	d.allot("cluster/w1-0/pods", "10.1.0.0/16")
	d.podsOf("w1-0", "10.1.0.0/20")
	d.step()
	apart := func(d *desk, want ...string) {
		t.Helper()
		d.step()
		if got := names(d.inventory.overlaps.apart); !slices.Equal(got, want) {
			t.Errorf("set apart are %v, want %v", d.inventory.overlaps.apart, want)
		}
		for _, name := range []string{"w1-0", "w2-0"} {
			if got, is := d.inventory.clusters[name].Network, slices.Contains(want, name); strings.Contains(got, apartMark) != is {
				t.Errorf("%s is on network %s, set apart: %t", name, got, is)
			}
		}
	}
	apart(d)
	d.podsOf("w2-0", "0.0.0.0/0")
	apart(d, "w2-0")
	t.Run("told in any order after a restart", func(t *testing.T) {
		after := newDesk(t, d)
		after.podsOf("w2-0", "0.0.0.0/0")
		apart(after, "w2-0")
		after.podsOf("w1-0", "10.1.0.0/20")
		apart(after, "w2-0")
		after.allot("cluster/w1-0/pods", "10.1.0.0/16")
		apart(after, "w2-0")
		after.told("w")
		apart(after, "w2-0")
		after.podsOf("w2-0", "10.2.0.0/16")
		apart(after)
	})
	t.Run("what nobody is set apart for plans nothing anew", func(t *testing.T) {
		d.step()
		d.podsOf("w1-0", "10.1.0.0/20", "10.1.16.0/24")
		before := d.inventory
		d.step()
		if d.inventory != before {
			t.Error("the inventory was made anew")
		}
	})
}

// podsOf plays what a cluster's agent tells of its pods.
func (d *desk) podsOf(cluster string, ranges ...string) {
	d.t.Helper()
	h := record.Health{Cluster: cluster, Zone: cluster[:2], Region: "w", Connected: true, PodRanges: ranges}
	if err := d.reports.take(d.mirror.Snapshot(), "w", h.Record()); err != nil {
		d.t.Fatal(err)
	}
	d.queue.add(func(w *work) { w.health[cluster] = true })
}

// TestOverlapsByOrder shows that who is set apart does not hang on the order in which clusters tell.
func TestOverlapsByOrder(t *testing.T) {
	said := map[string]podRanges{}
	for i, ranges := range []string{"10.0.0.0/8", "10.1.0.0/16", "10.1.4.0/24 10.2.0.0/16", "10.2.0.0/24", "0.0.0.0/0"} {
		said[fmt.Sprint(i)] = podRanges{network: "net", reported: outermost(strings.Fields(ranges))}
	}
	g := grounds{created: func(string) time.Time { return time.Time{} }, apart: func(string) bool { return false }}
	var want overlaps
	for round := range 20 {
		r := newRanges()
		for name, now := range said { // in an order of its own each time
			r.set(name, podRanges{network: "net", reported: outermost([]string{"10.0.0.0/8"})})
			r.set(name, now)
		}
		got := r.judge(g)
		if round == 0 {
			want = got
		}
		if !maps.Equal(got.apart, want.apart) || !maps.Equal(got.networks, want.networks) {
			t.Fatalf("got %v, before %v", got, want)
		}
	}
}

// BenchmarkOverlaps has one of a thousand clusters tell of new ranges. They are on one network, all with addresses of their own
// ("disjoint"), with one that has everything in as many prefixes as it may ("everything"), or all with the same ("same").
func BenchmarkOverlaps(b *testing.B) {
	const clusters = 1000
	g := grounds{created: func(string) time.Time { return time.Time{} }, apart: func(string) bool { return false }}
	own := func(i int) []string {
		var out []string
		for n := range 4 {
			out = append(out, fmt.Sprintf("10.%d.%d.0/24", i/60, 4*(i%60)+n))
		}
		return out
	}
	var wide []string
	for n := range record.MaxRanges {
		wide = append(wide, fmt.Sprintf("%d.0.0.0/6", 4*n))
	}
	for name, of := range map[string]func(i int) []string{
		"disjoint": own,
		"same":     func(int) []string { return own(0) },
		"everything": func(i int) []string {
			if i == 0 {
				return wide
			}
			return own(i)
		},
	} {
		b.Run(name, func(b *testing.B) {
			r := newRanges()
			for i := range clusters {
				r.set(fmt.Sprint(i), podRanges{network: "net", reported: outermost(of(i))})
			}
			for n := 0; b.Loop(); n++ {
				if ranges := outermost(of(n % 2)); r.set(fmt.Sprint(n%2), podRanges{network: "net", reported: ranges[:len(ranges)-n/2%2]}) {
					r.judge(g)
				}
			}
		})
	}
}
