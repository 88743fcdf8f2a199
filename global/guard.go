package global

import (
	"maps"
	"slices"
	"sync"
	"time"
)

// guard holds back the removal of specs that are gone with nobody seen to have removed them: past 30 % of all and at
// least 20, or when nothing is left of several. It counts over ten minutes, as the feed's guard does for records. In
// doubt it holds back all of them: what is missing at a hub that has taken another's place was not removed by anybody.
type guard struct {
	mu      sync.Mutex
	doubt   bool
	missing map[string]time.Time // found missing lately and let go
	held    map[string]time.Time
}

const (
	guardWindow   = 10 * time.Minute
	guardLeast    = 20
	guardFraction = 0.3
)

func newGuard() *guard {
	return &guard{missing: map[string]time.Time{}, held: map[string]time.Time{}}
}

// doubts begins or ends the doubt about all that is missing. It lasts until a person has let removals go.
func (g *guard) doubts(doubt bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.doubt = doubt
}

// doubtful tells whether all that is missing is held back.
func (g *guard) doubtful() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.doubt
}

// admit notes names that were found missing beside others that are present, and returns those whose removal may go on.
// What is held already stays held.
func (g *guard) admit(names []string, present int, now time.Time) []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	maps.DeleteFunc(g.missing, func(_ string, at time.Time) bool { return now.Sub(at) > guardWindow })
	var fresh []string
	for _, name := range names {
		if _, ok := g.held[name]; !ok {
			g.missing[name] = now
			fresh = append(fresh, name)
		}
	}
	gone := len(g.missing) + len(g.held)
	all := float64(gone + present)
	if g.doubt || gone >= guardLeast && float64(gone) > guardFraction*all || present == 0 && gone > 1 {
		for _, name := range fresh {
			delete(g.missing, name)
			g.held[name] = now
		}
		return nil
	}
	return fresh
}

// back notes that a name exists after all.
func (g *guard) back(name string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.missing, name)
	delete(g.held, name)
}

// list returns what is held back.
func (g *guard) list() map[string]time.Time {
	g.mu.Lock()
	defer g.mu.Unlock()
	return maps.Clone(g.held)
}

// release lets everything go that is held back, and ends the doubt.
func (g *guard) release() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	names := slices.Sorted(maps.Keys(g.held))
	clear(g.held)
	clear(g.missing)
	g.doubt = false
	return names
}
