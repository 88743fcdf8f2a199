package global

import (
	"fmt"
	"slices"
	"testing"

	"k8s.io/apimachinery/pkg/types"

	"github.com/meridian-federation/meridian/api/v1alpha1"
	"github.com/meridian-federation/meridian/internal/audit"
	"github.com/meridian-federation/meridian/internal/audit/audittest"
	"github.com/meridian-federation/meridian/internal/record"
)

// by plays that somebody changed an Application of shop.
func (d *desk) by(who, name string, generation int64, edit func(*specOf)) {
	app := testApplication(name)
	app.UID, app.Generation = types.UID("uid-of-"+name), generation
	app.Annotations = map[string]string{v1alpha1.AnnotationChangedBy: who}
	if edit != nil {
		edit(&app.Spec)
	}
	fill(d.hub.applications, []*v1alpha1.Application{app})
	d.queue.applicationEvents().OnAdd(app, false)
}

// wantTold holds what was told of specs since before, as "ACTOR KIND SUBJECT GENERATION RESULT".
func wantTold(t *testing.T, r *audittest.Recorder, before int, want ...string) {
	t.Helper()
	var got []string
	for _, e := range r.Events(audit.SpecChange)[before:] {
		line := fmt.Sprintf("%s %v %s %v %s", e.Actor, e.Detail["kind"], e.Subject, e.Detail["generation"], e.Result)
		if e.Detail["deleted"] == true {
			line += " deleted"
		}
		got = append(got, line)
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("told was %q, want %q", got, want)
	}
}

// TestChangesTold has people change specs.
func TestChangesTold(t *testing.T) {
	d := newTenants(t)
	recorder := &audittest.Recorder{}
	d.changes = newChanges(recorder.Log())
	told := func(edit func(), want ...string) {
		t.Helper()
		before := len(recorder.Events(audit.SpecChange))
		edit()
		d.step()
		wantTold(t, recorder, before, want...)
	}
	told(func() { d.by("anna", "a", 1, nil) }, "anna Application shop/a 1 done")
	told(func() { d.queue.applicationEvents().OnAdd(testApplication("a"), false) })
	told(func() { d.by("ben", "a", 2, wants(3)) }, "ben Application shop/a 2 done")
	told(func() { d.by("eve", "a", 3, carry("Secret", "x")) }, "eve Application shop/a 3 refused")
	told(func() { d.queue.applicationEvents().OnAdd(testApplication("a"), false) })
	told(func() { d.by("ben", "b", 1, nil); d.by("ben", "b", 2, nil) }, "ben Application shop/b 2 done")
	told(func() { d.quota("q", "retail", atMost(2, -1, -1)) }, "unknown TenantQuota q 1 done")
	told(func() { d.by("anna", "c", 1, nil) }, "anna Application shop/c 1 refused")
	told(func() { d.vanish("b"); d.deleted("b", true) }, "unknown Application shop/b <nil> done deleted", "anna Application shop/c 1 done")
	told(func() { d.policy(testPolicy("p", ruleFor("cafe"))) }, "unknown AccessPolicy shop/p 1 done")
	told(func() { d.place("shop", "prod", "other") })
	told(func() { d.repeal("p"); d.noQuota("q") }, "unknown AccessPolicy shop/p <nil> done deleted", "unknown TenantQuota q <nil> done deleted")
	told(func() { d.queue.inventoryEvents().OnAdd(nil, false) }, "unknown Cluster w1-0 0 done", "unknown Cluster w2-0 0 done",
		"unknown Environment prod 0 done", "unknown Network net 0 done", "unknown Region w 0 done", "unknown Zone w1 0 done", "unknown Zone w2 0 done")
	told(func() {
		w2, _ := d.hub.zones.get("w2")
		_ = d.hub.zones.store.Delete(w2)
		d.queue.inventoryEvents().OnDelete(w2)
	}, "unknown Zone w2 <nil> done deleted")
	told(func() {
		d.ipPool("p", 1, nil, "10.0.0.0/16")
		d.ipPool("q", 2, nil, "10.0.0.0/24")
		d.ipClaim("db", v1alpha1.IPClaimSpec{Pool: "p"})
		d.ipClaim("none", v1alpha1.IPClaimSpec{Pool: "tomorrow"})
	}, "unknown IPClaim shop/db 1 done", "unknown IPClaim shop/none 1 refused", "unknown IPPool p 1 done", "unknown IPPool q 1 refused")
	told(func() {
		d.ipPool("tomorrow", 3, nil, "10.1.0.0/16")
		d.noIPPool("q")
		d.noIPClaim("db", true)
	}, "unknown IPClaim shop/db <nil> done deleted", "unknown IPClaim shop/none 1 done", "unknown IPPool q <nil> done deleted", "unknown IPPool tomorrow 1 done")
	nowhere := func(s *externalSpec) { s.Endpoints = []v1alpha1.ExternalEndpoint{{Address: "::1"}} }
	told(func() { d.external("shop/out", nil); d.external("shop/bad", nowhere) },
		"unknown ExternalService shop/out 1 done", "unknown ExternalService shop/bad 1 refused")
	told(func() { d.external("shop/bad", nil); d.external("shop/out", nowhere) },
		"unknown ExternalService shop/bad 2 done", "unknown ExternalService shop/out 2 refused")
	told(func() { d.noExternal("shop/bad", true) }, "unknown ExternalService shop/bad <nil> done deleted")

	t.Run("a later term tells none of it again", func(t *testing.T) {
		for _, app := range d.hub.applications.all() {
			app.Status = applicationStatus(app.Status, d.apps[record.ServiceName(app.Namespace, app.Name)].plan, record.Status{})
		}
		again := newDesk(t, d)
		recorder := &audittest.Recorder{}
		again.changes = newChanges(recorder.Log())
		again.by("anna", "a", 4, nil)
		again.step()
		var of []string
		for _, e := range recorder.Events(audit.SpecChange) {
			if e.Detail["kind"] == "Application" {
				of = append(of, e.Actor+" "+e.Subject)
			}
		}
		if want := []string{"anna shop/a"}; !slices.Equal(of, want) {
			t.Errorf("told was %q, want %q", of, want)
		}
	})
}
