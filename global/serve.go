package global

import (
	"context"
	"errors"
	"time"

	"google.golang.org/grpc"

	"github.com/meridian-federation/meridian/internal/buildinfo"
	"github.com/meridian-federation/meridian/internal/children"
	"github.com/meridian-federation/meridian/internal/feed"
	"github.com/meridian-federation/meridian/internal/feed/feedgrpc"
	"github.com/meridian-federation/meridian/internal/question"
	"github.com/meridian-federation/meridian/internal/record"
)

// serve serves regions, and answers questions, until ctx ends.
func (g *Global) serve(ctx context.Context) error {
	hello := feed.Hello{Role: string(question.TierGlobal), Path: string(question.TierGlobal), Release: buildinfo.Read().Version}
	return children.Serve(ctx, g.deps.Listener, children.Config{
		Feed: feedgrpc.ServerConfig{Hello: hello, Accept: g.accept, Session: feed.Config{Stats: g.deps.Stats}, Log: g.log},
		May:  children.Child(question.Path{}), Identity: g.deps.Identity, Authority: g.deps.Authority, Redeemer: g, Mirror: g.mirror,
		Audit: g.deps.Audit, Refusals: children.NewRefusals(g.deps.Registry),
		More: []func(grpc.ServiceRegistrar){func(r grpc.ServiceRegistrar) { question.Serve(r, g) }, g.machines.Register},
	})
}

// knowPatience is how long a region that came early waits to be in the inventory, before it is told to come again.
const knowPatience = 5 * time.Second

// accept gives a region its scope. Only the leader accepts: it is the one that needs what regions report. Regions that are
// not in the inventory are turned away.
func (g *Global) accept(ctx context.Context, _ feed.Hello, peer feedgrpc.Identity) (feedgrpc.Endpoint, error) {
	if g.writer.Load() == nil {
		return feedgrpc.Endpoint{}, errFollows
	}
	path, err := question.ParsePath(peer.Path)
	if err != nil {
		return feedgrpc.Endpoint{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, knowPatience)
	defer cancel()
	if err := g.register.Await(ctx, path); err != nil {
		return feedgrpc.Endpoint{}, err
	}
	ep := g.sessions.Watch(path.Region, g.endpoint(path.Region))
	if err := g.register.Await(ctx, path); err != nil { // it left before its session was watched and could end with it
		return feedgrpc.Endpoint{}, err
	}
	if g.writer.Load() == nil { // as the term may have
		return feedgrpc.Endpoint{}, errFollows
	}
	return ep, nil
}

var errFollows = errors.New("this replica of Global does not lead")

// endpoint is Global's end of a session with a region.
func (g *Global) endpoint(region string) feedgrpc.Endpoint {
	return feedgrpc.Endpoint{
		Outbox: g.views.Outbox(region), Ledger: g.ledger(region),
		Apply: children.Audited(g.deps.Audit, question.Path{Region: region}.String(),
			func(_ context.Context, batch feed.Batch) ([]feed.Rejection, error) { return g.take(region, batch), nil }),
		Opened: func(*feedgrpc.Link) { g.connected(region, true) },
		Closed: func(error) { g.connected(region, false) },
		State: func(status feed.Status) {
			if status.Heard {
				g.locations.Told(region)
			}
			if status.Heard && g.reports.told(region) {
				g.queue.add(func(w *work) { w.regions[region] = true })
			}
		},
	}
}

// ledger is what is held of a region's reports, from session to session.
func (g *Global) ledger(region string) *feed.Ledger {
	g.mu.Lock()
	defer g.mu.Unlock()
	l := g.ledgers[region]
	if l == nil {
		l = g.cfg.Children.Ledger()
		g.ledgers[region] = l
	}
	return l
}

func (g *Global) connected(region string, is bool) {
	g.reports.connected(region, is)
	g.locations.Connected(region, is)
	g.queue.add(func(w *work) { w.regions[region] = true })
}

// take notes what a region reports.
func (g *Global) take(region string, batch feed.Batch) []feed.Rejection {
	records := g.mirror.Snapshot()
	puts, rejected := children.Sift(batch.Puts, func(key record.Key) error { return say(records, region, key) })
	rejected = append(rejected, g.locations.Take(region, puts, batch.Removals)...)
	var keys []record.Key
	for _, r := range puts {
		if err := g.reports.take(records, region, *r); err != nil {
			rejected = append(rejected, children.Reject(*r, err))
			continue
		}
		g.demanded(region, *r)
		keys = append(keys, r.Key)
	}
	for _, r := range batch.Removals {
		g.reports.drop(region, r.Key)
		if r.Key.Kind == record.KindDemand {
			g.space.gone(region, r.Key)
		}
		keys = append(keys, r.Key)
	}
	g.queue.add(func(w *work) {
		for _, key := range keys {
			switch key.Kind {
			case record.KindStatus:
				w.reported[key.Name] = true
			case record.KindHealth:
				w.health[key.Name] = true
			case record.KindAllotment:
				w.allotted[ownerOf(key)] = true
			case record.KindDemand:
				w.demanded[poolOf(key)] = true
			}
		}
	})
	return rejected
}

// demanded hands a region's demand for addresses, which was read before, to whoever delegates to it.
func (g *Global) demanded(region string, r record.Record) {
	if r.Key.Kind != record.KindDemand {
		return
	}
	if d, err := record.DecodeDemand(r); err == nil {
		g.space.demand(region, d)
	}
}
