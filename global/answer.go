package global

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/meridian-federation/meridian/internal/buildinfo"
	"github.com/meridian-federation/meridian/internal/question"
	"github.com/meridian-federation/meridian/internal/record"
)

// Answer answers a question that came over gRPC, if whoever asks may.
func (g *Global) Answer(ctx context.Context, kind string, payload []byte) ([]byte, error) {
	return g.door.Answer(ctx, kind, payload)
}

// Reply answers what by, who may, asks: by what Global knows, and by what the regions concerned answer.
func (g *Global) Reply(ctx context.Context, by, kind string, payload []byte) ([]byte, error) {
	local := question.Node{Tier: question.TierGlobal, Name: string(question.TierGlobal)}
	var err error
	switch kind {
	case question.KindApplication:
		return g.describe(ctx, local, payload)
	case question.KindOverview:
		return question.Encode(g.survey(ctx))
	case question.KindConfirm:
		return g.confirm(ctx, by, local, payload)
	case question.KindCanI:
		return g.canI(ctx, local, payload)
	case question.KindExport:
		return g.export(ctx, local, payload)
	case question.KindTokenCreate:
		local.Issued, err = g.createToken(ctx, by, payload)
	case question.KindTokenList:
		g.listTokens(&local)
	case question.KindTokenRevoke:
		local.Confirmed, err = g.revokeToken(ctx, by, payload)
	case question.KindRotate:
		local.Rotation, err = g.rotate(ctx, by, payload)
	default:
		return g.addresses(ctx, by, local, kind, payload)
	}
	if err != nil {
		return nil, err
	}
	return question.Encode(local)
}

// describe answers with what became of an application, everywhere.
func (g *Global) describe(ctx context.Context, local question.Node, payload []byte) ([]byte, error) {
	request, err := question.Decode[question.ApplicationRequest](payload)
	if err != nil {
		return nil, err
	}
	app, regions, err := g.application(request)
	if err != nil {
		return nil, err
	}
	local.Application = app
	return question.Encode(question.Gather(ctx, local, g.children(regions), question.KindApplication, payload))
}

// survey asks the whole tree how it stands.
func (g *Global) survey(ctx context.Context) question.Node {
	local := question.Node{Tier: question.TierGlobal, Name: string(question.TierGlobal), Overview: g.overview()}
	return question.Gather(ctx, local, g.children(g.regions()), question.KindOverview, []byte("{}"))
}

// application says what Global knows of one application, and in which regions it is.
func (g *Global) application(request question.ApplicationRequest) (*question.Application, []string, error) {
	now := inForce(g.mirror.Snapshot(), request.Namespace, request.Name)
	name := record.ServiceName(request.Namespace, request.Name)
	if len(now.assignments) == 0 {
		return nil, nil, fmt.Errorf("%w: no zone is to run application %s; see its conditions with `meridian describe application %s -n %s`",
			question.ErrNotFound, name, request.Name, request.Namespace)
	}
	out := &question.Application{Namespace: request.Namespace, Name: request.Name}
	regions := map[string]bool{}
	desired := map[string]record.Assignment{}
	for zone, a := range now.assignments {
		regions[a.Region] = true
		if a.Draining {
			continue
		}
		desired[zone] = a
		out.Revision, out.AcceptedAt = a.Revision, a.AcceptedAt
		if e, ok := g.mirror.Snapshot().Get(record.AssignmentKey(a.Namespace, a.Application, zone)); ok && e.Written.After(out.ReceivedAt) {
			out.ReceivedAt = e.Written
		}
	}
	count := g.reports.status(name)
	applied, ready := true, true
	for _, l := range count.Lines {
		out.Desired += l.Desired
		out.Updated += l.Updated
		out.Ready += l.Ready
		out.Clusters += l.Clusters
		out.Converged += l.Converged
	}
	for _, a := range desired {
		l, ok := lineOf(count, a.Zone)
		applied = applied && ok && lineConverged(l, a) && !l.AppliedAt.IsZero()
		ready = ready && applied && !l.ReadyAt.IsZero()
		out.AppliedAt, out.ReadyAt = later(out.AppliedAt, l.AppliedAt), later(out.ReadyAt, l.ReadyAt)
	}
	if !applied {
		out.AppliedAt = time.Time{}
	}
	if !ready {
		out.ReadyAt = time.Time{}
	}
	out.Problems = question.Problems(count.Problems)
	return out, slices.Sorted(maps.Keys(regions)), nil
}

// lineOf is what is said of one zone; lines are sorted by zone.
func lineOf(s record.Status, zone string) (record.Line, bool) {
	i, said := slices.BinarySearchFunc(s.Lines, zone, func(l record.Line, zone string) int { return strings.Compare(l.Zone, zone) })
	if !said {
		return record.Line{}, false
	}
	return s.Lines[i], true
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

func (g *Global) children(regions []string) []question.Child {
	return g.sessions.Children(question.TierRegion, regions)
}

// regions lists those that have clusters, or have enrolled.
func (g *Global) regions() []string {
	names := map[string]bool{}
	for e := range g.mirror.Snapshot().All(record.KindCluster) {
		if c, err := record.DecodeCluster(e.Record); err == nil {
			names[c.Region] = true
		}
	}
	for _, path := range g.register.Enrolled() {
		names[path.Region] = path.Region != ""
	}
	delete(names, "")
	return slices.Sorted(maps.Keys(names))
}

// overview says how this replica stands.
func (g *Global) overview() *question.Overview {
	snapshot := g.mirror.Snapshot()
	position := snapshot.Position()
	out := &question.Overview{Epoch: question.EpochText(position.Epoch), Revision: position.Revision,
		Version: buildinfo.Read().String(), Identity: g.deps.Identity.Describe(), Sessions: g.sessions.Sessions(question.TierRegion, g.regions())}
	applications := map[string]bool{}
	for e := range snapshot.All(record.KindAssignment) {
		p := e.Key.Parts()
		applications[record.ServiceName(p[0], p[1])] = true
	}
	out.Applications = len(applications)
	for range snapshot.All(record.KindCluster) {
		out.Clusters++
	}
	if g.writer.Load() != nil {
		out.Leader = g.cfg.ID
	}
	if stranger, since := g.identity.mismatch(); stranger != "" {
		out.Refusals = append(out.Refusals, question.Refusal{Kind: question.WhatIdentity, Since: since,
			Reason: (&strangerError{g.identity.known(), stranger}).Error()})
	}
	var held []question.HeldRemoval
	for name, since := range g.guard.list() {
		held = append(held, question.HeldRemoval{Key: name, Cause: record.CauseFound.String(), Since: since})
	}
	out.Held = question.NewHeld(held)
	return out
}
