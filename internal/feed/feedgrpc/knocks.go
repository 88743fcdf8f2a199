package feedgrpc

import (
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// How often one child may come. One that looks for its parent among several replicas comes some ten times in its first
// second, and then ever less often (route.go).
const (
	knockBurst = 32
	knockRate  = 2 // a second
	// maxKnocks is from where on children that have been quiet are forgotten.
	maxKnocks = 4096
)

// knocks bound how often one child begins a session, so that one which comes and goes as fast as it can does not take
// the turns of all others.
type knocks struct {
	mu    sync.Mutex
	paths map[string]*rate.Limiter // guarded by mu
}

func newKnocks() *knocks { return &knocks{paths: map[string]*rate.Limiter{}} }

// admit counts one, which a *turnedAway refuses.
func (k *knocks) admit(path string, now time.Time) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	limiter := k.paths[path]
	if limiter == nil {
		if len(k.paths) >= maxKnocks {
			k.sweep(now)
		}
		limiter = rate.NewLimiter(knockRate, knockBurst)
		k.paths[path] = limiter
	}
	if !limiter.AllowN(now, 1) {
		return &turnedAway{reason: "it comes too often", after: time.Second}
	}
	return nil
}

// sweep forgets those whom it would let in like one that was never here.
func (k *knocks) sweep(now time.Time) {
	for path, limiter := range k.paths {
		if limiter.TokensAt(now) >= knockBurst {
			delete(k.paths, path)
		}
	}
}
