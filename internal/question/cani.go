package question

import (
	"fmt"
	"strings"
)

// KindCanI asks with a CanIRequest whether one application may call another.
const KindCanI = "can-i"

// CanIRequest is the payload of KindCanI.
type CanIRequest struct {
	// Target is the node that answers, by its own records: Global, a region or a zone.
	Target   Path               `json:"target"`
	Caller   ApplicationRequest `json:"caller"`
	Provider ApplicationRequest `json:"provider"`
	// Port is one of the provider's Service; it, Method and Path may each be left out, which asks for any.
	Port   int32  `json:"port,omitempty"`
	Method string `json:"method,omitempty"`
	Path   string `json:"path,omitempty"`
}

// Validate refuses what nobody can answer.
func (r CanIRequest) Validate() error {
	switch {
	case r.Target.Cluster != "":
		return fmt.Errorf("%w: a cluster decides by what its zone compiled; ask region/%s/zone/%s", ErrInvalid, r.Target.Region, r.Target.Zone)
	case !r.Caller.named() || !r.Provider.named():
		return fmt.Errorf("%w: caller and provider are each NAMESPACE/APPLICATION", ErrInvalid)
	case r.Port < 0 || r.Port > 65535:
		return fmt.Errorf("%w: port %d is not between 1 and 65535", ErrInvalid, r.Port)
	case r.Path != "" && !strings.HasPrefix(r.Path, "/"):
		return fmt.Errorf("%w: path %q does not begin with a slash", ErrInvalid, r.Path)
	}
	return nil
}

func (r ApplicationRequest) named() bool {
	return r.Namespace != "" && r.Name != "" && !strings.Contains(r.Namespace+r.Name, "/")
}

// Validate refuses a request that names no application.
func (r ApplicationRequest) Validate() error {
	if !r.named() {
		return fmt.Errorf("%w: %q is not NAMESPACE/APPLICATION", ErrInvalid, r)
	}
	return nil
}

// String is NAMESPACE/NAME.
func (r ApplicationRequest) String() string { return r.Namespace + "/" + r.Name }

// Verdict is what one node's records say of a call.
type Verdict struct {
	Allowed bool `json:"allowed"`
	// Rule decides; empty if none speaks of the caller. Reason says why the call is refused.
	Rule   string `json:"rule,omitempty"`
	Reason string `json:"reason,omitempty"`
	// Dependency says whether the caller declares the provider as a dependency, and what came of that.
	Dependency string `json:"dependency,omitempty"`
	// Unknown says why nothing was decided here; KnownAt are then the nodes that can decide.
	Unknown string   `json:"unknown,omitempty"`
	KnownAt []string `json:"knownAt,omitempty"`
}
