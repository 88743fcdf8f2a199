package ledger

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strconv"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"golang.org/x/time/rate"

	"github.com/meridian-federation/meridian/internal/store"
)

// How many transactions with several changes each are under way at once: while etcd syncs one to its disk it takes in the
// next. Where so many changes wait that they are full, there are up to widest.
const (
	width  = 2
	widest = 4
	full   = (maxOps - extraOps - 2) / 2 // allocations of one block
)

// Open claims the blocks and reads what is taken. The error is a *SetBack where etcd has lost what the witness remembers,
// and ErrDeposed where another process opened the ledger meanwhile.
func Open(ctx context.Context, cfg Config) (*Ledger, error) {
	l, err := newLedger(cfg)
	if err != nil {
		return nil, err
	}
	if err := l.open(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("opening the ledger of addresses: %w", err), l.Close())
	}
	return l, nil
}

func newLedger(cfg Config) (*Ledger, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	w, err := openWitness(cfg.Witness)
	if err != nil {
		return nil, err
	}
	l := &Ledger{
		client:  cfg.Client,
		keys:    newLayout(cfg.Prefix),
		witness: w,
		now:     cfg.Now,
		log:     cfg.Log,
		often:   &rate.Sometimes{First: 1, Interval: time.Minute},
		batch:   cfg.Batch,
		width:   width,
		pools:   map[string]*pool{},
		moved:   map[string]bool{},
		past:    map[uint64]bool{},
		flying:  map[string]*ask{},
		rouse:   make(chan struct{}, 1),
	}
	if cfg.Batch == 1 {
		l.width = 0
	}
	l.ctx, l.stop = context.WithCancelCause(context.Background())
	return l, nil
}

func (l *Ledger) open(ctx context.Context) error {
	found, err := l.find(ctx)
	if err != nil {
		return err
	}
	if err := found.check(l.witness.known()); err != nil {
		return err
	}
	if err := l.adoptEpoch(found); err != nil {
		return err
	}
	if err := l.claim(ctx, found); err != nil {
		return err
	}
	if err := l.loadEnds(ctx); err != nil {
		return err
	}
	if err := l.loadBlocks(ctx); err != nil {
		return err
	}
	if err := l.loadEntries(ctx); err != nil {
		return err
	}
	l.answered(l.holder, l.keys.holder)
	return nil
}

// found is what is in etcd of what the witness remembers.
type found struct {
	store.Position                  // of epoch 0 where there is no ledger
	epoch, holder  int64            // modification revisions of those keys
	swept          int64            // likewise
	mark           *mvccpb.KeyValue // the key that the witness names
	accepted       int64            // up to which revision of the witness's epoch what was lost is; 0 while it has not ended
}

// find reads it, in one transaction.
func (l *Ledger) find(ctx context.Context) (found, error) {
	known := l.witness.known()
	keys := []string{l.keys.epoch, l.keys.holder, l.keys.swept, l.keys.root + known.key, l.keys.endOf(known.Epoch)}
	var ops []clientv3.Op
	for _, key := range keys {
		ops = append(ops, clientv3.OpGet(key))
	}
	resp, err := l.send(ctx, txn{then: ops})
	if err != nil {
		return found{}, fmt.Errorf("reading where the ledger is: %w", err)
	}
	r := &answers{resp: resp}
	epoch, holder, swept, mark := r.next(), r.next(), r.next(), r.next()
	f := found{epoch: modRevision(epoch), holder: modRevision(holder), swept: modRevision(swept), mark: mark}
	f.Revision = resp.Header.Revision
	if f.accepted, err = decodeEnd(r.next()); err == nil && epoch != nil {
		f.Epoch, err = decodeEpoch(epoch)
	}
	return f, err
}

// check holds what was found against what is remembered. That etcd's revision has not gone back is not enough: others
// write to it, too. So the key that the last change wrote must be as it was written, or have been written again; where it
// is gone, or is another's, a removal must have come after it.
func (f found) check(m mark) error {
	if m.Epoch == 0 {
		return nil
	}
	back := &SetBack{Witnessed: m.Position, Found: f.Position}
	switch {
	case f.Epoch != m.Epoch && m.Revision <= f.accepted:
		return nil // what it remembers was lost, and that was accepted
	case f.Epoch != m.Epoch || f.Revision < m.Revision:
		return back
	case f.swept > m.Revision:
		return nil // and what was swept since may be just that key
	case f.mark == nil || f.mark.ModRevision < m.Revision || f.mark.CreateRevision > m.Revision:
		return back
	}
	return nil
}

// adoptEpoch remembers an epoch that another process has begun, by its key, in place of the one that has ended.
func (l *Ledger) adoptEpoch(f found) error {
	known := l.witness.known()
	if known.Epoch == 0 || known.Epoch == f.Epoch {
		return nil
	}
	m := mark{store.Position{Epoch: f.Epoch, Revision: f.epoch}, l.keys.relative(l.keys.epoch)}
	if err := l.witness.record(m); err != nil {
		return err
	}
	l.log.Info("what the ledger of addresses has lost was accepted by another process", "epoch", fmt.Sprintf("%x", f.Epoch),
		"was", fmt.Sprintf("%x", known.Epoch))
	return nil
}

// claim writes the holder's key, which fences off whoever had the ledger from blocks, and the epoch if there is none.
func (l *Ledger) claim(ctx context.Context, f found) error {
	l.epoch = f.Epoch
	var ops []clientv3.Op
	if f.Epoch == 0 {
		l.epoch = rand.Uint64() | 1 // never zero
		ops = append(ops, clientv3.OpPut(l.keys.epoch, encodeEpoch(l.epoch)))
	}
	resp, err := l.commit(ctx, txn{
		compare: []clientv3.Cmp{unchanged(l.keys.epoch, f.epoch), unchanged(l.keys.holder, f.holder)},
		then:    append(ops, clientv3.OpPut(l.keys.holder, "opened "+l.now().UTC().Format(time.RFC3339))),
	})
	if err != nil {
		return fmt.Errorf("claiming the ledger: %w", err)
	}
	if !resp.Succeeded {
		return fmt.Errorf("claiming the ledger: %w", ErrDeposed)
	}
	l.holder = resp.Header.Revision
	return nil
}

// loadEnds reads which epochs have ended by a Repair.
func (l *Ledger) loadEnds(ctx context.Context) error {
	err := l.pages(ctx, l.keys.ended, clientv3.GetPrefixRangeEnd(l.keys.ended), func(kv *mvccpb.KeyValue) error {
		epoch, err := strconv.ParseUint(string(kv.Key[len(l.keys.ended):]), 16, 64)
		if err != nil {
			return fmt.Errorf("etcd key %q: not an epoch's end: %w", kv.Key, err)
		}
		l.past[epoch] = true
		return nil
	})
	if err != nil {
		return fmt.Errorf("reading which epochs have ended: %w", err)
	}
	return nil
}

// loadBlocks reads the blocks and writes each anew, which fences off whoever still allocates from them.
func (l *Ledger) loadBlocks(ctx context.Context) error {
	var all []*block
	err := l.pages(ctx, l.keys.blocks, clientv3.GetPrefixRangeEnd(l.keys.blocks), func(kv *mvccpb.KeyValue) error {
		decoded, quarantine, err := l.keys.decodeBlock(kv)
		if err != nil {
			return err
		}
		b, err := newBlock(string(kv.Key), decoded, quarantine)
		if err != nil {
			return fmt.Errorf("etcd key %q: %w", kv.Key, err)
		}
		all = append(all, b)
		return nil
	})
	if err != nil {
		return fmt.Errorf("reading blocks: %w", err)
	}
	const atOnce = maxOps - extraOps
	for at := 0; at < len(all); at += atOnce {
		if err := l.claimBlocks(ctx, all[at:min(at+atOnce, len(all))]); err != nil {
			return err
		}
	}
	for _, b := range all {
		p := l.pool(b.Pool, b.Prefix)
		if over := p.overlapping(b.Prefix); over != nil {
			return fmt.Errorf("blocks %s and %s of pool %s overlap", over.Prefix, b.Prefix, b.Pool)
		}
		p.add(b)
	}
	return nil
}

func (l *Ledger) claimBlocks(ctx context.Context, blocks []*block) error {
	t := txn{compare: []clientv3.Cmp{unchanged(l.keys.holder, l.holder)}}
	for _, b := range blocks {
		t.then = append(t.then, clientv3.OpPut(b.key, encodeBlock(b.Block, b.quarantine)))
	}
	resp, err := l.commit(ctx, t)
	if err != nil {
		return fmt.Errorf("claiming blocks: %w", err)
	}
	if !resp.Succeeded {
		return fmt.Errorf("claiming blocks: %w", ErrDeposed)
	}
	for _, b := range blocks {
		b.rev = resp.Header.Revision
	}
	return nil
}

// overlapping is a block that overlaps a prefix, or nil.
func (p *pool) overlapping(prefix netip.Prefix) *block {
	for _, b := range p.blocks {
		if b.Prefix.Overlaps(prefix) {
			return b
		}
	}
	return nil
}
