package feed

import (
	"time"

	"github.com/meridian-federation/meridian/internal/record"
)

// Outcome is what a sender learns of one key of its Outbox: the peer holds this version, or rejected it, or holds the
// removal back. For one key the latest Outcome is the truth.
type Outcome struct {
	Key record.Key
	// Version is zero for a removal.
	Version record.Version
	// At is when the sender learnt it.
	At time.Time
	// Found: the peer had it already when the session began, so that At says nothing of when it arrived.
	Found bool
	// Held: the peer holds the removal back until somebody confirms it.
	Held bool
	// Rejection is set when the peer could not make it effective.
	Rejection *Rejection
}

// Status is how a session stands.
type Status struct {
	// Peer is the other end's Hello; zero until it came.
	Peer Hello
	// InSync: the peer has acknowledged all that the Outbox holds, and knows of nothing beyond it.
	InSync bool
	// Heard: the peer's Outbox is complete, and all that it held has been acknowledged here, once in this session.
	Heard bool
	// Pending keys wait to be sent, Batches are sent and not acknowledged.
	Pending, Batches int
	// RefusedBy is why the peer takes nothing from here, Refuses why this end takes nothing from it.
	RefusedBy, Refuses *Refusal
	// Rejected is how many of the keys sent the peer could not make effective.
	Rejected int
}
