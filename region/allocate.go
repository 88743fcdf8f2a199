package region

import (
	"context"
	"strings"

	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/ipam"
	"github.com/meridian-federation/meridian/ipam/tenure"
)

// allocate hands address space on to the zones, for one term. told is closed when all that Global is to know of it has been
// told.
func (r *Region) allocate(ctx context.Context, writer ipam.Writer, told chan<- struct{}) error {
	r.space.renew()
	if r.tenure == nil {
		close(told)
		return nil
	}
	return r.tenure.Run(ctx, tenure.Term{Writer: writer, Tell: r.space.tell, Untell: r.space.untell, Told: told, Reclaimed: r.reclaimed,
		Began: func(t *ipam.Tier) {
			if t == nil {
				r.space.serve(nil)
				return
			}
			r.space.serve(t)
		}})
}

// reclaimed forgets what a zone, REGION/ZONE, said of the addresses that were taken back from it, whatever it wanted.
func (r *Region) reclaimed(child string) {
	_, zone, _ := strings.Cut(child, "/")
	r.mu.Lock()
	delete(r.ledgers, zone) // should it come back all the same, it is to tell all
	r.mu.Unlock()
	r.space.forget(zone)
	r.allotments.retain(func(other string) bool { return other != zone })
	r.zones.Dismiss(zone, "what zone "+zone+" had of address space was taken back")
}

// delegates tells whether a record is a prefix that the region hands on to a zone, which is its own to decide.
func delegates(key record.Key) bool {
	_, zone := key.Place()
	return key.Kind == record.KindPrefix && zone != ""
}

// connected tells whether a zone, REGION/ZONE, has a session.
func (r *Region) connected(child string) bool {
	_, zone, _ := strings.Cut(child, "/")
	return r.zones.Connected(zone)
}
