package clusteragent

import (
	"sync"

	"github.com/meridian-federation/meridian/internal/feed"
	"github.com/meridian-federation/meridian/internal/record"
)

// health is what the zone is told of the cluster itself, once its nodes are counted.
type health struct {
	outbox *feed.Outbox

	mu      sync.Mutex // guards all below
	counted bool
	record  record.Health
}

func newHealth(cfg Config, outbox *feed.Outbox) *health {
	return &health{outbox: outbox,
		record: record.Health{Cluster: cfg.Cluster, Zone: cfg.Zone, Region: cfg.Region, Connected: true}}
}

// nodes takes the number of nodes, the ranges of their pods, and the version of the API server.
func (h *health) nodes(n int, pods []string, kubernetes string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.counted, h.record.Nodes, h.record.PodRanges, h.record.KubernetesVersion = true, int32(n), pods, kubernetes
	h.publish()
}

// services takes the ranges of Services.
func (h *health) services(ranges []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.record.ServiceRanges = ranges
	h.publish()
}

// problems takes what a person should know of.
func (h *health) problems(all []record.Problem) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.record.Problems = all
	h.publish()
}

func (h *health) publish() {
	if h.counted {
		r := h.record.Record()
		h.outbox.Edit(feed.Put(&r))
	}
}
