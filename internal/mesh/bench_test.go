package mesh_test

import (
	"fmt"
	"testing"

	"github.com/meridian-federation/meridian/internal/mesh"
	"github.com/meridian-federation/meridian/internal/record"
)

const benchApplications = 1000

func benchRevisions(b *testing.B) []record.Revision {
	b.Helper()
	for _, g := range goldens(b) {
		if g.name() != "service" {
			continue
		}
		_, spec := g.input(b)
		revs := make([]record.Revision, benchApplications)
		for i := range revs {
			name := fmt.Sprintf("app-%d", i)
			content, err := mesh.Normalise("shop", name, &spec)
			if err != nil {
				b.Fatal(err)
			}
			revs[i] = record.Revision{Namespace: "shop", Application: name, Spec: content}
		}
		return revs
	}
	b.Fatal("no golden file named service")
	return nil
}

// BenchmarkDecode is what a new revision costs a zone once.
func BenchmarkDecode(b *testing.B) {
	revs := benchRevisions(b)
	b.ReportAllocs()
	for b.Loop() {
		for _, rev := range revs {
			if _, err := mesh.Decode(rev); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*benchApplications), "µs/application")
}

// benchInputs are 1,000 applications of ten dependencies each, of which every second is reached by a gateway, called from
// two namespaces and another network.
func benchInputs(b *testing.B) []*input {
	b.Helper()
	cluster := withGateway()
	green := []record.Place{placeOf("green", "east-a-1", "198.51.100.1")}
	var in []*input
	for _, rev := range benchRevisions(b) {
		spec, err := mesh.Decode(rev)
		if err != nil {
			b.Fatal(err)
		}
		i := inputOf(cluster, record.Binding{Namespace: "shop", Application: rev.Application, Replicas: 3, Generation: mesh.Generation}, spec)
		for n := range 10 {
			name := fmt.Sprintf("app-%d", n)
			i.Binding.Dependencies = append(i.Binding.Dependencies, "shop/"+name)
			i.Services = append(i.Services, record.Service{Namespace: "shop", Application: name, Ports: []record.Port{tcpPort("http", 80), tcpPort("grpc", 81)}})
		}
		i.Remotes = green
		i.Audience = record.Audience{Namespaces: []string{"shop", "web"}, Networks: []string{"blue", "green"}}
		i.Policy.Rules = []record.Rule{{Policy: "web", Callers: []record.Caller{{Namespace: "web", Application: "front"}}}}
		in = append(in, i)
	}
	return in
}

func benchEach(b *testing.B, compile func(*input) error) {
	in := benchInputs(b)
	b.ReportAllocs()
	for b.Loop() {
		for i := range in {
			if err := compile(in[i]); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*benchApplications), "µs/application")
}

// BenchmarkWorkload is what a binding costs, its spec decoded before.
func BenchmarkWorkload(b *testing.B) {
	benchEach(b, func(in *input) error {
		_, err := mesh.Workload(in.WorkloadInput)
		return err
	})
}

// BenchmarkConfig is what an application's own proxies cost.
func BenchmarkConfig(b *testing.B) {
	benchEach(b, func(in *input) error {
		_, err := mesh.Config(in.config())
		return err
	})
}

// BenchmarkCallee is what one change of a count costs for one called application: two gateways and two small chunks.
func BenchmarkCallee(b *testing.B) {
	in := ledger()
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := in.compile(); err != nil {
			b.Fatal(err)
		}
	}
}
