package global

import (
	"fmt"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/meridian-federation/meridian/api/v1alpha1"
	"github.com/meridian-federation/meridian/internal/record"
)

// TestServiceRanges has clusters tell of Services with addresses of pools and of pods.
func TestServiceRanges(t *testing.T) {
	d := newDesk(t, nil)
	d.space = &heldSpace{}
	fill(d.hub.networks, []*v1alpha1.Network{{ObjectMeta: metav1.ObjectMeta{Name: "net"}, Spec: v1alpha1.NetworkSpec{PodRanges: []string{"10.128.0.0/9"}}},
		{ObjectMeta: metav1.ObjectMeta{Name: "other"}}})
	loadBalancers := func(network string, reserved ...string) func(s *v1alpha1.IPPoolSpec) {
		return func(s *v1alpha1.IPPoolSpec) {
			s.Purpose, s.Network, s.Reserved = v1alpha1.PurposeLoadBalancer, network, reserved
		}
	}
	d.ipPool("lb", 1, loadBalancers(""), "10.100.0.0/16", "192.0.2.0/24")
	d.ipPool("others", 1, loadBalancers("other"), "10.96.0.0/16")
	d.step()
	said := func(d *desk, of target, want string) {
		t.Helper()
		var conditions []metav1.Condition
		switch _, _, after := d.board.compute(of); s := after.(type) {
		case v1alpha1.ClusterStatus:
			conditions = s.Conditions
		case v1alpha1.IPPoolStatus:
			conditions = s.Conditions
		}
		got := "nothing"
		if c := meta.FindStatusCondition(conditions, "ServiceRangesDisjoint"); c != nil {
			got = fmt.Sprintf("%s(%s): %s", c.Status, c.Reason, c.Message)
		}
		if got != want && (want == "" || !strings.HasPrefix(got, want)) {
			t.Errorf("of %s is said %q, want %q", of.key(), got, want)
		}
	}
	w1, w2, lb, others := target{"clusters", "", "w1-0"}, target{"clusters", "", "w2-0"}, target{"ippools", "", "lb"}, target{"ippools", "", "others"}
	const fine, nothing = "True(Disjoint): ", "nothing"
	said(d, w1, nothing)
	said(d, lb, nothing)
	inventory := d.inventory
	d.servicesOf("w1-0", "10.96.0.0/12")
	d.servicesOf("w2-0", "10.32.0.0/16", "fd00:10::/108")
	d.step()
	said(d, w1, "False(RangesOverlap): Services of cluster w1-0 have addresses that are others': 10.96.0.0/12 overlaps 10.100.0.0/16 of IPPool lb; ")
	said(d, w2, fine)
	said(d, lb, "False(RangesOverlap): clusters have addresses of IPPool lb for their Services: 10.96.0.0/12 of cluster w1-0 overlaps 10.100.0.0/16; ")
	said(d, others, nothing)
	if d.inventory != inventory || len(d.inventory.overlaps.apart) > 0 {
		t.Error("the inventory was made anew by what is a warning alone")
	}
	t.Run("a pool is fine when all have told", func(t *testing.T) {
		d.told("w")
		d.step()
		said(d, others, fine)
	})
	t.Run("pods of its network", func(t *testing.T) {
		d.servicesOf("w2-0", "10.200.0.0/16")
		d.step()
		said(d, w2, "False(RangesOverlap): Services of cluster w2-0 have addresses that are others': 10.200.0.0/16 overlaps 10.128.0.0/9 of the pods on network net; ")
		d.servicesOf("w2-0", "10.32.0.0/16")
		d.step()
		said(d, w2, fine)
	})
	t.Run("a range within the pool", func(t *testing.T) {
		d.servicesOf("w2-0", "192.0.2.128/25")
		d.step()
		said(d, lb, "False(RangesOverlap): clusters have addresses of IPPool lb for their Services: "+
			"10.96.0.0/12 of cluster w1-0 overlaps 10.100.0.0/16, 192.0.2.128/25 of cluster w2-0 overlaps 192.0.2.0/24; ")
		d.ipPool("lb", 1, loadBalancers("", "192.0.2.128/25"), "10.100.0.0/16", "192.0.2.0/24")
		d.step()
		said(d, w2, fine)
	})
	t.Run("an IPClaim for it", func(t *testing.T) {
		d.servicesOf("w2-0", "192.0.2.0/26")
		d.ipClaim("services", v1alpha1.IPClaimSpec{Pool: "lb", Prefix: "192.0.2.0/25"})
		d.step()
		said(d, w2, "False(RangesOverlap): ")
		d.allot("ipclaim/shop/services", "192.0.2.0/25")
		d.step()
		said(d, w2, fine)
		d.noIPClaim("services", true)
		d.step()
		d.queue.add(func(w *work) { w.allotted["ipclaim/shop/services"] = true })
		d.step()
		said(d, w2, "False(RangesOverlap): ")
	})
	t.Run("a pool that comes", func(t *testing.T) {
		d.ipPool("new", 9, nil, "10.104.0.0/16")
		d.step()
		said(d, target{"ippools", "", "new"}, "False(RangesOverlap): ")
		d.noIPPool("new")
		d.step()
	})
	t.Run("everything there is", func(t *testing.T) {
		d.servicesOf("w1-0", "0.0.0.0/0")
		d.step()
		said(d, w1, "False(RangesOverlap): ")
		d.servicesOf("w1-0")
		d.step()
		said(d, lb, "False(RangesOverlap): clusters have addresses of IPPool lb for their Services: 192.0.2.0/26 of cluster w2-0 overlaps 192.0.2.0/24; ")
	})
	t.Run("a cluster that goes", func(t *testing.T) {
		c, _ := d.hub.clusters.get("w2-0")
		_ = d.hub.clusters.store.Delete(c)
		d.queue.clusterEvents().OnDelete(c)
		d.step()
		said(d, lb, fine)
		if got := names(d.planner.ranges.services.reported); len(got) > 0 {
			t.Errorf("ranges of %v are kept", got)
		}
	})
	t.Run("silence withdraws nothing", func(t *testing.T) {
		d.servicesOf("w1-0", "10.96.0.0/12")
		d.step()
		c, _ := d.hub.clusters.get("w1-0")
		c = c.DeepCopy()
		_, _, after := d.board.compute(w1)
		c.Status = after.(v1alpha1.ClusterStatus)
		fill(d.hub.clusters, []*v1alpha1.Cluster{c})
		p, _ := d.hub.pools.get("lb")
		p = p.DeepCopy()
		_, _, after = d.board.compute(lb)
		p.Status = after.(v1alpha1.IPPoolStatus)
		fill(d.hub.pools, []*v1alpha1.IPPool{p})
		restarted := newDesk(t, d)
		restarted.space = &heldSpace{}
		restarted.queue.poolEvents().OnAdd(p, true)
		restarted.step()
		said(restarted, w1, "False(RangesOverlap): ")
		said(restarted, lb, "False(RangesOverlap): ")
		restarted.told("w")
		restarted.step()
		said(restarted, lb, fine)
	})
}

// servicesOf plays what a cluster's agent tells of its Services.
func (d *desk) servicesOf(cluster string, ranges ...string) {
	d.t.Helper()
	h := record.Health{Cluster: cluster, Zone: cluster[:2], Region: "w", Connected: true, ServiceRanges: ranges}
	if err := d.reports.take(d.mirror.Snapshot(), "w", h.Record()); err != nil {
		d.t.Fatal(err)
	}
	d.queue.add(func(w *work) { w.health[cluster] = true })
}
