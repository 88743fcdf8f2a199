package az

import (
	"cmp"
	"container/heap"
	"context"
	"fmt"
	"strings"

	"github.com/meridian-federation/meridian/internal/feed"
	"github.com/meridian-federation/meridian/internal/object"
	"github.com/meridian-federation/meridian/internal/question"
	"github.com/meridian-federation/meridian/internal/record"
)

// export has the owner of a cluster answer with a page of what is compiled for it.
func (z *Zone) export(ctx context.Context, q feed.Question, node *question.Node) error {
	req, err := question.Decode[question.ExportRequest](q.Payload)
	if err != nil {
		return err
	}
	if _, known := z.mirror.Snapshot().Get(record.ClusterKey(req.Cluster)); !known {
		return fmt.Errorf("%w: cluster %s is not in zone %s", question.ErrInvalid, req.Cluster, z.cfg.Zone)
	}
	z.lament(node, z.gather(ctx, q, node), []string{req.Cluster})
	return nil
}

// exportHere is a node with the page, if the cluster is owned here.
func (z *Zone) exportHere(req question.ExportRequest) []question.Node {
	o, _ := z.shard.get(req.Cluster)
	if o == nil {
		return nil
	}
	node := question.Node{Tier: question.TierCluster, Name: req.Cluster, Page: pageOf(o.outbox, req.After)}
	if !o.outbox.Complete() {
		node.Omitted = "some applications were not compiled since this replica took the cluster over: their objects are missing here"
	}
	return []question.Node{node}
}

// pageOf is the page of a cluster's objects that begins behind a key. Its digest is empty if the objects changed while
// they were gathered. A page costs in proportion to the number of keys, since they are kept in no order.
func pageOf(outbox *feed.Outbox, after string) *question.Page {
	page := &question.Page{Total: outbox.Len()}
	before := outbox.Root()
	rest := keysAfter(outbox, after)
	heap.Init(&rest)
	last := ""
	for rest.Len() > 0 {
		next := heap.Pop(&rest).(ranked)
		r, ok := outbox.Get(next.key)
		if !ok {
			continue
		}
		if !page.Add(shortOf(next.key), r.Content) {
			page.Next = last
			break
		}
		last = next.key.Name
	}
	if outbox.Root() == before {
		page.Digest = before.String()
	}
	return page
}

// keysAfter lists the keys of the objects that are applied after the one of a name, in no order.
func keysAfter(outbox *feed.Outbox, name string) ranks {
	from := ranked{rank: -1}
	if name != "" {
		from = rankedOf(record.Key{Kind: record.KindObject, Name: name})
	}
	keys := outbox.Keys()
	out := make(ranks, 0, len(keys))
	for _, k := range keys {
		if r := rankedOf(k.Key); from.compare(r) < 0 {
			out = append(out, r)
		}
	}
	return out
}

// ranked is a key with its place in the order of application.
type ranked struct {
	rank int
	key  record.Key
}

func rankedOf(key record.Key) ranked { return ranked{object.Rank(key), key} }

func (r ranked) compare(o ranked) int {
	return cmp.Or(cmp.Compare(r.rank, o.rank), strings.Compare(r.key.Name, o.key.Name))
}

// ranks is a heap: only those that come first are wanted in order.
type ranks []ranked

func (r ranks) Len() int           { return len(r) }
func (r ranks) Less(i, j int) bool { return r[i].compare(r[j]) < 0 }
func (r ranks) Swap(i, j int)      { r[i], r[j] = r[j], r[i] }
func (r *ranks) Push(x any)        { *r = append(*r, x.(ranked)) }

func (r *ranks) Pop() any {
	last := len(*r) - 1
	x := (*r)[last]
	*r = (*r)[:last]
	return x
}
