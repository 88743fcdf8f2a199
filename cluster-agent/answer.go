package clusteragent

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/meridian-federation/meridian/internal/buildinfo"
	"github.com/meridian-federation/meridian/internal/feed"
	"github.com/meridian-federation/meridian/internal/question"
	"github.com/meridian-federation/meridian/internal/record"
)

// answer answers the zone's questions.
func (a *agent) answer(ctx context.Context, q feed.Question) ([]byte, error) {
	node := question.Node{Tier: question.TierCluster, Name: a.cfg.Cluster}
	switch q.Kind {
	case question.KindApplication:
		req, err := question.Decode[question.ApplicationRequest](q.Payload)
		if err != nil {
			return nil, err
		}
		node.Application = a.application(req.Namespace, req.Name)
	case question.KindOverview:
		node.Overview = a.overview()
	case question.KindConfirm:
		req, err := question.Decode[question.ConfirmRequest](q.Payload)
		if err != nil {
			return nil, err
		}
		done, err := a.confirm(ctx, req)
		if err != nil {
			return nil, err
		}
		node.Confirmed = []string{done}
	default:
		return nil, fmt.Errorf("%w: an agent knows nothing of %q", question.ErrInvalid, q.Kind)
	}
	return question.Encode(node)
}

// application is nil if nothing of it is in this cluster.
func (a *agent) application(namespace, name string) *question.Application {
	objects := a.desk.survey(namespace, name)
	if len(objects) == 0 {
		return nil
	}
	slices.SortFunc(objects, func(x, y standing) int { return cmp.Compare(x.id.String(), y.id.String()) })
	app := &question.Application{Namespace: namespace, Name: name, Clusters: 1, Converged: 1}
	for _, o := range objects {
		app.Objects = append(app.Objects, question.Object{Object: o.id.Short(), Version: text(o.version), Rejected: o.rejection})
		app.ReceivedAt = later(app.ReceivedAt, o.receivedAt)
		app.AppliedAt = later(app.AppliedAt, o.appliedAt)
		if o.outstanding || o.rejection != "" {
			app.Converged = 0
		}
		if o.contended {
			app.Problems = append(app.Problems, question.Problem{Cluster: a.cfg.Cluster, Object: o.id.Short(),
				Reason: "Contended", Message: "somebody keeps changing what Meridian puts back"})
		}
		if p := o.ends; p != nil {
			app.Problems = append(app.Problems, question.Problem{Cluster: a.cfg.Cluster, Object: p.Object,
				Reason: p.Reason, Message: p.Message})
		}
	}
	if app.Converged == 0 {
		app.AppliedAt = time.Time{}
	}
	a.addWorkloads(app)
	return app
}

func (a *agent) addWorkloads(app *question.Application) {
	ready := true
	for _, w := range a.workloads.application(app.Namespace, app.Name) {
		app.Desired += w.Desired
		app.Updated += w.Updated
		app.Ready += w.Ready
		app.ReadyAt = later(app.ReadyAt, w.ReadyAt)
		ready = ready && !w.ReadyAt.IsZero()
	}
	if !ready || app.Converged == 0 {
		app.ReadyAt = time.Time{}
	}
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

func text(v record.Version) string {
	if v.IsZero() {
		return ""
	}
	return v.String()
}

func (a *agent) overview() *question.Overview {
	s := a.ledger.Standing()
	o := &question.Overview{Applications: a.workloads.count(), Version: buildinfo.Read().Version, Leader: a.cfg.ID,
		Epoch: question.EpochText(s.Floor.Epoch), Revision: s.Floor.Revision, Parent: a.link.session(a.cfg.Zone), Identity: a.identity.Describe()}
	o.Objects, o.Rejected = a.desk.count()
	if r := s.Refusal; r != nil {
		o.Refusals = append(o.Refusals, question.Refusal{Kind: string(r.Kind), Reason: r.Reason})
	}
	var held []question.HeldRemoval
	for _, h := range s.Held {
		held = append(held, question.HeldRemoval{Key: h.Key.String(), Cause: h.Cause.String(), Since: h.Since})
	}
	o.Held = question.NewHeld(held)
	return o
}

// confirm goes on with what was held back or refused.
func (a *agent) confirm(ctx context.Context, req question.ConfirmRequest) (string, error) {
	if err := req.Validate(); err != nil {
		return "", err
	}
	if req.Target != a.cfg.path() {
		return "", fmt.Errorf("%w: this is %s, not %s", question.ErrInvalid, a.cfg.path(), req.Target)
	}
	if req.What == question.WhatIdentity {
		return "", fmt.Errorf("%w: an agent holds back nothing for an identity", question.ErrInvalid)
	}
	keys, err := a.ledger.Confirm(feed.Confirmation(req.What))
	if err != nil {
		return "", fmt.Errorf("%w: %w", question.ErrInvalid, err)
	}
	if err := a.lease.keep(ctx, a.ledger.State()); err != nil {
		return "", fmt.Errorf("keeping what was confirmed: %w", err)
	}
	a.log.Info("confirmed", "what", req.What, "keys", keys)
	if req.What == question.WhatRemovals {
		return fmt.Sprintf("%d removals that were held back may happen", keys), nil
	}
	return fmt.Sprintf("the zone's %s is accepted, at %s", req.What, a.ledger.State().Floor), nil
}
