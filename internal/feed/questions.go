package feed

import (
	"errors"
	"fmt"
	"time"
)

// Bounds of the questions of one session, each way.
const (
	// MaxPayload is the largest payload of a question or an answer, in bytes.
	MaxPayload   = 1 << 20
	maxQuestions = 64
)

// NoAnswer is the error of an answer that nobody gave in time.
const NoAnswer = "no answer in time"

// ErrBusy says that a session has as many open questions as it may have.
var ErrBusy = errors.New("too many open questions")

// asker keeps the questions put to the peer.
type asker struct {
	lastID  uint64
	open    map[uint64]time.Time // the deadlines
	out     []Message
	answers []Answer
	stats   *Stats
}

func (a *asker) ask(kind string, payload []byte, patience time.Duration, now time.Time) (uint64, error) {
	if len(a.open) >= maxQuestions {
		return 0, ErrBusy
	}
	if len(payload) > MaxPayload {
		return 0, fmt.Errorf("a question of %d bytes is larger than %d", len(payload), MaxPayload)
	}
	a.lastID++
	a.open[a.lastID] = now.Add(patience)
	a.out = append(a.out, Question{ID: a.lastID, Kind: kind, Payload: payload, Patience: patience})
	a.stats.Questions.Add(1)
	return a.lastID, nil
}

// answered takes an answer; one that nobody waits for any more is dropped.
func (a *asker) answered(answer Answer) {
	if _, open := a.open[answer.ID]; open {
		delete(a.open, answer.ID)
		a.answers = append(a.answers, answer)
	}
}

func (a *asker) cancel(id uint64) {
	if _, open := a.open[id]; open {
		delete(a.open, id)
		a.out = append(a.out, Cancel{ID: id})
		a.stats.Unanswered.Add(1)
	}
}

// expire gives up the questions whose deadline has passed.
func (a *asker) expire(now time.Time) {
	for id, deadline := range a.open {
		if !now.Before(deadline) {
			a.cancel(id)
			a.answers = append(a.answers, Answer{ID: id, Error: NoAnswer})
		}
	}
}

// replier keeps the questions that the peer put.
type replier struct {
	open      map[uint64]struct{}
	out       []Message
	questions []Question
	cancelled []uint64
}

func (r *replier) asked(q Question) {
	if _, open := r.open[q.ID]; open {
		return
	}
	if len(r.open) >= maxQuestions {
		r.out = append(r.out, Answer{ID: q.ID, Error: ErrBusy.Error()})
		return
	}
	r.open[q.ID] = struct{}{}
	r.questions = append(r.questions, q)
}

func (r *replier) withdrawn(id uint64) {
	if _, open := r.open[id]; open {
		delete(r.open, id)
		r.cancelled = append(r.cancelled, id)
	}
}

// answer sends an answer, unless the question was taken back.
func (r *replier) answer(id uint64, payload []byte, err error) {
	if _, open := r.open[id]; !open {
		return
	}
	delete(r.open, id)
	answer := Answer{ID: id, Payload: payload}
	switch {
	case err != nil:
		answer = Answer{ID: id, Error: err.Error()}
	case len(payload) > MaxPayload:
		answer = Answer{ID: id, Error: fmt.Sprintf("the answer of %d bytes is larger than %d", len(payload), MaxPayload)}
	}
	r.out = append(r.out, answer)
}
