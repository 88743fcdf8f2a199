package compile

import (
	"cmp"
	"strings"

	"github.com/meridian-federation/meridian/internal/mesh"
	"github.com/meridian-federation/meridian/internal/record"
)

// kind is what a unit compiles.
type kind uint8

const (
	kindWorkload kind = iota
	kindConfig
	kindStub
	kindCallee
	kindChunk
	kindNamespace
	kindGateway
	kindRoot
	kinds
)

// unitKey names a unit of one cluster. A namespace has no application, a gateway and a root have neither.
type unitKey struct {
	kind                   kind
	namespace, application string
	// part is of a gateway the part of the hosts, of a chunk CLUSTER/CHUNK, else empty.
	part string
}

func (k unitKey) compare(o unitKey) int {
	return cmp.Or(cmp.Compare(k.kind, o.kind), strings.Compare(k.namespace, o.namespace),
		strings.Compare(k.application, o.application), strings.Compare(k.part, o.part))
}

// unit is one unit's last good output. Every object has one unit that writes it.
type unit struct {
	key     unitKey
	objects []mesh.Object
	// made: it was compiled at least once.
	made bool
	// traits are what its namespace gets from it, nil is nothing.
	traits *traits
	// workload is, of a workload, the object whose replicas are counted, with the version compiled.
	workload record.KeyVersion
	// subject and policy are, of a workload and a config, what the objects about who may call are made of and the version of
	// the policy that they follow.
	subject *mesh.Subject
	policy  record.Version
	// problem is why the output is not what follows from the records.
	problem *record.Problem
}

// traits are what a namespace's objects are made of.
type traits struct {
	environment, tenant string
	adopt               bool
	// strict: something of the mesh's is in the namespace that only callers with an identity may reach.
	strict bool
}

// compare puts the traits first that decide, while those of one namespace do not agree.
func (t traits) compare(o traits) int {
	return cmp.Or(strings.Compare(t.environment, o.environment), strings.Compare(t.tenant, o.tenant))
}
