package global

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"

	"github.com/meridian-federation/meridian/internal/question"
	"github.com/meridian-federation/meridian/internal/record"
)

// statusInterval is the least time between two writes of one object's status; after writes that fail it doubles up to
// statusPatience.
const (
	statusInterval = time.Second
	statusPatience = 10 * time.Second
)

// statusWorkers bounds the status writes under way: status must not crowd out decisions at the hub's API server.
const statusWorkers = 4

// target is one object whose status the board writes.
type target struct{ plural, namespace, name string }

func (t target) key() string {
	if t.namespace == "" {
		return t.name
	}
	return t.namespace + "/" + t.name
}

// board writes the status of the hub's resources: outcomes at once, progress at its own pace, at most once a second for
// one object, and only what differs from what the API server has.
type board struct {
	log     *slog.Logger
	client  *client
	hub     *hub
	reports *reports
	// grant is nil where others than Meridian issue identities.
	grant   func(question.Path) (record.Grant, error)
	metrics *metrics
	pace    *pace
	queue   workqueue.TypedRateLimitingInterface[target]

	mu        sync.Mutex
	plans     map[string]plan
	policies  map[string]judgement        // by AccessPolicy, NAMESPACE/NAME
	quotas    map[string]quotaStanding    // by TenantQuota
	externals map[string]externalStanding // by ExternalService, as it is planned
	inventory *inventory
	// addressing is what is known of address space.
	addressing addressing
	last       map[target]time.Time // of writes less than statusInterval ago
}

func newBoard(g *Global, h *hub) *board {
	pace := workqueue.NewTypedItemExponentialFailureRateLimiter[target](statusInterval, statusPatience)
	b := &board{log: g.log, client: g.client, hub: h, reports: g.reports, metrics: g.metrics, pace: newPace(),
		queue: workqueue.NewTypedRateLimitingQueue(pace),
		plans: map[string]plan{}, policies: map[string]judgement{}, quotas: map[string]quotaStanding{}, externals: map[string]externalStanding{}, last: map[target]time.Time{}}
	b.addressing = addressing{asks: map[string]asked{}, usage: g.space.usage}
	if g.deps.Authority != nil {
		b.grant = g.register.Grant
	}
	return b
}

// run writes until ctx ends.
func (b *board) run(ctx context.Context) error {
	var g errgroup.Group
	for range statusWorkers {
		g.Go(func() error {
			for b.next(ctx) {
			}
			return nil
		})
	}
	<-ctx.Done()
	b.queue.ShutDown()
	return g.Wait()
}

// touch has a status computed anew.
func (b *board) touch(t target) { b.queue.Add(t) }

// wait is how long the object's status must not be written yet.
func (b *board) wait(t target) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	return statusInterval - time.Since(b.last[t])
}

// next serves one target; false at the end.
func (b *board) next(ctx context.Context) bool {
	t, shutdown := b.queue.Get()
	if shutdown {
		return false
	}
	defer b.queue.Done(t)
	if wait := b.wait(t); wait > 0 {
		b.queue.AddAfter(t, wait)
		return true
	}
	if wait := b.pace.left(t, time.Now()); wait > 0 && b.progressing(t) {
		b.queue.AddAfter(t, wait)
		return true
	}
	uid, before, after := b.compute(t)
	if uid == "" || equality.Semantic.DeepEqual(before, after) {
		b.pace.done(t)
		return true
	}
	if underWay(before, after) {
		if wait := b.pace.wait(t, time.Now()); wait > 0 {
			b.queue.AddAfter(t, wait)
			return true
		}
	}
	b.pace.done(t)
	b.wrote(t)
	b.metrics.statuses.Inc()
	err := b.patch(ctx, t, uid, after)
	if err == nil || apierrors.IsNotFound(err) || ctx.Err() != nil {
		b.queue.Forget(t)
		return true
	}
	if b.queue.NumRequeues(t) == 0 {
		b.log.Warn("writing status; it is tried again", "object", t.plural+"/"+t.key(), "error", err)
	}
	b.queue.AddRateLimited(t)
	return true
}

// wrote notes the time of a write and forgets those that no longer matter.
func (b *board) wrote(t target) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	b.last[t] = now
	if len(b.last) > 1024 && len(b.last) > 2*len(b.plans) {
		for t, at := range b.last {
			if now.Sub(at) > statusInterval {
				delete(b.last, t)
			}
		}
	}
}

// compute returns the identity of the object, the status it has and the one it should have; no identity means that
// there is nothing to write.
func (b *board) compute(t target) (uid types.UID, before, after any) {
	switch t.plural {
	case "applications":
		return b.application(t)
	case "clusters":
		return b.cluster(t)
	case "accesspolicies":
		return b.accessPolicy(t)
	case "tenantquotas":
		return b.tenantQuota(t)
	case "zones":
		return b.zone(t)
	case "environments":
		return b.environment(t)
	case "ippools":
		return b.ipPool(t)
	case "ipclaims":
		return b.ipClaim(t)
	case "externalservices":
		return b.externalService(t)
	case "networks":
		return b.network(t)
	default:
		return b.region(t)
	}
}

// application computes the status of an Application. Since a restart forgets what regions reported, nothing is written
// before they have all told it again, unless the spec has changed meanwhile.
func (b *board) application(t target) (types.UID, any, any) {
	app, ok := b.hub.applications.get(t.key())
	b.mu.Lock()
	p, planned := b.plans[t.key()]
	b.mu.Unlock()
	if !ok || !planned {
		return "", nil, nil
	}
	p.address = b.addressOf(app)
	reported := b.reports.status(t.key())
	before := app.Status
	if !b.told(p) && before.ObservedGeneration == p.generation && before.Revision == shortRevision(p.hash) {
		return "", nil, nil
	}
	return app.UID, before, applicationStatus(before, p, reported)
}

// progressing tells, for less than computing it costs, that an application's status has only progress to tell; false if
// that is not clear.
func (b *board) progressing(t target) bool {
	app, ok := b.hub.applications.get(t.key())
	b.mu.Lock()
	p, planned := b.plans[t.key()]
	b.mu.Unlock()
	if !ok || !planned {
		return false
	}
	p.address = b.addressOf(app)
	g, clear := b.reports.gist(t.key(), p)
	return clear && g.underWay(gistOf(app.Status))
}

// told tells whether every region that should run an application has told its state.
func (b *board) told(p plan) bool {
	for _, a := range p.desired {
		if !b.reports.session(a.Region).told {
			return false
		}
	}
	return true
}

// lessBack asks for no more of the object in the answer to a write than its metadata.
const lessBack = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json"

// patch replaces the status, if the object is still the one that it was computed for.
func (b *board) patch(ctx context.Context, t target, uid types.UID, status any) error {
	body, err := json.Marshal([]map[string]any{
		{"op": "test", "path": "/metadata/uid", "value": uid},
		{"op": "add", "path": "/status", "value": status},
	})
	if err != nil {
		return fmt.Errorf("encoding status: %w", err)
	}
	request := b.client.rest.Patch(types.JSONPatchType).Resource(t.plural).Name(t.name).SubResource("status").
		SetHeader("Accept", lessBack).
		VersionedParams(&metav1.PatchOptions{FieldManager: "meridian-global"}, metav1.ParameterCodec).Body(body)
	if t.namespace != "" {
		request = request.Namespace(t.namespace)
	}
	return request.Do(ctx).Error()
}

// set notes new plans and the inventory they were made with.
func (b *board) set(plans map[string]*plan, inv *inventory) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.inventory = inv
	for name, p := range plans {
		if p == nil {
			delete(b.plans, name)
		} else {
			b.plans[name] = *p
		}
	}
}

// placedIn lists the applications that should run in a region.
func (b *board) placedIn(region string) []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var out []string
	for name, p := range b.plans {
		for _, a := range p.desired {
			if a.Region == region {
				out = append(out, name)
				break
			}
		}
	}
	return out
}

func applicationTarget(name string) target {
	namespace, short, _ := strings.Cut(name, "/")
	return target{"applications", namespace, short}
}
