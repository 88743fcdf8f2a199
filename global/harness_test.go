package global_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"maps"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
	"google.golang.org/grpc/credentials"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"

	"github.com/meridian-federation/meridian/api/crds"
	"github.com/meridian-federation/meridian/api/v1alpha1"
	"github.com/meridian-federation/meridian/global"
	"github.com/meridian-federation/meridian/internal/audit/audittest"
	"github.com/meridian-federation/meridian/internal/feed"
	"github.com/meridian-federation/meridian/internal/feed/feedgrpc"
	"github.com/meridian-federation/meridian/internal/identity"
	"github.com/meridian-federation/meridian/internal/localkube"
	"github.com/meridian-federation/meridian/internal/question"
	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/internal/store"
	"github.com/meridian-federation/meridian/internal/store/etcd"
	"github.com/meridian-federation/meridian/internal/tiertest"
	"github.com/meridian-federation/meridian/ipam/ledger"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// identities are those of all trees here.
var identities = tiertest.Root()

const patience = 30 * time.Second

// eventually waits until check returns "".
func eventually(t *testing.T, what string, check func() string) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		problem := check()
		if problem == "" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: %s", what, problem)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// hub is a real API server with the CRDs, and a client for it.
type hub struct {
	kube   *localkube.Cluster
	client dynamic.Interface
}

func startHub(t *testing.T) *hub {
	t.Helper()
	kube := localkube.ForTest(t, localkube.Config{APIOnly: true})
	if err := kube.InstallCRDs(t.Context(), crds.All()...); err != nil {
		t.Fatal(err)
	}
	client, err := dynamic.NewForConfig(kube.RESTConfig())
	if err != nil {
		t.Fatal(err)
	}
	return &hub{kube, client}
}

func (h *hub) of(kind, namespace string) dynamic.ResourceInterface {
	gvr := schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}
	for _, r := range v1alpha1.Resources() {
		if r.Kind == kind {
			gvr = r.GroupVersionResource()
		}
	}
	if namespace == "" {
		return h.client.Resource(gvr)
	}
	return h.client.Resource(gvr).Namespace(namespace)
}

// configMap reads the data of a ConfigMap.
func (h *hub) configMap(t *testing.T, namespace, name string) (map[string]string, error) {
	t.Helper()
	obj, err := h.client.Resource(schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}).Namespace(namespace).
		Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	data, _, err := unstructured.NestedStringMap(obj.Object, "data")
	return data, err
}

// apply applies one object.
func (h *hub) apply(t *testing.T, manifest string) {
	t.Helper()
	var obj unstructured.Unstructured
	if err := yaml.Unmarshal([]byte(manifest), &obj.Object); err != nil {
		t.Fatal(err)
	}
	_, err := h.of(obj.GetKind(), obj.GetNamespace()).Apply(t.Context(), obj.GetName(), &obj, metav1.ApplyOptions{FieldManager: "test", Force: true})
	if err != nil {
		t.Fatalf("applying %s %s: %v", obj.GetKind(), obj.GetName(), err)
	}
}

// application reads an Application; nil if there is none.
func (h *hub) application(t *testing.T, namespace, name string) *v1alpha1.Application {
	t.Helper()
	obj, err := h.of("Application", namespace).Get(t.Context(), name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	var app v1alpha1.Application
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(obj.Object, &app); err != nil {
		t.Fatal(err)
	}
	return &app
}

// tier is a running Global.
type tier struct {
	global  *global.Global
	address string
	trail   *audittest.Recorder
	stop    func()
}

// startGlobal runs Global on a store until the test ends or stop is called.
func startGlobal(t *testing.T, s store.Store, h *hub) *tier {
	t.Helper()
	return startGlobalAt(t, s, h.kube.RESTConfig())
}

func startGlobalAt(t *testing.T, s store.Store, hub *rest.Config) *tier {
	t.Helper()
	own, err := identities.Authority(question.Path{})
	if err != nil {
		t.Fatal(err)
	}
	return startGlobalAs(t, s, hub, &identity.Identity{Source: own.Source(), Authority: own})
}

// startGlobalAs runs Global with an identity of its own.
func startGlobalAs(t *testing.T, s store.Store, hub *rest.Config, id *identity.Identity) *tier {
	t.Helper()
	made := newGlobal(t, s, hub, id)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- made.global.Run(ctx) }()
	made.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Global ended with %v", err)
		}
	})
	t.Cleanup(made.stop)
	return made
}

// tryGlobal runs Global until it ends by itself, and returns why.
func tryGlobal(t *testing.T, s store.Store, hub *rest.Config, id *identity.Identity, set ...func(*global.Config)) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	return newGlobal(t, s, hub, id, set...).global.Run(ctx)
}

func newGlobal(t *testing.T, s store.Store, hub *rest.Config, id *identity.Identity, set ...func(*global.Config)) *tier {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	trail := &audittest.Recorder{}
	cfg := global.Config{ID: "global-0", Listen: listener.Addr().String(), Advertise: "127.0.0.1:1",
		AudienceDelay: 50 * time.Millisecond}
	for _, change := range set {
		change(&cfg)
	}
	var addresses ledger.Config
	if e, ok := s.(*etcd.Store); ok {
		addresses = ledger.Config{Client: e.Client(), Prefix: e.Prefix(), Log: slog.New(slog.DiscardHandler)}
	}
	g, err := global.New(cfg, global.Deps{Store: s, Ledger: addresses, Hub: hub, Listener: listener,
		Log: slog.New(slog.NewTextHandler(t.Output(), nil)), Stats: &feed.Stats{}, Registry: prometheus.NewRegistry(),
		Identity: id.Source, Authority: id.Authority, Audit: trail.Log()})
	if err != nil {
		t.Fatal(err)
	}
	return &tier{global: g, address: listener.Addr().String(), trail: trail}
}

// ask asks Global a question.
func (g *tier) ask(t *testing.T, kind string, request any) (question.Node, error) {
	t.Helper()
	payload, err := json.Marshal(request)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := g.global.Reply(t.Context(), "ann", kind, payload)
	if err != nil {
		return question.Node{}, err
	}
	var node question.Node
	if err := json.Unmarshal(answer, &node); err != nil {
		t.Fatal(err)
	}
	return node, nil
}

// region is a child that holds what it is sent, and reports what the test says.
type region struct {
	mu      sync.Mutex
	records map[record.Key]record.Record
	causes  map[record.Key]record.Cause
	outbox  *feed.Outbox
	stop    func()
}

func startRegion(t *testing.T, name string, g *tier) *region {
	t.Helper()
	r := &region{records: map[record.Key]record.Record{}, causes: map[record.Key]record.Cause{}, outbox: feed.NewOutbox()}
	r.outbox.SetComplete(true)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	source, err := identities.Source(question.Path{Region: name})
	if err != nil {
		t.Fatal(err)
	}
	cfg := feedgrpc.ClientConfig{Targets: []string{g.address}, Hello: feed.Hello{Role: "region", Path: "region/" + name},
		Credentials: credentials.NewTLS(identity.ClientTLS(source, question.Path{}, nil)), Log: slog.New(slog.DiscardHandler)}
	go func() {
		done <- feedgrpc.Run(ctx, cfg, feedgrpc.Endpoint{Outbox: r.outbox, Apply: r.take,
			Ledger: feed.NewLedger(feed.State{}, func(func(record.KeyVersion) bool) {})})
	}()
	r.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("region %s ended with %v", name, err)
		}
	})
	t.Cleanup(r.stop)
	return r
}

func (r *region) take(_ context.Context, b feed.Batch) ([]feed.Rejection, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range b.Puts {
		r.records[p.Key] = *p
	}
	for _, p := range b.Removals {
		delete(r.records, p.Key)
		r.causes[p.Key] = p.Cause
	}
	return nil, nil
}

// assignments decodes what the region was assigned.
func (r *region) assignments(t *testing.T) map[string]record.Assignment {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	out := map[string]record.Assignment{}
	for key, rec := range r.records {
		if key.Kind != record.KindAssignment {
			continue
		}
		a, err := record.DecodeAssignment(rec)
		if err != nil {
			t.Fatal(err)
		}
		out[key.Name] = a
	}
	return out
}

func (r *region) cause(key record.Key) (record.Cause, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c, ok := r.causes[key]
	return c, ok
}

func (r *region) names() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []string
	for key := range maps.Keys(r.records) {
		out = append(out, key.String())
	}
	slices.Sort(out)
	return out
}

// report says that the assignments of one application have converged, each with all replicas ready.
func (r *region) report(assignments ...record.Assignment) {
	s := record.Status{Namespace: assignments[0].Namespace, Application: assignments[0].Application}
	for _, a := range assignments {
		s.Lines = append(s.Lines, record.Line{Zone: a.Zone, Region: a.Region, Counts: record.Counts{Revision: a.Revision,
			Desired: a.Replicas, Updated: a.Replicas, Ready: a.Replicas, Clusters: 1, Converged: 1}})
	}
	rec := s.Record()
	r.outbox.Edit(feed.Put(&rec))
}
