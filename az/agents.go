package az

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/meridian-federation/meridian/internal/children"
	"github.com/meridian-federation/meridian/internal/feed"
	"github.com/meridian-federation/meridian/internal/feed/feedgrpc"
	"github.com/meridian-federation/meridian/internal/object"
	"github.com/meridian-federation/meridian/internal/question"
	"github.com/meridian-federation/meridian/internal/record"
)

// ownPatience is how long an agent that came early waits for its cluster to be owned, before it is told to come again.
const ownPatience = 5 * time.Second

// may lets in the agents of the zone's clusters, and its other replicas, which have the zone's own identity.
func (z *Zone) may(c children.Claim) error {
	if c.Hello.Role != roleReplica {
		return children.Child(z.path())(c)
	}
	if id, ok := strings.CutPrefix(c.Hello.Path, z.replicaPath("")); c.Place != z.path() || !ok || id == "" {
		return fmt.Errorf("%s claims to be %s, and that is no replica of %s", c.Place, c.Hello.Path, z.path())
	}
	return nil
}

// accept gives an agent the objects of its cluster, if it is owned here; else it is sent to the replica that owns it.
// Clusters that the inventory does not place in this zone are turned away.
func (z *Zone) accept(ctx context.Context, _ feed.Hello, peer feedgrpc.Identity) (feedgrpc.Endpoint, error) {
	if peer.Role == roleReplica {
		return z.acceptReplica(peer)
	}
	path, err := question.ParsePath(peer.Path)
	if err != nil {
		return feedgrpc.Endpoint{}, err
	}
	o, err := z.await(ctx, path.Cluster)
	if err != nil {
		return feedgrpc.Endpoint{}, err
	}
	return z.agents.Watch(path.Cluster, z.endpoint(path.Cluster, o)), nil
}

// await returns a cluster as soon as it is owned here, or a redirect to the replica that owns it.
func (z *Zone) await(ctx context.Context, cluster string) (*owned, error) {
	ctx, cancel := context.WithTimeout(ctx, ownPatience)
	defer cancel()
	for {
		roster := z.roster.wait()
		o, changed := z.shard.get(cluster)
		if o != nil {
			return o, nil
		}
		if address, elsewhere := z.roster.owner(cluster); elsewhere {
			return nil, &feedgrpc.Redirect{Address: address}
		}
		select {
		case <-changed:
		case <-roster:
		case <-ctx.Done():
			if _, known := z.mirror.Snapshot().Get(record.ClusterKey(cluster)); !known {
				return nil, fmt.Errorf("cluster %s is not in the inventory of zone %s; create a Cluster %s with spec.zone %s at Global",
					cluster, z.cfg.Zone, cluster, z.cfg.Zone)
			}
			return nil, errNotOwned
		}
	}
}

// endpoint is the zone's end of a session with a cluster's agent.
func (z *Zone) endpoint(cluster string, o *owned) feedgrpc.Endpoint {
	log := z.log.With("cluster", cluster)
	return feedgrpc.Endpoint{
		Outbox: o.outbox,
		Ledger: o.ledger,
		Rank:   object.Rank,
		Fence:  func() (feed.Fence, bool) { return o.fence, z.roster.holds(cluster, o.fence.Fence) },
		Apply: children.Audited(z.audit, question.Path{Region: z.cfg.Region, Zone: z.cfg.Zone, Cluster: cluster}.String(),
			func(_ context.Context, batch feed.Batch) ([]feed.Rejection, error) {
				return z.board.take(cluster, batch), nil
			}),
		Opened: func(*feedgrpc.Link) { z.opened(cluster, o) },
		Closed: func(error) { z.board.session(cluster, false) },
		Acked:  func(outcomes []feed.Outcome) { z.board.acked(cluster, outcomes) },
		State: func(status feed.Status) {
			if r := status.RefusedBy; r != nil {
				log.Warn("agent takes nothing from here", "kind", r.Kind, "reason", r.Reason)
			}
			z.board.state(cluster, status)
		},
	}
}

// opened notes a session. The cluster may have been taken over since its agent was accepted.
func (z *Zone) opened(cluster string, o *owned) {
	if now, _ := z.shard.get(cluster); now == o {
		z.board.session(cluster, true)
	} else {
		z.shard.sendOn(cluster)
	}
}
