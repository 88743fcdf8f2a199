package clusteragent

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/meridian-federation/meridian/internal/feed"
	"github.com/meridian-federation/meridian/internal/object"
	"github.com/meridian-federation/meridian/internal/record"
)

// sliceOf makes a slice of n/app with ready endpoints, numbered from first on.
func sliceOf(name, locate string, first, ready int) *discoveryv1.EndpointSlice {
	s := &discoveryv1.EndpointSlice{AddressType: discoveryv1.AddressTypeIPv4}
	s.Namespace, s.Name = "n", name
	s.Labels = map[string]string{discoveryv1.LabelServiceName: "app", object.LabelLocate: locate}
	for i := range ready {
		s.Endpoints = append(s.Endpoints, discoveryv1.Endpoint{Addresses: []string{fmt.Sprintf("10.0.%d.%d", (first+i)/250, (first+i)%250)}})
	}
	return s
}

// whereabouts is what an outbox tells of n/app: the count, or "none", and how many addresses are in each chunk.
func whereabouts(t *testing.T, outbox *feed.Outbox) string {
	t.Helper()
	out := []string{"none"}
	for _, kv := range outbox.Keys() {
		r, _ := outbox.Get(kv.Key)
		l, err := record.DecodeLocation(*r)
		if err != nil {
			t.Fatal(err)
		}
		if l.Cluster != "c" || l.Zone != "z" || l.Region != "r" || l.Namespace != "n" || l.Application != "app" {
			t.Errorf("a location of %+v, want one of n/app in c", l)
		}
		if l.Chunk == "" {
			out[0] = fmt.Sprint(l.Total())
		} else {
			out = append(out, fmt.Sprintf("%s:%d", l.Chunk, len(l.Endpoints)))
		}
	}
	slices.Sort(out[1:])
	return strings.Join(out, " ")
}

func newSeenLocations(t testing.TB, outbox *feed.Outbox) *locations {
	l := newLocations(Config{Cluster: "c", Zone: "z", Region: "r"}, outbox, func() {})
	t.Cleanup(l.queue.ShutDown)
	return l
}

// TestLocated shows what is told of the slices that there are.
func TestLocated(t *testing.T) {
	not := func(s *discoveryv1.EndpointSlice, conditions discoveryv1.EndpointConditions) *discoveryv1.EndpointSlice {
		s.Endpoints[0].Conditions = conditions
		return s
	}
	stray := sliceOf("app-a", locateCounts, 0, 3)
	delete(stray.Labels, discoveryv1.LabelServiceName)
	large := []string{"app-a:100", chunkName("app-a", 1) + ":100", chunkName("app-a", 2) + ":50"}
	slices.Sort(large)
	both := append(slices.Clone(large), "app-a-1:7")
	slices.Sort(both)
	six := sliceOf("app-6", locateAddresses, 0, 2)
	six.AddressType = discoveryv1.AddressTypeIPv6
	dotted := sliceOf("app.x", locateAddresses, 0, 1)
	tests := map[string]struct {
		slices []*discoveryv1.EndpointSlice
		want   string
	}{
		"no slice":                 {nil, "none"},
		"no endpoint":              {[]*discoveryv1.EndpointSlice{sliceOf("app-a", locateCounts, 0, 0)}, "0"},
		"counts":                   {[]*discoveryv1.EndpointSlice{sliceOf("app-a", locateCounts, 0, 3), sliceOf("app-b", locateCounts, 3, 2)}, "5"},
		"addresses":                {[]*discoveryv1.EndpointSlice{sliceOf("app-a", locateAddresses, 0, 3), sliceOf("app-b", locateAddresses, 3, 2)}, "5 app-a:3 app-b:2"},
		"no address":               {[]*discoveryv1.EndpointSlice{sliceOf("app-a", locateAddresses, 0, 0)}, "0"},
		"a large slice":            {[]*discoveryv1.EndpointSlice{sliceOf("app-a", locateAddresses, 0, 250)}, "250 " + strings.Join(large, " ")},
		"one named like a part":    {[]*discoveryv1.EndpointSlice{sliceOf("app-a", locateAddresses, 0, 250), sliceOf("app-a-1", locateAddresses, 250, 7)}, "257 " + strings.Join(both, " ")},
		"no Service's any more":    {[]*discoveryv1.EndpointSlice{sliceOf("app-a", locateCounts, 0, 3), stray}, "none"},
		"two families":             {[]*discoveryv1.EndpointSlice{sliceOf("app-4", locateAddresses, 0, 2), six}, "2 app-4:2"},
		"one other family":         {[]*discoveryv1.EndpointSlice{six}, "2 app-6:2"},
		"not ready":                {[]*discoveryv1.EndpointSlice{not(sliceOf("app-a", locateCounts, 0, 3), discoveryv1.EndpointConditions{Ready: new(false)})}, "2"},
		"terminating":              {[]*discoveryv1.EndpointSlice{not(sliceOf("app-a", locateCounts, 0, 3), discoveryv1.EndpointConditions{Ready: new(true), Terminating: new(true)})}, "2"},
		"a name that is no label":  {[]*discoveryv1.EndpointSlice{dotted}, "1 " + chunkName("app.x", 0) + ":1"},
		"a slice of no Service":    {[]*discoveryv1.EndpointSlice{{}}, "none"},
		"counts, then addresses":   {[]*discoveryv1.EndpointSlice{sliceOf("app-a", locateCounts, 0, 3), sliceOf("app-a", locateAddresses, 0, 3)}, "3 app-a:3"},
		"addresses, then counts":   {[]*discoveryv1.EndpointSlice{sliceOf("app-a", locateAddresses, 0, 3), sliceOf("app-a", locateCounts, 0, 3)}, "3"},
		"pods in another's place":  {[]*discoveryv1.EndpointSlice{sliceOf("app-a", locateAddresses, 0, 3), sliceOf("app-a", locateAddresses, 9, 3)}, "3 app-a:3"},
		"all pods are gone":        {[]*discoveryv1.EndpointSlice{sliceOf("app-a", locateAddresses, 0, 3), sliceOf("app-a", locateAddresses, 0, 0)}, "0"},
		"less than there was once": {[]*discoveryv1.EndpointSlice{sliceOf("app-a", locateAddresses, 0, 250), sliceOf("app-a", locateAddresses, 0, 99)}, "99 app-a:99"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			outbox := feed.NewOutbox()
			l := newSeenLocations(t, outbox)
			l.listing()
			for _, s := range tt.slices {
				l.see(s)
			}
			if got := outbox.Len(); got != 0 {
				t.Errorf("%d records are told of a list that has not ended", got)
			}
			l.listed("1", false)
			if got := whereabouts(t, outbox); got != tt.want {
				t.Errorf("told: got %q, want %q", got, tt.want)
			}
			for _, s := range tt.slices {
				l.vanish(s)
			}
			if got := whereabouts(t, outbox); got != "none" {
				t.Errorf("told of slices that are gone: %q", got)
			}
			if l.count() != 0 {
				t.Errorf("%d Services are still known", l.count())
			}
		})
	}
}

// TestRelisted shows that slices which went while nobody watched are forgotten.
func TestRelisted(t *testing.T) {
	outbox := feed.NewOutbox()
	l := newSeenLocations(t, outbox)
	for _, all := range [][]*discoveryv1.EndpointSlice{{sliceOf("app-a", locateCounts, 0, 3), sliceOf("app-b", locateCounts, 3, 2)}, {}} {
		l.listing()
		for _, s := range all {
			l.see(s)
		}
		l.listed("1", false)
	}
	if got := whereabouts(t, outbox); got != "none" {
		t.Errorf("told: got %q, want none", got)
	}
}

// TestDamping shows when a count is told: a step is how long after the last one so many endpoints are ready, and what the
// zone knows just then.
func TestDamping(t *testing.T) {
	type step struct {
		after time.Duration
		ready int // negative: as before
		want  string
	}
	tests := map[string][]step{
		"at once when idle":                  {{0, 3, "3"}, {time.Minute, 4, "4"}},
		"merged under load":                  {{0, 3, "3"}, {100 * time.Millisecond, 4, "3"}, {100 * time.Millisecond, 9, "3"}, {time.Second, -1, "9"}},
		"at once again after the window":     {{0, 3, "3"}, {100 * time.Millisecond, 4, "3"}, {time.Second, -1, "4"}, {2 * time.Second, 5, "5"}},
		"a small change waits":               {{0, 100, "100"}, {time.Minute, 95, "100"}, {9 * time.Second, -1, "100"}, {2 * time.Second, -1, "95"}},
		"a small change that comes undone":   {{0, 100, "100"}, {time.Minute, 95, "100"}, {5 * time.Second, 100, "100"}, {6 * time.Second, 95, "100"}, {5 * time.Second, -1, "100"}, {6 * time.Second, -1, "95"}},
		"small changes that add up":          {{0, 100, "100"}, {time.Minute, 95, "100"}, {time.Second, 90, "90"}},
		"a tenth is not small":               {{0, 10, "10"}, {time.Minute, 9, "9"}},
		"the last one goes":                  {{0, 1, "1"}, {time.Minute, 0, "0"}},
		"the first one comes":                {{0, 0, "0"}, {time.Minute, 100, "100"}},
		"a small change within the window":   {{0, 100, "100"}, {100 * time.Millisecond, 95, "100"}, {5 * time.Second, -1, "100"}, {6 * time.Second, -1, "95"}},
		"a large change after a small one":   {{0, 100, "100"}, {time.Minute, 95, "100"}, {time.Second, 0, "0"}, {20 * time.Second, -1, "0"}},
		"nothing lingers after all was told": {{0, 3, "3"}, {100 * time.Millisecond, 4, "3"}, {100 * time.Millisecond, 3, "3"}, {time.Minute, -1, "3"}},
	}
	for name, steps := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				outbox := feed.NewOutbox()
				l := newSeenLocations(t, outbox)
				go l.run(t.Context())
				l.listing()
				l.listed("1", false)
				for i, s := range steps {
					time.Sleep(s.after)
					if s.ready >= 0 {
						l.see(sliceOf("app-a", locateCounts, 0, s.ready))
					}
					synctest.Wait()
					if got := whereabouts(t, outbox); got != s.want {
						t.Errorf("step %d: the zone knows %q, want %q", i, got, s.want)
					}
				}
			})
		})
	}
}

// BenchmarkLocationsMemory reports what is held for 10,000 Services of 3 endpoints in one slice each, besides the records in
// the outbox: with counts, and with addresses.
func BenchmarkLocationsMemory(b *testing.B) {
	const services = 10_000
	for _, locate := range []string{locateCounts, locateAddresses} {
		b.Run(locate, func(b *testing.B) {
			for b.Loop() {
				outbox := feed.NewOutbox()
				before := heap()
				l := newSeenLocations(b, outbox)
				l.listing()
				for i := range services {
					s := sliceOf(fmt.Sprintf("application-%d-x7k2p", i), locate, i%1000, 3)
					s.Labels[discoveryv1.LabelServiceName] = fmt.Sprintf("application-%d", i)
					l.see(s)
				}
				l.listed("1", false)
				b.ReportMetric(float64(heap()-before)/services, "B/service-with-records")
				keep := l.all
				all := heap()
				l.all, l.of = nil, nil
				clear(keep)
				b.ReportMetric(float64(all-heap())/services, "B/service")
				l.queue.ShutDown()
				if outbox.Len() < services {
					b.Fatalf("%d records, want at least %d", outbox.Len(), services)
				}
			}
		})
	}
}

// TestLocations has the agent tell of slices at a real API server.
func TestLocations(t *testing.T) {
	cleanUp(t, shared)
	z := newZone(t)
	startAgent(t, shared, z, "located").settle()
	a := newAdmin(t, shared)
	z.put(namespaceRecord(t, "located"))
	slice := idOf("discovery.k8s.io", "EndpointSlice", "located", "web-x1")
	gvr := discoveryv1.SchemeGroupVersion.WithResource("endpointslices")
	at := a.Resource(gvr).Namespace("located")
	told := func(want int32) func() bool {
		return func() bool {
			r, ok := z.reported(record.LocationKey("located", "web", "c", ""))
			if !ok {
				return want < 0
			}
			l, err := record.DecodeLocation(*r)
			return err == nil && l.Total() == want
		}
	}
	manifest := func(addresses ...any) fields {
		endpoints := []any{}
		for _, address := range addresses {
			endpoints = append(endpoints, fields{"addresses": []any{address}, "conditions": fields{"ready": true}})
		}
		return fields{"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4", "endpoints": endpoints,
			"metadata": fields{"name": slice.Name, "namespace": "located", "labels": fields{
				discoveryv1.LabelServiceName: "web", object.LabelLocate: locateAddresses}}}
	}
	apply := func(m fields) {
		t.Helper()
		if _, err := at.Patch(t.Context(), slice.Name, "application/apply-patch+yaml", encode(t, m),
			metav1.PatchOptions{FieldManager: "endpointslice-controller", Force: new(true)}); err != nil {
			t.Fatal(err)
		}
	}
	apply(manifest("10.0.0.1", "10.0.0.2"))
	eventually(t, "two endpoints", told(2))
	r, ok := z.reported(record.LocationKey("located", "web", "c", "web-x1"))
	if !ok {
		t.Fatal("the addresses are not told")
	}
	if l, err := record.DecodeLocation(*r); err != nil || len(l.Endpoints) != 2 || l.Endpoints[0].Address != "10.0.0.1" {
		t.Errorf("the chunk: got %+v, %v", l, err)
	}
	apply(manifest())
	eventually(t, "no endpoint", told(0))
	if _, ok := z.reported(record.LocationKey("located", "web", "c", "web-x1")); ok {
		t.Error("addresses of pods that are gone are told")
	}
	apply(manifest("10.0.0.3"))
	eventually(t, "one endpoint", told(1))
	unlabelled := manifest("10.0.0.3")
	delete(unlabelled["metadata"].(fields)["labels"].(fields), object.LabelLocate)
	apply(unlabelled)
	eventually(t, "nobody asks any more", told(-1))
}
