package az

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/grpc/credentials"

	"github.com/meridian-federation/meridian/internal/buildinfo"
	"github.com/meridian-federation/meridian/internal/children"
	"github.com/meridian-federation/meridian/internal/feed"
	"github.com/meridian-federation/meridian/internal/feed/feedgrpc"
	"github.com/meridian-federation/meridian/internal/identity"
	"github.com/meridian-federation/meridian/internal/question"
	"github.com/meridian-federation/meridian/internal/store"
)

// roleReplica is the role of a replica that tells the leader how its clusters stand.
const roleReplica = "replica"

// replicaPath names a replica to the others.
func (z *Zone) replicaPath(id string) string {
	return z.path().String() + "/replica/" + id
}

// attend keeps a session with whoever leads the zone, while that is another replica, until ctx ends.
func (z *Zone) attend(ctx context.Context) error {
	for ctx.Err() == nil {
		id, address, changed := z.roster.leader()
		if id == "" || id == z.cfg.ID {
			select {
			case <-changed:
			case <-ctx.Done():
			}
			continue
		}
		if err := z.report(ctx, id, address); err != nil {
			return err
		}
	}
	return nil
}

// report keeps a session with a leader until another leads, or it is reached elsewhere.
func (z *Zone) report(ctx context.Context, id, address string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		defer cancel()
		for {
			now, at, changed := z.roster.leader()
			if now != id || at != address {
				return
			}
			select {
			case <-changed:
			case <-ctx.Done():
				return
			}
		}
	}()
	err := feedgrpc.Run(ctx, feedgrpc.ClientConfig{Targets: []string{address},
		Hello:       feed.Hello{Role: roleReplica, Path: z.replicaPath(z.cfg.ID), Release: buildinfo.Read().Version},
		Credentials: credentials.NewTLS(identity.ClientTLS(z.identity, z.path(), children.Lowest(z.mirror))),
		Session:     feed.Config{Stats: &z.side}, Log: z.log.With("leader", id),
	}, feedgrpc.Endpoint{Outbox: z.board.outbox, Answer: z.answerHere})
	cancel()
	<-watched
	return err
}

// acceptReplica takes another replica's word on its clusters, while this one leads.
func (z *Zone) acceptReplica(peer feedgrpc.Identity) (feedgrpc.Endpoint, error) {
	id := strings.TrimPrefix(peer.Path, z.replicaPath(""))
	s := z.sums.Load()
	if s == nil {
		return feedgrpc.Endpoint{}, fmt.Errorf("replica %s does not lead zone %s", z.cfg.ID, z.cfg.Zone)
	}
	return z.replicas.Watch(id, feedgrpc.Endpoint{
		Ledger: s.ledger(id),
		Apply: children.Audited(z.audit, z.replicaPath(id),
			func(_ context.Context, batch feed.Batch) ([]feed.Rejection, error) { return s.take(id, batch), nil }),
		Opened: func(link *feedgrpc.Link) {
			s.attended(id, true)
			if z.sums.Load() != s { // the term ended after it was accepted, and all were dismissed
				link.Close(z.resigned())
			}
		},
		Closed: func(error) { s.attended(id, false) },
		State: func(status feed.Status) {
			if status.Heard {
				s.heardAll(id)
			}
		},
	}), nil
}

// forget drops the seats of replicas that have been silent, unless they are members and may come back.
func (z *Zone) forget(replicas []string) {
	members := z.roster.replicas()
	for _, id := range replicas {
		if !slices.ContainsFunc(members, func(m store.Member) bool { return m.ID == id }) {
			z.replicas.Forget(id, "replica "+id+" is not listed among the zone's")
		}
	}
}

// owners are this replica and the others, as a question goes on to them.
func (z *Zone) owners() []question.Child {
	out := []question.Child{{Name: z.cfg.ID, Tier: question.TierZone,
		Ask: func(ctx context.Context, kind string, payload []byte) ([]byte, error) {
			return z.answerHere(ctx, feed.Question{Kind: kind, Payload: payload})
		}}}
	var ids []string
	for _, m := range z.roster.replicas() {
		if m.ID != z.cfg.ID {
			ids = append(ids, m.ID)
		}
	}
	return append(out, z.replicas.Children(question.TierZone, ids)...)
}

// resigned is what other replicas are told when this one no longer leads.
func (z *Zone) resigned() string { return "replica " + z.cfg.ID + " no longer leads the zone" }
