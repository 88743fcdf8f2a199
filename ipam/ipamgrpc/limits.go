package ipamgrpc

import (
	"cmp"
	"errors"
	"fmt"
)

// MaxBatch is how many requests one call makes at most.
const MaxBatch = 1000

// The bounds of texts that are kept with an entry, in bytes.
const (
	maxTenant = 63
	maxNote   = 256
)

// Limits are how many addresses the places below may take for themselves, as configuration. An IPv4 prefix counts as its
// addresses, an IPv6 prefix as the networks of length 64 that it holds, and at least as one.
type Limits struct {
	PeerAddresses   int `usage:"how many addresses each child may hold for machines of its own, which have no IPClaim; an IPv6 prefix counts as its networks of length 64"`
	TenantAddresses int `usage:"how many of these each tenant may hold, whoever of the children names it; 0 is as many as they may"`
}

// Default fills in zero fields.
func (l *Limits) Default() { l.PeerAddresses = cmp.Or(l.PeerAddresses, 4096) }

// Validate joins all errors.
func (l Limits) Validate() error {
	var errs []error
	if l.PeerAddresses < 1 {
		errs = append(errs, fmt.Errorf("peerAddresses: %d; a number of at least 1 is needed", l.PeerAddresses))
	}
	if l.TenantAddresses < 0 {
		errs = append(errs, fmt.Errorf("tenantAddresses: %d; want 0, which is no limit, or more", l.TenantAddresses))
	}
	return errors.Join(errs...)
}
