package ledger

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/meridian-federation/meridian/ipam/space"
)

// mostEntries is how many are answered at once.
const mostEntries = 1000

// errTorn: an owner's key and its entry do not fit together. They are written together, so that may only be because one
// was read later than the other.
var errTorn = errors.New("the owner's key leads to no entry of it; an audit tells more")

// Get is what an owner holds, or ErrNotFound.
func (l *Ledger) Get(ctx context.Context, owner string) (Entry, error) {
	if err := checkOwner(owner); err != nil {
		return Entry{}, err
	}
	for last := int64(0); ; {
		e, at, err := l.holding(ctx, owner)
		if !errors.Is(err, errTorn) || at == last {
			return e, err
		}
		last = at
	}
}

// holding reads what an owner holds, and the revision of the owner's key.
func (l *Ledger) holding(ctx context.Context, owner string) (Entry, int64, error) {
	resp, err := l.get(ctx, l.keys.owners+owner)
	if err != nil {
		return Entry{}, 0, err
	}
	if len(resp.Kvs) == 0 {
		return Entry{}, 0, ErrNotFound
	}
	key := resp.Kvs[0]
	resp, err = l.get(ctx, l.keys.entries+string(key.Value))
	if err != nil {
		return Entry{}, 0, err
	}
	if len(resp.Kvs) == 0 {
		return Entry{}, key.ModRevision, errTorn
	}
	e, err := l.keys.decodeEntry(resp.Kvs[0])
	if err == nil && (e.Owner != owner || e.Revision != key.ModRevision || !e.Until.IsZero()) {
		err = errTorn
	}
	return e, key.ModRevision, err
}

// Find is the entries of all pools that overlap a prefix, in quarantine or not: the first 1,000 of each pool.
func (l *Ledger) Find(ctx context.Context, p netip.Prefix) ([]Entry, error) {
	if err := space.Check(p); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	var out []Entry
	for _, pool := range l.Pools() {
		if pool.IPv6 != p.Addr().Is6() {
			continue
		}
		found, err := l.overlapping(ctx, pool.Name, p, mostEntries)
		if err != nil {
			return nil, fmt.Errorf("finding who has %s: %w", p, err)
		}
		out = append(out, found...)
	}
	return out, nil
}

// FindIn are the first limit of the entries of one pool that overlap a prefix.
func (l *Ledger) FindIn(ctx context.Context, pool string, p netip.Prefix, limit int) ([]Entry, error) {
	if err := space.Check(p); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	found, err := l.overlapping(ctx, pool, p, int64(limit))
	if err != nil {
		return nil, fmt.Errorf("finding who has %s of pool %s: %w", p, pool, err)
	}
	return found[:min(limit, len(found))], nil
}

// overlapping is the first entries of a pool that overlap a prefix.
func (l *Ledger) overlapping(ctx context.Context, pool string, p netip.Prefix, limit int64) ([]Entry, error) {
	var kvs []*mvccpb.KeyValue
	if around := l.around(pool, p); around.IsValid() && around.Addr() != p.Addr() {
		resp, err := l.get(ctx, l.keys.entry(pool, around))
		if err != nil {
			return nil, err
		}
		kvs = resp.Kvs
	}
	from, end := l.keys.within(pool, p)
	resp, err := l.get(ctx, from, clientv3.WithRange(end), clientv3.WithLimit(limit))
	if err != nil {
		return nil, err
	}
	return l.decode(append(kvs, resp.Kvs...))
}

// around is the prefix, taken as such, in which another lies by this process's memory.
func (l *Ledger) around(pool string, p netip.Prefix) netip.Prefix {
	l.mu.Lock()
	defer l.mu.Unlock()
	if held := l.pools[pool]; held != nil {
		if b := held.at(p); b != nil {
			if by, err := b.space.Holder(p); err == nil && by.IsValid() && by.Bits() <= p.Bits() {
				return by
			}
		}
	}
	return netip.Prefix{}
}

func (l *Ledger) decode(kvs []*mvccpb.KeyValue) ([]Entry, error) {
	out := make([]Entry, 0, len(kvs))
	for _, kv := range kvs {
		e, err := l.keys.decodeEntry(kv)
		if err != nil {
			return nil, err
		}
		out = append(out, e)
	}
	return out, nil
}

// List is a page of entries, and where the next one begins; empty after the last.
func (l *Ledger) List(ctx context.Context, q Query) (entries []Entry, next string, err error) {
	entries, next, _, err = l.page(ctx, q, 0)
	if err != nil {
		return nil, "", fmt.Errorf("listing entries: %w", err)
	}
	return entries, next, nil
}

// page is List as of a revision, or of now where that is 0, and the revision.
func (l *Ledger) page(ctx context.Context, q Query, at int64) (entries []Entry, next string, now int64, err error) {
	if q.Limit <= 0 || q.Limit > mostEntries {
		q.Limit = mostEntries
	}
	root, under := l.keys.entries, ""
	switch {
	case q.OwnerPrefix != "":
		root, under = l.keys.owners, q.OwnerPrefix
	case q.Pool != "":
		under = q.Pool + "/"
	}
	from, end := root+under, clientv3.GetPrefixRangeEnd(root+under)
	if q.From != "" {
		from = max(from, root+q.From+"\x00")
	}
	resp, err := l.get(ctx, from, clientv3.WithRange(end), clientv3.WithLimit(int64(q.Limit)), clientv3.WithRev(at))
	if err != nil {
		return nil, "", 0, err
	}
	if now = at; now == 0 {
		now = resp.Header.Revision
	}
	if resp.More {
		next = string(resp.Kvs[len(resp.Kvs)-1].Key[len(root):])
	}
	if q.OwnerPrefix == "" {
		entries, err = l.decode(resp.Kvs)
		return entries, next, now, err
	}
	entries, err = l.held(ctx, q, resp.Kvs, now)
	return entries, next, now, err
}

// held reads the entries to which owners' keys led at a revision.
func (l *Ledger) held(ctx context.Context, q Query, owners []*mvccpb.KeyValue, at int64) ([]Entry, error) {
	var out []Entry
	for len(owners) > 0 {
		n := min(len(owners), maxOps)
		var t txn
		for _, kv := range owners[:n] {
			t.then = append(t.then, clientv3.OpGet(l.keys.entries+string(kv.Value), clientv3.WithRev(at)))
		}
		resp, err := l.send(ctx, t)
		if err != nil {
			return nil, fmt.Errorf("reading etcd: %w", err)
		}
		r := &answers{resp: resp}
		for range n {
			kv := r.next()
			if kv == nil {
				continue // a torn pair, which an audit tells of
			}
			e, err := l.keys.decodeEntry(kv)
			if err != nil {
				return nil, err
			}
			if q.Pool == "" || e.Pool == q.Pool {
				out = append(out, e)
			}
		}
		owners = owners[n:]
	}
	return out, nil
}
