package feed

import "fmt"

// Position is a point in the history of the sender's store. Epoch names that history, Revision grows in it. The zero
// Position belongs to a sender that keeps no history (what came from below is only held in memory).
type Position struct {
	Epoch    uint64 `json:"epoch,omitempty"`
	Revision int64  `json:"revision,omitempty"`
}

// String is EPOCH/REVISION, the epoch in hexadecimal.
func (p Position) String() string { return fmt.Sprintf("%x/%d", p.Epoch, p.Revision) }

// reaches tells whether a sender at p may be believed by a receiver whose floor is floor.
func (p Position) reaches(floor Position) bool {
	return floor == Position{} || p.Epoch == floor.Epoch && p.Revision >= floor.Revision
}

// Fence tells the owner of a child from earlier owners: the store revision at which it took ownership, in an epoch.
// The zero Fence belongs to a sender whose ownership is not disputed.
type Fence struct {
	Epoch uint64 `json:"epoch,omitempty"`
	Fence int64  `json:"fence,omitempty"`
}

// String is EPOCH/FENCE, the epoch in hexadecimal.
func (f Fence) String() string { return fmt.Sprintf("%x/%d", f.Epoch, f.Fence) }

// reaches tells whether a sender with fence f may be believed where highest was seen. Another epoch is a matter of the
// position, which is checked first.
func (f Fence) reaches(highest Fence) bool {
	return f.Epoch != highest.Epoch && f.Epoch != 0 || f.Epoch == highest.Epoch && f.Fence >= highest.Fence
}

// RefusalKind says what a receiver did not accept.
type RefusalKind string

// The kinds of refusal.
const (
	// RefusedEpoch: the sender's store has another history. Needs a confirmation.
	RefusedEpoch RefusalKind = "epoch"
	// RefusedFloor: the sender is behind what was accepted before. Passes when it catches up; after a restored backup
	// it needs a confirmation.
	RefusedFloor RefusalKind = "floor"
	// RefusedFence: a later owner was seen. Passes when this sender owns the child again.
	RefusedFence RefusalKind = "fence"
	// RefusedRole: this end takes no records at all.
	RefusedRole RefusalKind = "role"
)

// Refusal is why a receiver takes nothing from a sender, and what it would take.
type Refusal struct {
	Kind   RefusalKind
	Reason string
	// Position and Fence are what the sender stated, Floor and Highest what this end asks for.
	Position Position
	Fence    Fence
	Floor    Position
	Highest  Fence
}

// lifted tells whether a sender now at p with fence f would be accepted.
func (r Refusal) lifted(p Position, f Fence) bool {
	return r.Kind != RefusedRole && p.reaches(r.Floor) && f.reaches(r.Highest)
}
