package ledger

import (
	"slices"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// fence is what a transaction compares so that nobody else can have changed what this process's memory says: the key of a
// block, or for what lies in none the holder's.
type fence struct {
	block *block // nil: the holder
	key   string
	rev   int64
}

// enqueue has asks done, as soon as a transaction is free for them. It is called with mu held.
func (l *Ledger) enqueue(asks ...*ask) {
	l.queue = append(l.queue, asks...)
	for len(l.queue) > 0 && (l.width == 0 || l.commits < l.width) {
		batch := l.cut()
		l.commits++
		l.work.Go(func() { l.carry(batch) })
	}
}

// cut takes as many from the queue as fit in a transaction: of comparisons, writes and reads each is bounded.
func (l *Ledger) cut() []*ask {
	n, ops := 0, extraOps+1 // what lies in no block is fenced by the holder
	blocks := map[*block]struct{}{}
	for _, a := range l.queue {
		ops += 2
		if b := a.block(); b != nil {
			blocks[b] = struct{}{}
		}
		if n > 0 && (n == l.batch || ops+len(blocks) > maxOps) {
			break
		}
		n++
	}
	batch := slices.Clone(l.queue[:n])
	l.queue = slices.Delete(l.queue, 0, n)
	return batch
}

// carry sees a batch to its end. Whatever is in the way of one is told apart, and the others are tried again: with commit,
// which does not mind that the last change shows otherwise than attempt supposes.
func (l *Ledger) carry(batch []*ask) {
	for do := l.attempt; len(batch) > 0; do = l.commit {
		var fences []fence
		batch, fences = l.fence(batch)
		if len(batch) == 0 {
			break
		}
		resp, err := do(l.ctx, l.txn(batch, fences))
		switch {
		case err == nil && resp.Succeeded:
			l.succeed(batch, resp.Header.Revision)
			batch = nil
		case err == nil:
			batch = l.sort(batch, fences)
		case refused(err):
			l.fail(batch, explain(err))
			batch = nil
		default:
			batch = l.settle(batch, fences, err)
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.commits--
	l.enqueue()
}

// fence finds the fences of a batch. Asks whose block has been closed or dropped since they were placed end here.
func (l *Ledger) fence(batch []*ask) (rest []*ask, fences []fence) {
	l.mu.Lock()
	defer l.mu.Unlock()
	lost := l.lost()
	for _, a := range batch {
		b := a.block()
		switch {
		case lost != nil:
			l.finish(a, lost)
			continue
		case a.act == take && (b == nil || b.Closed):
			l.finish(a, errAgain)
			continue
		}
		f := fence{b, l.keys.holder, l.holder}
		if b != nil {
			f.key, f.rev = b.key, b.rev
		}
		rest = append(rest, a)
		if !slices.Contains(fences, f) {
			fences = append(fences, f)
		}
	}
	return rest, fences
}

// txn is the transaction of a batch. It reads nothing, as all that it has costs etcd, whichever way the comparison goes:
// inspect does, where it was not done.
func (l *Ledger) txn(batch []*ask, fences []fence) txn {
	var t txn
	removes := false
	for _, f := range fences {
		t.compare = append(t.compare, unchanged(f.key, f.rev))
	}
	for _, a := range batch {
		t.compare = append(t.compare, a.compare(l.keys)...)
		t.then = append(t.then, a.ops(l.keys)...)
		removes = removes || a.removes()
	}
	if removes {
		t.then = append(t.then, clientv3.OpPut(l.keys.swept, ""))
	}
	return t
}

// succeed ends asks that etcd has done.
func (l *Ledger) succeed(batch []*ask, revision int64) {
	key := l.keys.swept
	for _, a := range batch {
		if !a.removes() {
			key = l.keys.entry(a.entry.Pool, a.entry.Prefix)
			break
		}
	}
	l.answered(revision, key)
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, a := range batch {
		a.entry.Revision = revision
		l.finish(a, nil)
	}
}

// fail ends asks that etcd has not done.
func (l *Ledger) fail(batch []*ask, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, a := range batch {
		l.finish(a, err)
	}
}

// finish ends an ask and brings memory in step with it. It is called with mu held.
func (l *Ledger) finish(a *ask, err error) {
	a.err = err
	switch {
	case a.act == take && err != nil && !a.keeps:
		a.pool.giveBack(a.entry.Prefix)
		l.tell()
	case a.act == take && err == nil && a.keeps:
		l.awake(a)
	case a.rests() && err == nil:
		l.rest(quarantine{millis(a.entry.Until), a.pool, a.entry.Prefix, a.entry.Revision})
	case a.removes() && err == nil:
		l.gone(a)
	case a.act == sweep:
		l.sweepAgain(a)
	}
	delete(l.flying, a.flight())
	if err == nil {
		l.tell()
	}
	close(a.done)
}

// gone frees what etcd has no entry of any more. It is called with mu held.
func (l *Ledger) gone(a *ask) {
	b := a.block()
	if b == nil || !b.knows(a.entry.Prefix) {
		return // an audit tells of such entries
	}
	if a.act == sweep {
		b.resting -= size(a.entry.Prefix)
	}
	a.pool.giveBack(a.entry.Prefix)
}

// awake ends a quarantine by which its owner has it again. It is called with mu held.
func (l *Ledger) awake(a *ask) {
	if b := a.block(); b != nil {
		b.resting -= size(a.entry.Prefix)
	}
}
