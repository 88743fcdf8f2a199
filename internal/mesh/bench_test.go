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

// BenchmarkApplication is what a binding costs: 1,000 applications of ten dependencies, decoded before.
func BenchmarkApplication(b *testing.B) {
	var in []*input
	for _, rev := range benchRevisions(b) {
		spec, err := mesh.Decode(rev)
		if err != nil {
			b.Fatal(err)
		}
		binding := record.Binding{Namespace: "shop", Application: rev.Application, Replicas: 3, Generation: mesh.Generation}
		for i := range 10 {
			binding.Dependencies = append(binding.Dependencies, fmt.Sprintf("shop/app-%d", i))
		}
		in = append(in, inputOf(meshed(), binding, spec))
	}
	b.ReportAllocs()
	for b.Loop() {
		for i := range in {
			if _, err := in[i].try(); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*benchApplications), "µs/application")
}
