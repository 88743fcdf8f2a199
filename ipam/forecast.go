package ipam

import (
	"math"
	"time"
)

// memory is how long the rate remembers.
const memory = time.Hour

// rate is how fast a pool fills: each address taken counts for one, each given back for one less, and what is longer ago
// counts for less, to a third after an hour.
type rate struct {
	last  time.Time
	taken float64
	// perSecond is as of last.
	perSecond float64
}

// observe counts what was taken since the last time. The first time there is nothing to compare with.
func (r *rate) observe(now time.Time, taken float64) {
	if r.last.IsZero() {
		r.last, r.taken = now, taken
		return
	}
	r.perSecond = r.at(now) + (taken-r.taken)/memory.Seconds()
	r.last, r.taken = now, taken
}

// at is the rate at a time, in addresses a second.
func (r rate) at(now time.Time) float64 {
	return r.perSecond * math.Exp(-now.Sub(r.last).Seconds()/memory.Seconds())
}

// exhausted is in how many seconds so many free addresses are taken, at the rate of a time: infinite where it does not fill.
func (r rate) exhausted(now time.Time, free float64) float64 {
	if perSecond := r.at(now); perSecond > 0 && !r.last.IsZero() {
		return free / perSecond
	}
	return math.Inf(1)
}
