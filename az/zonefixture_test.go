package az_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/meridian-federation/meridian/az"
	"github.com/meridian-federation/meridian/internal/audit/audittest"
	"github.com/meridian-federation/meridian/internal/feed"
	"github.com/meridian-federation/meridian/internal/mesh"
	"github.com/meridian-federation/meridian/internal/object"
	"github.com/meridian-federation/meridian/internal/question"
	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/internal/rollup"
	"github.com/meridian-federation/meridian/internal/store/mem"
	"github.com/meridian-federation/meridian/internal/tiertest"
)

// zone is a zone under test, between a parent and its agents.
type zone struct {
	t      *testing.T
	parent *tiertest.Parent
	store  *mem.Store
	addr   string
	audit  audittest.Recorder
	agents map[string]*tiertest.Child
	stop   func()
}

// newZone starts zone a of region west and the agents of the clusters, which are in the inventory.
func newZone(t *testing.T, clusters ...string) *zone {
	t.Helper()
	z := &zone{t: t, parent: tiertest.NewParent(t, "region/west"), store: mem.New(), addr: "127.0.0.1:0", agents: map[string]*tiertest.Child{}}
	for _, c := range clusters {
		z.parent.Put(cluster(c).Record())
	}
	z.start()
	t.Cleanup(func() { z.stop() })
	for _, c := range clusters {
		z.agent(c).Start()
	}
	return z
}

func (z *zone) start() {
	z.t.Helper()
	listener, err := net.Listen("tcp", z.addr)
	if err != nil {
		z.t.Fatal(err)
	}
	z.addr = listener.Addr().String()
	cfg := az.Config{ID: "zone-0", Region: "west", Zone: "a", Parent: []string{z.parent.Address}, Settle: 300 * time.Millisecond}
	cfg.Default()
	log := slog.New(slog.DiscardHandler)
	if testing.Verbose() {
		log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	tier := az.New(cfg, az.Deps{Store: z.store, Listener: listener, Log: log, Audit: z.audit.Log(),
		Identity: tiertest.Source(z.t, "region/west/zone/a")})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- tier.Run(ctx) }()
	z.stop = func() {
		cancel()
		if err := <-done; err != nil {
			z.t.Errorf("running the zone: %v", err)
		}
		z.stop = func() {}
	}
}

// agent makes a cluster's agent, which reports what it is sent as ready. It is not started.
func (z *zone) agent(name string) *tiertest.Child {
	a := tiertest.NewChild(z.t, "cluster", "region/west/zone/a/cluster/"+name, z.addr)
	a.Ready(tiertest.Replicas)
	health := record.Health{Cluster: name, Nodes: 10, KubernetesVersion: "v1.34.0"}.Record()
	a.Outbox.Edit(feed.Put(&health))
	z.agents[name] = a
	return a
}

// replica plays another replica of the zone, which tells the leader how clusters stand. It is not started.
func (z *zone) replica(id string) *tiertest.Child {
	return tiertest.NewChild(z.t, "replica", "region/west/zone/a/replica/"+id, z.addr)
}

func cluster(name string) record.Cluster {
	return record.Cluster{Name: name, Region: "west", Zone: "a", Environments: []string{"prod"},
		Mesh: record.Mesh{Dataplane: "Sidecar", RootNamespace: "istio-system"}}
}

// app is one application as Global sends it to the zone.
type app struct {
	name, image string
	replicas    int32
	placement   string
	accepted    time.Time
}

func (a app) records() (revision, assignment record.Record) {
	placement := a.placement
	if placement == "" {
		placement = `{"mode":"Divided"}`
	}
	revision = record.Revision{Namespace: "n", Application: a.name, Environment: "prod", Spec: fmt.Appendf(nil,
		`{"template":{"metadata":{},"spec":{"containers":[{"name":"c","image":%q}]}},"ports":[{"name":"http","port":80}],"placement":%s}`,
		a.image, placement)}.Record()
	assignment = record.Assignment{Namespace: "n", Application: a.name, Zone: "a", Region: "west",
		Revision: revision.Version.String(), Replicas: a.replicas, Generation: mesh.Generation, AcceptedAt: a.accepted}.Record()
	return revision, assignment
}

// policy lets its own namespace alone call it.
func (a app) policy() record.Record {
	return record.Policy{Namespace: "n", Application: a.name, Environment: "prod", TrustDomain: "prod.example.com"}.Record()
}

// puts are the edits that submit the application.
func (a app) puts() []feed.Edit {
	revision, assignment := a.records()
	policy := a.policy()
	return []feed.Edit{feed.Put(&revision), feed.Put(&policy), feed.Put(&assignment)}
}

// submit puts the application's records, and takes away the revision that it had before.
func (z *zone) submit(a app, before ...app) {
	revision, _ := a.records()
	edits := a.puts()
	for _, b := range before {
		old, _ := b.records()
		if old.Key != revision.Key {
			edits = append(edits, feed.Remove(old.Key, record.CausePerson))
		}
	}
	z.parent.Edit(edits...)
}

// remove deletes the application, as a person would.
func (z *zone) remove(a app) {
	revision, assignment := a.records()
	z.parent.Edit(feed.Remove(assignment.Key, record.CausePerson), feed.Remove(revision.Key, record.CausePerson),
		feed.Remove(a.policy().Key, record.CausePerson))
}

func ready(revision string, desired int32) func(record.Status) bool {
	return func(s record.Status) bool {
		return rollup.Ready(s.Counts) && s.Revision == revision && s.Desired == desired
	}
}

func (a app) hash() string {
	r, _ := a.records()
	return r.Version.String()
}

func deploymentKey(name string) record.Key {
	return object.ID{Group: "apps", Version: "v1", Kind: "Deployment", Namespace: "n", Name: name}.Key()
}

// holds looks into the zone's store.
func (z *zone) holds(kind record.Kind, part string) bool {
	state, err := z.store.Load(z.t.Context())
	if err != nil {
		z.t.Fatal(err)
	}
	for _, e := range state.Entries {
		if e.Key.Kind == kind && strings.Contains(e.Key.Name, part) {
			return true
		}
	}
	return false
}

func (z *zone) position() int64 {
	state, err := z.store.Load(z.t.Context())
	if err != nil {
		z.t.Fatal(err)
	}
	return state.Position.Revision
}

func ask(t *testing.T, p *tiertest.Parent, kind string, request any) question.Node {
	t.Helper()
	payload, err := json.Marshal(request)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := p.Ask(t, kind, payload)
	if err != nil {
		t.Fatal(err)
	}
	node, err := question.Decode[question.Node](answer)
	if err != nil {
		t.Fatal(err)
	}
	return node
}
