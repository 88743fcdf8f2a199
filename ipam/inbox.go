package ipam

import (
	"sync"

	"github.com/meridian-federation/meridian/internal/record"
)

// word is what a child last said of a pool; without a demand, that it says so no more.
type word struct {
	demand *record.Demand
}

// of names a pool of a child.
type of struct{ child, pool string }

// inbox is what others told the tier and its loop has not looked at yet: per child and pool the latest.
type inbox struct {
	wake chan struct{} // holds one token while there may be news

	mu      sync.Mutex // guards all below
	words   map[of]word
	settled bool
}

func newInbox() *inbox { return &inbox{wake: make(chan struct{}, 1), words: map[of]word{}} }

func (in *inbox) say(key of, w word) {
	in.mu.Lock()
	in.words[key] = w
	in.mu.Unlock()
	in.signal()
}

func (in *inbox) settle() {
	in.mu.Lock()
	in.settled = true
	in.mu.Unlock()
	in.signal()
}

func (in *inbox) signal() {
	select {
	case in.wake <- struct{}{}:
	default:
	}
}

// take empties it.
func (in *inbox) take() (words map[of]word, settled bool) {
	in.mu.Lock()
	defer in.mu.Unlock()
	words, in.words = in.words, map[of]word{}
	return words, in.settled
}

// Demand takes what a child, REGION or REGION/ZONE, wants of a pool and how it stands there. A child that is silent keeps what it
// has. It never blocks.
func (t *Tier) Demand(child string, d record.Demand) { t.inbox.say(of{child, d.Pool}, word{&d}) }

// Gone takes that a child has taken back what it said under the key of a demand.
func (t *Tier) Gone(child string, key record.Key) {
	if parts := key.Parts(); key.Kind == record.KindDemand && len(parts) == 3 {
		t.inbox.say(of{child, parts[2]}, word{})
	}
}

// Settled says that all children have told all, or had their time to. Before, nothing is given back to the place above, for
// they may need it.
func (t *Tier) Settled() { t.inbox.settle() }
