// Package audittest holds audit events in memory, for tests of those who record them.
package audittest

import (
	"encoding/json"
	"fmt"
	"sync"

	"github.com/meridian-federation/meridian/internal/audit"
)

// Event is a recorded event, as its line tells it.
type Event struct {
	Place      string         `json:"place"`
	Action     audit.Action   `json:"action"`
	Actor      string         `json:"actor"`
	Subject    string         `json:"subject"`
	Result     audit.Result   `json:"result"`
	Reason     string         `json:"reason"`
	Detail     map[string]any `json:"detail"`
	Suppressed int64          `json:"suppressed"`
}

// Recorder keeps events. Its zero value is ready.
type Recorder struct {
	mu     sync.Mutex
	events []Event // guarded by mu
}

// Log records into the recorder.
func (r *Recorder) Log() *audit.Log { return audit.To(r) }

// Write takes the line of one event.
func (r *Recorder) Write(line []byte) (int, error) {
	var e Event
	if err := json.Unmarshal(line, &e); err != nil {
		return 0, fmt.Errorf("reading the audit event %q: %w", line, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, e)
	return len(line), nil
}

// Events gives those of one action so far, in their order; of all with none given.
func (r *Recorder) Events(action audit.Action) []Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	var of []Event
	for _, e := range r.events {
		if action == "" || e.Action == action {
			of = append(of, e)
		}
	}
	return of
}
