package ipamgrpc_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"

	"github.com/meridian-federation/meridian/internal/audit"
	"github.com/meridian-federation/meridian/internal/audit/audittest"
	"github.com/meridian-federation/meridian/internal/identity"
	"github.com/meridian-federation/meridian/internal/question"
	"github.com/meridian-federation/meridian/internal/store/etcd"
	"github.com/meridian-federation/meridian/internal/tiertest"
	"github.com/meridian-federation/meridian/ipam/ipamgrpc"
	"github.com/meridian-federation/meridian/ipam/ipampb"
	"github.com/meridian-federation/meridian/ipam/ledger"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	place = "region/west/zone/a"
	one   = place + "/cluster/c1"
	two   = place + "/cluster/c2"
)

// zone serves the addresses of zone a, or of another place.
type zone struct {
	t       *testing.T
	path    string
	store   *etcd.Store
	address string
	open    atomic.Pointer[ledger.Ledger]
	trail   *audittest.Recorder
	lowest  atomic.Uint64               // generation of cluster c1
	left    atomic.Pointer[func() bool] // whether cluster c1 is in the inventory no more; nil: it is
	service *ipamgrpc.Service
}

func startZone(t *testing.T, limits ipamgrpc.Limits, rate float64, burst int) *zone {
	t.Helper()
	return startAt(t, question.Path{Region: "west", Zone: "a"}, limits, rate, burst)
}

func startAt(t *testing.T, at question.Path, limits ipamgrpc.Limits, rate float64, burst int) *zone {
	t.Helper()
	z, run := serveAt(t, at, limits, rate, burst)
	run()
	return z
}

// serveAt serves, and returns what has the service run: until then it counts nothing.
func serveAt(t *testing.T, at question.Path, limits ipamgrpc.Limits, rate float64, burst int) (z *zone, run func()) {
	t.Helper()
	server, err := etcd.Embed(t.Context(), etcd.EmbedConfig{Dir: t.TempDir(), NoFsync: true})
	if err != nil {
		t.Fatal(err)
	}
	z = &zone{t: t, path: at.String(), trail: &audittest.Recorder{}}
	if z.store, err = server.Open(etcd.Config{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(z.store.Close(), server.Close()); err != nil {
			t.Error(err)
		}
	})
	z.lead()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	z.address = listener.Addr().String()
	lowest := func(p question.Path) uint64 {
		if p.Cluster == "c1" {
			return z.lowest.Load()
		}
		return 0
	}
	s := grpc.NewServer(grpc.Creds(credentials.NewTLS(identity.ServerTLS(tiertest.Source(t, z.path), lowest, func(net.Addr, error) {}))))
	limits.Default()
	left := func(path string) bool {
		is := z.left.Load()
		return path == one && is != nil && (*is)()
	}
	served := ipamgrpc.New(ipamgrpc.Config{Place: at, Ledger: z.open.Load, Lowest: lowest, Left: left,
		Leader: func() string { return "zone-7" }, Limits: limits, Rate: rate, Burst: burst, Audit: z.trail.Log()})
	z.service = served
	served.Register(s)
	ctx, stop := context.WithCancel(context.Background())
	var group errgroup.Group
	group.Go(func() error { return s.Serve(listener) })
	t.Cleanup(func() {
		s.Stop()
		stop()
		if err := group.Wait(); err != nil {
			t.Error(err)
		}
	})
	return z, func() { group.Go(func() error { return served.Run(ctx) }) }
}

// lead opens the ledger, as a process does that begins to lead.
func (z *zone) lead() *ledger.Ledger {
	z.t.Helper()
	l, err := ledger.Open(z.t.Context(), ledger.Config{Client: z.store.Client(), Prefix: z.store.Prefix()})
	if err != nil {
		z.t.Fatal(err)
	}
	z.t.Cleanup(func() { _ = l.Close() })
	for pool, prefix := range map[string]string{"p": "10.0.0.0/16", "six": "2001:db8::/48"} {
		p := netip.MustParsePrefix(prefix)
		if err := l.PutBlock(z.t.Context(), ledger.Pool{Name: pool, IPv6: p.Addr().Is6()}, ledger.Block{Pool: pool, Prefix: p}); err != nil {
			z.t.Fatal(err)
		}
	}
	z.open.Store(l)
	return l
}

func (z *zone) client(path string) ipampb.IPAMClient {
	z.t.Helper()
	return ipampb.NewIPAMClient(tiertest.At(z.t, path).Conn(z.t, z.address, z.path))
}

func wantCode(t *testing.T, what string, err error, code codes.Code, part string) {
	t.Helper()
	if status.Code(err) != code || !strings.Contains(status.Convert(err).Message(), part) {
		t.Errorf("%s: got %v, want %s with %q", what, err, code, part)
	}
}

// TestUncounted: nothing is given or taken back before all that is held is counted.
func TestUncounted(t *testing.T) {
	z, run := serveAt(t, question.Path{Region: "west", Zone: "a"}, ipamgrpc.Limits{PeerAddresses: 2}, 1e6, 1e6)
	for n := range 2 { // by an earlier leader
		if _, err := z.open.Load().Allocate(t.Context(), ledger.Request{Owner: fmt.Sprintf("local/%s/vm-%d", one, n), Pool: "p", Length: 32}); err != nil {
			t.Fatal(err)
		}
	}
	c, more := z.client(one), &ipampb.AllocateRequest{Owner: "local/" + one + "/vm-2", Pool: "p", Length: 32}
	_, err := c.Allocate(t.Context(), more)
	wantCode(t, "allocating", err, codes.Unavailable, "still being counted")
	_, err = c.Release(t.Context(), &ipampb.ReleaseRequest{Owner: "local/" + one + "/vm-0"})
	wantCode(t, "releasing", err, codes.Unavailable, "still being counted")
	run()
	_, err = c.Allocate(t.Context(), more)
	wantCode(t, "allocating more than the quota, as counted", err, codes.ResourceExhausted, "quota: ")
	if _, err := c.Release(t.Context(), &ipampb.ReleaseRequest{Owner: "local/" + one + "/vm-0"}); err != nil {
		t.Errorf("releasing: %v", err)
	}
	if _, err := c.Allocate(t.Context(), more); err != nil {
		t.Errorf("allocating what was released: %v", err)
	}
}

func TestService(t *testing.T) {
	z := startZone(t, ipamgrpc.Limits{}, 1e6, 1e6)
	ctx, c := t.Context(), z.client(one)
	owner := "local/" + one + "/vm-1"
	request := &ipampb.AllocateRequest{Owner: owner, Pool: "p", Length: 32, Tenant: "retail", Note: "a machine"}
	first, err := c.Allocate(ctx, request)
	if err != nil {
		t.Fatal(err)
	}
	again, err := c.Allocate(ctx, request)
	if err != nil || again.Prefix != first.Prefix || first.Tenant != "retail" || first.Note != "a machine" || first.SinceMs == 0 {
		t.Errorf("got %v, then %v, %v, want the same", first, again, err)
	}
	got, err := c.Get(ctx, &ipampb.GetRequest{Owner: owner})
	if err != nil || got.Prefix != first.Prefix {
		t.Errorf("get: got %v, %v", got, err)
	}
	other, err := z.client(two).Allocate(ctx, &ipampb.AllocateRequest{Owner: "local/" + two + "/vm-1", Pool: "p", Length: 32})
	if err != nil || other.Prefix == first.Prefix {
		t.Errorf("another's: got %v, %v", other, err)
	}
	list, err := c.List(ctx, &ipampb.ListRequest{})
	if err != nil || len(list.Entries) != 1 || list.Entries[0].Owner != owner {
		t.Errorf("list: got %v, %v, want its own alone", list, err)
	}

	t.Run("refused by field", func(t *testing.T) {
		mine := func(r *ipampb.AllocateRequest) *ipampb.AllocateRequest {
			r.Owner = "local/" + one + "/x"
			return r
		}
		for _, tt := range []struct {
			name    string
			request *ipampb.AllocateRequest
			code    codes.Code
			want    string
		}{
			{"no pool", mine(&ipampb.AllocateRequest{Length: 32}), codes.InvalidArgument, "pool: "},
			{"an unknown pool", mine(&ipampb.AllocateRequest{Pool: "q", Length: 32}), codes.NotFound, "pool: "},
			{"no length", mine(&ipampb.AllocateRequest{Pool: "p"}), codes.InvalidArgument, "length: 0"},
			{"no prefix", mine(&ipampb.AllocateRequest{Pool: "p", Prefix: "ten"}), codes.InvalidArgument, `prefix: "ten"`},
			{"IPv4 as IPv6", mine(&ipampb.AllocateRequest{Pool: "p", Prefix: "::ffff:10.0.0.1/128"}), codes.InvalidArgument, "write 10.0.0.1"},
			{"host bits", mine(&ipampb.AllocateRequest{Pool: "p", Prefix: "10.0.0.1/24"}), codes.InvalidArgument, "prefix: 10.0.0.1/24 has bits"},
			{"two lengths", mine(&ipampb.AllocateRequest{Pool: "p", Prefix: "10.0.0.0/24", Length: 25}), codes.InvalidArgument, "length: 25"},
			{"a long tenant", mine(&ipampb.AllocateRequest{Pool: "p", Length: 32, Tenant: strings.Repeat("t", 64)}), codes.InvalidArgument, "tenant: "},
			{"a long note", mine(&ipampb.AllocateRequest{Pool: "p", Length: 32, Note: strings.Repeat("t", 257)}), codes.InvalidArgument, "note: "},
			{"another's address", mine(&ipampb.AllocateRequest{Pool: "p", Prefix: other.Prefix}), codes.FailedPrecondition, "held by somebody else"},
			{"something else", &ipampb.AllocateRequest{Owner: owner, Pool: "p", Length: 28}, codes.AlreadyExists, "owner: "},
		} {
			t.Run(tt.name, func(t *testing.T) {
				_, err := c.Allocate(ctx, tt.request)
				wantCode(t, tt.name, err, tt.code, tt.want)
			})
		}
	})
	t.Run("batch", func(t *testing.T) { testBatch(t, c) })
	t.Run("release", func(t *testing.T) {
		if _, err := c.Release(ctx, &ipampb.ReleaseRequest{Owner: owner}); err != nil {
			t.Fatal(err)
		}
		_, err := c.Get(ctx, &ipampb.GetRequest{Owner: owner})
		wantCode(t, "get", err, codes.NotFound, "owner: ")
		_, err = c.Release(ctx, &ipampb.ReleaseRequest{Owner: owner})
		wantCode(t, "release", err, codes.NotFound, "owner: ")
	})
	if refused := z.trail.Events(audit.PeerRefused); len(refused) != 1 || refused[0].Subject != "ipam AllocateBatch" {
		t.Errorf("audited: %+v, want the batch that asked for another's alone", refused)
	}
	t.Run("a follower", func(t *testing.T) {
		z.open.Store(nil)
		_, err := c.Get(ctx, &ipampb.GetRequest{Owner: owner})
		wantCode(t, "get", err, codes.Unavailable, "zone-7 leads")
	})
}

func testBatch(t *testing.T, c ipampb.IPAMClient) {
	batch := &ipampb.AllocateBatchRequest{}
	for i := range ipamgrpc.MaxBatch {
		batch.Requests = append(batch.Requests, &ipampb.AllocateRequest{Owner: fmt.Sprintf("local/%s/batch-%d", one, i), Pool: "p", Length: 32})
	}
	batch.Requests[7].Pool = "q"
	got, err := c.AllocateBatch(t.Context(), batch)
	if err != nil || len(got.Results) != ipamgrpc.MaxBatch {
		t.Fatalf("got %d results, %v", len(got.GetResults()), err)
	}
	seen := map[string]bool{}
	for i, r := range got.Results {
		if bad := i == 7; bad != (r.Code == int32(codes.NotFound)) || bad != (r.Entry == nil) || !bad && (seen[r.Entry.Prefix] || r.Entry.Owner != batch.Requests[i].Owner) {
			t.Errorf("result %d: got %v", i, r)
		}
		seen[r.GetEntry().GetPrefix()] = true
	}
	list, err := c.List(t.Context(), &ipampb.ListRequest{OwnerPrefix: "local/" + one + "/batch-", PageSize: 600})
	if err != nil || len(list.Entries) != 600 {
		t.Fatalf("list: got %d, %v", len(list.GetEntries()), err)
	}
	rest, err := c.List(t.Context(), &ipampb.ListRequest{OwnerPrefix: "local/" + one + "/batch-", PageSize: 600, PageToken: list.NextPageToken})
	if err != nil || len(rest.Entries) != ipamgrpc.MaxBatch-1-600 || rest.NextPageToken != "" {
		t.Errorf("the rest: got %d, %q, %v", len(rest.GetEntries()), rest.GetNextPageToken(), err)
	}
	_, err = c.List(t.Context(), &ipampb.ListRequest{PageSize: 1001})
	wantCode(t, "a long page", err, codes.InvalidArgument, "page_size: ")
	_, err = c.List(t.Context(), &ipampb.ListRequest{PageToken: "delegated/x"})
	wantCode(t, "another list's token", err, codes.InvalidArgument, "page_token: ")
	batch.Requests = append(batch.Requests, batch.Requests[0])
	_, err = c.AllocateBatch(t.Context(), batch)
	wantCode(t, "too many", err, codes.InvalidArgument, "requests: 1001")
	_, err = c.AllocateBatch(t.Context(), &ipampb.AllocateBatchRequest{})
	wantCode(t, "none", err, codes.InvalidArgument, "requests: 0")
	_, err = c.AllocateBatch(t.Context(), &ipampb.AllocateBatchRequest{Requests: []*ipampb.AllocateRequest{batch.Requests[0], {Owner: "local/" + two + "/x", Pool: "p", Length: 32}}})
	if status.Code(err) != codes.PermissionDenied {
		t.Errorf("with another's among them: got %v", err)
	}
}

// TestStrangers has everybody ask for what is not his: it is refused, audited, and without effect.
func TestStrangers(t *testing.T) {
	z := startZone(t, ipamgrpc.Limits{}, 1e6, 1e6)
	mine := "local/" + one + "/vm"
	for name, caller := range map[string]tiertest.Caller{
		"nobody": tiertest.Nobody(), "the zone itself": tiertest.At(t, place), "its region": tiertest.At(t, "region/west"), "Global": tiertest.At(t, "global"),
		"another zone's cluster": tiertest.At(t, "region/west/zone/b/cluster/c1"), "another cluster": tiertest.At(t, two),
	} {
		t.Run(name, func(t *testing.T) {
			for method, call := range caller.Addresses(z.address, place, mine) {
				before := len(z.trail.Events(audit.PeerRefused))
				if err := call(t); status.Code(err) != codes.PermissionDenied {
					t.Errorf("%s: got %v, want PermissionDenied", method, err)
				}
				events := z.trail.Events(audit.PeerRefused)[before:]
				if len(events) != 1 || events[0].Subject != "ipam "+method || events[0].Result != audit.Refused {
					t.Errorf("%s: audited %+v", method, events)
				}
			}
		})
	}
	if _, err := z.open.Load().Get(t.Context(), mine); !errors.Is(err, ledger.ErrNotFound) {
		t.Errorf("got %v, want nothing taken", err)
	}
	c := z.client(one)
	if _, err := c.Allocate(t.Context(), &ipampb.AllocateRequest{Owner: mine, Pool: "p", Length: 32}); err != nil {
		t.Fatal(err)
	}
	z.lowest.Store(99)
	_, err := c.Get(t.Context(), &ipampb.GetRequest{Owner: mine})
	wantCode(t, "revoked, on a connection that stands", err, codes.PermissionDenied, "revoked")
}

// TestQuotas counts what a child and a tenant hold, over terms.
func TestQuotas(t *testing.T) {
	z := startZone(t, ipamgrpc.Limits{PeerAddresses: 10, TenantAddresses: 12}, 1e6, 1e6)
	ctx, a, b := t.Context(), z.client(one), z.client(two)
	ask := func(c ipampb.IPAMClient, path, name, pool, tenant string, length int32) error {
		_, err := c.Allocate(ctx, &ipampb.AllocateRequest{Owner: "local/" + path + "/" + name, Pool: pool, Length: length, Tenant: tenant})
		return err
	}
	ok := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	ok("eight", ask(a, one, "eight", "p", "retail", 29))
	ok("the same again", ask(a, one, "eight", "p", "retail", 29))
	wantCode(t, "four more", ask(a, one, "four", "p", "", 30), codes.ResourceExhausted, "quota: "+one+" holds 8 addresses")
	ok("a network of IPv6", ask(a, one, "six", "six", "", 64))
	wantCode(t, "two networks", ask(a, one, "six-2", "six", "", 63), codes.ResourceExhausted, "quota: "+one+" holds 9 addresses")
	ok("another's", ask(b, two, "four", "p", "retail", 30))
	wantCode(t, "the tenant's", ask(b, two, "one", "p", "retail", 32), codes.ResourceExhausted, "quota: tenant retail holds 12")
	wantCode(t, "what fails is not counted", ask(b, two, "none", "q", "", 32), codes.NotFound, "pool")
	for _, name := range []string{"taken", "taken-2"} {
		_, err := b.Allocate(ctx, &ipampb.AllocateRequest{Owner: "local/" + two + "/" + name, Pool: "p", Prefix: "10.0.0.0/30"})
		wantCode(t, "nor is what somebody else has", err, codes.FailedPrecondition, "prefix: ")
	}
	ok("six in all", ask(b, two, "two", "p", "", 31))

	z.lead() // another process does, and knows the same
	wantCode(t, "four more", ask(a, one, "four", "p", "", 30), codes.ResourceExhausted, "quota: "+one+" holds 9 addresses")
	_, err := a.Release(ctx, &ipampb.ReleaseRequest{Owner: "local/" + one + "/eight"})
	ok("releasing", err)
	ok("four more", ask(a, one, "four", "p", "", 30))
}

func TestRate(t *testing.T) {
	z := startZone(t, ipamgrpc.Limits{}, 1e-6, 3)
	c := z.client(one)
	get := func(c ipampb.IPAMClient, path string) error {
		_, err := c.Get(t.Context(), &ipampb.GetRequest{Owner: "local/" + path + "/x"})
		return err
	}
	for range 3 {
		wantCode(t, "at once", get(c, one), codes.NotFound, "")
	}
	wantCode(t, "too fast", get(c, one), codes.ResourceExhausted, "rate: "+one)
	wantCode(t, "somebody else", get(z.client(two), two), codes.NotFound, "")
}

func TestWatch(t *testing.T) {
	z := startZone(t, ipamgrpc.Limits{}, 1e6, 1e6)
	ctx, c := t.Context(), z.client(one)
	allocate := func(c ipampb.IPAMClient, owner string) {
		t.Helper()
		if _, err := c.Allocate(ctx, &ipampb.AllocateRequest{Owner: owner, Pool: "p", Length: 32}); err != nil {
			t.Fatal(err)
		}
	}
	allocate(c, "local/"+one+"/before")
	stream, err := c.Watch(ctx, &ipampb.WatchRequest{})
	if err != nil {
		t.Fatal(err)
	}
	next := func(want string, gone bool) {
		t.Helper()
		e, err := stream.Recv()
		if err != nil || e.Entry.Owner != want || e.Gone != gone {
			t.Fatalf("got %v, %v, want %s, gone %t", e, err, want, gone)
		}
	}
	next("local/"+one+"/before", false)
	allocate(z.client(two), "local/"+two+"/other")
	allocate(c, "local/"+one+"/after")
	next("local/"+one+"/after", false)
	if _, err := c.Release(ctx, &ipampb.ReleaseRequest{Owner: "local/" + one + "/before"}); err != nil {
		t.Fatal(err)
	}
	next("local/"+one+"/before", true) // the pool has no quarantine
	second, err := c.Watch(ctx, &ipampb.WatchRequest{})
	if err == nil {
		_, err = second.Recv()
	}
	wantCode(t, "a second watch", err, codes.ResourceExhausted, "watch: ")
	if err := z.open.Load().Close(); err != nil {
		t.Fatal(err)
	}
	_, err = stream.Recv()
	wantCode(t, "the term is over", err, codes.Unavailable, "")
}

// TestLimits refuses settings that make no sense.
func TestLimits(t *testing.T) {
	var l ipamgrpc.Limits
	if l.Default(); l.PeerAddresses != 4096 || l.Validate() != nil {
		t.Errorf("got %+v, %v", l, l.Validate())
	}
	err := ipamgrpc.Limits{PeerAddresses: -1, TenantAddresses: -1}.Validate()
	for _, field := range []string{"peerAddresses: -1", "tenantAddresses: -1"} {
		if err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("got %v, want %q", err, field)
		}
	}
}
