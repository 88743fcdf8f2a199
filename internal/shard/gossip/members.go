package gossip

import (
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"
)

const (
	// seekFor is how long a member that is gone is looked for where it was last. After that it has to be among the
	// addresses to join, or to find the others itself.
	seekFor = 10 * time.Minute
	// forgetAfter bounds what is remembered of members that never come back.
	forgetAfter = time.Hour
	// succession is how long a name may be disputed before a person should look: a process that takes the place of a killed
	// one waits until that one is lost. A dispute that rests for longer is over.
	succession = 5 * time.Second
	// reminder is how often a dispute that lasts is logged.
	reminder = time.Minute
)

// members is who is there and who was. memberlist calls it with its own lock held, so it calls nothing of memberlist's.
type members struct {
	self string
	log  *slog.Logger

	mu       sync.Mutex // guards all below
	there    map[string]string
	gone     map[string]absence
	disputes map[string]dispute
	changed  chan struct{}
	// disputed: somebody else has this member's name, or had it a moment ago.
	disputed bool
	// stirred has room for one: somebody was lost, or the name disputed.
	stirred chan struct{}
}

// absence is where a member was last, and when it was noticed that it is gone.
type absence struct {
	address string
	at      time.Time
}

// dispute is two addresses of one name: since when, until when, and when that was logged.
type dispute struct{ since, last, logged time.Time }

var (
	_ memberlist.EventDelegate    = (*members)(nil)
	_ memberlist.ConflictDelegate = (*members)(nil)
)

func newMembers(self string, log *slog.Logger) *members {
	return &members{self: self, log: log, there: map[string]string{}, gone: map[string]absence{},
		disputes: map[string]dispute{}, changed: make(chan struct{}), stirred: make(chan struct{}, 1)}
}

// NotifyJoin is for memberlist.
func (m *members) NotifyJoin(n *memberlist.Node) {
	if n.Name == m.self {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.there[n.Name] = n.Address()
	delete(m.gone, n.Name)
	m.log.Info("replica found", "replica", n.Name, "address", n.Address())
	m.wake()
}

// NotifyLeave is for memberlist; it does not tell whether the member died or left.
func (m *members) NotifyLeave(n *memberlist.Node) {
	if n.Name == m.self {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	delete(m.there, n.Name)
	maps.DeleteFunc(m.gone, func(_ string, a absence) bool { return now.Sub(a.at) > forgetAfter })
	maps.DeleteFunc(m.disputes, func(_ string, d dispute) bool { return now.Sub(d.last) > forgetAfter })
	m.gone[n.Name] = absence{n.Address(), now}
	m.log.Info("replica lost", "replica", n.Name, "address", n.Address())
	m.wake()
	m.stir()
}

// NotifyUpdate is for memberlist; members have nothing that could be updated.
func (m *members) NotifyUpdate(*memberlist.Node) {}

// NotifyConflict is for memberlist, which goes on with the member that was there first.
func (m *members) NotifyConflict(existing, other *memberlist.Node) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now, d := time.Now(), m.disputes[existing.Name]
	if now.Sub(d.last) > reminder {
		d.since = now
	}
	d.last = now
	if now.Sub(d.since) > succession && now.Sub(d.logged) > reminder {
		d.logged = now
		m.log.Error("two replicas of one name; the second takes no part", "replica", existing.Name,
			"address", existing.Address(), "other", other.Address())
	}
	m.disputes[existing.Name] = d
	if existing.Name == m.self {
		m.disputed = true
		m.stir()
	}
}

// wake tells of a change, with mu held.
func (m *members) wake() {
	close(m.changed)
	m.changed = make(chan struct{})
}

// stir has the others looked for, with mu held.
func (m *members) stir() {
	select {
	case m.stirred <- struct{}{}:
	default:
	}
}

func (m *members) wait() <-chan struct{} {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.changed
}

// alive returns the members that are there, this one included, sorted.
func (m *members) alive() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := slices.AppendSeq([]string{m.self}, maps.Keys(m.there))
	slices.Sort(all)
	return all
}

func (m *members) lost(id string) (at time.Time, lost bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	a, lost := m.gone[id]
	return a.at, lost
}

// outlook is what there is to do about others, at one moment.
type outlook struct {
	// reached are the addresses of those that are there, lost those of members that are looked for.
	reached, lost []string
	// disputed: those that are there may not know this member at its address. Asking takes that back.
	disputed bool
}

func (m *members) outlook() outlook {
	m.mu.Lock()
	defer m.mu.Unlock()
	o := outlook{reached: slices.Collect(maps.Values(m.there)), lost: m.sought(), disputed: m.disputed}
	m.disputed = false
	return o
}

// sought are the addresses of members that are looked for, with mu held.
func (m *members) sought() (addresses []string) {
	for _, a := range m.gone {
		if time.Since(a.at) < seekFor {
			addresses = append(addresses, a.address)
		}
	}
	return addresses
}

// unsettled tells whether somebody is missing that was there, or this member's name disputed.
func (m *members) unsettled() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.disputed || len(m.sought()) > 0
}
