package permission_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/meridian-federation/meridian/internal/permission"
	"github.com/meridian-federation/meridian/internal/question"
	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/internal/store"
	"github.com/meridian-federation/meridian/internal/store/mem"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// snapshot is a store that holds the records.
func snapshot(t *testing.T, records ...record.Record) *store.Snapshot {
	t.Helper()
	s := mem.New()
	ctx, cancel := context.WithCancel(t.Context())
	term, err := s.Campaign(ctx, "test")
	if err != nil {
		t.Fatal(err)
	}
	var batch store.Batch
	for _, r := range records {
		batch.Writes = append(batch.Writes, store.Write{Record: r})
	}
	if _, err := s.Commit(ctx, term, batch); err != nil {
		t.Fatal(err)
	}
	mirror := store.NewMirror(s, slog.New(slog.DiscardHandler))
	done := make(chan error, 1)
	go func() { done <- mirror.Run(ctx) }()
	err = mirror.WaitReady(ctx)
	cancel()
	<-done
	if err != nil || s.Close() != nil {
		t.Fatalf("reading the records: %v", err)
	}
	return mirror.Snapshot()
}

func revision(app, dependsOn string) record.Record {
	return record.Revision{Namespace: "shop", Application: app, Environment: "prod", Spec: []byte(`{"dependsOn":[` + dependsOn + `]}`)}.Record()
}

func assignment(of record.Record, dependencies ...string) record.Record {
	p := of.Key.Parts()
	return record.Assignment{Namespace: p[0], Application: p[1], Zone: "a", Region: "west", Revision: p[2], Dependencies: dependencies}.Record()
}

// shop is checkout, which declares ledger and tax; cart, which declares an ExternalService of ledger's name and runs nowhere; and what they call.
func shop() []record.Record {
	policy := func(namespace, app, environment string, rules ...record.Rule) record.Record {
		return record.Policy{Namespace: namespace, Application: app, Environment: environment, Rules: rules}.Record()
	}
	rule := func(index int32, ports []int32, methods ...string) record.Rule {
		return record.Rule{Policy: "callers", Index: index, Callers: []record.Caller{{Namespace: "shop"}}, Ports: ports, Methods: methods}
	}
	checkout := revision("checkout", `{"namespace":"payments","name":"ledger"},{"namespace":"payments","name":"tax"}`)
	return []record.Record{
		policy("shop", "checkout", "prod"), policy("shop", "cart", "prod"),
		policy("payments", "ledger", "prod", rule(0, []int32{8080}, "GET")),
		policy("payments", "tax", "prod", rule(0, nil, "GET"), rule(1, []int32{9999})),
		policy("lab", "ledger", "test", rule(0, nil)),
		policy("payments", "batch", "prod", rule(0, nil)),
		checkout, assignment(checkout, "payments/ledger"), revision("cart", `{"kind":"ExternalService","namespace":"payments","name":"ledger"}`),
		record.Service{Namespace: "payments", Application: "ledger", Ports: []record.Port{{Name: "http", Port: 8080}, {Port: 9090}}}.Record(),
		record.Service{Namespace: "payments", Application: "tax", Ports: []record.Port{{Port: 6379, AppProtocol: "redis"}}}.Record(),
		record.Service{Namespace: "lab", Application: "ledger", Ports: []record.Port{{Port: 80}}}.Record(),
	}
}

func TestAnswer(t *testing.T) {
	records := snapshot(t, shop()...)
	zone := question.Path{Region: "west", Zone: "a"}
	const declared, undeclared = "shop/checkout declares it, and it is resolved", "shop/cart does not declare it"
	for _, tc := range []struct {
		name             string
		at               question.Path
		caller, provider string
		port             int32
		want             question.Verdict
		err              error
		message          string
	}{
		{name: "allowed, declared, resolved", caller: "shop/checkout", provider: "payments/ledger", port: 8080,
			want: question.Verdict{Allowed: true, Rule: "AccessPolicy payments/callers rule 1 (methods GET only)", Dependency: declared}},
		{name: "another port", caller: "shop/cart", provider: "payments/ledger", port: 9090,
			want: question.Verdict{Rule: "AccessPolicy payments/callers rule 1", Reason: "AccessPolicy payments/callers rule 1 allows ports 8080 only", Dependency: undeclared}},
		{name: "the same at a zone", at: zone, caller: "shop/checkout", provider: "payments/ledger",
			want: question.Verdict{Allowed: true, Rule: "AccessPolicy payments/callers rule 1 (ports 8080; methods GET only)", Dependency: declared}},
		{name: "rules that reach no port", caller: "shop/checkout", provider: "payments/tax",
			want: question.Verdict{Rule: "AccessPolicy payments/callers rule 2 (ports 9999 only)",
				Reason:     "AccessPolicy payments/callers rule 2 (ports 9999 only) is about none of the application's ports",
				Dependency: "shop/checkout declares it, and it is not resolved"}},
		{name: "methods where HTTP is not spoken", caller: "shop/checkout", provider: "payments/tax", port: 6379,
			want: question.Verdict{Rule: "AccessPolicy payments/callers rule 1",
				Reason:     "AccessPolicy payments/callers rule 1 names methods or paths, and the port does not speak HTTP",
				Dependency: "shop/checkout declares it, and it is not resolved"}},
		{name: "environments do not meet", caller: "shop/checkout", provider: "lab/ledger",
			want: question.Verdict{Reason: "shop/checkout is of environment prod and lab/ledger of test: applications of different environments never call each other",
				Dependency: "shop/checkout does not declare it"}},
		{name: "an unknown provider", caller: "shop/checkout", provider: "payments/nothing", err: question.ErrNotFound,
			message: "application payments/nothing does not exist, is not accepted, or is placed nowhere"},
		{name: "an unknown caller", caller: "shop/nothing", provider: "payments/ledger", err: question.ErrNotFound, message: "application shop/nothing does not exist"},
		{name: "an unknown provider at a zone", at: zone, caller: "shop/checkout", provider: "payments/nothing",
			want: question.Verdict{Unknown: "application payments/nothing is not known at region/west/zone/a"}},
		{name: "an unknown caller at a zone", at: zone, caller: "shop/web", provider: "payments/ledger",
			want: question.Verdict{Allowed: true, Rule: "AccessPolicy payments/callers rule 1 (ports 8080; methods GET only)", Dependency: "what shop/web declares is not known here"}},
		{name: "a port that is not there", caller: "shop/checkout", provider: "payments/ledger", port: 1, err: question.ErrInvalid,
			message: "application payments/ledger has no port 1; it has 8080 http, 9090"},
		{name: "no ports", caller: "shop/checkout", provider: "payments/batch", err: question.ErrInvalid, message: "application payments/batch has no ports"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := permission.Answer(records, tc.at, question.CanIRequest{Target: tc.at, Caller: app(tc.caller), Provider: app(tc.provider), Port: tc.port})
			if !errors.Is(err, tc.err) || err != nil && !strings.Contains(err.Error(), tc.message) {
				t.Fatalf("got error %v, want %v: %s", err, tc.err, tc.message)
			}
			if err != nil {
				return
			}
			if !strings.HasPrefix(got.Dependency, tc.want.Dependency) {
				t.Errorf("dependency: got %q, want %q", got.Dependency, tc.want.Dependency)
			}
			if got.Allowed != tc.want.Allowed || got.Rule != tc.want.Rule || got.Reason != tc.want.Reason || got.Unknown != tc.want.Unknown {
				t.Errorf("got  %+v\nwant %+v", *got, tc.want)
			}
		})
	}
}

// TestAnswerUnreadable has a policy record that cannot be read: that is an error, and not an application unknown.
func TestAnswerUnreadable(t *testing.T) {
	key := record.PolicyKey("payments", "broken")
	records := snapshot(t, append(shop(), record.New(key, []byte("\xff")))...)
	for _, at := range []question.Path{{}, {Region: "west", Zone: "a"}} {
		for _, names := range [][2]string{{"shop/checkout", "payments/broken"}, {"payments/broken", "payments/ledger"}} {
			got, err := permission.Answer(records, at, question.CanIRequest{Target: at, Caller: app(names[0]), Provider: app(names[1])})
			if err == nil || errors.Is(err, question.ErrNotFound) || !strings.Contains(err.Error(), "reading the policy of payments/broken") {
				t.Errorf("%s to %s at %s: got %+v and error %v, want that the policy cannot be read", names[0], names[1], at, got, err)
			}
		}
	}
}

func app(name string) question.ApplicationRequest {
	namespace, name, _ := strings.Cut(name, "/")
	return question.ApplicationRequest{Namespace: namespace, Name: name}
}
