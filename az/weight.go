package az

import (
	"encoding/json"
	"fmt"
)

// metaWeights is where the weights in use are kept, so that a zone that restarts divides as before although it does not
// yet know how many nodes its clusters have.
const metaWeights = "weights"

// weights are the clusters' sizes by which replicas are divided: numbers of nodes, read anew only when they differ
// enough, so that a node that comes and goes moves nothing.
type weights map[string]int64

// of is a cluster's weight; 1 for one that never said.
func (w weights) of(cluster string) int64 { return max(w[cluster], 1) }

// observe notes a cluster's number of nodes, and tells whether the weight in use has changed: it does when the two
// differ by a tenth or more. A cluster that says zero says nothing yet.
func (w weights) observe(cluster string, nodes int32) bool {
	n, used := int64(nodes), w.of(cluster)
	if n <= 0 || n == used || max(n-used, used-n)*10 < used {
		return false
	}
	w[cluster] = n
	return true
}

// forget drops a cluster that is gone, and tells whether it was there.
func (w weights) forget(cluster string) bool {
	_, had := w[cluster]
	delete(w, cluster)
	return had
}

func (w weights) encode() []byte {
	text, err := json.Marshal(w)
	if err != nil {
		panic(fmt.Sprintf("encoding weights: %v", err)) // a map of numbers
	}
	return text
}

// decodeWeights reads what encode wrote; nothing is no weights.
func decodeWeights(text []byte) (weights, error) {
	w := weights{}
	if len(text) == 0 {
		return w, nil
	}
	if err := json.Unmarshal(text, &w); err != nil {
		return nil, fmt.Errorf("reading the weights in use: %w", err)
	}
	return w, nil
}
