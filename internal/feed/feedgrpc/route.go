package feedgrpc

import (
	"math/rand/v2"
	"slices"
	"time"
)

// The pauses of a child that looks for its parent.
const (
	// jolt is about how long it waits before it knocks at the next address, while it has not knocked at all of them.
	jolt = 5 * time.Millisecond
	// minPause and maxPause bound the pause between later attempts, before jitter. It grows by half each time, so that a
	// child of a parent that another stands in for after two seconds is there within less than one more.
	minPause = 50 * time.Millisecond
	maxPause = 5 * time.Second
	// maxStay bounds how long a parent can tell it to stay away.
	maxStay = time.Minute
	// settled is how long a session lasts that counts as one: what ends sooner may do so for ever, and is not followed
	// by attempts without a pause.
	settled = 2 * time.Second
	// maxRedirects bounds the redirects followed, one after another, without a pause.
	maxRedirects = 4
)

// route tells where a child looks for its parent next, and when. It knows no clock: it is told how long sessions lasted.
//
// The addresses that the parent tells are tried in an order of the child's own, so that children of a parent that is
// gone spread over those that are left; then those of the configuration, which are never forgotten. What it was told in an
// earlier run counts until it is told anew.
type route struct {
	targets []string
	learnt  []string
	// at is the address in turn, an index of addresses.
	at int
	// redirect is where the parent sent the child, tried in place of the one in turn; redirects counts those in a row.
	redirect  string
	redirects int
	// free is how many attempts may yet be made with no pause but a jolt.
	free  int
	pause time.Duration
}

// attempt is how an attempt at a session ended.
type attempt struct {
	// lasted is how long the session did; 0 if there was none.
	lasted time.Duration
	// own: it ended for a reason of the child's own, and the parent is where it was.
	own bool
	// redirect is where the parent sent the child, stay how long it told it to stay away.
	redirect string
	stay     time.Duration
}

// newRoute begins with the addresses of the configuration and those learnt in an earlier run.
func newRoute(targets []string, learnt ...string) *route {
	r := &route{targets: shuffled(targets), learnt: shuffled(learnt), pause: minPause}
	r.free = len(r.addresses())
	return r
}

func shuffled(addresses []string) []string {
	out := slices.Clone(addresses)
	rand.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out
}

// address is where to go now.
func (r *route) address() string {
	if r.redirect != "" {
		return r.redirect
	}
	all := r.addresses()
	return all[r.at%len(all)]
}

// addresses are all that are known: those that the parent told, then those of the configuration beside them.
func (r *route) addresses() []string {
	all := slices.Clone(r.learnt)
	for _, t := range r.targets {
		if !slices.Contains(all, t) {
			all = append(all, t)
		}
	}
	return all
}

// learn takes the addresses that the parent at the current address told. Those known already keep their order.
func (r *route) learn(told []string) {
	current := r.address()
	var kept, added []string
	for _, address := range told {
		if !slices.Contains(r.learnt, address) && !slices.Contains(added, address) {
			added = append(added, address)
		}
	}
	for _, address := range r.learnt {
		if slices.Contains(told, address) {
			kept = append(kept, address)
		}
	}
	r.learnt = kept
	for _, address := range added {
		r.learnt = slices.Insert(r.learnt, rand.IntN(len(r.learnt)+1), address)
	}
	if i := slices.Index(r.addresses(), current); i >= 0 {
		r.redirect, r.at = "", i
	} else {
		r.redirect = current
	}
}

// next takes the end of the attempt at the current address, and returns how long to wait before the next.
func (r *route) next(a attempt) time.Duration {
	if a.lasted >= settled {
		r.free, r.redirects, r.pause = len(r.addresses()), 0, minPause
	}
	if a.redirect != "" && r.redirects < maxRedirects {
		r.redirect = a.redirect
		r.redirects++
		return 0
	}
	r.redirects = 0
	if a.stay > 0 {
		return jittered(min(a.stay, maxStay))
	}
	if !a.own {
		r.turn()
	}
	if r.free > 0 {
		r.free--
		return jittered(jolt)
	}
	pause := jittered(r.pause)
	r.pause = min(r.pause*3/2, maxPause)
	return pause
}

// turn goes on to the next address; after one that the parent named and that is not known, the one in turn.
func (r *route) turn() {
	if i := slices.Index(r.addresses(), r.address()); i >= 0 {
		r.at = (i + 1) % len(r.addresses())
	}
	r.redirect = ""
}

// jittered is between half of d and one and a half of it.
func jittered(d time.Duration) time.Duration { return d/2 + rand.N(d) }
