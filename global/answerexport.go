package global

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/meridian-federation/meridian/internal/question"
	"github.com/meridian-federation/meridian/internal/record"
)

// export has the cluster's zone answer with a page of what it compiled: Global has no objects, and knows where they are.
func (g *Global) export(ctx context.Context, local question.Node, payload []byte) ([]byte, error) {
	request, err := question.Decode[question.ExportRequest](payload)
	if err != nil {
		return nil, err
	}
	if err := request.Validate(); err != nil {
		return nil, err
	}
	e, ok := g.mirror.Snapshot().Get(record.ClusterKey(request.Cluster))
	if !ok {
		return nil, fmt.Errorf("%w: there is no cluster %s; `meridian get clusters` lists them", question.ErrNotFound, request.Cluster)
	}
	c, err := record.DecodeCluster(e.Record)
	if err != nil {
		return nil, fmt.Errorf("finding cluster %s: %w", request.Cluster, err)
	}
	request.Target = question.Path{Region: c.Region, Zone: c.Zone, Cluster: c.Name}
	if payload, err = json.Marshal(request); err != nil {
		return nil, fmt.Errorf("asking for cluster %s: %w", request.Cluster, err)
	}
	return question.Encode(question.Gather(ctx, local, g.children([]string{c.Region}), question.KindExport, payload))
}
