package global_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/meridian-federation/meridian/api/crds"
	"github.com/meridian-federation/meridian/api/v1alpha1"
	"github.com/meridian-federation/meridian/deploy/rbac"
	"github.com/meridian-federation/meridian/internal/audit"
	"github.com/meridian-federation/meridian/internal/audit/audittest"
	"github.com/meridian-federation/meridian/internal/hubclient"
	"github.com/meridian-federation/meridian/internal/local"
	"github.com/meridian-federation/meridian/internal/localkube"
	"github.com/meridian-federation/meridian/internal/question"
	"github.com/meridian-federation/meridian/internal/store"
	"github.com/meridian-federation/meridian/internal/store/mem"
)

// The people at the hub: a platform admin by token and one by certificate, a tenant's viewer, and one with no role.
const (
	paula  = "paula"
	carl   = "carl"
	vera   = "vera"
	nobody = "mallory"
)

// globalUser is whom the API server knows Global as.
const globalUser = "meridian-global"

// people is a Global, with an account of its own, at an API server with people.
type people struct {
	*hub
	tier    *tier
	account account
	ca      keyed
	caFile  string
}

// keyed is a certificate and its key.
type keyed struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// issue makes a certificate for a name by an authority, or by itself.
func issue(t *testing.T, name string, by *keyed) keyed {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	out := keyed{key: key}
	if by == nil {
		template.IsCA, template.BasicConstraintsValid = true, true
		by = &keyed{template, key}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, by.cert, key.Public(), by.key)
	if err != nil {
		t.Fatal(err)
	}
	if out.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return out
}

func (k keyed) certPEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: k.cert.Raw})
}

func (k keyed) keyPEM(t *testing.T) []byte {
	t.Helper()
	der, err := x509.MarshalECPrivateKey(k.key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der})
}

func startPeople(t *testing.T) *people {
	t.Helper()
	p := &people{account: account{used: map[string]bool{}}, ca: issue(t, "people", nil), caFile: filepath.Join(t.TempDir(), "roots.pem")}
	cfg := localkube.Config{APIOnly: true, ClientCA: p.ca.certPEM(),
		Users: []localkube.User{{Name: globalUser, Token: globalUser + "-token", Groups: []string{rbac.GlobalGroup}}}}
	for _, name := range []string{paula, vera, nobody} {
		cfg.Users = append(cfg.Users, localkube.User{Name: name, Token: name + "-token"})
	}
	kube := localkube.ForTest(t, cfg)
	if err := kube.InstallCRDs(t.Context(), crds.All()...); err != nil {
		t.Fatal(err)
	}
	client, err := dynamic.NewForConfig(kube.RESTConfig())
	if err != nil {
		t.Fatal(err)
	}
	p.hub = &hub{kube, client}
	p.set(t, inventory...)
	p.set(t, application("cart", "cart:1", ""))
	for _, manifests := range [][]byte{rbac.Roles(), rbac.Global()} {
		if err := local.Apply(t.Context(), kube.RESTConfig(), manifests); err != nil {
			t.Fatal(err)
		}
	}
	p.bind(t, paula, carl)
	p.startGlobal(t, mem.New())
	var roots []byte
	for _, root := range identities.Roots() {
		roots = append(roots, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: root.Raw})...)
	}
	if err := os.WriteFile(p.caFile, roots, 0o600); err != nil {
		t.Fatal(err)
	}
	return p
}

// startGlobal starts Global once its role is in force, which is a moment after it is written.
func (p *people) startGlobal(t *testing.T, s store.Store) {
	t.Helper()
	own := p.as(globalUser + "-token")
	kube, err := kubernetes.NewForConfig(own)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "Global's role is in force", func() string {
		for _, of := range []authorizationv1.ResourceAttributes{
			{Verb: "list", Group: v1alpha1.Group, Resource: "applications"},
			{Verb: "create", Group: "authorization.k8s.io", Resource: "subjectaccessreviews"},
			{Verb: "create", Resource: "configmaps", Namespace: question.HubNamespace},
			{Verb: "get", Resource: "configmaps", Namespace: "kube-system", Name: "extension-apiserver-authentication"},
		} {
			review, err := kube.AuthorizationV1().SelfSubjectAccessReviews().Create(t.Context(), &authorizationv1.SelfSubjectAccessReview{
				Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: &of}}, metav1.CreateOptions{})
			if err != nil {
				return err.Error()
			}
			if !review.Status.Allowed {
				return fmt.Sprintf("%+v is not allowed", of)
			}
		}
		return ""
	})
	own.Wrap(p.account.record)
	p.tier = startGlobalAt(t, s, own)
}

// bind makes some platform admins, and vera a viewer of namespace shop.
func (p *people) bind(t *testing.T, admins ...string) {
	t.Helper()
	client, err := kubernetes.NewForConfig(p.kube.RESTConfig())
	if err != nil {
		t.Fatal(err)
	}
	role := func(name string) rbacv1.RoleRef {
		return rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: name}
	}
	user := func(name string) []rbacv1.Subject {
		return []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: name}}
	}
	for _, name := range admins {
		if _, err := client.RbacV1().ClusterRoleBindings().Create(t.Context(), &rbacv1.ClusterRoleBinding{
			ObjectMeta: metav1.ObjectMeta{Name: name}, RoleRef: role(rbac.PlatformAdmin), Subjects: user(name)}, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := client.RbacV1().RoleBindings("shop").Create(t.Context(), &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: vera}, RoleRef: role(rbac.TenantViewer), Subjects: user(vera)}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// as is the kubeconfig of a person, by a token.
func (p *people) as(token string) *rest.Config {
	c := rest.AnonymousClientConfig(p.kube.RESTConfig())
	c.BearerToken = token
	return c
}

// shown is the kubeconfig of whoever shows a certificate.
func (p *people) shown(t *testing.T, k keyed) *rest.Config {
	c := p.as("")
	c.CertData, c.KeyData = k.certPEM(), k.keyPEM(t)
	return c
}

// asks asks Global over its socket.
func (p *people) asks(t *testing.T, kube *rest.Config, kind string, request any) (*question.Node, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	client, err := hubclient.Dial(ctx, kube, hubclient.Options{Address: p.tier.address, CAFile: p.caFile})
	if err != nil {
		return nil, err
	}
	defer client.Close()
	payload, err := json.Marshal(request)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := client.Answer(ctx, kind, payload)
	if err != nil {
		return nil, err
	}
	node, err := question.Decode[question.Node](answer)
	return &node, err
}

// questions are one of each kind, with the right that each needs; names of what is not vera's are in namespace bank.
var questions = []struct {
	kind    string
	request any
	right   string
	// shop says that vera may.
	shop bool
}{
	{question.KindApplication, question.ApplicationRequest{Namespace: "shop", Name: "cart"}, "get applications.meridian.dev cart in namespace shop", true},
	{question.KindApplication, question.ApplicationRequest{Namespace: "bank", Name: "ledger"}, "get applications.meridian.dev ledger in namespace bank", false},
	{question.KindCanI, canI("bank", "shop"), "get accesspolicies.meridian.dev in namespace shop", true},
	{question.KindCanI, canI("shop", "bank"), "get accesspolicies.meridian.dev in namespace bank", false},
	{question.KindOverview, question.OverviewRequest{}, "list clusters.meridian.dev", false},
	{question.KindExport, question.ExportRequest{Cluster: "a1"}, "get clusters/export.meridian.dev a1", false},
	{question.KindConfirm, question.ConfirmRequest{What: question.WhatRemovals}, "update clusters/confirm.meridian.dev", false},
	{question.KindConfirm, question.ConfirmRequest{What: question.WhatRemovals, Target: question.Path{Region: "west", Zone: "west-a", Cluster: "a1"}},
		"update clusters/confirm.meridian.dev a1", false},
	{question.KindTokenCreate, question.TokenRequest{Target: question.Path{Region: "west"}, TTLSeconds: 60, Uses: 1}, "create enrollmenttokens.meridian.dev", false},
	{question.KindTokenList, question.TokenListRequest{}, "list enrollmenttokens.meridian.dev", false},
	{question.KindTokenRevoke, question.TokenRevokeRequest{ID: "abcdef"}, "delete enrollmenttokens.meridian.dev abcdef", false},
	{question.KindRotate, question.RotateRequest{}, "update certificateauthorities.meridian.dev", false},
}

func canI(from, to string) question.CanIRequest {
	return question.CanIRequest{Caller: question.ApplicationRequest{Namespace: from, Name: "a"}, Provider: question.ApplicationRequest{Namespace: to, Name: "b"}}
}

// barred tells whether a question was refused to its asker.
func barred(err error) bool {
	return errors.Is(err, question.ErrForbidden) || errors.Is(err, question.ErrUnauthenticated)
}

// TestPeople asks everything as everybody, over Global's socket, of a Global at a real API server.
func TestPeople(t *testing.T) {
	p := startPeople(t)
	eventually(t, "Global has placed shop/cart", func() string {
		if _, err := p.asks(t, p.as(paula+"-token"), question.KindApplication, questions[0].request); err != nil {
			return err.Error()
		}
		return ""
	})
	carls := issue(t, carl, &p.ca)
	other := issue(t, "others", nil)
	everybody := []struct {
		name string
		kube *rest.Config
		// may tells what each may ask; nil is nothing, as nobody knows who it is.
		may func(shop bool) bool
	}{
		{"a platform admin", p.as(paula + "-token"), func(bool) bool { return true }},
		{"a platform admin, by certificate", p.shown(t, carls), func(bool) bool { return true }},
		{"a tenant's viewer", p.as(vera + "-token"), func(shop bool) bool { return shop }},
		{"one without a role", p.as(nobody + "-token"), func(bool) bool { return false }},
		{"a token of nobody's", p.as("wrong"), nil},
		{"no proof", p.as(""), nil},
		{"a certificate of another authority", p.shown(t, issue(t, carl, &other)), nil},
	}
	for _, who := range everybody {
		t.Run(who.name, func(t *testing.T) {
			for _, q := range questions {
				_, err := p.asks(t, who.kube, q.kind, q.request)
				switch {
				case who.may == nil && !errors.Is(err, question.ErrUnauthenticated):
					t.Errorf("%s: got %v, want ErrUnauthenticated", q.kind, err)
				case who.may != nil && who.may(q.shop) && barred(err):
					t.Errorf("%s: got %v, want it answered", q.kind, err)
				case who.may != nil && !who.may(q.shop) && (!errors.Is(err, question.ErrForbidden) || !strings.Contains(err.Error(), q.right)):
					t.Errorf("%s: got %v, want it refused for the right to %s", q.kind, err, q.right)
				}
			}
		})
	}
	as := p.as(vera + "-token")
	as.Impersonate.UserName = paula
	if _, err := p.asks(t, as, question.KindOverview, question.OverviewRequest{}); err == nil || !strings.Contains(err.Error(), "as oneself") {
		t.Errorf("asking as another: got %v, want it refused before it is sent", err)
	}
	for _, who := range []string{vera, nobody} {
		if !slices.ContainsFunc(p.tier.trail.Events(audit.Ask), func(e audittest.Event) bool { return e.Actor == who && e.Result == audit.Refused }) {
			t.Errorf("no refusal of %s is recorded", who)
		}
	}
	if tokens := p.tier.trail.Events(audit.TokenCreate); len(tokens) != 2 || tokens[0].Actor != paula || tokens[1].Actor != carl {
		t.Errorf("tokens created: got %+v, want one by %s and one by %s", tokens, paula, carl)
	}
}
