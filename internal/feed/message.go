package feed

import (
	"time"

	"github.com/meridian-federation/meridian/internal/record"
)

// Version is the protocol spoken here. Both ends speak the lower of the two that they state.
const Version = 1

// Message is one of the messages of a session; see the package comment for their order.
type Message interface{ message() }

// Hello is the first message of either end.
type Hello struct {
	Protocol uint32
	// Role is the tier of whoever speaks: global, region, zone or cluster.
	Role string
	// Path is the identity that it claims, such as region/west/zone/west-a/cluster/west-a-1.
	Path string
	// Release is the release of the program, for people.
	Release string
	// Window is how many unacknowledged batches it takes.
	Window int
}

// Goodbye ends a session, with the reason, and with the address to go to instead where there is one.
type Goodbye struct {
	Reason   string
	Redirect string
	// RetryAfter is how long the peer had better stay away; 0 leaves it to the peer.
	RetryAfter time.Duration
}

// Peers names the addresses, HOST:PORT, at which the sender of the message and those that can stand in for it are
// reached. The latest one counts.
type Peers struct{ Addresses []string }

// Root begins a comparison.
type Root struct {
	Round    uint64
	Digest   Digest
	Position Position
	Fence    Fence
}

// Equal ends a comparison: the receiver has the same root.
type Equal struct{ Round uint64 }

// Differ goes on with a comparison: the receiver's digests of all buckets.
type Differ struct {
	Round   uint64
	Digests *[Buckets]Digest
}

// Select asks for the receiver's lists of the buckets that differ.
type Select struct {
	Round   uint64
	Buckets []int
}

// Lists answers Select, in as many messages as it takes; a bucket is never split.
type Lists struct {
	Round uint64
	Lists []List
}

// List is one bucket's keys, in key order.
type List struct {
	Bucket int
	Keys   []record.KeyVersion
}

// Batch carries records and removals; puts come before removals.
type Batch struct {
	// ID counts the batches of a session from 1.
	ID       uint64
	Puts     []*record.Record
	Removals []Removal
	Position Position
	Fence    Fence
	// State is what the receiver persists with the effect of the batch, to hand to NewLedger after a restart. It does
	// not travel.
	State State
}

// Removal removes a key, and says why.
type Removal struct {
	Key   record.Key
	Cause record.Cause
}

// Ack says that a batch has taken effect, but for what it names.
type Ack struct {
	ID       uint64
	Rejected []Rejection
	// Held are removals that the guard holds back until somebody confirms them.
	Held []record.Key
}

// Rejection is a record that the receiver could not make effective. Its Version is zero if it was a removal.
type Rejection struct {
	Key     record.Key
	Version record.Version
	// Reason is one CamelCase word, Message is for people.
	Reason  string
	Message string
}

// ReasonNotYours is the Reason of a record that is not the peer's to tell.
const ReasonNotYours = "NotYours"

// Report gives results outside an Ack: what is rejected as of now, and what was rejected and has taken effect since.
type Report struct {
	Rejected []Rejection
	Accepted []record.KeyVersion
}

// Again asks for a comparison.
type Again struct{}

// Told says, once in a session, that the receiver has acknowledged all that the sender's complete Outbox holds: from now
// on what the receiver does not hold is not there.
type Told struct{}

// Want asks for keys to be sent again, whatever was sent.
type Want struct{ Keys []record.Key }

// Refused says that the receiver takes nothing from this sender for now; what is in flight is not applied.
type Refused struct{ Refusal Refusal }

// Question asks the other end something.
type Question struct {
	ID      uint64
	Kind    string
	Payload []byte
	// Patience is how long the asker waits.
	Patience time.Duration
}

// Cancel takes a question back.
type Cancel struct{ ID uint64 }

// Answer answers a question; with Error set there is no payload.
type Answer struct {
	ID      uint64
	Payload []byte
	Error   string
}

func (Hello) message()    {}
func (Goodbye) message()  {}
func (Peers) message()    {}
func (Root) message()     {}
func (Equal) message()    {}
func (Differ) message()   {}
func (Select) message()   {}
func (Lists) message()    {}
func (Batch) message()    {}
func (Ack) message()      {}
func (Report) message()   {}
func (Again) message()    {}
func (Told) message()     {}
func (Want) message()     {}
func (Refused) message()  {}
func (Question) message() {}
func (Cancel) message()   {}
func (Answer) message()   {}
