package az

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/meridian-federation/meridian/internal/feed"
	"github.com/meridian-federation/meridian/internal/question"
	"github.com/meridian-federation/meridian/internal/record"
)

// answerHere answers the leader's questions, this replica's own where it leads, by what it knows of its own clusters.
func (z *Zone) answerHere(ctx context.Context, q feed.Question) ([]byte, error) {
	node := question.Node{Tier: question.TierZone, Name: z.cfg.ID}
	switch q.Kind {
	case question.KindApplication:
		req, err := question.Decode[question.ApplicationRequest](q.Payload)
		if err != nil {
			return nil, err
		}
		node.Children = z.applicationHere(req)
	case question.KindOverview:
		node.Overview = &question.Overview{Identity: z.identity.Describe()}
		z.overviewHere(ctx, q, &node)
	case question.KindConfirm:
		req, err := question.Decode[question.ConfirmRequest](q.Payload)
		if err != nil {
			return nil, err
		}
		if err := z.confirmHere(ctx, req, &node); err != nil {
			return nil, err
		}
	case question.KindExport:
		req, err := question.Decode[question.ExportRequest](q.Payload)
		if err != nil {
			return nil, err
		}
		node.Children = z.exportHere(req)
	default:
		return nil, fmt.Errorf("%w: a replica knows nothing of %q", question.ErrInvalid, q.Kind)
	}
	return question.Encode(node)
}

func byName(a, b question.Node) int { return strings.Compare(a.Name, b.Name) }

// applicationHere is a node for each cluster owned here that an application is bound to, sorted.
func (z *Zone) applicationHere(req question.ApplicationRequest) []question.Node {
	snapshot := z.mirror.Snapshot()
	parts := z.board.application(record.ServiceName(req.Namespace, req.Name))
	for i := range parts {
		if e, ok := snapshot.Get(record.BindingKey(req.Namespace, req.Name, parts[i].Name)); ok {
			parts[i].Application.ReceivedAt = e.Written
		}
	}
	return parts
}

// application returns a node for each cluster that has an application.
func (b *board) application(name string) []question.Node {
	b.mu.Lock()
	defer b.mu.Unlock()
	var out []question.Node
	for cluster, s := range b.sites {
		if s.apps[name] == nil {
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
	slices.SortFunc(out, byName)
	return out
}

// overviewHere adds the clusters owned here, by their agents' answers and what is known without them.
func (z *Zone) overviewHere(ctx context.Context, q feed.Question, node *question.Node) {
	names := z.shard.names()
	node.Overview.Sessions = z.agents.Sessions(question.TierCluster, names)
	*node = question.Gather(ctx, *node, z.agents.Children(question.TierCluster, names), q.Kind, q.Payload)
	z.board.fill(node.Children)
}

// fill adds what is known here to clusters' answers, those that did not answer included.
func (b *board) fill(nodes []question.Node) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range nodes {
		s := b.sites[nodes[i].Name]
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

// confirmHere hands a confirmation on to the clusters owned here that it is for, to each under its own path.
func (z *Zone) confirmHere(ctx context.Context, req question.ConfirmRequest, node *question.Node) error {
	clusters := z.waiting(req.What)
	if cluster, below := req.Target.Child(question.TierZone); below {
		clusters = slices.DeleteFunc(z.shard.names(), func(name string) bool { return name != cluster })
	}
	agents := z.agents.Children(question.TierCluster, clusters)
	for i := range agents {
		ask := agents[i].Ask
		if ask == nil {
			continue
		}
		payload, err := json.Marshal(question.ConfirmRequest{What: req.What,
			Target: question.Path{Region: z.cfg.Region, Zone: z.cfg.Zone, Cluster: agents[i].Name}})
		if err != nil {
			return err
		}
		agents[i].Ask = func(ctx context.Context, kind string, _ []byte) ([]byte, error) { return ask(ctx, kind, payload) }
	}
	*node = question.Gather(ctx, *node, agents, question.KindConfirm, nil)
	return nil
}

// waiting are the clusters owned here that may wait for a confirmation: those that refuse what the zone sends, or all
// that are connected where it is about removals, which only agents know of.
func (z *Zone) waiting(what string) []string {
	return slices.DeleteFunc(z.shard.names(), func(cluster string) bool {
		if what == question.WhatRemovals {
			return !z.agents.Connected(cluster)
		}
		r := z.agents.Refused(cluster)
		return r == nil || r.Kind != what && !(what == question.WhatFloor && r.Kind == string(feed.RefusedFence))
	})
}
