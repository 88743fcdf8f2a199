package question

import (
	"time"
)

// KindRotate takes with a RotateRequest the replacement of the root one step further, if it can go there now. Repeating it
// takes it to its end, and changes nothing that is done.
const KindRotate = "rotate"

// RotateRequest is the payload of KindRotate.
type RotateRequest struct {
	// Begin makes a new root where no replacement is under way. Without it only one that is goes on.
	Begin bool `json:"begin,omitempty"`
	// Force does not wait for nodes that do not answer, or that have not followed: they must be enrolled anew.
	Force bool `json:"force,omitempty"`
}

// RotationPhase is how far the replacement of the root is.
type RotationPhase string

// The phases, in order.
const (
	// RotationIdle: there is one root, and it signs.
	RotationIdle RotationPhase = "idle"
	// RotationSpreading: a new root is told to all, and the old one signs.
	RotationSpreading RotationPhase = "spreading"
	// RotationRenewing: the new one signs, and both are believed.
	RotationRenewing RotationPhase = "renewing"
	// RotationDone: the old one was dropped by this step.
	RotationDone RotationPhase = "done"
)

// Rotation is how the replacement of the root stands after a step.
type Rotation struct {
	Phase RotationPhase `json:"phase"`
	// Active is the pin of the root that signs, Roots are those of all that are believed.
	Active string   `json:"active"`
	Roots  []string `json:"roots"`
	// Waiting are the nodes that the next step waits for, the first MaxRotationWaiting of Left.
	Waiting []RotationWait `json:"waiting,omitempty"`
	Left    int            `json:"left,omitempty"`
}

// MaxRotationWaiting is how many nodes that are waited for one answer lists.
const MaxRotationWaiting = 50

// RotationWait is a node that is waited for.
type RotationWait struct {
	Node   string `json:"node"`
	Reason string `json:"reason"`
}

// Identity is the certificate of one process, and the roots that it believes. Roots are named by their pins.
type Identity struct {
	// Root is the one that its chain ends in.
	Root     string   `json:"root"`
	Believes []string `json:"believes"`
	// Issued is since when its certificate holds.
	Issued time.Time `json:"issued,omitzero"`
	// Expires is when its certificate ends, AuthorityExpires when the one that it signs by does, zero if it has none.
	Expires          time.Time `json:"expires"`
	AuthorityExpires time.Time `json:"authorityExpires,omitzero"`
	Generation       uint64    `json:"generation"`
	Serial           string    `json:"serial,omitempty"`
}
