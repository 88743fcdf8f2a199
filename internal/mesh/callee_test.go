package mesh_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	networking "istio.io/client-go/pkg/apis/networking/v1"
	"pgregory.net/rapid"

	"github.com/meridian-federation/meridian/internal/mesh"
	"github.com/meridian-federation/meridian/internal/object"
	"github.com/meridian-federation/meridian/internal/record"
)

// ledger is called from network blue, and ready behind two gateways of green and in two chunks of blue.
func ledger() called {
	caller := meshed()
	caller.Network, caller.PodRanges = "blue", []string{"10.1.0.0/16"}
	return called{Cluster: caller,
		Service: record.Service{Namespace: "payments", Application: "ledger", Ports: []record.Port{tcpPort("grpc", 8080),
			{Name: "gossip", Port: 7946, TargetPort: 7946, Protocol: "UDP"}}},
		Audience: record.Audience{Namespace: "payments", Application: "ledger", Namespaces: []string{"shop", "web"}},
		Sites: []site{
			behind("green", "east-a-1", 4, "198.51.100.1"), behind("green", "east-a-2", 2, "198.51.100.2"),
			{Place: placeOf("blue", "west-b-1"), Locations: []record.Location{
				chunk("west-b-1", "ledger-a", "10.1.0.1", "10.1.0.2"), chunk("west-b-1", "ledger-b", "10.1.0.3"), count("west-b-1", 3)}},
		}}
}

// called is an application that is called, with all that is known of where it is.
type called struct {
	Cluster  record.Cluster
	Service  record.Service
	Audience record.Audience
	Sites    []site
}

// site is where it is: the counts, and the chunks of addresses.
type site struct {
	Place      record.Place
	Locations  []record.Location
	Weightless bool
}

// compile returns what is compiled of it as a whole, and of each chunk.
func (c called) compile() ([]mesh.Object, []record.Problem, error) {
	in := mesh.CalleeInput{Cluster: c.Cluster, Service: c.Service, Audience: c.Audience}
	var chunks []mesh.Object
	var wrong []record.Problem
	for _, s := range c.Sites {
		whole := mesh.Site{Place: s.Place, Weightless: s.Weightless}
		for _, l := range s.Locations {
			if l.Chunk == "" {
				whole.Ready += l.Total()
				continue
			}
			objects, problems, err := mesh.Chunk(mesh.ChunkInput{Cluster: c.Cluster, Service: c.Service, Audience: c.Audience,
				Location: l, Place: s.Place, Weightless: s.Weightless})
			if err != nil {
				return nil, nil, err
			}
			chunks, wrong = append(chunks, objects...), append(wrong, problems...)
		}
		in.Sites = append(in.Sites, whole)
	}
	objects, problems, err := mesh.Callee(in)
	if err != nil {
		return nil, nil, err
	}
	return inOrder(append(chunks, objects...)), append(problems, wrong...), nil
}

func placeOf(network, cluster string, gateways ...string) record.Place {
	region, zone, _ := strings.Cut(cluster, "-")
	return record.Place{Cluster: cluster, Region: region, Zone: region + "-" + zone[:1], Network: network, Gateways: gateways, Primary: cluster}
}

func behind(network, cluster string, pods int32, gateways ...string) site {
	return site{Place: placeOf(network, cluster, gateways...), Locations: []record.Location{count(cluster, pods)}}
}

func count(cluster string, pods int32) record.Location {
	return record.Location{Namespace: "payments", Application: "ledger", Cluster: cluster, Ready: []record.Ready{{Endpoints: pods}}}
}

func chunk(cluster, name string, addresses ...string) record.Location {
	l := record.Location{Namespace: "payments", Application: "ledger", Cluster: cluster, Chunk: name}
	for _, a := range addresses {
		l.Endpoints = append(l.Endpoints, record.Endpoint{Address: a})
	}
	return l
}

func callee(t testing.TB, in called) []mesh.Object {
	t.Helper()
	objects, _, err := in.compile()
	if err != nil {
		t.Fatal(err)
	}
	return objects
}

// TestCalleeChanges holds each change of what is ready to the objects that it may touch.
func TestCalleeChanges(t *testing.T) {
	all := []string{"DestinationRule", "ServiceEntry", "ServiceEntry", "WorkloadEntry", "WorkloadEntry"}
	for name, c := range map[string]struct {
		edit                    func(*called)
		changed, added, removed []string
	}{
		"nothing": {edit: func(*called) {}},
		"order":   {edit: func(in *called) { slices.Reverse(in.Sites) }},
		"a count": {edit: func(in *called) { in.Sites[0].Locations[0].Ready[0].Endpoints = 5 }, changed: all[3:4]},
		"versions": {edit: func(in *called) {
			in.Sites[0].Locations[0].Ready = []record.Ready{{Version: "v1", Endpoints: 3}, {Version: "v2", Endpoints: 1}}
		}},
		"no pods":          {edit: func(in *called) { in.Sites[0].Locations[0].Ready = nil }, removed: all[3:4]},
		"weightless":       {edit: func(in *called) { in.Sites[1].Weightless = true }, removed: all[3:4]},
		"no pod ranges":    {edit: func(in *called) { in.Cluster.PodRanges = nil }, removed: all[1:3]},
		"flat, weightless": {edit: func(in *called) { in.Sites[2].Weightless = true }, removed: all[1:3]},
		"flat, no mesh":    {edit: func(in *called) { in.Sites[2].Place.Meshless = true }, removed: all[1:3]},
		"no mesh there":    {edit: func(in *called) { in.Sites[1].Place.Meshless = true }, removed: all[3:4]},
		"no proxy":         {edit: func(in *called) { in.Service.Unproxied = true }, removed: all[1:]},
		"a site":           {edit: func(in *called) { in.Sites = in.Sites[1:] }, removed: all[3:4]},
		"stale": {edit: func(in *called) {
			in.Sites[0].Place.StaleSince = in.Sites[0].Place.StaleSince.AddDate(1, 0, 0)
		}},
		"a flat count": {edit: func(in *called) { in.Sites[2].Locations[2].Ready[0].Endpoints = 9 }},
		"sequence":     {edit: func(in *called) { in.Sites[2].Locations[0].Sequence = 9 }},
		"an address": {edit: func(in *called) {
			in.Sites[2].Locations[0] = chunk("west-b-1", "ledger-a", "10.1.0.1", "10.1.0.9")
		}, changed: all[1:2]},
		"order of addresses": {edit: func(in *called) { slices.Reverse(in.Sites[2].Locations[0].Endpoints) }},
		"a broken address": {edit: func(in *called) {
			in.Sites[2].Locations[0] = chunk("west-b-1", "ledger-a", "10.1.0.1", "10.1.0.2", "fe80::1%eth0")
		}},
		"only broken addresses": {edit: func(in *called) { in.Sites[2].Locations[1] = chunk("west-b-1", "ledger-b", "pod") }, removed: all[1:2]},
		"an empty chunk":        {edit: func(in *called) { in.Sites[2].Locations[1].Endpoints = nil }, removed: all[1:2]},
		"another chunk": {edit: func(in *called) {
			in.Sites[2].Locations = append(in.Sites[2].Locations, chunk("west-b-1", "ledger-c", "10.1.0.4"))
		}, added: all[1:2]},
		"another cluster": {edit: func(in *called) {
			in.Sites = append(in.Sites, behind("red", "north-a-1", 1, "203.0.113.1"))
		}, added: all[3:4]},
		"an audience": {edit: func(in *called) { in.Audience.Everyone, in.Audience.Namespaces = true, nil }, changed: all[:3]},
		"a gateway's own port": {edit: func(in *called) {
			in.Service.Ports = append(in.Service.Ports, tcpPort("http", 80))
		}, changed: all[1:]},
		"a UDP port": {edit: func(in *called) { in.Service.Ports = in.Service.Ports[:1] }},
	} {
		t.Run(name, func(t *testing.T) {
			before, in := contents(callee(t, ledger())), ledger()
			c.edit(&in)
			after := contents(callee(t, in))
			var changed, added, removed []string
			for id, content := range after {
				if was, ok := before[id]; !ok {
					added = append(added, id.Kind)
				} else if !bytes.Equal(was, content) {
					changed = append(changed, id.Kind)
				}
			}
			for id := range before {
				if _, ok := after[id]; !ok {
					removed = append(removed, id.Kind)
				}
			}
			for _, kinds := range [][]string{changed, added, removed} {
				slices.Sort(kinds)
			}
			if diff := cmp.Diff([][]string{c.changed, c.added, c.removed}, [][]string{changed, added, removed}); diff != "" {
				t.Errorf("changed, added and removed (-want +got):\n%s", diff)
			}
		})
	}
}

func contents(objects []mesh.Object) map[object.ID][]byte {
	out := map[object.ID][]byte{}
	for _, o := range objects {
		out[o.ID] = o.Record.Content
	}
	return out
}

// TestWeights sums what is ready behind each address of each network's gateways, whatever shares an address with what.
func TestWeights(t *testing.T) {
	for name, c := range map[string]struct {
		sites []site
		want  map[string]string
	}{
		"one":               {[]site{behind("green", "east-a-1", 3, "192.0.2.1")}, map[string]string{"192.0.2.1": "3 east/east-a"}},
		"shared":            {[]site{behind("green", "east-a-1", 3, "192.0.2.1"), behind("green", "east-b-1", 4, "192.0.2.1")}, map[string]string{"192.0.2.1": "7 east/east-a"}},
		"divided":           {[]site{behind("green", "east-a-1", 5, "192.0.2.2", "192.0.2.1")}, map[string]string{"192.0.2.1": "3 east/east-a", "192.0.2.2": "2 east/east-a"}},
		"fewer pods":        {[]site{behind("green", "east-a-1", 1, "192.0.2.1", "192.0.2.2")}, map[string]string{"192.0.2.1": "1 east/east-a", "192.0.2.2": "1 east/east-a"}},
		"address twice":     {[]site{behind("green", "east-a-1", 4, "192.0.2.1", "192.0.2.1")}, map[string]string{"192.0.2.1": "4 east/east-a"}},
		"one locality":      {[]site{behind("green", "west-a-1", 1, "192.0.2.2"), behind("green", "east-a-1", 0, "192.0.2.1")}, map[string]string{"192.0.2.2": "1 east/east-a"}},
		"two networks":      {[]site{behind("green", "east-a-1", 1, "192.0.2.1"), behind("red", "west-a-1", 2, "192.0.2.2")}, map[string]string{"192.0.2.1": "1 east/east-a", "192.0.2.2": "2 west/west-a"}},
		"no host":           {[]site{behind("green", "east-a-1", 5, "0.0.0.0", "192.0.2.1", "ff02::1", "gw.example.com", "192.0.2.2")}, map[string]string{"192.0.2.1": "3 east/east-a", "192.0.2.2": "2 east/east-a"}},
		"no host, alone":    {[]site{behind("green", "east-a-1", 5, "0.0.0.0"), behind("green", "west-a-1", 2, "192.0.2.1")}, map[string]string{"192.0.2.1": "2 east/east-a"}},
		"of two networks":   {[]site{behind("red", "west-a-1", 6, "192.0.2.1", "192.0.2.2"), behind("green", "east-a-1", 5, "192.0.2.1")}, map[string]string{"192.0.2.1": "5 east/east-a", "192.0.2.2": "6 west/west-a"}},
		"IPv4 in IPv6":      {[]site{behind("green", "east-a-1", 1, "::ffff:192.0.2.1")}, map[string]string{"192.0.2.1": "1 east/east-a"}},
		"nothing ready":     {[]site{behind("green", "east-a-1", 0, "192.0.2.1")}, map[string]string{}},
		"negative counts":   {[]site{behind("green", "east-a-1", -3, "192.0.2.1")}, map[string]string{}},
		"nowhere":           {nil, map[string]string{}},
		"on this network":   {[]site{behind("blue", "east-a-1", 3, "192.0.2.1")}, map[string]string{}},
		"more than a field": {[]site{behind("green", "east-a-1", 1<<31-1, "192.0.2.1"), behind("green", "east-a-2", 1<<31-1, "192.0.2.1"), behind("green", "east-a-3", 9, "192.0.2.1")}, map[string]string{"192.0.2.1": "4294967295 east/east-a"}},
	} {
		t.Run(name, func(t *testing.T) {
			in := ledger()
			in.Sites = c.sites
			got := map[string]string{}
			for _, o := range callee(t, in) {
				if o.ID.Kind == "WorkloadEntry" {
					e := kindOf[networking.WorkloadEntry](t, []mesh.Object{o}, "WorkloadEntry")
					got[e.Spec.Address] = fmt.Sprintf("%d %s", e.Spec.Weight, e.Spec.Locality)
				}
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("weights (-want +got):\n%s", diff)
			}
		})
	}
}

func TestCalleeProblems(t *testing.T) {
	udp := []record.Port{{Name: "dns", Port: 53, TargetPort: 53, Protocol: "UDP"}}
	for name, c := range map[string]struct {
		edit func(*called)
		want []record.Problem
	}{
		"none": {func(*called) {}, nil},
		"gateway unknown": {func(in *called) {
			for _, cluster := range []string{"east-a-6", "east-a-5", "east-a-4", "east-a-3"} {
				in.Sites = append(in.Sites, behind("green", cluster, 1))
			}
		}, []record.Problem{{Object: "Service payments/ledger", Reason: mesh.ReasonGatewayUnknown,
			Message: "payments/ledger is ready in clusters east-a-3, east-a-4, east-a-5 and 1 more on another network, at whose gateway it would be called, but no address of that is known; set spec.mesh.gateway of the Cluster"}}},
		"gateways of no host": {func(in *called) {
			in.Sites[0].Place.Gateways = []string{"gw.example.com", "198.51.100.1", "224.0.0.1"}
			in.Sites[1].Place.Gateways = []string{"0.0.0.0"}
		}, []record.Problem{{Object: "Service payments/ledger", Reason: mesh.ReasonGatewayUnknown,
			Message: `payments/ledger is ready on another network and is not called at gateway "224.0.0.1" of cluster east-a-1, which is not the IP address of a host, gateway "gw.example.com" of cluster east-a-1, which is not the IP address of a host, gateway "0.0.0.0" of cluster east-a-2, which is not the IP address of a host; correct spec.mesh.gateway of the Cluster`}}},
		"gateway of two networks": {func(in *called) {
			in.Sites = append(in.Sites, behind("red", "north-a-1", 1, "198.51.100.1"))
		}, []record.Problem{{Object: "Service payments/ledger", Reason: mesh.ReasonGatewayUnknown,
			Message: "payments/ledger is ready on another network and is not called at gateway 198.51.100.1 of cluster north-a-1, which is one of network green too, not of red alone; correct spec.mesh.gateway of the Cluster"}}},
		"gateway unknown, nothing ready": {func(in *called) { in.Sites = append(in.Sites, behind("green", "east-a-3", 0)) }, nil},
		"no pod ranges": {func(in *called) { in.Cluster.PodRanges = nil },
			[]record.Problem{{Object: "Service payments/ledger", Reason: mesh.ReasonPodRangesUnknown,
				Message: "network blue has no podRanges, so NetworkPolicies drop calls between its clusters, and payments/ledger is not called in cluster west-b-1; set spec.podRanges of the Network"}}},
		"no pod ranges, nothing ready": {func(in *called) {
			in.Cluster.PodRanges, in.Sites[2].Locations = nil, []record.Location{chunk("west-b-1", "ledger-a"), count("west-b-1", 0)}
		}, nil},
		"no pod ranges, other networks": {func(in *called) { in.Cluster.PodRanges, in.Sites = nil, in.Sites[:2] }, nil},
		"no proxy": {func(in *called) { in.Service.Unproxied = true },
			[]record.Problem{{Object: "Service payments/ledger", Reason: mesh.ReasonNoProxy, Message: "payments/ledger is ready in clusters east-a-1, east-a-2, west-b-1, where its pods have no proxy, and is called there from the same cluster alone; run it in the callers' clusters, or in clusters with a mesh, with pods that ask neither for no proxy (sidecar.istio.io/inject) nor for their node's network"}}},
		"a cluster without a mesh": {func(in *called) { in.Sites[2].Place.Meshless = true },
			[]record.Problem{{Object: "Service payments/ledger", Reason: mesh.ReasonNoProxy, Message: "payments/ledger is ready in cluster west-b-1, where its pods have no proxy, and is called there from the same cluster alone; run it in the callers' clusters, or in clusters with a mesh, with pods that ask neither for no proxy (sidecar.istio.io/inject) nor for their node's network"}}},
		"no proxy, nothing ready": {func(in *called) {
			in.Service.Unproxied, in.Sites = true, []site{behind("green", "east-a-1", 0, "198.51.100.1")}
		}, nil},
		"UDP alone": {func(in *called) { in.Service.Ports, in.Sites = udp, in.Sites[:1] },
			[]record.Problem{{Object: "Service payments/ledger", Reason: mesh.ReasonOnlyUDP,
				Message: "payments/ledger is ready in cluster east-a-1 and has UDP ports alone, which the mesh does not carry between clusters; run it in the callers' clusters, or give it a TCP port"}}},
		"addresses of no host": {func(in *called) {
			in.Sites[2].Locations[0] = chunk("west-b-1", "ledger-a", "pod.example.com", "10.1.0.1", "fe80::1%eth0", "0.0.0.0", "ff02::1")
			in.Sites[2].Locations[1] = chunk("west-b-1", "ledger-b", "")
		}, []record.Problem{{Object: "Service payments/ledger", Reason: mesh.ReasonAddressInvalid,
			Message: `payments/ledger is not called at "0.0.0.0", "fe80::1%eth0", "ff02::1" and 1 more of cluster west-b-1, as no host has such an address; look at its EndpointSlice ledger-a there`},
			{Object: "Service payments/ledger", Reason: mesh.ReasonAddressInvalid,
				Message: `payments/ledger is not called at "" of cluster west-b-1, as no host has such an address; look at its EndpointSlice ledger-b there`}}},
		"addresses of no host, far away": {func(in *called) {
			in.Sites[0].Locations = append(in.Sites[0].Locations, chunk("east-a-1", "ledger-a", "pod.example.com"))
		}, nil},
		"UDP alone, nothing ready": {func(in *called) { in.Service.Ports, in.Sites = udp, nil }, nil},
		"no ports":                 {func(in *called) { in.Service.Ports = nil }, nil},
		"no mesh":                  {func(in *called) { in.Cluster.Mesh.Dataplane = "None" }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			in := ledger()
			c.edit(&in)
			objects, got, err := in.compile()
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
			if in.Service.Ports == nil && objects != nil {
				t.Errorf("objects %v of an application without ports", idsOf(objects))
			}
		})
	}
}

// TestCalleeRefuses holds what Istio's schemas do not catch.
func TestCalleeRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		edit func(*called)
		want string
	}{
		"too many in a chunk": {func(in *called) {
			in.Sites[2].Locations[0].Endpoints = make([]record.Endpoint, record.MaxEndpoints+1)
		}, "endpoints: 101, more than 100"},
		"another's location": {func(in *called) { in.Sites[2].Locations[0].Application = "vault" }, "the location is of payments/vault"},
		"another cluster's":  {func(in *called) { in.Sites[2].Locations[0].Cluster = "x" }, "location payments/ledger/x/ledger-a: the place is of cluster west-b-1"},
		"audience":           {func(in *called) { in.Audience.Namespaces = []string{"shop", "*"} }, `audience of payments/ledger: namespaces[1]: "*" is not a DNS label`},
		"audience, hidden":   {func(in *called) { in.Audience.Namespaces = []string{"~"} }, `"~" is not a DNS label`},
		"name":               {func(in *called) { in.Service.Application = "*" }, `service "payments/*" is not NAMESPACE/APPLICATION`},
		"port's name":        {func(in *called) { in.Service.Ports[0].Name = "" }, `ports[0].name: "" is not a DNS label`},
		"port":               {func(in *called) { in.Service.Ports[0].Port = 0 }, "ports[0].port: 0 is not between"},
		"target port":        {func(in *called) { in.Service.Ports[0].TargetPort = 70000 }, "ports[0].targetPort: 70000 is not between"},
		"protocol":           {func(in *called) { in.Service.Ports[0].Protocol = "SCTP" }, `ports[0].protocol: "SCTP" is neither`},
		"one port twice": {func(in *called) { in.Service.Ports = append(in.Service.Ports, tcpPort("again", 8080)) },
			"ports[2]: an earlier port has the name again or the number 8080/TCP already"},
	} {
		t.Run(name, func(t *testing.T) {
			in := ledger()
			c.edit(&in)
			objects, _, err := in.compile()
			if err == nil || !strings.Contains(err.Error(), c.want) || objects != nil {
				t.Fatalf("got %v, %v, want an error with %q", idsOf(objects), err, c.want)
			}
			if !strings.HasPrefix(err.Error(), "compiling calls of "+in.Service.Namespace+"/"+in.Service.Application+": ") {
				t.Errorf("%v does not begin with what is compiled", err)
			}
		})
	}
}

// TestCalleeInAnyOrder draws sites and has them in another order: the bytes are the same.
func TestCalleeInAnyOrder(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		in := ledger()
		in.Sites = nil
		for i := range rapid.IntRange(0, 8).Draw(rt, "sites") {
			cluster := fmt.Sprintf("%s-a-%d", rapid.SampledFrom([]string{"east", "west"}).Draw(rt, "region"), i)
			network := rapid.SampledFrom([]string{"blue", "green", "red"}).Draw(rt, "network")
			site := behind(network, cluster, rapid.Int32Range(0, 9).Draw(rt, "pods"))
			for range rapid.IntRange(0, 3).Draw(rt, "gateways") {
				site.Place.Gateways = append(site.Place.Gateways, fmt.Sprintf("%d.0.2.%d", rapid.SampledFrom([]int{0, 192, 224}).Draw(rt, "first"), rapid.IntRange(1, 4).Draw(rt, "gateway")))
			}
			for j := range rapid.IntRange(0, 2).Draw(rt, "chunks") {
				site.Locations = append(site.Locations, chunk(cluster, fmt.Sprintf("c-%d", j), fmt.Sprintf("10.0.%d.%d", i, j), fmt.Sprintf("10.1.%d.%d", i, j)))
			}
			in.Sites = append(in.Sites, site)
		}
		want, problems, err := in.compile()
		if err != nil {
			rt.Fatal(err)
		}
		in.Sites = rapid.Permutation(in.Sites).Draw(rt, "order")
		for i := range in.Sites {
			in.Sites[i].Locations = rapid.Permutation(in.Sites[i].Locations).Draw(rt, "locations")
			in.Sites[i].Place.Gateways = rapid.Permutation(in.Sites[i].Place.Gateways).Draw(rt, "gateways")
		}
		in.Audience.Namespaces = rapid.Permutation(in.Audience.Namespaces).Draw(rt, "namespaces")
		got, again, err := in.compile()
		if err != nil {
			rt.Fatal(err)
		}
		if diff := cmp.Diff(want, got) + cmp.Diff(problems, again); diff != "" {
			rt.Fatalf("in another order (-want +got):\n%s", diff)
		}
	})
}
