package ledger

import (
	"errors"
	"net/netip"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// act is what a change does to an entry.
type act int

const (
	look  act = iota // nothing: it keeps others of the owner away meanwhile
	take             // an owner gets it
	leave            // its owner releases it
	mend             // it has no owner's key: its quarantine begins
	sweep            // its quarantine has ended
)

// What becomes of an ask that was not done, and can be asked again after another look.
var (
	errAgain = errors.New("things have changed")
	errHolds = errors.New("the owner holds something")
)

// ask is one change on its way.
//
//	placed (in memory) ──▶ queued ──▶ in a transaction ──▶ done, or not: what was placed is free again
//	                                        │  ▲
//	                          reply lost ──▶│  └── another of the transaction was in the way
//	                                        ▼
//	                              settled: fenced anew, then read
type ask struct {
	act     act
	request Request // of a take
	entry   Entry   // as it will be; of a sweep, as it is
	pool    *pool   // nil where none is known
	// keeps: it takes back what is in quarantine, so that memory has it as taken whatever becomes of the ask.
	keeps bool
	// owner and held are the modification revisions of the owner's key and the entry's before; 0 where there is none.
	owner, held int64
	key         string // of its entry, once somebody has asked for it

	done chan struct{} // closed when err and entry are final
	err  error
}

func newAsk(a act) *ask { return &ask{act: a, done: make(chan struct{})} }

// block is the one that it lies in, or nil. It is called with the ledger's mu held.
func (a *ask) block() *block {
	if a.pool == nil {
		return nil
	}
	return a.pool.at(a.entry.Prefix)
}

// removes tells whether the entry goes.
func (a *ask) removes() bool {
	return a.act == sweep || (a.act == leave || a.act == mend) && a.entry.Until.IsZero()
}

// rests tells whether the entry goes into quarantine.
func (a *ask) rests() bool { return (a.act == leave || a.act == mend) && !a.entry.Until.IsZero() }

// named tells whether the owner's key changes, too.
func (a *ask) named() bool { return a.act == take || a.act == leave }

// flight is its name among what is under way: its owner, or no owner's name.
func (a *ask) flight() string {
	if a.act == mend || a.act == sweep {
		return "\x00" + place(a.entry.Pool, a.entry.Prefix)
	}
	return a.entry.Owner
}

// at is the key of its entry. Only the one who carries it may ask.
func (a *ask) at(l layout) string {
	if a.key == "" {
		a.key = l.entry(a.entry.Pool, a.entry.Prefix)
	}
	return a.key
}

// write appends what it writes.
func (a *ask) write(l layout, ops []clientv3.Op) []clientv3.Op {
	key := a.at(l)
	if a.removes() {
		ops = append(ops, clientv3.OpDelete(key))
	} else {
		ops = append(ops, clientv3.OpPut(key, encodeEntry(a.entry)))
	}
	switch a.act {
	case take:
		return append(ops, clientv3.OpPut(l.owners+a.entry.Owner, key[len(l.entries):]))
	case leave:
		return append(ops, clientv3.OpDelete(l.owners+a.entry.Owner))
	default:
		return ops
	}
}

// gets read what it compares.
func (a *ask) gets(l layout) []clientv3.Op {
	out := []clientv3.Op{clientv3.OpGet(a.at(l))}
	if a.named() {
		out = append(out, clientv3.OpGet(l.owners+a.entry.Owner))
	}
	return out
}

// place takes room for a request in memory.
func (p *pool) place(r Request) (netip.Prefix, error) {
	if r.Prefix.IsValid() {
		_, err := p.takeAt(r.Prefix)
		return r.Prefix, err
	}
	_, prefix, err := p.take(r.Length)
	return prefix, err
}
