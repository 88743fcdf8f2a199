package global

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/meridian-federation/meridian/api/v1alpha1"
	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/internal/store"
)

// server answers status writes, and has the board's cache see them.
type server struct {
	hub *hub

	mu      sync.Mutex // guards all below
	broken  bool
	writes  []time.Time
	message string // of the last status
	accept  string // what the last write asked for
}

func (s *server) RoundTrip(r *http.Request) (*http.Response, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writes, s.accept = append(s.writes, time.Now()), r.Header.Get("Accept")
	reply := func(code int, body string) *http.Response {
		return &http.Response{StatusCode: code, Header: http.Header{"Content-Type": {"application/json"}},
			Body: io.NopCloser(strings.NewReader(body)), Request: r}
	}
	if s.broken {
		return reply(http.StatusForbidden, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Forbidden","code":403}`), nil
	}
	var patch []struct {
		Path  string
		Value json.RawMessage
	}
	if err := json.NewDecoder(r.Body).Decode(&patch); err != nil {
		return nil, err
	}
	app, _ := s.hub.applications.get("shop/web")
	app = app.DeepCopy()
	app.Status = v1alpha1.ApplicationStatus{}
	if err := json.Unmarshal(patch[1].Value, &app.Status); err != nil {
		return nil, err
	}
	s.message = app.Status.Message
	fill(s.hub.applications, []*v1alpha1.Application{app})
	return reply(http.StatusOK, `{}`), nil
}

// newTestBoard has one Application, shop/web.
func newTestBoard(t *testing.T) (*board, *server) {
	t.Helper()
	h := &hub{applications: played[*v1alpha1.Application](), regions: played[*v1alpha1.Region]()}
	app := testApplication("web")
	app.UID = "1"
	fill(h.applications, []*v1alpha1.Application{app})
	s := &server{hub: h}
	c, err := newClient(&rest.Config{Host: "http://hub", Transport: s, QPS: -1})
	if err != nil {
		t.Fatal(err)
	}
	return newBoard(&Global{log: slog.New(slog.DiscardHandler), client: c, reports: newReports(),
		metrics: newMetrics(prometheus.NewRegistry())}, h), s
}

// refuse has the board say that the application is refused with this message.
func refuse(b *board, message string) {
	b.set(map[string]*plan{"shop/web": {generation: 1, refused: &refusal{"InvalidSpec", message}}}, world(nil))
	b.touch(applicationTarget("shop/web"))
}

// TestBoardPace changes a status ten times a second: it is written at once, then once a second, and the last is written.
func TestBoardPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, s := newTestBoard(t)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- b.run(ctx) }()
		began := time.Now()
		for i := range 35 {
			refuse(b, fmt.Sprint("no ", i))
			refuse(b, fmt.Sprint("not ", i))
			time.Sleep(100 * time.Millisecond)
		}
		time.Sleep(2 * time.Second)
		s.mu.Lock()
		if len(s.writes) == 0 || s.writes[0] != began {
			t.Fatalf("writes are at %v, want the first at %v", s.writes, began)
		}
		for i := 1; i < len(s.writes); i++ {
			if gap := s.writes[i].Sub(s.writes[i-1]); gap < statusInterval {
				t.Errorf("write %d came %v after the one before", i, gap)
			}
		}
		if !strings.HasPrefix(s.accept, "application/json;as=PartialObjectMetadata;") {
			t.Errorf("a write asks for %s in its answer, want the metadata alone", s.accept)
		}
		if s.message != "not 34" || len(s.writes) != 5 {
			t.Errorf("%d writes end with %q, want 5 with not 34", len(s.writes), s.message)
		}

		s.broken, s.writes = true, nil
		s.mu.Unlock()
		refuse(b, "again")
		time.Sleep(time.Minute)
		s.mu.Lock()
		if n := len(s.writes); n < 5 || n > 10 {
			t.Errorf("%d tries in a minute, want them ever slower up to %v", n, statusPatience)
		}
		s.broken = false
		s.mu.Unlock()
		time.Sleep(statusPatience)
		s.mu.Lock()
		if s.message != "again" {
			t.Errorf("status says %q, want again", s.message)
		}
		written := len(s.writes)
		s.mu.Unlock()
		b.touch(applicationTarget("shop/web"))
		time.Sleep(time.Minute)
		s.mu.Lock()
		if len(s.writes) != written {
			t.Error("a status that is right was written again")
		}
		s.mu.Unlock()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// TestProgressWaits reports progress on an application again and again: it is written at its pace, its outcome at once.
func TestProgressWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, s := newTestBoard(t)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- b.run(ctx) }()
		desired := record.Assignment{Namespace: "shop", Application: "web", Zone: "w1", Region: "w", Revision: "1", Replicas: 9}
		b.set(map[string]*plan{"shop/web": {generation: 1, hash: "1", desired: map[string]record.Assignment{"w1": desired}}}, world(nil))
		report := func(ready, converged int32) {
			word := record.Status{Namespace: "shop", Application: "web", Lines: []record.Line{{Zone: "w1", Region: "w",
				Counts: record.Counts{Revision: "1", Desired: 9, Updated: 9, Ready: ready, Clusters: 1, Converged: converged}}}}
			if err := b.reports.take(store.NewMirror(nil, slog.New(slog.DiscardHandler)).Snapshot(), "w", word.Record()); err != nil {
				t.Error(err)
			}
			b.touch(applicationTarget("shop/web"))
			synctest.Wait()
		}
		b.reports.told("w")
		for i := range int32(5) {
			report(i, 0)
			time.Sleep(progressAfter / 10)
		}
		s.mu.Lock()
		if len(s.writes) != 0 {
			t.Errorf("progress was written after %v, want it to wait for %v", progressAfter/2, progressAfter)
		}
		s.mu.Unlock()
		report(9, 1)
		s.mu.Lock()
		if len(s.writes) != 1 {
			t.Errorf("%d writes once all are ready, want one at once", len(s.writes))
		}
		s.mu.Unlock()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// TestRegionStatusWaits shows that a Region's status stands until the region has told all since Global's start.
func TestRegionStatusWaits(t *testing.T) {
	b, s := newTestBoard(t)
	defer b.queue.ShutDown()
	b.set(nil, world(map[string]int{"w1": 1}))
	region := &v1alpha1.Region{ObjectMeta: metav1.ObjectMeta{Name: "w", UID: "1"}}
	region.Status.Zones, region.Status.Connected = 1, 1
	region.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionReady, Status: metav1.ConditionTrue}}
	fill(s.hub.regions, []*v1alpha1.Region{region})
	b.reports.connected("w", true)
	if uid, _, after := b.region(target{"regions", "", "w"}); uid != "" {
		t.Errorf("before the region has told, its status becomes %+v", after)
	}
	b.reports.told("w")
	if uid, _, after := b.region(target{"regions", "", "w"}); uid == "" || after.(v1alpha1.RegionStatus).Connected != 0 {
		t.Errorf("after the region has told of no cluster, its status is %+v", after)
	}
}
