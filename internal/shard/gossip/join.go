package gossip

import (
	"context"
	"maps"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"time"
)

const (
	// firstPause and longestPause bound the pauses between tries while others are missing; each is twice the last, and up to
	// a quarter longer or shorter.
	firstPause, longestPause = 500 * time.Millisecond, 10 * time.Second
	// calmPause is the pause while nobody is missing. Only addresses to join that no member has are tried then: two halves
	// of a zone that never met find each other by it.
	calmPause = 30 * time.Second
)

// stayJoined looks for the others until ctx ends. memberlist does not by itself: members that lost each other never speak
// again.
func (g *Gossip) stayJoined(ctx context.Context) {
	pause := firstPause
	var unreached []string
	for {
		unreached = g.reach(ctx, unreached)
		alone := len(g.members.alive()) == 1 && len(g.join) > 0
		wait, stirred := pause, g.members.stirred
		if alone || g.members.unsettled() {
			pause, stirred = min(2*pause, longestPause), nil
		} else {
			wait, pause = calmPause, firstPause
		}
		timer := time.NewTimer(wait*3/4 + rand.N(wait/2))
		select {
		case <-timer.C:
		case <-stirred:
		case <-ctx.Done():
		}
		timer.Stop()
		if ctx.Err() != nil {
			return
		}
	}
}

// reach tries all addresses at which a member may be and none is known, side by side, and returns those where none
// answered. before are the last try's: what is the same is not worth another warning.
func (g *Gossip) reach(ctx context.Context, before []string) (unreached []string) {
	var (
		mu    sync.Mutex
		group sync.WaitGroup
		cause error
	)
	for _, address := range g.targets(ctx) {
		group.Go(func() {
			if _, err := g.list.Join([]string{address}); err != nil {
				mu.Lock()
				defer mu.Unlock()
				unreached, cause = append(unreached, address), err
			}
		})
	}
	group.Wait()
	slices.Sort(unreached)
	if len(unreached) > 0 && !slices.Equal(unreached, before) && ctx.Err() == nil {
		g.log.Warn("no replica reached at some addresses; one that hangs up is of another zone or has other keys",
			"addresses", unreached, "error", cause)
	}
	return unreached
}

// targets are the addresses to try now, sorted.
func (g *Gossip) targets(ctx context.Context) []string {
	o := g.members.outlook()
	want := map[string]bool{}
	for _, address := range o.lost {
		want[address] = true
	}
	for _, name := range g.join {
		for _, address := range g.resolve(ctx, name) {
			want[address] = true
		}
	}
	for _, address := range o.reached {
		if o.disputed {
			want[address] = true
		} else {
			delete(want, address)
		}
	}
	delete(want, g.address)
	return slices.Sorted(maps.Keys(want))
}

// resolve returns all addresses that HOST:PORT stands for; those that are not known give the name itself, for the error to
// tell.
func (g *Gossip) resolve(ctx context.Context, name string) (addresses []string) {
	host, port, err := net.SplitHostPort(name)
	if err != nil {
		return []string{name}
	}
	hosts, err := net.DefaultResolver.LookupHost(ctx, host)
	if err != nil {
		return []string{name}
	}
	for _, h := range hosts {
		addresses = append(addresses, net.JoinHostPort(h, port))
	}
	return addresses
}
