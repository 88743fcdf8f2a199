package global

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/meridian-federation/meridian/internal/permission"
	"github.com/meridian-federation/meridian/internal/question"
	"github.com/meridian-federation/meridian/internal/record"
)

// canI answers whether a call is allowed: by Global's records, or by those of the region or zone asked for.
func (g *Global) canI(ctx context.Context, local question.Node, payload []byte) ([]byte, error) {
	request, err := question.Decode[question.CanIRequest](payload)
	if err != nil {
		return nil, err
	}
	if err := request.Validate(); err != nil {
		return nil, err
	}
	region, below := request.Target.Child(question.TierGlobal)
	if !below {
		if local.Verdict, err = permission.Answer(g.mirror.Snapshot(), request.Target, request); err != nil {
			return nil, err
		}
		return question.Encode(local)
	}
	if !slices.Contains(g.regions(), region) {
		return nil, fmt.Errorf("%w: there is no region %s with clusters", question.ErrInvalid, region)
	}
	answer := question.Gather(ctx, local, g.children([]string{region}), question.KindCanI, payload)
	if n := answer.At(request.Target); n != nil && n.Verdict != nil && n.Verdict.Unknown != "" {
		n.Verdict.KnownAt = g.knownAt(request.Provider)
	}
	return question.Encode(answer)
}

// knownAt are the nodes that have an application's policy: Global, and what it is assigned to; none if it is not known
// here.
func (g *Global) knownAt(app question.ApplicationRequest) []string {
	snapshot := g.mirror.Snapshot()
	if _, known := snapshot.Get(record.PolicyKey(app.Namespace, app.Name)); !known {
		return nil
	}
	nodes := map[string]bool{}
	for _, a := range inForce(snapshot, app.Namespace, app.Name).assignments {
		nodes[question.Path{Region: a.Region}.String()] = true
		nodes[question.Path{Region: a.Region, Zone: a.Zone}.String()] = true
	}
	return append([]string{string(question.TierGlobal)}, slices.Sorted(maps.Keys(nodes))...)
}
