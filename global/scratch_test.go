package global

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/internal/store/mem"
)

// TestCallersFromScratch makes random edits to namespaces, policies, ExternalServices and applications, in helpings of several, and compares
// what is in force with what a planner decides that sees the last state alone.
func TestCallersFromScratch(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		d := newDesk(t, nil)
		d.environment("test")
		for range rapid.IntRange(1, 12).Draw(r, "helpings") {
			for range rapid.IntRange(1, 4).Draw(r, "edits") {
				edit(r, d)
			}
			d.step()
		}
		d.pass()
		d.step()
		d.pass() // what began to shrink with that
		d.step()
		fresh := newDesk(t, &desk{records: mem.New(), planner: &planner{hub: d.hub}})
		fresh.step()
		got, want := d.facts(), fresh.facts()
		for _, key := range slices.Sorted(maps.Keys(got)) {
			if got[key] != want[key] {
				r.Errorf("%s: got %s, want %s", key, got[key], want[key])
			}
			delete(want, key)
		}
		if len(want) > 0 {
			r.Errorf("%v are not there", want)
		}
		if again := newDesk(t, d); again.step() != 0 {
			r.Error("a restart writes")
		}
	})
}

func edit(r *rapid.T, d *desk) {
	pick := func(what string, from ...string) string { return rapid.SampledFrom(from).Draw(r, what) }
	namespaces, apps := []string{"shop", "cafe", "bank"}, []string{"a", "b", "c"}
	some := func(what string) []string {
		out := []string{}
		for range rapid.IntRange(0, 3).Draw(r, what) {
			out = append(out, pick(what, namespaces...)+"/"+pick(what, apps...))
		}
		return out
	}
	switch rapid.IntRange(0, 7).Draw(r, "kind") {
	case 0:
		d.place(pick("namespace", namespaces...), pick("environment", "prod", "test"), pick("tenant", "x", "y"))
	case 1, 2:
		p := testPolicy(pick("policy", "p", "q"))
		p.Namespace = pick("namespace", namespaces...)
		if rapid.Bool().Draw(r, "deletes") {
			_ = d.hub.policies.store.Delete(p)
			d.queue.policyEvents().OnDelete(p)
			return
		}
		for range rapid.IntRange(0, 2).Draw(r, "rules") {
			p.Spec.Rules = append(p.Spec.Rules, ruleFor(pick("caller", "shop", "cafe", "cafe/a", "bank/b", "@x", "@y")))
		}
		if rapid.Bool().Draw(r, "limited") {
			p.Spec.Applications = []string{pick("concerned", apps...)}
		}
		if rapid.Bool().Draw(r, "isolates") {
			isolating(p)
		}
		d.policy(p)
	case 3:
		namespace, name := pick("namespace", namespaces...), pick("app", apps...)
		app := testApplication(name)
		app.Namespace = namespace
		_ = d.hub.applications.store.Delete(app)
		d.queue.applicationEvents().OnDelete(app)
	case 4, 5:
		key := pick("namespace", namespaces...) + "/" + pick("external", apps...)
		if rapid.IntRange(0, 3).Draw(r, "deletes") == 0 {
			d.noExternal(key, true)
			return
		}
		d.external(key, letting(pick("consumer", "shop", "cafe", "cafe/a", "bank/b", "@x", "@y"), pick("consumer", "bank", "@x")))
	default:
		namespace := pick("namespace", namespaces...)
		if _, ok := d.hub.namespaces.get(namespace); !ok {
			d.place(namespace, "prod", "x")
		}
		ports := rapid.Bool().Draw(r, "ports")
		on, onExternal := calls(some("dependency")...), callsExternal(some("external dependency")...)
		d.putIn(namespace, pick("app", apps...), func(s *specOf) {
			onExternal(s)
			on(s)
			if !ports {
				s.Ports = nil
			}
		})
	}
}

// facts are policies, dependencies, audiences and judgements, and why dependencies are not resolved.
func (d *desk) facts() map[string]string {
	out := map[string]string{}
	snapshot := d.mirror.Snapshot()
	for _, kind := range []record.Kind{record.KindPolicy, record.KindAudience, record.KindService} {
		for e := range snapshot.All(kind) {
			out[e.Key.String()] = e.Version.String()
		}
	}
	for name, app := range d.apps {
		out["dependencies of "+name] = fmt.Sprint(d.dependsOn(name))
		out["refusal of "+name] = fmt.Sprint(app.plan.unresolved, app.plan.refused)
	}
	for key, j := range d.board.policies {
		out["judgement of "+key] = fmt.Sprint(j.applications, j.refused, j.note)
	}
	return out
}
