package cli_test

import (
	"log/slog"
	"net"
	"regexp"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/meridian-federation/meridian/global"
	"github.com/meridian-federation/meridian/internal/feed"
	"github.com/meridian-federation/meridian/internal/identity/identitytest"
	"github.com/meridian-federation/meridian/internal/question"
	"github.com/meridian-federation/meridian/internal/store/mem"
	"github.com/meridian-federation/meridian/internal/tiertest"
)

// startAlone starts Global with a root of its own, at a real API server, and nothing below it. Region west is in the
// inventory.
func startAlone(t *testing.T) tree {
	t.Helper()
	tm := startServer(t)
	hub, err := clientcmd.BuildConfigFromFlags("", tm.kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	own, err := identitytest.Must(identitytest.Options{}).Authority(question.Path{})
	if err != nil {
		t.Fatal(err)
	}
	startTier(t, func(l net.Listener) runner {
		g, err := global.New(global.Config{ID: "global-0", Listen: l.Addr().String()}, global.Deps{Store: mem.New(), Hub: hub, Listener: l,
			Log: slog.New(slog.DiscardHandler), Stats: &feed.Stats{}, Registry: prometheus.NewRegistry(), Identity: own.Source(), Authority: own})
		if err != nil {
			t.Fatal(err)
		}
		return g
	})
	tm.ok("apiVersion: meridian.dev/v1alpha1\nkind: Region\nmetadata: {name: west}\n", "apply", "-f", "-")
	return tree{terminal: tm}
}

func TestTokens(t *testing.T) {
	tr := startAlone(t)
	tr.await("meridian-region --region west --identity-token-file FILE --identity-pin sha256:", "token", "create", "--region", "west")
	out := tr.ok("", "token", "create", "--region", "west", "--uses", "3", "--ttl", "30m", "-o", "json")
	wantParts(t, "token create -o json", out, `"token": "`, `"target": "region/west"`, `"uses": 3`, `"trustDomain": "meridian"`)
	token := regexp.MustCompile(`"token": "([a-z2-7]{6})\.([a-z2-7]{32})"`).FindStringSubmatch(out)
	if token == nil {
		t.Fatalf("no token in %s", out)
	}
	wantParts(t, "token create --global --replace", tr.ok("", "token", "create", "--global", "--replace"),
		"global, whose earlier certificates are refused from then on, but for the process that has the root", "--identity-join")
	list := tr.ok("", "token", "list")
	wantParts(t, "token list", list, "ID", token[1], "region/west", "0/3", "in 29m", "admin")
	if strings.Contains(list, token[2]) {
		t.Error("the list tells a secret")
	}
	wantEqual(t, "token revoke", tr.ok("", "token", "revoke", token[1]), "global: token "+token[1]+" is revoked\n")
	tiertest.Await(t, "the token is gone", func() bool { return !strings.Contains(tr.ok("", "token", "list"), token[1]) })

	for _, tt := range []struct {
		name, want string
		args       []string
	}{
		{"unknown region", "region: there is no Region north", []string{"--region", "north"}},
		{"unknown zone", "zone: there is no accepted Zone west-z in region west", []string{"--region", "west", "--zone", "west-z"}},
		{"cluster without a zone", "--cluster goes with --zone", []string{"--region", "west", "--cluster", "c"}},
		{"zone without a region", "--zone goes with --region", []string{"--zone", "west-a"}},
		{"no place", "target: say --region", nil},
		{"replacing with no place", "--replace needs the place", []string{"--replace"}},
		{"Global and a region", "--global excludes --region", []string{"--global", "--replica", "--region", "west"}},
		{"Global with no mode", "--global with --replica", []string{"--global"}},
		{"two modes", "exclude each other", []string{"--region", "west", "--replace", "--replica"}},
		{"too long", "ttl: 864000 seconds", []string{"--region", "west", "--ttl", "240h"}},
		{"no use", "uses: 0 is not between", []string{"--region", "west", "--uses", "0"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if r := tr.run("", append([]string{"token", "create"}, tt.args...)...); r.failed == nil || !strings.Contains(r.failed.Error(), tt.want) {
				t.Errorf("got %v, want %q", r.failed, tt.want)
			}
		})
	}
	if r := tr.run("", "token", "revoke", token[1]); r.failed == nil || !strings.Contains(r.failed.Error(), "there is no token "+token[1]) {
		t.Errorf("revoking it again: got %v", r.failed)
	}
}

func TestAuthority(t *testing.T) {
	tr := startAlone(t)
	tr.await("ends in", "authority", "status")
	before := tr.ok("", "authority", "status")
	wantParts(t, "authority status", before, "NODE", "ROOT", "global")
	wantParts(t, "authority rotate", tr.ok("", "authority", "rotate"), "a new root", "the new root", "the old root is dropped")
	tiertest.Await(t, "the CLI believes the new root", func() bool {
		r := tr.run("", "authority", "status")
		return r.failed == nil && strings.Fields(r.out)[7] != strings.Fields(before)[7]
	})
}
