package ledger

import (
	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// settle finds out what became of a batch whose transaction was not answered. It writes the fences anew, so that what may
// still be on its way to etcd is refused there, and reads in the same transaction what there is.
//
// It returns what was not done, to be tried again.
func (l *Ledger) settle(batch []*ask, fences []fence, reason error) (rest []*ask) {
	l.log.Info("etcd did not answer a transaction", "changes", len(batch), "error", reason)
	l.fencing.Lock()
	defer l.fencing.Unlock()
	for try := 0; l.lost() == nil; try++ {
		resp, err := l.commit(l.ctx, l.refence(batch, fences))
		if err != nil {
			if l.wait(l.ctx, pause(try)) != nil {
				break
			}
			continue
		}
		r := &answers{resp: resp}
		if resp.Succeeded {
			r.at = puts(fences)
			l.fenced(fences, resp.Header.Revision)
			return l.decide(batch, fences, r)
		}
		if modRevision(r.next()) != l.holder {
			l.end(ErrDeposed)
			break
		}
		l.adopt(fences, r)
	}
	l.fail(batch, unknown(l.lost()))
	return nil
}

// refence is the transaction that settles a batch. A fence that is the holder's is left as it is: what lies in no block is
// never taken, and a release that comes late does no harm.
func (l *Ledger) refence(batch []*ask, fences []fence) txn {
	t := txn{compare: []clientv3.Cmp{unchanged(l.keys.holder, l.holder)}, otherwise: []clientv3.Op{clientv3.OpGet(l.keys.holder)}}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, f := range fences {
		if f.block == nil {
			continue
		}
		t.compare = append(t.compare, unchanged(f.key, f.block.rev))
		t.then = append(t.then, clientv3.OpPut(f.key, encodeBlock(f.block.Block, f.block.quarantine)))
		t.otherwise = append(t.otherwise, clientv3.OpGet(f.key))
	}
	for _, a := range batch {
		t.then = append(t.then, a.gets(l.keys)...)
	}
	return t
}

func puts(fences []fence) (n int) {
	for _, f := range fences {
		if f.block != nil {
			n++
		}
	}
	return n
}

// fenced remembers the revision at which fences were written.
func (l *Ledger) fenced(fences []fence, revision int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, f := range fences {
		if f.block != nil {
			f.block.rev = revision
		}
	}
}

// adopt remembers the revisions that fences have: an earlier try to write them was done, and not answered either.
func (l *Ledger) adopt(fences []fence, r *answers) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, f := range fences {
		if f.block != nil {
			f.block.rev = modRevision(r.next())
		}
	}
}

// decide ends the asks that were done, or cannot be, and returns the others.
func (l *Ledger) decide(batch []*ask, fences []fence, r *answers) (rest []*ask) {
	done, verdicts := make([]int64, len(batch)), make([]verdict, len(batch))
	for i, a := range batch {
		at := r.at
		if done[i] = wasDone(a, r); done[i] == 0 {
			r.at = at
			verdicts[i] = l.judge(a, r)
		}
	}
	if fences[0].block != nil {
		l.answered(r.resp.Header.Revision, fences[0].key)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, a := range batch {
		switch {
		case done[i] != 0:
			a.entry.Revision = done[i]
			l.finish(a, nil)
		case verdicts[i].err != nil:
			l.convict(a, verdicts[i])
		default:
			rest = append(rest, a)
		}
	}
	return rest
}

// wasDone reads whether an ask was done: the revision of it, or at which it shows, or 0.
func wasDone(a *ask, r *answers) int64 {
	entry, owner := r.next(), (*mvccpb.KeyValue)(nil)
	if a.named() {
		owner = r.next()
	}
	switch {
	case a.act == take:
		if entry != nil && modRevision(owner) == entry.ModRevision && string(entry.Value) == encodeEntry(a.entry) {
			return entry.ModRevision
		}
	case a.removes() && entry == nil && owner == nil:
		return r.resp.Header.Revision
	case a.rests() && entry != nil && owner == nil && string(entry.Value) == encodeEntry(a.entry):
		return entry.ModRevision
	}
	return 0
}
