package global

import (
	"context"
	"log/slog"

	"github.com/meridian-federation/meridian/internal/audit"
	"github.com/meridian-federation/meridian/internal/question"
	"github.com/meridian-federation/meridian/ipam/answer"
)

// office keeps Global's own addresses; nil where none are kept.
func (g *Global) office() answer.Office {
	if g.tenure == nil {
		return nil
	}
	return g.tenure
}

// addresses answers a question about address space, here and in the regions concerned. What changes something is audited.
func (g *Global) addresses(ctx context.Context, by string, local question.Node, kind string, payload []byte) ([]byte, error) {
	below, err := answer.At(ctx, g.office(), question.Path{}, kind, payload, &local)
	if err == nil {
		local = question.Gather(ctx, local, g.children(below.Of(g.regions())), kind, payload)
	}
	g.recordSpace(ctx, by, kind, payload, &local, err)
	if err != nil {
		return nil, err
	}
	return question.Encode(local)
}

// recordSpace audits a repair and a reclaim.
func (g *Global) recordSpace(ctx context.Context, by, kind string, payload []byte, local *question.Node, err error) {
	event := audit.Event{Actor: by, Result: audit.Allowed} // it was handed on; what comes of it may not be known here
	switch kind {
	case question.KindIPAMCheck:
		r, _ := question.Decode[question.IPAMCheckRequest](payload)
		if !r.Repair {
			return
		}
		event.Action, event.Subject = audit.SpaceRepair, r.Target.String()
		if n := local.At(r.Target); n != nil && n.Space != nil && n.Space.Check != nil {
			event.Result = audit.Done
		}
	case question.KindIPAMReclaim:
		r, _ := question.Decode[question.IPAMReclaimRequest](payload)
		event.Action, event.Subject = audit.SpaceReclaim, r.Target.String()
		event.Attrs = []slog.Attr{slog.Bool("force", r.Force)}
		parent, _ := r.Target.Parent()
		if n := local.At(parent); n != nil && len(n.Confirmed) > 0 {
			event.Result = audit.Done
		}
	default:
		return
	}
	if err != nil {
		event.Result, event.Reason = audit.Refused, err.Error()
	}
	g.deps.Audit.Record(ctx, event)
}
