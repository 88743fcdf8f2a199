package store

import (
	"context"
	"time"
)

// MemberLease is how long after its last renewal a member that has died stays listed.
const MemberLease = 3 * time.Second

// Member is a process that takes part in a tier, as it describes itself.
type Member struct {
	// ID is unique among the tier's processes.
	ID string
	// Address is where children and the tier's other processes reach it, HOST:PORT.
	Address string
	// Leaving says that it takes nothing more upon itself and ends when others have taken over what it has.
	Leaving bool
}

// Claim says who owns something (a zone's shard: a cluster). Fence is the store revision at which it was taken and
// grows with every taking. A claim outlives its owner's process, until another takes it.
type Claim struct {
	Name  string
	Owner string
	Fence int64
}

// Roster is who takes part in a tier, who leads it, and who has claimed what.
type Roster struct {
	// Members whose lease is alive, by ID.
	Members map[string]Member
	// Leader is the ID of whoever leads, which may be none of the members; empty while nobody does.
	Leader string
	// Claims by name, those of processes that are gone included.
	Claims map[string]Claim
}

// Registry keeps a tier's roster beside its records. No change of it moves the records' position.
type Registry interface {
	// Join lists a member until its Membership ends. An earlier membership of the same ID ends at once.
	Join(ctx context.Context, m Member) (Membership, error)
	// WatchRoster calls fn with the roster, at once and after each change or several, until ctx ends, fn fails or the
	// handle is closed; it outlasts a store that is out of reach. fn sees the roster as it was at one moment, never a
	// part of a change. The roster and its maps are fn's only for the length of the call.
	WatchRoster(ctx context.Context, fn func(*Roster) error) error
	// Claim takes name for owner if its fence is still prev (0: nobody holds it) and returns the new fence;
	// otherwise ErrClaimed.
	Claim(ctx context.Context, name, owner string, prev int64) (Claim, error)
	// Depose ends the term of a leader that the caller believes to be gone, if it still leads. It is safe where that is
	// wrong: nothing more can be written in that term, and whoever had it campaigns again.
	Depose(ctx context.Context, id string) error
}

// Membership is a member's place in the roster.
type Membership interface {
	// Fresh tells whether the member is surely still listed: its lease was renewed less than MemberLease ago, by a clock
	// that goes on while the process is stopped.
	Fresh() bool
	// Done is closed when the membership has ended: lost, superseded or left.
	Done() <-chan struct{}
	// Update changes how the member is described, but not its ID. It fails with ErrEnded, having changed nothing, when
	// the membership has ended.
	Update(ctx context.Context, m Member) error
	// Leave ends the membership at once. One that has ended is left already.
	Leave(ctx context.Context) error
}
