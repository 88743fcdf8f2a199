package global

import (
	"context"
	"log/slog"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/meridian-federation/meridian/api/v1alpha1"
	"github.com/meridian-federation/meridian/internal/audit"
	"github.com/meridian-federation/meridian/internal/store"
)

// nobodyKnown is the actor where the API server has not noted one. Who deletes something is in that server's own log alone.
const nobodyKnown = "unknown"

// changes tell the audit log who changed which spec, and whether that was accepted: each change once, and once more if it
// was refused and is accepted later. Changes that follow each other before Global decides are one, the last. What a status
// says was told in an earlier term. Environments and Networks have none, so theirs are told again in each term: the same uid
// and generation are the same change.
type changes struct {
	log  *audit.Log
	told map[string]telling // by kind and key
}

// telling is what was last told of an object.
type telling struct {
	uid        types.UID
	generation int64
	accepted   bool
}

func newChanges(log *audit.Log) *changes { return &changes{log: log, told: map[string]telling{}} }

// see tells of an object's spec if it has changed. conditions are those of its status, generation the one that was decided
// upon, why the reason for which it is refused.
func (c *changes) see(ctx context.Context, kind string, o metav1.Object, generation int64, conditions []metav1.Condition, why string) {
	key := strings.TrimPrefix(o.GetNamespace()+"/"+o.GetName(), "/")
	before, seen := c.told[kind+" "+key]
	if !seen {
		before = saidBefore(o, conditions)
	}
	now := telling{o.GetUID(), generation, why == ""}
	if before.uid == now.uid && before.generation >= now.generation && (before.accepted || !now.accepted) {
		c.told[kind+" "+key] = before
		return
	}
	c.told[kind+" "+key] = now
	e := audit.Event{Action: audit.SpecChange, Actor: nobodyKnown, Subject: key, Result: audit.Done, Reason: why,
		Attrs: []slog.Attr{slog.String("kind", kind), slog.Int64("generation", generation), slog.String("uid", string(now.uid))}}
	if by := o.GetAnnotations()[v1alpha1.AnnotationChangedBy]; by != "" {
		e.Actor = by
	}
	if why != "" {
		e.Result = audit.Refused
	}
	c.log.Record(ctx, e)
}

// saidBefore is what a status says was decided in an earlier term; no uid if it says nothing.
func saidBefore(o metav1.Object, conditions []metav1.Condition) telling {
	for _, kind := range []string{v1alpha1.ConditionAccepted, v1alpha1.ConditionWithinLimits, v1alpha1.ConditionAllocated} {
		if said := meta.FindStatusCondition(conditions, kind); said != nil {
			accepted := kind != v1alpha1.ConditionAccepted || said.Status == metav1.ConditionTrue
			return telling{o.GetUID(), said.ObservedGeneration, accepted}
		}
	}
	return telling{}
}

// gone tells that an object was deleted.
func (c *changes) gone(ctx context.Context, kind, key string) {
	before, seen := c.told[kind+" "+key]
	if !seen {
		return
	}
	delete(c.told, kind+" "+key)
	c.log.Record(ctx, audit.Event{Action: audit.SpecChange, Actor: nobodyKnown, Subject: key, Result: audit.Done,
		Attrs: []slog.Attr{slog.String("kind", kind), slog.Bool("deleted", true), slog.String("uid", string(before.uid))}})
}

// tell records the changes of one helping, once its decisions are written.
func (p *planner) tell(ctx context.Context, w work, planned map[string][]store.Write, judged map[string]*judgement) {
	for name := range planned {
		if isExternal(name) {
			p.tellExternal(ctx, name)
			continue
		}
		app, ok := p.hub.applications.get(name)
		a := p.apps[name]
		if ok && a != nil && a.plan.generation == app.Generation { // else it has changed since, and is planned again
			p.changes.see(ctx, "Application", app, a.plan.generation, app.Status.Conditions, messageOf(a.plan.refused))
		} else if !ok && a == nil {
			p.changes.gone(ctx, "Application", name)
		}
	}
	for key, j := range judged {
		if policy := p.callers.policies.specs[key]; policy != nil {
			p.changes.see(ctx, "AccessPolicy", policy, policy.Generation, policy.Status.Conditions, messageOf(j.refused))
		} else {
			p.changes.gone(ctx, "AccessPolicy", key)
		}
	}
	for name := range w.quotas {
		if quota := p.quotas.specs[name]; quota != nil {
			p.changes.see(ctx, "TenantQuota", quota, quota.Generation, quota.Status.Conditions, "")
		} else {
			p.changes.gone(ctx, "TenantQuota", name)
		}
	}
	p.tellAddresses(ctx, w)
	if w.inventory {
		p.tellInventory(ctx)
	}
}

// tellAddresses records the changes of pools, of which one that makes room has another accepted, and of IPClaims.
func (p *planner) tellAddresses(ctx context.Context, w work) {
	if len(w.pools)+len(w.freed) > 0 {
		for _, spec := range p.hub.pools.all() {
			p.changes.see(ctx, "IPPool", spec, spec.Generation, spec.Status.Conditions, messageOf(p.pools.refused[spec.Name]))
		}
	}
	for name := range w.pools {
		if _, ok := p.hub.pools.get(name); !ok {
			p.changes.gone(ctx, "IPPool", name)
		}
	}
	for key := range w.ipclaims {
		if spec, ok := p.hub.ipclaims.get(key); ok {
			p.changes.see(ctx, "IPClaim", spec, spec.Generation, spec.Status.Conditions, messageOf(p.board.refusedAddress(ownerIPClaim+key)))
		} else {
			p.changes.gone(ctx, "IPClaim", key)
		}
	}
}

func messageOf(r *refusal) string {
	if r == nil {
		return ""
	}
	return r.reason + ": " + r.message
}

func (p *planner) tellInventory(ctx context.Context) {
	there := map[string]bool{}
	see := func(kind string, o metav1.Object, conditions []metav1.Condition, why string) {
		there[kind+" "+o.GetName()] = true
		p.changes.see(ctx, kind, o, o.GetGeneration(), conditions, why)
	}
	r := p.hub.resources()
	for _, x := range r.environments {
		see("Environment", x, nil, "")
	}
	for _, x := range r.networks {
		see("Network", x, nil, "")
	}
	for _, x := range r.regions {
		see("Region", x, x.Status.Conditions, "")
	}
	for _, x := range r.zones {
		see("Zone", x, x.Status.Conditions, p.inventory.refusedZones[x.Name])
	}
	for _, x := range r.clusters {
		see("Cluster", x, x.Status.Conditions, p.inventory.refusedClusters[x.Name])
	}
	for key := range p.changes.told {
		kind, name, _ := strings.Cut(key, " ")
		if slices.Contains([]string{"Environment", "Network", "Region", "Zone", "Cluster"}, kind) && !there[key] {
			p.changes.gone(ctx, kind, name)
		}
	}
}
