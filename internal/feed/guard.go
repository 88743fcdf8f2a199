package feed

import "time"

// The guard holds back removals that nobody asked for once, within guardSpan, they are more than guardShare of what is
// held and at least guardKeys.
const (
	guardSpan  = 10 * time.Minute
	guardShare = 0.30
	guardKeys  = 20
)

// Guard is the guard's memory. It is persisted with State, so that a restart is no way round it.
type Guard struct {
	// Tripped: removals are being held back until somebody confirms them.
	Tripped bool `json:"tripped,omitempty"`
	// Minutes are the removals that passed, by Unix minute, the oldest first.
	Minutes []MinuteCount `json:"minutes,omitempty"`
}

// MinuteCount is how many removals passed in one minute.
type MinuteCount struct {
	Minute int64 `json:"minute"`
	Count  int   `json:"count"`
}

// clone is a copy that shares nothing.
func (g Guard) clone() Guard {
	g.Minutes = append([]MinuteCount(nil), g.Minutes...)
	return g
}

// passes counts one removal and tells whether it may pass. held is how many keys are held now, with those that passed
// and are not yet applied taken off.
func (g *Guard) passes(now time.Time, held int) bool {
	if g.Tripped {
		return false
	}
	minute := now.Unix() / 60
	for len(g.Minutes) > 0 && g.Minutes[0].Minute <= minute-int64(guardSpan/time.Minute) {
		g.Minutes = g.Minutes[1:]
	}
	count := 1
	for _, m := range g.Minutes {
		count += m.Count
	}
	if count >= guardKeys && float64(count) > guardShare*float64(held+count-1) {
		g.Tripped = true
		return false
	}
	if last := len(g.Minutes) - 1; last >= 0 && g.Minutes[last].Minute == minute {
		g.Minutes[last].Count++
	} else {
		g.Minutes = append(g.Minutes, MinuteCount{Minute: minute, Count: 1})
	}
	return true
}
