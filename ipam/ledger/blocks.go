package ledger

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/meridian-federation/meridian/ipam/space"
)

// namedOwners is how many an *InUse names.
const namedOwners = 10

// PutBlock adds a block, or makes it as given. What its reservations would strand is refused with an *InUse.
func (l *Ledger) PutBlock(ctx context.Context, p Pool, b Block) error {
	b, err := p.check(b)
	if err == nil {
		err = l.alone(ctx, func() error { return l.putBlock(p, b) })
	}
	if err != nil {
		return fmt.Errorf("putting block %s of pool %s: %w", b.Prefix, p.Name, err)
	}
	return nil
}

// DropBlock takes a block away. While something of it is taken or in quarantine that is refused with an *InUse. The error
// is ErrNotFound where there is no such block.
func (l *Ledger) DropBlock(ctx context.Context, pool string, p netip.Prefix) error {
	if err := l.alone(ctx, func() error { return l.dropBlock(pool, p) }); err != nil {
		return fmt.Errorf("dropping block %s of pool %s: %w", p, pool, err)
	}
	return nil
}

// alone does what writes a block, one after another, to its end even where nobody waits for that any more.
func (l *Ledger) alone(ctx context.Context, do func() error) error {
	l.mu.Lock()
	if err := l.lost(); err != nil {
		l.mu.Unlock()
		return err
	}
	done := make(chan error, 1)
	l.work.Go(func() {
		l.fencing.Lock()
		defer l.fencing.Unlock()
		done <- do()
	})
	l.mu.Unlock()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return unknown(ctx.Err())
	}
}

// check refuses what cannot be a block, and puts its reservations in order.
func (p Pool) check(b Block) (Block, error) {
	switch {
	case b.Pool != "" && b.Pool != p.Name:
		return b, fmt.Errorf("%w: block of pool %s: want pool %s", ErrInvalid, b.Pool, p.Name)
	case p.Quarantine < 0:
		return b, fmt.Errorf("%w: quarantine of %v: want 0 or more", ErrInvalid, p.Quarantine)
	}
	b.Pool = p.Name
	if err := checkPool(p.Name); err != nil {
		return b, err
	}
	if err := space.Check(b.Prefix); err != nil {
		return b, fmt.Errorf("%w: block: %w", ErrInvalid, err)
	}
	if b.Prefix.Bits() == 0 {
		return b, fmt.Errorf("%w: block %s is all addresses of its family; want a part of them", ErrInvalid, b.Prefix)
	}
	if b.Prefix.Addr().Is6() != p.IPv6 {
		return b, fmt.Errorf("%w: block %s is not of the family of pool %s", ErrInvalid, b.Prefix, p.Name)
	}
	var err error
	b.Reserved, err = reservations(b.Prefix, b.Reserved)
	return b, err
}

// reservations cuts what is reserved to a block, sorts it, and leaves out what lies in another of them.
func reservations(block netip.Prefix, reserved []netip.Prefix) ([]netip.Prefix, error) {
	var in []netip.Prefix
	for _, r := range reserved {
		switch err := space.Check(r); {
		case err != nil:
			return nil, fmt.Errorf("%w: reserved: %w", ErrInvalid, err)
		case !r.Overlaps(block):
			return nil, fmt.Errorf("%w: reserved %s lies outside of block %s", ErrInvalid, r, block)
		case r.Bits() < block.Bits():
			r = block
		}
		in = append(in, r)
	}
	slices.SortFunc(in, netip.Prefix.Compare)
	var out []netip.Prefix
	for _, r := range in {
		if len(out) == 0 || !out[len(out)-1].Overlaps(r) {
			out = append(out, r)
		}
	}
	return out, nil
}

func (l *Ledger) putBlock(p Pool, b Block) error {
	l.mu.Lock()
	had := l.pools[p.Name]
	var is *block
	if had != nil && len(had.blocks) > 0 {
		if had.ipv6 != p.IPv6 {
			l.mu.Unlock()
			return fmt.Errorf("%w: pool %s is of the other family", ErrInvalid, p.Name)
		}
		is = had.overlapping(b.Prefix)
	}
	l.mu.Unlock()
	switch {
	case is == nil:
		return l.addBlock(b, p.Quarantine)
	case is.Prefix != b.Prefix:
		return fmt.Errorf("%w: block %s overlaps block %s of the same pool", ErrInvalid, b.Prefix, is.Prefix)
	default:
		return l.changeBlock(is, b, p.Quarantine)
	}
}

// addBlock adds one that overlaps none. What etcd has entries of is taken.
func (l *Ledger) addBlock(block Block, quarantine time.Duration) error {
	b, err := newBlock(l.keys.block(block.Pool, block.Prefix), block, quarantine)
	if err != nil {
		return err
	}
	b.rev, err = l.write(b, encodeBlock(block, quarantine))
	if err != nil {
		return err
	}
	var entries []*mvccpb.KeyValue
	from, end := l.keys.within(b.Pool, b.Prefix)
	if err := l.pages(l.ctx, from, end, func(kv *mvccpb.KeyValue) error {
		entries = append(entries, kv)
		return nil
	}); err != nil {
		return err
	}
	l.mu.Lock()
	p := l.pool(b.Pool, b.Prefix)
	p.ipv6 = b.Prefix.Addr().Is6()
	b.Closed = true // until it is known what is taken
	p.add(b)
	l.mu.Unlock()
	for _, kv := range entries {
		l.know(kv)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	b.Closed = block.Closed
	p.freed++
	l.tell(p.name)
	return nil
}

// changeBlock makes a block as given. It is closed before that is written, and opened after.
func (l *Ledger) changeBlock(b *block, to Block, quarantine time.Duration) error {
	was, value := b.Closed, encodeBlock(to, quarantine)
	l.mu.Lock()
	if encodeBlock(b.Block, b.quarantine) == value {
		l.mu.Unlock()
		return nil
	}
	reserved := b.Reserved
	if err := b.reserve(to.Reserved); err != nil {
		l.mu.Unlock()
		return l.inUse(b.Pool, err)
	}
	b.Closed = was || to.Closed
	l.mu.Unlock()
	rev, err := l.write(b, value)
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		b.Closed = was
		if undo := b.reserve(reserved); undo != nil {
			l.log.Error("reservations that were given up cannot be made again", "block", b.Prefix, "error", undo)
		}
		return err
	}
	b.rev, b.Closed, b.quarantine = rev, to.Closed, quarantine
	l.pools[b.Pool].freed++
	l.tell(b.Pool)
	return nil
}

func (l *Ledger) dropBlock(name string, prefix netip.Prefix) error {
	l.mu.Lock()
	var b *block
	if p := l.pools[name]; p != nil {
		b = p.at(prefix)
	}
	if b == nil || b.Prefix != prefix {
		l.mu.Unlock()
		return ErrNotFound
	}
	if b.taken > 0 {
		l.mu.Unlock()
		return l.inUse(name, &space.Taken{Asked: prefix, By: prefix})
	}
	was := b.Closed
	b.Closed = true
	l.mu.Unlock()
	rev, err := l.write(b, "")
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		b.Closed = was
		return err
	}
	b.rev = rev // what was fenced by it knows who wrote it
	p := l.pools[name]
	p.blocks = slices.DeleteFunc(p.blocks, func(o *block) bool { return o == b })
	l.tell(name)
	return nil
}

// write puts a block's value, or with an empty one removes the block, and returns the revision. It goes on until etcd has
// answered or the ledger ends. It is called with fencing held.
func (l *Ledger) write(b *block, value string) (int64, error) {
	op := []clientv3.Op{clientv3.OpPut(b.key, value)}
	mark := b.key
	if value == "" {
		op, mark = []clientv3.Op{clientv3.OpDelete(b.key), clientv3.OpPut(l.keys.swept, "")}, l.keys.swept
	}
	t := txn{
		compare:   []clientv3.Cmp{unchanged(l.keys.holder, l.holder), unchanged(b.key, b.rev)},
		then:      op,
		otherwise: []clientv3.Op{clientv3.OpGet(l.keys.holder), clientv3.OpGet(b.key), clientv3.OpGet(l.keys.swept)},
	}
	sent := false // a try of which nobody knows what became
	for try := 0; l.lost() == nil; try++ {
		resp, err := l.commit(l.ctx, t)
		switch {
		case err == nil && resp.Succeeded:
			l.answered(resp.Header.Revision, mark)
			return resp.Header.Revision, nil
		case err == nil:
			return l.written(&answers{resp: resp}, sent, value, mark)
		case refused(err) && !sent:
			return 0, explain(err)
		}
		sent = sent || !refused(err)
		if l.wait(l.ctx, pause(try)) != nil {
			break
		}
	}
	return 0, unknown(l.lost())
}

// written looks whether an earlier try wrote a block, which nobody else does.
func (l *Ledger) written(r *answers, sent bool, value, mark string) (int64, error) {
	holder, block, swept := r.next(), r.next(), r.next()
	is := ""
	if block != nil {
		is = string(block.Value)
	}
	switch {
	case modRevision(holder) != l.holder:
		l.end(ErrDeposed)
		return 0, l.lost()
	case !sent || is != value:
		l.end(fmt.Errorf("%w: %s was written by nobody who holds the ledger", ErrDeposed, mark))
		return 0, l.lost()
	}
	rev := modRevision(block)
	if block == nil {
		rev = modRevision(swept)
	}
	l.answered(rev, mark)
	return rev, nil
}

// inUse names the owners of what is in the way of a change of a block.
func (l *Ledger) inUse(pool string, err error) error {
	var taken *space.Taken
	if !errors.As(err, &taken) {
		return err
	}
	use := &InUse{Pool: pool, Prefix: taken.Asked}
	found, err := l.overlapping(l.ctx, pool, taken.Asked, namedOwners+1)
	if err != nil {
		return err
	}
	for _, e := range found[:min(len(found), namedOwners)] {
		use.Owners = append(use.Owners, e.Owner)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for owner, a := range l.flying { // they may not be in etcd yet
		if a.act == take && a.entry.Pool == pool && a.entry.Prefix.Overlaps(taken.Asked) && !slices.Contains(use.Owners, owner) {
			use.Owners = append(use.Owners, owner)
		}
	}
	use.More = len(found) > namedOwners
	return use
}
