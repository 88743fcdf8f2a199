//go:build linux

package zonefaults

import (
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/meridian-federation/meridian/internal/feed"
	"github.com/meridian-federation/meridian/internal/object"
)

// witness is told of every write in a cluster, and of every fence that its agent had, in order. It notes what must never
// happen: a write of the version that is there, an older version after a newer, a version that was never intended, an
// object removed, a fence lower than one before.
type witness struct {
	cluster string
	intent  *intent

	mu sync.Mutex // guards all below
	// versions and times are, by object.ID, what was written last, and how often.
	versions map[string]string
	times    map[string]int
	faults   []string
	fence    feed.Fence
	fences   int // how many there were
	// last is each application's newest change that was seen.
	last map[string]int
	// wrote is when anything was last written, longest the longest pause since gap was called.
	wrote   time.Time
	longest time.Duration
}

func newWitness(cluster string, in *intent) *witness {
	return &witness{cluster: cluster, intent: in, versions: map[string]string{}, times: map[string]int{}, last: map[string]int{}}
}

// put notes a write.
func (w *witness) put(key, version string) {
	n, known := w.intent.number(key, version)
	w.mu.Lock()
	defer w.mu.Unlock()
	before := w.versions[key]
	was, _ := w.intent.number(key, before)
	switch {
	case !known:
		w.fault("%s has version %s, which was never intended", key, version)
	case before == version:
		w.fault("%s was written again with the version that was there, that of change %d", key, n)
	case before != "" && n < was:
		w.fault("%s went back from change %d to %d", key, was, n)
	}
	w.versions[key] = version
	w.times[key]++
	if id, err := object.ParseID(key); err == nil && id.Namespace != "" {
		w.last[id.Name] = max(w.last[id.Name], n)
	}
	now := time.Now()
	w.longest = max(w.longest, now.Sub(w.wrote))
	w.wrote = now
}

// removed notes a removal, none of which is intended.
func (w *witness) removed(key string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fault("%s was removed", key)
}

// obeyed notes the fence that the agent keeps.
func (w *witness) obeyed(f feed.Fence) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case f == w.fence:
		return
	case w.fences > 0 && (f.Epoch != w.fence.Epoch || f.Fence < w.fence.Fence):
		w.fault("the fence went from %v to %v", w.fence, f)
	}
	w.fence = f
	w.fences++
}

// fault notes what must not be. The caller holds mu.
func (w *witness) fault(format string, args ...any) {
	w.faults = append(w.faults, w.cluster+": "+fmt.Sprintf(format, args...))
}

// take returns the faults since it was last called.
func (w *witness) take() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := w.faults
	w.faults = nil
	return out
}

// seen tells whether each application's change of that number, or a later one, has been written.
func (w *witness) seen(changes map[string]int) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for app, n := range changes {
		if w.last[app] < n {
			return false
		}
	}
	return true
}

// writes are, by object, the version that was written last, and how many writes there were.
func (w *witness) writes() (versions map[string]string, times map[string]int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return maps.Clone(w.versions), maps.Clone(w.times)
}

// gap begins to measure; the function that it returns tells the longest pause between two writes since.
func (w *witness) gap() func() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.longest = 0
	return func() time.Duration {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.longest
	}
}
