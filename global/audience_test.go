package global

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/meridian-federation/meridian/internal/record"
)

// TestAudienceFollows drives random consumers, and compares the counts with those made from nothing.
func TestAudienceFollows(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x := newAudiences(time.Second)
		now := map[string]consumer{}
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			name := fmt.Sprintf("n%d/a%d", rapid.IntRange(0, 3).Draw(t, "namespace"), rapid.IntRange(0, 3).Draw(t, "app"))
			var c consumer
			for _, i := range rapid.SliceOfNDistinct(rapid.IntRange(0, 3), 0, 3, rapid.ID[int]).Draw(t, "dependencies") {
				c.add(record.Assignment{Zone: fmt.Sprint("z", rapid.IntRange(0, 2).Draw(t, "zone")), Dependencies: []string{fmt.Sprint("n/p", i)}})
			}
			x.set(name, c, record.CausePerson)
			now[name] = c
			fresh := newAudiences(time.Second)
			for name, c := range now {
				fresh.set(name, c, record.CausePerson)
			}
			none := func(string) []string { return nil }
			for i := range 4 {
				got, held := x.wanted(fmt.Sprint("n/p", i), none)
				want, wanted := fresh.wanted(fmt.Sprint("n/p", i), none)
				if held != wanted || got.Record().Version != want.Record().Version {
					t.Fatalf("n/p%d has %+v, want %+v", i, got, want)
				}
			}
			if !slices.Equal(slices.Sorted(maps.Keys(x.consumers)), slices.Sorted(maps.Keys(fresh.consumers))) {
				t.Fatalf("counted are %v, want %v", x.consumers, fresh.consumers)
			}
		}
	})
}

// audience reads the record in force of an application of namespace shop.
func (d *desk) audience(name string) string {
	a, ok := heldAudience(d.mirror.Snapshot(), "shop/"+name)
	if !ok {
		return "none"
	}
	who := fmt.Sprint(a.Namespaces)
	if a.Everyone {
		who = "everyone"
	}
	return fmt.Sprintf("%s%v%v", who, a.Zones, a.Networks)
}

// wantAudience holds the record in force.
func (d *desk) wantAudience(name, want string) {
	d.t.Helper()
	if got := d.audience(name); got != want {
		d.t.Errorf("the audience of %s is %s, want %s", name, got, want)
	}
}

// pass lets all that waits become due.
func (d *desk) pass() { d.audiences.elapse() }

// elapse has every deadline lie in the past.
func (x *audiences) elapse() {
	past := time.Now().Add(-time.Second)
	for i, o := range x.order {
		x.order[i].at = past
		x.shrinking[o.application] = past
	}
}

// TestAudience grows at once, and shrinks after the delay or with another change.
func TestAudience(t *testing.T) {
	d := newDesk(t, nil)
	d.place("cafe", "prod", "")
	d.policy(testPolicy("open", ruleFor("cafe")))
	d.put("db", nil)
	d.put("web", calls("db"))
	d.step()
	d.wantAudience("db", "[shop][w1][net]")
	d.wantAudience("web", "none")

	d.putIn("cafe", "bar", calls("shop/db"))
	if wrote := d.step(); wrote == 0 {
		t.Error("nothing was written for a new consumer")
	}
	d.wantAudience("db", "[cafe shop][w1][net]")

	d.putIn("cafe", "bar", nil)
	d.step()
	d.wantAudience("db", "[cafe shop][w1][net]")
	d.putIn("cafe", "bar", calls("shop/db")) // it is back in time: nothing happened
	d.step()
	d.pass()
	if wrote := d.step(); wrote != 0 {
		t.Errorf("%d writes for a consumer that is back", wrote)
	}

	d.putIn("cafe", "bar", nil)
	d.step()
	four := int32(4)
	d.put("web", func(s *specOf) { calls("db")(s); s.Replicas = &four }) // in both zones
	d.step()
	d.wantAudience("db", "[shop][w1 w2][net]")

	d.put("web", func(s *specOf) { s.Replicas = &four })
	d.step()
	d.wantAudience("db", "[shop][w1 w2][net]")
	again := newDesk(t, d)
	if wrote := again.step(); wrote != 0 {
		t.Errorf("a restart wrote %d times", wrote)
	}
	again.wantAudience("db", "[shop][w1 w2][net]")
	again.pass()
	again.step()
	again.wantAudience("db", "none")
}

// TestAudienceOfEveryone passes the most namespaces that a record names.
func TestAudienceOfEveryone(t *testing.T) {
	d := newDesk(t, nil)
	d.put("db", nil)
	var rules []ruleOf
	for i := range record.MaxAudience + 1 {
		ns := fmt.Sprint("n", i)
		d.place(ns, "prod", "")
		rules = append(rules, ruleFor(ns))
		d.putIn(ns, "web", calls("shop/db"))
	}
	d.policy(testPolicy("open", rules...))
	d.step()
	d.wantAudience("db", "everyone[w1][net]")
	if wrote := d.step(); wrote != 0 {
		t.Errorf("%d writes with nothing changed", wrote)
	}
	d.putIn("n0", "web", nil)
	d.step()
	d.wantAudience("db", "everyone[w1][net]")
	d.pass()
	d.step()
	if a, _ := heldAudience(d.mirror.Snapshot(), "shop/db"); a.Everyone || len(a.Namespaces) != record.MaxAudience {
		t.Errorf("the audience is %+v, want the %d namespaces that are left", a, record.MaxAudience)
	}
}
