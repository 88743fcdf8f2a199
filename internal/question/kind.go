package question

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// The kinds of question.
const (
	// KindApplication asks with an ApplicationRequest what became of one application.
	KindApplication = "application"
	// KindOverview asks with an OverviewRequest for the state of the tree.
	KindOverview = "overview"
	// KindConfirm tells one node with a ConfirmRequest to go on with what it held back or refused.
	KindConfirm = "confirm"
)

// Where Global says at what address Hub is served, at the API server that it watches.
const (
	HubNamespace  = "meridian-system"
	HubConfigMap  = "meridian-hub"
	HubAddressKey = "address"
	// HubCAKey holds the roots of the hub's identities, PEM, and HubTrustDomainKey their trust domain.
	HubCAKey          = "ca.crt"
	HubTrustDomainKey = "trust-domain"
)

// Errors of an answer, wrapped; they survive the way through gRPC.
var (
	// ErrNotFound: what was asked for does not exist.
	ErrNotFound = errors.New("not found")
	// ErrInvalid: the question cannot be understood.
	ErrInvalid = errors.New("invalid question")
	// ErrUnauthenticated: nobody knows who asks.
	ErrUnauthenticated = errors.New("not authenticated")
	// ErrForbidden: who asks may not.
	ErrForbidden = errors.New("forbidden")
	// ErrUnavailable: it cannot be answered now; ask again, or another.
	ErrUnavailable = errors.New("not now")
)

// ApplicationRequest is the payload of KindApplication.
type ApplicationRequest struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
}

// OverviewRequest is the payload of KindOverview.
type OverviewRequest struct{}

// ConfirmRequest is the payload of KindConfirm.
type ConfirmRequest struct {
	// Target is the node that is to go on.
	Target Path `json:"target"`
	// What is one of the What constants.
	What string `json:"what"`
}

// What a person can confirm.
const (
	// WhatRemovals lets the removals that were held back happen.
	WhatRemovals = "removals"
	// WhatFloor accepts a parent whose store has gone back to an earlier revision.
	WhatFloor = "floor"
	// WhatEpoch accepts a parent whose store has a new history.
	WhatEpoch = "epoch"
	// WhatIdentity accepts another API server than the one that Global knew.
	WhatIdentity = "identity"
)

// Whats lists all that can be confirmed.
func Whats() []string { return []string{WhatRemovals, WhatFloor, WhatEpoch, WhatIdentity} }

// Validate refuses a request for something that cannot be confirmed.
func (r ConfirmRequest) Validate() error {
	if !slices.Contains(Whats(), r.What) {
		return fmt.Errorf("%w: what is %q, and can be %s", ErrInvalid, r.What, strings.Join(Whats(), ", "))
	}
	return nil
}

// Decode reads a payload.
func Decode[T any](payload []byte) (T, error) {
	var v T
	if err := json.Unmarshal(payload, &v); err != nil {
		return v, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return v, nil
}
