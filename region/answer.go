package region

import (
	"context"
	"fmt"
	"slices"

	"github.com/meridian-federation/meridian/internal/buildinfo"
	"github.com/meridian-federation/meridian/internal/feed"
	"github.com/meridian-federation/meridian/internal/permission"
	"github.com/meridian-federation/meridian/internal/question"
	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/ipam/answer"
)

// answer answers Global's questions, with the zones concerned.
func (r *Region) answer(ctx context.Context, q feed.Question) ([]byte, error) {
	node := question.Node{Tier: question.TierRegion, Name: r.cfg.Region}
	var zones []string
	switch q.Kind {
	case question.KindApplication:
		req, err := question.Decode[question.ApplicationRequest](q.Payload)
		if err != nil {
			return nil, err
		}
		node.Application, zones = r.application(req)
	case question.KindOverview:
		node.Overview, zones = r.overview(), r.directory.zones()
	case question.KindConfirm:
		req, err := question.Decode[question.ConfirmRequest](q.Payload)
		if err != nil {
			return nil, err
		}
		if node.Confirmed, zones, err = r.confirm(ctx, req); err != nil {
			return nil, err
		}
	case question.KindCanI:
		req, err := question.Decode[question.CanIRequest](q.Payload)
		if err != nil {
			return nil, err
		}
		if node.Verdict, zones, err = r.canI(req); err != nil {
			return nil, err
		}
	case question.KindExport:
		req, err := question.Decode[question.ExportRequest](q.Payload)
		if err != nil {
			return nil, err
		}
		if zones, err = r.below(req.Target); err != nil {
			return nil, err
		}
	default:
		if !answer.Kinds(q.Kind) {
			return nil, fmt.Errorf("%w: a region knows nothing of %q", question.ErrInvalid, q.Kind)
		}
		below, err := answer.At(ctx, r.office(), question.Path{Region: r.cfg.Region}, q.Kind, q.Payload, &node)
		if err != nil {
			return nil, err
		}
		zones = below.Of(r.directory.zones())
	}
	return question.Encode(question.Gather(ctx, node, r.zones.Children(question.TierZone, zones), q.Kind, q.Payload))
}

// office keeps the region's addresses; nil where none are kept.
func (r *Region) office() answer.Office {
	if r.tenure == nil {
		return nil
	}
	return r.tenure
}

// application says what the region knows of an application, and in which zones it is.
func (r *Region) application(req question.ApplicationRequest) (*question.Application, []string) {
	name := record.ServiceName(req.Namespace, req.Name)
	s := r.sums.status(name)
	out := &question.Application{Namespace: req.Namespace, Name: req.Name, Desired: s.Desired, Updated: s.Updated,
		Ready: s.Ready, Clusters: s.Clusters, Converged: s.Converged, AppliedAt: s.AppliedAt, ReadyAt: s.ReadyAt,
		Problems: question.Problems(s.Problems), Draining: true}
	var zones []string
	for e := range r.mirror.Snapshot().Prefix(record.KindAssignment, name+"/") {
		a, err := record.DecodeAssignment(e.Record)
		if err != nil {
			continue
		}
		zones = append(zones, a.Zone)
		if a.Draining && out.Revision != "" {
			continue
		}
		out.Draining = out.Draining && a.Draining
		out.Revision, out.AcceptedAt = a.Revision, a.AcceptedAt
		if e.Written.After(out.ReceivedAt) {
			out.ReceivedAt = e.Written
		}
	}
	if len(zones) == 0 {
		return nil, nil
	}
	return out, zones
}

func (r *Region) overview() *question.Overview {
	snapshot := r.mirror.Snapshot()
	position := snapshot.Position()
	applications := map[string]bool{}
	for e := range snapshot.All(record.KindAssignment) {
		if parts := e.Key.Parts(); len(parts) == 3 {
			applications[record.ServiceName(parts[0], parts[1])] = true
		}
	}
	o := &question.Overview{Epoch: question.EpochText(position.Epoch), Revision: position.Revision,
		Version: buildinfo.Read().Version, Applications: len(applications), Nodes: r.sums.nodes(),
		Sessions: r.zones.Sessions(question.TierZone, r.directory.zones()), Identity: r.identity.Describe()}
	for range snapshot.All(record.KindCluster) {
		o.Clusters++
	}
	if r.leading.Load() {
		o.Leader = r.cfg.ID
	}
	r.parent.Describe(string(question.TierGlobal), o)
	return o
}

// below names the zone on a path that ends further down; none if it ends here.
func (r *Region) below(target question.Path) ([]string, error) {
	zone, below := target.Child(question.TierRegion)
	switch {
	case !below:
		return nil, nil
	case !slices.Contains(r.directory.zones(), zone):
		return nil, fmt.Errorf("%w: zone %s is not in region %s", question.ErrInvalid, zone, r.cfg.Region)
	}
	return []string{zone}, nil
}

// canI answers whether a call is allowed, or names the zone to ask.
func (r *Region) canI(req question.CanIRequest) (*question.Verdict, []string, error) {
	zones, err := r.below(req.Target)
	if err != nil || len(zones) > 0 {
		return nil, zones, err
	}
	verdict, err := permission.Answer(r.mirror.Snapshot(), req.Target, req)
	return verdict, nil, err
}

// confirm goes on with what waits for a person here, or names the zone to ask.
func (r *Region) confirm(ctx context.Context, req question.ConfirmRequest) (done, zones []string, err error) {
	if err := req.Validate(); err != nil {
		return nil, nil, err
	}
	if zones, err = r.below(req.Target); err != nil || len(zones) > 0 {
		return nil, zones, err
	}
	in := r.parent.Intake()
	if in == nil {
		return nil, nil, fmt.Errorf("%w: this replica of region %s does not lead; ask again", question.ErrInvalid, r.cfg.Region)
	}
	text, err := in.Confirm(ctx, req.What)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", question.ErrInvalid, err)
	}
	return []string{text}, nil, nil
}
