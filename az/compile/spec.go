package compile

import (
	"crypto/sha256"
	"encoding/binary"
	"hash"

	"github.com/meridian-federation/meridian/internal/mesh"
	"github.com/meridian-federation/meridian/internal/record"
)

// spec is one revision, decoded once for all units that want it in one round, with what was compiled of it. Between rounds
// it is not kept decoded: that is several times its size, and few specs are compiled again.
type spec struct {
	revision record.Revision
	adopt    bool
	decoded  *mesh.Spec // nil when it has to be decoded anew
	// err is why it cannot be decoded.
	err error
	// made are outputs by what else went into them, so that clusters with equal inputs share them.
	made map[record.Version]*output
}

// maxMade bounds what is remembered of one spec: the inputs change with replicas and dependencies, and what is forgotten
// stays shared by those that have it.
const maxMade = 64

// output is what a unit was compiled to. It is immutable and shared.
type output struct {
	objects  []mesh.Object // in the order of application
	workload record.KeyVersion
}

// readSpec decodes a revision.
func readSpec(r record.Record) *spec {
	s := &spec{made: map[record.Version]*output{}}
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

// workload compiles for a cluster of a shape.
func (s *spec) workload(shape record.Version, in mesh.WorkloadInput) (*output, error) {
	d := newDigest("workload", shape)
	d.number(uint64(in.Binding.Replicas), uint64(in.Binding.Generation))
	d.text(in.Binding.Dependencies...)
	d.records(in.Policy.Record(), in.Audience.Record())
	d.services(in.Services)
	d.text(string(in.Locate))
	for _, p := range in.Remotes {
		d.text(p.Cluster)
		d.records(p.Record())
	}
	return s.make(d, func() ([]mesh.Object, error) {
		in.Spec = s.decoded
		return mesh.Workload(in)
	})
}

// config compiles for an istiod in a cluster of a shape.
func (s *spec) config(shape record.Version, in mesh.ConfigInput) (*output, error) {
	d := newDigest("config", shape)
	d.number(uint64(in.Generation))
	d.text(in.Dependencies...)
	d.records(in.Policy.Record())
	d.services(in.Services)
	return s.make(d, func() ([]mesh.Object, error) {
		in.Spec = s.decoded
		return mesh.Config(in)
	})
}

// make compiles, unless all that goes into it was the same before.
func (s *spec) make(d digest, compile func() ([]mesh.Object, error)) (*output, error) {
	inputs := d.sum()
	if out, ok := s.made[inputs]; ok {
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
	if len(s.made) >= maxMade {
		clear(s.made)
	}
	out := &output{objects: objects, workload: workloadOf(objects)}
	s.made[inputs] = out
	return out, nil
}

// digest hashes all that an output depends on beside the spec.
type digest struct{ hash.Hash }

func newDigest(what string, shape record.Version) digest {
	d := digest{sha256.New()}
	d.text(what)
	d.Write(shape[:])
	return d
}

// text writes a list, so that no two lists give the same bytes.
func (d digest) text(list ...string) {
	d.number(uint64(len(list)))
	for _, s := range list {
		d.number(uint64(len(s)))
		d.Write([]byte(s))
	}
}

func (d digest) number(list ...uint64) {
	for _, n := range list {
		d.Write(binary.BigEndian.AppendUint64(nil, n))
	}
}

func (d digest) records(list ...record.Record) {
	for _, r := range list {
		d.Write(r.Version[:])
	}
}

func (d digest) services(list []record.Service) {
	d.number(uint64(len(list)))
	for _, s := range list {
		d.text(s.Namespace, s.Application)
		d.records(s.Record())
	}
}

func (d digest) sum() record.Version { return record.Version(d.Sum(nil)[:16]) }
