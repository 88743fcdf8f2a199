package global

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
)

// metaHub is the name under which the store remembers the hub's identity.
const metaHub = "hub-uid"

// metaDoubt is the name under which the store remembers that the hub has taken the place of another, and that nobody has
// let removals go since.
const metaDoubt = "hub-doubt"

// hubIdentity remembers which API server is the hub and stops Global before any other.
type hubIdentity struct {
	ask func(ctx context.Context) (string, error)
	log *slog.Logger

	mu       sync.Mutex // guards all below
	expected string
	// stranger is another server's identity, found where the hub should be.
	stranger string
	since    time.Time
	// said is the last complaint, so that many who wait complain once.
	said string
}

// strangerError is the error of having met another API server than the one remembered.
type strangerError struct{ expected, found string }

func (e *strangerError) Error() string {
	return fmt.Sprintf("the hub's API server is not the one that Global knows: kube-system has UID %s, expected %s; "+
		"nothing is touched until it is back, or until `meridian confirm global --what identity`", e.found, e.expected)
}

// check asks the API server who it is. The first answer ever is accepted.
func (i *hubIdentity) check(ctx context.Context) error {
	found, err := i.ask(ctx)
	if err != nil {
		return err
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.expected == "" {
		i.expected = found
	}
	if found == i.expected {
		i.stranger, i.said = "", ""
		return nil
	}
	if i.stranger != found {
		i.stranger, i.since = found, time.Now()
	}
	return &strangerError{i.expected, found}
}

// await waits until the API server answers and is the one expected, or until ctx ends.
func (i *hubIdentity) await(ctx context.Context) error {
	backoff := wait.Backoff{Duration: 200 * time.Millisecond, Factor: 1.5, Cap: 2 * time.Second, Steps: 10, Jitter: 0.1}
	for {
		err := i.check(ctx)
		if err == nil || ctx.Err() != nil {
			return ctx.Err()
		}
		i.complain(err)
		pause(ctx, backoff.Step())
	}
}

func (i *hubIdentity) complain(err error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if text := err.Error(); text != i.said {
		i.said = text
		i.log.Error("the hub's API server is not usable; decisions wait", "error", err)
	}
}

// expect sets the identity that the store remembers; "" accepts the first.
func (i *hubIdentity) expect(uid string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.expected = uid
}

// known is the identity that is accepted now.
func (i *hubIdentity) known() string {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.expected
}

// mismatch returns the stranger that was met last, if the hub has not been met since.
func (i *hubIdentity) mismatch() (stranger string, since time.Time) {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.stranger, i.since
}

// confirm accepts the stranger, if there is one, as the hub from now on.
func (i *hubIdentity) confirm() {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.stranger != "" {
		i.expected, i.stranger = i.stranger, ""
	}
}
