package ledger

import (
	"runtime"
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
	l.dispatch()
}

// dispatch begins transactions for what waits. It is called with mu held.
func (l *Ledger) dispatch() {
	for batch := l.next(); batch != nil; batch = l.next() {
		l.work.Go(func() {
			for ; batch != nil; batch = l.ended() {
				l.carry(batch)
			}
		})
	}
}

// ended is what to do next where a transaction has ended; nil for nothing. Those who were answered go first: what they ask
// next goes along, where otherwise the few who wait already would make a small transaction.
func (l *Ledger) ended() []*ask {
	runtime.Gosched()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.commits--
	return l.next()
}

// next is the batch of a further transaction; nil where none waits, or enough are under way. Beyond width there are more
// only for what fills them: small ones at once cost more than they gain. It is called with mu held.
func (l *Ledger) next() []*ask {
	n := len(l.queue)
	if n == 0 || l.width > 0 && l.commits >= l.width && (l.commits >= widest || n < min(full, l.batch)) {
		return nil
	}
	l.commits++
	return l.cut()
}

// cut takes as many from the queue as fit in a transaction: of comparisons, writes and reads each is bounded.
func (l *Ledger) cut() []*ask {
	n, ops := 0, extraOps+1 // what lies in no block is fenced by the holder
	var blocks []*block
	for _, a := range l.queue {
		ops += 2
		if b := a.block(); b != nil && !slices.Contains(blocks, b) {
			blocks = append(blocks, b)
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
	for again := false; len(batch) > 0; again = true {
		var fences []fence
		batch, fences = l.fence(batch)
		if len(batch) == 0 {
			break
		}
		resp, err := l.do(batch, fences, again)
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
}

// do does the transaction of a batch.
func (l *Ledger) do(batch []*ask, fences []fence, again bool) (*clientv3.TxnResponse, error) {
	if again {
		return l.commit(l.ctx, l.txn(batch, fences, false))
	}
	return l.attempt(l.ctx, l.txn(batch, fences, true))
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
		rest = append(rest, a)
		if slices.ContainsFunc(fences, func(f fence) bool { return f.block == b }) {
			continue
		}
		f := fence{b, l.keys.holder, l.holder}
		if b != nil {
			f.key, f.rev = b.key, b.rev
		}
		fences = append(fences, f)
	}
	return rest, fences
}

// txn is the transaction of a batch. It reads nothing, as all that it has costs etcd, whichever way the comparison goes:
// inspect does, where it was not done.
func (l *Ledger) txn(batch []*ask, fences []fence, jointly bool) txn {
	t := txn{compare: make([]clientv3.Cmp, 0, len(fences)+2*len(batch)+1), then: make([]clientv3.Op, 0, 2*len(batch)+1)}
	removes := false
	for _, f := range fences {
		t.compare = append(t.compare, unchanged(f.key, f.rev))
	}
	t.compare = l.keys.compare(t.compare, batch, jointly)
	for _, a := range batch {
		t.then = a.write(l.keys, t.then)
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
			key = a.at(l.keys)
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
	l.moved[a.entry.Pool] = true // whatever became of it: a stray that was found rests
	switch {
	case a.act == take && err != nil && !a.keeps:
		a.pool.giveBack(a.entry.Prefix)
		l.tell(a.entry.Pool)
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
		l.tell(a.entry.Pool)
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
