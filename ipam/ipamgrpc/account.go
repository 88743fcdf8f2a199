package ipamgrpc

import (
	"context"
	"fmt"
	"math"
	"strings"
	"sync"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/meridian-federation/meridian/ipam/ledger"
)

// local is what the owners of all begin with who have no claim.
const local = "local/"

// account counts what the places below hold for themselves, in one term: nobody else takes or releases for such owners
// meanwhile.
type account struct {
	limits Limits

	mu      sync.Mutex
	ledger  *ledger.Ledger // guarded by mu, all below as well: whose entries are counted
	held    map[string]share
	peers   map[string]float64
	tenants map[string]float64
}

// share is what one owner holds, or is about to.
type share struct {
	peer, tenant string
	size         float64
}

// size is what a prefix counts as.
func size(ipv6 bool, length int) float64 {
	bits := 32
	if ipv6 {
		bits = 64
	}
	return math.Ldexp(1, max(bits-length, 0))
}

// peerOf is whose owner a local one is: local/PATH/NAME, and the path ends before the last part that it can.
func peerOf(owner string) string {
	parts := strings.Split(strings.TrimPrefix(owner, local), "/")
	n := 0
	for i, tier := range []string{"region", "zone", "cluster"} {
		if len(parts) > 2*i+2 && parts[2*i] == tier {
			n = 2*i + 2
		} else {
			break
		}
	}
	return strings.Join(parts[:n], "/")
}

// load counts what there is, once for each term. It is called with mu held.
func (a *account) load(ctx context.Context, l *ledger.Ledger) error {
	if a.ledger == l {
		return nil
	}
	a.ledger, a.held, a.peers, a.tenants = nil, map[string]share{}, map[string]float64{}, map[string]float64{}
	for q := (ledger.Query{OwnerPrefix: local}); ; {
		entries, next, err := l.List(ctx, q)
		if err != nil {
			return fmt.Errorf("counting what is held: %w", err)
		}
		for _, e := range entries {
			a.add(e.Owner, share{peerOf(e.Owner), e.Tenant, size(e.Prefix.Addr().Is6(), e.Prefix.Bits())})
		}
		if q.From = next; next == "" {
			a.ledger = l
			return nil
		}
	}
}

func (a *account) add(owner string, s share) {
	a.held[owner] = s
	a.peers[s.peer] += s.size
	a.tenants[s.tenant] += s.size
}

func (a *account) drop(owner string) {
	s, ok := a.held[owner]
	if !ok {
		return
	}
	delete(a.held, owner)
	for _, sum := range []struct {
		of   map[string]float64
		name string
	}{{a.peers, s.peer}, {a.tenants, s.tenant}} {
		if sum.of[sum.name] -= s.size; sum.of[sum.name] <= 0 {
			delete(sum.of, sum.name)
		}
	}
}

// charge counts a request before it is made, unless a quota refuses it. One of an owner that holds something is counted
// already: it gets what it has, or is refused.
func (a *account) charge(ctx context.Context, l *ledger.Ledger, peer string, ipv6 bool, r ledger.Request) (charged bool, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := a.load(ctx, l); err != nil {
		return false, err
	}
	if _, holds := a.held[r.Owner]; holds {
		return false, nil
	}
	length := r.Length
	if r.Prefix.IsValid() {
		length = r.Prefix.Bits()
	}
	s := share{peer, r.Tenant, size(ipv6, length)}
	if now := a.peers[peer]; now+s.size > float64(a.limits.PeerAddresses) {
		return false, status.Errorf(codes.ResourceExhausted, "quota: %s holds %.0f addresses, and with %.0f more it would have more than the %d that it may",
			peer, now, s.size, a.limits.PeerAddresses)
	}
	if now := a.tenants[r.Tenant]; r.Tenant != "" && a.limits.TenantAddresses > 0 && now+s.size > float64(a.limits.TenantAddresses) {
		return false, status.Errorf(codes.ResourceExhausted, "quota: tenant %s holds %.0f addresses here, and with %.0f more it would have more than the %d that it may",
			r.Tenant, now, s.size, a.limits.TenantAddresses)
	}
	a.add(r.Owner, s)
	return true, nil
}

// settle corrects what is counted of an owner by what it holds; a zero share is nothing.
func (a *account) settle(l *ledger.Ledger, owner string, s share) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.ledger != l {
		return // what is counted is of another term
	}
	a.drop(owner)
	if s.size > 0 {
		a.add(owner, s)
	}
}
