package global

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"

	"github.com/meridian-federation/meridian/api/v1alpha1"
	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/internal/store"
	"github.com/meridian-federation/meridian/internal/store/mem"
	"github.com/meridian-federation/meridian/ipam"
)

type externalSpec = v1alpha1.ExternalServiceSpec

// testExternal is an ExternalService that needs no address, by NAMESPACE/NAME.
func testExternal(key string) *v1alpha1.ExternalService {
	namespace, name, _ := strings.Cut(key, "/")
	return &v1alpha1.ExternalService{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Generation: 1, UID: "1"},
		Spec: externalSpec{Hosts: []string{name + ".example.com"}, Ports: []v1alpha1.ExternalPort{{Name: "tls", Port: 443, AppProtocol: "tls"}}}}
}

// external plays the watch of an ExternalService that was created or changed.
func (d *desk) external(key string, edit func(*externalSpec)) {
	d.t.Helper()
	x := testExternal(key)
	if before, ok := d.hub.externals.get(key); ok {
		x.Generation, x.Status = before.Generation+1, before.Status
	}
	if edit != nil {
		edit(&x.Spec)
	}
	fill(d.hub.externals, []*v1alpha1.ExternalService{x})
	d.queue.externalEvents().OnAdd(x, false)
}

// noExternal plays that one is deleted; it may not be seen to be.
func (d *desk) noExternal(key string, seen bool) {
	x := testExternal(key)
	_ = d.hub.externals.store.Delete(x)
	if seen {
		d.queue.externalEvents().OnDelete(x)
		return
	}
	d.queue.externalEvents().OnDelete(cache.DeletedFinalStateUnknown{Key: key, Obj: x})
}

// again is the desk after a restart, for as long as this one.
func (d *desk) again() *desk { return newDesk(d.t, d) }

func letting(consumers ...string) func(*externalSpec) {
	return func(s *externalSpec) { s.Consumers = from(consumers...) }
}

func mysql(s *externalSpec) {
	s.Ports = []v1alpha1.ExternalPort{{Name: "mysql", Port: 3306, TargetPort: 3307, AppProtocol: "mysql"}}
}

// callsExternal has an application depend on ExternalServices.
func callsExternal(names ...string) func(*specOf) {
	return func(s *specOf) {
		before := len(s.DependsOn)
		calls(names...)(s)
		for i := range s.DependsOn[before:] {
			s.DependsOn[before+i].Kind = v1alpha1.DependencyExternalService
		}
	}
}

// externalRecord is the service record in force of an ExternalService; nil for none.
func (d *desk) externalRecord(key string) *record.Service {
	d.t.Helper()
	namespace, name, _ := strings.Cut(key, "/")
	e, ok := d.mirror.Snapshot().Get(record.ServiceKey(namespace, record.ExternalName(name)))
	if !ok {
		return nil
	}
	s, err := record.DecodeService(e.Record)
	if err != nil {
		d.t.Fatal(err)
	}
	return &s
}

// externalStatus is the status that the board would write, and takes it as written.
func (d *desk) externalStatus(key string) v1alpha1.ExternalServiceStatus {
	d.t.Helper()
	_, _, after := d.board.externalService(specTarget(externalName(key)))
	s, ok := after.(v1alpha1.ExternalServiceStatus)
	if !ok {
		d.t.Fatalf("there is no status for ExternalService %s", key)
	}
	x, _ := d.hub.externals.get(key)
	x = x.DeepCopy()
	x.Status = s
	fill(d.hub.externals, []*v1alpha1.ExternalService{x})
	return s
}

// wantExternal holds a condition of the status, as STATUS REASON: MESSAGE begins; "" for none of the kind.
func (d *desk) wantExternal(key, kind, want string) {
	d.t.Helper()
	got := ""
	if c := meta.FindStatusCondition(d.externalStatus(key).Conditions, kind); c != nil {
		got = fmt.Sprintf("%s %s: %s", c.Status, c.Reason, c.Message)
	}
	if !strings.HasPrefix(got, want) || want == "" && got != "" {
		d.t.Errorf("%s of %s is %q, want %q", kind, key, got, want)
	}
}

func (d *desk) wantUnresolved(name, want string) {
	d.t.Helper()
	got := ""
	if why := d.apps[name].plan.unresolved; why != nil {
		got = why.reason + ": " + why.message
	}
	if got != want {
		d.t.Errorf("%s is unresolved by %q, want %q", name, got, want)
	}
}

// TestExternalService takes one to its record, through refusals and changes, and away.
func TestExternalService(t *testing.T) {
	d := newDesk(t, nil)
	d.space = &heldSpace{}
	d.external("shop/db", func(s *externalSpec) {
		s.Hosts = []string{"b.example.com", "a.example.com"}
		s.Ports = []v1alpha1.ExternalPort{{Name: "tls", Port: 443, AppProtocol: "tls"}, {Name: "http", Port: 80, TargetPort: 8080, AppProtocol: "http"}}
		s.Endpoints = []v1alpha1.ExternalEndpoint{{Address: "2001:DB8::1"}, {Address: "192.0.2.7", Region: "w", Zone: "w1"}}
		s.TLS = &v1alpha1.ExternalTLS{Mode: v1alpha1.ExternalTLSMutual, CredentialName: "cert", SNI: "sni", SubjectAltNames: []string{"y", "x"}}
	})
	d.external("elsewhere/db", nil)
	d.step()
	want := record.Service{Namespace: "shop", Application: "db.external", Environment: "prod",
		Ports: []record.Port{{Name: "tls", Port: 443, TargetPort: 443, Protocol: "TCP", AppProtocol: "tls"},
			{Name: "http", Port: 80, TargetPort: 8080, Protocol: "TCP", AppProtocol: "http"}},
		External: &record.External{Hosts: []string{"a.example.com", "b.example.com"},
			Endpoints: []record.ExternalEndpoint{{Address: "192.0.2.7", Region: "w", Zone: "w1"}, {Address: "2001:db8::1"}},
			TLS:       &record.ExternalTLS{Mutual: true, CredentialName: "cert", SNI: "sni", SubjectAltNames: []string{"x", "y"}}}}
	if got := d.externalRecord("shop/db"); got == nil || got.Record().Version != want.Record().Version {
		t.Errorf("the record is %+v, want %+v", got, want)
	}
	d.wantExternal("shop/db", v1alpha1.ConditionAccepted, "True Accepted: ")
	d.wantExternal("shop/db", v1alpha1.ConditionAllocated, "")
	d.wantRecords(record.KindClaim)
	d.wantExternal("elsewhere/db", v1alpha1.ConditionAccepted, "False NamespaceHasNoEnvironment: namespace elsewhere has no environment")
	d.wantRecords(record.KindService, "shop/db.external")
	t.Run("one bad one blocks no other", func(t *testing.T) {
		for address, want := range map[string]string{
			"10.0.0.300":        `spec.endpoints[1].address: "10.0.0.300" is not an IP address`,
			"::1":               "spec.endpoints[1].address: ::1 is not the address of one machine",
			"fe80::1%eth0":      `spec.endpoints[1].address: "fe80::1%eth0" is not an IP address`,
			"192.0.2.1 of a":    "spec.endpoints[1].zone: a is of no region; set spec.endpoints[1].region too",
			"169.254.169.254":   "spec.endpoints[1].address: 169.254.169.254 is not",
			"2001:db8::0:0:0:5": "spec.endpoints[1].address: 2001:db8::0:0:0:5 is that of spec.endpoints[0]",
		} {
			d.external("shop/bad", func(s *externalSpec) {
				address, zone, _ := strings.Cut(address, " of ")
				s.Endpoints = []v1alpha1.ExternalEndpoint{{Address: "2001:db8::5"}, {Address: address, Zone: zone}}
			})
			host := "h" + strings.NewReplacer(":", "-", "%", "-", " ", "-").Replace(address) + ".example.com"
			d.external("shop/good", func(s *externalSpec) { s.Hosts = []string{host} })
			d.step()
			d.wantExternal("shop/bad", v1alpha1.ConditionAccepted, "False InvalidSpec: "+want)
			if got := d.externalRecord("shop/good"); got == nil || got.External.Hosts[0] != host {
				t.Errorf("beside %s the good one is %+v", address, got)
			}
		}
	})
	t.Run("the same again", func(t *testing.T) {
		d.external("shop/good", func(s *externalSpec) { s.Hosts = []string{"good.example.com"} })
		d.step()
		d.external("shop/good", func(s *externalSpec) { s.Hosts = []string{"good.example.com"} })
		if wrote := d.step(); wrote != 0 {
			t.Errorf("equal content was written %d times", wrote)
		}
	})
	t.Run("a refused change leaves what is in force", func(t *testing.T) {
		before := d.externalRecord("shop/good").Record().Version
		d.external("shop/good", func(s *externalSpec) {
			letting("cafe", "@food")(s)
			s.Endpoints = []v1alpha1.ExternalEndpoint{{Address: "::1"}}
		})
		if wrote := d.step(); wrote != 0 || d.externalRecord("shop/good").Record().Version != before {
			t.Errorf("%d writes, and the record is %+v", wrote, d.externalRecord("shop/good"))
		}
		s := d.externalStatus("shop/good")
		x, _ := d.hub.externals.get("shop/good")
		if s.ObservedGeneration != x.Generation || x.Generation < 2 {
			t.Errorf("the status is of generation %d, want %d", s.ObservedGeneration, x.Generation)
		}
	})
	t.Run("a namespace whose environment comes, and goes", func(t *testing.T) {
		d.place("elsewhere", "prod", "")
		d.step()
		d.wantExternal("elsewhere/db", v1alpha1.ConditionAccepted, "True")
		d.place("elsewhere", "nowhere", "")
		d.step()
		d.wantExternal("elsewhere/db", v1alpha1.ConditionAccepted, "False UnknownEnvironment")
		d.wantRecords(record.KindService, "elsewhere/db.external", "shop/db.external", "shop/good.external")
		d.environment("nowhere")
		d.step()
		d.wantExternal("elsewhere/db", v1alpha1.ConditionAccepted, "True")
		if got := d.externalRecord("elsewhere/db").Environment; got != "nowhere" {
			t.Errorf("it is of environment %s, want nowhere", got)
		}
	})
	t.Run("a restart", func(t *testing.T) {
		d = d.again()
		d.space = &heldSpace{}
		if wrote := d.step(); wrote != 0 {
			t.Errorf("a restart wrote %d times", wrote)
		}
		d.wantExternal("shop/good", v1alpha1.ConditionAccepted, "False InvalidSpec")
	})
	t.Run("deletion", func(t *testing.T) {
		d.noExternal("shop/db", true)
		d.noExternal("shop/good", true)
		d.noExternal("shop/bad", true)
		d.step()
		d.wantRecords(record.KindService, "elsewhere/db.external")
		if len(d.externals.callers)+len(d.externals.tenants) > 0 {
			t.Errorf("consumers of none are kept: %v, %v", d.externals.callers, d.externals.tenants)
		}
		if n := len(d.externals.specs) + len(d.board.externals); n != 2 {
			t.Errorf("%d entries are kept, want those of one", n)
		}
	})
	t.Run("those found missing go by the guard", func(t *testing.T) {
		d.guard.doubts(true)
		d.external("elsewhere/db", nil)
		d.noExternal("elsewhere/db", false)
		d.step()
		d.wantRecords(record.KindService, "elsewhere/db.external")
		if list := d.guard.list(); len(list) != 1 {
			t.Errorf("held are %v, want the one that is missing", list)
		}
		d = d.again()
		d.guard.doubts(true)
		d.step()
		d.wantRecords(record.KindService, "elsewhere/db.external")
		d.queue.add(func(w *work) { w.confirmed = true })
		d.step()
		d.wantRecords(record.KindService)
	})
}

// TestExternalRefused holds what is refused because zones could not compile it, or proxies would mistake it. What is in force
// stays.
func TestExternalRefused(t *testing.T) {
	d := newDesk(t, nil)
	d.external("shop/db", nil)
	d.step()
	before := d.externalRecord("shop/db").Record().Version
	port := func(name string, number int32, protocol string) v1alpha1.ExternalPort {
		return v1alpha1.ExternalPort{Name: name, Port: number, AppProtocol: protocol}
	}
	for want, edit := range map[string]func(*externalSpec){
		`spec.endpoints[1].region: "EU West" `: func(s *externalSpec) {
			s.Endpoints = []v1alpha1.ExternalEndpoint{{Address: "192.0.2.7"}, {Address: "192.0.2.1", Region: "EU West"}}
		},
		"spec.tls.subjectAltNames: one is empty": func(s *externalSpec) { s.TLS = &v1alpha1.ExternalTLS{SubjectAltNames: []string{""}} },
		`spec.tls.sni: "a.-b" `:                  func(s *externalSpec) { s.TLS = &v1alpha1.ExternalTLS{SNI: "a.-b"} },
		`spec.tls.credentialName: "a..b" `:       func(s *externalSpec) { s.TLS = &v1alpha1.ExternalTLS{CredentialName: "a..b"} },
		`spec.hosts[1]: "db.10" `:                func(s *externalSpec) { s.Hosts = []string{"x.example.com", "db.10"} },
		`spec.hosts[0]: "cart.shop.svc" `:        func(s *externalSpec) { s.Hosts = []string{"cart.shop.svc"} },
		"spec.hosts[0]: by cart.shop callers call application cart of namespace shop": func(s *externalSpec) { s.Hosts = []string{"cart.shop"} },
		"spec.ports[1].appProtocol: tls beside port a, which needs an address": func(s *externalSpec) {
			s.Ports = []v1alpha1.ExternalPort{port("a", 80, ""), port("b", 443, "tls")}
		},
		"spec.ports[0].appProtocol: https beside port b, which needs an address": func(s *externalSpec) {
			s.Ports = []v1alpha1.ExternalPort{port("a", 443, "https"), port("b", 80, "redis")}
		},
	} {
		d.external("shop/db", edit)
		if wrote := d.step(); wrote != 0 || d.externalRecord("shop/db").Record().Version != before {
			t.Errorf("%s: %d writes, and the record is %+v", want, wrote, d.externalRecord("shop/db"))
		}
		d.wantExternal("shop/db", v1alpha1.ConditionAccepted, "False InvalidSpec: "+want)
	}
	for _, host := range []string{"cart.elsewhere", "shop.example", "a.cart.shop"} {
		d.external("shop/db", func(s *externalSpec) { s.Hosts = []string{host} })
		d.step()
		d.wantExternal("shop/db", v1alpha1.ConditionAccepted, "True")
	}
	t.Run("a namespace comes", func(t *testing.T) {
		d.external("shop/db", func(s *externalSpec) { s.Hosts = []string{"cart.late"} })
		d.step()
		d.place("late", "", "")
		d.step()
		d.wantExternal("shop/db", v1alpha1.ConditionAccepted, "False InvalidSpec: spec.hosts[0]: by cart.late")
		if got := d.externalRecord("shop/db"); got == nil || got.External.Hosts[0] != "cart.late" {
			t.Errorf("what was in force is %+v", got)
		}
		d.external("shop/db", nil)
		d.step()
		d.wantExternal("shop/db", v1alpha1.ConditionAccepted, "True")
		d.place("example", "", "")
		d.step()
		d.noExternal("shop/db", true)
		d.step()
		if len(d.externals.hosts) > 0 {
			t.Errorf("hosts of none are kept: %v", d.externals.hosts)
		}
	})
}

// TestExternalEditedInDoubt: while it is in doubt whether a person took away what is missing, what a person is seen to change
// of consumers holds at once, both ways; what is another object does not take away.
func TestExternalEditedInDoubt(t *testing.T) {
	d := newDesk(t, nil)
	d.place("cafe", "prod", "food")
	d.place("bakery", "prod", "food")
	d.putIn("cafe", "bar", callsExternal("shop/db"))
	d.putIn("bakery", "oven", callsExternal("shop/db"))
	d.external("shop/db", letting("cafe"))
	d.step()
	d.guard.doubts(true)
	d.external("shop/db", letting("bakery"))
	d.step()
	d.wantExternal("shop/db", v1alpha1.ConditionAccepted, "True")
	d.wantDependencies("cafe/bar")
	d.wantDependencies("bakery/oven", "shop/db.external")
	d.external("shop/db", nil)
	d.step()
	d.wantDependencies("bakery/oven")
	d.external("shop/db", letting("cafe"))
	d.step()
	d.wantDependencies("cafe/bar", "shop/db.external")
	t.Run("another object of the name", func(t *testing.T) {
		x := testExternal("shop/db")
		x.UID, x.Generation = "2", 9
		fill(d.hub.externals, []*v1alpha1.ExternalService{x})
		d.queue.externalEvents().OnAdd(x, false)
		d.step()
		d.wantDependencies("cafe/bar", "shop/db.external")
		d.wantExternal("shop/db", v1alpha1.ConditionAccepted, "True Accepted: Whoever could depend on it still can")
	})
	t.Run("a person changes that", func(t *testing.T) {
		x := testExternal("shop/db")
		x.UID, x.Generation = "2", 10
		fill(d.hub.externals, []*v1alpha1.ExternalService{x})
		d.queue.externalEvents().OnAdd(x, false)
		d.step()
		d.wantDependencies("cafe/bar")
	})
}

// TestExternalGuard counts ExternalServices among what the guard compares with what is missing.
func TestExternalGuard(t *testing.T) {
	d := newDesk(t, nil)
	for i := range 80 {
		d.external(fmt.Sprintf("shop/db-%d", i), nil)
	}
	d.step()
	lose := func(first, last, left int) {
		t.Helper()
		for i := first; i < last; i++ {
			d.noExternal(fmt.Sprintf("shop/db-%d", i), false)
		}
		d.step()
		if n := len(d.recordsOf(record.KindService)); n != left {
			t.Errorf("%d are left, want %d", n, left)
		}
	}
	lose(0, 20, 60)  // a quarter of all
	lose(20, 40, 60) // a half
}

// TestExternalDependencies has applications depend on ExternalServices of their own namespace and of others.
func TestExternalDependencies(t *testing.T) {
	d := newDesk(t, nil)
	d.place("cafe", "prod", "food")
	d.put("db", nil) // an application's name is no ExternalService's
	d.put("web", callsExternal("db"))
	d.putIn("cafe", "bar", callsExternal("shop/db", "shop/mail"))
	d.putIn("cafe", "kitchen", nil)
	d.step()
	d.wantUnresolved("shop/web", "DependencyNotFound: there is no accepted ExternalService shop/db")
	d.wantUnresolved("cafe/bar", "DependencyNotFound: there is no accepted ExternalService shop/db, ExternalService shop/mail")
	if got := d.plans(func() { d.external("shop/db", nil) }); got != 2 {
		t.Errorf("%v applications were planned, want those two that depend on it", got)
	}
	d.wantUnresolved("shop/web", "")
	d.wantDependencies("shop/web", "shop/db.external")
	d.wantDependencies("cafe/bar")
	d.wantUnresolved("cafe/bar", "DependencyDenied: cafe/bar is not among the consumers of ExternalService shop/db; there is no accepted ExternalService shop/mail")
	d.external("shop/mail", letting("cafe"))
	for _, tt := range []struct {
		consumers []string
		lets      bool
	}{{[]string{"cafe"}, true}, {[]string{"cafe/kitchen", "@drink"}, false}, {[]string{"bank", "cafe/bar"}, true}, {nil, false}, {[]string{"@food"}, true}} {
		if got, most := d.plans(func() { d.external("shop/db", letting(tt.consumers...)) }), 1.0; got > most {
			t.Errorf("%v applications were planned for consumers %v, want bar at most", got, tt.consumers)
		}
		if tt.lets {
			d.wantDependencies("cafe/bar", "shop/db.external", "shop/mail.external")
			d.wantUnresolved("cafe/bar", "")
		} else {
			d.wantDependencies("cafe/bar", "shop/mail.external")
			d.wantUnresolved("cafe/bar", "DependencyDenied: cafe/bar is not among the consumers of ExternalService shop/db")
		}
	}
	t.Run("tenants are those of now, in one environment", func(t *testing.T) {
		d.place("cafe", "prod", "drink")
		d.step()
		d.wantDependencies("cafe/bar", "shop/mail.external")
		d.place("cafe", "prod", "food")
		d.step()
		d.wantDependencies("cafe/bar", "shop/db.external", "shop/mail.external")
		d.environment("test")
		d.place("cafe", "test", "food")
		d.step()
		d.wantDependencies("cafe/bar")
		d.wantUnresolved("cafe/bar", "OtherEnvironment: in environment prod, and no policy allows calls from one environment to another: ExternalService shop/db, ExternalService shop/mail")
		d.place("cafe", "prod", "food")
		d.step()
		d.wantDependencies("cafe/bar", "shop/db.external", "shop/mail.external")
	})
	t.Run("audience", func(t *testing.T) {
		a, held := heldAudience(d.mirror.Snapshot(), "shop/db.external")
		if !held || !slices.Equal(a.Namespaces, []string{"cafe", "shop"}) || len(a.Zones) == 0 {
			t.Errorf("the audience is %+v, want cafe and shop", a)
		}
		d.putIn("cafe", "bar", nil)
		d.step()
		d.pass()
		d.step()
		if a, _ = heldAudience(d.mirror.Snapshot(), "shop/db.external"); !slices.Equal(a.Namespaces, []string{"shop"}) {
			t.Errorf("the audience is %+v, want shop alone once bar does not depend on it", a)
		}
		d.putIn("cafe", "bar", callsExternal("shop/db"))
		d.step()
		if a, _ = heldAudience(d.mirror.Snapshot(), "shop/db.external"); !slices.Equal(a.Namespaces, []string{"cafe", "shop"}) {
			t.Errorf("the audience is %+v, want cafe and shop at once", a)
		}
	})
	t.Run("a refused change keeps those who may", func(t *testing.T) {
		d.external("shop/db", func(s *externalSpec) {
			letting("@food")(s)
			s.Endpoints = []v1alpha1.ExternalEndpoint{{Address: "::1"}}
		})
		if wrote := d.step(); wrote != 0 {
			t.Errorf("it wrote %d times", wrote)
		}
		d.external("shop/db", func(s *externalSpec) { s.Endpoints = []v1alpha1.ExternalEndpoint{{Address: "::1"}} })
		d.step()
		d.wantDependencies("cafe/bar") // who calls whom follows what is said now
		d.external("shop/db", letting("@food"))
		d.step()
	})
	t.Run("a restart", func(t *testing.T) {
		d = d.again()
		if wrote := d.step(); wrote != 0 {
			t.Errorf("a restart wrote %d times", wrote)
		}
		if got := d.plans(func() { d.external("shop/db", letting("@food")) }); got != 0 {
			t.Errorf("%v applications were planned though nothing has changed", got)
		}
	})
	t.Run("one that is missing, with nobody seen to delete it, takes nothing away while it is held", func(t *testing.T) {
		held := d.again()
		held.guard.doubts(true)
		held.noExternal("shop/db", false)
		if wrote := held.step(); wrote != 0 {
			t.Errorf("it wrote %d times", wrote)
		}
		held.wantDependencies("cafe/bar", "shop/db.external")
		held.external("shop/db", nil)
		held.step()
		held.wantExternal("shop/db", v1alpha1.ConditionAccepted, "True Accepted: Whoever could depend on it still can")
		held.wantDependencies("cafe/bar", "shop/db.external")
		if list := held.guard.list(); len(list) > 0 {
			t.Errorf("held are %v, though it has come back", list)
		}
		held.queue.add(func(w *work) { w.confirmed = true })
		held.step()
		held.wantDependencies("cafe/bar")
		held.external("shop/db", letting("@food"))
		held.step()
		d = held.again()
		d.step()
	})
	t.Run("it goes first", func(t *testing.T) {
		d.noExternal("shop/db", true)
		d.step()
		d.wantDependencies("shop/web")
		d.wantUnresolved("shop/web", "DependencyNotFound: there is no accepted ExternalService shop/db")
		if d.externalRecord("shop/db") != nil {
			t.Error("its record is there")
		}
		d.wantRecords(record.KindPolicy, "cafe/bar", "cafe/kitchen", "shop/db", "shop/mail.external", "shop/web")
		d.pass()
		d.step()
		d.wantRecords(record.KindAudience)
		d.external("shop/db", letting("@food"))
		d.step()
		d.wantDependencies("shop/web", "shop/db.external")
		d.wantDependencies("cafe/bar", "shop/db.external")
	})
	t.Run("those that depend on it go first", func(t *testing.T) {
		d.vanish("web")
		d.deleted("web", true)
		d.putIn("cafe", "bar", nil)
		d.step()
		if d.externalRecord("shop/db") == nil {
			t.Error("its record is gone with those that depend on it")
		}
		d.noExternal("shop/db", true)
		d.step()
		if wrote := d.step(); wrote != 0 || d.externalRecord("shop/db") != nil {
			t.Errorf("%d writes, and its record is %+v", wrote, d.externalRecord("shop/db"))
		}
		d.pass()
		d.step()
		d.wantRecords(record.KindAudience)
	})
}

// TestExternalAddress takes an ExternalService to an address, keeps it, and gives it back.
func TestExternalAddress(t *testing.T) {
	d := newDesk(t, nil)
	d.space = &heldSpace{}
	const owner = "external/shop/db"
	address := func(want string) {
		t.Helper()
		if got := d.externalRecord("shop/db").External.Address; got != want {
			t.Errorf("the record has address %q, want %q", got, want)
		}
	}
	d.external("shop/db", mysql)
	d.external("shop/web", nil)
	d.put("web", callsExternal("db"))
	d.step()
	d.wantRecords(record.KindClaim, "-/-/"+owner)
	if got, want := d.asks.claims[owner], (record.Claim{Owner: owner, Purpose: record.PurposeService, Length: 32}); got != want {
		t.Errorf("it claims %+v, want %+v", got, want)
	}
	address("")
	d.wantExternal("shop/db", v1alpha1.ConditionAccepted, "True")
	d.wantExternal("shop/db", v1alpha1.ConditionAllocated, "False Pending: Global has not told yet what it gives")
	d.allot(owner, "10.0.0.7/32")
	d.step()
	address("10.0.0.7")
	d.wantExternal("shop/db", v1alpha1.ConditionAllocated, "True Allocated")
	if got := d.externalStatus("shop/db").Address; got != "10.0.0.7" {
		t.Errorf("the status has address %q, want 10.0.0.7", got)
	}
	t.Run("it stays through changes, a restart and silence", func(t *testing.T) {
		d.external("shop/db", func(s *externalSpec) {
			mysql(s)
			s.Hosts = []string{"other.example.com"}
		})
		d.step()
		address("10.0.0.7")
		d = d.again()
		d.space = &heldSpace{}
		if wrote := d.step(); wrote != 0 {
			t.Errorf("a restart wrote %d times", wrote)
		}
		address("10.0.0.7")
		d.wantExternal("shop/db", v1alpha1.ConditionAllocated, "True Allocated")
		d.external("shop/db", mysql)
		d.step()
		address("10.0.0.7")
	})
	t.Run("a store that is lost does not take it away, since the hub knows", func(t *testing.T) {
		d.externalStatus("shop/db")
		d = newDesk(d.t, &desk{planner: d.planner, records: mem.New()})
		d.space = &heldSpace{}
		d.step()
		address("10.0.0.7")
	})
	t.Run("a refused change keeps it", func(t *testing.T) {
		d.external("shop/db", func(s *externalSpec) {
			mysql(s)
			s.Endpoints = []v1alpha1.ExternalEndpoint{{Address: "::1"}}
		})
		d.step()
		address("10.0.0.7")
		d = d.again()
		d.space = &heldSpace{}
		if wrote := d.step(); wrote != 0 {
			t.Errorf("a restart wrote %d times", wrote)
		}
		d.wantExternal("shop/db", v1alpha1.ConditionAccepted, "False InvalidSpec")
		d.wantExternal("shop/db", v1alpha1.ConditionAllocated, "True Allocated")
		d.allot(owner, "10.0.0.8/32") // a person had it repaired
		d.step()
		address("10.0.0.8")
		if got := d.externalStatus("shop/db").Address; got != "10.0.0.8" {
			t.Errorf("the status has address %q, want 10.0.0.8", got)
		}
		d.external("shop/db", mysql)
		d.step()
	})
	t.Run("another family, and a pool that there is not yet", func(t *testing.T) {
		d.external("shop/db", func(s *externalSpec) {
			mysql(s)
			s.Address = &v1alpha1.AddressRequest{Family: v1alpha1.IPv6}
		})
		d.step()
		address("")
		d.allot(owner, "2001:db8::7/128")
		d.step()
		address("2001:db8::7")
		d.externalStatus("shop/db")
		d.external("shop/late", func(s *externalSpec) {
			mysql(s)
			s.Address = &v1alpha1.AddressRequest{Pool: "late"}
		})
		d.step()
		d.wantExternal("shop/late", v1alpha1.ConditionAccepted, "True")
		d.wantExternal("shop/late", v1alpha1.ConditionAllocated, "False PoolNotFound: there is no accepted IPPool late")
		if n := d.plans(func() { d.ipPool("late", 1, nil, "10.9.0.0/16") }); n != 0 {
			t.Errorf("%v applications were planned for a pool that they do not ask for", n)
		}
		d.wantRecords(record.KindClaim, "-/-/"+owner, "-/-/external/shop/late")
	})
	t.Run("what is not given is said, and what was given is kept where the store was set back", func(t *testing.T) {
		claim := d.asks.claims["external/shop/late"]
		full := record.Allotment{Owner: claim.Owner, Pool: "late", Reason: "PoolExhausted", Message: "IPPool late is full"}
		if err := d.reports.take(d.mirror.Snapshot(), "", full.Record()); err != nil {
			t.Fatal(err)
		}
		d.queue.add(func(w *work) { w.allotted[claim.Owner] = true })
		d.step()
		d.wantExternal("shop/late", v1alpha1.ConditionAllocated, "False PoolExhausted: IPPool late is full")
		d = d.again()
		d.space = &heldSpace{}
		d.step()
		forgotten := record.Allotment{Owner: owner, Reason: ipam.ReasonStoreSetBack, Message: "the store was set back"}
		if err := d.reports.take(d.mirror.Snapshot(), "", forgotten.Record()); err != nil {
			t.Fatal(err)
		}
		d.queue.add(func(w *work) { w.allotted[owner] = true })
		d.step()
		address("2001:db8::7")
		d.wantExternal("shop/db", v1alpha1.ConditionAllocated, "False StoreSetBack")
		if got := d.externalStatus("shop/db").Address; got != "2001:db8::7" {
			t.Errorf("the status has address %q, want 2001:db8::7", got)
		}
		full = record.Allotment{Owner: owner, Pool: "given", Reason: "PoolExhausted", Message: "the pools are full"}
		if err := d.reports.take(d.mirror.Snapshot(), "", full.Record()); err != nil {
			t.Fatal(err)
		}
		d.queue.add(func(w *work) { w.allotted[owner] = true })
		d.step()
		address("")
		d.wantExternal("shop/db", v1alpha1.ConditionAllocated, "False PoolExhausted")
	})
	t.Run("it goes with the ports that need it, and with the ExternalService", func(t *testing.T) {
		d.external("shop/db", nil)
		d.step()
		address("")
		d.wantExternal("shop/db", v1alpha1.ConditionAllocated, "")
		d.wantRecords(record.KindClaim, "-/-/external/shop/late")
		d.noExternal("shop/late", true)
		d.step()
		d.wantRecords(record.KindClaim)
	})
	t.Run("a claim goes, too, where the process died between the record and that", func(t *testing.T) {
		d.external("shop/db", mysql)
		d.step()
		d.noExternal("shop/db", true)
		gone := record.Record{Key: record.ServiceKey("shop", "db.external")}
		if _, err := d.writer.Apply(t.Context(), []store.Write{{Record: gone, Delete: true, Cause: record.CausePerson}}, nil); err != nil {
			t.Fatal(err)
		}
		d = d.again()
		d.space = &heldSpace{}
		d.step()
		d.wantRecords(record.KindClaim)
	})
}

// TestAddressOfUnfitPool: what all clusters call has no address of a pool that is for something else, or for one Network. Who
// has one already keeps it.
func TestAddressOfUnfitPool(t *testing.T) {
	d := newDesk(t, nil)
	d.space = &heldSpace{empty: map[string]bool{"nodes": true, "fit": true}}
	nodes := func(s *v1alpha1.IPPoolSpec) { s.Purpose = v1alpha1.PurposeNode }
	d.ipPool("nodes", 1, nodes, "10.8.0.0/16")
	d.ipPool("one", 2, func(s *v1alpha1.IPPoolSpec) { s.Network = "n" }, "10.9.0.0/16")
	d.ipPool("fit", 3, nil, "10.10.0.0/16")
	of := func(pool string) func(*externalSpec) {
		return func(s *externalSpec) {
			mysql(s)
			s.Address = &v1alpha1.AddressRequest{Pool: pool}
		}
	}
	d.external("shop/a", of("nodes"))
	d.external("shop/b", of("one"))
	d.external("shop/c", of("fit"))
	d.put("web", func(s *specOf) { s.Address = &v1alpha1.AddressRequest{Pool: "nodes"} })
	d.step()
	d.wantRecords(record.KindClaim, "-/-/external/shop/c")
	d.wantExternal("shop/a", v1alpha1.ConditionAllocated, "False InvalidSpec: spec.address.pool: IPPool nodes is of purpose Node; name one of purpose Service")
	d.wantExternal("shop/b", v1alpha1.ConditionAllocated, "False InvalidSpec: spec.address.pool: IPPool one is of Network n alone; name one of purpose Service")
	if why := d.board.refusedAddress("application/shop/web"); why == nil || why.reason != v1alpha1.ReasonInvalidSpec {
		t.Errorf("the application is refused by %v, want InvalidSpec", why)
	}
	d.external("shop/c", of("nodes"))
	d.step()
	d.wantRecords(record.KindClaim, "-/-/external/shop/c")
	if got := d.asks.claims["external/shop/c"].Pool; got != "fit" {
		t.Errorf("asking for an unfit pool took away what it had: its claim is of pool %q, want fit", got)
	}
	d.external("shop/c", of("fit"))
	d.step()
	d.noIPPool("nodes")
	d.noIPPool("fit")
	d.step()
	d.ipPool("nodes", 4, nil, "10.8.0.0/16")
	d.ipPool("fit", 5, nodes, "10.10.0.0/16")
	d.step()
	d.wantRecords(record.KindClaim, "-/-/application/shop/web", "-/-/external/shop/a", "-/-/external/shop/c")
	d.external("shop/c", of("fit"))
	d.step()
	if why := d.board.refusedAddress("external/shop/c"); why != nil {
		t.Errorf("one that has an address of a pool is refused it later: %v", why)
	}
}

// TestExternalQuota counts the addresses of ExternalServices.
func TestExternalQuota(t *testing.T) {
	d := newTenants(t)
	d.space = &heldSpace{}
	two := int64(2)
	d.quota("retail", "retail", func(s *v1alpha1.TenantQuotaSpec) { s.Addresses = &two })
	d.external("shop/free", nil)
	d.external("shop/a", mysql)
	d.step()
	d.put("web", func(s *specOf) { s.Address = &v1alpha1.AddressRequest{} })
	d.step()
	d.external("shop/b", mysql)
	d.step()
	used := func(want string) {
		t.Helper()
		s := d.board.quotas["retail"]
		if got := fmt.Sprintf("%d addresses, %d refused", s.used.Addresses, s.refused); got != want {
			t.Errorf("retail has %s, want %s", got, want)
		}
	}
	used("2 addresses, 1 refused")
	const over = "False QuotaExceeded: tenant retail may have 2 addresses (TenantQuota retail), has 2, and this asks for 1 more"
	d.wantExternal("shop/b", v1alpha1.ConditionAccepted, "True")
	d.wantExternal("shop/b", v1alpha1.ConditionAllocated, over)
	d.wantRecords(record.KindClaim, "-/-/application/shop/web", "-/-/external/shop/a")
	if d.externalRecord("shop/b") == nil {
		t.Error("one that has no address has no record")
	}
	t.Run("a restart counts the same", func(t *testing.T) {
		d = d.again()
		d.space = &heldSpace{}
		d.queue.add(func(w *work) { w.quotas["retail"] = true })
		if wrote := d.step(); wrote != 0 {
			t.Errorf("a restart wrote %d times", wrote)
		}
		used("2 addresses, 1 refused")
		d.external("shop/a", func(s *externalSpec) {
			mysql(s)
			s.Endpoints = []v1alpha1.ExternalEndpoint{{Address: "::1"}}
		})
		d.step()
		d = d.again()
		d.space = &heldSpace{}
		d.queue.add(func(w *work) { w.quotas["retail"] = true })
		d.step()
		used("2 addresses, 1 refused") // one that is refused keeps what it has
		d.external("shop/a", mysql)
		d.step()
	})
	t.Run("another tenant's namespace", func(t *testing.T) {
		d.place("shop", "prod", "food")
		d.step()
		used("0 addresses, 0 refused")
		d.wantRecords(record.KindClaim, "-/-/application/shop/web", "-/-/external/shop/a", "-/-/external/shop/b")
		d.noExternal("shop/b", true)
		d.place("shop", "prod", "retail")
		d.step()
		used("2 addresses, 0 refused")
		d.external("shop/b", mysql)
		d.step()
		used("2 addresses, 1 refused")
	})
	t.Run("room appears", func(t *testing.T) {
		d.noExternal("shop/a", true)
		d.step()
		used("2 addresses, 0 refused")
		d.wantRecords(record.KindClaim, "-/-/application/shop/web", "-/-/external/shop/b")
	})
}

// TestExternalsByAge gives the last address that a tenant may have to the older of two.
func TestExternalsByAge(t *testing.T) {
	d := newTenants(t)
	d.space = &heldSpace{}
	one := int64(1)
	d.quota("retail", "retail", func(s *v1alpha1.TenantQuotaSpec) { s.Addresses = &one })
	for i, key := range []string{"shop/older", "shop/a"} {
		x := testExternal(key)
		x.CreationTimestamp = metav1.Unix(int64(i+1), 0)
		mysql(&x.Spec)
		fill(d.hub.externals, []*v1alpha1.ExternalService{x})
		d.queue.externalEvents().OnAdd(x, false)
	}
	d.step()
	d.wantRecords(record.KindClaim, "-/-/external/shop/older")
}

// TestExternalConsumersBounded has a tenant get more namespaces than what is kept of consumers has room for.
func TestExternalConsumersBounded(t *testing.T) {
	d := newDesk(t, nil)
	d.place("cafe", "prod", "food")
	d.putIn("cafe", "bar", callsExternal("shop/db"))
	d.external("shop/db", letting("cafe"))
	d.step()
	for i := range 4200 {
		d.place(fmt.Sprintf("%s-%d", strings.Repeat("n", 58), i), "prod", "many")
	}
	d.step()
	for _, consumers := range [][]string{{"cafe", "@many"}, {"@many"}} {
		d.external("shop/db", letting(consumers...))
		d.step()
		d.wantExternal("shop/db", v1alpha1.ConditionAccepted, "False SpecTooLarge: spec.consumers: they come to ")
		d.wantDependencies("cafe/bar", "shop/db.external")
	}
	d = d.again()
	if wrote := d.step(); wrote != 0 {
		t.Errorf("a restart wrote %d times", wrote)
	}
	d.external("shop/db", nil)
	d.step()
	d.wantExternal("shop/db", v1alpha1.ConditionAccepted, "True")
	d.wantDependencies("cafe/bar")
}
