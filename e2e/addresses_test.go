package e2e

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/meridian-federation/meridian/api/v1alpha1"
	"github.com/meridian-federation/meridian/internal/question"
)

var (
	pools  = schema.GroupVersionResource{Group: "meridian.dev", Version: "v1alpha1", Resource: "ippools"}
	claims = schema.GroupVersionResource{Group: "meridian.dev", Version: "v1alpha1", Resource: "ipclaims"}
)

// TestSamplesHaveAddresses looks at the addresses of Bookinfo and the shop as people see them.
func TestSamplesHaveAddresses(t *testing.T) {
	f := start(t)
	apps, err := f.apps(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	table := f.meridian(t, "get", "applications", "-A")
	owners, asking := map[string]string{}, map[string]int{}
	for _, app := range apps {
		if app.Spec.Address == nil {
			continue
		}
		owner, address := app.Namespace+"/"+app.Name, app.Status.Address
		asking[app.Namespace]++
		if _, err := netip.ParseAddr(address); err != nil {
			t.Errorf("%s has the address %q: %v", owner, address, err)
			continue
		}
		if other := owners[address]; other != "" {
			t.Errorf("%s and %s both have %s", other, owner, address)
		}
		owners[address] = owner
		if !strings.Contains(table, address) {
			t.Errorf("`get applications` does not show %s of %s:\n%s", address, owner, table)
		}
		if found := f.meridian(t, "ipam", "find", address); !strings.Contains(found, "application/"+owner) {
			t.Errorf("`ipam find %s` does not name application/%s:\n%s", address, owner, found)
		}
	}
	for _, namespace := range []string{"bookinfo", "shop"} {
		if asking[namespace] == 0 {
			t.Errorf("no application of %s asks for an address", namespace)
		}
	}
	externals, err := f.externals(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	table = f.meridian(t, "get", "externalservices", "-A")
	for _, x := range externals {
		owner, address := "external/"+x.Namespace+"/"+x.Name, x.Status.Address
		if address == "" || owners[address] != "" || !strings.Contains(table, address) {
			t.Errorf("%s has the address %q, of %q as well; `get externalservices` says\n%s", owner, address, owners[address], table)
		} else if found := f.meridian(t, "ipam", "find", address); !strings.Contains(found, owner) {
			t.Errorf("`ipam find %s` does not name %s:\n%s", address, owner, found)
		}
	}
	list, err := f.hub.Resource(pools).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	show := f.meridian(t, "ipam", "show")
	for _, p := range list.Items {
		if !strings.Contains(show, p.GetName()) {
			t.Errorf("`ipam show` does not show pool %s:\n%s", p.GetName(), show)
		}
	}
	f.isSound(t)
}

// isSound waits until all places answer that nothing is wrong with what they gave.
func (f *federation) isSound(t *testing.T) {
	t.Helper()
	await(t, "an audit of address space finds nothing", func(ctx context.Context) error {
		_, err := f.command(ctx, "", "ipam", "check")
		return err
	})
}

// quick is a pool whose quarantine one can wait for: 256 addresses, of which a zone holds 16 at a time.
const quick = `apiVersion: meridian.dev/v1alpha1
kind: IPPool
metadata: {name: quick}
spec:
  family: IPv4
  purpose: Node
  ranges: [{cidr: 198.18.7.0/24}]
  delegation: {regionLength: 26, zoneLength: 28}
  quarantine: 2s
`

func claimManifest(name, spec string) string {
	return fmt.Sprintf("apiVersion: meridian.dev/v1alpha1\nkind: IPClaim\nmetadata: {name: %s, namespace: space}\nspec: {%s}\n", name, spec)
}

// claim reads a claim, and its condition Allocated.
func (f *federation) ipClaim(ctx context.Context, name string) (v1alpha1.IPClaim, metav1.Condition, error) {
	var c v1alpha1.IPClaim
	o, err := f.hub.Resource(claims).Namespace("space").Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return c, metav1.Condition{}, err
	}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, &c); err != nil {
		return c, metav1.Condition{}, err
	}
	if allocated := meta.FindStatusCondition(c.Status.Conditions, "Allocated"); allocated != nil {
		return c, *allocated, nil
	}
	return c, metav1.Condition{}, nil
}

// allocated waits until a claim has something, and returns that.
func (f *federation) allocated(t *testing.T, name string) (prefix netip.Prefix) {
	t.Helper()
	await(t, "claim "+name+" has what it asks for", func(ctx context.Context) error {
		c, condition, err := f.ipClaim(ctx, name)
		if err != nil {
			return err
		}
		if condition.Status != metav1.ConditionTrue {
			return fmt.Errorf("it is %q: %s %s", condition.Status, condition.Reason, condition.Message)
		}
		prefix, err = netip.ParsePrefix(c.Status.Prefix)
		return err
	})
	return prefix
}

// holders are the owners of what overlaps a prefix, by the path of the place that gave it.
func (f *federation) holders(ctx context.Context, prefix netip.Prefix) (map[string][]string, error) {
	top, err := f.ask(ctx, question.KindIPAMFind, question.IPAMFindRequest{Prefix: prefix})
	if err != nil {
		return nil, err
	}
	out := map[string][]string{}
	var walk func(at question.Path, n *question.Node)
	walk = func(at question.Path, n *question.Node) {
		if n.Space != nil && n.Space.Found != nil {
			for _, e := range n.Space.Found.Entries {
				if e.Until.IsZero() {
					out[at.String()] = append(out[at.String()], e.Owner)
				}
			}
		}
		for i := range n.Children {
			walk(at.To(&n.Children[i]), &n.Children[i])
		}
	}
	walk(question.Path{}, top)
	return out, nil
}

// TestClaimsAreMetInTheirZone follows addresses through the tiers: given in a zone, kept through kills, and free again.
func TestClaimsAreMetInTheirZone(t *testing.T) {
	f := start(t)
	f.submit(t, quick, namespaceManifest("space"))
	t.Cleanup(func() {
		_ = f.hub.Resource(claims).Namespace("space").DeleteCollection(context.Background(), metav1.DeleteOptions{}, metav1.ListOptions{})
		_ = f.hub.Resource(pools).Delete(context.Background(), "quick", metav1.DeleteOptions{})
	})
	f.submit(t, claimManifest("one", "pool: quick, zone: west-a"), claimManifest("two", "pool: quick, zone: west-a"),
		claimManifest("other", "pool: quick, zone: west-b"), claimManifest("global", "pool: quick"))
	given := map[string]netip.Prefix{}
	for _, name := range []string{"one", "two", "other", "global"} {
		given[name] = f.allocated(t, name)
		for earlier, prefix := range given {
			if earlier != name && prefix.Overlaps(given[name]) {
				t.Errorf("claims %s and %s have %s and %s", earlier, name, prefix, given[name])
			}
		}
	}
	chain := func(ctx context.Context) error {
		holders, err := f.holders(ctx, given["one"])
		if err != nil {
			return err
		}
		zone := holders["region/west/zone/west-a"]
		if len(zone) != 1 || zone[0] != "ipclaim/space/one" || len(holders["region/west"]) != 1 || len(holders["global"]) != 1 {
			return fmt.Errorf("%s is held by %v, want ipclaim/space/one in west-a, of what region and Global delegated", given["one"], holders)
		}
		return nil
	}
	await(t, "the chain of delegation is told", chain)

	t.Run("all are killed", func(t *testing.T) {
		f.killAll(t, append(f.zone("west-a"), "region-west", "global"))
		f.restart(t, append(f.zone("west-a"), "region-west", "global")...)
		await(t, "the same is told", chain)
		for name, prefix := range given {
			if got := f.allocated(t, name); got != prefix {
				t.Errorf("claim %s has %s, and had %s", name, got, prefix)
			}
		}
		f.isSound(t)
	})
	t.Run("what cannot be given", func(t *testing.T) {
		taken := given["other"].Addr().String()
		f.submit(t, claimManifest("huge", "pool: quick, zone: west-a, length: 20"), claimManifest("twice", "pool: quick, zone: west-b, prefix: "+taken),
			claimManifest("nowhere", "pool: none"))
		for name, want := range map[string]string{"huge": "TooLarge", "twice": "PrefixTaken", "nowhere": "PoolNotFound"} {
			await(t, "claim "+name+" is told why not", func(ctx context.Context) error {
				_, condition, err := f.ipClaim(ctx, name)
				if err == nil && (condition.Status != metav1.ConditionFalse || condition.Reason != want) {
					err = fmt.Errorf("it is %q: %s %s, want reason %s", condition.Status, condition.Reason, condition.Message, want)
				}
				return err
			})
		}
	})
	t.Run("what is released", func(t *testing.T) {
		released := time.Now()
		for _, name := range []string{"one", "two", "other", "global", "huge", "twice", "nowhere"} {
			if err := f.hub.Resource(claims).Namespace("space").Delete(t.Context(), name, metav1.DeleteOptions{}); err != nil {
				t.Fatal(err)
			}
		}
		await(t, "nobody has the addresses", func(ctx context.Context) error {
			for name, prefix := range given {
				holders, err := f.holders(ctx, prefix)
				if err != nil {
					return err
				}
				for place, owners := range holders {
					for _, owner := range owners {
						if strings.HasPrefix(owner, "ipclaim/") {
							return fmt.Errorf("%s of claim %s is still %s's at %s", prefix, name, owner, place)
						}
					}
				}
			}
			return nil
		})
		f.submit(t, claimManifest("again", "pool: quick, zone: west-b, prefix: "+given["other"].Addr().String()))
		f.allocated(t, "again")
		if waited := time.Since(released); waited < 2*time.Second {
			t.Errorf("%s was given again %v after its release, want a quarantine of 2s before", given["other"], waited)
		}
	})
}
