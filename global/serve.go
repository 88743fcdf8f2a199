package global

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"google.golang.org/grpc"

	"github.com/meridian-federation/meridian/internal/feed"
	"github.com/meridian-federation/meridian/internal/feed/feedgrpc"
	"github.com/meridian-federation/meridian/internal/question"
	"github.com/meridian-federation/meridian/internal/record"
)

// server is the end of the regions' sessions, and answers questions.
type server struct {
	g *Global

	mu      sync.Mutex
	regions map[string]*regionLink
}

// regionLink is what Global keeps of one region from session to session.
type regionLink struct {
	ledger *feed.Ledger
	link   *feedgrpc.Link
	status feed.Status
	since  time.Time
}

func newServer(g *Global) *server { return &server{g: g, regions: map[string]*regionLink{}} }

// run serves until ctx ends.
func (s *server) run(ctx context.Context, listener net.Listener) error {
	feeds := feedgrpc.NewServer(feedgrpc.ServerConfig{Hello: feed.Hello{Role: string(question.TierGlobal)},
		Identify: identify, Accept: s.accept, Session: feed.Config{Stats: s.g.deps.Stats}, Log: s.g.log})
	g := grpc.NewServer(feedgrpc.ServerOptions()...)
	feeds.Register(g)
	question.Serve(g, s.g)
	served := make(chan error, 1)
	go func() { served <- g.Serve(listener) }()
	select {
	case err := <-served:
		return fmt.Errorf("serving regions: %w", err)
	case <-ctx.Done():
	}
	feeds.Close()
	g.Stop()
	<-served
	return nil
}

// identify takes a region's word for who it is: connections are on loopback and not yet authenticated.
func identify(_ context.Context, claimed feed.Hello) (feedgrpc.Identity, error) {
	path, err := question.ParsePath(claimed.Path)
	if err != nil {
		return feedgrpc.Identity{}, err
	}
	if path.Tier() != question.TierRegion {
		return feedgrpc.Identity{}, fmt.Errorf("%s is not a region", claimed.Path)
	}
	return feedgrpc.Identity{Role: string(question.TierRegion), Path: path.String()}, nil
}

// accept gives a region its scope. Only the leader accepts: it is the one that needs what regions report.
func (s *server) accept(_ context.Context, _ feed.Hello, peer feedgrpc.Identity) (feedgrpc.Endpoint, error) {
	if s.g.lead.Load() == nil {
		return feedgrpc.Endpoint{}, errors.New("this replica of Global does not lead")
	}
	path, err := question.ParsePath(peer.Path)
	if err != nil {
		return feedgrpc.Endpoint{}, err
	}
	region := path.Region
	s.mu.Lock()
	r := s.regions[region]
	if r == nil {
		r = &regionLink{ledger: feed.NewLedger(feed.State{}, func(func(record.KeyVersion) bool) {})}
		s.regions[region] = r
	}
	s.mu.Unlock()
	return feedgrpc.Endpoint{
		Outbox: s.g.views.Outbox(region), Ledger: r.ledger,
		Apply:  func(_ context.Context, batch feed.Batch) ([]feed.Rejection, error) { return s.take(region, batch), nil },
		Opened: func(link *feedgrpc.Link) { s.opened(region, link) },
		Closed: func(err error) { s.closed(region, err) },
		State:  func(status feed.Status) { s.state(region, status) },
	}, nil
}

// take notes what a region reports.
func (s *server) take(region string, batch feed.Batch) []feed.Rejection {
	var rejected []feed.Rejection
	var apps, clusters []string
	note := func(key record.Key) {
		switch key.Kind {
		case record.KindStatus:
			apps = append(apps, key.Name)
		case record.KindHealth:
			clusters = append(clusters, key.Name)
		}
	}
	for _, r := range batch.Puts {
		if err := s.g.reports.take(region, *r); err != nil {
			rejected = append(rejected, feed.Rejection{Key: r.Key, Version: r.Version, Reason: "Invalid", Message: err.Error()})
			continue
		}
		note(r.Key)
	}
	for _, r := range batch.Removals {
		s.g.reports.drop(region, r.Key)
		note(r.Key)
	}
	s.g.queue.add(func(w *work) {
		for _, name := range apps {
			w.reported[name] = true
		}
		for _, name := range clusters {
			w.health[name] = true
		}
	})
	return rejected
}

func (s *server) opened(region string, link *feedgrpc.Link) {
	s.mu.Lock()
	s.regions[region].link, s.regions[region].since = link, time.Now()
	s.mu.Unlock()
	s.g.log.Info("region connected", "region", region)
	s.session(region, true)
}

func (s *server) closed(region string, err error) {
	s.mu.Lock()
	s.regions[region].link, s.regions[region].since = nil, time.Now()
	s.mu.Unlock()
	s.g.log.Info("region disconnected", "region", region, "reason", err)
	s.session(region, false)
}

func (s *server) session(region string, connected bool) {
	s.g.reports.connected(region, connected)
	s.g.queue.add(func(w *work) { w.regions[region] = true })
}

func (s *server) state(region string, status feed.Status) {
	s.mu.Lock()
	s.regions[region].status = status
	s.mu.Unlock()
	if status.InSync && s.g.reports.told(region) {
		s.g.queue.add(func(w *work) { w.regions[region] = true })
	}
}
