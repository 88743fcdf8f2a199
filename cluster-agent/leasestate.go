package clusteragent

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"

	"github.com/meridian-federation/meridian/internal/feed"
	"github.com/meridian-federation/meridian/internal/question"
)

// What the Lease keeps beside its holder, as annotations.
const (
	// annotationFence is EPOCH/FENCE, the epoch in hexadecimal: the highest claim on this cluster that was seen.
	annotationFence = "meridian.dev/fence"
	// annotationFloor is EPOCH/REVISION: the highest position of the zone's store that was accepted. It may lag by one
	// renewal.
	annotationFloor = "meridian.dev/floor"
	// annotationGuard is the JSON of feed.Guard.
	annotationGuard = "meridian.dev/guard"
	// annotationAddresses is where the zone's replicas were last reached, separated by commas, and annotationZone which zone
	// that is, as a path.
	annotationAddresses = "meridian.dev/zone-addresses"
	annotationZone      = "meridian.dev/zone"
)

// writeState puts a state into annotations.
func writeState(annotations map[string]string, state feed.State) error {
	guard, err := json.Marshal(state.Guard)
	if err != nil {
		return fmt.Errorf("writing the guard: %w", err)
	}
	annotations[annotationFence] = state.Fence.String()
	annotations[annotationFloor] = state.Floor.String()
	annotations[annotationGuard] = string(guard)
	return nil
}

// readState reads what writeState wrote. What is missing is zero; what cannot be read is an error, since to begin anew
// would be to accept anything.
func readState(annotations map[string]string) (feed.State, error) {
	var state feed.State
	if s := annotations[annotationFence]; s != "" {
		if _, err := fmt.Sscanf(s, "%x/%d", &state.Fence.Epoch, &state.Fence.Fence); err != nil {
			return state, fmt.Errorf("annotation %s of the lease is %q: %w", annotationFence, s, err)
		}
	}
	if s := annotations[annotationFloor]; s != "" {
		if _, err := fmt.Sscanf(s, "%x/%d", &state.Floor.Epoch, &state.Floor.Revision); err != nil {
			return state, fmt.Errorf("annotation %s of the lease is %q: %w", annotationFloor, s, err)
		}
	}
	if s := annotations[annotationGuard]; s != "" {
		if err := json.Unmarshal([]byte(s), &state.Guard); err != nil {
			return state, fmt.Errorf("annotation %s of the lease: %w", annotationGuard, err)
		}
	}
	return state, nil
}

// writeAddresses keeps the addresses of a zone's replicas, which an agent that starts anew turns to beside those of its
// configuration.
func writeAddresses(annotations map[string]string, zone question.Path, addresses []string) {
	if len(addresses) == 0 {
		delete(annotations, annotationAddresses)
		delete(annotations, annotationZone)
		return
	}
	annotations[annotationAddresses], annotations[annotationZone] = strings.Join(addresses, ","), zone.String()
}

// readAddresses reads what writeAddresses wrote; none if that was of another zone.
func readAddresses(annotations map[string]string, zone question.Path) []string {
	if annotations[annotationAddresses] == "" || annotations[annotationZone] != zone.String() {
		return nil
	}
	return strings.Split(annotations[annotationAddresses], ",")
}

// urgent tells whether a state must be kept before anything is done by it. A floor that lags costs nothing: what lies
// between is accepted a second time.
func urgent(kept, state feed.State) bool {
	return kept.Fence != state.Fence || !reflect.DeepEqual(kept.Guard, state.Guard) ||
		kept.Floor.Epoch != state.Floor.Epoch || kept.Floor.Revision > state.Floor.Revision
}
