package global

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"

	"github.com/meridian-federation/meridian/internal/audit"
	"github.com/meridian-federation/meridian/internal/enrol"
	"github.com/meridian-federation/meridian/internal/question"
	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/internal/store"
)

// places has enrolments and sessions follow the inventory: who is no longer in it is revoked, and no region is served that
// is not. The planner alone touches it.
type places struct {
	hub      *hub
	register *enrol.Register
	guard    *guard
	audit    *audit.Log
	log      *slog.Logger
	// keep ends the sessions of regions that are none of these.
	keep func(is func(region string) bool)

	// left are regions and zones that a person was seen to delete. One that was only found missing stays a place while
	// clusters stand in it.
	left map[question.Path]bool
	now  enrol.Places
}

func newPlaces(g *Global, h *hub) *places {
	return &places{hub: h, register: g.register, guard: g.guard, audit: g.deps.Audit, log: g.log, keep: g.keepRegions,
		left: map[question.Path]bool{}}
}

// settle returns what is to be written, before all else, because places are no longer in the inventory. In doubt about
// the hub nobody is revoked.
func (p *places) settle(ctx context.Context, inv *inventory, w work) ([]store.Write, error) {
	maps.Copy(p.left, w.left)
	var all []question.Path
	for name := range inv.regions {
		all = append(all, question.Path{Region: name})
	}
	for name, z := range inv.zones {
		all = append(all, question.Path{Region: z.region, Zone: name})
	}
	for _, c := range inv.clusters {
		all = append(all, question.Path{Region: c.Region, Zone: c.Zone, Cluster: c.Name})
	}
	if p.guard.doubtful() {
		all = append(all, p.register.Enrolled()...)
	}
	maps.DeleteFunc(p.left, func(path question.Path, _ bool) bool { return p.exists(path) })
	p.now = enrol.NewPlaces(all, slices.Collect(maps.Keys(p.left)))
	writes, err := p.register.Settle(ctx, p.now)
	if err != nil {
		return nil, fmt.Errorf("following the inventory with enrolments: %w", err)
	}
	return writes, nil
}

// exists tells whether the hub has the resource of a region or a zone.
func (p *places) exists(path question.Path) bool {
	if path.Tier() == question.TierRegion {
		_, ok := p.hub.regions.get(path.Region)
		return ok
	}
	z, ok := p.hub.zones.get(path.Zone)
	return ok && z.Spec.Region == path.Region
}

// settled ends the sessions of regions that are gone, and records what was revoked, when that is written.
func (p *places) settled(ctx context.Context, writes []store.Write) {
	p.keep(func(region string) bool { return p.now.Has(question.Path{Region: region}) })
	for _, w := range writes {
		if w.Key.Kind != record.KindGrant {
			continue
		}
		g, err := record.DecodeGrant(w.Record)
		if err != nil {
			continue
		}
		p.log.Info("place revoked", "place", g.Path, "generation", g.Generation)
		p.audit.Record(ctx, audit.Event{Action: audit.PlaceRevoked, Actor: string(question.TierGlobal), Subject: g.Path,
			Result: audit.Done, Reason: "it is no longer in the inventory", Attrs: []slog.Attr{slog.Uint64("generation", g.Generation)}})
	}
}

// keepRegions ends the sessions of the regions that are none of these.
func (g *Global) keepRegions(is func(region string) bool) {
	for _, region := range g.heldRegions() {
		if is(region) {
			continue
		}
		g.sessions.Forget(region, "region "+region+" is no longer in the inventory")
		g.mu.Lock()
		delete(g.ledgers, region)
		g.mu.Unlock()
		g.forgetSpace(region)
	}
}

// heldRegions are those that have had a session.
func (g *Global) heldRegions() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Sorted(maps.Keys(g.ledgers))
}
