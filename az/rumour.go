package az

import (
	"context"
	"time"
)

// listen brings in what gossip notices, until ctx ends, and that a member which gossip lost counts again. A leader that is
// gone is deposed, so that the next need not wait for its lease.
func (r *roster) listen(ctx context.Context) error {
	if r.gossip == nil {
		return nil
	}
	for {
		changed := r.gossip.Changed()
		back := r.back()
		due := back
		if !r.deposeGone(ctx) {
			if again := time.Now().Add(joinPause); due.IsZero() || again.Before(due) {
				due = again
			}
		}
		var timer <-chan time.Time
		if !due.IsZero() {
			timer = time.After(time.Until(due))
		}
		select {
		case <-changed:
			r.heard(true)
		case <-timer:
			if !back.IsZero() && !time.Now().Before(back) {
				r.heard(false)
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// heard tells that others may take part now; stirred: because some of them came or went.
func (r *roster) heard(stirred bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if stirred {
		r.stirred = time.Now()
	}
	r.wake(true)
}

// back is when the first of the members that are gone counts again by its lease; zero if none is gone.
func (r *roster) back() (first time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	for id := range r.members {
		if gone, until := r.gone(id, now); gone && (first.IsZero() || until.Before(first)) {
			first = until
		}
	}
	return first
}

// deposeGone deposes the leader if it is gone. It returns false if that has to be tried again.
func (r *roster) deposeGone(ctx context.Context) bool {
	gone := r.goneLeader()
	if gone == "" {
		return true
	}
	try, cancel := context.WithTimeout(ctx, deposeWithin)
	defer cancel()
	err := r.registry.Depose(try, gone)
	if err != nil && ctx.Err() == nil {
		r.log.Warn("deposing a leader that is gone", "leader", gone, "error", err, "again", joinPause)
	}
	return err == nil
}

func (r *roster) goneLeader() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.leaderID == "" || r.leaderID == r.self.ID {
		return ""
	}
	if gone, _ := r.gone(r.leaderID, time.Now()); gone {
		return r.leaderID
	}
	return ""
}

// gone tells, with mu held, whether gossip lost a member that has not shown since that it lives, and when its lease alone
// will have shown it.
func (r *roster) gone(id string, now time.Time) (gone bool, until time.Time) {
	if r.gossip == nil {
		return false, time.Time{}
	}
	at, lost := r.gossip.Lost(id)
	if !lost || r.proofs[id].After(at) {
		return false, time.Time{}
	}
	until = at.Add(proofAfter)
	return now.Before(until), until
}
