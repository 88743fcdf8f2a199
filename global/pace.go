package global

import (
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// What is under way is said a little later, as most of it is over by then, and for so many applications a second: a
// status write costs the hub's API server more than the spec did, and a rollout of hundreds must not wait for its own
// progress reports. Outcomes and what needs a person are said at once.
const (
	progressAfter  = 250 * time.Millisecond
	progressRate   = 5 // a second
	progressBursts = 10
	// progressPatience bounds the line of those that wait for their turn: what finds it longer asks again after that.
	progressPatience = 10 * time.Second
)

// pace says when a status that only tells of progress is due.
type pace struct {
	mu      sync.Mutex
	due     map[target]turn // guarded by mu
	limiter *rate.Limiter
}

// turn is when to look at an object's progress again; reserved says that it is written then.
type turn struct {
	at       time.Time
	reserved bool
}

func newPace() *pace {
	return &pace{due: map[target]turn{}, limiter: rate.NewLimiter(progressRate, progressBursts)}
}

// wait is how long the object's progress is not due yet. The first call begins the waiting, done ends it. Only what is
// progress still after progressAfter takes a turn from others.
func (p *pace) wait(t target, now time.Time) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	due, waits := p.due[t]
	switch {
	case !waits:
		due = turn{at: now.Add(progressAfter)}
	case !due.reserved && !now.Before(due.at):
		due = p.reserve(now)
	}
	p.due[t] = due
	return due.at.Sub(now)
}

// reserve takes a place in the line, with mu held.
func (p *pace) reserve(now time.Time) turn {
	place := p.limiter.ReserveN(now, 1)
	delay := place.DelayFrom(now)
	if delay > progressPatience {
		place.CancelAt(now)
		return turn{at: now.Add(progressPatience)}
	}
	return turn{at: now.Add(delay), reserved: true}
}

// left is how long the object's progress is not due yet, if it waits.
func (p *pace) left(t target, now time.Time) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if due, waits := p.due[t]; waits {
		return due.at.Sub(now)
	}
	return 0
}

// done ends the object's waiting: its status is written, or what was to be said is no longer so.
func (p *pace) done(t target) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.due, t)
}
