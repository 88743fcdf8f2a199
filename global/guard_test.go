package global

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/meridian-federation/meridian/api/v1alpha1"
)

func TestGuard(t *testing.T) {
	names := func(from, to int) []string {
		var out []string
		for i := from; i < to; i++ {
			out = append(out, fmt.Sprint("n/a", i))
		}
		return out
	}
	tests := map[string]struct {
		missing, present int
		let              bool
	}{
		"a few of many":               {5, 100, true},
		"many of a few, but under 20": {19, 10, true},
		"20 of 100":                   {20, 80, true},
		"40 of 100":                   {40, 60, false},
		"all of several":              {2, 0, false},
		"the only one":                {1, 0, true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			g := newGuard()
			let := g.admit(names(0, tt.missing), tt.present, time.Now())
			if got := len(let) == tt.missing; got != tt.let {
				t.Errorf("admit let %d of %d go, want all: %v", len(let), tt.missing, tt.let)
			}
			want := 0
			if !tt.let {
				want = tt.missing
			}
			if held := len(g.list()); held != want {
				t.Errorf("%d are held, want %d", held, want)
			}
			if released := len(g.release()); released != want || len(g.list()) != 0 {
				t.Errorf("release let %d go and kept %d, want %d and 0", released, len(g.list()), want)
			}
		})
	}
	t.Run("a trickle counts over the window", func(t *testing.T) {
		g, now := newGuard(), time.Now()
		g.admit(names(0, 15), 60, now)
		if let := g.admit(names(15, 40), 35, now.Add(time.Minute)); let != nil {
			t.Errorf("25 more within the window go: %v", let)
		}
		g = newGuard()
		g.admit(names(0, 15), 85, now)
		if let := g.admit(names(15, 30), 70, now.Add(2*guardWindow)); len(let) != 15 {
			t.Errorf("%d go after the window, want 15", len(let))
		}
	})
	t.Run("in doubt all are held until released", func(t *testing.T) {
		g := newGuard()
		g.doubts(true)
		if let := g.admit(names(0, 1), 100, time.Now()); let != nil {
			t.Errorf("%v go", let)
		}
		if released := g.release(); len(released) != 1 {
			t.Errorf("released %v, want one", released)
		}
		if let := g.admit(names(1, 2), 100, time.Now()); len(let) != 1 {
			t.Errorf("%v go after the release, want one", let)
		}
	})
	t.Run("what comes back is not held", func(t *testing.T) {
		g := newGuard()
		g.admit(names(0, 3), 0, time.Now())
		g.back("n/a1")
		if len(g.list()) != 2 {
			t.Errorf("held %v, want two", g.list())
		}
	})
}

// TestPolicyMissingInDoubt has a policy missing at a hub that may be another: its rules stay until a person confirms, and
// more may be allowed meanwhile.
func TestPolicyMissingInDoubt(t *testing.T) {
	d := shopAndBar(t)
	d.guard.doubts(true)
	d.repeal("open")
	d.step()
	d.wantDependencies("cafe/bar", "shop/db")
	d.policy(testPolicy("open", ruleFor("cafe"), ruleFor("@food")))
	d.step()
	if got := d.inForce("db"); got != "open0: cafe\nopen1: cafe" {
		t.Errorf("in force for db is %q", got)
	}
	narrower := testPolicy("open", ruleFor("@food"))
	narrower.Generation = 2
	d.policy(narrower)
	d.step()
	if got := d.inForce("db"); got != "open0: cafe" {
		t.Errorf("a person takes a rule away, and in force for db is %q", got)
	}
	if got := d.board.policies["shop/open"].note; got != "" {
		t.Errorf("the policy that a person changed says %q", got)
	}
	stranger := testPolicy("open", ruleFor("nowhere"))
	stranger.UID, stranger.Generation = "another", 3
	d.policy(stranger)
	d.step()
	if got := d.inForce("db"); got != "open0: cafe" {
		t.Errorf("another of the same name has come, and in force for db is %q", got)
	}
	d.policy(testPolicy("other"))
	d.step()
	if got := d.board.policies["shop/other"].note; !strings.Contains(got, "until the specs that are missing are confirmed") {
		t.Errorf("in doubt a policy says %q, want that what was allowed is kept", got)
	}
	d.repeal("open")
	d.step()
	d.wantDependencies("cafe/bar", "shop/db")
	d.queue.add(func(w *work) { w.confirmed = true })
	d.step()
	d.wantDependencies("cafe/bar")
	d.wantRefusal("cafe/bar", v1alpha1.ReasonDependencyDenied)
	if got := d.board.policies["shop/other"].note; got != "" {
		t.Errorf("once confirmed a policy says %q", got)
	}
}
