package ledger

import (
	"fmt"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// sort ends those of a batch that are in the way of it, and returns the others, which may be all: whatever was in the way
// may not be any more.
func (l *Ledger) sort(batch []*ask, fences []fence) (rest []*ask) {
	r, batch := l.inspect(batch, fences)
	if r == nil {
		return batch
	}
	moved := ""
	for _, f := range fences {
		if modRevision(r.next()) != f.rev {
			moved = f.key
		}
	}
	verdicts := make([]verdict, len(batch))
	for i, a := range batch {
		verdicts[i] = l.judge(a, r)
	}
	if modRevision(r.next()) != l.holder {
		l.end(ErrDeposed)
	}
	if moved != "" && !l.fencedSince(fences) {
		l.end(fmt.Errorf("%w: %s was written by nobody who holds the ledger", ErrDeposed, moved))
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, a := range batch {
		if verdicts[i].err == nil {
			rest = append(rest, a)
			continue
		}
		l.convict(a, verdicts[i])
	}
	return rest
}

// inspect reads what the transaction of a batch compared, which may have changed since. It goes on until etcd has answered;
// without an answer etcd has refused, by which the batch has ended, or the ledger is lost.
func (l *Ledger) inspect(batch []*ask, fences []fence) (r *answers, rest []*ask) {
	var t txn
	for _, f := range fences {
		t.then = append(t.then, clientv3.OpGet(f.key))
	}
	for _, a := range batch {
		t.then = append(t.then, a.gets(l.keys)...)
	}
	t.then = append(t.then, clientv3.OpGet(l.keys.holder))
	for try := 0; l.lost() == nil; try++ {
		resp, err := l.commit(l.ctx, t)
		if err == nil {
			return &answers{resp: resp}, batch
		}
		if refused(err) {
			l.fail(batch, explain(err))
			return nil, nil
		}
		if l.wait(l.ctx, pause(try)) != nil {
			break
		}
	}
	return nil, batch
}

// verdict is what was in the way of an ask: nothing, if err is nil.
type verdict struct {
	err error
	// stray is an entry that memory does not know of, where that was in the way.
	stray *mvccpb.KeyValue
}

// judge reads what an ask compared.
func (l *Ledger) judge(a *ask, r *answers) (v verdict) {
	entry := r.next()
	if a.named() && modRevision(r.next()) != a.owner {
		v.err = errAgain
		if a.act == take {
			v.err = errHolds
		}
	}
	if modRevision(entry) != a.held {
		v.err = errAgain
		if a.act == take && !a.keeps {
			v.stray = entry
		}
	}
	return v
}

// convict ends an ask. It is called with mu held.
func (l *Ledger) convict(a *ask, v verdict) {
	if v.stray != nil {
		l.log.Warn("an entry that memory did not know of", "pool", a.entry.Pool, "prefix", a.entry.Prefix, "revision", v.stray.ModRevision)
		a.keeps = true // it stays taken
		if until, err := untilOf(v.stray.Value); err == nil && until != 0 {
			l.rest(quarantine{until, a.pool, a.entry.Prefix, v.stray.ModRevision})
		}
	}
	l.finish(a, v.err)
}

// fencedSince tells whether this process itself has written a block since a transaction compared it, or is about to.
func (l *Ledger) fencedSince(fences []fence) bool {
	l.fencing.Lock() // whoever writes one now has remembered its revision when it is done
	defer l.fencing.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, f := range fences {
		if f.block != nil && f.block.rev != f.rev {
			return true
		}
	}
	return false
}
