package e2e

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/meridian-federation/meridian/internal/question"
)

const (
	// leafEnv is identity.leafLifetime.
	leafEnv = "MERIDIAN_IDENTITY_LEAF_LIFETIME"
	// leafLife is of the certificates that processes show, renewed after 30 s: long enough to restart a zone before its agents'
	// end.
	leafLife = 45 * time.Second
	// longLived is less than what is left of one of the usual life.
	longLived = time.Hour
)

// tiers names the processes that sign, from the top down.
func (f *federation) tiers() []string {
	return slices.DeleteFunc(f.run.Processes(), func(name string) bool {
		return name != "global" && !strings.HasPrefix(name, "region-") && !strings.HasPrefix(name, "zone-")
	})
}

// agents names the agents' processes.
func (f *federation) agents() []string {
	return slices.DeleteFunc(f.run.Processes(), func(name string) bool { return !strings.HasPrefix(name, "agent-") })
}

// restartTiers restarts, one after another, all processes that sign, so that they take the environment as it is now. The agents
// are not touched.
func (f *federation) restartTiers(ctx context.Context) error {
	for _, name := range f.tiers() {
		if p, runs := f.run.Process(name); runs {
			if err := p.Stop(ctx, lookWithin); err != nil {
				return fmt.Errorf("stopping %s: %w", name, err)
			}
		}
		if err := f.run.Start(ctx, name); err != nil {
			return err
		}
	}
	return f.dial(ctx)
}

// shortLived has certificates live for leafLife while the test runs.
func (f *federation) shortLived(t *testing.T) {
	t.Helper()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 2*awaitWithin) // the test's context has ended by now
		defer cancel()
		if err := os.Unsetenv(leafEnv); err != nil {
			t.Error(err)
		}
		if err := f.restartTiers(ctx); err != nil {
			t.Errorf("having certificates live for long again: %v", err)
			return
		}
		tick := time.NewTicker(lookEvery)
		defer tick.Stop()
		for err := f.live(ctx, true); err != nil; err = f.live(ctx, true) {
			select {
			case <-tick.C:
			case <-ctx.Done():
				t.Errorf("waiting for certificates that live for long: %v", err)
				return
			}
		}
	})
	if err := os.Setenv(leafEnv, leafLife.String()); err != nil {
		t.Fatal(err)
	}
	if err := f.restartTiers(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.settled(t)
}

// live is an error unless the certificates of all processes are good for longer than longLived, or, if not long, for leafLife
// at most.
func (f *federation) live(ctx context.Context, long bool) error {
	ends, err := f.ends(ctx)
	for name, end := range ends {
		if left := time.Until(end); long && left < longLived || !long && left > leafLife {
			return fmt.Errorf("the certificate of %s ends in %v", name, left)
		}
	}
	return err
}

// ends are when the certificates end that processes show now.
func (f *federation) ends(ctx context.Context) (map[string]time.Time, error) {
	out := map[string]time.Time{}
	for _, name := range append(f.tiers(), f.agents()...) {
		m, err := f.metrics(ctx, name)
		if err != nil {
			return nil, err
		}
		out[name] = time.Unix(int64(m[`meridian_certificate_expiry_timestamp_seconds{use="shown"}`]), 0)
	}
	return out, nil
}

// metrics are those of a process, by name and labels as they are shown.
func (f *federation) metrics(ctx context.Context, process string) (map[string]float64, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+f.run.Admin(process)+"/metrics", nil)
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	out := map[string]float64{}
	lines := bufio.NewScanner(response.Body)
	for lines.Scan() {
		at := strings.LastIndexByte(lines.Text(), ' ')
		if at < 0 || strings.HasPrefix(lines.Text(), "#") {
			continue
		}
		if out[lines.Text()[:at]], err = strconv.ParseFloat(lines.Text()[at+1:], 64); err != nil {
			return nil, fmt.Errorf("reading a metric of %s: %w", process, err)
		}
	}
	return out, lines.Err()
}

// watched is what must not move while certificates and roots do: sessions by where they are and since when, counters by
// process, and how much each process had logged.
type watched struct {
	sessions map[string]time.Time
	counters map[string]map[string]float64
	logged   map[string]int64
}

// sessionCounters grow with a session that is begun, lost, refused or redirected, and with a renewal that failed.
var sessionCounters = []string{
	`meridian_feed_admitted_total{link="children"}`, `meridian_feed_redirects_total{link="parent"}`, `meridian_feed_redirects_total{link="children"}`,
	`meridian_feed_refusals_total{link="parent"}`, `meridian_feed_differences_total{link="parent"}`, `meridian_feed_mismatches_total{link="parent"}`,
	`meridian_certificate_renewals_total{result="failed"}`,
}

func (f *federation) watch(t *testing.T) watched {
	t.Helper()
	w := watched{sessions: f.sessions(t), counters: map[string]map[string]float64{}, logged: map[string]int64{}}
	for _, name := range append(f.tiers(), f.agents()...) {
		m, err := f.metrics(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		w.counters[name] = m
		info, err := os.Stat(f.log(name))
		if err != nil {
			t.Fatal(err)
		}
		w.logged[name] = info.Size()
	}
	for _, metric := range sessionCounters {
		shown := func(m map[string]float64) bool { _, ok := m[metric]; return ok }
		if !slices.ContainsFunc(slices.Collect(maps.Values(w.counters)), shown) {
			t.Errorf("no process counts %s", metric)
		}
	}
	return w
}

func (f *federation) log(process string) string { return filepath.Join(f.run.Logs(), process+".log") }

// sessions are those of all nodes with their parents and children, and since when they are.
func (f *federation) sessions(t *testing.T) map[string]time.Time {
	t.Helper()
	tree, err := f.tree(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := inSync(tree); err != nil {
		t.Fatal(err)
	}
	out := map[string]time.Time{}
	for _, tier := range []question.Tier{question.TierGlobal, question.TierRegion, question.TierZone, question.TierCluster} {
		for _, n := range nodes(tree, tier) {
			where := string(n.Tier) + " " + n.Name
			for _, s := range n.Overview.Sessions {
				out[where+" with "+s.Peer] = s.Since
			}
			if n.Overview.Parent != nil {
				out[where+" with its parent"] = n.Overview.Parent.Since
			}
		}
	}
	return out
}

// undisturbed fails the test unless all sessions are those that were watched, and nobody has noticed anything.
func (f *federation) undisturbed(t *testing.T, before watched) {
	t.Helper()
	sessions := f.sessions(t)
	if len(sessions) != len(before.sessions) || len(sessions) == 0 {
		t.Errorf("got %d sessions, want the %d of before", len(sessions), len(before.sessions))
	}
	for name, since := range before.sessions {
		if !sessions[name].Equal(since) {
			t.Errorf("the session of %s is since %v, want the one of before, since %v", name, sessions[name], since)
		}
	}
	for name, counters := range before.counters {
		now, err := f.metrics(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		for _, metric := range sessionCounters {
			if now[metric] != counters[metric] {
				t.Errorf("%s: %s was %v and is %v", name, metric, counters[metric], now[metric])
			}
		}
		for _, line := range f.complaints(t, name, before.logged[name]) {
			t.Errorf("%s has logged %s", name, line)
		}
	}
}

// complaints are the lines of a process' log, from an offset on, that tell of anything but its work: warnings and errors, and
// sessions that came or went.
func (f *federation) complaints(t *testing.T, process string, from int64) (out []string) {
	t.Helper()
	content, err := os.ReadFile(f.log(process))
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(content[from:]) {
		text := strings.TrimSpace(string(line))
		if strings.Contains(text, "level=WARN") || strings.Contains(text, "level=ERROR") ||
			strings.Contains(text, "connected") || strings.Contains(text, "redirected") {
			out = append(out, text)
		}
	}
	return out
}

// clock is an application in every cluster whose spec is changed again and again.
type clock struct {
	f     *federation
	ticks int
}

const clockNamespace = "clockwork"

func (c *clock) manifest() string {
	return appSpec{namespace: clockNamespace, name: "clock", mode: "Duplicated",
		extra: fmt.Sprintf("resources:\n- apiVersion: v1\n  kind: ConfigMap\n  metadata: {name: clock}\n  data: {count: %q}\n", strconv.Itoa(c.ticks))}.manifest()
}

// tick changes the spec, and waits until the change is in every cluster.
func (c *clock) tick(t *testing.T) {
	t.Helper()
	c.ticks++
	count := strconv.Itoa(c.ticks)
	patch := fmt.Sprintf(`[{"op":"replace","path":"/spec/resources/0/data/count","value":%q}]`, count)
	_, err := c.f.hub.Resource(applications).Namespace(clockNamespace).Patch(t.Context(), "clock", types.JSONPatchType, []byte(patch), metav1.PatchOptions{})
	if err != nil {
		t.Fatalf("changing a spec: %v", err)
	}
	for _, name := range allClusters {
		await(t, "change "+count+" has reached "+name, func(ctx context.Context) error {
			o, err := c.f.clusters[name].get(ctx, configMaps, clockNamespace, "clock")
			if err != nil {
				return err
			}
			data, _ := o.Object["data"].(map[string]any)
			return wrong[any]("the count in "+name, data["count"], count)
		})
	}
}

// tickUntil goes on changing until done returns nil, and fails the test with done's last error.
func (c *clock) tickUntil(t *testing.T, what string, done func(ctx context.Context) error) {
	t.Helper()
	from := c.ticks
	deadline := time.Now().Add(2 * awaitWithin)
	for {
		c.tick(t)
		err := done(t.Context())
		if err == nil {
			t.Logf("%d changes until %s", c.ticks-from, what)
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("changing specs until %s: %v", what, err)
		}
	}
}

// TestRenewalsAndARotationAreNotNoticed replaces every certificate, and the root above them all, while specs change: each
// change arrives in every cluster, over the sessions that there were before, also when the certificates by which they began
// have ended.
func TestRenewalsAndARotationAreNotNoticed(t *testing.T) {
	f := start(t)
	f.shortLived(t)
	f.inNamespace(t, clockNamespace)
	c := &clock{f: f}
	f.submit(t, c.manifest())
	f.ready(t, clockNamespace, "clock")
	f.settled(t)
	root, err := f.theRoot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	before := f.watch(t)

	c.tick(t)
	rotated := make(chan error, 1)
	go func() {
		_, err := f.command(t.Context(), "", "authority", "rotate")
		rotated <- err
	}()
	c.tickUntil(t, "the root is replaced", func(context.Context) error {
		select {
		case err := <-rotated:
			if err != nil {
				t.Fatal(err)
			}
			return nil
		default:
			return fmt.Errorf("`meridian authority rotate` goes on")
		}
	})
	if err := f.dial(t.Context()); err != nil { // a person's client knows Global by the roots of when it was made
		t.Fatal(err)
	}
	await(t, "all are under another root", func(ctx context.Context) error {
		now, err := f.theRoot(ctx)
		if err == nil && now == root {
			err = fmt.Errorf("the root is %s, as before", root)
		}
		return err
	})
	if err := f.live(t.Context(), false); err != nil {
		t.Error(err)
	}
	f.undisturbed(t, before)

	if err := f.restartTiers(t.Context()); err != nil { // all sessions begin anew, by certificates of a short life
		t.Fatal(err)
	}
	f.settled(t)
	before = f.watch(t)
	began, err := f.ends(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	c.tickUntil(t, "every certificate has ended by which a session began", func(ctx context.Context) error {
		now, err := f.ends(ctx)
		for name, end := range began {
			if err == nil && (time.Now().Before(end) || !now[name].After(end)) {
				err = fmt.Errorf("that of %s ends at %v, and it now shows one that ends at %v", name, end, now[name])
			}
		}
		return err
	})
	f.undisturbed(t, before)
}

// theRoot is the one root that all nodes' certificates are under, and that they believe.
func (f *federation) theRoot(ctx context.Context) (root string, _ error) {
	tree, err := f.tree(ctx)
	if err != nil {
		return "", err
	}
	for _, tier := range []question.Tier{question.TierGlobal, question.TierRegion, question.TierZone, question.TierCluster} {
		for _, n := range nodes(tree, tier) {
			if n.Overview == nil || n.Overview.Identity == nil {
				return "", fmt.Errorf("%s %s does not tell its identity: %s", n.Tier, n.Name, n.Unanswered)
			}
			id := n.Overview.Identity
			if root == "" {
				root = id.Root
			}
			if id.Root != root || !slices.Equal(id.Believes, []string{root}) {
				return "", fmt.Errorf("%s %s is under %s and believes %q, want %s alone", n.Tier, n.Name, id.Root, id.Believes, root)
			}
		}
	}
	return root, nil
}
