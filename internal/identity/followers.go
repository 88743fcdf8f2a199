package identity

import (
	"context"
	"crypto/sha256"
	"errors"
	"sync"

	"github.com/meridian-federation/meridian/internal/question"
)

// maxFollowers bounds the streams of one place, which has one for each of its processes.
const maxFollowers = 64

var (
	errFollowedAnew = errors.New("another stream was begun by the same certificate")
	errFollowers    = errors.New("too many processes of this place follow already")
)

// followers are those who follow whom to believe: one stream for each certificate that was issued, so that one which begins
// anew takes the place of its last, which may not be known to be gone.
type followers struct {
	mu     sync.Mutex
	places map[question.Path]map[[sha256.Size]byte]*follower // guarded by mu
}

type follower struct{ end context.CancelCauseFunc }

// enter begins a stream, which ends with ctx, when the same certificate begins another, or by leave.
func (f *followers) enter(ctx context.Context, v verified) (_ context.Context, leave func(), err error) {
	key := KeyHash(v.issued())
	f.mu.Lock()
	defer f.mu.Unlock()
	place := f.places[v.path]
	before := place[key]
	switch {
	case before != nil:
		before.end(errFollowedAnew)
	case len(place) >= maxFollowers:
		return nil, nil, errFollowers
	case place == nil:
		if f.places == nil {
			f.places = map[question.Path]map[[sha256.Size]byte]*follower{}
		}
		place = map[[sha256.Size]byte]*follower{}
		f.places[v.path] = place
	}
	ctx, cancel := context.WithCancelCause(ctx)
	mine := &follower{end: cancel}
	place[key] = mine
	return ctx, func() { cancel(nil); f.leave(v.path, key, mine) }, nil
}

func (f *followers) leave(path question.Path, key [sha256.Size]byte, mine *follower) {
	f.mu.Lock()
	defer f.mu.Unlock()
	place := f.places[path]
	if place[key] != mine {
		return // another has taken its place
	}
	if delete(place, key); len(place) == 0 {
		delete(f.places, path)
	}
}
