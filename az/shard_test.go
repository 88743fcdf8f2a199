package az

import (
	"bytes"
	"log/slog"
	"testing"
)

// TestWeightsThatCannotBeRead are complained of once for each time that they change, and those known before stay.
func TestWeightsThatCannotBeRead(t *testing.T) {
	var log bytes.Buffer
	s := &clusterShard{log: slog.New(slog.NewTextHandler(&log, nil))}
	s.weigh([]byte(`{"c1": 7}`))
	for range 3 {
		s.weigh([]byte(`{"c1": "many"}`))
	}
	if got := bytes.Count(log.Bytes(), []byte("level=ERROR")); got != 1 {
		t.Errorf("logged %d errors, want one: %s", got, &log)
	}
	if got := s.weights.of("c1"); got != 7 {
		t.Errorf("the weight of c1 is %d, want 7 as before", got)
	}
}
