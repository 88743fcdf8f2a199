package global

import (
	"cmp"
	"context"
	"crypto/x509"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/meridian-federation/meridian/internal/audit"
	"github.com/meridian-federation/meridian/internal/identity"
	"github.com/meridian-federation/meridian/internal/question"
	"github.com/meridian-federation/meridian/internal/record"
)

// unseen is how long processes that no overview shows, since they do not lead their tier, have to follow a step: longer than
// what spreads the renewals of those that are told at once.
const unseen = 5 * time.Second

// rotate takes the replacement of the root one step further, where all nodes have followed the step before:
//
//	idle ──a new root──▶ spreading ──it signs──▶ renewing ──the old one is dropped──▶ idle
//	       [old, new]     until all      [old, new]   until no chain          [new]
//	       old signs      believe it     new signs    ends in the old
//
// The record of the roots is all its state, so any leader goes on with it. A new root that signs nothing yet and whose key
// another process has is replaced by one of this process.
func (g *Global) rotate(ctx context.Context, by string, payload []byte) (*question.Rotation, error) {
	request, err := question.Decode[question.RotateRequest](payload)
	if err != nil {
		return nil, err
	}
	if g.deps.Authority == nil {
		return nil, fmt.Errorf("%w: the identities here are not of Meridian's own authority; replace the root where they are issued",
			question.ErrInvalid)
	}
	if !g.rotating.TryLock() {
		return nil, fmt.Errorf("%w: another step of the rotation is under way", question.ErrUnavailable)
	}
	defer g.rotating.Unlock()
	writer := g.writer.Load()
	if writer == nil {
		return nil, fmt.Errorf("%w: this replica of Global does not lead; ask another", question.ErrUnavailable)
	}
	trust, err := g.trust()
	if err != nil {
		return nil, err
	}
	next, out, err := g.step(ctx, trust, request)
	if err != nil || next == nil {
		return out, err
	}
	if err := g.writeTrust(ctx, writer, next.record()); err != nil {
		return nil, err
	}
	g.deps.Audit.Record(ctx, audit.Event{Action: audit.AuthorityRotate, Actor: by, Subject: identity.PinOf(next.active), Result: audit.Done,
		Attrs: []slog.Attr{slog.String("phase", string(out.Phase)), slog.Bool("force", request.Force)}})
	return out, nil
}

// roots are those that are believed, oldest first, and the one that signs.
type roots struct {
	ders   [][]byte
	hashes [][32]byte
	active [32]byte
	// written is when they became these.
	written time.Time
}

func (r roots) record() record.Trust { return record.Trust{Roots: r.ders, Active: r.active} }

// newest is the one made last; it is the oldest as well where there is one alone.
func (r roots) newest() [32]byte { return r.hashes[len(r.hashes)-1] }

func (r roots) phase() question.RotationPhase {
	switch {
	case len(r.hashes) == 1:
		return question.RotationIdle
	case r.active != r.newest():
		return question.RotationSpreading
	default:
		return question.RotationRenewing
	}
}

func (r roots) described() *question.Rotation {
	out := &question.Rotation{Phase: r.phase(), Active: identity.PinOf(r.active)}
	for _, hash := range r.hashes {
		out.Roots = append(out.Roots, identity.PinOf(hash))
	}
	return out
}

func newRoots(trust record.Trust) (roots, error) {
	certs, err := identity.ParseRoots(trust.Roots)
	if err != nil {
		return roots{}, fmt.Errorf("reading record %s: %w", record.TrustKey(), err)
	}
	r := roots{ders: trust.Roots, active: trust.Active}
	for _, cert := range certs {
		r.hashes = append(r.hashes, identity.KeyHash(cert))
	}
	return r, nil
}

// trust is the record of the roots.
func (g *Global) trust() (roots, error) {
	e, ok := g.mirror.Snapshot().Get(record.TrustKey())
	if !ok {
		return roots{}, fmt.Errorf("%w: the roots are not written down yet", question.ErrUnavailable)
	}
	trust, err := record.DecodeTrust(e.Record)
	if err != nil {
		return roots{}, err
	}
	r, err := newRoots(trust)
	r.written = e.Written
	return r, err
}

// step decides what is next: the roots to write, nil if nothing changes, and how the rotation then stands.
func (g *Global) step(ctx context.Context, now roots, request question.RotateRequest) (*roots, *question.Rotation, error) {
	next := roots{active: now.active}
	phase := now.phase()
	lost := phase == question.RotationSpreading && !g.deps.Authority.Holds(now.newest())
	switch {
	case phase == question.RotationIdle && !request.Begin:
		return nil, now.described(), nil
	case phase == question.RotationIdle, lost:
		root, err := g.deps.Authority.MakeRoot()
		if err != nil {
			return nil, nil, err
		}
		next.ders = append(slices.Clone(now.ders[:1]), root.Raw)
		next.hashes = append(slices.Clone(now.hashes[:1]), identity.KeyHash(root))
		return &next, next.described(), nil
	}
	if waiting := g.behind(ctx, now); len(waiting) > 0 && !request.Force {
		out := now.described()
		out.Left, out.Waiting = len(waiting), waiting[:min(len(waiting), question.MaxRotationWaiting)]
		return nil, out, nil
	}
	if phase == question.RotationSpreading {
		next.ders, next.hashes, next.active = now.ders, now.hashes, now.newest()
		return &next, next.described(), nil
	}
	last := len(now.ders) - 1
	next.ders, next.hashes = now.ders[last:], now.hashes[last:]
	out := next.described()
	out.Phase = question.RotationDone
	return &next, out, nil
}

// behind are the nodes that have not followed the last step.
func (g *Global) behind(ctx context.Context, now roots) []question.RotationWait {
	newest, spreading := identity.PinOf(now.newest()), now.phase() == question.RotationSpreading
	followed := func(id *question.Identity) string {
		switch {
		case id == nil:
			return "it does not tell its identity"
		case spreading && !slices.Contains(id.Believes, newest):
			return "it does not believe the new root yet"
		case !spreading && id.Root != newest:
			return "its certificate is still under the old root"
		}
		return ""
	}
	var out []question.RotationWait
	wait := func(node, reason string) {
		if reason != "" {
			out = append(out, question.RotationWait{Node: node, Reason: reason})
		}
	}
	if time.Since(now.written) < unseen {
		wait("processes that do not lead", "nobody sees them; they are given some seconds to follow")
	}
	if spreading && !g.tells(now.newest()) {
		wait("ConfigMap "+question.HubNamespace+"/"+question.HubConfigMap, "it does not have the new root yet")
	}
	var visit func(n *question.Node, path question.Path)
	visit = func(n *question.Node, path question.Path) {
		if n.Overview == nil {
			wait(path.String(), cmp.Or(n.Unanswered, "it did not answer"))
			return
		}
		wait(path.String(), n.Omitted)
		wait(path.String(), followed(n.Overview.Identity))
		for _, r := range n.Overview.Replicas {
			wait(path.String()+" replica "+r.ID, followed(r.Identity))
		}
		for i := range n.Children {
			visit(&n.Children[i], path.To(&n.Children[i]))
		}
	}
	top := g.survey(ctx)
	visit(&top, question.Path{})
	return out
}

// tells says whether people are told of a root.
func (g *Global) tells(root [32]byte) bool {
	told := g.told.Load()
	return told != nil && slices.ContainsFunc(*told, func(c *x509.Certificate) bool { return identity.KeyHash(c) == root })
}
