package region_test

import (
	"slices"
	"strings"
	"testing"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/meridian-federation/meridian/internal/feed"
	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/internal/tiertest"
	"github.com/meridian-federation/meridian/ipam/ipampb"
)

// TestMachinesOfAZoneThatLeft: what a zone has for machines is the region's again when Global says that the zone has left, and not
// when its cluster alone is gone.
func TestMachinesOfAZoneThatLeft(t *testing.T) {
	r, _ := newAddressing(t)
	grant := func(enrolled bool) {
		r.parent.Put(record.Grant{Path: "region/west/zone/a", Enrolled: enrolled}.Record())
	}
	cluster := record.Cluster{Name: "a-1", Region: "west", Zone: "a"}.Record()
	grant(true)
	c := ipampb.NewIPAMClient(tiertest.At(t, "region/west/zone/a").Conn(t, r.addr, "region/west"))
	const owner = "local/region/west/zone/a/vm"
	tiertest.Await(t, "a machine of zone a has an address", func() bool {
		_, err := c.Allocate(t.Context(), &ipampb.AllocateRequest{Owner: owner, Pool: "p", Length: 32})
		return err == nil
	})
	get := func() codes.Code {
		_, err := c.Get(t.Context(), &ipampb.GetRequest{Owner: owner})
		return status.Code(err)
	}
	r.parent.Edit(feed.Remove(cluster.Key, record.CausePerson))
	r.parent.AwaitInSync(t)
	if got := get(); got != codes.OK {
		t.Errorf("of a zone with no cluster: got %s, want what it has", got)
	}
	grant(false)
	tiertest.Await(t, "nobody owns what the machine had", func() bool { // the zone itself is not answered
		resp, err := r.ledger.Client.Get(t.Context(), r.ledger.Prefix, clientv3.WithPrefix(), clientv3.WithKeysOnly())
		if err != nil {
			t.Fatal(err)
		}
		return !slices.ContainsFunc(resp.Kvs, func(kv *mvccpb.KeyValue) bool { return strings.HasSuffix(string(kv.Key), "/owners/"+owner) })
	})
	if got := get(); got != codes.Unavailable {
		t.Errorf("of a zone that has left: got %s, want %s", got, codes.Unavailable)
	}
	r.parent.Put(cluster)
	grant(true)
	tiertest.Await(t, "the zone is back, and has nothing", func() bool { return get() == codes.NotFound })
}
