package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/credentials/insecure"

	"github.com/meridian-federation/meridian/internal/question"
)

// TestWaitingForChildrenSaysWhatIsMissing has a worker whose children never come.
func TestWaitingForChildrenSaysWhatIsMissing(t *testing.T) {
	over := errors.New("time is over")
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	var looked atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if looked.Add(1) > 1 {
			cancel(over)
		}
		fmt.Fprintln(w, `meridian_feed_sessions{link="children"} 1`)
	}))
	defer server.Close()
	defer http.DefaultClient.CloseIdleConnections()
	f := &federation{dial: func(context.Context) (*question.Client, error) {
		return question.Dial("127.0.0.1:1", insecure.NewCredentials())
	},
		topo:    newTopology(4, 2, 2, 1, false),
		workers: map[string]*worker{"global": {spec: workerSpec{Admin: strings.TrimPrefix(server.URL, "http://")}}}}
	err := f.awaitChildren(ctx, "global", "", time.Now())
	if !errors.Is(err, over) || !strings.Contains(err.Error(), "global has 1 sessions and should have 2") {
		t.Errorf("got %v, want %q and what was missing", err, over)
	}
}
