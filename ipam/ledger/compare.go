package ledger

import (
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// unchanged holds while a key has a modification revision; 0 while there is none. clientv3.Compare makes the same, and
// copies it field by field on the way.
func unchanged(key string, rev int64) clientv3.Cmp {
	var out clientv3.Cmp
	c := out.GetCompare()
	c.Key, c.Target, c.Result = []byte(key), pb.Compare_MOD, pb.Compare_EQUAL
	c.TargetUnion = &pb.Compare_ModRevision{ModRevision: rev}
	return out
}

// vacant holds while no entry begins in what two prefixes, and all between them, make up.
func (l layout) vacant(pool string, first, last *ask) clientv3.Cmp {
	from, _ := l.within(pool, first.entry.Prefix)
	_, end := l.within(pool, last.entry.Prefix)
	out := unchanged(from, 0)
	out.GetCompare().RangeEnd = []byte(end)
	return out
}

// compare appends the conditions of a batch, but for its fences. With jointly one does for each run, which spares etcd most
// of them; where it does not hold, only comparing one by one tells what is in the way of whom.
func (l layout) compare(out []clientv3.Cmp, batch []*ask, jointly bool) []clientv3.Cmp {
	for n := 0; len(batch) > 0; batch = batch[n:] {
		n = 1
		if jointly {
			n = run(batch)
		}
		if n > 1 {
			out = append(out, l.vacant(batch[0].entry.Pool, batch[0], batch[n-1]))
		} else {
			out = append(out, unchanged(batch[0].at(l), batch[0].held))
		}
		for _, a := range batch[:n] {
			if a.named() {
				out = append(out, unchanged(l.owners+a.entry.Owner, a.owner))
			}
		}
	}
	return out
}

// run is how many of the first asks want what nobody has, each right behind the one before, as requests that wait together
// are placed; 1 where the first one does not.
func run(batch []*ask) int {
	for i, a := range batch {
		if a.held != 0 || i > 0 && (a.pool != batch[0].pool || last(batch[i-1].entry.Prefix).Next() != a.entry.Prefix.Addr()) {
			return max(1, i)
		}
	}
	return len(batch)
}
