package compile

import (
	"cmp"
	"encoding/binary"

	"github.com/meridian-federation/meridian/internal/mesh"
	"github.com/meridian-federation/meridian/internal/record"
)

// spec is one revision, decoded once for all units that want it in one round, with what was compiled of it. Between rounds
// it is not kept decoded: that is several times its size, and few specs are compiled again. One goroutine uses it at a time.
type spec struct {
	revision record.Revision
	adopt    bool
	decoded  *mesh.Spec // nil when it has to be decoded anew
	// err is why it cannot be decoded.
	err error
	// made are outputs by what else went into them, so that clusters with equal inputs share them: those of the round
	// before this one, and wanted those of this round.
	made, wanted map[record.Version]*output
}

// output is what a unit was compiled to. It is immutable and shared.
type output struct {
	objects  []mesh.Object // in the order of application
	workload record.KeyVersion
	// subject is what the objects about who may call are made of anew when the policy alone changes.
	subject *mesh.Subject
}

// readSpec reads a revision, but for its spec.
func readSpec(r record.Record) *spec {
	s := &spec{wanted: map[record.Version]*output{}}
	s.revision, s.err = record.DecodeRevision(r)
	return s
}

func (s *spec) decode() {
	if s.decoded, s.err = mesh.Decode(s.revision); s.err == nil {
		s.adopt = s.decoded.Adopt()
	}
}

// workload compiles; the digest is of the records among the inputs.
func (s *spec) workload(in mesh.WorkloadInput, d digest) (*output, error) {
	d.text("workload", string(in.Locate))
	d.number(uint64(in.Binding.Replicas), uint64(in.Binding.Generation))
	d.text(in.Binding.Dependencies...)
	d.text(in.Istiod...)
	for _, p := range in.Remotes {
		d.text(p.Cluster, p.Region, p.Zone, p.Network, p.Primary)
		d.text(p.Gateways...)
	}
	return s.make(d, func() ([]mesh.Object, error) {
		in.Spec = s.decoded
		return mesh.Workload(in)
	})
}

// config compiles; the digest is of the records among the inputs.
func (s *spec) config(in mesh.ConfigInput, d digest) (*output, error) {
	d.text("config")
	d.number(uint64(in.Generation))
	d.text(in.Dependencies...)
	return s.make(d, func() ([]mesh.Object, error) {
		in.Spec = s.decoded
		return mesh.Config(in)
	})
}

// make compiles, unless all that goes into it was the same before.
func (s *spec) make(d digest, compile func() ([]mesh.Object, error)) (*output, error) {
	inputs := d.sum()
	out := cmp.Or(s.wanted[inputs], s.made[inputs])
	if out != nil {
		s.wanted[inputs] = out
		return out, nil
	}
	if s.err == nil && s.decoded == nil {
		s.decode()
	}
	if s.err != nil {
		return nil, s.err
	}
	objects, err := compile()
	if err != nil {
		return nil, err
	}
	out = &output{objects: objects, workload: workloadOf(objects), subject: s.decoded.Subject}
	s.wanted[inputs] = out
	return out, nil
}

// settle ends a round: what it did not want is forgotten, since inputs change with replicas and dependencies for as long as
// the revision is in use. It stays shared by the units that have it.
func (s *spec) settle() { s.made, s.wanted = s.wanted, map[record.Version]*output{} }

// digest is all that an output depends on beside the spec.
type digest struct{ content []byte }

// digestOf begins with records and the cluster's shape.
func digestOf(shape, policy, audience record.Version, faces []*face) digest {
	d := digest{make([]byte, 0, 1024)}
	for _, v := range []record.Version{shape, policy, audience} {
		d.content = append(d.content, v[:]...)
	}
	d.number(uint64(len(faces)))
	for _, f := range faces {
		d.text(f.Namespace, f.Application)
		d.content = append(d.content, f.version[:]...)
	}
	return d
}

// text writes a list, so that no two lists give the same bytes.
func (d *digest) text(list ...string) {
	d.number(uint64(len(list)))
	for _, s := range list {
		d.number(uint64(len(s)))
		d.content = append(d.content, s...)
	}
}

func (d *digest) number(list ...uint64) {
	for _, n := range list {
		d.content = binary.BigEndian.AppendUint64(d.content, n)
	}
}

func (d *digest) sum() record.Version { return record.VersionOf(d.content) }
