package run

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/meridian-federation/meridian/internal/config"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// journal records in which order things happened.
type journal struct {
	mu    sync.Mutex
	lines []string
}

func (j *journal) add(line string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, line)
}

// component works until it is stopped, and takes a while to do so.
func (j *journal) component(name string) func(context.Context) error {
	return func(ctx context.Context) error {
		<-ctx.Done()
		j.add(name + " told")
		time.Sleep(time.Second)
		j.add(name + " gone")
		return ctx.Err()
	}
}

func TestGroupStopsInReverseOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		g := NewGroup(slog.New(slog.DiscardHandler))
		for _, name := range []string{"store", "server"} {
			g.Add(name, j.component(name))
		}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Minute, cancel)
		if err := g.Run(ctx); err != nil {
			t.Errorf("Run: got %v, want nil", err)
		}
		want := []string{"server told", "server gone", "store told", "store gone"}
		if !slices.Equal(j.lines, want) {
			t.Errorf("order: got %q, want %q", j.lines, want)
		}
	})
}

func TestGroupEndsWithTheFirstError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		broken := errors.New("port is taken")
		g := NewGroup(slog.New(slog.DiscardHandler))
		g.Add("store", j.component("store"))
		g.Add("once", func(context.Context) error { return nil })
		g.Add("server", func(context.Context) error { return broken })
		err := g.Run(t.Context())
		if !errors.Is(err, broken) || err.Error() != "server: port is taken" {
			t.Errorf("Run: got %v, want %q", err, "server: port is taken")
		}
		if want := []string{"store told", "store gone"}; !slices.Equal(j.lines, want) {
			t.Errorf("order: got %q, want %q", j.lines, want)
		}
	})
}

func TestGroupFinishes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewGroup(slog.New(slog.DiscardHandler))
		g.Add("once", func(context.Context) error { return nil })
		if err := g.Run(t.Context()); err != nil {
			t.Errorf("Run: got %v, want nil", err)
		}
	})
}

func TestGroupNamesWhatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		var j journal
		g := NewGroup(slog.New(slog.DiscardHandler))
		g.Add("store", j.component("store"))
		g.Add("server", func(context.Context) error { <-release; return nil })
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := g.Run(ctx); err == nil || !strings.Contains(err.Error(), "server has not stopped within 15s") {
			t.Errorf("Run: got %v, want it to name the server", err)
		}
		close(release)
		for _, p := range g.parts {
			<-p.done
		}
	})
}

func TestReport(t *testing.T) {
	tests := []struct {
		name string
		err  error
		code int
		line string
	}{
		{name: "no error"},
		{name: "help", err: config.ErrDone},
		{name: "told already", err: fmt.Errorf("no: %w", ErrTold), code: 1},
		{name: "one line for several errors", err: errors.Join(errors.New("a"), errors.New("b")), code: 1, line: "tier: a; b\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var out bytes.Buffer
			if code := report(&out, "tier", tt.err); code != tt.code || out.String() != tt.line {
				t.Errorf("report: got %d %q, want %d %q", code, out.String(), tt.code, tt.line)
			}
		})
	}
}

func TestReportOfConfiguration(t *testing.T) {
	err := config.Load("tier", &empty{}, []string{"--nonsense"})
	var out bytes.Buffer
	if code := report(&out, "tier", err); code != 2 || !strings.Contains(out.String(), "tier --help") {
		t.Errorf("report: got %d %q, want 2 and a hint at --help", code, out.String())
	}
}

type empty struct{}

func (*empty) Default()        {}
func (*empty) Validate() error { return nil }
