package ledger

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"golang.org/x/time/rate"
)

// maxOps is how many comparisons or operations etcd takes in a transaction, unless told otherwise.
const maxOps = 128

// extraOps are those that commit adds, and one more of the holder or of what was swept.
const extraOps = 3

// Config says where a ledger is.
type Config struct {
	Client *clientv3.Client
	// Prefix is the tier's, in etcd's keys.
	Prefix string
	// Witness is a file of this process alone, in which it remembers what it has written, so that it notices when etcd was
	// set back to before that. Empty: nothing remembers it beyond this Ledger.
	Witness string
	// Batch is how many changes go in one transaction at most, where many wait; 1 is none with another. Default and most
	// are what etcd's 128 operations allow.
	Batch int
	// Now is the clock of quarantines. Default time.Now.
	Now func() time.Time
	Log *slog.Logger
}

func (c Config) withDefaults() (Config, error) {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Batch <= 0 || c.Batch > maxOps {
		c.Batch = maxOps
	}
	if c.Client == nil {
		return c, errors.New("a ledger needs etcd's client")
	}
	return c, nil
}

// Ledger is one process's hold on the ledger, until it is closed or another process opens it. It is safe for concurrent use.
type Ledger struct {
	client  *clientv3.Client
	keys    layout
	witness *witness
	now     func() time.Time
	log     *slog.Logger
	often   *rate.Sometimes // what is logged of a witness that cannot be written
	batch   int
	width   int // most transactions at once; 0 for any number

	epoch  uint64
	past   map[uint64]bool // the epochs before it that Repair ended, as Open read them
	holder int64           // modification revision of the holder's key, as Open wrote it
	seen   atomic.Int64    // highest revision of an answer of etcd's

	ctx  context.Context // ends with Close, or when the ledger is lost; its cause says why
	stop context.CancelCauseFunc
	work sync.WaitGroup // transactions under way
	once sync.Once

	// fencing is held while a block is written.
	fencing sync.Mutex

	mu      sync.Mutex
	pools   map[string]*pool // guarded by mu, all below as well
	flying  map[string]*ask  // what is under way, by owner
	queue   []*ask           // what waits for a transaction
	commits int              // transactions under way
	resting resting          // quarantines, by their ends
	rouse   chan struct{}    // has one when the first of resting may be another
	changed chan struct{}    // closed at the next change; nil while nobody waits for one
	moved   map[string]bool  // the pools of which there was one since Moved was asked
}

// Close gives the ledger up and waits for what is under way to end.
func (l *Ledger) Close() error {
	var err error
	l.once.Do(func() {
		l.end(ErrClosed)
		l.work.Wait()
		err = l.witness.close()
	})
	return err
}

// end stops all for a reason, the first that there is.
func (l *Ledger) end(cause error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stop(cause)
}

// lost is why the ledger has ended, or nil.
func (l *Ledger) lost() error { return context.Cause(l.ctx) }

// Position is the ledger's epoch and the revision of the last change that was answered.
func (l *Ledger) Position() (epoch uint64, revision int64) {
	m := l.witness.known()
	return m.Epoch, m.Revision
}

// Accepted tells whether an epoch is one of the ledger's from before it was set back, so that a Repair has accepted that what was
// written in it may be lost.
func (l *Ledger) Accepted(epoch uint64) bool { return l.past[epoch] }

// Changed is closed when something is taken, becomes free, or a block changes, the next time.
func (l *Ledger) Changed() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.changed == nil {
		l.changed = make(chan struct{})
	}
	return l.changed
}

// Moved are the pools of which something changed since it was asked before. It is for one caller, who waits for Changed.
func (l *Ledger) Moved() map[string]bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	moved := l.moved
	l.moved = map[string]bool{}
	return moved
}

// tell closes Changed, for a pool. It is called with mu held.
func (l *Ledger) tell(pool string) {
	l.moved[pool] = true
	if l.changed != nil {
		close(l.changed)
		l.changed = nil
	}
}

// Usage is how a pool stands here, from memory.
func (l *Ledger) Usage(name string) Usage {
	l.mu.Lock()
	defer l.mu.Unlock()
	var u Usage
	if p := l.pools[name]; p != nil {
		for _, b := range p.blocks {
			u.Blocks = append(u.Blocks, b.usage())
		}
	}
	return u
}

// Pools are those of which there are blocks, by name. Quarantine is that of the lowest block.
func (l *Ledger) Pools() []Pool {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []Pool
	for _, p := range l.pools {
		if len(p.blocks) > 0 {
			out = append(out, Pool{Name: p.name, IPv6: p.ipv6, Quarantine: p.blocks[0].quarantine})
		}
	}
	slices.SortFunc(out, func(a, b Pool) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// answered remembers a change before it is answered.
func (l *Ledger) answered(revision int64, key string) {
	m := mark{key: l.keys.relative(key)}
	m.Epoch, m.Revision = l.epoch, revision
	if err := l.witness.record(m); err != nil {
		l.often.Do(func() {
			l.log.Error("an etcd that is set back may go unnoticed", "error", err)
		})
	}
}

// unknown is an error after which a change may have been written.
func unknown(err error) error { return fmt.Errorf("%w: %w", ErrUnknown, err) }
