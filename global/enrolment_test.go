package global_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc/credentials"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/meridian-federation/meridian/api/v1alpha1"
	"github.com/meridian-federation/meridian/internal/audit"
	"github.com/meridian-federation/meridian/internal/audit/audittest"
	"github.com/meridian-federation/meridian/internal/feed"
	"github.com/meridian-federation/meridian/internal/feed/feedgrpc"
	"github.com/meridian-federation/meridian/internal/identity"
	"github.com/meridian-federation/meridian/internal/question"
	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/internal/store/mem"
)

var westPath = question.Path{Region: "west"}

// open opens the identity of a process in a folder of its own, as its binary does, and runs it until the test ends.
func open(t *testing.T, path question.Path, set func(*identity.Config)) *identity.Identity {
	t.Helper()
	id, err := tryOpen(t, path, set)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- id.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("the identity of %s ended with %v", path, err)
		}
	})
	return id
}

func tryOpen(t *testing.T, path question.Path, set func(*identity.Config)) (*identity.Identity, error) {
	t.Helper()
	cfg := identity.Config{Path: path, Log: slog.New(slog.NewTextHandler(t.Output(), nil))}
	cfg.Default()
	cfg.Dir = filepath.Join(t.TempDir(), "identity")
	set(&cfg)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	return identity.Open(ctx, cfg)
}

// with is the configuration of a newcomer at Global.
func (g *tier) with(t *testing.T, issued *question.IssuedToken) func(*identity.Config) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(issued.Text), 0o600); err != nil {
		t.Fatal(err)
	}
	return func(cfg *identity.Config) {
		cfg.Parents, cfg.TokenFile, cfg.Pin = []string{g.address}, file, issued.Pins
	}
}

// token asks for a token for a region, until Global knows that region.
func (g *tier) token(t *testing.T, path question.Path) *question.IssuedToken {
	t.Helper()
	return g.tokenOf(t, question.TokenRequest{Target: path, TTLSeconds: 600, Uses: 1})
}

func (g *tier) tokenOf(t *testing.T, request question.TokenRequest) *question.IssuedToken {
	t.Helper()
	var issued *question.IssuedToken
	eventually(t, "a token for "+request.Target.String(), func() string {
		node, err := g.ask(t, question.KindTokenCreate, request)
		if err != nil {
			return err.Error()
		}
		issued = node.Issued
		return ""
	})
	return issued
}

// serveRegion keeps a session of a region with Global until the test ends; it counts how often it was opened, and answers
// how the region's identity is.
func serveRegion(t *testing.T, source *identity.Source, g *tier) *atomic.Int32 {
	t.Helper()
	opened := &atomic.Int32{}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	outbox := feed.NewOutbox()
	outbox.SetComplete(true)
	cfg := feedgrpc.ClientConfig{Targets: []string{g.address}, Hello: feed.Hello{Role: "region", Path: source.Path().String()},
		Credentials: credentials.NewTLS(identity.ClientTLS(source, question.Path{}, nil)), Log: slog.New(slog.DiscardHandler)}
	go func() {
		done <- feedgrpc.Run(ctx, cfg, feedgrpc.Endpoint{Outbox: outbox, Opened: func(*feedgrpc.Link) { opened.Add(1) },
			Ledger: feed.NewLedger(feed.State{}, func(func(record.KeyVersion) bool) {}),
			Answer: func(context.Context, feed.Question) ([]byte, error) {
				return question.Encode(question.Node{Overview: &question.Overview{Identity: source.Describe()}})
			}})
	}()
	stop := sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("region %s ended with %v", source.Path(), err)
		}
	})
	t.Cleanup(stop)
	return opened
}

// recorded wants an audit event.
func (g *tier) recorded(t *testing.T, action audit.Action, what string, is func(audittest.Event) bool) {
	t.Helper()
	eventually(t, what+" is recorded", func() string {
		events := g.trail.Events(action)
		if slices.ContainsFunc(events, is) {
			return ""
		}
		return fmt.Sprintf("%s events are %+v", action, events)
	})
}

// TestEnrolment has a region enrol at Global, over its socket, and revokes it.
func TestEnrolment(t *testing.T) {
	h, s := startHub(t), mem.New()
	h.set(t, inventory...)
	root := open(t, question.Path{}, func(*identity.Config) {})
	g := startGlobalAs(t, s, h.kube.RESTConfig(), root)
	issued := g.token(t, westPath)
	own := open(t, westPath, g.with(t, issued))
	if got := own.Source.Status(); got.Generation != 0 || got.Root != root.Source.Status().Root {
		t.Errorf("the region's identity: got %+v, want generation 0 under the root", got)
	}
	g.recorded(t, audit.Redeem, "the redemption", func(e audittest.Event) bool {
		return e.Subject == "region/west" && e.Result == audit.Done && e.Detail["token"] == issued.ID
	})

	opened := serveRegion(t, own.Source, g)
	eventually(t, "the Region says that it has enrolled", func() string {
		obj, err := h.of("Region", "").Get(t.Context(), "west", metav1.GetOptions{})
		if err != nil {
			return err.Error()
		}
		conditions, _, _ := unstructured.NestedSlice(obj.Object, "status", "conditions")
		for _, c := range conditions {
			if c := c.(map[string]any); c["type"] == v1alpha1.ConditionEnrolled && c["status"] == "True" {
				return ""
			}
		}
		return fmt.Sprintf("its conditions are %v", conditions)
	})

	t.Run("a replayed token", func(t *testing.T) {
		_, err := tryOpen(t, westPath, g.with(t, issued))
		if err == nil || !strings.Contains(err.Error(), "the token is spent") {
			t.Errorf("got %v, want it refused as spent", err)
		}
		g.recorded(t, audit.Redeem, "the refusal", func(e audittest.Event) bool { return e.Result == audit.Refused && e.Reason == "the token is spent" })
	})
	t.Run("an enrolled place", func(t *testing.T) {
		_, err := g.ask(t, question.KindTokenCreate, question.TokenRequest{Target: westPath, TTLSeconds: 60, Uses: 1})
		if err == nil || !strings.Contains(err.Error(), "is enrolled already") {
			t.Errorf("got %v, want it refused", err)
		}
	})
	t.Run("a second root", func(t *testing.T) {
		other := open(t, question.Path{}, func(*identity.Config) {})
		err := tryGlobal(t, s.Open(), h.kube.RESTConfig(), other)
		if err == nil || !strings.Contains(err.Error(), "meridian token create --global --replica") {
			t.Errorf("got %v, want it refused at start with what to do", err)
		}
	})
	t.Run("removed from the inventory", func(t *testing.T) {
		if err := h.of("Region", "").Delete(t.Context(), "west", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		g.recorded(t, audit.PlaceRevoked, "the revocation", func(e audittest.Event) bool { return e.Subject == "region/west" })
		before := opened.Load()
		h.set(t, inventory[2]) // the name comes again, and its old certificate does not count
		g.recorded(t, audit.PeerRefused, "the refusal of the old certificate", func(e audittest.Event) bool {
			return strings.Contains(e.Reason, "is revoked")
		})
		if after := opened.Load(); after != before {
			t.Errorf("the region was let in again with its old certificate")
		}
		if got := open(t, westPath, g.with(t, g.token(t, westPath))).Source.Status().Generation; got != 1 {
			t.Errorf("enrolled anew: got generation %d, want 1", got)
		}
	})
}

// TestRotation replaces the root while a region is connected, which keeps its session.
func TestRotation(t *testing.T) {
	h := startHub(t)
	h.set(t, inventory...)
	root := open(t, question.Path{}, func(*identity.Config) {})
	g := startGlobalAs(t, mem.New(), h.kube.RESTConfig(), root)
	own := open(t, westPath, g.with(t, g.token(t, westPath)))
	opened := serveRegion(t, own.Source, g)
	before := root.Source.Status().Root

	rotate := func(request question.RotateRequest) question.Rotation {
		t.Helper()
		node, err := g.ask(t, question.KindRotate, request)
		if err != nil {
			t.Fatal(err)
		}
		return *node.Rotation
	}
	if got := rotate(question.RotateRequest{}); got.Phase != question.RotationIdle || len(got.Roots) != 1 {
		t.Fatalf("with nothing begun: got %+v, want one root", got)
	}
	var phases []question.RotationPhase
	request := question.RotateRequest{Begin: true}
	for _, until := range []question.RotationPhase{question.RotationRenewing, question.RotationDone} {
		eventually(t, "the rotation is "+string(until), func() string {
			got := rotate(request)
			request.Begin = false
			if len(phases) == 0 || phases[len(phases)-1] != got.Phase {
				phases = append(phases, got.Phase)
			}
			if got.Phase != until {
				return fmt.Sprintf("%+v", got)
			}
			return ""
		})
	}
	if want := []question.RotationPhase{question.RotationSpreading, question.RotationRenewing, question.RotationDone}; !slices.Equal(phases, want) {
		t.Errorf("phases: got %v, want %v", phases, want)
	}
	for name, source := range map[string]*identity.Source{"Global": root.Source, "the region": own.Source} {
		eventually(t, name+" has left the old root", func() string {
			if s := source.Status(); s.Root == before || len(s.Roots) != 1 || s.Roots[0] == before {
				return fmt.Sprintf("%+v", s)
			}
			return ""
		})
	}
	if n := opened.Load(); n != 1 {
		t.Errorf("the region's session was opened %d times, want once", n)
	}
	if n := len(g.trail.Events(audit.AuthorityRotate)); n != 3 {
		t.Errorf("steps recorded: got %d, want 3", n)
	}
	eventually(t, "the CLI is told the new root", func() string {
		cm, err := h.configMap(t, question.HubNamespace, question.HubConfigMap)
		if err != nil {
			return err.Error()
		}
		if n := strings.Count(cm[question.HubCAKey], "BEGIN CERTIFICATE"); n != 1 {
			return fmt.Sprintf("it is told %d roots", n)
		}
		return ""
	})
}

// TestRotationWaits does not go on while a node does not follow, unless it is forced.
func TestRotationWaits(t *testing.T) {
	h := startHub(t)
	h.set(t, inventory...)
	root := open(t, question.Path{}, func(*identity.Config) {})
	g := startGlobalAs(t, mem.New(), h.kube.RESTConfig(), root)
	g.token(t, westPath) // the inventory is known: the region is asked, and is not there
	rotated := func(request question.RotateRequest) question.Rotation {
		node, err := g.ask(t, question.KindRotate, request)
		if err != nil {
			t.Fatal(err)
		}
		return *node.Rotation
	}
	rotated(question.RotateRequest{Begin: true})
	got := rotated(question.RotateRequest{})
	if got.Phase != question.RotationSpreading || !slices.ContainsFunc(got.Waiting, func(w question.RotationWait) bool { return w.Node == "region/west" }) {
		t.Errorf("a region that is not there: got %+v, want it waited for", got)
	}
	if again := rotated(question.RotateRequest{Begin: true}); !slices.Equal(again.Roots, got.Roots) {
		t.Errorf("begun again: got roots %v, want those of before, %v", again.Roots, got.Roots)
	}
	if got := rotated(question.RotateRequest{Force: true}); got.Phase != question.RotationRenewing {
		t.Errorf("forced: got %+v, want the new root to sign", got)
	}
}
