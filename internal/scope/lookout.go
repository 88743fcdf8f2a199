package scope

import "github.com/meridian-federation/meridian/internal/record"

// lookout is one application that is called: the children that look out for where it is, and where it is seen. A child
// needs a location, and the place that it is at, while it looks out and is not itself where that comes from.
type lookout struct {
	callers   map[string]int // by child: how many of its assignments depend on the application
	sightings map[record.Key]sighting
}

// sighting is a location of an application, in a cluster that one child speaks for.
type sighting struct {
	key         record.Key
	application string
	cluster     string
	origin      string
}

func (s sighting) reasons(child string) [2]reason {
	return [2]reason{{child, s.key}, {child, record.PlaceKey(s.cluster)}}
}

func (x *Index) lookout(application string) *lookout {
	l := x.lookouts[application]
	if l == nil {
		l = &lookout{callers: map[string]int{}, sightings: map[record.Key]sighting{}}
		x.lookouts[application] = l
	}
	return l
}

// call notes that one more assignment has a child depend on an application.
func (x *Index) call(child, application string, t touched) {
	l := x.lookout(application)
	if l.callers[child]++; l.callers[child] > 1 {
		return
	}
	for _, s := range l.sightings {
		x.show(child, s, t)
	}
}

// uncall takes back what call noted.
func (x *Index) uncall(child, application string, cause record.Cause, t touched) {
	l := x.lookout(application)
	if l.callers[child]--; l.callers[child] > 0 {
		return
	}
	delete(l.callers, child)
	for _, s := range l.sightings {
		x.hide(child, s, cause, t)
	}
	x.forget(application, l)
}

// sight moves a location; nil is none.
func (x *Index) sight(before, after *sighting, cause record.Cause, t touched) {
	if before != nil && after != nil && *before == *after {
		return
	}
	if before != nil {
		l := x.lookout(before.application)
		delete(l.sightings, before.key)
		for child := range l.callers {
			x.hide(child, *before, cause, t)
		}
		x.forget(before.application, l)
	}
	if after != nil {
		l := x.lookout(after.application)
		l.sightings[after.key] = *after
		for child := range l.callers {
			x.show(child, *after, t)
		}
	}
}

func (x *Index) show(child string, s sighting, t touched) {
	if child == s.origin {
		return
	}
	for _, r := range s.reasons(child) {
		x.add(r, t)
	}
}

func (x *Index) hide(child string, s sighting, cause record.Cause, t touched) {
	if child == s.origin {
		return
	}
	for _, r := range s.reasons(child) {
		x.drop(r, cause, t)
	}
}

func (x *Index) forget(application string, l *lookout) {
	if len(l.callers)+len(l.sightings) == 0 {
		delete(x.lookouts, application)
	}
}
