package children

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"google.golang.org/grpc/peer"

	"github.com/meridian-federation/meridian/internal/audit"
	"github.com/meridian-federation/meridian/internal/feed"
	"github.com/meridian-federation/meridian/internal/feed/feedgrpc"
	"github.com/meridian-federation/meridian/internal/identity"
	"github.com/meridian-federation/meridian/internal/question"
	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/internal/store"
)

// Claim is who a child says that it is, with who it is by its certificate.
type Claim struct {
	Hello feed.Hello
	Place question.Path
}

// Child refuses claims but those of children directly below a place, which claim to be what their certificates say.
func Child(of question.Path) func(Claim) error {
	return func(c Claim) error {
		if parent, ok := c.Place.Parent(); !ok || parent != of {
			return fmt.Errorf("%s is not directly below %s", c.Place, of)
		}
		if tier := string(c.Place.Tier()); c.Hello.Role != tier {
			return fmt.Errorf("%s claims the role %q, and is a %s", c.Place, c.Hello.Role, tier)
		}
		if c.Hello.Path != c.Place.String() {
			return fmt.Errorf("%s claims to be %s", c.Place, c.Hello.Path)
		}
		return nil
	}
}

// Lowest is the lowest generation of a place that counts, by the grants that a tier has.
func Lowest(mirror *store.Mirror) identity.Lowest {
	return func(path question.Path) uint64 {
		e, ok := mirror.Snapshot().Get(record.GrantKey(path.String()))
		if !ok {
			return 0
		}
		g, err := record.DecodeGrant(e.Record)
		if err != nil {
			return 0 // the mirror holds what the tier could read when it took it in
		}
		return g.Generation
	}
}

// door lets in whom the certificates allow in.
type door struct {
	may       func(Claim) error
	lowest    identity.Lowest
	authority *identity.Authority // nil where others issue certificates
	audit     *audit.Log
	refusals  *Refusals
}

// identify holds what a child claims against its certificate.
func (d *door) identify(ctx context.Context, hello feed.Hello) (feedgrpc.Identity, error) {
	who, err := identity.PeerOf(ctx)
	actor := address(ctx)
	if err == nil {
		actor = who.Path.String()
		err = d.may(Claim{Hello: hello, Place: who.Path})
	}
	if err != nil {
		d.refusals.count(otherClaim, 1)
		d.refuse(ctx, actor, hello.Role+" "+hello.Path, err)
		return feedgrpc.Identity{}, err
	}
	return feedgrpc.Identity{Role: hello.Role, Path: hello.Path, NotAfter: who.NotAfter, Serial: who.Serial}, nil
}

// valid ends a session whose place was revoked, and one whose certificate has ended, unless the place has later ones: a child
// that renews need not come again for each of its certificates.
func (d *door) valid(ctx context.Context, peer feedgrpc.Identity) (until time.Time, err error) {
	if err := identity.Revoked(ctx, d.lowest); err != nil {
		d.audit.Record(ctx, audit.Event{Action: audit.PlaceRevoked, Actor: peer.Path, Subject: peer.Path, Result: audit.Refused,
			Reason: err.Error()})
		return time.Time{}, err
	}
	until = peer.NotAfter
	if d.authority != nil {
		if later := d.authority.RenewedUntil(ctx, d.lowest); later.After(until) {
			until = later
		}
	}
	if !time.Now().Before(until) {
		return time.Time{}, errEnded
	}
	return until, nil
}

// errEnded is told to a child, which comes again with the certificate that it has by then.
var errEnded = errors.New("the certificate that the session began with has ended")

// refused is told of handshakes that fail.
func (d *door) refused(from net.Addr, err error) {
	d.refusals.refused(err)
	d.refuse(context.Background(), from.String(), "handshake", err)
}

// crowded is told of connections that are closed since their address has too many. They are not recorded: whoever can make
// that many could have all else that is refused suppressed.
func (d *door) crowded(_ net.Addr, err error) { d.refusals.refused(err) }

func (d *door) refuse(ctx context.Context, actor, subject string, err error) {
	d.audit.Record(ctx, audit.Event{Action: audit.PeerRefused, Actor: actor, Subject: subject, Result: audit.Refused, Reason: err.Error()})
}

func address(ctx context.Context) string {
	if p, ok := peer.FromContext(ctx); ok && p.Addr != nil {
		return p.Addr.String()
	}
	return "unknown"
}
