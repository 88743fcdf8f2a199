package tiertest

import (
	"testing"
	"time"
)

// patience is how long a condition may take to come about; it is for broken code alone.
const patience = 30 * time.Second

// recheck looks at conditions that nobody announces, such as a session's standing.
const recheck = 20 * time.Millisecond

// Await waits until cond holds.
func Await(t testing.TB, what string, cond func() bool) {
	t.Helper()
	await(t, what, func() (bool, <-chan struct{}) { return cond(), nil })
}

// await waits until cond holds; it is asked again when the channel that it returns is closed.
func await(t testing.TB, what string, cond func() (bool, <-chan struct{})) {
	t.Helper()
	deadline := time.After(patience)
	for {
		ok, changed := cond()
		if ok {
			return
		}
		select {
		case <-changed:
		case <-time.After(recheck):
		case <-deadline:
			t.Fatalf("waited %s in vain until %s", patience, what)
		}
	}
}
