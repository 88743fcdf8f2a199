package global

import (
	"fmt"
	"slices"

	"github.com/meridian-federation/meridian/internal/object"
)

// claims says which application owns each object that specs bring to a cluster. The first to be accepted holds an
// object until it lets go; after a restart the revisions that are in force are claimed before any spec is looked at, so
// that the same application holds it again.
type claims struct {
	holder map[object.ID]string
	held   map[string][]object.ID
	// waiting are applications that were refused an object, by object.
	waiting map[object.ID]map[string]bool
}

func newClaims() *claims {
	return &claims{holder: map[object.ID]string{}, held: map[string][]object.ID{},
		waiting: map[object.ID]map[string]bool{}}
}

// conflict is an object that another application owns.
type conflict struct {
	id     object.ID
	holder string
}

func (c *conflict) Error() string {
	return fmt.Sprintf("%s belongs to application %s; rename it, or remove it there", c.id.Short(), c.holder)
}

// take gives app exactly these objects and takes back all others it held. It returns the applications that wait for one
// that was taken back. If any object is another's, nothing changes, app waits for it, and the error is a *conflict.
func (c *claims) take(app string, ids []object.ID) (freed []string, err error) {
	for _, id := range ids {
		if holder, ok := c.holder[id]; ok && holder != app {
			if c.waiting[id] == nil {
				c.waiting[id] = map[string]bool{}
			}
			c.waiting[id][app] = true
			return nil, &conflict{id, holder}
		}
	}
	before := c.held[app]
	for _, id := range ids {
		c.holder[id] = app
		delete(c.waiting[id], app)
	}
	c.held[app] = ids
	if len(ids) == 0 {
		delete(c.held, app)
	}
	keep := make(map[object.ID]bool, len(ids))
	for _, id := range ids {
		keep[id] = true
	}
	for _, id := range before {
		if keep[id] {
			continue
		}
		delete(c.holder, id)
		for waiter := range c.waiting[id] {
			freed = append(freed, waiter)
		}
		delete(c.waiting, id)
	}
	return freed, nil
}

// of returns what an application holds.
func (c *claims) of(app string) []object.ID { return c.held[app] }

// hold has an application hold objects that it held a moment ago beside what it holds now: its new spec cannot be
// placed, and the revision that has them runs on.
func (c *claims) hold(app string, before []object.ID) {
	for _, id := range before {
		if _, held := c.holder[id]; !held {
			c.holder[id] = app
			c.held[app] = append(slices.Clip(c.held[app]), id)
		}
	}
}

// forget drops an application that is gone, with all that it held or waited for.
func (c *claims) forget(app string) (freed []string) {
	freed, _ = c.take(app, nil)
	for id, waiters := range c.waiting {
		if delete(waiters, app); len(waiters) == 0 {
			delete(c.waiting, id)
		}
	}
	return freed
}
