package compile

import (
	"github.com/meridian-federation/meridian/internal/record"
)

// app is one application, or one ExternalService by the name of its records, as others in the zone hang on it: where it is
// bound, who calls it from where, where else it is ready. Its records are read from the snapshot when they are needed.
type app struct {
	namespace, name string
	// bound is by cluster, of those followed.
	bound map[string]*bound
	// callers are the bindings that depend on it; demand counts them by cluster, called by istiod.
	callers map[*bound]struct{}
	demand  map[string]int
	called  map[string]int
	// sites counts its location records by cluster.
	sites map[string]int
	// face is its service record and heard its audience, once they were read; a change of one has it forgotten.
	face  *face
	heard *audienceAt
	// found is how it is found under an istiod where it is called, by istiod.
	found map[string]*found
}

// face is a service record, decoded.
type face struct {
	record.Service
	version record.Version
}

// bound is one binding, linked with what it depends on.
type bound struct {
	app          *app
	binding      record.Binding
	revision     record.Key
	dependencies []*app
}

func (a *app) id() string { return record.ServiceName(a.namespace, a.name) }

// external tells whether it is an ExternalService: that is called, runs nowhere, and has no Service anywhere.
func (a *app) external() bool {
	_, is := record.CutExternal(a.name)
	return is
}

// title is what people call it.
func (a *app) title() string {
	if name, is := record.CutExternal(a.name); is {
		return "ExternalService " + record.ServiceName(a.namespace, name)
	}
	return a.id()
}

func (a *app) key(k kind) unitKey {
	return unitKey{kind: k, namespace: a.namespace, application: a.name}
}

// chunk is the key of a chunk's unit, CLUSTER/CHUNK.
func (a *app) chunk(part string) unitKey {
	key := a.key(kindChunk)
	key.part = part
	return key
}

// idle tells whether nothing hangs on the application.
func (a *app) idle() bool { return len(a.bound)+len(a.callers)+len(a.sites) == 0 }

// count moves a count that is dropped at zero, and tells whether it came from zero or reached it.
func count[K comparable](counts *map[K]int, key K, by int) (turned bool) {
	if *counts == nil {
		*counts = map[K]int{}
	}
	before := (*counts)[key]
	after := before + by
	if after == 0 {
		delete(*counts, key)
	} else {
		(*counts)[key] = after
	}
	return (before == 0) != (after == 0)
}

// app returns an application's node, made when it is first wanted.
func (c *Compiler) app(namespace, name string) *app {
	id := record.ServiceName(namespace, name)
	a := c.apps[id]
	if a == nil {
		a = &app{namespace: namespace, name: name}
		c.apps[id] = a
	}
	return a
}
