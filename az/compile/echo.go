package compile

import (
	"maps"
	"slices"

	"github.com/meridian-federation/meridian/internal/feed"
	"github.com/meridian-federation/meridian/internal/object"
	"github.com/meridian-federation/meridian/internal/record"
)

// Echo is what a cluster made of an object; without a key, that it has all that it should have.
type Echo struct {
	Cluster string
	// Version is zero when the object is gone.
	Key     record.Key
	Version record.Version
	// Rejection is nil where it took effect.
	Rejection *feed.Rejection
}

// Hear takes in what clusters made of objects, and returns what changed, by cluster.
func (c *Compiler) Hear(echoes []Echo) map[string]*Shift {
	r := newRound()
	for _, e := range echoes {
		switch t := c.targets[e.Cluster]; {
		case t == nil || !t.mine:
		case e.Key == (record.Key{}):
			c.settled(t, r)
		default:
			c.reject(t, e, r)
			c.heard(t, e, r)
		}
	}
	return c.compile(r)
}

// subject is what objects tell istiod of an application: config about its own proxies, else how it is called.
type subject struct {
	namespace, application string
	config                 bool
}

// reject notes that a cluster refused an object, or no longer does. What an application's workload is made of is not of
// account here: whoever owns the cluster knows whose that is.
func (c *Compiler) reject(t *target, e Echo, r *round) {
	if before, was := t.refusedOf[e.Key]; was {
		delete(t.refusedOf, e.Key)
		if delete(t.refused[before], e.Key); len(t.refused[before]) == 0 {
			delete(t.refused, before)
		}
		c.stands(t, before, r)
	}
	at := t.held[e.Key]
	if e.Rejection == nil || at.is == nil || at.is.Version != e.Version {
		return
	}
	switch at.by.key.kind {
	case kindConfig, kindStub, kindCallee, kindChunk:
	default:
		return
	}
	of := subject{at.by.key.namespace, at.by.key.application, at.by.key.kind == kindConfig}
	name := e.Key.Name
	if id, err := object.FromKey(e.Key); err == nil {
		name = id.Short()
	}
	if t.refused[of] == nil {
		t.refused[of] = map[record.Key]record.Problem{}
	}
	t.refused[of][e.Key] = record.Problem{Object: name, Reason: e.Rejection.Reason, Message: e.Rejection.Message}
	t.refusedOf[e.Key] = of
	c.stands(t, of, r)
}

// stands has those stand otherwise whom it concerns what a cluster has of a subject: of config the application itself, else
// those that call it, in the cluster and in those that its istiod configures.
func (c *Compiler) stands(t *target, of subject, r *round) {
	a := c.app(of.namespace, of.application)
	r.loosen(record.Key{}, a)
	note := func(b *bound) {
		if at := c.targets[b.binding.Cluster]; at != nil && (at == t || at.istiod == t.cluster.Name) {
			r.standing(at, b.app)
		}
	}
	if of.config {
		for _, b := range a.bound {
			note(b)
		}
		return
	}
	for b := range a.callers {
		note(b)
	}
}

// refusals are the first of what the cluster refused of a subject.
func (t *target) refusals(of subject) []record.Problem {
	refused := t.refused[of]
	keys := slices.SortedFunc(maps.Keys(refused), record.Key.Compare)
	var out []record.Problem
	for _, key := range keys[:min(len(keys), record.MaxProblems)] {
		out = append(out, refused[key])
	}
	return out
}

// pardon forgets that the cluster refused what it should not have any more.
func (c *Compiler) pardon(t *target, r *round) {
	if len(t.refusedOf) == 0 {
		return
	}
	for key := range t.touched {
		if t.held[key].is == nil {
			c.reject(t, Echo{Key: key}, r)
		}
	}
}
