package audit

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestWhatWasHeldBackIsCountedInTheNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := bounds{actions: map[Action]*bound{}}
		refusal := Event{Action: Renew, Result: Refused}
		passed := 0
		for range refusalBurst + 5 {
			if _, ok := b.pass(refusal); ok {
				passed++
			}
		}
		if passed != refusalBurst {
			t.Errorf("passed at once: got %d, want %d", passed, refusalBurst)
		}
		time.Sleep(time.Second)
		if n, ok := b.pass(refusal); n != 5 || !ok {
			t.Errorf("a second later: got %d suppressed, %v, want 5, true", n, ok)
		}
		if n, ok := b.pass(refusal); n != 0 || !ok {
			t.Errorf("the one after it: got %d suppressed, %v, want 0, true", n, ok)
		}
	})
}
