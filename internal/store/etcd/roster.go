package etcd

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"golang.org/x/sync/errgroup"

	"github.com/meridian-federation/meridian/internal/store"
)

// How long WatchRoster waits before it reads the roster again after a watch that broke: doubling from the first to the
// last, each with as much again at random. The last is less than a Mirror's, which reads far more, because a member that
// is seen late is one that is missed; the loop is here because what the contract promises outlasts the store.
const (
	firstRetry = 50 * time.Millisecond
	lastRetry  = time.Second
)

// WatchRoster implements store.Registry.
func (s *Store) WatchRoster(ctx context.Context, fn func(*store.Roster) error) error {
	wctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.ctx, cancel)() // the store's end ends a watch too
	wait := firstRetry
	var failed error
	tell := func(r *store.Roster) error {
		wait, failed = firstRetry, fn(r)
		return failed
	}
	for {
		err := s.watchRoster(wctx, tell)
		switch {
		case failed != nil:
			return failed
		case ctx.Err() != nil:
			return fmt.Errorf("watching the roster: %w", ctx.Err())
		case s.ctx.Err() != nil:
			return fmt.Errorf("watching the roster: %w", errClosed)
		}
		s.log.Warn("lost the roster", "error", err, "again", wait)
		pause(wctx, wait+rand.N(wait))
		wait = min(2*wait, lastRetry)
	}
}

// watchRoster reads the roster once and follows it from there. What happens while tell runs is merged.
func (s *Store) watchRoster(ctx context.Context, tell func(*store.Roster) error) error {
	resp, err := s.get(ctx, s.keys.roster, clientv3.WithRange(clientv3.GetPrefixRangeEnd(s.keys.roster)))
	if err != nil {
		return err
	}
	news := newRosterNews()
	events := make([]*clientv3.Event, 0, len(resp.Kvs))
	for _, kv := range resp.Kvs {
		events = append(events, &clientv3.Event{Type: mvccpb.Event_PUT, Kv: kv})
	}
	news.add(events)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		end := clientv3.GetPrefixRangeEnd(s.keys.roster)
		return s.follow(ctx, s.keys.roster, end, resp.Header.Revision, func() {}, func(events []*clientv3.Event) error {
			news.add(events)
			return nil
		})
	})
	group.Go(func() error { return s.tellRoster(ctx, news, tell) })
	return group.Wait()
}

func (s *Store) tellRoster(ctx context.Context, news *rosterNews, tell func(*store.Roster) error) error {
	roster := &store.Roster{Members: map[string]store.Member{}, Claims: map[string]store.Claim{}}
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-news.wake:
		}
		for _, ev := range news.take() {
			s.enter(roster, ev)
		}
		if err := tell(roster); err != nil {
			return err
		}
	}
}

// enter brings one event into a roster.
func (s *Store) enter(r *store.Roster, ev *clientv3.Event) {
	key, gone := string(ev.Kv.Key), ev.Type == mvccpb.Event_DELETE
	if key == s.keys.leader {
		r.Leader = string(ev.Kv.Value) // empty where it is gone
	} else if id, ok := strings.CutPrefix(key, s.keys.members); ok {
		delete(r.Members, id)
		if gone {
			return
		}
		m, err := decodeMember(id, ev.Kv.Value)
		if err != nil {
			s.log.Error("a member is left out of the roster", "error", err)
			return
		}
		r.Members[id] = m
	} else if name, ok := strings.CutPrefix(key, s.keys.claims); ok {
		if gone {
			delete(r.Claims, name)
			return
		}
		r.Claims[name] = store.Claim{Name: name, Owner: string(ev.Kv.Value), Fence: ev.Kv.ModRevision}
	}
}

// rosterNews is what a roster's reader has not taken in yet: of each key the last event.
type rosterNews struct {
	wake chan struct{} // holds one token while there may be news

	mu     sync.Mutex
	latest map[string]*clientv3.Event // guarded by mu
}

func newRosterNews() *rosterNews {
	return &rosterNews{wake: make(chan struct{}, 1), latest: map[string]*clientv3.Event{}}
}

func (n *rosterNews) add(events []*clientv3.Event) {
	n.mu.Lock()
	for _, ev := range events {
		n.latest[string(ev.Kv.Key)] = ev
	}
	n.mu.Unlock()
	select {
	case n.wake <- struct{}{}:
	default:
	}
}

func (n *rosterNews) take() map[string]*clientv3.Event {
	n.mu.Lock()
	defer n.mu.Unlock()
	taken := n.latest
	n.latest = map[string]*clientv3.Event{}
	return taken
}
