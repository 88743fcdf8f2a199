package main

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"
)

func TestRounds(t *testing.T) {
	for asked, want := range map[string]string{
		"fanout,restart,storm,churn,failover,scope": "fanout restart storm churn, failover, scope",
		"scope,failover,restart":                    "restart, failover, scope",
		"failover":                                  "failover",
	} {
		var got []string
		for _, round := range rounds(strings.Split(asked, ",")) {
			var names []string
			for _, s := range round {
				names = append(names, s.name)
			}
			got = append(got, strings.Join(names, " "))
		}
		if got := strings.Join(got, ", "); got != want {
			t.Errorf("%s: got %q, want %q", asked, got, want)
		}
	}
}

func TestReplicasFitTheScenario(t *testing.T) {
	for _, s := range scenarios() {
		for given, want := range map[int]int{0: 3, 2: 2} {
			o := options{replicas: given}
			if s.fit != nil {
				s.fit(&o)
			}
			if s.name != failoverName {
				want = given
			}
			if o.replicas != want {
				t.Errorf("%s, given %d: got %d replicas, want %d", s.name, given, o.replicas, want)
			}
		}
	}
}

// TestResultsBeforeAnErrorAreKept has scenarios in a federation of nothing.
func TestResultsBeforeAnErrorAreKept(t *testing.T) {
	fine := scenario{name: "fine", run: func(context.Context, *federation) (result, error) { return result{Scenario: "fine"}, nil }}
	stuck := scenario{name: "stuck", run: func(ctx context.Context, _ *federation) (result, error) {
		<-ctx.Done()
		return result{}, context.Cause(ctx)
	}}
	broken := errors.New("broken")
	breaks := scenario{name: "breaks", run: func(context.Context, *federation) (result, error) { return result{}, broken }}
	for _, c := range []struct {
		last    scenario
		timeout time.Duration
		want    string
	}{{breaks, time.Hour, "measuring breaks: broken"}, {stuck, time.Nanosecond, "measuring stuck: it took more than 1ns"}} {
		f := &federation{o: options{timeout: c.timeout, progress: io.Discard, tables: io.Discard}}
		got, err := f.measure(t.Context(), []scenario{fine, c.last, fine})
		f.endAgents()
		if len(got) != 1 || got[0].Scenario != "fine" || err == nil || err.Error() != c.want {
			t.Errorf("got %d results and %v, want the first and %q", len(got), err, c.want)
		}
	}
}
