package az

import (
	"slices"
	"strconv"
	"strings"

	"github.com/meridian-federation/meridian/internal/mesh"
	"github.com/meridian-federation/meridian/internal/object"
	"github.com/meridian-federation/meridian/internal/record"
)

// spec is one revision, decoded once for all clusters that want it in one round, with what was compiled of it. Between
// rounds it is not kept decoded: that is several times its size, and few specs are compiled again.
type spec struct {
	revision record.Revision
	adopt    bool
	decoded  *mesh.Spec // nil when it has to be decoded anew
	// err is why it cannot be decoded.
	err error
	// made are the objects by what else went into them, so that clusters with equal inputs share them.
	made map[string]*compiled
}

// maxMade bounds what is remembered of one spec: the inputs change with replicas and dependencies, and what is forgotten
// stays shared by those that have it.
const maxMade = 64

// compiled is one output of the compiler. It is immutable and shared.
type compiled struct {
	// objects in the order of application.
	objects []mesh.Object
	// workload is the object whose replicas are counted, with the version compiled.
	workload record.KeyVersion
	err      error
}

// readSpec decodes a revision.
func readSpec(r record.Record) *spec {
	s := &spec{made: map[string]*compiled{}}
	if s.revision, s.err = record.DecodeRevision(r); s.err == nil {
		s.decode()
	}
	return s
}

func (s *spec) decode() {
	if s.decoded, s.err = mesh.Decode(s.revision); s.err == nil {
		s.adopt = s.decoded.Adopt()
	}
}

// compile returns the objects of a binding, from memory if all that goes into them was the same before.
func (s *spec) compile(cluster record.Cluster, b record.Binding, services []record.Service) *compiled {
	if s.err != nil {
		return &compiled{err: s.err}
	}
	inputs := inputsOf(cluster, b, services)
	if out, ok := s.made[inputs]; ok {
		return out
	}
	if s.decoded == nil {
		s.decode()
	}
	out := &compiled{}
	out.objects, out.err = mesh.Application(mesh.ApplicationInput{Cluster: cluster, Binding: b, Spec: s.decoded,
		Services: services})
	for _, o := range out.objects {
		if object.ClassOf(o.ID.Group, o.ID.Kind) == object.ClassWorkload && o.ID.Kind == "Deployment" {
			out.workload = record.KeyVersion{Key: o.Record.Key, Version: o.Record.Version}
		}
	}
	if len(s.made) >= maxMade {
		clear(s.made)
	}
	s.made[inputs] = out
	return out
}

// inputsOf is everything that the compiler's output depends on beside the spec, as text.
func inputsOf(cluster record.Cluster, b record.Binding, services []record.Service) string {
	var text strings.Builder
	part := func(s string) {
		text.WriteString(s)
		text.WriteByte(0)
	}
	part(strconv.Itoa(int(b.Replicas)))
	part(strconv.FormatUint(uint64(b.Generation), 10))
	part(meshOf(cluster))
	for _, d := range b.Dependencies {
		part(d)
	}
	part("")
	for _, s := range services {
		if len(s.Ports) == 0 {
			part(record.ServiceName(s.Namespace, s.Application))
		}
	}
	return text.String()
}

// meshOf is everything of a cluster that the compiler's output depends on, as text.
func meshOf(c record.Cluster) string {
	hosts := slices.Sorted(slices.Values(c.Mesh.PlatformHosts))
	return strings.Join([]string{c.Mesh.Dataplane, c.Mesh.RootNamespace, strconv.FormatBool(c.Mesh.DefaultSidecar),
		strings.Join(hosts, "\x01")}, "\x00")
}
