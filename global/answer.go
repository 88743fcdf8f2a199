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

// Answer answers a question by what Global knows, and by what the regions concerned answer.
func (g *Global) Answer(ctx context.Context, kind string, payload []byte) ([]byte, error) {
	local := question.Node{Tier: question.TierGlobal, Name: string(question.TierGlobal)}
	var children []question.Child
	switch kind {
	case question.KindApplication:
		request, err := question.Decode[question.ApplicationRequest](payload)
		if err != nil {
			return nil, err
		}
		app, regions, err := g.application(request)
		if err != nil {
			return nil, err
		}
		local.Application, children = app, g.children(regions)
	case question.KindOverview:
		local.Overview = g.overview()
		children = g.children(g.regions())
	case question.KindConfirm:
		request, err := question.Decode[question.ConfirmRequest](payload)
		if err != nil {
			return nil, err
		}
		if err := request.Validate(); err != nil {
			return nil, err
		}
		if region, below := request.Target.Child(question.TierGlobal); below {
			children = g.children([]string{region})
			break
		}
		if local.Confirmed, err = g.confirm(ctx, request.What); err != nil {
			return nil, err
		}
	case question.KindCanI:
		return g.canI(ctx, local, payload)
	case question.KindExport:
		return g.export(ctx, local, payload)
	default:
		return nil, fmt.Errorf("%w: unknown question %q", question.ErrInvalid, kind)
	}
	return question.Encode(question.Gather(ctx, local, children, kind, payload))
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

// regions lists those that have clusters.
func (g *Global) regions() []string {
	names := map[string]bool{}
	for e := range g.mirror.Snapshot().All(record.KindCluster) {
		if c, err := record.DecodeCluster(e.Record); err == nil {
			names[c.Region] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}

// overview says how this replica stands.
func (g *Global) overview() *question.Overview {
	snapshot := g.mirror.Snapshot()
	position := snapshot.Position()
	out := &question.Overview{Epoch: question.EpochText(position.Epoch), Revision: position.Revision,
		Version: buildinfo.Read().String(), Sessions: g.sessions.Sessions(question.TierRegion, g.regions())}
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

// confirm carries out an operator's confirmation at Global itself.
func (g *Global) confirm(ctx context.Context, what string) ([]string, error) {
	writer := g.writer.Load()
	if writer == nil {
		return nil, fmt.Errorf("%w: this replica of Global does not lead; ask another", question.ErrInvalid)
	}
	switch what {
	case question.WhatIdentity:
		if stranger, _ := g.identity.mismatch(); stranger == "" {
			return nil, fmt.Errorf("%w: the hub's API server is the one expected; nothing waits for this", question.ErrInvalid)
		}
		g.guard.doubts(true) // before its resources are looked at
		g.identity.confirm()
		if err := g.remember(ctx, writer, map[string][]byte{metaDoubt: []byte("1")}); err != nil {
			return nil, err
		}
		return []string{"the hub's API server is now the one with kube-system " + g.identity.known()}, nil
	case question.WhatRemovals:
		n := len(g.guard.list())
		if n == 0 && !g.guard.doubtful() {
			return nil, fmt.Errorf("%w: no removal is held back here", question.ErrInvalid)
		}
		if err := g.remember(ctx, writer, map[string][]byte{metaDoubt: nil}); err != nil {
			return nil, err
		}
		g.queue.add(func(w *work) { w.confirmed = true })
		return []string{fmt.Sprintf("%d held removals go on", n)}, nil
	default:
		return nil, fmt.Errorf("%w: Global has no parent, so there is no %s to confirm; it has %s and %s",
			question.ErrInvalid, what, question.WhatIdentity, question.WhatRemovals)
	}
}
