package compile

import (
	"github.com/meridian-federation/meridian/internal/object"
	"github.com/meridian-federation/meridian/internal/record"
)

// Where clusters share an istiod, who may call an application is told in the primary, and its pods run in members. There is no
// order between what two clusters apply, so it is made here, by what they acknowledge:
//
//	member's workload   waits until the primary has taken in the AuthorizationPolicy, if that is new there
//	primary's config    stays until the members have taken the workload away, and nothing of it runs any more
//
// What a shard finds when it takes clusters over counts as taken in.

// reasonPrimaryBehind: a workload waits for its primary.
const reasonPrimaryBehind = "PrimaryBehind"

// departure is a workload that a member is to take away.
type departure struct {
	workload record.Key
	cause    record.Cause
}

// waits is why a workload that is not yet in a member must not run there; nil if it may.
func (c *Compiler) waits(t *target, u *unit, r *round) *record.Problem {
	p := c.targets[t.istiod]
	if u.made || r.found || t.governs() || p == nil || !p.mine || placeOf(p.cluster).Meshless {
		return nil
	}
	key := unitKey{kind: kindConfig, namespace: u.key.namespace, application: u.key.application}
	if _, unheard := p.unheard[key]; p.has(key) && !unheard {
		return nil
	}
	return &record.Problem{Reason: reasonPrimaryBehind, Message: "it is not started before cluster " + t.istiod +
		", whose istiod configures its proxies, has taken in who may call it"}
}

// await notes that a config was compiled for the first time: members wait for the cluster to take it in.
func (c *Compiler) await(m made, out *output, r *round) {
	t := m.target
	if r.found || len(c.groups[t.cluster.Name]) < 2 {
		return
	}
	for _, o := range out.objects {
		if o.ID.Kind == kindOfAuthorization {
			t.unheard[m.unit.key] = o.Record.Key
		}
	}
}

const (
	kindOfAuthorization = "AuthorizationPolicy"
	kindOfWorkload      = "Deployment"
)

// depart notes that a workload goes from a member: the primary's config stays until it is gone.
func (c *Compiler) depart(t *target, u *unit, cause record.Cause) {
	p := c.targets[t.istiod]
	if u == nil || !u.made || t.governs() || p == nil || !p.mine {
		return
	}
	key := unitKey{kind: kindConfig, namespace: u.key.namespace, application: u.key.application}
	if p.has(key) {
		t.leaving[key] = departure{u.workload.Key, cause}
	}
}

// needed tells whether a config of which no workload is wanted any more has to stay, since one is still there.
func (c *Compiler) needed(t *target, key unitKey) bool {
	for member := range c.groups[t.cluster.Name] {
		if m := c.targets[member]; m != nil && m.mine {
			if _, leaves := m.leaving[key]; leaves {
				return true
			}
		}
	}
	return false
}

// heard takes in that a cluster made an object as it should be.
func (c *Compiler) heard(t *target, e Echo, r *round) {
	id, err := object.FromKey(e.Key)
	is := t.held[e.Key].is
	if err != nil || e.Rejection != nil || is != nil && is.Version != e.Version {
		return
	}
	key := unitKey{kind: kindConfig, namespace: id.Namespace, application: id.Name}
	switch id.Kind {
	case kindOfAuthorization:
		c.present(t, key, r)
	case kindOfWorkload:
		c.gone(t, key, r)
	}
}

// settled takes in that a cluster has all that it should have, as at the beginning of a session: what it acknowledged in the
// last one may not have been heard. What is gone is told one by one.
func (c *Compiler) settled(t *target, r *round) {
	for key, object := range t.unheard {
		if _, refused := t.refusedOf[object]; !refused {
			c.present(t, key, r)
		}
	}
}

// present notes that a primary has a config: what waits for it in members may run.
func (c *Compiler) present(t *target, key unitKey, r *round) {
	if _, waited := t.unheard[key]; !waited {
		return
	}
	delete(t.unheard, key)
	for member := range c.groups[t.cluster.Name] {
		r.mark(member, unitKey{kind: kindWorkload, namespace: key.namespace, application: key.application}, record.CauseScope)
	}
}

// gone notes that a member has taken a workload away: the primary's config may go.
func (c *Compiler) gone(t *target, key unitKey, r *round) {
	if d, left := t.leaving[key]; left {
		delete(t.leaving, key)
		r.mark(t.istiod, key, d.cause)
	}
}

// awaits are the objects of a cluster of which the compiler waits to hear.
func (t *target) awaits() []record.Key {
	var out []record.Key
	for _, key := range t.unheard {
		out = append(out, key)
	}
	for _, d := range t.leaving {
		out = append(out, d.workload)
	}
	return out
}
