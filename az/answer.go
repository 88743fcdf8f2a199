package az

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/meridian-federation/meridian/internal/buildinfo"
	"github.com/meridian-federation/meridian/internal/feed"
	"github.com/meridian-federation/meridian/internal/question"
	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/internal/store"
)

// answer answers the region's questions.
func (z *Zone) answer(ctx context.Context, q feed.Question) ([]byte, error) {
	node := question.Node{Tier: question.TierZone, Name: z.cfg.Zone}
	switch q.Kind {
	case question.KindApplication:
		req, err := question.Decode[question.ApplicationRequest](q.Payload)
		if err != nil {
			return nil, err
		}
		z.application(req, &node)
	case question.KindOverview:
		node.Overview = z.overview()
		node = question.Gather(ctx, node, z.agents.Children(question.TierCluster, z.shard.names()), q.Kind, q.Payload)
		z.fill(node.Children)
	case question.KindConfirm:
		req, err := question.Decode[question.ConfirmRequest](q.Payload)
		if err != nil {
			return nil, err
		}
		if node, err = z.confirm(ctx, req, node); err != nil {
			return nil, err
		}
	default:
		return nil, fmt.Errorf("%w: a zone knows nothing of %q", question.ErrInvalid, q.Kind)
	}
	return question.Encode(node)
}

// application says what the zone knows of an application: in sum, and in each of its clusters.
func (z *Zone) application(req question.ApplicationRequest, node *question.Node) {
	snapshot := z.mirror.Snapshot()
	name := record.ServiceName(req.Namespace, req.Name)
	e, ok := snapshot.Get(record.AssignmentKey(req.Namespace, req.Name, z.cfg.Zone))
	if !ok {
		return
	}
	a, err := record.DecodeAssignment(e.Record)
	if err != nil {
		return
	}
	sum, parts := z.board.application(name)
	node.Application = described(sum)
	node.Application.Namespace, node.Application.Name = req.Namespace, req.Name
	node.Application.Revision, node.Application.Draining = a.Revision, a.Draining
	node.Application.AcceptedAt, node.Application.ReceivedAt = a.AcceptedAt, e.Written
	for i := range parts {
		p := &parts[i]
		if e, ok := snapshot.Get(record.BindingKey(req.Namespace, req.Name, p.Name)); ok {
			p.Application.ReceivedAt = e.Written
		}
		p.Application.AcceptedAt = a.AcceptedAt
	}
	node.Children = parts
}

// described is a status as an answer has it.
func described(s record.Status) *question.Application {
	return &question.Application{Namespace: s.Namespace, Name: s.Application, Revision: s.Revision, Desired: s.Desired,
		Updated: s.Updated, Ready: s.Ready, Clusters: s.Clusters, Converged: s.Converged, AppliedAt: s.AppliedAt,
		ReadyAt: s.ReadyAt, Problems: question.Problems(s.Problems)}
}

// application returns an application's sum, and a node for each cluster that it is bound to, sorted.
func (b *board) application(name string) (record.Status, []question.Node) {
	b.mu.Lock()
	defer b.mu.Unlock()
	sum, _ := b.report.Table().Merge(name)
	var out []question.Node
	for _, cluster := range b.report.Table().Children(name) {
		s := b.sites[cluster]
		if s == nil || s.apps[name] == nil {
			continue
		}
		app := described(s.status(name))
		app.Draining = s.apps[name].binding.Draining
		for _, key := range s.apps[name].keys {
			o := question.Object{Object: shortOf(key)}
			if it := s.items[key]; it != nil {
				o.Version = it.want.String()
				if it.rejected != nil {
					o.Rejected = it.rejected.Reason + ": " + it.rejected.Message
				}
			}
			app.Objects = append(app.Objects, o)
		}
		out = append(out, question.Node{Tier: question.TierCluster, Name: cluster, Application: app})
	}
	return sum, out
}

func (z *Zone) overview() *question.Overview {
	snapshot := z.mirror.Snapshot()
	position := snapshot.Position()
	o := &question.Overview{Epoch: question.EpochText(position.Epoch), Revision: position.Revision,
		Version: buildinfo.Read().Version, Applications: count(snapshot, record.KindAssignment),
		Clusters: count(snapshot, record.KindCluster), Nodes: z.board.nodes(),
		Sessions: z.agents.Sessions(question.TierCluster, z.shard.names())}
	if z.leading.Load() {
		o.Leader = z.cfg.ID
	}
	z.parent.Describe("region/"+z.cfg.Region, o)
	return o
}

func count(snapshot *store.Snapshot, kind record.Kind) int {
	n := 0
	for range snapshot.All(kind) {
		n++
	}
	return n
}

// nodes is the number of nodes in all clusters, as far as they are known.
func (b *board) nodes() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := 0
	for _, s := range b.sites {
		n += int(s.health.Nodes)
	}
	return n
}

// fill adds what the zone knows to clusters' answers, those that did not answer included.
func (z *Zone) fill(nodes []question.Node) {
	z.board.mu.Lock()
	defer z.board.mu.Unlock()
	for i := range nodes {
		s := z.board.sites[nodes[i].Name]
		if s == nil {
			continue
		}
		if nodes[i].Overview == nil {
			nodes[i].Overview = &question.Overview{Applications: len(s.apps)}
		}
		o := nodes[i].Overview
		o.Nodes, o.KubernetesVersion = int(s.health.Nodes), s.health.KubernetesVersion
	}
}

// confirm goes on with what waits for a person: in one cluster, or for the zone here and in its clusters.
func (z *Zone) confirm(ctx context.Context, req question.ConfirmRequest, node question.Node) (question.Node, error) {
	if err := req.Validate(); err != nil {
		return node, err
	}
	if cluster, below := req.Target.Child(question.TierZone); below {
		if !slices.Contains(z.shard.names(), cluster) {
			return node, fmt.Errorf("%w: cluster %s is not in zone %s", question.ErrInvalid, cluster, z.cfg.Zone)
		}
		return z.confirmBelow(ctx, req.What, []string{cluster}, node)
	}
	if in := z.parent.Intake(); in != nil {
		done, err := in.Confirm(ctx, req.What)
		if err == nil {
			node.Confirmed = append(node.Confirmed, done)
		} else if clusters := z.waiting(req.What); len(clusters) == 0 {
			return node, fmt.Errorf("%w: %w", question.ErrInvalid, err)
		}
	}
	return z.confirmBelow(ctx, req.What, z.waiting(req.What), node)
}

// waiting are the clusters that may wait for a confirmation: those that refuse what the zone sends, or all that are
// connected where it is about removals, which only agents know of.
func (z *Zone) waiting(what string) []string {
	return slices.DeleteFunc(z.shard.names(), func(cluster string) bool {
		if what == question.WhatRemovals {
			return !z.agents.Connected(cluster)
		}
		r := z.agents.Refused(cluster)
		return r == nil || r.Kind != what && !(what == question.WhatFloor && r.Kind == string(feed.RefusedFence))
	})
}

// confirmBelow hands a confirmation on to clusters, to each under its own path.
func (z *Zone) confirmBelow(ctx context.Context, what string, clusters []string, node question.Node) (question.Node, error) {
	agents := z.agents.Children(question.TierCluster, clusters)
	for i := range agents {
		ask := agents[i].Ask
		if ask == nil {
			continue
		}
		payload, err := json.Marshal(question.ConfirmRequest{What: what,
			Target: question.Path{Region: z.cfg.Region, Zone: z.cfg.Zone, Cluster: agents[i].Name}})
		if err != nil {
			return node, err
		}
		agents[i].Ask = func(ctx context.Context, kind string, _ []byte) ([]byte, error) { return ask(ctx, kind, payload) }
	}
	return question.Gather(ctx, node, agents, question.KindConfirm, nil), nil
}
