package region

import (
	"context"
	"time"

	"github.com/meridian-federation/meridian/internal/children"
	"github.com/meridian-federation/meridian/internal/feed"
	"github.com/meridian-federation/meridian/internal/feed/feedgrpc"
	"github.com/meridian-federation/meridian/internal/question"
	"github.com/meridian-federation/meridian/internal/record"
)

// knowPatience is how long a zone that came early waits to be in the inventory, before it is told to come again.
const knowPatience = 5 * time.Second

// accept gives a zone its scope. Zones that the inventory does not place in this region are turned away.
func (r *Region) accept(ctx context.Context, _ feed.Hello, peer feedgrpc.Identity) (feedgrpc.Endpoint, error) {
	path, err := question.ParsePath(peer.Path)
	if err != nil {
		return feedgrpc.Endpoint{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, knowPatience)
	defer cancel()
	if err := r.directory.await(ctx, path.Zone); err != nil {
		return feedgrpc.Endpoint{}, err
	}
	ep := r.zones.Watch(path.Zone, r.endpoint(path.Zone))
	if err := r.directory.await(ctx, path.Zone); err != nil { // it was lost before its session was watched
		return feedgrpc.Endpoint{}, err
	}
	return ep, nil
}

// endpoint is the region's end of a session with a zone.
func (r *Region) endpoint(zone string) feedgrpc.Endpoint {
	return feedgrpc.Endpoint{
		Outbox: r.views.Outbox(zone),
		Ledger: r.ledger(zone),
		Rank:   rank,
		Apply: children.Audited(r.audit, question.Path{Region: r.cfg.Region, Zone: zone}.String(),
			func(_ context.Context, batch feed.Batch) ([]feed.Rejection, error) { return r.take(zone, batch), nil }),
		Opened: func(*feedgrpc.Link) {
			r.allotments.connected(zone)
			r.locations.Connected(zone, true)
		},
		Closed: func(error) { r.locations.Connected(zone, false) },
		State: func(status feed.Status) {
			if refused := status.RefusedBy; refused != nil {
				r.log.Warn("zone takes nothing from here", "zone", zone, "kind", refused.Kind, "reason", refused.Reason)
			}
			if status.Heard {
				r.allotments.heardOf(zone)
				if r.sums.heardOf(zone, r.directory.zones()) {
					r.space.settle()
				}
				r.locations.Told(zone)
			}
		},
	}
}

// take notes what a zone tells.
func (r *Region) take(zone string, batch feed.Batch) (rejected []feed.Rejection) {
	records := r.mirror.Snapshot()
	batch.Puts, rejected = children.Sift(batch.Puts, func(key record.Key) error { return say(records, r.cfg.Region, zone, key) })
	rejected = append(rejected, r.sums.take(zone, batch)...)
	rejected = append(rejected, r.space.take(zone, batch.Puts, batch.Removals)...)
	rejected = append(rejected, r.allotments.take(batch.Puts, batch.Removals)...)
	return append(rejected, r.locations.Take(zone, batch.Puts, batch.Removals)...)
}

// ledger is what is held of a zone's reports, from session to session.
func (r *Region) ledger(zone string) *feed.Ledger {
	r.mu.Lock()
	defer r.mu.Unlock()
	l := r.ledgers[zone]
	if l == nil {
		l = r.cfg.Children.Ledger()
		r.ledgers[zone] = l
	}
	return l
}

// lost drops a zone that is no longer in the region.
func (r *Region) lost(zone string) {
	r.log.Info("zone left the region", "zone", zone)
	r.zones.Forget(zone, "zone "+zone+" is no longer in the inventory of region "+r.cfg.Region)
	r.mu.Lock()
	delete(r.ledgers, zone)
	r.mu.Unlock()
	r.sums.forget(zone)
	r.space.forget(zone)
	r.allotments.retain(func(other string) bool { return other != zone })
	r.locations.Forget(zone)
}

// rank sends what others refer to first: an assignment comes after its revision and its cluster, and prefixes and claims after
// their pool.
func rank(key record.Key) int {
	switch key.Kind {
	case record.KindCluster, record.KindPool:
		return 0
	case record.KindAssignment:
		return 2
	default:
		return 1
	}
}
