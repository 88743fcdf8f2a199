package ipamgrpc

import (
	"math"
	"strings"
	"sync"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/meridian-federation/meridian/internal/question"
	"github.com/meridian-federation/meridian/ipam/ledger"
)

// local is what the owners of all begin with who have no claim.
const local = "local/"

// account counts what the places below hold for themselves at one ledger: nobody else takes or releases for such owners.
type account struct {
	ledger *ledger.Ledger
	depth  int // how many parts the path of a child has
	limits Limits
	count  count
	turns  turns

	mu      sync.Mutex
	held    map[string]share   // guarded by mu, all below as well
	pending map[string]share   // beyond what is held: of requests under way, or of whose end nobody heard
	peers   map[string]float64 // sums of both
	tenants map[string]float64
}

func newAccount(l *ledger.Ledger, cfg Config) *account {
	depth := map[question.Tier]int{question.TierGlobal: 2, question.TierRegion: 4, question.TierZone: 6}[cfg.Place.Tier()]
	return &account{ledger: l, depth: depth, limits: cfg.Limits, count: newCount(), turns: turns{taken: map[string]chan struct{}{}},
		held: map[string]share{}, pending: map[string]share{}, peers: map[string]float64{}, tenants: map[string]float64{}}
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

// peerOf is which child an owner of the form local/PATH/NAME is of. NAME may look like more of a path.
func (a *account) peerOf(owner string) string {
	parts := strings.Split(strings.TrimPrefix(owner, local), "/")
	return strings.Join(parts[:min(a.depth, len(parts))], "/")
}

// charge counts a request before it is made, so far as its owner is not counted already, unless a quota refuses it. What
// was pending of the owner before is for refund. It is the owner's turn.
func (a *account) charge(peer string, ipv6 bool, r ledger.Request) (before share, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	length := r.Length
	if r.Prefix.IsValid() {
		length = r.Prefix.Bits()
	}
	before = a.pending[r.Owner]
	more := size(ipv6, length) - a.held[r.Owner].size - before.size
	if more <= 0 {
		return before, nil // the owner gets what it has, or is refused
	}
	if now := a.peers[peer]; now+more > float64(a.limits.PeerAddresses) {
		return before, status.Errorf(codes.ResourceExhausted, "quota: %s holds %.0f addresses, and with %.0f more it would have more than the %d that it may",
			peer, now, more, a.limits.PeerAddresses)
	}
	if now := a.tenants[r.Tenant]; r.Tenant != "" && a.limits.TenantAddresses > 0 && now+more > float64(a.limits.TenantAddresses) {
		return before, status.Errorf(codes.ResourceExhausted, "quota: tenant %s holds %.0f addresses here, and with %.0f more it would have more than the %d that it may",
			r.Tenant, now, more, a.limits.TenantAddresses)
	}
	a.put(a.pending, r.Owner, share{peer, r.Tenant, before.size + more})
	return before, nil
}

// refund undoes a charge for which nothing was taken.
func (a *account) refund(owner string, before share) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.put(a.pending, owner, before)
}

// settle counts of an owner what it is known to hold, and nothing else; a zero share is nothing. It is the owner's turn.
func (a *account) settle(owner string, s share) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.put(a.pending, owner, share{})
	a.put(a.held, owner, s)
}

// put replaces an owner's share and brings the sums in step. It is called with mu held.
func (a *account) put(of map[string]share, owner string, s share) {
	a.sum(of[owner], -1)
	a.sum(s, 1)
	if s.size > 0 {
		of[owner] = s
	} else {
		delete(of, owner)
	}
}

// sum is called with mu held.
func (a *account) sum(s share, sign float64) {
	for _, sum := range []struct {
		of   map[string]float64
		name string
	}{{a.peers, s.peer}, {a.tenants, s.tenant}} {
		if sum.of[sum.name] += sign * s.size; sum.of[sum.name] <= 0 {
			delete(sum.of, sum.name)
		}
	}
}
