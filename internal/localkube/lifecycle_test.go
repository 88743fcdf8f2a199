package localkube_test

import (
	"errors"
	"net"
	"path/filepath"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/meridian-federation/meridian/internal/localkube"
	"github.com/meridian-federation/meridian/internal/process"
)

func TestRestartKeepsData(t *testing.T) {
	for _, tc := range []struct {
		name string
		end  func(*testing.T, *localkube.Cluster)
	}{
		{"stopped", func(t *testing.T, c *localkube.Cluster) {
			if err := c.Stop(); err != nil {
				t.Fatal(err)
			}
		}},
		{"killed", func(t *testing.T, c *localkube.Cluster) {
			if err := c.Process(localkube.APIServer).Stop(t.Context(), 0); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := localkube.ForTest(t, localkube.Config{APIOnly: true})
			before := c.RESTConfig()
			maps := clientOf(t, before).CoreV1().ConfigMaps("default")
			if _, err := maps.Create(t.Context(), configMap("kept"), metav1.CreateOptions{}); err != nil {
				t.Fatal(err)
			}
			tc.end(t, c)
			if c.Process(localkube.APIServer).Alive() {
				t.Fatal("the API server is still there")
			}
			if err := c.Resume(t.Context()); err != nil {
				t.Fatal(err)
			}
			if after := c.RESTConfig(); after.Host != before.Host || after.BearerToken != before.BearerToken {
				t.Errorf("came back at %s, was at %s", after.Host, before.Host)
			}
			// The client of before has the same address, authority and token.
			if _, err := maps.Get(t.Context(), "kept", metav1.GetOptions{}); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestDetachedClusterIsKeptAndStopped(t *testing.T) {
	dir := t.TempDir()
	cfg := localkube.Config{
		Name: "detached", Dir: filepath.Join(dir, "data"), PidDir: filepath.Join(dir, "pids"),
		LogDir: filepath.Join(dir, "logs"), Nodes: 1, Detached: true,
	}
	first := localkube.ForTest(t, cfg)
	second := localkube.ForTest(t, cfg)
	for _, component := range []string{localkube.APIServer, localkube.ControllerManager, localkube.Scheduler, localkube.Kwok} {
		if got, want := second.Process(component).Pid(), first.Process(component).Pid(); got != want {
			t.Errorf("%s: process %d on the second start, want that of the first, %d", component, got, want)
		}
	}
	if err := localkube.StopDetached(cfg); err != nil {
		t.Fatal(err)
	}
	for _, component := range []string{localkube.APIServer, localkube.ControllerManager, localkube.Scheduler, localkube.Kwok} {
		// Ends when the test does, should the process still be there.
		if _ = first.Process(component).Wait(t.Context()); first.Process(component).Alive() {
			t.Errorf("%s is still there", component)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "pids", "*")); len(left) > 0 {
		t.Errorf("pid files left: %v", left)
	}
}

func TestStartErrors(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	port := taken.Addr().(*net.TCPAddr).Port

	for _, tc := range []struct {
		name string
		cfg  localkube.Config
		want string
	}{
		{"taken port", localkube.Config{Dir: t.TempDir(), BinDir: "bin", APIOnly: true, Port: port}, taken.Addr().String() + " is taken by process"},
		{"no programs", localkube.Config{Dir: t.TempDir(), BinDir: "nowhere", APIOnly: true}, "nowhere/localkube"},
		{"nodes of an API server", localkube.Config{Dir: t.TempDir(), BinDir: "bin", APIOnly: true, Nodes: 1}, "1 nodes wanted"},
		{"no folder", localkube.Config{BinDir: "bin"}, "no folder given"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := localkube.Start(t.Context(), tc.cfg)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %q in it", err, tc.want)
			}
		})
	}
}

func TestCrashAtStartNamesTheLog(t *testing.T) {
	c := localkube.ForTest(t, localkube.Config{APIOnly: true})
	if err := c.Stop(); err != nil {
		t.Fatal(err)
	}
	// The range leaves the API server no address, so that it refuses to run.
	cfg := localkube.Config{Name: "broken", Dir: t.TempDir(), BinDir: c.BinDir(), APIOnly: true, ServiceCIDR: "nonsense"}
	_, err := localkube.Start(t.Context(), cfg)
	var crash *process.Crash
	if !errors.As(err, &crash) {
		t.Fatalf("got %v, want a crash", err)
	}
	if !strings.Contains(err.Error(), "broken-apiserver.log") || !strings.Contains(crash.Tail, "not a valid cidr") {
		t.Errorf("message helps nobody: %v", err)
	}
}
