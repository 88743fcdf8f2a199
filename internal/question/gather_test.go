package question

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type askFunc = func(context.Context, string, []byte) ([]byte, error)

// answers is a child that answers after a while, or when ctx ends.
func answers(n Node, after time.Duration) askFunc {
	return func(ctx context.Context, _ string, _ []byte) ([]byte, error) {
		select {
		case <-time.After(after):
			return Encode(n)
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func TestGather(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		zone := Node{Tier: TierZone, Name: "wrong", Application: &Application{Ready: 3}}
		children := []Child{
			{Name: "west-d", Tier: TierZone, Ask: answers(zone, time.Hour)},
			{Name: "west-c", Tier: TierZone},
			{Name: "west-b", Tier: TierZone, Ask: func(context.Context, string, []byte) ([]byte, error) { return nil, errors.New("broken") }},
			{Name: "west-f", Tier: TierZone, Ask: func(context.Context, string, []byte) ([]byte, error) { return []byte("{"), nil }},
			{Name: "west-e", Tier: TierZone, Ask: func(context.Context, string, []byte) ([]byte, error) { return make([]byte, MaxAnswer+1), nil }},
			{Name: "west-a", Tier: TierZone, Ask: answers(zone, time.Second)},
		}
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		begin := time.Now()
		got := Gather(ctx, Node{Tier: TierRegion, Name: "west"}, children, KindApplication, nil)
		if took, want := time.Since(begin), 1800*time.Millisecond; took != want {
			t.Errorf("time taken: got %s, want %s, nine tenths of what was left", took, want)
		}
		want := map[string]string{
			"west-a": "", "west-b": "broken", "west-c": "not connected", "west-d": "no answer in time",
			"west-e": "more than the", "west-f": "unreadable",
		}
		var names []string
		for _, c := range got.Children {
			names = append(names, c.Name)
			if w := want[c.Name]; (w == "") != (c.Unanswered == "") || !strings.Contains(c.Unanswered, w) {
				t.Errorf("%s: got unanswered %q, want %q", c.Name, c.Unanswered, w)
			}
		}
		if wantNames := []string{"west-a", "west-b", "west-c", "west-d", "west-e", "west-f"}; !slices.Equal(names, wantNames) {
			t.Errorf("children: got %q, want %q", names, wantNames)
		}
		if a := got.Children[0].Application; a == nil || a.Ready != 3 {
			t.Errorf("west-a: got %+v, want its answer", a)
		}
	})
}

func TestGatherWithoutDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		Gather(t.Context(), Node{}, []Child{{Name: "a", Ask: answers(Node{}, time.Hour)}}, KindOverview, nil)
		if took := time.Since(begin); took != 4500*time.Millisecond {
			t.Errorf("time taken: got %s, want 4.5s", took)
		}
	})
}

func TestGatherBoundsWhatIsUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var now, most atomic.Int32
		var children []Child
		for range 200 {
			children = append(children, Child{Name: "a", Ask: func(context.Context, string, []byte) ([]byte, error) {
				most.Store(max(most.Load(), now.Add(1)))
				time.Sleep(time.Millisecond)
				now.Add(-1)
				return []byte("{}"), nil
			}})
		}
		got := Gather(t.Context(), Node{}, children, KindOverview, nil)
		if len(got.Children) != 200 || most.Load() != askAtOnce {
			t.Errorf("got %d answers, %d at once; want 200, %d at once", len(got.Children), most.Load(), askAtOnce)
		}
	})
}

func TestEncodeLeavesOutDetailFirst(t *testing.T) {
	tree := func() Node {
		cluster := Node{Tier: TierCluster, Name: "west-a-1", Application: &Application{
			Problems: []Problem{{Message: strings.Repeat("p", 1000)}},
			Objects:  []Object{{Object: strings.Repeat("o", 1000)}},
		}}
		zone := Node{Tier: TierZone, Name: "west-a", Application: &Application{Ready: 1}, Children: []Node{cluster}}
		return Node{Tier: TierGlobal, Name: "global", Children: []Node{{Tier: TierRegion, Name: "west", Children: []Node{zone}}}}
	}
	tests := []struct {
		name    string
		limit   int
		omitted string
		keeps   []string
		drops   []string
	}{
		{name: "fits", limit: 1 << 20, keeps: []string{"ooo", "ppp"}},
		{name: "without lists", limit: 2000, omitted: "lists of objects", keeps: []string{"ppp", "west-a-1"}, drops: []string{"ooo"}},
		{name: "without problems", limit: 900, omitted: "problems", keeps: []string{"west-a-1"}, drops: []string{"ooo", "ppp"}},
		{name: "without clusters", limit: 420, omitted: "clusters", keeps: []string{`"west-a"`}, drops: []string{"west-a-1"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n := tree()
			before, _ := json.Marshal(n)
			b, err := encode(n, tt.limit)
			if err != nil {
				t.Fatal(err)
			}
			if len(b) > tt.limit {
				t.Errorf("length: got %d, want at most %d", len(b), tt.limit)
			}
			got, err := Decode[Node](b)
			if err != nil || !strings.Contains(got.Omitted, tt.omitted) || (tt.omitted == "") != (got.Omitted == "") {
				t.Errorf("omitted: got %q, %v; want %q", got.Omitted, err, tt.omitted)
			}
			for _, keep := range tt.keeps {
				if !strings.Contains(string(b), keep) {
					t.Errorf("lost %q: %s", keep, b)
				}
			}
			for _, drop := range tt.drops {
				if strings.Contains(string(b), drop) {
					t.Errorf("kept %q: %s", drop, b)
				}
			}
			if after, _ := json.Marshal(n); !bytes.Equal(before, after) {
				t.Errorf("the caller's tree was changed: %s", after)
			}
		})
	}
}
