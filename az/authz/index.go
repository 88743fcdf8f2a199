package authz

import (
	"log/slog"
	"sync"

	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/internal/store"
)

// name is an application's.
type name struct{ namespace, application string }

// entry is what is known of an application: its policy once there is one, and its ports.
type entry struct {
	policy *record.Policy
	ports  []record.Port
}

// Index holds the policies and ports of a zone, decoded. It costs in proportion to what changes. It is safe for concurrent
// use.
type Index struct {
	log *slog.Logger

	mu   sync.RWMutex
	apps map[name]entry // guarded by mu
}

// NewIndex returns an empty Index, by which everything is refused.
func NewIndex(log *slog.Logger) *Index { return &Index{log: log, apps: map[name]entry{}} }

// Apply takes in an update of the mirror's. A record that cannot be read counts as none, which is logged when it comes.
func (x *Index) Apply(u store.Update) {
	type change struct {
		name name
		edit func(*entry)
	}
	var changes []change
	for _, c := range u.Changes {
		if c.Key.Kind != record.KindPolicy && c.Key.Kind != record.KindService {
			continue
		}
		parts := c.Key.Parts()
		if len(parts) != 2 {
			continue
		}
		edit := func(e *entry) { e.policy = x.decodePolicy(c.New) }
		if c.Key.Kind == record.KindService {
			edit = func(e *entry) { e.ports = x.decodePorts(c.New) }
		}
		changes = append(changes, change{name{parts[0], parts[1]}, edit})
	}
	if len(changes) == 0 {
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, c := range changes {
		e := x.apps[c.name]
		c.edit(&e)
		if e.policy == nil && e.ports == nil {
			delete(x.apps, c.name)
		} else {
			x.apps[c.name] = e
		}
	}
}

func (x *Index) decodePolicy(e *store.Entry) *record.Policy {
	if e == nil {
		return nil
	}
	p, err := record.DecodePolicy(e.Record)
	if err != nil {
		x.log.Error("a policy cannot be read; every call of its application is refused", "record", e.Key, "error", err)
		return nil
	}
	return &p
}

func (x *Index) decodePorts(e *store.Entry) []record.Port {
	if e == nil {
		return nil
	}
	s, err := record.DecodeService(e.Record)
	if err != nil {
		x.log.Error("an application's ports cannot be read; every call of it is refused", "record", e.Key, "error", err)
		return nil
	}
	return s.Ports
}

// get returns what is known of an application; its policy is nil if nothing may be decided by it.
func (x *Index) get(n name) entry {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.apps[n]
}
