package global

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/internal/store"
)

// audiences count, for each application, who depends on it: a consumer that comes or goes costs its own dependencies
// and zones, however many there are. Records grow with the helping that made them grow. They shrink when something else
// changes them, or after the delay: a shrunk one costs every proxy that sees the application a full push, and brings
// nothing but order.
type audiences struct {
	delay     time.Duration
	followers map[string]*followers // by the application depended upon
	consumers map[string]consumer
	// touched are applications whose set of namespaces or zones may differ from their record's.
	touched map[string]bool
	// shrinking are records that say too much, and until when they may; order holds them by that time, with some that are
	// no longer shrinking, or not since then.
	shrinking map[string]time.Time
	order     []deadline
	// cause is with which an application's last consumer went, where no person is known to have done it.
	cause map[string]record.Cause
}

// followers count the consumers of one application, by namespace and by zone.
type followers struct{ namespaces, zones map[string]int }

// consumer is an application with the dependencies that it may call and the zones that it is assigned to.
type consumer struct{ dependencies, zones []string }

// add counts one assignment in.
func (c *consumer) add(a record.Assignment) {
	insert := func(list []string, name string) []string {
		if i, found := slices.BinarySearch(list, name); !found {
			return slices.Insert(list, i, name)
		}
		return list
	}
	c.zones = insert(c.zones, a.Zone)
	if c.dependencies == nil {
		c.dependencies = slices.Clone(a.Dependencies)
		return
	}
	for _, d := range a.Dependencies {
		c.dependencies = insert(c.dependencies, d)
	}
}

type deadline struct {
	application string
	at          time.Time
}

func newAudiences(delay time.Duration) *audiences {
	return &audiences{delay: delay, followers: map[string]*followers{}, consumers: map[string]consumer{},
		touched: map[string]bool{}, shrinking: map[string]time.Time{}, cause: map[string]record.Cause{}}
}

// set notes what an application depends on, and where it is; with neither it is gone, for that cause.
func (x *audiences) set(name string, now consumer, cause record.Cause) {
	before, counted := x.consumers[name]
	if len(now.dependencies) == 0 || len(now.zones) == 0 {
		now = consumer{}
	}
	if slices.Equal(before.dependencies, now.dependencies) && slices.Equal(before.zones, now.zones) {
		return
	}
	namespace, _, _ := strings.Cut(name, "/")
	for _, d := range now.dependencies {
		x.count(d, namespace, now.zones, 1)
	}
	if counted {
		for _, d := range before.dependencies {
			x.count(d, namespace, before.zones, -1)
			if x.followers[d] == nil && cause != record.CausePerson {
				x.cause[d] = cause
			}
		}
	}
	if x.consumers[name] = now; len(now.dependencies) == 0 {
		delete(x.consumers, name)
	}
}

// count adds one consumer to an application, or takes one away.
func (x *audiences) count(application, namespace string, zones []string, n int) {
	f := x.followers[application]
	if f == nil {
		f = &followers{map[string]int{}, map[string]int{}}
		x.followers[application] = f
		delete(x.cause, application)
	}
	changed := tally(f.namespaces, namespace, n)
	for _, zone := range zones {
		changed = tally(f.zones, zone, n) || changed
	}
	if changed {
		x.touched[application] = true
	}
	if len(f.namespaces) == 0 {
		delete(x.followers, application)
	}
}

// tally counts, and tells whether the name came or went.
func tally(counts map[string]int, name string, n int) bool {
	before := counts[name]
	if counts[name] = before + n; counts[name] == 0 {
		delete(counts, name)
	}
	return before == 0 || before+n == 0
}

// touchAll has all records compared again: the networks of zones may have changed.
func (x *audiences) touchAll() {
	for name := range x.followers {
		x.touched[name] = true
	}
}

// writes compares what was touched, and what has said too much for long enough, with the records in force. What grows
// comes apart from what only shrinks.
func (x *audiences) writes(snapshot *store.Snapshot, networks func(zone string) []string, now time.Time) (grown, shrunk []store.Write) {
	for len(x.order) > 0 && !x.order[0].at.After(now) {
		if d := x.order[0]; x.shrinking[d.application].Equal(d.at) {
			x.touched[d.application] = true
		}
		x.order = x.order[1:]
	}
	for _, name := range slices.Sorted(maps.Keys(x.touched)) {
		want, wanted := x.wanted(name, networks)
		have, held := heldAudience(snapshot, name)
		switch {
		case wanted && !(held && within(want, have)):
			delete(x.shrinking, name)
			grown = append(grown, store.Write{Record: want.Record()})
		case !held || wanted && within(have, want):
			delete(x.shrinking, name)
		case !x.due(name, now):
		case wanted:
			delete(x.shrinking, name)
			shrunk = append(shrunk, store.Write{Record: want.Record()})
		default:
			delete(x.shrinking, name)
			shrunk = append(shrunk, x.removal(want))
		}
	}
	clear(x.touched)
	return grown, shrunk
}

// due tells whether a record that says too much has done so for long enough, and notes since when it does.
func (x *audiences) due(name string, now time.Time) bool {
	at, ok := x.shrinking[name]
	if !ok {
		at = now.Add(x.delay)
		x.shrinking[name] = at
		x.order = append(x.order, deadline{name, at})
	}
	return !at.After(now)
}

func (x *audiences) removal(gone record.Audience) store.Write {
	name := record.ServiceName(gone.Namespace, gone.Application)
	cause, known := x.cause[name]
	if !known {
		cause = record.CausePerson
	}
	delete(x.cause, name)
	return store.Write{Record: record.Record{Key: record.AudienceKey(gone.Namespace, gone.Application)}, Delete: true, Cause: cause}
}

// next is when something is due next; false if nothing shrinks.
func (x *audiences) next() (time.Time, bool) {
	for len(x.order) > 0 {
		if d := x.order[0]; x.shrinking[d.application].Equal(d.at) {
			return d.at, true
		}
		x.order = x.order[1:]
	}
	return time.Time{}, false
}

// wanted is the audience that follows from the counts; false if nobody depends on the application.
func (x *audiences) wanted(name string, networks func(zone string) []string) (record.Audience, bool) {
	namespace, short, _ := strings.Cut(name, "/")
	out := record.Audience{Namespace: namespace, Application: short}
	f := x.followers[name]
	if f == nil {
		return out, false
	}
	if out.Everyone = len(f.namespaces) > record.MaxAudience; !out.Everyone {
		out.Namespaces = slices.Sorted(maps.Keys(f.namespaces))
	}
	out.Zones = slices.Sorted(maps.Keys(f.zones))
	for _, zone := range out.Zones {
		out.Networks = append(out.Networks, networks(zone)...)
	}
	slices.Sort(out.Networks)
	out.Networks = slices.Compact(out.Networks)
	return out, true
}

// heldAudience reads the record in force; one that cannot be read is none.
func heldAudience(snapshot *store.Snapshot, name string) (record.Audience, bool) {
	namespace, short, _ := strings.Cut(name, "/")
	e, ok := snapshot.Get(record.AudienceKey(namespace, short))
	if !ok {
		return record.Audience{}, false
	}
	a, err := record.DecodeAudience(e.Record)
	return a, err == nil
}

// within tells whether all that one audience says another says too.
func within(a, b record.Audience) bool {
	return (b.Everyone || !a.Everyone && contains(b.Namespaces, a.Namespaces)) && contains(b.Zones, a.Zones) && contains(b.Networks, a.Networks)
}

func contains(sorted, names []string) bool {
	return !slices.ContainsFunc(names, func(name string) bool {
		_, found := slices.BinarySearch(sorted, name)
		return !found
	})
}
