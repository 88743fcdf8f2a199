package feedgrpc

import "time"

// alarm rings at one time, or never. An idle session sets it once, for the next comparison.
type alarm struct {
	timer *time.Timer
	at    time.Time // zero while it is not set
}

func newAlarm() *alarm {
	timer := time.NewTimer(time.Hour)
	timer.Stop()
	return &alarm{timer: timer}
}

// set sets it to a time, or, if ok is false, to none.
func (a *alarm) set(at time.Time, ok bool) {
	switch {
	case !ok && !a.at.IsZero():
		a.stop()
	case ok && !a.at.Equal(at):
		a.at = at
		a.timer.Reset(time.Until(at))
	}
}

func (a *alarm) rings() <-chan time.Time { return a.timer.C }

// rang says that the ring was heard.
func (a *alarm) rang() { a.at = time.Time{} }

func (a *alarm) stop() {
	a.timer.Stop()
	a.at = time.Time{}
}
