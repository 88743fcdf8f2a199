package feed

import "github.com/meridian-federation/meridian/internal/record"

// pending is the keys that wait to be sent, first come first served. A key that changes while it waits keeps its place;
// what is sent is what the Outbox holds when its turn comes.
type pending struct {
	order []record.Key
	// theirs is, for each key in order, the version that the peer was found to hold; zero where that is not known.
	theirs map[record.Key]record.Version
}

func (p *pending) len() int { return len(p.theirs) }

func (p *pending) has(key record.Key) bool {
	_, ok := p.theirs[key]
	return ok
}

// add queues a key and notes the peer's version of it.
func (p *pending) add(key record.Key, theirs record.Version) {
	if p.theirs == nil {
		p.theirs = map[record.Key]record.Version{}
	}
	if !p.has(key) {
		p.order = append(p.order, key)
	}
	p.theirs[key] = theirs
}

// touch queues a key that is not queued yet, of which the peer's version is not known.
func (p *pending) touch(key record.Key) {
	if !p.has(key) {
		p.add(key, record.Version{})
	}
}

// front is the next key and the peer's version of it; ok is false when nothing waits.
func (p *pending) front() (key record.Key, theirs record.Version, ok bool) {
	if len(p.order) == 0 {
		return record.Key{}, record.Version{}, false
	}
	key = p.order[0]
	return key, p.theirs[key], true
}

// pop drops the front.
func (p *pending) pop() {
	delete(p.theirs, p.order[0])
	p.order[0] = record.Key{}
	p.order = p.order[1:]
	if len(p.order) == 0 {
		*p = pending{}
	}
}
