package tiertest

import (
	"encoding/json"

	"github.com/meridian-federation/meridian/internal/object"
	"github.com/meridian-federation/meridian/internal/record"
)

// deployment reads a Deployment's key.
func deployment(key record.Key) (namespace, name string, ok bool) {
	id, err := object.FromKey(key)
	if err != nil || id.Kind != "Deployment" {
		return "", "", false
	}
	return id.Namespace, id.Name, true
}

// Replicas reads spec.replicas of a compiled Deployment; 1 where it says nothing.
func Replicas(r record.Record) int32 {
	var d struct {
		Spec struct {
			Replicas *int32 `json:"replicas"`
		} `json:"spec"`
	}
	if err := json.Unmarshal(r.Content, &d); err != nil || d.Spec.Replicas == nil {
		return 1
	}
	return *d.Spec.Replicas
}
